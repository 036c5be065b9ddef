"""The ledger of what is missing: holes in the numbers of a venue's trades, one row each."""

import datetime as dt
from collections.abc import Iterable
from typing import Final, Protocol

from django.conf import settings
from django.db import connection, transaction

from ingestion import symbols
from ingestion.models import Gap
from ingestion.store.times import to_datetime

HOLE: Final = "hole in the numbers"
# One number for all of us in PostgreSQL's space of advisory locks: two that tell of the same hole take turns.
_LOCK: Final = 0x7461_7068


class Hole(Protocol):
    """Trades of a symbol that did not come: the ids [from_id, to_id], and the times around them."""

    @property
    def symbol(self) -> str: ...
    @property
    def from_id(self) -> int: ...
    @property
    def to_id(self) -> int: ...
    @property
    def from_us(self) -> int: ...
    @property
    def until_us(self) -> int: ...


def record(provider: str, holes: Iterable[Hole], cause: str = HOLE) -> int:
    """Note the holes, each once; those that touch or overlap become one. Returns how many rows are new or grew.

    A hole that a row tells of already (whatever became of it) changes nothing. Symbols that nobody knows are left out.
    """
    ids = {name: known.id for name, known in symbols.provider_map(provider).items()}
    known = [hole for hole in holes if hole.symbol in ids and hole.from_id <= hole.to_id]
    if not known:
        return 0
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        return sum(_record(provider, ids[hole.symbol], hole, cause) for hole in known)


def _record(provider: str, instrument_id: int, hole: Hole, cause: str) -> bool:
    rows = Gap.objects.filter(provider=provider, instrument_id=instrument_id, from_id__isnull=False)
    if rows.filter(from_id__lte=hole.from_id, to_id__gte=hole.to_id).exists():
        return False
    open_rows = rows.filter(status__in=(Gap.Status.OPEN, Gap.Status.REPAIRING)).select_for_update()
    touching = list(open_rows.filter(from_id__lte=hole.to_id + 1, to_id__gte=hole.from_id - 1).order_by("id"))
    if not touching and open_rows.count() >= settings.GAPS_OPEN_MAX:
        touching = [_nearest(list(open_rows), hole)]
    if not touching:
        _create(provider, instrument_id, hole, cause)
    else:
        _join(touching, hole)
    return True


def _create(provider: str, instrument_id: int, hole: Hole, cause: str) -> None:
    Gap.objects.create(
        provider=provider, instrument_id=instrument_id, kind=Gap.Kind.TRADES, cause=cause,
        started_at=to_datetime(hole.from_us), ended_at=to_datetime(hole.until_us),
        from_id=hole.from_id, to_id=hole.to_id, ticks=hole.to_id - hole.from_id + 1,
    )  # fmt: skip


def _join(rows: list[Gap], hole: Hole) -> None:
    """Make one row of these and the hole, open anew."""
    first, *others = rows
    first.from_id = min(hole.from_id, *(row.from_id or 0 for row in rows))
    first.to_id = max(hole.to_id, *(row.to_id or 0 for row in rows))
    first.started_at = min(to_datetime(hole.from_us), *(row.started_at for row in rows))
    first.ended_at = max(to_datetime(hole.until_us), *(_end(row) for row in rows))
    first.ticks = first.to_id - first.from_id + 1
    first.repaired = sum(row.repaired for row in rows)
    first.status = Gap.Status.OPEN
    Gap.objects.filter(pk__in=[row.pk for row in others]).delete()
    first.save(update_fields=["from_id", "to_id", "started_at", "ended_at", "ticks", "repaired", "status"])


def _end(row: Gap) -> dt.datetime:
    return row.ended_at or row.started_at


def _nearest(rows: list[Gap], hole: Hole) -> Gap:
    def distance(row: Gap) -> int:
        return max((row.from_id or 0) - hole.to_id, hole.from_id - (row.to_id or 0))

    return min(rows, key=distance)


def reopen(gap: Gap) -> bool:
    """Have one that was given up tried once more. False when it is open already, or filled."""
    hit = Gap.objects.filter(pk=gap.pk, status=Gap.Status.UNFILLABLE).update(
        status=Gap.Status.OPEN, attempts=0, next_attempt_at=None, detail=""
    )
    return hit == 1
