"""What is to be sent where. The rows are the record, a task is only a nudge; `signals/attempts.py` sends."""

import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from signals.models import Delivery, Destination, Notification

logger = logging.getLogger(__name__)

TASK: Final = "signals.deliver"
READ_BEFORE: Final = "Read before it was due."
_STANDING: Final = "SELECT * FROM signals_destination WHERE user_id = ANY(%s) AND enabled ORDER BY id FOR KEY SHARE"


def plan(told: Sequence[tuple[Notification, datetime | None]]) -> list[Delivery]:
    """A delivery to each destination that wants it, in the teller's transaction; those due now are nudged on commit.

    told: each notification with the time when it may go out, None: only in the application.
    Planning the same again adds nothing.
    """
    due = [(row, at) for row, at in told if at is not None]
    destinations = _destinations({row.user_id for row, _ in due})
    wanted = [
        Delivery(notification=row, destination=destination, due_at=at, next_attempt_at=at)
        for row, at in due
        for destination in destinations.get(row.user_id, [])
        if destination.wants(row)
    ]
    planned = Delivery.objects.bulk_create(_new(wanted))
    nudge_on_commit(planned)
    return planned


def drop_read(notification_ids: Collection[int], now: datetime) -> int:
    """What waits for the end of quiet hours is not sent any more once it was read; what is critical is. Returns how
    many; part of the reader's transaction."""
    held = Delivery.objects.filter(notification__in=notification_ids, status=Delivery.Status.PENDING, due_at__gt=now)
    held = held.exclude(notification__priority=Notification.Priority.CRITICAL)
    return held.update(status=Delivery.Status.DROPPED, next_attempt_at=None, last_error=READ_BEFORE)


def nudge_on_commit(planned: Iterable[Delivery]) -> None:
    """Ask for those that are due, once the row is there for whoever takes them."""
    now = timezone.now()
    ids = [row.pk for row in planned if row.next_attempt_at is not None and row.next_attempt_at <= now]
    if ids:
        transaction.on_commit(lambda: nudge(ids), robust=True)


def nudge(ids: Iterable[int]) -> None:
    """Ask the workers to try these. A nudge that is lost costs seconds: `signals.deliver_due` asks again."""
    try:
        for pk in ids:
            current_app.send_task(TASK, (pk,), expires=settings.DELIVERY_NUDGE_EXPIRE_S, ignore_result=True)
    except OperationalError as error:
        logger.warning("deliveries wait for the broker: %s", error)


def nudge_due(now: datetime) -> int:
    """Nudge what is due, DELIVERY_BATCH at most. Returns how many."""
    with transaction.atomic():
        # Rows that somebody is just taking are theirs.
        rows = Delivery.objects.due(now).select_for_update(skip_locked=True)
        ids = list(rows.values_list("pk", flat=True)[: settings.DELIVERY_BATCH])
    nudge(ids)
    return len(ids)


def _destinations(user_ids: set[int]) -> dict[int, list[Destination]]:
    """Those that are switched on, kept from being deleted until the teller has committed."""
    found: dict[int, list[Destination]] = {}
    for row in Destination.objects.raw(_STANDING, [list(user_ids)]) if user_ids else ():
        found.setdefault(row.user_id, []).append(row)
    return found


def _new(wanted: list[Delivery]) -> list[Delivery]:
    """Without those that there are."""
    rows = Delivery.objects.filter(notification_id__in={row.notification_id for row in wanted})
    there = set(rows.values_list("notification_id", "destination_id"))
    return [row for row in wanted if (row.notification_id, row.destination_id) not in there]
