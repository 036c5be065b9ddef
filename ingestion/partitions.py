"""Weekly partitions of the tick tables, where the server has no TimescaleDB.

There is no DEFAULT partition: it would have to be searched and locked for each new one. So a partition is made before
a row of its week comes: ahead of time by a task, and by the writer for the days in a batch.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from django.db import connection, transaction

TABLES: Final = ("trade", "quote")
DAY_US: Final = 86_400_000_000
WEEK_US: Final = 7 * DAY_US
# 1970-01-05 was a Monday.
_FIRST_MONDAY_US: Final = 4 * DAY_US
# One number for all of us in PostgreSQL's space of advisory locks.
_LOCK: Final = 0x7461_7065

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def weeks(times_us: np.ndarray) -> set[int]:
    """The weeks, counted from 1970-01-05, that hold these times (microseconds since 1970)."""
    if not len(times_us):
        return set()
    first, last = week_of(int(times_us.min())), week_of(int(times_us.max()))
    if last - first <= 1:
        return {first, last}
    return {int(week) for week in np.unique((times_us - _FIRST_MONDAY_US) // WEEK_US)}


def week_of(time_us: int) -> int:
    return (time_us - _FIRST_MONDAY_US) // WEEK_US


def ensure(table: str, wanted: Iterable[int]) -> int:
    """Make sure that `table` has a partition for each of the weeks; in a transaction of their own, under a lock that
    keeps two from making the same. Returns how many were missing. To be called outside of any transaction."""
    if not _missing(table, wanted):
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        missing = _missing(table, wanted)
        for name, week in missing.items():
            _make(cursor, table, name, week)
    return len(missing)


def existing(table: str) -> list[tuple[str, dt.datetime, dt.datetime]]:
    """The partitions of `table`, oldest first: name, start, end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [table])
        names = sorted(name for (name,) in cursor.fetchall())
    starts = [dt.datetime.strptime(name.rpartition("_")[2], "%Y%m%d").replace(tzinfo=dt.UTC) for name in names]
    return [(name, start, start + dt.timedelta(weeks=1)) for name, start in zip(names, starts, strict=True)]


def _missing(table: str, wanted: Iterable[int]) -> dict[str, int]:
    """The names of the partitions that are not there, and their weeks. Asked anew each time: they can be dropped."""
    names = {f"{table}_{_start(week):%Y%m%d}": week for week in wanted}
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM unnest(%s::text[]) AS n (name) WHERE to_regclass(name) IS NULL", [list(names)])
        return {name: names[name] for (name,) in cursor.fetchall()}


def _make(cursor: Any, table: str, name: str, week: int) -> None:
    """Attaching locks the table only against other such changes; CREATE … PARTITION OF would stop its readers."""
    cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    cursor.execute(
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)", [_start(week), _start(week + 1)]
    )


def _start(week: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=_FIRST_MONDAY_US, weeks=week)
