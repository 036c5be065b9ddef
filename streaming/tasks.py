"""What streaming does beside the sockets, on its own schedule."""

from celery import shared_task
from django.utils import timezone

from streaming import events


@shared_task(name="streaming.tidy")
def tidy() -> int:
    """Forget events that nobody comes back for any more. Returns how many."""
    return events.forget_old(timezone.now())
