"""Telling users, and what they have read. The rows are the record; the events make open pages move."""

from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from ingestion.store import to_us
from signals.models import Notification, new_public_id
from streaming import events
from streaming.protocol import Message, timestamp


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told. public_id: a name for it that the caller wants to be known outside; else one is made."""

    title: str
    message: str
    notification_type: str
    dedupe_key: str
    priority: str = Notification.Priority.NORMAL
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    public_id: str | None = None


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
    """Only the rows, inside the caller's transaction; the caller appends their messages, last, with its own."""
    # Whoever tells the same at the same time waits, and then finds it told.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"notification {what.dedupe_key}"])
    ids = set(user_ids)
    told = Notification.objects.filter(user_id__in=ids, dedupe_key=what.dedupe_key).values_list("user_id", flat=True)
    fields = msgspec.structs.asdict(what) | {"public_id": what.public_id or new_public_id()}
    return Notification.objects.bulk_create(
        [Notification(user_id=user_id, **fields) for user_id in sorted(ids - set(told))]
    )


def mark_read(user_id: int, public_ids: Collection[str]) -> list[str]:
    """Mark those of the user's own as read, and tell the user's other connections. Returns those that were unread."""
    unread = Notification.objects.filter(user_id=user_id, public_id__in=list(public_ids), read=False)
    with transaction.atomic():
        found = list(unread.select_for_update().order_by("id").values_list("pk", "public_id"))
        Notification.objects.filter(pk__in=[pk for pk, _ in found]).update(read=True)
        read = [public_id for _, public_id in found]
        if read:
            events.append([_event(user_id, "read", {"notification_ids": read})])
    return read


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


def _event(user_id: int, type_: str, data: dict[str, Any]) -> Message:
    return Message(topic=topic_of(user_id), type=type_, data=data, at_us=to_us(timezone.now()))
