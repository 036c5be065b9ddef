"""Instruments over HTTP: finding them, their names, and prices entered by hand."""

import base64
import datetime as dt
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from ingestion import store
from ingestion.models import VenueSymbol
from ingestion.providers import SOURCES
from tests.ingestion.market import make_instrument

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]


@pytest.fixture(autouse=True)
def _open_market(settings):
    settings.ANONYMOUS_MARKET_DATA = True


@pytest.fixture
def market():
    btc = make_instrument("BTC-USDT", binance="BTCUSDT", kraken="BTC/USDT")
    aapl = make_instrument("AAPL", kind="equity", currency="USD", finnhub="AAPL")
    aapl.exchange, aapl.name = "NASDAQ", "Apple"
    aapl.save()
    return btc, aapl


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["AAPL", "BTC-USDT"]), ("kind=crypto", ["BTC-USDT"]), ("exchange=nasdaq", ["AAPL"]),
        ("provider=binance", ["BTC-USDT"]), ("provider=nosuch", []), ("search=appl", ["AAPL"]),
        ("search=btc/", ["BTC-USDT"]), ("search=btcusd", ["BTC-USDT"]), ("search=%25", []),
        ("kind=crypto&search=apple", []),
    ],
)  # fmt: skip
def test_they_are_found(client, market, query, found):
    rows = client.get(f"/api/instruments/?{query}").json()
    assert [row["symbol"] for row in rows["results"]] == found


@pytest.mark.parametrize(("query", "field"), [("kind=house", "kind"), (f"search={'x' * 65}", "search")])
def test_a_filter_that_makes_no_sense_names_the_field(client, query, field):
    answer = client.get(f"/api/instruments/?{query}")
    assert (answer.status_code, list(answer.json())) == (400, [field])


def test_one_tells_its_names_and_what_the_venues_allow(client, market):
    VenueSymbol.objects.filter(symbol="BTCUSDT").update(tick_size=Decimal("0.010"), status="halted")
    found = client.get("/api/instruments/btcusdt/").json()
    assert (found["symbol"], found["calendar"], found["followed"]) == ("BTC-USDT", "24/7", True)
    binance = next(row for row in found["venue_symbols"] if row["provider"] == "binance")
    assert (binance["symbol"], binance["tick_size"], binance["status"]) == ("BTCUSDT", "0.01", "halted")
    assert client.get("/api/instruments/AAPL/").json()["calendar"] == "XNYS"
    assert client.get("/api/instruments/NOSUCH/").status_code == 404


# --- Prices ---------------------------------------------------------------------------------------------------


def put(client, rows, symbol="AAPL"):
    return client.put(f"/api/instruments/{symbol}/prices/", rows, content_type="application/json")


def stored(instrument):
    bars = store.candles(instrument.pk, "1d", source=SOURCES["manual"], adjust=None)
    return [(store.to_datetime(bar.time_us).date().isoformat(), bar.close) for bar in bars]


CLOSES = [{"date": "2026-01-05", "close": 100.5}, {"date": "2026-01-06", "close": 101}]


def test_staff_enter_closes_and_correct_them(client, admin, market):
    client.force_login(admin)
    for _ in range(2):
        assert put(client, CLOSES).json() == {"stored": 2}
        assert stored(market[1]) == [("2026-01-05", 100.5), ("2026-01-06", 101.0)]
    assert put(client, [{"date": "2026-01-06", "close": 99}]).status_code == 200
    assert stored(market[1]) == [("2026-01-05", 100.5), ("2026-01-06", 99.0)]


def test_they_are_told_as_candles_of_their_source(client, admin, market):
    client.force_login(admin)
    put(client, CLOSES)
    rows = client.get("/api/market/AAPL/candles/?interval=1d").json()["results"]
    assert [(row["close"], row["volume"], row["source"], row["final"]) for row in rows] == [
        (100.5, None, "manual", True),
        (101, None, "manual", True),
    ]


def test_nobody_else_may(client, bob, market):
    assert put(client, CLOSES).status_code == 403
    client.force_login(bob)
    assert put(client, CLOSES).status_code == 403
    assert stored(market[1]) == []


TOMORROW = (timezone.now() + dt.timedelta(days=1)).date().isoformat()


@pytest.mark.parametrize(
    ("rows", "at"),
    [
        ([*CLOSES, {"date": "2026-01-32", "close": 1}], "row 3"), ([{"date": "2026-01-05", "close": -1}], "row 1"),
        ([{"date": "2026-01-05", "close": 0}], "row 1"), ([*CLOSES, CLOSES[0]], "row 3"),
        ([{"date": TOMORROW, "close": 1}], "row 1"), ([{"date": "1066-01-01", "close": 1}], "row 1"),
        ([{"date": "2026-01-05"}], "row 1"), ([{"date": "2026-01-05", "close": 1, "open": 1}], "row 1"),
        ([5], "row 1"), ([], "prices"), ({}, "prices"), ("\"x\"", "prices"), (CLOSES * 3, "prices"),
    ],
)  # fmt: skip
def test_bad_rows_are_named_by_number_and_nothing_is_written(client, admin, market, settings, rows, at):
    settings.PRICES_MAX_ROWS = 5
    client.force_login(admin)
    answer = put(client, rows)
    assert (answer.status_code, list(answer.json())) == (400, [at])
    assert stored(market[1]) == []


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999"])
def test_no_number_is_no_price(client, admin, market, text):
    client.force_login(admin)
    body = f'[{{"date": "2026-01-05", "close": {text}}}]'
    assert client.put("/api/instruments/AAPL/prices/", body, content_type="application/json").status_code == 400


def test_an_unknown_instrument_is_404(client, admin):
    client.force_login(admin)
    assert put(client, CLOSES, "NOSUCH").status_code == 404


@pytest.mark.parametrize("position", ["\0", "a\0b"])
def test_a_cursor_that_was_made_up_is_404(client, market, position):
    cursor = base64.b64encode(urlencode({"p": position}).encode()).decode()
    assert client.get("/api/instruments/", {"cursor": cursor}).status_code == 404


def test_closes_are_listed_exactly_and_in_pages(client, admin, market):
    client.force_login(admin)
    exact = "0.000000000000001234"
    rows = [*CLOSES, {"date": "2026-01-07", "close": exact}, {"date": "2026-01-08", "close": "12345678901234567890.5"}]
    assert put(client, rows[::-1]).json() == {"stored": 4}
    place = "/api/instruments/AAPL/prices/"
    told = client.get(place).json()
    assert told == {
        "results": [
            {"date": "2026-01-05", "close": "100.5"}, {"date": "2026-01-06", "close": "101"},
            {"date": "2026-01-07", "close": exact}, {"date": "2026-01-08", "close": "12345678901234567890.5"},
        ],
        "next": None,
    }  # fmt: skip
    first = client.get(f"{place}?start=2026-01-06&end=2026-01-07&limit=1").json()
    assert [row["date"] for row in first["results"]] == ["2026-01-06"]
    second = client.get(first["next"]).json()
    assert ([row["date"] for row in second["results"]], second["next"]) == (["2026-01-07"], None)


@pytest.mark.parametrize(
    ("query", "field"), [("start=x", "start"), ("start=2026-01-02&end=2026-01-01", "end"), ("limit=0", "limit")]
)
def test_a_bad_range_of_closes_names_the_field(client, market, query, field):
    answer = client.get(f"/api/instruments/AAPL/prices/?{query}")
    assert (answer.status_code, list(answer.json())) == (400, [field])


@pytest.mark.parametrize("close", ["1e-19", "1" * 21, "1_000", "١", "", None, True, [], "0x1", "1e400", "-0"])
def test_what_is_no_exact_price_is_refused(client, admin, market, close):
    client.force_login(admin)
    answer = put(client, [{"date": "2026-01-05", "close": close}])
    assert (answer.status_code, {at: list(wrong) for at, wrong in answer.json().items()}) == (400, {"row 1": ["close"]})


@pytest.mark.parametrize(
    ("given", "kept"), [("GBp", "GBp"), ("GBX", "GBX"), ("ILA", "ILA"), ("ZAc", "ZAc"), ("usd", "USD")]
)
def test_an_instrument_may_be_priced_in_hundredths(client, admin, given, kept):
    client.force_login(admin)
    body = {"symbol": "VOD.L", "name": "Vodafone", "kind": "equity", "currency": given, "exchange": "LSE"}
    made = client.post("/api/instruments/", body, content_type="application/json")
    assert (made.status_code, made.json()["currency"]) == (201, kept)
    assert client.get("/api/instruments/VOD.L/").json()["calendar"] == "XLON"


@pytest.mark.parametrize("currency", ["", "$", "US DOLLAR", "A", "USD\0"])
def test_what_is_no_currency_is_refused(client, admin, currency):
    client.force_login(admin)
    body = {"symbol": "VOD.L", "name": "Vodafone", "kind": "equity", "currency": currency}
    made = client.post("/api/instruments/", body, content_type="application/json")
    assert (made.status_code, list(made.json())) == (400, ["currency"])
