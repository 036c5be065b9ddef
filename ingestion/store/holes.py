"""Which trades are there and which are not, by the numbers that venues give them.

Only for sources whose trade ids go up by one.
"""

import datetime as dt
from typing import Final, NamedTuple

from django.db import connection

from ingestion.store.times import FOREVER, array, to_datetime, us

# A trade is looked for so far beside the time that it should have: ids and times may cross by a little.
BESIDE_US: Final = 60_000_000


class Place(NamedTuple):
    """A stored trade's id and time."""

    trade_id: int
    time_us: int


class Missing(NamedTuple):
    """The ids [from_id, to_id], and the times of the trades around them."""

    from_id: int
    to_id: int
    from_us: int
    until_us: int


def trade_at_or_before(instrument_id: int, source: int, time_us: int) -> Place | None:
    """The last stored trade up to this time, by (time, id)."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT trade_id, {us("time")} FROM trade WHERE instrument_id = %s AND source = %s AND time <= %s
                ORDER BY time DESC, trade_id DESC LIMIT 1""",
            [instrument_id, source, to_datetime(time_us)],
        )
        row = cursor.fetchone()
    return Place(*row) if row else None


def trade_after(instrument_id: int, source: int, time_us: int) -> Place | None:
    """The first stored trade later than this time, by (time, id)."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT trade_id, {us("time")} FROM trade
                WHERE instrument_id = %s AND source = %s AND time > %s AND time < %s ORDER BY time, trade_id LIMIT 1""",
            [instrument_id, source, to_datetime(time_us), FOREVER],
        )
        row = cursor.fetchone()
    return Place(*row) if row else None


def missing_ids(instrument_id: int, source: int, from_us: int, until_us: int, limit: int = 1_000) -> list[Missing]:
    """The holes in the ids of the trades stored in [from, until], lowest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT before + 1, trade_id - 1, {us("before_time")}, {us("time")} FROM (
                    SELECT trade_id, time, lag(trade_id) OVER by_id AS before, lag(time) OVER by_id AS before_time
                    FROM trade WHERE instrument_id = %s AND source = %s AND time >= %s AND time <= %s
                    WINDOW by_id AS (ORDER BY trade_id)) AS stored
                WHERE trade_id > before + 1 ORDER BY trade_id LIMIT %s""",
            [instrument_id, source, to_datetime(from_us), to_datetime(until_us), limit],
        )
        return [Missing(*row) for row in cursor.fetchall()]


def count_ids(instrument_id: int, source: int, from_id: int, to_id: int, from_us: int, until_us: int) -> int:
    """How many of these ids are stored, of times in or beside [from, until]."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(DISTINCT trade_id) FROM trade WHERE instrument_id = %s AND source = %s
               AND time >= %s AND time <= %s AND trade_id BETWEEN %s AND %s""",
            [instrument_id, source, *_beside(from_us, until_us), from_id, to_id],
        )
        return int(cursor.fetchone()[0])


def stored_ids(instrument_id: int, source: int, ids: list[int], from_us: int, until_us: int) -> set[int]:
    """Those of the ids that are stored, of times in or beside [from, until]."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT trade_id FROM trade WHERE instrument_id = %s AND source = %s
               AND time >= %s AND time <= %s AND trade_id = ANY(%s::int8[])""",
            [instrument_id, source, *_beside(from_us, until_us), array(ids)],
        )
        return {row[0] for row in cursor.fetchall()}


def _beside(from_us: int, until_us: int) -> tuple[dt.datetime, dt.datetime]:
    return to_datetime(from_us - BESIDE_US), to_datetime(until_us + BESIDE_US)


def traded(source: int, from_us: int, until_us: int) -> set[int]:
    """The instruments that have a final candle of this source in [from, until]."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT instrument_id FROM candle_1m WHERE final AND source = %s AND time >= %s AND time <= %s",
            [source, to_datetime(from_us), to_datetime(until_us)],
        )
        return {row[0] for row in cursor.fetchall()}
