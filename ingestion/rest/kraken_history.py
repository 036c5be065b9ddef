"""Kraken spot's history: `OHLC`, 720 bars back and no further, and `Trades` from a cursor on. Pure.

Every answer is HTTP 200: `{"error": […], "result": {<the pair by Kraken's own name>: […], "last": …}}`.
https://docs.kraken.com/api/docs/rest-api/get-ohlc-data  https://docs.kraken.com/api/docs/rest-api/get-recent-trades
"""

from typing import Any, Final

import msgspec

from ingestion.candles import INTERVALS as LENGTHS_US
from ingestion.rest.call import Call
from ingestion.rest.history import SECOND_US, HistoryError, NoHistory, Order, TradePage, Wanted, number, positive
from ingestion.ticks import BUY, SELL, UNKNOWN_SIDE, Trade, VenueBar

NAME: Final = "kraken"
ROWS: Final = 1000
# Committed bars; one in progress comes with them.
BARS: Final = 720
INTERVALS: Final = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}
# Its own names for what everybody else calls otherwise; its sockets (v2) use the latter.
OWN_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}


class _Answer(msgspec.Struct, gc=False):
    error: list[str] = []
    result: dict[str, Any] = {}


_answer: Final = msgspec.json.Decoder(_Answer)


class KrakenCandles:
    """`OHLC`: oldest first, the newest 720 whatever `since` says, then the one in progress."""

    rows_per_call = BARS
    intervals = tuple(INTERVALS)

    def candles_call(self, symbol: str, interval: str, from_us: int, until_us: int, now_us: int) -> Call:
        """Raises NoHistory for bars that are older than what the venue keeps: those are in its trades."""
        step_us = LENGTHS_US[interval]
        if from_us < oldest_bar_us(interval, now_us):
            raise NoHistory(f"kraken keeps {BARS} bars of {interval}")
        # `since` itself is left out.
        since = str((from_us - step_us) // SECOND_US)
        params = {"pair": pair(symbol), "interval": str(INTERVALS[interval]), "since": since}
        return Call(NAME, "/0/public/OHLC", params)

    def read_candles(self, body: bytes, symbol: str, interval: str, received_us: int) -> list[VenueBar]:
        """[[1688671200, "30306.1", "30306.2", "30305.7", "30305.7", "30306.1", "3.39243896", 23], …]: time, open, high,
        low, close, vwap, volume, trades. A bar without trades is there too, with the price before it and a count of 0.
        """
        rows, last = _rows(body)
        # `last` is the beginning of the newest committed bar.
        committed_s = number(NAME, last)
        return [_bar(row, symbol, interval, received_us, committed_s) for row in rows]


class KrakenTrades:
    """Pages of `Trades`, oldest first. The cursor is the venue's: nanoseconds as a string of 19 digits.

    It goes back as it came. As a float it would lose its last digits, and the same page would come for ever.
    """

    order = Order.FORWARD

    def first(self, wanted: Wanted) -> str:
        # Trades after the cursor; one microsecond before, so that the first instant is in.
        return f"{wanted.from_us - 1}000"

    def call(self, symbol: str, cursor: str) -> Call:
        params = {"pair": pair(symbol), "since": cursor, "count": str(ROWS)}
        return Call(NAME, "/0/public/Trades", params)

    def read(self, body: bytes, symbol: str, cursor: str, received_us: int) -> TradePage:
        """[["30243.40", "0.34507674", 1688669597.8277369, "b", "m", "", 61044952], …]: price, volume, time, the taker's
        side, order type, miscellaneous, id."""
        rows, last = _rows(body)
        trades = [_trade(row, symbol, received_us) for row in rows]
        if not isinstance(last, str) or not last.isdecimal():
            raise HistoryError(NAME, f"{last!r} is no cursor")
        return TradePage(trades, last if len(rows) >= ROWS and last != cursor else None)


def pair(symbol: str) -> str:
    """
    >>> pair("BTC/USD"), pair("XBTUSD"), pair("ETH/BTC"), pair("DOGE/USDT")
    ('XBTUSD', 'XBTUSD', 'ETHXBT', 'XDGUSDT')
    """
    return "".join(OWN_NAMES.get(part, part) for part in symbol.split("/"))


def oldest_bar_us(interval: str, now_us: int) -> int:
    """The beginning of the oldest bar that `OHLC` still has."""
    step_us = LENGTHS_US[interval]
    return now_us - now_us % step_us - BARS * step_us


def _rows(body: bytes) -> tuple[list[Any], Any]:
    """The rows of the one pair that was asked for, and `last`. Raises HistoryError, also for an error at HTTP 200."""
    try:
        answer = _answer.decode(body)
    except msgspec.MsgspecError as error:
        raise HistoryError(NAME, str(error), body, passing=body.lstrip()[:1] == b"<") from error
    if errors := [error for error in answer.error if not error.startswith("W")]:
        raise HistoryError(NAME, ", ".join(errors), passing=any("EService" in e or "Rate" in e for e in errors))
    named = [rows for name, rows in answer.result.items() if name != "last"]
    if len(named) != 1 or not isinstance(named[0], list) or "last" not in answer.result:
        raise HistoryError(NAME, "not the rows of one pair", body)
    return named[0], answer.result["last"]


def _bar(row: Any, symbol: str, interval: str, received_us: int, committed_s: float) -> VenueBar:
    if not isinstance(row, list) or len(row) != 8 or not isinstance(row[0], int) or not isinstance(row[7], int):
        raise HistoryError(NAME, f"{row!r} is no bar")
    opened, high, low, close, vwap, volume = (number(NAME, text) for text in row[1:7])
    if not low <= min(opened, close) <= max(opened, close) <= high:
        raise HistoryError(NAME, f"a bar whose high and low do not hold it: {row}")
    return VenueBar(
        symbol, interval, row[0] * SECOND_US, received_us, opened, high, low, close, volume, vwap * volume, row[7],
        final=row[0] <= committed_s,
    )  # fmt: skip


def _trade(row: Any, symbol: str, received_us: int) -> Trade:
    if not isinstance(row, list) or len(row) != 7 or not isinstance(row[6], int) or isinstance(row[6], bool):
        raise HistoryError(NAME, f"{row!r} is no trade")
    # Seconds with up to seven decimals: a float64 holds the microsecond until 2255.
    time_us = round(positive(NAME, row[2]) * SECOND_US)
    side = {"b": BUY, "s": SELL}.get(row[3], UNKNOWN_SIDE)
    return Trade(symbol, time_us, received_us, row[6], positive(NAME, row[0]), positive(NAME, row[1]), side)
