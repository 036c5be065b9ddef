"""Signal tasks."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from signals import evaluation, notifications
from signals.notifications import Telling


@shared_task(name="signals.run_strategies", ignore_result=True)
def run_strategies(interval: str) -> int:
    """Ask the strategies about the candles that have closed since the last time. Safe to run twice, and at once."""
    return len(evaluation.run(interval, timezone.now()))


@shared_task(name="signals.notify", ignore_result=True, acks_late=True)
def notify(user_ids: list[int], telling: dict[str, Any]) -> int:
    """Tell users something; the fields are those of `notifications.Telling`. Delivered twice, it is told once."""
    return len(notifications.tell(user_ids, Telling(**telling)))
