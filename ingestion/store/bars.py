"""Reading candles."""

import datetime as dt
from typing import Any, Final

from django.conf import settings
from django.db import connection

from ingestion.candles import INTERVALS, Bar
from ingestion.providers import SOURCES
from ingestion.store.minutes import CANDLE, bar_of
from ingestion.store.times import BEGINNING, FOREVER, MICROSECOND, to_datetime, to_us

# Longer bars out of the minutes in a range, found by the primary key; the views `candle_5m` … say the same of all of
# them. A bar is final when its minutes are and its time is over.
_ROLLED_UP: Final = """
SELECT instrument_id, source, bucket AS time, (array_agg(open ORDER BY time))[1] AS open, max(high) AS high,
       min(low) AS low, (array_agg(close ORDER BY time DESC))[1] AS close, sum(volume) AS volume,
       sum(quote_volume) AS quote_volume, sum(trades)::int4 AS trades, min(first_time) AS first_time,
       (array_agg(first_id ORDER BY time))[1] AS first_id, max(last_time) AS last_time,
       (array_agg(last_id ORDER BY time DESC))[1] AS last_id, bool_and(final) AND bucket + %(step)s <= now() AS final,
       sum(rev)::int4 AS rev
FROM (SELECT *, date_bin(%(step)s, time, TIMESTAMPTZ '2000-01-03 00:00:00+00') AS bucket FROM candle_1m
      WHERE instrument_id = %(instrument)s AND source = %(source)s AND time >= %(start)s AND time < %(end)s) AS minutes
GROUP BY instrument_id, source, bucket
"""
_MINUTES: Final = """
SELECT * FROM candle_1m
WHERE instrument_id = %(instrument)s AND source = %(source)s AND time >= %(start)s AND time < %(end)s
"""


def candles(
    instrument_id: int,
    interval: str,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
    limit: int = 500,
    source: int | None = None,
) -> list[Bar]:
    """Bars of one source, oldest first, that begin in [start, end): the first `limit` from `start`, or without a
    `start` the newest. Without a `source`: the best of SOURCE_ORDER that has any there."""
    if start is not None:
        # A bar that began before `start` is not to be shown in part.
        start = to_datetime(-(-to_us(start) // INTERVALS[interval]) * INTERVALS[interval])
        source = source or best_source(instrument_id, start, end or FOREVER)
        return _bars(instrument_id, source, interval, start, end or FOREVER, limit) if source else []
    return _newest_bars(instrument_id, interval, end, limit, source)


def _newest_bars(
    instrument_id: int, interval: str, end: dt.datetime | None, limit: int, source: int | None
) -> list[Bar]:
    """From as far back as `limit` bars reach if none is missing; then further, for a market that is thin or closes."""
    newest = _newest_minute(instrument_id, end or FOREVER, source)
    if newest is None:
        return []
    step_us = INTERVALS[interval]
    found: list[Bar] = []
    for reach in (1, 8, None):
        start = to_datetime((to_us(newest) // step_us + 1 - limit * reach) * step_us) if reach else BEGINNING
        source = source or best_source(instrument_id, start, end or FOREVER)
        assert source is not None, "the newest minute is in the range"
        found = _bars(instrument_id, source, interval, start, end or FOREVER, limit, newest_first=True)[::-1]
        if len(found) == limit:
            break
    return found


def _newest_minute(instrument_id: int, end: dt.datetime, source: int | None) -> dt.datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT max(newest) FROM unnest(%s::int2[]) AS known (source) CROSS JOIN LATERAL (
                   SELECT max(time) AS newest FROM candle_1m c
                   WHERE c.instrument_id = %s AND c.source = known.source AND time < %s) AS of_source""",
            [[source] if source else list(SOURCES.values()), instrument_id, end],
        )
        found: dt.datetime | None = cursor.fetchone()[0]
    return found


def best_source(instrument_id: int, start: dt.datetime, end: dt.datetime) -> int | None:
    """The best source, by SOURCE_ORDER, with a candle in [start, end)."""
    ordered = [SOURCES[name] for name in settings.SOURCE_ORDER if name in SOURCES]
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT source FROM unnest(%s::int2[]) WITH ORDINALITY AS known (source, rank)
               WHERE EXISTS (SELECT FROM candle_1m c WHERE c.instrument_id = %s AND c.source = known.source
                             AND time >= %s AND time < %s)
               ORDER BY rank LIMIT 1""",
            [ordered, instrument_id, start, end],
        )
        row = cursor.fetchone()
    return row and int(row[0])


def _bars(
    instrument_id: int,
    source: int,
    interval: str,
    start: dt.datetime,
    end: dt.datetime,
    limit: int,
    newest_first: bool = False,
) -> list[Bar]:
    range_sql = _MINUTES if interval == "1m" else _ROLLED_UP
    order = "DESC" if newest_first else "ASC"
    parameters: dict[str, Any] = {
        "instrument": instrument_id, "source": source, "start": start, "end": end, "limit": limit,
        "step": INTERVALS[interval] * MICROSECOND,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {CANDLE} FROM ({range_sql}) AS c ORDER BY c.time {order} LIMIT %(limit)s", parameters)
        return [bar_of(row, interval) for row in cursor.fetchall()]


def final_candles_since(start: dt.datetime, limit: int = 10_000) -> list[Bar]:
    """The final 1-minute bars of every instrument and source that begin at `start` or later, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT {CANDLE} FROM candle_1m AS c WHERE final AND time >= %s
                ORDER BY time, instrument_id, source LIMIT %s""",
            [start, limit],
        )
        return [bar_of(row, "1m") for row in cursor.fetchall()]
