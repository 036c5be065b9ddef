"""Signal tasks."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from signals import (
    attempts,
    delivery,
    digests,
    evaluation,
    findings,
    news_polling,
    news_store,
    notifications,
    outcomes,
    rescaling,
    strategy_demand,
    strategy_files,
)
from signals.notifications import Telling


@shared_task(name="signals.run_strategies", ignore_result=True)
def run_strategies(interval: str) -> int:
    """Ask the strategies about the candles that have closed since the last time, and about signals whose candles were
    revised. Safe to run twice, and at once."""
    return len(evaluation.run(interval, timezone.now()))


@shared_task(name="signals.poll_news", ignore_result=True)
def poll_news(provider: str) -> dict[str, Any]:
    """One round of asking a provider for news: what is due. Two at once are one."""
    done = news_polling.poll(provider)
    return {"due": done.due, "new": done.new, "changed": done.changed, "failed": done.failed, "stopped": done.stopped}


@shared_task(name="signals.tidy_news", ignore_result=True, acks_late=True)
def tidy_news() -> int:
    """Delete news that is too old. Returns how many articles went."""
    return news_store.forget_old(timezone.now())


@shared_task(name="signals.notify", ignore_result=True, acks_late=True)
def notify(user_ids: list[int], telling: dict[str, Any]) -> int:
    """Tell users something; the fields are those of `notifications.Telling`. Delivered twice, it is told once."""
    return len(notifications.tell(user_ids, Telling(**telling)))


@shared_task(name="signals.send_digests", ignore_result=True)
def send_digests() -> int:
    """Tell the summaries that are due. Safe to run twice, and at once."""
    return digests.send_due(timezone.now())


@shared_task(name="signals.tidy_notifications", ignore_result=True)
def tidy_notifications() -> int:
    """Forget what was told too long ago. Returns how many notifications."""
    return notifications.forget_old(timezone.now())


@shared_task(name="signals.deliver", ignore_result=True, acks_late=True)
def deliver(delivery_id: int) -> str | None:
    """Try one delivery, if it is due. Twice at once, it is tried once. Returns its status."""
    row = attempts.deliver(delivery_id, timezone.now())
    return None if row is None else row.status


@shared_task(name="signals.deliver_due", ignore_result=True)
def deliver_due() -> int:
    """Have the deliveries tried that are due, and those whose worker died. Returns how many."""
    return delivery.nudge_due(timezone.now())


@shared_task(name="signals.tidy_deliveries", ignore_result=True)
def tidy_deliveries() -> int:
    """Forget old deliveries. Returns how many."""
    return attempts.forget_old(timezone.now())


@shared_task(name="signals.want_strategies", ignore_result=True)
def want_strategies() -> int:
    """Have the feeds follow what users' strategies name. Returns how many instruments that are."""
    return strategy_demand.want_all()


@shared_task(name="signals.check_strategy_files", ignore_result=True)
def check_strategy_files() -> int:
    """Look at the strategy files that are new or have changed. Safe to run twice, and at once."""
    return len(strategy_files.refresh(timezone.now()))


@shared_task(name="signals.score_outcomes", ignore_result=True)
def score_outcomes(interval: str) -> int:
    """Score the signals of this interval that have met their end. Safe to run twice, and at once."""
    return outcomes.score(interval, timezone.now())


@shared_task(name="signals.find_patterns", ignore_result=True)
def find_patterns(interval: str) -> int:
    """Look for figures and anomalies in the bars that have closed since the last time. Safe to run twice, and at
    once."""
    return findings.find(interval, timezone.now())


@shared_task(name="signals.tidy_findings", ignore_result=True)
def tidy_findings() -> int:
    """Forget old findings. Returns how many."""
    return findings.trim(timezone.now())


@shared_task(name="signals.rescale_alerts", ignore_result=True)
def rescale_alerts() -> int:
    """Bring thresholds into the terms of splits that are in effect. Safe to run twice, and at once."""
    return rescaling.rescale_all(timezone.now())
