"""What venues tell of the past, read; and how their pages are asked for."""

import gzip
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.candles import INTERVALS
from ingestion.rest import binance_history, coinbase_history, kraken_history
from ingestion.rest.binance_history import BinanceCandles, BinanceTrades
from ingestion.rest.coinbase_history import CoinbaseCandles, CoinbaseTrades
from ingestion.rest.history import HistoryError, NoHistory, Order, TradePage, Wanted, is_complete
from ingestion.rest.kraken_history import KrakenCandles, KrakenTrades
from ingestion.ticks import BUY, SELL, Trade
from tests.ingestion.recordings import recording

SECOND_US = 1_000_000
NOW_US = 1_769_596_200_000_000
HOUR_US = 3_600 * SECOND_US


def body(value):
    return json.dumps(value).encode()


def kline(start_ms, close_ms, price="10"):
    return [start_ms, price, price, price, price, "1.5", close_ms, "15", 3, "0", "0", "0"]


# --- Binance


def test_binance_klines_are_asked_for_with_both_ends():
    call = BinanceCandles().candles_call("BTCUSDT", "1m", NOW_US, NOW_US + 2 * 60 * SECOND_US, NOW_US)
    assert call.params == {
        "symbol": "BTCUSDT", "interval": "1m", "startTime": "1769596200000", "endTime": "1769596319999",
        "limit": "1000",
    }  # fmt: skip
    assert call.weight == 2


def test_binance_recorded_klines_and_trades_are_read():
    bars = BinanceCandles().read_candles(
        recording("nautilus/binance/http_spot_market_klines.json").read_bytes(), "BTCUSDT", "1m", NOW_US
    )
    first = bars[0]
    assert (first.time_us, first.open, first.high, first.low, first.close, first.volume, first.trades) == (
        1_634_943_780_000_000, 60685.22, 60729.84, 60670.9, 60719.27, 21.63272, 617
    )  # fmt: skip
    assert all(bar.final for bar in bars)
    page = BinanceTrades().read(
        recording("nautilus/binance/http_spot_market_historical_trades.json").read_bytes(), "BTCUSDT", "id:1", NOW_US
    )
    assert page.trades[0] == Trade("BTCUSDT", 1_634_943_219_887_000, NOW_US, 1111471896, 60814.78, 0.00034, SELL)
    assert page.following is None  # fewer than a page


def test_the_bar_in_progress_is_not_final():
    now_ms = NOW_US // 1000
    rows = [
        kline(now_ms - 120_000, now_ms - 60_001),
        kline(now_ms - 60_000, now_ms - 1),
        kline(now_ms, now_ms + 59_999),
    ]
    assert [b.final for b in BinanceCandles().read_candles(body(rows), "X", "1m", NOW_US)] == [True, True, False]


def test_binance_finds_the_id_of_a_time_and_pages_by_ids():
    trades = BinanceTrades()
    assert trades.first(Wanted("X", 5_000_000, 9_000_000, 17, 20)) == "id:17"
    cursor = trades.first(Wanted("X", 5_000_000, 9_000_000))
    assert cursor == "time:5000:9000"
    call = trades.call("X", cursor)
    assert (call.path, call.weight) == ("/api/v3/aggTrades", 4)
    assert (call.params["startTime"], call.params["endTime"]) == ("5000", "9000")
    aggregate = {"a": 5, "p": "1", "q": "1", "f": 900, "l": 904, "T": 5100, "m": True}
    assert trades.read(body([aggregate]), "X", cursor, NOW_US) == TradePage([], "id:900")
    # It looks at an hour at most; those without trades are passed over, up to the end.
    assert trades.call("X", "time:5000:9000000").params["endTime"] == "3604999"
    assert trades.read(b"[]", "X", "time:5000:9000000", NOW_US).following == "time:3605000:9000000"
    assert trades.read(b"[]", "X", "time:7205000:9000000", NOW_US).following is None
    call = trades.call("X", "id:900")
    assert (call.path, call.params["fromId"], call.weight) == ("/api/v3/historicalTrades", "900", 25)


def test_a_full_page_is_followed_by_the_next_id():
    row = {"price": "1", "qty": "2", "time": NOW_US // 1000, "isBuyerMaker": False}
    rows = [row | {"id": 10 + i} for i in range(1000)]
    page = BinanceTrades().read(body(rows), "X", "id:10", NOW_US)
    assert page.following == "id:1010"
    assert {trade.side for trade in page.trades} == {BUY}
    assert BinanceTrades().read(body(rows[:-1]), "X", "id:10", NOW_US).following is None


def test_microseconds_are_not_taken_for_milliseconds():
    with pytest.raises(HistoryError, match="milliseconds"):
        BinanceCandles().read_candles(body([kline(NOW_US, NOW_US + 59_999_999)]), "X", "1m", NOW_US)


def test_recorded_aggregates_make_the_exchanges_own_bars():
    """XRP/ETH over 2½ days: trades to bars, beside those that another program made of the same trades."""
    feather = pytest.importorskip("pyarrow.feather")
    with gzip.open(recording("freqtrade/XRP_OLD-trades.json.gz")) as file:
        rows = [row["info"] for row in json.load(file)]
    trades = []
    at = rows[0]["a"]
    while page := rows[at - rows[0]["a"] :][:1000]:
        assert binance_history.agg_trades_call("XRPETH", at).params["fromId"] == str(at)
        trades += binance_history.read_agg_trades(body(page), "XRPETH", NOW_US)
        at = trades[-1].trade_id + 1
    assert len(trades) == 12_477
    for name, length_us in (("1m", INTERVALS["1m"]), ("5m", INTERVALS["5m"])):
        made = _bars(trades, length_us)
        told = feather.read_table(recording(f"freqtrade/XRP_ETH-{name}.feather")).to_pylist()
        whole = [row for row in told[:-1] if int(row["date"].timestamp()) * SECOND_US in made]
        assert len(whole) >= len(told) - 2
        for row in whole[1:]:
            assert made[int(row["date"].timestamp()) * SECOND_US] == pytest.approx(
                (row["open"], row["high"], row["low"], row["close"], row["volume"])
            )


def _bars(trades, length_us):
    parts = {}
    for trade in trades:
        parts.setdefault(trade.time_us - trade.time_us % length_us, []).append(trade)
    return {
        at: (p[0].price, max(t.price for t in p), min(t.price for t in p), p[-1].price, sum(t.quantity for t in p))
        for at, p in parts.items()
    }


# --- Coinbase


def test_coinbases_order_of_a_candle_is_not_everybodys():
    recorded = recording("nautilus/coinbase/http_candles.json").read_bytes()
    bars = CoinbaseCandles().read_candles(recorded, "BTC-USD", "1h", NOW_US)
    assert [b.time_us for b in bars] == [1_712_188_800_000_000, 1_712_192_400_000_000]  # oldest first
    last = bars[-1]
    assert (last.open, last.high, last.low, last.close) == (66312.4, 66331.99, 66055.14, 66181.6)
    rows = [[1_712_192_400, 1.0, 4.0, 2.0, 3.0, 10.0]]  # time, low, high, open, close, volume
    (bar,) = coinbase_history.read_exchange_candles(body(rows), "BTC-USD", "1h", NOW_US)
    assert (bar.low, bar.high, bar.open, bar.close, bar.volume) == (1.0, 4.0, 2.0, 3.0, 10.0)


def test_coinbase_is_asked_for_no_more_than_300_candles():
    candles = CoinbaseCandles()
    until_us = NOW_US + candles.rows_per_call * INTERVALS["5m"]
    call = candles.candles_call("BTC-USD", "5m", NOW_US, until_us, until_us)
    assert (int(call.params["end"]) - int(call.params["start"])) // 300 + 1 == 300
    with pytest.raises(NoHistory):
        candles.candles_call("BTC-USD", "4h", NOW_US, until_us, until_us)


def coinbase_page(times_s):
    return body(
        {
            "trades": [
                {"trade_id": str(1000 + i), "product_id": "BTC-USD", "price": "10.5", "size": "0.1",
                 "time": f"2026-01-28T10:{at // 60:02d}:{at % 60:02d}.000001Z", "side": "BUY"}
                for i, at in reversed(list(enumerate(times_s)))
            ]
        }
    )  # fmt: skip


def test_coinbase_trades_come_newest_first_with_the_makers_side():
    page = CoinbaseTrades().read(coinbase_page([5, 6]), "BTC-USD", "span:1:2", NOW_US)
    assert [t.trade_id for t in page.trades] == [1000, 1001]
    assert page.trades[0].time_us == 1_769_594_405_000_001
    assert page.trades[0].side == SELL
    assert page.following is None


def test_coinbase_pages_end_in_the_second_that_the_last_began_with():
    start = 1_769_594_400
    full = coinbase_page([30 + i // 100 for i in range(1000)])
    page = CoinbaseTrades().read(full, "BTC-USD", f"span:{start}:{start + 600}", NOW_US)
    assert page.following == f"span:{start}:{start + 31}"
    # One second that fills a page: the rest of it is behind the other door, by ids.
    stuck = coinbase_page([30] * 1000)
    page = CoinbaseTrades().read(stuck, "BTC-USD", f"span:{start}:{start + 31}", NOW_US)
    assert page.following == "before:1000"
    call = CoinbaseTrades().call("BTC-USD", "before:1000")
    assert (call.provider, call.path, call.params["after"]) == ("coinbase_exchange", "/products/BTC-USD/trades", "1000")
    row = {"trade_id": 74, "price": "10", "size": "0.01", "time": "2014-11-07T22:19:28.578544Z", "side": "sell"}
    page = CoinbaseTrades().read(body([row]), "BTC-USD", "before:1000", NOW_US)
    assert (page.trades[0].side, page.following) == (BUY, "before:74")
    assert CoinbaseTrades().read(b"[]", "BTC-USD", "before:74", NOW_US) == TradePage([], None)


# --- Kraken


def kraken(rows, last, name="XXBTZUSD", error=()):
    return body({"error": list(error), "result": {name: rows, "last": last}})


def test_krakens_cursor_goes_back_digit_by_digit():
    cursor = "1688669597827736915"  # no float64 holds it
    assert str(int(float(cursor))) != cursor
    row = ["30243.40", "0.34507674", 1688669597.8277369, "b", "m", "", 61044952]
    page = KrakenTrades().read(kraken([row] * 1000, cursor), "BTC/USD", "1688669597000000000", NOW_US)
    assert page.following == cursor
    assert KrakenTrades().call("BTC/USD", cursor).params["since"] == cursor
    assert page.trades[0] == Trade("BTC/USD", 1_688_669_597_827_737, NOW_US, 61044952, 30243.4, 0.34507674, BUY)
    # The last page: fewer rows, or a cursor that stands.
    assert KrakenTrades().read(kraken([row], cursor), "BTC/USD", "1", NOW_US).following is None
    assert KrakenTrades().read(kraken([row] * 1000, cursor), "BTC/USD", cursor, NOW_US).following is None
    with pytest.raises(HistoryError, match="cursor"):
        KrakenTrades().read(kraken([row], 1688669597.827), "BTC/USD", "1", NOW_US)


def test_a_bar_without_trades_is_there_and_a_missing_one_is_not():
    start = NOW_US // SECOND_US - 600
    rows = [
        [start, "1.0", "2.0", "0.5", "1.5", "1.2", "10.0", 4],
        [start + 60, "1.5", "1.5", "1.5", "1.5", "0.0", "0.0", 0],
        [start + 240, "1.5", "1.6", "1.5", "1.6", "1.5", "1.0", 1],
    ]
    bars = KrakenCandles().read_candles(kraken(rows, start + 60), "BTC/USD", "1m", NOW_US)
    assert [(b.trades, b.volume, b.final) for b in bars] == [(4, 10.0, True), (0, 0.0, True), (1, 1.0, False)]
    assert [b.time_us // SECOND_US - start for b in bars] == [0, 60, 240]


def test_kraken_keeps_720_bars():
    candles = KrakenCandles()
    oldest = kraken_history.oldest_bar_us("1h", NOW_US)
    assert candles.candles_call("BTC/USD", "1h", oldest, NOW_US, NOW_US).params["pair"] == "XBTUSD"
    assert (NOW_US - oldest) // INTERVALS["1h"] == 720
    with pytest.raises(NoHistory, match="720"):
        candles.candles_call("BTC/USD", "1h", oldest - INTERVALS["1h"], NOW_US, NOW_US)


@pytest.mark.parametrize(
    ("errors", "passing"),
    [(["EQuery:Unknown asset pair"], False), (["EService:Unavailable"], True), (["EAPI:Rate limit exceeded"], True)],
)
def test_krakens_errors_are_in_a_good_status(errors, passing):
    with pytest.raises(HistoryError) as raised:
        KrakenTrades().read(kraken([], "1", error=errors), "BTC/USD", "1", NOW_US)
    assert raised.value.passing is passing


def test_a_dump_of_krakens_overlaps_and_reads_as_its_rest_does():
    """The quarterly CSV: seconds, price, quantity. Two files overlap; by time and price they are one."""
    rows = set()
    for name in ("kraken_BCHEUR.csv", "kraken_BCHEUR_incremental_q2.csv"):
        for line in recording(f"freqtrade/{name}").read_text().splitlines():
            rows.add(tuple(line.split(",")))
    told = [[price, size, float(at), "b", "m", "", i + 1] for i, (at, price, size) in enumerate(sorted(rows))]
    page = KrakenTrades().read(kraken(told, "1", name="BCHEUR"), "BCH/EUR", "0", NOW_US)
    assert sum(Decimal(str(t.quantity)) for t in page.trades) == sum(Decimal(size) for _, _, size in rows)
    assert [t.time_us for t in page.trades] == sorted(t.time_us for t in page.trades)


# --- All of them


READERS = [
    lambda b: BinanceCandles().read_candles(b, "X", "1m", NOW_US),
    lambda b: BinanceTrades().read(b, "X", "id:1", NOW_US).trades,
    lambda b: BinanceTrades().read(b, "X", "time:1:2", NOW_US).trades,
    lambda b: CoinbaseCandles().read_candles(b, "X", "1m", NOW_US),
    lambda b: CoinbaseTrades().read(b, "X", "span:1:2", NOW_US).trades,
    lambda b: CoinbaseTrades().read(b, "X", "before:2", NOW_US).trades,
    lambda b: KrakenCandles().read_candles(b, "X", "1m", NOW_US),
    lambda b: KrakenTrades().read(b, "X", "1", NOW_US).trades,
]


@pytest.mark.parametrize("read", READERS)
def test_a_page_of_html_is_refused_and_passes(read):
    with pytest.raises(HistoryError) as raised:
        read(b"<!DOCTYPE html><html>Checking your browser</html>")
    assert raised.value.passing


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["error", "result", "last", "candles", "trades", "X", "id", "price", "f"]), inner, max_size=4
    ),
    max_leaves=12,
)  # fmt: skip


@given(_JSON)
def test_nonsense_is_refused_or_empty(value):
    for read in READERS:
        try:
            assert not read(json.dumps(value).encode())
        except HistoryError:
            pass


@pytest.mark.parametrize(
    "spoiled", [{"qty": "-1"}, {"qty": "nan"}, {"price": "0"}, {"price": "inf"}, {"time": 1}, {"id": "7"}]
)
def test_a_trade_that_cannot_be_is_refused(spoiled):
    row = {"id": 1, "price": "1", "qty": "2", "time": NOW_US // 1000, "isBuyerMaker": False}
    with pytest.raises(HistoryError):
        BinanceTrades().read(body([row | spoiled]), "X", "id:1", NOW_US)


def test_a_page_completes_what_is_wanted():
    def page(*ids, following="more"):
        return TradePage([Trade("X", 1_000 * i, NOW_US, i, 1.0, 1.0) for i in ids], following)

    ids = Wanted("X", 0, 100_000, 5, 8)
    assert not is_complete(page(5, 6), ids, Order.FORWARD)
    assert is_complete(page(7, 8), ids, Order.FORWARD)
    assert is_complete(page(7, following=None), ids, Order.FORWARD)
    assert not is_complete(page(), ids, Order.FORWARD)
    assert is_complete(page(5, 6), ids, Order.BACKWARD)
    assert not is_complete(page(6, 7), ids, Order.BACKWARD)
    times = Wanted("X", 5_000, 8_000)
    assert not is_complete(page(8), times, Order.FORWARD)  # another may have the same time
    assert is_complete(page(9), times, Order.FORWARD)
    assert not is_complete(page(5), times, Order.BACKWARD)
    assert is_complete(page(4), times, Order.BACKWARD)
    assert [times.holds(Trade("X", t, 0, 1, 1.0, 1.0)) for t in (4_999, 5_000, 8_000, 8_001)] == [
        False,
        True,
        True,
        False,
    ]
