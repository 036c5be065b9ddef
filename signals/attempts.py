"""Delivering: take a delivery, send it, write down what came of it.

Whoever takes one moves its next attempt DELIVERY_LEASE_S ahead, and commits, before it sends. So one that dies between
sending and writing leaves a row that another takes later, with the same key: at least once, and never lost.

Locks go destination first, then delivery; the destination's lock lets rows that point to it be added meanwhile.
"""

import logging
import random
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from ingestion.store import to_us
from signals import channels, delivery, notifications, places, sending
from signals.channels.addresses import ForbiddenAddress
from signals.channels.shapes import Channel, Mail, Message, Outcome, Push, Request, Verdict
from signals.errands import Errand
from signals.models import Delivery, Destination
from signals.models.deliveries import REASON_MAX
from signals.notifications import Telling
from signals.sealing import Unreadable
from streaming.protocol import timestamp

logger = logging.getLogger(__name__)

RATE_WINDOW: Final = timedelta(minutes=1)
# A failure in passing keeps others to the same destination waiting for so long at most: it may be about one message.
PAUSE_MAX_S: Final = 30.0
SWITCHED_OFF: Final = "The destination is switched off."
# Tests of one user that are under way.
TESTS_AT_ONCE: Final = 3
_FORGET_AT_ONCE: Final = 5000


class TooMany(Exception):
    """The destination has had its share of this minute, or its owner's tests are under way. retry_after_s: until there
    is room."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


def deliver(delivery_id: int, now: datetime) -> Delivery | None:
    """Try it if it is due and nobody else is at it. Returns the row as it is afterwards, None if it wasn't taken."""
    taken = _take(delivery_id, now)
    if taken is None:
        return None
    return _settle(taken, _attempt(taken, now), timezone.now())


def test(destination: Destination, now: datetime) -> Delivery:
    """Send a test, now, by the same way. Tried once; it may prove a destination, and never switches one off.

    Whoever asks waits for DELIVERY_TEST_WAIT_S: what takes longer is pending still, and written down when it is over.
    Raises TooMany.
    """
    with transaction.atomic():
        destination = Destination.objects.select_for_update(no_key=True).get(pk=destination.pk)
        free_at = _free_at(destination, now)
        if free_at > now:
            raise TooMany((free_at - now).total_seconds())
        if _tests_under_way(destination) >= TESTS_AT_ONCE:
            raise TooMany(settings.DELIVERY_TEST_WAIT_S)
        made = Delivery.objects.create(destination=destination, due_at=now, **_begun(now))
    errand = Errand(lambda: _attempt_alone(made, now), lambda outcome: _settle(made, outcome, timezone.now()))
    outcome = errand.wait(settings.DELIVERY_TEST_WAIT_S)
    return made if outcome is None else _settle(made, outcome, timezone.now())


def _tests_under_way(destination: Destination) -> int:
    tests = Delivery.objects.filter(notification=None, status=Delivery.Status.PENDING)
    return tests.filter(destination__user=destination.user_id).count()


def _attempt_alone(row: Delivery, now: datetime) -> Outcome:
    """In a thread that ends with it, and its connections too."""
    try:
        return _attempt(row, now)
    finally:
        sending.close()


def again(row: Delivery, now: datetime) -> bool:
    """Let one that was given up begin anew. False where it is under way or has arrived."""
    over = Delivery.objects.filter(pk=row.pk, status__in=[Delivery.Status.FAILED, Delivery.Status.DROPPED])
    with transaction.atomic():
        hit = over.update(status=Delivery.Status.PENDING, attempts=0, due_at=now, next_attempt_at=now)
        row.refresh_from_db()
        if hit:
            delivery.nudge_on_commit([row])
    return bool(hit)


def forget_old(now: datetime) -> int:
    """Delete what was settled more than DELIVERY_KEEP_DAYS ago. Returns how many rows went; 0 days: for ever."""
    if not settings.DELIVERY_KEEP_DAYS:
        return 0
    before, gone = now - timedelta(days=settings.DELIVERY_KEEP_DAYS), 0
    over = Delivery.objects.exclude(status=Delivery.Status.PENDING).filter(created_at__lt=before)
    while old := list(over.order_by("created_at").values_list("pk", flat=True)[:_FORGET_AT_ONCE]):
        gone += Delivery.objects.filter(pk__in=old).delete()[0]
    return gone


# --- Taking ---------------------------------------------------------------------------------------------------


def _take(delivery_id: int, now: datetime) -> Delivery | None:
    """The row, ours for DELIVERY_LEASE_S; None when it is not due, another's, or has to wait."""
    with transaction.atomic():
        destination = (
            Destination.objects.select_for_update(no_key=True, of=("self",))
            .select_related("user")
            .filter(deliveries=delivery_id)
            .first()
        )
        rows = Delivery.objects.due(now).select_for_update(skip_locked=True, of=("self",))
        row = rows.select_related("notification").filter(pk=delivery_id).first()
        if row is None or destination is None:
            return None
        row.destination = destination
        return row if _may_begin(row, now) else None


def _may_begin(row: Delivery, now: datetime) -> bool:
    """Begin it; or drop it, give it up, or put it off, and say why."""
    destination = row.destination
    waits_until = max(destination.paused_until or now, _free_at(destination, now))
    if not (destination.enabled and destination.user.is_active):
        _over(row, Delivery.Status.DROPPED, SWITCHED_OFF)
    elif now - row.due_at > timedelta(seconds=settings.DELIVERY_MAX_AGE_S):
        _give_up(row, Delivery.Status.DROPPED, _too_old(row), now)
    elif row.attempts >= settings.DELIVERY_ATTEMPTS_MAX:
        _give_up(row, Delivery.Status.FAILED, f"Given up after {row.attempts} attempts.", now)
    elif waits_until > now:
        _update(row, next_attempt_at=waits_until)
    else:
        _update(row, **_begun(now, row.attempts))
        return True
    return False


def _begun(now: datetime, attempts: int = 0) -> dict[str, Any]:
    lease = timedelta(seconds=settings.DELIVERY_LEASE_S)
    return {"attempts": attempts + 1, "attempted_at": now, "next_attempt_at": now + lease}


def _free_at(destination: Destination, now: datetime) -> datetime:
    """When the destination may be called again: DELIVERIES_PER_MINUTE in any minute."""
    late = Delivery.objects.filter(destination=destination, attempted_at__gt=now - RATE_WINDOW)
    nth = late.order_by("-attempted_at").values_list("attempted_at", flat=True)
    full = nth[settings.DELIVERIES_PER_MINUTE - 1 : settings.DELIVERIES_PER_MINUTE]
    return max((at + RATE_WINDOW for at in full if at), default=now)


# --- Sending --------------------------------------------------------------------------------------------------


def _attempt(row: Delivery, now: datetime) -> Outcome:
    """Send it. Whatever goes wrong is an outcome."""
    channel = channels.CHANNELS[row.destination.kind]
    try:
        answer = sending.send(prepared(row, channel, now))
    except (ForbiddenAddress, Unreadable) as error:
        return Outcome(Verdict.GONE, str(error))
    except sending.Unsent as error:
        return Outcome(Verdict.RETRY, str(error))
    except (ValueError, KeyError, TypeError) as error:
        # A message or a configuration that cannot be put into a call: it won't be better next time.
        logger.warning("delivery %s cannot be sent: %s", row.pk, type(error).__name__)
        return Outcome(Verdict.REFUSED, f"It cannot be sent: {type(error).__name__}.")
    return channel.judge(answer)


def prepared(row: Delivery, channel: Channel, now: datetime) -> Request | Push | Mail:
    """What is sent. Raises Unreadable."""
    return channel.build(configuration(row.destination), message_of(row, now))


def configuration(destination: Destination) -> dict[str, Any]:
    """All of it, over what the installation sets for everybody. Raises Unreadable."""
    ours = {
        "api_url": settings.TELEGRAM_API_URL.rstrip("/"),
        "bot_token": settings.TELEGRAM_BOT_TOKEN,
        "default_server": settings.NTFY_URL,
    }
    return {**ours, **destination.config, **destination.secrets}


def message_of(row: Delivery, now: datetime) -> Message:
    """What is to be said."""
    told, at_s = row.notification, int(now.timestamp())
    if told is None:
        return Message(
            key=row.key,
            title="Test from Tapehouse",
            text=f"This is how {row.destination.name} is told.",
            created_at=timestamp(to_us(row.created_at)),
            at_s=at_s,
            path=places.SETTINGS,
            link=_link(places.SETTINGS),
            test=True,
        )
    path = places.place(told.notification_type, told.data)
    return Message(
        key=row.key,
        title=told.title,
        text=told.message,
        created_at=timestamp(to_us(told.created_at)),
        at_s=at_s,
        priority=told.priority,
        notification_type=told.notification_type,
        notification_id=told.public_id,
        data=told.data,
        path=path,
        link=_link(path),
    )


def _link(path: str) -> str:
    """The page's whole address, where the installation knows its own."""
    return settings.PUBLIC_URL and f"{settings.PUBLIC_URL}{path}"


# --- Writing down ---------------------------------------------------------------------------------------------


def _settle(taken: Delivery, outcome: Outcome, now: datetime) -> Delivery:
    """Write the outcome down. An attempt that took longer than its lease says only whether it has arrived."""
    with transaction.atomic():
        destination = Destination.objects.select_for_update(no_key=True).filter(pk=taken.destination_id).first()
        row = Delivery.objects.select_for_update().filter(pk=taken.pk).first()
        if destination is None or row is None:
            return taken  # its owner has deleted it meanwhile
        row.destination, row.notification = destination, taken.notification
        ours = row.status == Delivery.Status.PENDING and row.attempts == taken.attempts
        if outcome.verdict is Verdict.SENT:
            _sent(row, outcome, now)
        elif ours:
            row.response = outcome.response[:REASON_MAX]
            _failed(row, outcome, now)
    return row


def _sent(row: Delivery, outcome: Outcome, now: datetime) -> None:
    _update(
        row,
        status=Delivery.Status.SENT,
        sent_at=now,
        next_attempt_at=None,
        last_error="",
        response=outcome.response[:REASON_MAX],
    )
    _update(row.destination, verified=True, failures=0, paused_until=None)


def _failed(row: Delivery, outcome: Outcome, now: datetime) -> None:
    if row.notification is None:
        _over(row, Delivery.Status.FAILED, outcome.reason)
    elif outcome.verdict is Verdict.GONE:
        _over(row, Delivery.Status.FAILED, outcome.reason)
        _switch_off(row.destination, outcome.reason)
    elif outcome.verdict is Verdict.REFUSED:
        _give_up(row, Delivery.Status.FAILED, outcome.reason, now)
    else:
        _put_off(row, outcome, now)


def _put_off(row: Delivery, outcome: Outcome, now: datetime) -> None:
    """Try again later; others to the same destination wait a little as well, and for as long as it asked."""
    wait_s = pause_s(row.attempts, outcome.retry_after_s, random.random())  # noqa: S311 - an edge, and no secret
    longest = wait_s if outcome.retry_after_s is not None else min(wait_s, PAUSE_MAX_S)
    _update(row.destination, paused_until=now + timedelta(seconds=longest))
    at = now + timedelta(seconds=wait_s)
    if row.attempts >= settings.DELIVERY_ATTEMPTS_MAX:
        _give_up(row, Delivery.Status.FAILED, f"{outcome.reason}; given up after {row.attempts} attempts", now)
    elif at - row.due_at > timedelta(seconds=settings.DELIVERY_MAX_AGE_S):
        _give_up(row, Delivery.Status.DROPPED, f"{outcome.reason}; {_too_old(row)}", now)
    else:
        _update(row, next_attempt_at=at, last_error=outcome.reason[:REASON_MAX], response=row.response)


def pause_s(attempts: int, asked_s: float | None, chance: float) -> float:
    """Until the next attempt: DELIVERY_RETRY_S doubled each time, a part of it by chance so that not all come at once;
    never less than the receiver asked for. chance: 0 to 1.
    """
    longest: float = min(settings.DELIVERY_RETRY_S * 2.0 ** min(attempts - 1, 30), settings.DELIVERY_RETRY_MAX_S)
    own = longest * (0.5 + chance / 2)
    return own if asked_s is None else max(own, min(asked_s, settings.DELIVERY_MAX_AGE_S) * (1 + chance / 10))


def _give_up(row: Delivery, status: Delivery.Status, reason: str, now: datetime) -> None:
    """The end of one delivery: its owner is told once a day and destination; after too many in a row it goes off."""
    _over(row, status, reason)
    if row.notification is None:
        return
    destination = row.destination
    _update(destination, failures=destination.failures + 1)
    if destination.failures >= settings.DELIVERY_FAILURES_MAX:
        _switch_off(destination, f"{destination.failures} deliveries in a row were given up, the last: {reason}")
    else:
        _tell(destination, f"{now:%Y-%m-%d}", f"{destination.name} was not reached", f"“{row.notification}”: {reason}")


def _switch_off(destination: Destination, reason: str) -> None:
    """Nothing goes there until its owner switches it on again."""
    _update(destination, enabled=False, disabled_reason=reason[:REASON_MAX])
    waiting = Delivery.objects.filter(destination=destination, status=Delivery.Status.PENDING)
    waiting.update(status=Delivery.Status.DROPPED, next_attempt_at=None, last_error=SWITCHED_OFF)
    number = Delivery.objects.filter(destination=destination).order_by("-id").values_list("pk", flat=True).first()
    _tell(destination, f"off {number}", f"{destination.name} is switched off", f"Nothing arrives there: {reason}")


def _tell(destination: Destination, occasion: str, title: str, text: str) -> None:
    about = {"destination_id": destination.pk, "kind": destination.kind}
    what = Telling(
        title=title,
        message=text,
        notification_type="destination",
        dedupe_key=f"destination:{destination.pk}:{occasion}",
        priority="high",
        data=about,
    )
    notifications.tell([destination.user_id], what)


def _over(row: Delivery, status: Delivery.Status, reason: str) -> None:
    _update(row, status=status, next_attempt_at=None, last_error=reason[:REASON_MAX], response=row.response)


def _too_old(row: Delivery) -> str:
    return f"It was due at {row.due_at:%Y-%m-%d %H:%M} UTC and is too old to be news."


def _update(row: Delivery | Destination, **fields: Any) -> None:
    """Only these fields: others write other ones."""
    for name, value in fields.items():
        setattr(row, name, value)
    row.save(update_fields=list(fields))
