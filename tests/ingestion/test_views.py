"""The market over HTTP."""

import msgspec
import pytest

from ingestion import latest, store
from ingestion.candles import Bar
from ingestion.journal import Flush, Journal
from ingestion.latest import Latest
from ingestion.models import Instrument
from ingestion.orderbook import BookView
from ingestion.ticks import Trade
from tests.ingestion.market import SECOND_US, make_instrument, now_us, store_trades
from worker.redis import client as redis_client
from worker.redis import key

MINUTE_US = 60 * SECOND_US

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]


@pytest.fixture(autouse=True)
def _open_market(settings):
    settings.ANONYMOUS_MARKET_DATA = True


@pytest.fixture
def btc():
    return make_instrument("BTC-USDT", binance="BTCUSDT")


@pytest.fixture
def history(btc):
    """Ten final minutes on disk and five trades."""
    start = (now_us() // MINUTE_US - 10) * MINUTE_US
    store.copy_candles(
        Bar(btc.pk, 2, start + i * MINUTE_US, 1, 2, 0.5, i, 3, 4.5, 1, start, 1, start, 2, "1m", True)
        for i in range(10)
    )
    trades = [Trade("BTCUSDT", start + i, start + i, i, 100.0 + i, 1.0, 1) for i in range(5)]
    store_trades(trades, {"BTCUSDT": btc.pk}, 2)
    return start


def told(instrument, price=100.0, bars=None):
    values = {instrument.pk: latest.encode(Latest("binance", price, time_us=now_us(), received_us=now_us()))}
    Journal("binance:0", 1).append(Flush(b"", b"", 0, values, bars or {}, None, now_us()))


def test_the_latest_price_by_any_name(client, btc):
    told(btc)
    for name in ("BTC-USDT", "btcusdt", "btc"):
        answer = client.get(f"/api/market/{name}/latest/")
        assert answer.status_code == 200
        assert answer.json()["price"] == 100.0
        assert (answer.json()["symbol"], answer.json()["instrument"]) == (name.upper(), "BTC-USDT")


def keep_book(instrument, levels):
    """A live book as a listener keeps it."""
    bids = tuple((100.0 - i, 1.0) for i in range(levels))
    asks = tuple((101.0 + i, 1.0) for i in range(levels))
    view = BookView("binance", "live", bids, asks, 7, now_us(), now_us())
    redis_client().hset(key("book", "binance"), str(instrument.pk), msgspec.json.encode(view))


@pytest.mark.parametrize("symbol", ["BRK.B", "EURUSD=X", "^GSPC", "BTC-USD"])
def test_unusual_symbols_stand_in_paths(client, symbol):
    told(make_instrument(symbol))
    assert client.get(f"/api/market/{symbol}/latest/").json()["instrument"] == symbol


@pytest.mark.parametrize("path", ["latest", "candles", "trades", "book"])
def test_an_unknown_symbol_is_404_and_says_so(client, path):
    answer = client.get(f"/api/market/NOSUCH/{path}/")
    assert answer.status_code == 404
    assert "NOSUCH" in answer.json()["detail"]


def test_no_price_yet_is_404(client, btc):
    assert client.get("/api/market/BTC/latest/").status_code == 404


def test_candles_without_a_start_are_the_newest_oldest_first(client, history):
    rows = client.get("/api/market/BTC/candles/?interval=1m&limit=3").json()
    assert [row["close"] for row in rows["results"]] == [7, 8, 9]
    assert rows["next"] is None
    assert rows["results"][0]["vwap"] == 1.5


def test_candles_from_a_start_are_paged(client, history):
    url = f"/api/market/BTC/candles/?interval=1m&limit=4&start={_iso(history)}"
    closes = []
    while url:
        page = client.get(url).json()
        closes += [row["close"] for row in page["results"]]
        url = page["next"]
    assert closes == list(range(10))


def test_the_bar_in_progress_ends_the_list(client, btc, history):
    at = now_us() // MINUTE_US * MINUTE_US
    open_bar = Bar(btc.pk, 2, at, 1, 2, 0.5, 42, 3, 4.5, 1, at, 1, at, 2)
    told(btc, bars={f"{btc.pk}:1m": msgspec.json.encode(open_bar)})
    rows = client.get("/api/market/BTC/candles/?limit=2").json()["results"]
    assert [(row["close"], row["final"]) for row in rows] == [(9, True), (42, False)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("interval=7m", "interval"), ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"),
        ("start=yesterday", "start"), ("end=1e99", "end"),
        ("start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z", "end"),
    ],
)  # fmt: skip
def test_bad_parameters_are_400_and_name_the_field(client, btc, query, field):
    answer = client.get(f"/api/market/BTC/candles/?{query}")
    assert answer.status_code == 400
    assert field in answer.json()


def test_trades_are_paged_by_place(client, history):
    url = f"/api/market/BTC/trades/?limit=2&start={_iso(history)}"
    ids = []
    while url:
        page = client.get(url).json()
        ids += [row["trade_id"] for row in page["results"]]
        url = page["next"]
    assert ids == [0, 1, 2, 3, 4]
    newest = client.get("/api/market/BTC/trades/?limit=2").json()
    assert ([row["trade_id"] for row in newest["results"]], newest["next"]) == ([3, 4], None)
    assert client.get("/api/market/BTC/trades/?after=nonsense").status_code == 400


def test_instruments_are_listed_and_paged(client, btc):
    make_instrument("AAPL", kind="equity")
    rows = client.get("/api/instruments/").json()
    assert [row["symbol"] for row in rows["results"]] == ["AAPL", "BTC-USDT"]
    assert rows["next"] is None
    assert client.get("/api/instruments/?limit=1").json()["next"]


NEW = {"symbol": "eth/usdt", "name": "Ether", "kind": "crypto", "currency": "usdt"}


def test_staff_may_add_an_instrument(client, admin):
    client.force_login(admin)
    answer = client.post("/api/instruments/", NEW, content_type="application/json")
    assert answer.status_code == 201
    assert Instrument.objects.get().symbol == answer.json()["symbol"] == "ETH-USDT"
    again = client.post("/api/instruments/", NEW, content_type="application/json")
    assert (again.status_code, "symbol" in again.json()) == (400, True)


@pytest.mark.parametrize("symbol", ["", "A B", "A:B", "A?B", "x" * 33, "A#"])
def test_a_symbol_that_cannot_stand_in_an_address_is_refused(client, admin, symbol):
    client.force_login(admin)
    answer = client.post("/api/instruments/", NEW | {"symbol": symbol}, content_type="application/json")
    assert answer.status_code == 400


def test_nobody_else_may(client, bob):
    assert client.post("/api/instruments/", NEW, content_type="application/json").status_code == 403
    client.force_login(bob)
    assert client.post("/api/instruments/", NEW, content_type="application/json").status_code == 403
    assert not Instrument.objects.exists()


def test_a_closed_market_wants_a_sign_in(client, btc, bob, settings):
    settings.ANONYMOUS_MARKET_DATA = False
    told(btc)
    for path in ("instruments/", "market/BTC/latest/", "market/BTC/candles/", "market/BTC/trades/", "market/BTC/book/"):
        assert client.get(f"/api/{path}").status_code == 403
    client.force_login(bob)
    assert client.get("/api/market/BTC/latest/").status_code == 200


def _iso(time_us):
    return store.to_datetime(time_us).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_book_is_cut_to_the_depth_that_was_asked_for(client, btc):
    empty = client.get("/api/market/btcusdt/book/").json()
    assert (empty["status"], empty["bids"], empty["depth"]) == ("syncing", [], 0)
    assert (empty["symbol"], empty["instrument"]) == ("BTCUSDT", "BTC-USDT")
    keep_book(btc, levels=20)
    for query, depth in (("", 10), ("?depth=3", 3), ("?depth=50", 20)):
        book = client.get(f"/api/market/BTC/book/{query}").json()
        assert (book["status"], len(book["bids"]), len(book["asks"]), book["depth"]) == ("live", depth, depth, depth)
    assert (book["bids"][0], book["asks"][0], book["spread"]) == ([100.0, 1.0], [101.0, 1.0], 1.0)
    for bad in ("0", "51", "x"):
        answer = client.get(f"/api/market/BTC/book/?depth={bad}")
        assert (answer.status_code, list(answer.json())) == (400, ["depth"])


def test_empty_minutes_are_told_where_they_are_asked_for(client, btc):
    start = (now_us() // MINUTE_US - 10) * MINUTE_US
    store.copy_candles(
        Bar(btc.pk, 2, start + i * MINUTE_US, 1, 2, 0.5, i + 1, 3, 4.5, 1, start, 1, start, 2, "1m", True)
        for i in (0, 2)
    )
    path = f"/api/market/BTC/candles/?start={_iso(start)}&end={_iso(start + 3 * MINUTE_US)}"
    assert [row["close"] for row in client.get(path).json()["results"]] == [1, 3]
    filled = client.get(f"{path}&fill=empty").json()["results"]
    assert [(row["close"], row["volume"], row["empty"]) for row in filled] == [
        (1, 3, False),
        (1, 0, True),
        (3, 3, False),
    ]


@pytest.mark.parametrize("query", ["fill=zero", "adjust=x", "fill="])
def test_ways_that_there_are_not_are_400(client, btc, query):
    answer = client.get(f"/api/market/BTC/candles/?{query}")
    assert (answer.status_code, list(answer.json())) == (400, [query.partition("=")[0]])
