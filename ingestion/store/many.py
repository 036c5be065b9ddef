"""Closed bars of many instruments at once, for those who look at all of them at the close of a bar.

A few queries, however many instruments they are; `bars.py` reads one instrument's.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from django.db import connection

from ingestion.candles import INTERVALS, VENUE, Bar
from ingestion.models import AdjustmentFactor
from ingestion.providers import SOURCES
from ingestion.store import bars, own, stale, venue
from ingestion.store.kind import TIMESCALE, storage_kind
from ingestion.store.minutes import CANDLE, Key, bar_of
from ingestion.store.times import MICROSECOND, array, timestamp, to_datetime, us

# One instrument by one source.
_Line = tuple[int, int]


class Span(NamedTuple):
    """The last `most` bars of an instrument by one source that begin before `end_us`."""

    instrument_id: int
    source: int
    end_us: int
    most: int


_SPANS: Final = "unnest(%s::int4[], %s::int2[], %s::int8[], %s::int4[]) AS given (i, s, until, n)"
# OFFSET 0 has the index asked for each of them.
_OUR_MINUTES: Final = f"""
SELECT {CANDLE} FROM {_SPANS} CROSS JOIN LATERAL (
    SELECT * FROM candle_1m AS m
    WHERE m.instrument_id = given.i AND m.source = given.s AND m.time < {timestamp("given.until")}
      AND m.time >= {timestamp("given.until")} - given.n * %s * INTERVAL '1 minute' AND m.final
    ORDER BY m.time DESC LIMIT given.n OFFSET 0) AS c
"""
_VENUES_MINUTES: Final = f"""
SELECT c.instrument_id, c.source, {us("c.time")}, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades,
       c.final, c.made_by
FROM {_SPANS} CROSS JOIN LATERAL (
    SELECT * FROM venue_candle AS m
    WHERE m.instrument_id = given.i AND m.source = given.s AND m.interval = '1m' AND m.made_by = '{VENUE}' AND m.final
      AND m.time < {timestamp("given.until")}
      AND m.time >= {timestamp("given.until")} - given.n * %s * INTERVAL '1 minute'
    ORDER BY m.time DESC LIMIT given.n OFFSET 0) AS c
"""
# How much longer than without a missing minute the newest minutes may have taken.
REACH: Final = 8


def last_minutes(spans: Iterable[Span]) -> dict[Key, list[Bar]]:
    """The final minutes of each span, oldest first, by instrument, source and `end_us`: ours, and the venue's where
    we have none; adjusted for splits as `candles` does. Not from farther back than REACH times their number."""
    wanted = list(spans)
    if not wanted:
        return {}
    columns = [array(column) for column in zip(*wanted, strict=True)]
    found: defaultdict[tuple[int, int], dict[int, Bar]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_VENUES_MINUTES, [*columns, REACH])
        for instrument, source, *row in cursor.fetchall():
            found[instrument, source][row[0]] = venue.bar_of(instrument, source, "1m", row)
        cursor.execute(_OUR_MINUTES, [*columns, REACH])
        for row in cursor.fetchall():
            bar = bar_of(row, "1m")
            found[bar.instrument_id, bar.source][bar.time_us] = bar
    return _told("1m", wanted, found)


def _told(interval: str, spans: Iterable[Span], found: Mapping[_Line, Mapping[int, Bar]]) -> dict[Key, list[Bar]]:
    """Each span's own of what was found, in today's terms."""
    split = _with_actions(found)
    told = {}
    for span in spans:
        line = _newest_of(found.get((span.instrument_id, span.source), {}), span)
        if span.instrument_id in split:
            line = bars.adjusted_for_splits(span.instrument_id, interval, line)
        told[Key(span.instrument_id, span.source, span.end_us)] = line
    return told


def _newest_of(by_time: Mapping[int, Bar], span: Span) -> list[Bar]:
    """The final ones among the span's last bars."""
    newest = [by_time[time_us] for time_us in sorted(by_time) if time_us < span.end_us][-span.most :]
    return [bar for bar in newest if bar.final]


def _with_actions(found: Mapping[_Line, Mapping[int, Bar]]) -> set[int]:
    """The instruments that may have been split since the oldest of these bars."""
    times = [min(by_time) for by_time in found.values() if by_time]
    if not times:
        return set()
    rows = AdjustmentFactor.objects.filter(
        instrument_id__in={i for i, _ in found}, ex_date__gt=to_datetime(min(times)).date()
    )
    return set(rows.values_list("instrument_id", flat=True))


# --- Longer bars


def last_bars(interval: str, spans: Iterable[Span]) -> dict[Key, list[Bar]]:
    """The final ones among each span's last bars, oldest first, by instrument, source and `end_us`: as `candles` has
    them, but from no farther back than REACH times their number before the newest. Sessions' daily bars are read one
    by one."""
    if interval == "1m":
        return last_minutes(spans)
    by_session: list[Span] = []
    by_clock: list[Span] = []
    for span in spans:
        (by_session if bars.by_sessions(span.instrument_id, interval) else by_clock).append(span)
    return _by_clock(interval, by_clock) | {
        Key(span.instrument_id, span.source, span.end_us): _sessions(interval, span) for span in by_session
    }


def _sessions(interval: str, span: Span) -> list[Bar]:
    end = to_datetime(span.end_us)
    found = bars.candles(span.instrument_id, interval, end=end, limit=span.most, source=span.source)
    return [bar for bar in found if bar.final]


def _by_clock(interval: str, spans: Sequence[Span]) -> dict[Key, list[Bar]]:
    """From as far back as the bars reach if none is missing; then further, of those that are thin or closed."""
    found: dict[_Line, dict[int, Bar]] = {}
    newest = _newest(interval, spans) if spans else {}
    left = [span for span in spans if (span.instrument_id, span.source) in newest]
    for reach in (1, REACH):
        found |= _read(interval, _ranges(interval, left, newest, reach)) if left else {}
        left = [span for span in left if _is_short(span, found)]
    return _told(interval, spans, found)


def _is_short(span: Span, found: Mapping[_Line, Mapping[int, Bar]]) -> bool:
    return sum(time_us < span.end_us for time_us in found[span.instrument_id, span.source]) < span.most


class _Range(NamedTuple):
    """[since, until) of one line, and how many bars are wanted of it."""

    since_us: int
    until_us: int
    most: int


def _ranges(interval: str, spans: Iterable[Span], newest: Mapping[_Line, int], reach: int) -> dict[_Line, _Range]:
    """One of each line, which holds all of its spans: a minute that came twice would be counted twice."""
    step_us, found = INTERVALS[interval], dict[_Line, _Range]()
    for span in spans:
        line = span.instrument_id, span.source
        since_us = (min(newest[line], span.end_us - 1) // step_us + 1 - span.most * reach) * step_us
        own = _Range(since_us, span.end_us, span.most)
        found[line] = own if line not in found else _joined(own, found[line])
    return found


def _joined(one: _Range, other: _Range) -> _Range:
    return _Range(min(one.since_us, other.since_us), max(one.until_us, other.until_us), max(one.most, other.most))


_NEWEST: Final = f"""
SELECT i, s, {us("max(newest)")} FROM unnest(%s::int4[], %s::int2[], %s::int8[]) AS given (i, s, until)
CROSS JOIN LATERAL (
    SELECT max(time) AS newest FROM candle_1m AS c
    WHERE c.instrument_id = i AND c.source = s AND c.time < {timestamp("until")}
    UNION ALL
    SELECT max(time) FROM venue_candle AS c
    WHERE c.instrument_id = i AND c.source = s AND c.interval IN ('1m', %s) AND c.time < {timestamp("until")}
) AS of_table GROUP BY i, s HAVING max(newest) IS NOT NULL
"""


def _newest(interval: str, spans: Sequence[Span]) -> dict[_Line, int]:
    """When each line's newest bar or minute before its spans' end began."""
    columns = [array(column) for column in list(zip(*spans, strict=True))[:3]]
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, [*columns, interval])
        return {(i, s): newest_us for i, s, newest_us in cursor.fetchall()}


_RANGES: Final = f"""
given AS (SELECT i, s, {timestamp("since")} AS since, {timestamp("until")} AS until
          FROM unnest(%(ids)s::int4[], %(sources)s::int2[], %(since)s::int8[], %(until)s::int8[])
               AS g (i, s, since, until))
"""
_LINE: Final = own.Line("line.i", "line.s", "line.since", "line.until", "line.stale")


def _ours(rows: str) -> str:
    """Made line by line, so that no sort is larger than one line's."""
    return f"""
WITH {_RANGES},
marked AS (SELECT i, s, array_agg(day) AS days
           FROM unnest(%(stale_ids)s::int4[], %(stale_sources)s::int2[], %(stale_days)s::timestamptz[])
                AS m (i, s, day) GROUP BY i, s),
line AS (SELECT given.*, coalesce(marked.days, '{{}}') AS stale FROM given LEFT JOIN marked USING (i, s))
SELECT {CANDLE} FROM line CROSS JOIN LATERAL ({rows}) AS c
"""


_OF_GIVEN: Final = own.Line("given.i", "given.s", "given.since", "given.until").range


def _of_venue(rows: str) -> str:
    return f"""
WITH {_RANGES} SELECT given.i, given.s, {us("b.time")}, {venue.COLUMNS}
FROM given CROSS JOIN LATERAL ({rows}) AS b
"""


def _read(interval: str, ranges: Mapping[_Line, _Range]) -> dict[_Line, dict[int, Bar]]:
    """One bar a time, as `bars.candles` chooses: the venue's own, if it is final, then ours, then what can be made of
    its or polled minutes."""
    given = _given(interval, ranges)
    found: dict[_Line, dict[int, Bar]] = {line: {} for line in ranges}
    with connection.cursor() as cursor:
        cursor.execute(_ours(own.rows(interval, _LINE)), given | _marked(ranges))
        for row in cursor.fetchall():
            bar = bar_of(row, interval)
            found[bar.instrument_id, bar.source][bar.time_us] = bar
    for bar in _venue_bars(interval, venue.told(_OF_GIVEN), given):
        by_time = found[bar.instrument_id, bar.source]
        if bar.final or bar.time_us not in by_time:
            by_time[bar.time_us] = bar
    short = {line: ranges[line] for line, by_time in found.items() if len(by_time) < ranges[line].most}
    if short:
        for bar in _venue_bars(interval, venue.made_of_minutes(_OF_GIVEN), _given(interval, short)):
            found[bar.instrument_id, bar.source].setdefault(bar.time_us, bar)
    return found


def _venue_bars(interval: str, rows: str, given: Mapping[str, Any]) -> list[Bar]:
    with connection.cursor() as cursor:
        cursor.execute(_of_venue(rows), given)
        return [venue.bar_of(instrument, source, interval, row) for instrument, source, *row in cursor.fetchall()]


def _given(interval: str, ranges: Mapping[_Line, _Range]) -> dict[str, Any]:
    ids, sources = zip(*ranges, strict=True)
    since_us, until_us, _ = zip(*ranges.values(), strict=True)
    return {
        "ids": array(ids), "sources": array(sources), "since": array(since_us), "until": array(until_us),
        "step": INTERVALS[interval] * MICROSECOND, "interval": interval,
    }  # fmt: skip


def _marked(ranges: Mapping[_Line, _Range]) -> dict[str, Any]:
    """What has to be made of minutes: days that were written since, and without TimescaleDB the hours of late."""
    start = to_datetime(min(one.since_us for one in ranges.values()))
    end = to_datetime(max(one.until_us for one in ranges.values()))
    days = stale.days_of(ranges, start, end)
    return {
        "stale_ids": array(i for i, _, _ in days), "stale_sources": array(s for _, s, _ in days),
        "stale_days": [day for _, _, day in days],
        "open": None if storage_kind() == TIMESCALE else stale.hours_until(),
    }  # fmt: skip


# --- Which there are


_ANY_ROW: Final = """
SELECT i, s FROM unnest(%(ids)s::int4[]) AS i CROSS JOIN unnest(%(sources)s::int2[]) AS s CROSS JOIN LATERAL (
    (SELECT 1 FROM candle_1m AS c WHERE c.instrument_id = i AND c.source = s AND c.time >= %(start)s
     AND c.time < %(end)s LIMIT 1)
    UNION ALL
    (SELECT 1 FROM venue_candle AS c WHERE c.instrument_id = i AND c.source = s AND c.interval IN ('1m', %(interval)s)
     AND c.time >= %(start)s AND c.time < %(end)s LIMIT 1)
    LIMIT 1) AS any_row
"""


def sources_with_bars(
    ids: Collection[int], interval: str, start: dt.datetime, end: dt.datetime
) -> list[tuple[int, int]]:
    """The instruments and sources that have minutes, or bars of this interval, which begin in [start, end)."""
    parameters: dict[str, Any] = {
        "ids": array(ids), "sources": array(SOURCES.values()), "start": start, "end": end, "interval": interval,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_ANY_ROW, parameters)
        rows: Sequence[tuple[int, int]] = cursor.fetchall()
    return [(instrument, source) for instrument, source in rows]
