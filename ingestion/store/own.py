"""Candles that are ours, as ranges: minutes from their table, longer ones from what was rolled up before."""

import datetime as dt
from typing import Any, Final

from django.db import connection

from ingestion.candles import INTERVALS, Bar
from ingestion.store import stale
from ingestion.store.kind import NATIVE, TIMESCALE, storage_kind
from ingestion.store.minutes import CANDLE, bar_of
from ingestion.store.times import MICROSECOND, timestamp

_OF: Final = "instrument_id = %(instrument)s AND source = %(source)s"
_RANGE: Final = f"{_OF} AND time >= %(start)s AND time < %(end)s"
_MINUTES: Final = f"SELECT * FROM candle_1m WHERE {_RANGE}"
# A day's bars are wholly from one side or the other: all lengths divide a day.
_FRESH: Final = f"{_RANGE} AND date_trunc('day', time, 'UTC') <> ALL (%(stale)s::timestamptz[])"
_MINUTES_OF_STALE_DAYS: Final = f"""
SELECT c.* FROM unnest(%(stale)s::timestamptz[]) AS day CROSS JOIN LATERAL (
    SELECT * FROM candle_1m
    WHERE {_OF} AND time >= greatest(day, %(start)s) AND time < least(day + INTERVAL '1 day', %(end)s) OFFSET 0) AS c
"""
# The hours that are still made of minutes, and those of the days that must be. (`open` comes from outside, so that the
# planner sees how few minutes these are.)
_OPEN_MINUTES: Final = f"""
SELECT * FROM candle_1m WHERE {_OF} AND time >= %(open)s AND time < %(end)s
  AND date_trunc('day', time, 'UTC') <> ALL (%(stale)s::timestamptz[])
"""
_HOURS: Final = f"""
SELECT * FROM candle_hour WHERE {_FRESH}
UNION ALL {stale.roll_up(f"{_OPEN_MINUTES} UNION ALL {_MINUTES_OF_STALE_DAYS}", stale.AN_HOUR)}
"""


def bars(
    instrument_id: int,
    source: int,
    interval: str,
    start: dt.datetime,
    end: dt.datetime,
    limit: int,
    newest_first: bool = False,
) -> list[Bar]:
    """The first (or the newest) `limit` bars that begin in [start, end); `start` is the start of a bar."""
    order = "DESC" if newest_first else "ASC"
    parameters: dict[str, Any] = {
        "instrument": instrument_id, "source": source, "start": start, "end": end, "limit": limit,
        "step": INTERVALS[interval] * MICROSECOND, "stale": [],
    }  # fmt: skip
    if interval != "1m":
        parameters["stale"] = stale.days(instrument_id, source, start, end)
        if storage_kind() == NATIVE:
            parameters["open"] = max(start, stale.hours_until())
    rows = _rows(interval, bool(parameters["stale"]))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {CANDLE} FROM ({rows}) AS c ORDER BY c.time {order} LIMIT %(limit)s", parameters)
        return [bar_of(row, interval) for row in cursor.fetchall()]


def _rows(interval: str, some_stale: bool) -> str:
    if interval == "1m":
        return _MINUTES
    if storage_kind() == TIMESCALE:
        made = f"SELECT * FROM candle_{interval} WHERE {_RANGE}"
        if not some_stale:
            return made
        again = stale.roll_up(_MINUTES_OF_STALE_DAYS, "%(step)s")
        return f"{made} AND date_trunc('day', time, 'UTC') <> ALL (%(stale)s::timestamptz[]) UNION ALL {again}"
    if INTERVALS[interval] < stale.HOUR_US:
        return stale.roll_up(_MINUTES, "%(step)s")
    return _HOURS if interval == "1h" else stale.roll_up(_HOURS, "%(step)s")


_MINUTES_OF_GIVEN: Final = f"""
SELECT minutes.*
FROM unnest(%(instruments)s::int4[], %(sources)s::int2[], %(starts)s::int8[]) AS given (i, s, start)
CROSS JOIN LATERAL (
    SELECT * FROM candle_1m AS c
    WHERE c.instrument_id = given.i AND c.source = given.s
      AND c.time >= {timestamp("given.start")} AND c.time < {timestamp("given.start")} + %(step)s OFFSET 0) AS minutes
"""


def rolled_up_of_given() -> str:
    """SQL: the bars of given instruments, sources and starts, made of their minutes."""
    return stale.roll_up(_MINUTES_OF_GIVEN, "%(step)s")
