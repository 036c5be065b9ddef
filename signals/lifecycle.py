"""What becomes of a signal: it is active until it has reached its target or its stop, has expired, or is superseded."""

from datetime import datetime
from typing import Final

from django.db import transaction

from signals.models import Signal
from signals.topics import update_messages
from streaming import events
from streaming.protocol import Message

_ENDS: Final = frozenset(
    (Signal.Status.TARGET, Signal.Status.STOP, Signal.Status.EXPIRED, Signal.Status.SUPERSEDED)
)  # fmt: skip


class IllegalTransition(ValueError):
    """A signal does not become this."""

    def __init__(self, before: str, after: str) -> None:
        super().__init__(f"A signal that is {before} does not become {after}.")
        self.before, self.after = before, after


def may_become(before: str, after: str) -> bool:
    """Only what is active ends, and it ends once."""
    return before == Signal.Status.ACTIVE and after in _ENDS


def conclude(signal: Signal, status: str, at: datetime) -> bool:
    """The signal's end, and its `signal_update`: a transaction, or the last step of the caller's.

    at: when it came to that. Returns False, having done nothing, where it has ended already. Raises IllegalTransition
    for a status that is no end.
    """
    with transaction.atomic():
        messages = end(signal, status, at)
        events.append(messages or [])
    return messages is not None


def end(signal: Signal, status: str, at: datetime) -> list[Message] | None:
    """As `conclude`, but only the row, for callers with more events of their own: they append these with them, last.

    None where it has ended already. Others who would end it wait for the caller's transaction.
    """
    if status not in _ENDS:
        raise IllegalTransition(signal.status, status)
    locked = Signal.objects.select_for_update(of=("self",)).select_related("instrument").get(pk=signal.pk)
    signal.status, signal.status_at = locked.status, locked.status_at
    if not may_become(locked.status, status):
        return None
    locked.status, locked.status_at = status, at
    locked.save(update_fields=["status", "status_at"])
    signal.status, signal.status_at = status, at
    return update_messages(locked, at)
