"""One instrument by any of its names."""

import pytest

from ingestion import symbols
from ingestion.models import Instrument, VenueSymbol
from tests.ingestion.market import make_instrument

pytestmark = pytest.mark.django_db


@pytest.fixture
def btc():
    return make_instrument("BTC-USDT", binance="BTCUSDT", kraken="XBT/USDT")


@pytest.mark.parametrize(
    "name",
    ["BTC-USDT", "btc-usdt", "BTC/USDT", "btc/usdt", "BTCUSDT", "btcusdt", "XBT/USDT", "xbt-usdt", "BTC", " btc "],
)
def test_any_name_leads_to_it(btc, name):
    assert symbols.resolve(name) == btc


@pytest.mark.parametrize("symbol", ["BRK.B", "EURUSD=X", "^GSPC", "这是测试币456"])
def test_unusual_symbols_resolve(symbol):
    instrument = make_instrument(symbol, kind="equity")
    assert symbols.resolve(symbol.lower()) == instrument


@pytest.mark.parametrize("name", ["", "NOSUCH", "BTC-USDT; DROP", "x" * 100, "BTC\0", "../etc"])
def test_an_unknown_name_says_so(btc, name):
    with pytest.raises(symbols.UnknownSymbol) as refused:
        symbols.resolve(name)
    assert refused.value.name == name


def test_an_answer_is_remembered(btc, django_assert_num_queries):
    symbols.resolve("btcusdt")
    with django_assert_num_queries(0):
        assert symbols.resolve("BTCUSDT") == btc


def test_a_new_instrument_is_found_at_once():
    with pytest.raises(symbols.UnknownSymbol):
        symbols.resolve("NEW")
    made = make_instrument("NEW")
    assert symbols.resolve("new") == made


def test_a_name_on_two_venues_is_the_better_sources():
    first = make_instrument("ONE", finnhub="SAME")
    second = make_instrument("TWO", binance="SAME")
    assert symbols.resolve("same") == second != first


def test_our_own_symbol_beats_an_alias_and_a_venues(settings):
    settings.SYMBOL_ALIASES = {"BTC": "BTC-USDT"}
    make_instrument("BTC-USDT", binance="BTC")
    own = make_instrument("BTC")
    assert symbols.resolve("btc") == own


def test_a_feed_follows_its_venue_symbols(btc, settings):
    eth = make_instrument("ETH-USDT", binance="ETHUSDT")
    make_instrument("AAPL", kind="equity")
    settings.SYMBOLS = []
    assert {s: k.id for s, k in symbols.followed("binance", []).items()} == {"BTCUSDT": btc.id, "ETHUSDT": eth.id}
    settings.SYMBOLS = ["btc", "NOSUCH"]
    assert set(symbols.followed("binance", [])) == {"BTCUSDT"}
    assert set(symbols.followed("binance", [eth.id])) == {"BTCUSDT", "ETHUSDT"}
    assert symbols.unknown_settings() == ["NOSUCH"]


def test_the_simulated_market_knows_every_instrument(btc, settings):
    make_instrument("AAPL", kind="equity")
    settings.SYMBOLS = []
    assert set(symbols.followed("simulated", [])) == {"BTC-USDT", "AAPL"}


def test_a_recordings_instrument_is_made_once(btc):
    assert symbols.adopt("binance", "BTCUSDT").id == btc.id
    made = symbols.adopt("binance", "NKNUSDT")
    assert symbols.adopt("binance", "NKNUSDT") == made
    instrument = Instrument.objects.get(pk=made.id)
    assert (instrument.symbol, instrument.currency, instrument.kind) == ("NKN-USDT", "USDT", "crypto")
    assert symbols.resolve("nknusdt") == instrument


def test_an_instrument_that_is_there_under_our_symbol_gains_the_venues():
    own = make_instrument("NKN-USDT")
    assert symbols.adopt("binance", "NKNUSDT").id == own.id
    assert VenueSymbol.objects.get(symbol="NKNUSDT").instrument == own
