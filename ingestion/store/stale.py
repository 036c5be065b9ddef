"""What longer candles are made of minutes ahead of reading, and which days of it have to be made again.

With TimescaleDB `candle_5m` … `candle_1d` are continuous aggregates; without it hours are a table of ours, up to the
instant in `candle_hour_until`, and all else is made when it is read. Either holds only what is over for
CANDLE_SETTLE_S. Whoever writes an older minute marks its day in the same transaction: until `refresh` has made it
again, readers make that day from its minutes. So a repair shows at once, and no bar is ever read half made.
"""

import datetime as dt
import time
from collections.abc import Iterable, Sequence
from typing import Final

from django.conf import settings
from django.db import connection, transaction

from ingestion.candles import INTERVALS
from ingestion.store.kind import NATIVE, TIMESCALE, storage_kind
from ingestion.store.times import BEGINNING, DAY_US, array, timestamp, to_datetime, us

# Continuous aggregates on TimescaleDB, views elsewhere: `candle_<interval>`.
ROLLED: Final = tuple(interval for interval in INTERVALS if interval != "1m")
HOUR_US: Final = INTERVALS["1h"]
AN_HOUR: Final = "INTERVAL '1 hour'"
# Days made again in one transaction, without TimescaleDB.
DAYS_AT_ONCE: Final = 200
# One number for all of us in PostgreSQL's space of advisory locks.
_LOCK: Final = 0x7461_7066

_GIVEN: Final = f"""
SELECT instrument_id, source, {timestamp("day")} AS time
FROM unnest(%s::int4[], %s::int2[], %s::int8[]) AS given (instrument_id, source, day)
"""
_MARK: Final = f"""
INSERT INTO candle_stale SELECT *, txid_current() FROM ({_GIVEN}) AS days ORDER BY 1, 2, 3
ON CONFLICT (instrument_id, source, time) DO UPDATE SET version = excluded.version
"""


def mark(minutes: Iterable[Sequence[int]]) -> None:
    """Note that these minutes (instrument id, source, microseconds since 1970) were written, where they may have been
    rolled up before. Inside the transaction that writes them."""
    # Half the time is left for the transaction to commit.
    settled_us = time.time_ns() // 1000 - int(settings.CANDLE_SETTLE_S * 500_000)
    days = sorted({(i, s, at_us - at_us % DAY_US) for i, s, at_us in minutes if at_us < settled_us})
    if days:
        with connection.cursor() as cursor:
            cursor.execute(_MARK, [array(column) for column in zip(*days, strict=True)])


def days(instrument_id: int, source: int, start: dt.datetime, end: dt.datetime) -> list[dt.datetime]:
    """The days that touch [start, end) and have to be made of their minutes."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT time FROM candle_stale
               WHERE instrument_id = %s AND source = %s AND time < %s AND time + INTERVAL '1 day' > %s""",
            [instrument_id, source, end, start],
        )
        return [day for (day,) in cursor.fetchall()]


def days_of(
    keys: Iterable[tuple[int, int]], start: dt.datetime, end: dt.datetime
) -> list[tuple[int, int, dt.datetime]]:
    """The same of many instruments and sources: (instrument id, source, day)."""
    columns = [array(column) for column in zip(*keys, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT instrument_id, source, time FROM candle_stale
               JOIN unnest(%s::int4[], %s::int2[]) AS given (instrument_id, source) USING (instrument_id, source)
               WHERE time < %s AND time + INTERVAL '1 day' > %s""",
            [*columns, end, start],
        )
        return list(cursor.fetchall())


def hours_until() -> dt.datetime:
    """From when on hours are no rows yet, without TimescaleDB."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT greatest(until, %s) FROM candle_hour_until", [BEGINNING])
        found: dt.datetime = cursor.fetchone()[0]
    return found


def refresh(now_us: int | None = None) -> int:
    """Roll up what settled, and again what was marked. Never a bucket that is open. Re-running changes nothing.

    Transactions of its own. Returns how many marked days it saw to.
    """
    settled_us = (now_us or time.time_ns() // 1000) - int(settings.CANDLE_SETTLE_S * 1e6)
    return _refresh_aggregates(settled_us) if storage_kind() == TIMESCALE else _refresh_hours(settled_us)


# --- Continuous aggregates


def _refresh_aggregates(settled_us: int) -> int:
    """Every range that changed, whatever its age: refreshing only a part would move the aggregate's watermark past
    what was never made."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT instrument_id, source, time, version FROM candle_stale")
        marked = cursor.fetchall()
        for interval in ROLLED:
            until = to_datetime(settled_us - settled_us % INTERVALS[interval])
            cursor.execute("CALL refresh_continuous_aggregate(%s, NULL, %s)", [f"candle_{interval}", until])
        if marked:
            cursor.execute(
                """DELETE FROM candle_stale AS c
                   USING unnest(%s::int4[], %s::int2[], %s::timestamptz[], %s::int8[]) AS done (i, s, day, version)
                   WHERE c.instrument_id = i AND c.source = s AND c.time = day AND c.version = done.version""",
                [list(column) for column in zip(*marked, strict=True)],
            )
    return len(marked)


# --- Our own hours

_ADVANCE: Final = f"""
WITH moved AS (
    UPDATE candle_hour_until AS new SET until = greatest(old.until, {timestamp("%s::int8")})
    FROM (SELECT until FROM candle_hour_until FOR UPDATE) AS old RETURNING old.until AS since, new.until)
INSERT INTO candle_stale
SELECT DISTINCT instrument_id, source, date_trunc('day', time, 'UTC'), txid_current()
FROM candle_1m, moved WHERE time >= moved.since AND time < moved.until
ON CONFLICT (instrument_id, source, time) DO UPDATE SET version = excluded.version
"""
_TAKE: Final = f"""
DELETE FROM candle_stale WHERE (instrument_id, source, time) IN (
    SELECT instrument_id, source, time FROM candle_stale ORDER BY instrument_id, source, time LIMIT {DAYS_AT_ONCE})
RETURNING instrument_id, source, {us("time")}
"""
_FORGET: Final = f"""
DELETE FROM candle_hour WHERE (instrument_id, source, time) IN (
    SELECT instrument_id, source, days.time + hour * INTERVAL '1 hour'
    FROM ({_GIVEN}) AS days CROSS JOIN generate_series(0, 23) AS hour)
"""


def roll_up(rows: str, step: str, now: str = "now()") -> str:
    """SQL: bars made of `rows`, which are minutes or bars, all columns of `candle_1m`. step: their length, an
    interval. A bar is final when all that it is made of is, and its time is over."""
    return f"""
    SELECT instrument_id, source, bucket AS time, (array_agg(open ORDER BY time))[1] AS open, max(high) AS high,
           min(low) AS low, (array_agg(close ORDER BY time DESC))[1] AS close, sum(volume) AS volume,
           sum(quote_volume) AS quote_volume, sum(trades)::int4 AS trades, min(first_time) AS first_time,
           (array_agg(first_id ORDER BY time))[1] AS first_id, max(last_time) AS last_time,
           (array_agg(last_id ORDER BY time DESC))[1] AS last_id,
           bool_and(final) AND bucket + {step} <= {now} AS final, sum(rev)::int4 AS rev
    FROM (SELECT *, date_bin({step}, time, TIMESTAMPTZ '2000-01-03 00:00:00+00') AS bucket
          FROM ({rows}) AS given) AS given
    GROUP BY instrument_id, source, bucket
    """


# OFFSET 0, here and elsewhere, has the index asked for each day: joined, all minutes would be met with all days.
_MINUTES_OF_DAYS: Final = f"""
SELECT minutes.* FROM ({_GIVEN}) AS days CROSS JOIN LATERAL (
    SELECT * FROM candle_1m AS c
    WHERE c.instrument_id = days.instrument_id AND c.source = days.source
      AND c.time >= days.time AND c.time < days.time + INTERVAL '1 day'
      AND c.time < (SELECT until FROM candle_hour_until) OFFSET 0) AS minutes
"""
_MAKE: Final = "INSERT INTO candle_hour" + roll_up(_MINUTES_OF_DAYS, AN_HOUR)


def _refresh_hours(settled_us: int) -> int:
    assert storage_kind() == NATIVE
    done = 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute(_ADVANCE, [settled_us - settled_us % HOUR_US])
    while made := _refresh_some_hours():
        done += made
    return done


def _refresh_some_hours() -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute(_TAKE)
        taken = sorted(cursor.fetchall())
        if taken:
            columns = [array(column) for column in zip(*taken, strict=True)]
            cursor.execute(_FORGET, columns)
            cursor.execute(_MAKE, columns)
    return len(taken)
