"""Coinbase's history: Advanced Trade's candles and trades by time, and the Exchange's trades by id. Pure.

Both are doors to the same books, with the same trade ids.
https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public/get-public-product-candles
https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-trades
"""

import datetime as dt
from typing import Final, TypeVar

import msgspec

from ingestion.candles import INTERVALS as LENGTHS_US
from ingestion.rest.call import Call
from ingestion.rest.history import SECOND_US, HistoryError, NoHistory, Order, TradePage, Wanted, number, positive
from ingestion.ticks import BUY, SELL, Trade, VenueBar

T = TypeVar("T")
NAME: Final = "coinbase"
EXCHANGE: Final = "coinbase_exchange"
PRODUCTS: Final = "/api/v3/brokerage/market/products"
# 350 are documented; more than 300 have been refused.
CANDLES: Final = 300
TRADES: Final = 1000

GRANULARITIES: Final = {
    "1m": "ONE_MINUTE", "5m": "FIVE_MINUTE", "15m": "FIFTEEN_MINUTE", "1h": "ONE_HOUR", "1d": "ONE_DAY",
}  # fmt: skip
# The Exchange's lengths in seconds.
EXCHANGE_GRANULARITIES: Final = (60, 300, 900, 3600, 21600, 86400)
FRESH: Final = {"Cache-Control": "no-cache"}
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class _Candle(msgspec.Struct, gc=False):
    start: str
    low: str
    high: str
    open: str
    close: str
    volume: str


class _Candles(msgspec.Struct, gc=False):
    candles: list[_Candle]


class _Trade(msgspec.Struct, gc=False):
    trade_id: str
    price: str
    size: str
    time: dt.datetime
    side: str


class _Trades(msgspec.Struct, gc=False):
    trades: list[_Trade]


class _ExchangeTrade(msgspec.Struct, gc=False):
    trade_id: int
    price: str
    size: str
    time: dt.datetime
    side: str


_candles: Final = msgspec.json.Decoder(_Candles)
_trades: Final = msgspec.json.Decoder(_Trades)
_exchange_trades: Final = msgspec.json.Decoder(list[_ExchangeTrade])
# time, low, high, open, close, volume: low before high before open
_exchange_candles: Final = msgspec.json.Decoder(list[tuple[int, float, float, float, float, float]])


class CoinbaseCandles:
    """Advanced Trade's: newest first, no rows for minutes without a trade, none says that it is closed."""

    rows_per_call = CANDLES
    intervals = tuple(GRANULARITIES)

    def candles_call(self, symbol: str, interval: str, from_us: int, until_us: int, now_us: int) -> Call:
        if interval not in GRANULARITIES:
            raise NoHistory(f"coinbase has no {interval} candles")
        last_us = until_us - LENGTHS_US[interval]
        params = {
            "start": str(from_us // SECOND_US),
            "end": str(max(last_us, from_us) // SECOND_US),  # included
            "granularity": GRANULARITIES[interval],
            "limit": str(CANDLES),
        }
        return Call(NAME, f"{PRODUCTS}/{symbol}/candles", params, FRESH)

    def read_candles(self, body: bytes, symbol: str, interval: str, received_us: int) -> list[VenueBar]:
        """{"candles": [{"start": "1712192400", "low": "66055.14", "high": "66331.99", "open": "66312.4",
        "close": "66181.6", "volume": "355.82896243"}, …]}"""
        rows = _decode(_candles, body).candles
        bars = [
            _bar(symbol, interval, received_us, _whole(r.start), r.low, r.high, r.open, r.close, r.volume) for r in rows
        ]
        return sorted(bars, key=_bar_time)


def read_exchange_candles(body: bytes, symbol: str, interval: str, received_us: int) -> list[VenueBar]:
    """The Exchange's: [[time, low, high, open, close, volume], …], newest first."""
    bars = [_bar(symbol, interval, received_us, *row) for row in _decode(_exchange_candles, body)]
    return sorted(bars, key=_bar_time)


class CoinbaseTrades:
    """Advanced Trade's `ticker`: the newest of [start, end], both in whole seconds. Paged backwards.

    Cursors: `span:<start>:<end>`; the next page ends in the second of this one's oldest trade, which comes twice. Where
    one second fills a page, what is before it can only be had from the Exchange: `before:<trade id>`.
    """

    order = Order.BACKWARD

    def first(self, wanted: Wanted) -> str:
        return f"span:{wanted.from_us // SECOND_US}:{-(-wanted.until_us // SECOND_US) + 1}"

    def call(self, symbol: str, cursor: str) -> Call:
        kind, *place = cursor.split(":")
        if kind == "before":
            return exchange_trades_call(symbol, int(place[0]))
        params = {"limit": str(TRADES), "start": place[0], "end": place[1]}
        return Call(NAME, f"{PRODUCTS}/{symbol}/ticker", params, FRESH)

    def read(self, body: bytes, symbol: str, cursor: str, received_us: int) -> TradePage:
        """{"trades": [{"trade_id": "847271234", "product_id": "BTC-USD", "price": "140.91", "size": "4", "time":
        "2021-05-31T09:59:59.000Z", "side": "BUY", …}, …], "best_bid": …, "best_ask": …}, newest first"""
        kind, *place = cursor.split(":")
        if kind == "before":
            return read_exchange_trades(body, symbol, received_us)
        rows = _decode(_trades, body).trades
        trades = [_trade(_whole(r.trade_id), r.price, r.size, r.time, r.side, symbol, received_us) for r in rows]
        trades.reverse()
        if len(rows) < TRADES:
            return TradePage(trades, None)
        start, oldest = int(place[0]), trades[0].time_us // SECOND_US
        if oldest < start:
            return TradePage(trades, None)
        stuck = oldest + 1 >= int(place[1])
        return TradePage(trades, f"before:{trades[0].trade_id}" if stuck else f"span:{start}:{oldest + 1}")


def exchange_trades_call(symbol: str, before_id: int) -> Call:
    """The Exchange's newest trades before an id; it calls the parameter `after`, since they come after on the list."""
    return Call(EXCHANGE, f"/products/{symbol}/trades", {"limit": str(TRADES), "after": str(before_id)})


def read_exchange_trades(body: bytes, symbol: str, received_us: int) -> TradePage:
    """[{"trade_id": 74, "side": "sell", "size": "0.01", "price": "10.0", "time": "2014-11-07T22:19:28.578544Z"}, …],
    newest first"""
    rows = _decode(_exchange_trades, body)
    trades = [_trade(r.trade_id, r.price, r.size, r.time, r.side, symbol, received_us) for r in rows]
    trades.reverse()
    return TradePage(trades, f"before:{trades[0].trade_id}" if trades and trades[0].trade_id > 1 else None)


def _bar(
    symbol: str, interval: str, received_us: int, start_s: int, low: object, high: object, opened: object,
    close: object, volume: object,
) -> VenueBar:  # fmt: skip
    """In the venue's order, which is not open, high, low, close."""
    lowest, highest, first, last, sold = (number(NAME, value) for value in (low, high, opened, close, volume))
    if not lowest <= min(first, last) <= max(first, last) <= highest:
        raise HistoryError(NAME, f"a bar of {start_s} whose high and low do not hold it")
    time_us = start_s * SECOND_US
    final = time_us + LENGTHS_US[interval] <= received_us
    return VenueBar(symbol, interval, time_us, received_us, first, highest, lowest, last, sold, final=final)


def _bar_time(bar: VenueBar) -> int:
    return bar.time_us


def _trade(
    trade_id: int, price: str, size: str, time: dt.datetime, maker_side: str, symbol: str, received_us: int
) -> Trade:
    if time.tzinfo is None:
        raise HistoryError(NAME, f"{time} has no zone")
    time_us = (time - _EPOCH) // dt.timedelta(microseconds=1)
    side = _taker(maker_side)
    return Trade(symbol, time_us, received_us, trade_id, positive(NAME, price), positive(NAME, size), side)


def _taker(maker_side: str) -> int:
    # `side` is the maker's: where he bought, the taker sold.
    sides = {"buy": SELL, "sell": BUY}
    try:
        return sides[maker_side.lower()]
    except KeyError:
        raise HistoryError(NAME, f"{maker_side!r} is no side") from None


def _whole(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise HistoryError(NAME, f"{text!r} is not a whole number")
    return int(text)


def _decode(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise HistoryError(NAME, str(error), body, passing=body.lstrip()[:1] == b"<") from error
