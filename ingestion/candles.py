"""Candles out of trades: per-minute sums of a batch, and the open bars of every interval. Pure.

A bar belongs to the venue's time. Inside it trades are ordered by (time, trade id), never by arrival: open and close
are the first and the last in that order, so that any batching and any delay gives the same bar. Suspect trades and
irregular ones are left out of it altogether.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec
import numpy as np

from ingestion.calendar import Rule, day_of
from ingestion.ticks import NOT_IN_CANDLES, POSTGRES_EPOCH_US

MINUTE_US: Final = 60_000_000

# Interval → length in microseconds. All divide a day, so that bars start at the same times each UTC day.
INTERVALS: Final[dict[str, int]] = {
    "1m": MINUTE_US,
    "5m": 5 * MINUTE_US,
    "15m": 15 * MINUTE_US,
    "1h": 60 * MINUTE_US,
    "4h": 240 * MINUTE_US,
    "1d": 1440 * MINUTE_US,
}

# One row of `fold`. Times are microseconds since 1970.
SUMS_DTYPE: Final = np.dtype(
    [
        ("instrument_id", "i4"), ("source", "i2"), ("time_us", "i8"),
        ("open", "f8"), ("high", "f8"), ("low", "f8"), ("close", "f8"), ("volume", "f8"), ("quote_volume", "f8"),
        ("trades", "i8"), ("first_time_us", "i8"), ("first_id", "i8"), ("last_time_us", "i8"), ("last_id", "i8"),
    ]
)  # fmt: skip


# What a bar was made of: trades that we have, the venue's own sums, or prices polled now and then.
TRADES: Final = "trades"
VENUE: Final = "venue"
TICKER: Final = "ticker"


class Bar(msgspec.Struct, frozen=True, gc=False):
    """One candle: [time_us, time_us + its interval's length). Volume is in units, quote volume in money.

    Volumes and the count are None where nobody told them; never so for one made of trades.
    empty: nothing was traded; its prices are the close before it, carried on.
    """

    instrument_id: int
    source: int
    time_us: int
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    quote_volume: float | None
    trades: int | None
    first_time_us: int
    first_id: int
    last_time_us: int
    last_id: int
    interval: str = "1m"
    final: bool = False
    rev: int = 0
    made_by: str = TRADES
    empty: bool = False

    @property
    def vwap(self) -> float | None:
        """None where the venue gave no quantities."""
        return self.quote_volume / self.volume if self.volume and self.quote_volume is not None else None


def bucket_us(time_us: int, interval: str) -> int:
    """The start of the bar that this time falls in."""
    return time_us - time_us % INTERVALS[interval]


def fold(rows: np.ndarray, without: int = NOT_IN_CANDLES) -> np.ndarray:
    """The sums of packed trades (`ticks.TRADE_DTYPE`, any order) per instrument, source and minute, in that order.

    without: flags of trades to leave out. Returns an array of SUMS_DTYPE; empty where no row is left. Leaves `rows`
    untouched.
    """
    left_out = (rows["flags"] & without) != 0
    if left_out.any():
        rows = rows[~left_out]
    if not len(rows):
        return np.empty(0, SUMS_DTYPE)
    # Columns in the machine's byte order first: sorting whole rows would cost several times as much.
    time = rows["time"].astype(np.int64) + POSTGRES_EPOCH_US
    instrument, source = rows["instrument_id"].astype(np.int32), rows["source"].astype(np.int16)
    trade_id = rows["trade_id"].astype(np.int64)
    order = np.lexsort((trade_id, time, source, instrument))
    time, instrument, source, trade_id = time[order], instrument[order], source[order], trade_id[order]
    price = rows["price"].astype(np.float64)[order]
    quantity = rows["quantity"].astype(np.float64)[order]
    minute = time - time % MINUTE_US

    changes = (minute[1:] != minute[:-1]) | (instrument[1:] != instrument[:-1]) | (source[1:] != source[:-1])
    first = np.concatenate(([0], np.flatnonzero(changes) + 1))
    last = np.append(first[1:], len(time)) - 1
    sums = np.empty(len(first), SUMS_DTYPE)
    sums["instrument_id"], sums["source"], sums["time_us"] = instrument[first], source[first], minute[first]
    sums["open"], sums["close"] = price[first], price[last]
    sums["high"], sums["low"] = np.maximum.reduceat(price, first), np.minimum.reduceat(price, first)
    sums["volume"] = np.add.reduceat(quantity, first)
    sums["quote_volume"] = np.add.reduceat(price * quantity, first)
    sums["trades"] = last - first + 1
    sums["first_time_us"], sums["first_id"] = time[first], trade_id[first]
    sums["last_time_us"], sums["last_id"] = time[last], trade_id[last]
    return sums


def bars(sums: np.ndarray) -> list[Bar]:
    """The rows of `fold` as values."""
    return [Bar(*row) for row in sums.tolist()]


def merge(a: Bar, b: Bar) -> Bar:
    """One bar of two parts of the same bucket, in either order. Keeps `a`'s name, time and revision.

    Sums are exact in their counts and extremes; volumes are float64 sums, so that their last digit may differ
    with the division.
    """
    first = a if (a.first_time_us, a.first_id) <= (b.first_time_us, b.first_id) else b
    last = b if (b.last_time_us, b.last_id) >= (a.last_time_us, a.last_id) else a
    return msgspec.structs.replace(
        a,
        open=first.open,
        high=max(a.high, b.high),
        low=min(a.low, b.low),
        close=last.close,
        volume=_sum(a.volume, b.volume),
        quote_volume=_sum(a.quote_volume, b.quote_volume),
        trades=_sum(a.trades, b.trades),
        first_time_us=first.first_time_us,
        first_id=first.first_id,
        last_time_us=last.last_time_us,
        last_id=last.last_id,
    )


Number = TypeVar("Number", int, float)


def _sum(a: Number | None, b: Number | None) -> Number | None:
    return None if a is None or b is None else a + b


def fill_empty(bars: Sequence[Bar], starts: Iterable[int], now_us: int, before: Bar | None = None) -> list[Bar]:
    """The bars with one more for each of `starts` (microseconds since 1970, rising) at which there is none: nothing
    traded, marked `empty`, at the close before it. No price is made up: there is none before the first close.

    before: the bar that came before the first of them, if there was one.
    """
    known = {bar.time_us: bar for bar in bars}
    filled: list[Bar] = []
    last = before
    for time_us in starts:
        bar = known.get(time_us) or (_empty_after(last, time_us, now_us) if last else None)
        if bar is not None:
            filled.append(bar)
            last = bar
    return filled


def _empty_after(last: Bar, time_us: int, now_us: int) -> Bar:
    nothing: float | None = None if last.volume is None else 0.0
    return msgspec.structs.replace(
        last, time_us=time_us, open=last.close, high=last.close, low=last.close, volume=nothing,
        quote_volume=nothing, trades=0, first_time_us=time_us, last_time_us=time_us,
        final=time_us + INTERVALS[last.interval] <= now_us, rev=0, empty=True,
    )  # fmt: skip


class OpenBars:
    """The bar in progress of each instrument and interval, for showing. The writer's rows are the record.

    A trade of a bar that is over changes nothing here: the writer revises that candle and says so.
    """

    def __init__(self, intervals: Sequence[str] = tuple(INTERVALS)) -> None:
        self._intervals = [(interval, INTERVALS[interval]) for interval in intervals]
        self._open: dict[tuple[int, int, str], Bar] = {}
        self._sessions: dict[int, Rule] = {}

    def trades_in_sessions(self, instrument_id: int, rule: Rule) -> None:
        """Let the instrument's days be its sessions: before and after hours are in none."""
        self._sessions[instrument_id] = rule

    def seed(self, known: Iterable[Bar]) -> None:
        """Bars as stored, e.g. after a restart, so that those in progress go on instead of beginning anew."""
        for bar in known:
            self._open[bar.instrument_id, bar.source, bar.interval] = bar

    def update(self, rows: np.ndarray) -> list[Bar]:
        """Count packed trades in; the bars that changed, each once, as they now stand."""
        changed: dict[tuple[int, int, str], Bar] = {}
        for part in bars(fold(rows)):
            for interval, length_us in self._intervals:
                key = (part.instrument_id, part.source, interval)
                bar = self._merged(self._open.get(key), part, interval, self._start_us(part, interval, length_us))
                if bar is not None:
                    self._open[key] = changed[key] = bar
        return list(changed.values())

    def _start_us(self, part: Bar, interval: str, length_us: int) -> int | None:
        """When the bar begins that a minute is in; None where it is in none."""
        rule = self._sessions.get(part.instrument_id) if interval == "1d" else None
        if rule is None:
            return part.time_us - part.time_us % length_us
        session = next(iter(rule.before(part.time_us)[-1:]), None)
        return day_of(session) if session is not None and part.time_us < session.close_us else None

    def _merged(self, held: Bar | None, part: Bar, interval: str, time_us: int | None) -> Bar | None:
        """The open bar with one minute's part of a batch in it, or None where that part is of the past, or of none."""
        if time_us is None:
            return None
        if held is None or held.time_us < time_us:
            return msgspec.structs.replace(part, time_us=time_us, interval=interval)
        return merge(held, part) if held.time_us == time_us else None
