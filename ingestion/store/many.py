"""Closed bars of many instruments at once, for those who look at all of them at the close of a bar."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

from django.db import connection

from ingestion.candles import VENUE, Bar
from ingestion.models import AdjustmentFactor
from ingestion.providers import SOURCES
from ingestion.store import bars, venue
from ingestion.store.minutes import CANDLE, Key, bar_of
from ingestion.store.times import array, timestamp, to_datetime, us


class Span(NamedTuple):
    """The last `most` minutes of an instrument by one source that begin before `end_us`."""

    instrument_id: int
    source: int
    end_us: int
    most: int


_SPANS: Final = "unnest(%s::int4[], %s::int2[], %s::int8[], %s::int4[]) AS given (i, s, until, n)"
# OFFSET 0 has the index asked for each of them.
_OURS: Final = f"""
SELECT {CANDLE} FROM {_SPANS} CROSS JOIN LATERAL (
    SELECT * FROM candle_1m AS m
    WHERE m.instrument_id = given.i AND m.source = given.s AND m.time < {timestamp("given.until")}
      AND m.time >= {timestamp("given.until")} - given.n * %s * INTERVAL '1 minute' AND m.final
    ORDER BY m.time DESC LIMIT given.n OFFSET 0) AS c
"""
_VENUES: Final = f"""
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
        cursor.execute(_VENUES, [*columns, REACH])
        for instrument, source, *row in cursor.fetchall():
            found[instrument, source][row[0]] = venue.bar_of(instrument, source, "1m", row)
        cursor.execute(_OURS, [*columns, REACH])
        for row in cursor.fetchall():
            bar = bar_of(row, "1m")
            found[bar.instrument_id, bar.source][bar.time_us] = bar
    split = _with_actions(found)
    told = {}
    for span in wanted:
        by_time = found.get((span.instrument_id, span.source), {})
        line = [by_time[time_us] for time_us in sorted(by_time) if time_us < span.end_us][-span.most :]
        if span.instrument_id in split:
            line = bars.adjusted_for_splits(span.instrument_id, "1m", line)
        told[Key(span.instrument_id, span.source, span.end_us)] = line
    return told


def _with_actions(found: dict[tuple[int, int], dict[int, Bar]]) -> set[int]:
    """The instruments that may have been split since the oldest of these bars."""
    times = [min(by_time) for by_time in found.values() if by_time]
    if not times:
        return set()
    rows = AdjustmentFactor.objects.filter(
        instrument_id__in={i for i, _ in found}, ex_date__gt=to_datetime(min(times)).date()
    )
    return set(rows.values_list("instrument_id", flat=True))


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
