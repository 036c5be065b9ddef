"""Candles that are ours, as ranges: minutes from their table, longer ones from what was rolled up before."""

import datetime as dt
from typing import Any, Final, NamedTuple

from django.db import connection

from ingestion.candles import INTERVALS, Bar
from ingestion.store import stale
from ingestion.store.kind import NATIVE, TIMESCALE, storage_kind
from ingestion.store.minutes import CANDLE, bar_of
from ingestion.store.times import MICROSECOND, timestamp


class Line(NamedTuple):
    """SQL: whose bars, [start, end), and the days that have to be made of their minutes."""

    instrument: str = "%(instrument)s"
    source: str = "%(source)s"
    start: str = "%(start)s"
    end: str = "%(end)s"
    stale: str = "%(stale)s::timestamptz[]"

    @property
    def of(self) -> str:
        return f"instrument_id = {self.instrument} AND source = {self.source}"

    @property
    def range(self) -> str:
        return f"{self.of} AND time >= {self.start} AND time < {self.end}"

    @property
    def fresh(self) -> str:
        """A day's bars are wholly from one side or the other: all lengths divide a day."""
        return f"date_trunc('day', time, 'UTC') <> ALL ({self.stale})"


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
    found = rows(interval, Line(), bool(parameters["stale"]))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {CANDLE} FROM ({found}) AS c ORDER BY c.time {order} LIMIT %(limit)s", parameters)
        return [bar_of(row, interval) for row in cursor.fetchall()]


def rows(interval: str, line: Line, some_stale: bool = True) -> str:
    """SQL: the bars of a line as rows. It takes %(step)s, and without TimescaleDB %(open)s: `stale.hours_until`, from
    outside so that the planner sees how few minutes come after it."""
    minutes = f"SELECT * FROM candle_1m WHERE {line.range}"
    if interval == "1m":
        return minutes
    if storage_kind() == TIMESCALE:
        made = f"SELECT * FROM candle_{interval} WHERE {line.range}"
        again = stale.roll_up(_minutes_of_stale_days(line), "%(step)s")
        return f"{made} AND {line.fresh} UNION ALL {again}" if some_stale else made
    if INTERVALS[interval] < stale.HOUR_US:
        return stale.roll_up(minutes, "%(step)s")
    hours = _hours(line)
    return hours if interval == "1h" else stale.roll_up(hours, "%(step)s")


def _hours(line: Line) -> str:
    """Those that are rows, those of late, and those of the days that must be made again."""
    of_late = f"SELECT * FROM candle_1m WHERE {line.range} AND time >= %(open)s AND {line.fresh}"
    made_now = stale.roll_up(f"{of_late} UNION ALL {_minutes_of_stale_days(line)}", stale.AN_HOUR)
    return f"SELECT * FROM candle_hour WHERE {line.range} AND {line.fresh} UNION ALL {made_now}"


def _minutes_of_stale_days(line: Line) -> str:
    return f"""
SELECT c.* FROM unnest({line.stale}) AS day CROSS JOIN LATERAL (
    SELECT * FROM candle_1m
    WHERE {line.of} AND time >= greatest(day, {line.start}) AND time < least(day + INTERVAL '1 day', {line.end})
    OFFSET 0) AS c
"""


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
