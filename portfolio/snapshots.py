"""What portfolios were worth, kept: by the minute, then by the hour, then by the day. The only file that writes them.

A row is of the stretch of time that begins at its `time`, and holds the last value in it. Where nothing moves there is
a row each SNAPSHOT_IDLE_INTERVAL_S; where there is none for longer, nobody knows.
"""

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Final

from django.conf import settings
from django.db import connection, transaction

from ingestion import partitions
from ingestion.store import NATIVE, storage_kind, to_us
from portfolio.models import DaySnapshot, HourSnapshot, MinuteSnapshot
from portfolio.topics import Revalued

MINUTE: Final = dt.timedelta(minutes=1)
HOUR: Final = dt.timedelta(hours=1)
DAY: Final = dt.timedelta(days=1)
# Noted at one go.
CHUNK: Final = 200


class Minutes:
    """Whom the follower has to note: in each minute those in whom something moved, and the others once in a while."""

    def __init__(self) -> None:
        self.moved: set[int] = set()
        self.minute: dt.datetime | None = None
        self._noted: dict[int, dt.datetime] = {}
        self._waiting: list[int] = []

    def take(self, now: dt.datetime, portfolios: Collection[int]) -> list[int]:
        """Some of those that are due, a few at a time; none when there are no more in this minute."""
        minute = now.replace(second=0, microsecond=0)
        if minute != self.minute:
            # What a follower that has just begun saw of a minute is not all of it.
            if self.minute is not None:
                self._waiting = self._due(minute, portfolios)
                self.moved = set()
            self.minute = minute
        taken, self._waiting = self._waiting[:CHUNK], self._waiting[CHUNK:]
        self._noted |= dict.fromkeys(taken, minute)
        return taken

    def _due(self, minute: dt.datetime, portfolios: Collection[int]) -> list[int]:
        idle_since = minute - dt.timedelta(seconds=settings.SNAPSHOT_IDLE_INTERVAL_S)
        self._noted = {p: noted for p, noted in self._noted.items() if p in portfolios}
        return [p for p in portfolios if p in self.moved or self._noted.get(p, idle_since) <= idle_since]


def write(values: Sequence[Revalued]) -> None:
    """Note these values in the minutes they are of, each once; a value of late prices says so."""
    if not values:
        return
    rows = [_row(value) for value in values]
    if storage_kind() == NATIVE:
        partitions.ensure(MinuteSnapshot._meta.db_table, {partitions.week_of(to_us(row.time)) for row in rows})
    MinuteSnapshot.objects.bulk_create(rows, ignore_conflicts=True)


def _row(value: Revalued) -> MinuteSnapshot:
    worth = value.worth
    return MinuteSnapshot(
        portfolio_id=value.portfolio_id,
        time=worth.as_of.replace(second=0, microsecond=0),
        version=value.version,
        total_value=worth.total_value,
        market_value=worth.market_value,
        cash=worth.cash,
        net_invested=worth.net_invested,
        realized_pnl=worth.realized,
        unrealized_pnl=worth.unrealized,
        stale=worth.late or bool(worth.unpriced),
    )


# --- Downsampling

_ROLL_UP: Final = """
INSERT INTO {longer} ({columns})
SELECT DISTINCT ON (portfolio_id, date_trunc(%(unit)s, time, 'UTC'))
       portfolio_id, date_trunc(%(unit)s, time, 'UTC'), {rest}
FROM {shorter} WHERE time >= %(start)s AND time < %(end)s
ORDER BY portfolio_id, date_trunc(%(unit)s, time, 'UTC'), time DESC
ON CONFLICT (portfolio_id, time) DO UPDATE SET ({rest}) = ROW ({new})
"""
_REST: Final = (
    "version", "total_value", "market_value", "cash", "net_invested", "realized_pnl", "unrealized_pnl", "stale",
)  # fmt: skip


def keep(now: dt.datetime) -> None:
    """Make hours of minutes and days of hours, then let go what is older than the settings say. Safe to run twice."""
    _roll_up("hour", MinuteSnapshot._meta.db_table, HourSnapshot._meta.db_table, now.replace(minute=0, second=0), HOUR)
    _roll_up(
        "day", HourSnapshot._meta.db_table, DaySnapshot._meta.db_table, now.replace(hour=0, minute=0, second=0), DAY
    )
    if settings.SNAPSHOT_KEEP_MINUTES_DAYS:
        _drop_minutes(now - settings.SNAPSHOT_KEEP_MINUTES_DAYS * DAY)
    if settings.SNAPSHOT_KEEP_HOURS_DAYS:
        HourSnapshot.objects.filter(time__lt=now - settings.SNAPSHOT_KEEP_HOURS_DAYS * DAY).delete()
    if settings.SNAPSHOT_KEEP_DAYS_DAYS:
        DaySnapshot.objects.filter(time__lt=now - settings.SNAPSHOT_KEEP_DAYS_DAYS * DAY).delete()


def _roll_up(unit: str, shorter: str, longer: str, end: dt.datetime, overlap: dt.timedelta) -> None:
    """What is over, from the newest that is made already: that one once more, for what came late."""
    sql = _ROLL_UP.format(
        shorter=shorter,
        longer=longer,
        columns=", ".join(("portfolio_id", "time", *_REST)),
        rest=", ".join(_REST),
        new=", ".join(f"EXCLUDED.{name}" for name in _REST),
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT max(time) FROM {longer}")
        newest = cursor.fetchone()[0]
        start = newest - overlap if newest else dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        cursor.execute(sql, {"unit": unit, "start": start, "end": end.replace(microsecond=0)})


def _drop_minutes(before: dt.datetime) -> None:
    """Whole ranges that end before: days with TimescaleDB, weeks without."""
    table = MinuteSnapshot._meta.db_table
    with connection.cursor() as cursor:
        if storage_kind() != NATIVE:
            cursor.execute("SELECT drop_chunks(%s, older_than => %s::timestamptz)", [table, before])
            return
        for name, _, end in partitions.existing(table):
            if end <= before:
                cursor.execute(f"DROP TABLE {name}")
