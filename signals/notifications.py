"""Telling users, and what they have read. The rows are the record; the events make open pages move."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from ingestion.store import to_us
from signals import delivery, wishes
from signals.courtesy import Decision
from signals.models import Digest, Notification, new_public_id
from streaming import events
from streaming.protocol import Message, timestamp

# Ids in one `read` event; and rows that are deleted at once.
READ_IDS_MAX: Final = 1000
_FORGET_AT_ONCE: Final = 5000


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told. Raises ValueError for what no row can hold; a title that is too long is cut.

    public_id: a name for it that the caller wants to be known outside; else one is made. group: what it is counted with
    when there is too much of it (`signals/courtesy.py`); else its type and the `symbol` in its data.
    """

    title: str
    message: str
    notification_type: str
    dedupe_key: str
    priority: str = Notification.Priority.NORMAL
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    public_id: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        Notification.Priority(self.priority)
        for name in ("notification_type", "dedupe_key", "public_id", "group"):
            value = getattr(self, name)
            if value is not None and len(value) > _LENGTHS[name]:
                raise ValueError(f"{name} has more than {_LENGTHS[name]} characters: {value[:50]}…")


_LENGTHS: Final = {"notification_type": 32, "dedupe_key": 128, "public_id": 64, "group": 128}
_TITLE_MAX: Final = 200


def topic_of(user_id: int) -> str:
    """The user's own topic, canonical."""
    return f"notifications:{user_id}"


def tell(user_ids: Iterable[int], what: Telling) -> list[Notification]:
    """Tell each of the users, once a `dedupe_key`. Returns the new rows."""
    with transaction.atomic():
        told = record(user_ids, what)
        events.append([message(row) for row in told])
    return told


def record(user_ids: Iterable[int], what: Telling) -> list[Notification]:
    """Only the rows, inside the caller's transaction; the caller appends their messages, last, with its own.

    What is to be delivered, and when, is planned with them. Whoever is gone or deactivated is told nothing.
    """
    return record_all([(user_id, what) for user_id in sorted(set(user_ids))])


def record_all(tellings: Sequence[tuple[int, Telling]]) -> list[Notification]:
    """As `record`, of many tellings: the number of queries depends on neither users nor tellings."""
    _wait_for_same({what.dedupe_key for _, what in tellings})
    new = _untold(tellings)
    if not new:
        return []
    now = timezone.now()
    rows = [_row(user_id, what) for user_id, what in new]
    decisions = wishes.decide_all(rows, now)
    digests = _gather(rows, decisions, now)
    for row, digest_id in zip(rows, digests, strict=True):
        row.digest_id = digest_id
    told = Notification.objects.bulk_create(rows)
    dues = [None if row.digest_id else decision.due for row, decision in zip(told, decisions, strict=True)]
    delivery.plan(list(zip(told, dues, strict=True)))
    return told


def mark_read(user_id: int, public_ids: Collection[str]) -> list[str]:
    """Mark those of the user's own as read, and tell the user's other connections. Returns those that were unread."""
    return _read(Notification.objects.filter(user_id=user_id, public_id__in=list(public_ids)))


def mark_all_read(user_id: int, up_to: Notification | None = None) -> list[str]:
    """As `mark_read`, of all that the user was told; up_to: not of what came after it."""
    rows = Notification.objects.filter(user_id=user_id)
    return _read(rows if up_to is None else rows.filter(pk__lte=up_to.pk))


def change(row: Notification, *, read: bool = False, archived: bool | None = None) -> None:
    """Read it, put it away (which reads it as well), or take it out again. It stays a record."""
    with transaction.atomic():
        if archived is not None:
            Notification.objects.filter(pk=row.pk).update(archived=archived)
        if read or archived:
            mark_read(row.user_id, [row.public_id])


def forget_old(now: datetime) -> int:
    """Delete what is older than NOTIFICATION_KEEP_DAYS, read or not. Returns how many rows went; 0 days: for ever."""
    if not settings.NOTIFICATION_KEEP_DAYS:
        return 0
    before, gone = now - timedelta(days=settings.NOTIFICATION_KEEP_DAYS), 0
    while old := list(
        Notification.objects.filter(created_at__lt=before).values_list("pk", flat=True)[:_FORGET_AT_ONCE]
    ):
        gone += Notification.objects.filter(pk__in=old).delete()[1]["signals.Notification"]
    Digest.objects.filter(sent_at__lt=before).delete()
    return gone


def unread_of(user_id: int) -> list[Notification]:
    """The newest NOTIFICATION_SNAPSHOT_MAX unread ones, oldest first, as they would have come."""
    newest = Notification.objects.filter(user_id=user_id, read=False).order_by("-id")
    return list(newest[: settings.NOTIFICATION_SNAPSHOT_MAX])[::-1]


def message(row: Notification) -> Message:
    """The event that tells of it."""
    return Message(topic=topic_of(row.user_id), type="notification", data=payload(row), at_us=to_us(row.created_at))


def payload(row: Notification) -> dict[str, Any]:
    """The `data` of a `notification`, and its shape over HTTP."""
    return {
        "notification_id": row.public_id,
        "title": row.title,
        "message": row.message,
        "notification_type": row.notification_type,
        "priority": row.priority,
        "data": row.data,
        "read": row.read,
        "created_at": timestamp(to_us(row.created_at)),
    }


def _wait_for_same(dedupe_keys: Iterable[str]) -> None:
    """Whoever tells the same at the same time waits for us, and then finds it told."""
    keys = sorted(f"notification {key}" for key in dedupe_keys)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(key, 0)) FROM unnest(%s::text[]) AS key", [keys])


def _untold(tellings: Sequence[tuple[int, Telling]]) -> list[tuple[int, Telling]]:
    """Those of users who are there and active, and don't know it yet; of the same ones the first."""
    ids = {user_id for user_id, _ in tellings}
    there = set(get_user_model().objects.filter(pk__in=ids, is_active=True).values_list("pk", flat=True))
    rows = Notification.objects.filter(user_id__in=there, dedupe_key__in={what.dedupe_key for _, what in tellings})
    told = set(rows.order_by().values_list("user_id", "dedupe_key"))
    new = {(who, what.dedupe_key): (who, what) for who, what in reversed(tellings) if who in there}
    return [telling for place, telling in reversed(new.items()) if place not in told]


def _row(user_id: int, what: Telling) -> Notification:
    fields = msgspec.structs.asdict(what)
    group = fields.pop("group")
    fields |= {
        "title": what.title if len(what.title) <= _TITLE_MAX else what.title[: _TITLE_MAX - 1] + "…",
        "public_id": what.public_id or new_public_id(),
        "group_key": _group(what) if group is None else group,
    }
    return Notification(user_id=user_id, **fields)


def _group(what: Telling) -> str:
    symbol = what.data.get("symbol")
    return f"{what.notification_type}:{symbol}"[:128] if isinstance(symbol, str) else what.notification_type


def _gather(rows: Sequence[Notification], decisions: Sequence[Decision], now: datetime) -> list[int | None]:
    """The open summary that each goes into, opened where there is none; locked until the commit, in order."""
    due: dict[tuple[int, str], datetime] = {}
    for row, decision in zip(rows, decisions, strict=True):
        if decision.digest and decision.due:
            place = row.user_id, decision.digest
            due[place] = min(decision.due, due.get(place, decision.due))
    digests = _open(due, now)
    return [digests.get((row.user_id, decision.digest)) for row, decision in zip(rows, decisions, strict=True)]


def _open(due: Mapping[tuple[int, str], datetime], now: datetime) -> dict[tuple[int, str], int]:
    if not due:
        return {}
    ordered = sorted(due.items())
    with connection.cursor() as cursor:
        cursor.execute(
            _OPEN,
            [
                now,
                [user_id for (user_id, _), _ in ordered],
                [key for (_, key), _ in ordered],
                [at for _, at in ordered],
            ],
        )
        return {(user_id, key): pk for user_id, key, pk in cursor.fetchall()}


# A summary that is just being told is waited for, and then another one is opened.
_OPEN = """
    INSERT INTO signals_digest AS digest (opened_at, user_id, key, due_at)
    SELECT %s, wanted.* FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[]) AS wanted (user_id, key, due_at)
    ORDER BY user_id, key
    ON CONFLICT (user_id, key) WHERE sent_at IS NULL DO UPDATE SET due_at = LEAST(digest.due_at, excluded.due_at)
    RETURNING user_id, key, id
"""


def _read(rows: QuerySet[Notification]) -> list[str]:
    with transaction.atomic():
        unread = list(
            rows.filter(read=False).select_for_update().order_by("id").values_list("pk", "user_id", "public_id")
        )
        ids = [pk for pk, _, _ in unread]
        Notification.objects.filter(pk__in=ids).update(read=True)
        delivery.drop_read(ids, timezone.now())
        read = [public_id for _, _, public_id in unread]
        chunks = [read[at : at + READ_IDS_MAX] for at in range(0, len(read), READ_IDS_MAX)]
        events.append([_event(unread[0][1], "read", {"notification_ids": chunk}) for chunk in chunks])
    return read


def _event(user_id: int, type_: str, data: dict[str, Any]) -> Message:
    return Message(topic=topic_of(user_id), type=type_, data=data, at_us=to_us(timezone.now()))
