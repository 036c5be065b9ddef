"""One instrument by any of its names."""

import datetime as dt

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

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


JUNE_2022 = dt.datetime(2022, 6, 9, tzinfo=dt.UTC)


@pytest.fixture
def meta():
    """FB until June 2022, META since; and META was a fund's name until January 2022."""
    meta, fund = make_instrument("META", kind="equity"), make_instrument("METV", kind="equity")
    VenueSymbol.objects.create(instrument=meta, provider="finnhub", symbol="FB", valid_until=JUNE_2022)
    VenueSymbol.objects.create(instrument=meta, provider="finnhub", symbol="META", valid_from=JUNE_2022)
    VenueSymbol.objects.create(
        instrument=fund, provider="finnhub", symbol="META", valid_until=dt.datetime(2022, 1, 31, tzinfo=dt.UTC)
    )
    return meta


def test_a_name_is_whose_it_was_at_the_time(meta):
    assert symbols.resolve("FB", JUNE_2022 - dt.timedelta(days=1)) == meta
    assert symbols.resolve("meta", JUNE_2022) == meta
    assert symbols.resolve("META", dt.datetime(2021, 10, 1, tzinfo=dt.UTC)).symbol == "METV"
    for name, at in (("FB", JUNE_2022), ("META", dt.datetime(2022, 3, 1, tzinfo=dt.UTC))):
        with pytest.raises(symbols.UnknownSymbol):
            symbols.resolve(name, at)


def test_a_name_without_dates_holds_at_any_time(btc):
    for name in ("BTC-USDT", "BTCUSDT", "BTC"):
        assert symbols.resolve(name, dt.datetime(2015, 1, 1, tzinfo=dt.UTC)) == btc


def test_a_name_that_is_free_leads_to_who_had_it_last(meta):
    assert symbols.resolve("FB") == symbols.resolve("META") == meta
    another = make_instrument("FBNEW", kind="equity")
    VenueSymbol.objects.create(instrument=another, provider="finnhub", symbol="FB", valid_from=JUNE_2022)
    assert symbols.resolve("FB") == another


def test_a_feed_follows_names_of_today_only(meta, settings):
    settings.SYMBOLS = []
    assert set(symbols.followed("finnhub", [])) == {"META"}
    VenueSymbol.objects.filter(symbol="META", valid_until=None).update(status="delisted")
    assert not symbols.followed("finnhub", [])


def test_a_halted_name_is_still_followed(btc, settings):
    settings.SYMBOLS = []
    VenueSymbol.objects.filter(provider="binance").update(status="halted")
    assert set(symbols.followed("binance", [])) == {"BTCUSDT"}


def test_a_catalogues_instrument_is_followed_once_somebody_wants_it(btc, settings):
    settings.SYMBOLS = []
    Instrument.objects.update(followed=False)
    assert not symbols.followed("binance", [])
    assert not symbols.followed("simulated", [])
    assert set(symbols.followed("binance", [btc.id])) == {"BTCUSDT"}


def test_a_replayed_name_that_was_given_up_is_its_last_owners(meta):
    assert symbols.adopt("finnhub", "FB").id == meta.id


def test_kraken_s_other_names_of_assets_are_known():
    doge, btc = make_instrument("DOGE-USD", kraken="DOGE/USD"), make_instrument("BTC-EUR", kraken="BTC/EUR")
    VenueSymbol.objects.filter(instrument=btc).update(rest_symbol="XBTEUR")
    assert symbols.resolve("XDG/USD") == doge
    assert symbols.resolve("XBT/EUR") == symbols.resolve("xbteur") == btc


def test_two_instruments_cannot_have_a_venues_name_at_once(meta):
    late = VenueSymbol(instrument=meta, provider="finnhub", symbol="META", valid_from=JUNE_2022 + dt.timedelta(days=9))
    with pytest.raises(ValidationError):
        late.clean()
    early = VenueSymbol(instrument=meta, provider="finnhub", symbol="FB", valid_from=JUNE_2022)
    early.clean()


@pytest.mark.parametrize(
    "rows", [symbols._spelled(Instrument.objects.all()), symbols._spelled(VenueSymbol.objects.all())]
)
def test_a_name_is_looked_up_in_an_index(rows):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert "by_spelling" in rows.filter(spelled="BTC-USDT").order_by().explain()
