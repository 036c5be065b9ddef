"""Binance spot's history: `/klines`, `/historicalTrades` by id, and `/aggTrades` to find the id of a time. Pure.

https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md
"""

import math
from typing import Final, TypeVar

import msgspec

from ingestion.rest.call import Call
from ingestion.rest.history import HistoryError, Order, TradePage, Wanted, positive
from ingestion.ticks import BUY, SELL, Trade, VenueBar

T = TypeVar("T")
NAME: Final = "binance"
MILLISECOND_US: Final = 1_000
HOUR_MS: Final = 3_600_000
ROWS: Final = 1000
# Request weights, as documented.
KLINES_WEIGHT: Final = 2
AGG_TRADES_WEIGHT: Final = 4
HISTORICAL_TRADES_WEIGHT: Final = 25

INTERVALS: Final = ("1m", "5m", "15m", "1h", "4h", "1d")
# Answers come in milliseconds unless a header asks otherwise; another unit is refused, not guessed.
EARLIEST_MS: Final = 1_230_768_000_000  # 2009
LATEST_MS: Final = 4_102_444_800_000  # 2100


class _AggTrade(msgspec.Struct, gc=False):
    a: int
    p: str
    q: str
    f: int
    l: int  # noqa: E741 - the venue's own name
    T: int
    m: bool


class _Trade(msgspec.Struct, gc=False):
    id: int
    price: str
    qty: str
    time: int
    isBuyerMaker: bool


# open time, open, high, low, close, volume, close time, quote volume, trades, taker's base, taker's quote, ignored
_Kline = tuple[int, float, float, float, float, float, int, float, int, str, str, str]

_agg_trades: Final = msgspec.json.Decoder(list[_AggTrade])
_trades: Final = msgspec.json.Decoder(list[_Trade])
# Not strict: prices are strings, which it reads as numbers while it is at it, several times as fast as float().
_klines: Final = msgspec.json.Decoder(list[_Kline], strict=False)


class BinanceCandles:
    """`/api/v3/klines`: oldest first from `startTime`, `endTime` included, 1,000 rows at most."""

    rows_per_call = ROWS
    intervals: tuple[str, ...] = INTERVALS

    def candles_call(self, symbol: str, interval: str, from_us: int, until_us: int, now_us: int) -> Call:
        params = {
            "symbol": symbol,
            "interval": interval,
            "startTime": str(from_us // MILLISECOND_US),
            "endTime": str(until_us // MILLISECOND_US - 1),
            "limit": str(ROWS),
        }
        return Call(NAME, "/api/v3/klines", params, weight=KLINES_WEIGHT)

    def read_candles(self, body: bytes, symbol: str, interval: str, received_us: int) -> list[VenueBar]:
        """[[1634943780000, "60685.22", "60729.84", "60670.90", "60719.27", "21.63272", 1634943839999,
        "1313200.01", 617, "12.28492", "745719.41", "0"], …]: a bar is final once its close time is past."""
        return [_bar(row, symbol, interval, received_us) for row in _decode(_klines, body)]


class BinanceTrades:
    """Pages of `/api/v3/historicalTrades` from an id on, which is included.

    Cursors: `id:<the page's first>`, or `time:<from>:<until>` (ms) while the id of that time has to be found: its first
    aggregate trade tells it (`f`). An aggregate's own id is another number than its trades'.
    """

    order = Order.FORWARD

    def first(self, wanted: Wanted) -> str:
        if wanted.from_id is not None:
            return f"id:{wanted.from_id}"
        return f"time:{wanted.from_us // MILLISECOND_US}:{wanted.until_us // MILLISECOND_US}"

    def call(self, symbol: str, cursor: str) -> Call:
        kind, *place = cursor.split(":")
        if kind == "time":
            # Both ends: the venue looks at an hour at most.
            end = min(int(place[0]) + HOUR_MS - 1, int(place[1]))
            params = {"symbol": symbol, "startTime": place[0], "endTime": str(end), "limit": "1"}
            return Call(NAME, "/api/v3/aggTrades", params, weight=AGG_TRADES_WEIGHT)
        params = {"symbol": symbol, "fromId": place[0], "limit": str(ROWS)}
        return Call(NAME, "/api/v3/historicalTrades", params, weight=HISTORICAL_TRADES_WEIGHT)

    def read(self, body: bytes, symbol: str, cursor: str, received_us: int) -> TradePage:
        kind, *place = cursor.split(":")
        if kind == "time":
            if found := _decode(_agg_trades, body):
                return TradePage([], f"id:{found[0].f}")
            start, until = int(place[0]) + HOUR_MS, int(place[1])
            return TradePage([], f"time:{start}:{until}" if start <= until else None)
        rows = _decode(_trades, body)
        trades = [_trade(row, symbol, received_us) for row in rows]
        return TradePage(trades, f"id:{rows[-1].id + 1}" if len(rows) == ROWS else None)


def read_agg_trades(body: bytes, symbol: str, received_us: int) -> list[Trade]:
    """The trades of `/aggTrades`, with the aggregates' own ids.

    {"a": 13519807, "p": "0.00141342", "q": "23.0", "f": 15373518, "l": 15373518, "T": 1570752011620, "m": true}
    """
    return [
        Trade(
            symbol, _time_us(row.T), received_us, row.a, positive(NAME, row.p), positive(NAME, row.q), _side(row.m)
        )
        for row in _decode(_agg_trades, body)
    ]  # fmt: skip


def agg_trades_call(symbol: str, from_id: int) -> Call:
    """The page that begins with this aggregate; the next one begins with the last one's `a` + 1."""
    params = {"symbol": symbol, "fromId": str(from_id), "limit": str(ROWS)}
    return Call(NAME, "/api/v3/aggTrades", params, weight=AGG_TRADES_WEIGHT)


def _bar(row: _Kline, symbol: str, interval: str, received_us: int) -> VenueBar:
    at, opened, high, low, close, volume, until, quote, trades = row[:9]
    if not (0 <= low <= opened <= high < math.inf and low <= close <= high):
        raise HistoryError(NAME, f"a bar whose high and low do not hold it: {row}")
    if not (0 <= volume < math.inf and 0 <= quote < math.inf):
        raise HistoryError(NAME, f"a bar whose volume is no number from zero up: {row}")
    return VenueBar(
        symbol, interval, _time_us(at), received_us, opened, high, low, close, volume, quote, trades,
        final=_time_us(until) < received_us,
    )  # fmt: skip


def _trade(row: _Trade, symbol: str, received_us: int) -> Trade:
    """{"id": 1111471896, "price": "60814.78", "qty": "0.00034", "quoteQty": "20.67", "time": 1634943219887,
    "isBuyerMaker": true, "isBestMatch": true}"""
    price, quantity = positive(NAME, row.price), positive(NAME, row.qty)
    return Trade(symbol, _time_us(row.time), received_us, row.id, price, quantity, _side(row.isBuyerMaker))


def _side(buyer_is_maker: bool) -> int:
    return SELL if buyer_is_maker else BUY


def _time_us(time_ms: int) -> int:
    if not EARLIEST_MS <= time_ms < LATEST_MS:
        raise HistoryError(NAME, f"{time_ms} is not a time in milliseconds")
    return time_ms * MILLISECOND_US


def _decode(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise HistoryError(NAME, str(error), body, passing=body.lstrip()[:1] == b"<") from error
