"""The closes of days, for many instruments at once: what people entered, and what the venues say.

Days are counted from 1970. What a source only has minutes of is made by `bars.candles`; `sources_with_minutes` tells.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from ingestion.candles import VENUE
from ingestion.providers import SOURCES
from ingestion.store.times import array

Told = list[tuple[dt.date, Decimal]]

# One line an instrument: three times as fast as a row a day.
_LINE: Final = "string_agg(day::text || ' ' || close, ',' ORDER BY day)"
# Where each begins is looked up first, by itself: as a condition of the rows it was asked again for each of them.
# Each line in a LATERAL of its own: it comes off the index in order, where one GROUP BY would sort all of them.
_POSTED: Final = """
SELECT i, told.line FROM unnest(%(ids)s::int4[]) AS i CROSS JOIN LATERAL (
    SELECT string_agg((own.date - DATE '1970-01-01')::text || ' ' || trim_scale(own.close)::text, ','
                      ORDER BY own.date) AS line
    FROM ingestion_postedprice AS own
    WHERE own.instrument_id = i AND own.date <= %(end)s AND own.date >= coalesce((
        SELECT max(date) FROM ingestion_postedprice AS b WHERE b.instrument_id = i AND b.date < %(start)s
    ), %(start)s)) AS told
WHERE told.line IS NOT NULL
"""
_DAILY: Final = f"""instrument_id = i AND source = s AND interval = '1d' AND made_by = '{VENUE}'
    AND (final OR time < %(today)s)"""
_VENUES: Final = f"""
SELECT i, s, {_LINE}
FROM unnest(%(ids)s::int4[]) AS i CROSS JOIN unnest(%(sources)s::int2[]) AS s
CROSS JOIN LATERAL (
    SELECT coalesce((
        SELECT time FROM venue_candle WHERE {_DAILY} AND time < %(since)s ORDER BY time DESC LIMIT 1
    ), %(since)s) AS since OFFSET 0) AS first
CROSS JOIN LATERAL (
    SELECT (time AT TIME ZONE 'UTC')::date - DATE '1970-01-01' AS day, close::text AS close FROM venue_candle
    WHERE {_DAILY} AND time >= first.since AND time < %(until)s) AS told
GROUP BY i, s
"""
_WITH_MINUTES: Final = """
SELECT i, s FROM unnest(%(ids)s::int4[]) AS i CROSS JOIN unnest(%(sources)s::int2[]) AS s CROSS JOIN LATERAL (
    (SELECT 1 FROM candle_1m AS c WHERE c.instrument_id = i AND c.source = s AND c.time < %(until)s
     ORDER BY c.time LIMIT 1)
    UNION ALL
    (SELECT 1 FROM venue_candle AS c WHERE c.instrument_id = i AND c.source = s AND c.interval = '1m'
     AND c.time < %(until)s LIMIT 1)
    LIMIT 1) AS any_row
"""


def posted_closes(ids: Sequence[int], start: dt.date, end: dt.date) -> dict[int, Told]:
    """What was entered for [start, end], and the last before; oldest first."""
    return {instrument: _told(line) for instrument, line in posted_lines(ids, start, end).items()}


def posted_lines(ids: Sequence[int], start: dt.date, end: dt.date) -> dict[int, str]:
    """The same as the database writes it, `day close,day close,…`, for who reads a million of them. Days since 1970."""
    return dict(_rows(_POSTED, ids, start, end))


def venue_closes(ids: Sequence[int], start: dt.date, end: dt.date, today: dt.date) -> dict[tuple[int, int], Told]:
    """The same of the venues' own daily bars, by instrument and source: raw as the source told them, final ones and
    those of days before `today`."""
    rows = _rows(_VENUES, ids, start, end, today=_midnight(today), sources=_sources())
    return {(instrument, source): _told(line) for instrument, source, line in rows}


def sources_with_minutes(ids: Sequence[int], end: dt.date) -> list[tuple[int, int]]:
    """The instruments and sources that have bars of minutes until the end of the day `end`."""
    return [(instrument, source) for instrument, source in _rows(_WITH_MINUTES, ids, end, end, sources=_sources())]


def _rows(sql: str, ids: Sequence[int], start: dt.date, end: dt.date, **more: Any) -> list[tuple[Any, ...]]:
    until = _midnight(end + dt.timedelta(days=1))
    given: dict[str, Any] = {"ids": array(ids), "start": start, "end": end, "since": _midnight(start), "until": until}
    with connection.cursor() as cursor:
        cursor.execute(sql, {**given, **more})
        return list(cursor.fetchall())


def _sources() -> str:
    return array(number for name, number in SOURCES.items() if name != "manual")


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


_EPOCH: Final = dt.date(1970, 1, 1).toordinal()


def _told(line: str) -> Told:
    parts: Iterable[list[str]] = (part.split(" ") for part in line.split(","))
    day = dt.date.fromordinal
    return [(day(_EPOCH + int(number)), Decimal(close)) for number, close in parts]
