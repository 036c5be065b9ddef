"""Quotes on disk, as what they were over stretches of time."""

import datetime as dt
from typing import Any, Final, NamedTuple

from django.db import connection

from ingestion.store.times import MICROSECOND, us


class Width(NamedTuple):
    """ask − bid in one stretch, which begins at `time_us`: its last, and its extremes, in money and in hundredths of a
    percent of the middle. quotes: how many it is of."""

    time_us: int
    last: float
    low: float
    high: float
    last_bps: float
    low_bps: float
    high_bps: float
    quotes: int


# The last of a stretch without sorting it: the largest (time, width).
_WIDTHS: Final = f"""
SELECT {us("bucket")}, (max(ARRAY[at, width]))[2], min(width), max(width), (max(ARRAY[at, bps]))[2], min(bps), max(bps),
       count(*)
FROM (SELECT date_bin(%(step)s, time, TIMESTAMPTZ '2000-01-03 00:00:00+00') AS bucket,
             date_part('epoch', time)::float8 AS at, ask - bid AS width, 2e4 * (ask - bid) / (ask + bid) AS bps
      FROM (SELECT time, bid, ask FROM quote
            WHERE instrument_id = %(instrument)s AND source = %(source)s AND time >= %(start)s AND time < %(end)s
              AND bid > 0 AND ask >= bid AND ask < 'Infinity'
            ORDER BY time LIMIT %(limit)s) AS newest) AS quotes
GROUP BY bucket ORDER BY bucket
"""


def widths(
    instrument_id: int, source: int, start: dt.datetime, end: dt.datetime, step_us: int, limit: int
) -> list[Width]:
    """What the spread was in each stretch of `step_us` that has quotes in [start, end), oldest first, of the first
    `limit` quotes there; crossed ones are left out."""
    parameters: dict[str, Any] = {
        "instrument": instrument_id, "source": source, "start": start, "end": end, "step": step_us * MICROSECOND,
        "limit": limit,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_WIDTHS, parameters)
        return [Width(*row) for row in cursor.fetchall()]
