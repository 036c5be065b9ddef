"""The venues' own lists, as recorded, and what they change here."""

import gzip
import json
from decimal import Decimal

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.utils import timezone

from ingestion import http, listings, symbols, tasks
from ingestion.models import Instrument, VenueSymbol
from ingestion.rest import binance_listing, coinbase_listing, finnhub_listing, kraken_listing
from ingestion.rest.listing import Listing, ListingError, amount, digits, major, pair_name
from tests.ingestion.market import make_instrument
from tests.ingestion.recordings import recording
from tests.venues.binance import BinanceVenue
from tests.venues.coinbase import CoinbaseVenue
from tests.venues.kraken import KrakenVenue


def recorded(name, path):
    """The body that a recording `url -> time: body` has of a path."""
    with gzip.open(recording(name), "rt") as lines:
        for line in lines:
            if path in line.partition(" -> ")[0]:
                return line.partition(": ")[2].encode()
    raise AssertionError(f"{name} has no {path}")


def by_symbol(rows):
    return {row.symbol: row for row in rows}


# --- Reading --------------------------------------------------------------------------------------------------


def test_binance_s_whole_list_is_read():
    rows = by_symbol(binance_listing.read(recorded("cryptofeed/main/BINANCE.0.gz", "exchangeInfo")))
    assert len(rows) == 1695
    assert sum(row.status == "trading" for row in rows.values()) == 1262
    assert rows["EOSAUD"].status == "halted"
    nkn = rows["NKNUSDT"]
    assert (nkn.own, nkn.kind, nkn.currency) == ("NKN-USDT", "crypto", "USDT")
    raw = json.loads(recorded("cryptofeed/main/BINANCE.0.gz", "exchangeInfo"))["symbols"]
    for entry in raw:
        filters = {found["filterType"]: found for found in entry["filters"]}
        row = rows[entry["symbol"]]
        assert row.tick_size == Decimal(filters["PRICE_FILTER"]["tickSize"])
        assert row.lot_size == Decimal(filters["LOT_SIZE"]["stepSize"])
        assert row.min_notional == (Decimal(filters["MIN_NOTIONAL"]["minNotional"]) or None)
        assert (row.tick_size * 10**row.price_precision) % 1 == 0


def test_binance_s_documented_answer_is_read():
    body = recording("nautilus/binance/http_spot_market_exchange_info.json").read_bytes()
    row = by_symbol(binance_listing.read(body))["BTCUSDT"]
    assert (row.tick_size, row.lot_size, row.min_notional) == (Decimal("0.01"), Decimal("0.00001"), Decimal(10))
    assert (row.price_precision, row.quantity_precision) == (2, 5)


def test_coinbase_s_products_are_read():
    rows = by_symbol(coinbase_listing.read(recording("nautilus/coinbase/http_products.json").read_bytes()))
    row = rows["BTC-USD"]
    assert (row.own, row.name, row.status) == ("BTC-USD", "Bitcoin / US Dollar", "trading")
    assert (row.tick_size, row.lot_size, row.min_notional) == (Decimal("0.01"), Decimal("1e-8"), Decimal(1))
    assert (row.price_precision, row.quantity_precision) == (2, 8)


def test_coinbase_s_flags_halt_a_product():
    product = {"product_id": "A-USD", "base_currency_id": "A", "quote_currency_id": "USD"}
    for more, status in (
        ({"cancel_only": True}, "halted"), ({"status": "offline"}, "halted"), ({"is_disabled": True}, "halted"),
        ({"trading_disabled": True}, "halted"), ({"status": "delisted"}, "delisted"), ({"limit_only": True}, "trading"),
    ):  # fmt: skip
        [row] = coinbase_listing.read(json.dumps({"products": [product | more]}).encode())
        assert row.status == status
    future = product | {"product_type": "FUTURE"}
    assert coinbase_listing.read(json.dumps({"products": [future]}).encode()) == []


def test_kraken_s_pairs_are_read_by_everybody_s_names():
    rows = by_symbol(kraken_listing.read(recorded("cryptofeed/main/KRAKEN.0.gz", "AssetPairs")))
    # Dark pools (`.d`) are on no socket.
    assert not any(row.rest_symbol.endswith(".d") for row in rows.values())
    btc, doge, euro = rows["BTC/USD"], rows["DOGE/USD"], rows["EUR/USD"]
    assert (btc.own, btc.rest_symbol, btc.price_precision, btc.quantity_precision) == ("BTC-USD", "XBTUSD", 1, 8)
    assert (doge.own, doge.rest_symbol) == ("DOGE-USD", "XDGUSD")
    assert (euro.own, euro.kind) == ("EURUSD=X", "fx")


def test_kraken_s_tokenized_stock_is_read():
    [row] = kraken_listing.read(recording("nautilus/kraken/http_asset_pairs_tokenized.json").read_bytes())
    assert (row.symbol, row.own, row.kind) == ("AAPLx/USD", "AAPLX-USD", "crypto")
    assert (row.tick_size, row.min_notional, row.price_precision) == (Decimal("0.01"), Decimal("0.5"), 2)


def test_finnhub_s_stocks_are_read():
    body = b"""[
      {"currency": "USD", "description": "APPLE INC", "displaySymbol": "AAPL", "figi": "BBG000B9Y5X2", "mic": "XNAS",
       "symbol": "AAPL", "type": "Common Stock"},
      {"currency": "GBp", "description": "PENNIES PLC", "displaySymbol": "PNY", "mic": "XLON", "symbol": "PNY"}]"""
    apple, pennies = finnhub_listing.read(body)
    assert (apple.own, apple.exchange, apple.currency, apple.kind) == ("AAPL", "NASDAQ", "USD", "equity")
    assert (pennies.currency, pennies.minor_units, pennies.exchange) == ("GBP", 100, "XLON")
    assert not finnhub_listing.covers("BINANCE:BTCUSDT")


@pytest.mark.parametrize("module", [binance_listing, coinbase_listing, kraken_listing, finnhub_listing])
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{}", b"[1]", b"null", b'{"symbols": 5}', b'{"products": [{}]}', b'{"error":["EService:Busy"]}',
     b'{"symbols":[{"symbol":"A","status":"TRADING","baseAsset":"A","quoteAsset":"B",'
     b'"filters":[{"filterType":"PRICE_FILTER","tickSize":"x"}]}]}'],
)  # fmt: skip
def test_what_is_no_list_is_an_error(module, body):
    if module is kraken_listing and b"error" not in body and body.startswith(b"{"):
        assert module.read(body) == []  # an answer without an error lists nothing, which `bring` does not believe
        return
    with pytest.raises(ListingError):
        module.read(body)


def test_amounts_and_their_digits():
    assert (amount("0.01000000"), amount("0.00000000"), amount(None), amount("NaN")) == (
        Decimal("0.01"), None, None, None,
    )  # fmt: skip
    assert amount("1e400") is None
    assert [digits(amount(step)) for step in ("0.01", "5", "100", "0.25", "1e-8")] == [2, 0, 0, 2, 8]
    assert (major("GBp"), major("ZAc"), major("usd")) == (("GBP", 100), ("ZAR", 100), ("USD", 1))
    assert (pair_name("btc", "usd"), pair_name("EUR", "USD")) == (("BTC-USD", "crypto"), ("EURUSD=X", "fx"))


# --- Bringing -------------------------------------------------------------------------------------------------


def entry(symbol="BTCUSDT", own="BTC-USDT", **more):
    facts = {"name": own, "kind": "crypto", "currency": "USDT", "tick_size": Decimal("0.01")}
    return Listing(symbol=symbol, own=own, **(facts | more))


ETH = entry("ETHUSDT", "ETH-USDT")


@pytest.mark.django_db
def test_a_list_makes_instruments_that_nobody_follows_yet(settings):
    settings.SYMBOLS = []
    found = listings.bring("binance", [entry(), ETH])
    assert (len(found.instruments), len(found.names)) == (2, 2)
    row = VenueSymbol.objects.get(symbol="BTCUSDT")
    assert (row.instrument.symbol, row.tick_size, row.valid_from) == ("BTC-USDT", Decimal("0.01"), None)
    assert row.checked_at is not None
    assert not symbols.followed("binance", [])
    assert set(symbols.followed("binance", [row.instrument_id])) == {"BTCUSDT"}


@pytest.mark.django_db
def test_the_same_list_again_changes_nothing():
    listings.bring("binance", [entry(), ETH])
    before = list(VenueSymbol.objects.values_list("id", "status", "tick_size"))
    found = listings.bring("binance", [entry(), ETH, ETH])
    assert (found.instruments, found.names, found.changes, found.closed, found.unchanged) == ([], [], [], [], 2)
    assert list(VenueSymbol.objects.values_list("id", "status", "tick_size")) == before


@pytest.mark.django_db
def test_a_known_instrument_gains_the_venues_name():
    btc = make_instrument("BTC-USDT", kraken="BTC/USDT")
    found = listings.bring("binance", [entry(), ETH], new_instruments=False)
    assert [row.instrument for row in found.names] == [btc]
    assert not Instrument.objects.filter(symbol="ETH-USDT").exists()


@pytest.mark.django_db
def test_what_is_named_is_followed(settings):
    settings.SYMBOLS = []
    listings.bring("binance", [entry(), ETH])
    found = listings.bring("binance", [entry(), ETH], only=["eth/usdt", "NOSUCH"])
    assert found.skipped == [("NOSUCH", listings.NOT_LISTED)]
    assert not found.closed
    assert set(symbols.followed("binance", [])) == {"ETHUSDT"}


@pytest.mark.django_db
def test_a_status_that_changed_is_seen(caplog):
    listings.bring("binance", [entry(), ETH])
    found = listings.bring("binance", [entry(status="halted", tick_size=Decimal("0.1")), ETH])
    assert {(c.symbol, c.what, c.after) for c in found.changes} == {
        ("BTCUSDT", "status", "halted"), ("BTCUSDT", "tick_size", Decimal("0.1")),
    }  # fmt: skip
    assert VenueSymbol.objects.get(symbol="BTCUSDT").status == "halted"
    assert "BTCUSDT is halted, was trading" in caplog.text


@pytest.mark.django_db
@pytest.mark.parametrize("after", [[ETH], [ETH, entry(status="delisted")]])
def test_what_is_delisted_is_closed_and_kept(after):
    listings.bring("binance", [entry(), ETH])
    found = listings.bring("binance", after)
    assert [row.symbol for row in found.closed] == ["BTCUSDT"]
    row = VenueSymbol.objects.get(symbol="BTCUSDT")
    assert (row.status, row.valid_until is not None) == ("delisted", True)
    assert "BTCUSDT" not in symbols.provider_map("binance")
    assert symbols.resolve("BTCUSDT").symbol == "BTC-USDT"


@pytest.mark.django_db
def test_a_name_that_comes_back_for_something_else_begins_then():
    with time_machine.travel("2022-06-01T00:00:00Z"):
        listings.bring("finnhub", [entry("FB", "FB", kind="equity"), entry("AAPL", "AAPL", kind="equity")])
    with time_machine.travel("2022-06-09T00:00:00Z"):
        listings.bring("finnhub", [entry("META", "META", kind="equity"), entry("AAPL", "AAPL", kind="equity")])
        was = Instrument.objects.get(symbol="FB")
        was.symbol = "META-PLATFORMS"
        was.save()
    before = timezone.now()
    listings.bring("finnhub", [entry("FB", "FB", kind="equity"), entry("META", "META", kind="equity")])
    old, new = VenueSymbol.objects.filter(symbol="FB").order_by("id")
    assert old.instrument == was != new.instrument
    assert new.valid_from >= before > old.valid_until
    assert symbols.resolve("FB") == new.instrument
    assert symbols.resolve("FB", old.valid_until - timezone.timedelta(days=1)) == was


@pytest.mark.django_db
def test_a_list_that_lacks_most_of_what_is_known_is_not_believed():
    many = [entry(f"A{i}USDT", f"A{i}-USDT") for i in range(20)]
    listings.bring("binance", many)
    for broken in ([], many[:9]):
        with pytest.raises(listings.Suspicious):
            listings.bring("binance", broken)
    assert VenueSymbol.objects.filter(status="trading").count() == 20


@pytest.mark.django_db
def test_names_of_other_lists_are_not_closed():
    make_instrument("BTC-USDT", finnhub="BINANCE:BTCUSDT")
    assert not listings.bring("finnhub", [entry("AAPL", "AAPL", kind="equity")]).closed


@pytest.mark.django_db
def test_entries_that_cannot_be_taken_are_told():
    make_instrument("ONE", kind="equity")
    found = listings.bring("finnhub", [entry("ONE", "ONE"), entry("A B", "A B"), entry("OK", "OK"), entry("Ω", "Ω")])
    assert [symbol for symbol, _ in found.skipped] == ["ONE", "A B"]
    assert {row.symbol for row in found.names} == {"OK", "Ω"}


@pytest.mark.django_db
def test_a_dry_run_writes_nothing():
    found = listings.bring("binance", [entry(), ETH], dry_run=True)
    assert len(found.names) == 2
    assert not Instrument.objects.exists()


@pytest.mark.django_db
def test_a_real_list_of_1695_takes_few_queries(django_assert_max_num_queries):
    rows = binance_listing.read(recorded("cryptofeed/main/BINANCE.0.gz", "exchangeInfo"))
    with django_assert_max_num_queries(20):
        found = listings.bring("binance", rows)
    assert (len(found.names), found.skipped) == (1695, [])
    assert listings.bring("binance", rows).unchanged == 1695


# --- From a venue ---------------------------------------------------------------------------------------------


@pytest.fixture
def venue(settings, own_prefix):
    with BinanceVenue(["BTCUSDT", "ETHUSDT"]) as venue:
        settings.BINANCE_REST_URL = venue.rest_url
        yield venue
        http.close()
        assert not venue.violations


@pytest.mark.django_db
def test_the_command_imports_from_the_venue(venue, capsys):
    call_command("import_instruments", provider="binance", dry_run=True)
    assert "nothing was written" in capsys.readouterr().out
    assert not Instrument.objects.exists()
    call_command("import_instruments", provider="binance", symbols=["btc-usdt"])
    assert [row.symbol for row in VenueSymbol.objects.all()] == ["BTCUSDT"]
    call_command("import_instruments", provider="binance")
    assert VenueSymbol.objects.count() == 2
    with pytest.raises(CommandError, match="Not everything"):
        call_command("import_instruments", provider="binance", symbols=["BTCUSDT,NOSUCH"])


@pytest.mark.django_db
def test_the_command_says_what_failed(venue):
    venue.route("/api/v3/exchangeInfo", lambda path, arguments, headers: (200, {"nothing": 1}, {}))
    with pytest.raises(CommandError, match="could not be read"):
        call_command("import_instruments", provider="binance")


FINNHUB = [{"symbol": "AAPL", "displaySymbol": "AAPL", "description": "APPLE INC", "currency": "USD", "mic": "XNAS"}]


def served(provider):
    """What the venue's list is, by path, as recorded."""
    if provider == "coinbase":
        return {"/api/v3/brokerage/market/products": recording("nautilus/coinbase/http_products.json").read_bytes()}
    if provider == "finnhub":
        return {"/api/v1/stock/symbol": json.dumps(FINNHUB).encode()}
    return {"/0/public/AssetPairs": recorded("cryptofeed/main/KRAKEN.0.gz", "AssetPairs")}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("provider", "symbol", "own"),
    [("coinbase", "BTC-USD", "BTC-USD"), ("kraken", "BTC/USD", "BTC-USD"), ("finnhub", "AAPL", "AAPL")],
)
def test_each_venue_s_list_is_asked_for_where_it_is(settings, own_prefix, provider, symbol, own):
    tokenized = recording("nautilus/kraken/http_asset_pairs_tokenized.json").read_bytes()
    settings.FINNHUB_API_KEY = "secret"
    with BinanceVenue() as venue:
        for path, body in served(provider).items():
            venue.route(path, lambda p, asked, h, body=body: (200, tokenized if "aclass_base" in asked else body, {}))
        base = f"{venue.rest_url}/api/v1" if provider == "finnhub" else venue.rest_url
        setattr(settings, f"{provider.upper()}_REST_URL", base)
        call_command("import_instruments", provider=provider)
        settings.FEEDS = [provider, "simulated"]
        assert tasks.refresh_instruments() == 1
        http.close()
    row = VenueSymbol.objects.get(provider=provider, symbol=symbol)
    assert (row.instrument.symbol, row.status) == (own, "trading")
    assert VenueSymbol.objects.filter(symbol="AAPLx/USD").exists() is (provider == "kraken")


@pytest.mark.django_db
def test_a_list_that_cannot_be_read_is_read_tomorrow(settings, own_prefix, caplog):
    settings.FEEDS, settings.REST_TRIES, settings.BINANCE_REST_URL = ["binance"], 1, "http://127.0.0.1:1"
    assert tasks.refresh_instruments() == 0
    assert "could not be read" in caplog.text


@pytest.mark.django_db
@pytest.mark.parametrize(("venue_class", "symbols_"), [(CoinbaseVenue, ["BTC-USD"]), (KrakenVenue, ["BTC/USD"])])
def test_our_own_venues_lists_are_read(settings, own_prefix, venue_class, symbols_):
    provider = venue_class.__name__.removesuffix("Venue").lower()
    with venue_class(symbols_) as venue:
        setattr(settings, f"{provider.upper()}_REST_URL", venue.rest_url)
        call_command("import_instruments", provider=provider, symbols=["BTC-USD"])
        http.close()
        assert not venue.violations
    assert VenueSymbol.objects.get().symbol == symbols_[0]
