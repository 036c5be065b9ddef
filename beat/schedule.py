"""What runs when, by task name. `manage.py sync_schedule` brings it into the table that beat reads and people edit.

Everything is in UTC: a local crontab runs twice or never when clocks change. Each entry expires before it is due again,
so that a stopped worker finds no heap of old work.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from ingestion.candles import INTERVALS
from worker import queues


@dataclass(frozen=True, slots=True)
class At:
    """A crontab's times, in UTC."""

    minute: str
    hour: str = "*"
    day_of_month: str = "*"
    month_of_year: str = "*"
    day_of_week: str = "*"


@dataclass(frozen=True, slots=True)
class Entry:
    """One task that runs every `every_s` seconds, or `at` certain times.

    queue: only where the task's name does not decide it (worker/queues.py).
    expire_s: how long a worker may take it; whole seconds, since the table holds nothing finer.
    """

    name: str
    task: str
    expire_s: int
    every_s: float | None = None
    at: At | None = None
    args: tuple[Any, ...] = ()
    queue: str | None = None

    def __post_init__(self) -> None:
        assert (self.every_s is None) != (self.at is None), f"{self.name}: either an interval or times"


def every(seconds: float, task: str, *args: Any, name: str = "", queue: str | None = None) -> Entry:
    """The task at a fixed interval. It expires after one interval: then the next is there."""
    return Entry(name or task, task, expire_s=max(1, round(seconds)), every_s=seconds, args=args, queue=queue)


def _closing(task: str, interval: str, least_s: float) -> Entry:
    """What looks at bars that have closed: a dozen times while one lasts, and at least each minute."""
    return every(max(least_s, min(60.0, INTERVALS[interval] / 12e6)), task, interval, name=f"{task} {interval}")


def entries() -> list[Entry]:
    """The whole schedule."""
    return [
        every(settings.RESIDENT_ASK_INTERVAL_S, "worker.ensure_residents"),
        every(settings.SIGNAL_INTERVAL_S, "signals.run_strategies", "1m"),
        *(
            every(
                settings.SIGNAL_LONG_INTERVAL_S,
                "signals.run_strategies",
                interval,
                name=f"signals.run_strategies {interval}",
            )
            for interval in INTERVALS
            if interval != "1m"
        ),
        every(settings.WATCHLIST_INTERVAL_S, "signals.want_strategies"),
        every(settings.STRATEGY_LOOK_INTERVAL_S, "signals.check_strategy_files"),
        *(_closing("signals.score_outcomes", interval, settings.OUTCOME_INTERVAL_S) for interval in INTERVALS),
        *(
            _closing("signals.find_patterns", interval, settings.FINDING_LOOK_INTERVAL_S)
            for interval in settings.FINDING_INTERVALS
        ),
        Entry("signals.tidy_findings", "signals.tidy_findings", at=At(minute="33"), expire_s=3000),
        every(60.0, "ingestion.heal_gaps"),
        every(settings.BACKFILL_ASK_INTERVAL_S, "ingestion.resume_backfills"),
        every(300.0, "ingestion.request_histories"),
        Entry("ingestion.heal_last_days", "ingestion.heal_last_days", at=At(minute="41", hour="2"), expire_s=3600),
        Entry("ingestion.keep_partitions", "ingestion.keep_partitions", at=At(minute="7"), expire_s=3000),
        Entry("ingestion.keep_storage", "ingestion.keep_storage", at=At(minute="11"), expire_s=3000),
        *(
            every(settings.REALTIME_UPDATE_INTERVAL_S, "ingestion.poll_quotes", source, name=f"ingestion.poll {source}")
            for source in settings.POLLERS
        ),
        # The ECB publishes about 16:00 in Frankfurt: 14:00 or 15:00 UTC.
        Entry(
            "ingestion.update_fx_rates",
            "ingestion.update_fx_rates",
            at=At(minute="20", hour="15,17,21"),
            expire_s=3000,
        ),
        Entry("ingestion.keep_calendars", "ingestion.keep_calendars", at=At(minute="37"), expire_s=3000),
        every(settings.WATCHLIST_INTERVAL_S, "ingestion.want_watched", queue=queues.POLLING),
        Entry("ingestion.refresh_instruments", "ingestion.refresh_instruments", at=At("41", "3"), expire_s=36_000),
        Entry("portfolio.keep_snapshots", "portfolio.keep_snapshots", at=At(minute="13"), expire_s=3000),
        Entry("portfolio.prove", "portfolio.prove", at=At(minute="17", hour="3"), expire_s=36_000),
        every(settings.NOTIFICATION_DIGEST_INTERVAL_S, "signals.send_digests"),
        every(settings.DELIVERY_INTERVAL_S, "signals.deliver_due"),
        every(settings.ALERT_RESCALE_INTERVAL_S, "signals.rescale_alerts"),
        Entry("signals.tidy_deliveries", "signals.tidy_deliveries", at=At(minute="33"), expire_s=3000),
        Entry("signals.tidy_notifications", "signals.tidy_notifications", at=At(minute="31"), expire_s=3000),
        *(
            every(settings.NEWS_ASK_INTERVAL_S, "signals.poll_news", provider, name=f"signals.poll_news {provider}")
            for provider in settings.NEWS_PROVIDERS
        ),
        Entry("signals.tidy_news", "signals.tidy_news", at=At(minute="47"), expire_s=3000),
        Entry("streaming.tidy", "streaming.tidy", at=At(minute="29"), expire_s=3000),
        Entry("worker.tidy", "worker.tidy", at=At(minute="23"), expire_s=3000),
        *(
            every(settings.PULSE_INTERVAL_S, "worker.pulse", queue, name=f"worker.pulse {queue}", queue=queue)
            for queue in queues.NAMES
            if queue != queues.CONTROL  # there `worker.ensure_residents` tells as much
        ),
    ]
