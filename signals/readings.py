"""Indicators over what is stored: the bars that they need, read, and with their sessions."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

import msgspec

from ingestion import calendar, sessions, store
from ingestion.candles import INTERVALS, Bar
from ingestion.models import Instrument
from ingestion.topics import newest_bar
from signals.candles import DAY_US, Candles
from signals.indicators import Asked

# Of what has to be read before the first bar that is shown.
HISTORY_MAX: Final = 5_000


class Reading(msgspec.Struct, frozen=True):
    """Closed bars from the oldest shown to the newest, the columns over them, and the forming bar, if there is one, as
    it would be if it closed now."""

    bars: list[Bar]
    columns: dict[str, dict[str, list[float]]]
    forming: Bar | None
    live: dict[str, dict[str, float]]


def read(
    instrument: Instrument, interval: str, wanted: Sequence[Asked], limit: int, end: dt.datetime | None = None
) -> Reading:
    """The last `limit` closed bars before `end` and what the indicators say of each; without `end` the forming one too.

    More history is read than shown, so that each value is the same whatever `limit` is.
    """
    before = history_of(wanted, interval)
    bars = store.candles(instrument.id, interval, end=end, limit=limit + before + 1)
    closed = [bar for bar in bars if bar.final]
    candles = as_candles(instrument, interval, closed)
    shown = min(limit, len(closed))
    columns = {
        one.label: {name: values[len(closed) - shown :].tolist() for name, values in one.over(candles).items()}
        for one in wanted
    }
    forming = None if end is not None else _forming(instrument, interval, closed)
    live = {} if forming is None else _live(wanted, candles, as_candles(instrument, interval, [forming]))
    return Reading(closed[len(closed) - shown :], columns, forming, live)


def history_of(wanted: Sequence[Asked], interval: str) -> int:
    """Bars before the first that is shown. What never settles gets a day: VWAP needs its session whole."""
    a_day = max(1, DAY_US // INTERVALS[interval])
    return min(HISTORY_MAX, max((one.warmup if one.settle is not None else a_day for one in wanted), default=0))


def as_candles(instrument: Instrument, interval: str, bars: Sequence[Bar]) -> Candles:
    """Closed bars as arrays, with the session of the instrument's exchange that each lies in."""
    name = sessions.name_of(instrument)
    if name == calendar.ALWAYS or INTERVALS[interval] >= DAY_US:
        return Candles.of(bars, interval)
    known = sessions.calendars()
    # By its end: the first hour of a session that opens at half past belongs to it.
    last_us = INTERVALS[interval] - 1
    return Candles.of(bars, interval, [_session_of(known, name, bar.time_us + last_us) for bar in bars])


def _session_of(known: calendar.Calendars, name: str, time_us: int) -> int:
    session = known.last_session(name, time_us)
    return time_us // DAY_US if session is None else session.open_us


def _forming(instrument: Instrument, interval: str, closed: Sequence[Bar]) -> Bar | None:
    newest = newest_bar(instrument.id, interval)
    if newest is None or newest.final or (closed and newest.time_us <= closed[-1].time_us):
        return None
    return msgspec.structs.replace(newest, final=True)


def _live(wanted: Sequence[Asked], closed: Candles, forming: Candles) -> dict[str, dict[str, float]]:
    return {one.label: one.live(closed).peek(forming) for one in wanted if len(closed) > one.lookback}
