"""Daily bars of what trades in sessions: a bar is one session of its exchange, from the opening to the close.

Half days, holidays and clock changes are the calendar's; what was traded before and after hours is not in them. A bar's
time is the session's date, as midnight UTC.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

from django.db import connection

from ingestion.calendar import Calendars, Session, day_of
from ingestion.candles import Bar
from ingestion.store.minutes import CANDLE, bar_of
from ingestion.store.times import DAY_US, array, timestamp, to_us, us

_HOUR_US: Final = 3_600_000_000
_EDGES: Final = f"""
SELECT {us("min(time)")}, {us("max(time)")} FROM candle_1m
WHERE instrument_id = %s AND source = %s AND time >= %s AND time < %s
"""
_OF_SESSION: Final = f"""
SELECT %(instrument)s::int4 AS instrument_id, %(source)s::int2 AS source, {timestamp("s.day")} AS time, m.*
FROM unnest(%(days)s::int8[], %(opens)s::int8[], %(closes)s::int8[]) AS s (day, opens, closes)
CROSS JOIN LATERAL (
    SELECT (array_agg(open ORDER BY time))[1] AS open, max(high) AS high, min(low) AS low,
           (array_agg(close ORDER BY time DESC))[1] AS close, sum(volume) AS volume,
           sum(quote_volume) AS quote_volume, sum(trades)::int4 AS trades, min(first_time) AS first_time,
           (array_agg(first_id ORDER BY time))[1] AS first_id, max(last_time) AS last_time,
           (array_agg(last_id ORDER BY time DESC))[1] AS last_id,
           bool_and(final) AND {timestamp("s.closes")} <= now() AS final, sum(rev)::int4 AS rev
    FROM candle_1m
    WHERE instrument_id = %(instrument)s AND source = %(source)s
      AND time >= {timestamp("s.opens")} AND time < {timestamp("s.closes")}
    HAVING count(*) > 0) AS m
"""


def sessions(calendars: Calendars, name: str, from_us: int, until_us: int) -> Iterator[Session]:
    """The sessions that trade in [from, until), oldest first, as far as the calendar reaches."""
    at_us = calendars.next_open_us(name, from_us)
    while at_us is not None and at_us < until_us:
        session = calendars.session_at(name, at_us)
        if session is not None:
            yield session
        # Of a time that the calendar does not reach it knows no session, and claims the market open.
        at_us = calendars.next_open_us(name, session.close_us if session else at_us + _HOUR_US)


def bars(
    calendars: Calendars,
    name: str,
    instrument_id: int,
    source: int,
    start: dt.datetime,
    end: dt.datetime,
    limit: int,
    newest_first: bool = False,
) -> list[Bar]:
    """The first (or newest) `limit` bars of sessions whose date is in [start, end), by the calendar called `name`."""
    days = _days(calendars, name, instrument_id, source, start, end)
    if newest_first:
        days.reverse()
    order = "DESC" if newest_first else "ASC"
    parameters: dict[str, Any] = {
        "instrument": instrument_id, "source": source, "limit": limit, "days": array(day for day, _ in days),
        "opens": array(s.open_us for _, s in days), "closes": array(s.close_us for _, s in days),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {CANDLE} FROM ({_OF_SESSION}) AS c ORDER BY c.time {order} LIMIT %(limit)s", parameters)
        return [bar_of(row, "1d") for row in cursor.fetchall()]


def _days(
    calendars: Calendars, name: str, instrument_id: int, source: int, start: dt.datetime, end: dt.datetime
) -> list[tuple[int, Session]]:
    """The sessions that there are minutes around, each with its date."""
    day = dt.timedelta(days=1)
    with connection.cursor() as cursor:
        cursor.execute(_EDGES, [instrument_id, source, start - day, end + day])
        first_us, last_us = cursor.fetchone()
    if first_us is None:
        return []
    found = [(day_of(s), s) for s in sessions(calendars, name, first_us - DAY_US, last_us + 1)]
    return [(day_us, s) for day_us, s in found if to_us(start) <= day_us < to_us(end)]
