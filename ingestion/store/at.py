"""The price that stood at an instant, for many instruments and instants at once."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from django.db import connection

from ingestion.candles import MINUTE_US
from ingestion.store.times import array, timestamp, us


class Moment(NamedTuple):
    """One instrument by one source, at an instant, microseconds since 1970."""

    instrument_id: int
    source: int
    at_us: int


class Stood(NamedTuple):
    """A minute's close, as it was traded, and when that minute was over."""

    price: float
    closed_us: int


# Ours come before the venue's of the same minute.
_LAST: Final = f"""
SELECT given.i, given.s, given.at, last.close, {us("last.time")} AS time
FROM unnest(%s::int4[], %s::int2[], %s::int8[]) AS given (i, s, at)
CROSS JOIN LATERAL (
    SELECT time, close FROM (
        (SELECT time, close, 0 AS rank FROM candle_1m AS c
         WHERE c.instrument_id = given.i AND c.source = given.s AND c.time <= {timestamp("given.at")}
         ORDER BY c.time DESC LIMIT 1)
        UNION ALL
        (SELECT time, close, 1 FROM venue_candle AS c
         WHERE c.instrument_id = given.i AND c.source = given.s AND c.interval = '1m'
           AND c.time <= {timestamp("given.at")}
         ORDER BY c.time DESC LIMIT 1)) AS either
    ORDER BY time DESC, rank LIMIT 1) AS last
"""


def prices_at(moments: Iterable[Moment]) -> dict[Moment, Stood]:
    """The close of the newest minute that was over by then, however old; moments before the first are missing."""
    wanted = sorted(set(moments))
    if not wanted:
        return {}
    begins = [moment.at_us - MINUTE_US for moment in wanted]
    with connection.cursor() as cursor:
        cursor.execute(_LAST, [array(m.instrument_id for m in wanted), array(m.source for m in wanted), array(begins)])
        rows = cursor.fetchall()
    return {Moment(i, s, at + MINUTE_US): Stood(close, time + MINUTE_US) for i, s, at, close, time in rows}
