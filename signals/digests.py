"""Summaries: what is gathered for a user is told in one piece when it is due, once, whichever worker comes first."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from django.conf import settings
from django.db import transaction

from ingestion.store import to_us
from signals import delivery, notifications, wishes
from signals.courtesy import DIGEST, RANK
from signals.models import Digest, Notification
from signals.notifications import Telling
from streaming import events
from streaming.protocol import timestamp

# Titles that a summary repeats, and ids that it carries.
TITLES_MAX: Final = 10
IDS_MAX: Final = 100
# What several of a type are called, where adding an s won't do.
_PLURALS: Final = {"news": "news", "info": "messages", "system": "system messages", "job": "jobs"}


def send_due(now: datetime) -> int:
    """Close every summary that is due, and tell it. Returns how many were closed."""
    closed = 0
    while found := _send_some(now):
        closed += found
    return closed


def _send_some(now: datetime) -> int:
    """One transaction: whoever gathers into one of these waits for it, and then opens the next."""
    due = Digest.objects.filter(sent_at=None, due_at__lte=now).order_by("due_at", "id")
    with transaction.atomic():
        taken = list(due.select_for_update(skip_locked=True)[: settings.NOTIFICATION_DIGEST_BATCH])
        Digest.objects.filter(pk__in=[one.pk for one in taken]).update(sent_at=now)
        gathered = _gathered(taken)
        alone = [rows[0] for rows in gathered.values() if len(rows) == 1]
        several = [(one, gathered[one.pk]) for one in taken if len(gathered.get(one.pk, ())) > 1]
        delivery.plan(list(zip(alone, wishes.next_moments(alone, now), strict=True)))
        told = notifications.record_all([(one.user_id, _telling(one, rows, now)) for one, rows in several])
        events.append([notifications.message(row) for row in told])
    return len(taken)


def _gathered(taken: Sequence[Digest]) -> dict[int | None, list[Notification]]:
    """What each gathered, oldest first. What was read meanwhile needs no telling."""
    rows = Notification.objects.filter(digest__in=taken, read=False).order_by("digest_id", "id")
    return {digest_id: list(group) for digest_id, group in groupby(rows, key=lambda row: row.digest_id)}


def _telling(one: Digest, rows: Sequence[Notification], now: datetime) -> Telling:
    symbol, type_ = _common_symbol(rows), rows[0].notification_type
    more = "more " if one.key.startswith("storm:") else ""
    on = f" on {symbol}" if symbol else ""
    data = {
        "digest": True,
        "count": len(rows),
        "notification_ids": [row.public_id for row in rows[:IDS_MAX]],
        "since": timestamp(to_us(rows[0].created_at)),
        "until": timestamp(to_us(rows[-1].created_at)),
    }
    return Telling(
        title=f"{len(rows)} {more}{_plural(type_)}{on} in the last {_span(now - one.opened_at)}",
        message="\n".join(_titles(rows)),
        notification_type=type_,
        dedupe_key=f"digest:{one.pk}",
        priority=max((row.priority for row in rows), key=RANK.__getitem__),
        data=data | ({"symbol": symbol} if symbol else {}),
        group=DIGEST,
    )


def _titles(rows: Sequence[Notification]) -> list[str]:
    titles = [row.title for row in rows[:TITLES_MAX]]
    left = len(rows) - len(titles)
    return [*titles, f"… and {left} more"] if left else titles


def _common_symbol(rows: Sequence[Notification]) -> str:
    symbols = {row.data.get("symbol") for row in rows}
    (symbol,) = symbols if len(symbols) == 1 else {None}
    return symbol if isinstance(symbol, str) else ""


def _plural(type_: str) -> str:
    return _PLURALS.get(type_) or f"{type_.replace('_', ' ')}s"


def _span(length: timedelta) -> str:
    """`10 minutes`, `hour`, `2 days`: what comes after "in the last"."""
    minutes = max(1, round(length.total_seconds() / 60))
    for unit, size in (("day", 1440), ("hour", 60), ("minute", 1)):
        if minutes >= 2 * size or minutes == size:
            count = round(minutes / size)
            return unit if count == 1 else f"{count} {unit}s"
    raise AssertionError(minutes)
