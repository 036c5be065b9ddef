"""The engine's own tasks: keep the residents alive, show that queues are served, tidy up."""

import logging
from collections.abc import Iterable
from typing import Any

from celery import current_app, shared_task
from django.conf import settings
from django.utils import timezone

from worker import jobs, lease, metrics, queues
from worker.redis import client, key
from worker.resident import Registration, lease_name, registry

logger = logging.getLogger(__name__)


@shared_task(name="worker.ensure_residents", ignore_result=True)
def ensure_residents() -> None:
    """Ask for every resident that nobody owns. Running it twice changes nothing: a lease has one owner."""
    _note_run(queues.CONTROL)
    missing = unowned(registry.values())
    if not missing:
        return
    if (waiting := _waiting(queues.RESIDENT)) > 0:
        # Expired requests stay in the queue until a worker reads them. One that is not read needs no company.
        logger.warning("%d residents are missing, and no worker takes the %d requests", len(missing), waiting)
        return
    for registration, shard in missing:
        ask(registration, shard)


def unowned(registrations: Iterable[Registration]) -> list[tuple[Registration, str]]:
    """The (registration, shard) pairs whose lease nobody holds. A package whose shards can't be told is left out."""
    wanted = [(registration, shard) for registration in registrations for shard in _shards(registration)]
    held = lease.held(lease_name(registration.name, shard) for registration, shard in wanted)
    return [pair for pair in wanted if lease_name(pair[0].name, pair[1]) not in held]


def ask(registration: Registration, shard: str) -> None:
    """Ask for the resident; a request that is not taken before the next one is made runs out."""
    current_app.send_task(
        registration.task, (shard,), queue=queues.RESIDENT, expires=settings.RESIDENT_ASK_INTERVAL_S, ignore_result=True
    )


@shared_task(name="worker.pulse", ignore_result=True)
def pulse(queue: str) -> None:
    """Show that a worker takes tasks from the queue. beat sends one into each; readiness reads `pulse_ages_s`."""
    _note_run(queue)


@shared_task(name="worker.tidy", ignore_result=True, time_limit=300)
def tidy() -> None:
    """Fail abandoned jobs, delete old ones. Re-running changes nothing."""
    now = timezone.now()
    logger.info("jobs: %d abandoned, %d forgotten", jobs.abandon_silent(now), jobs.forget_old(now))


def last_control_run_age_s() -> float | None:
    """Seconds since a worker last took a task from the control queue, None if never. Raises redis.RedisError.

    Above a few asking intervals, beat is down or the worker is deaf: alive, with a dead connection to the broker.
    """
    return pulse_ages_s()[queues.CONTROL]


def pulse_ages_s() -> dict[str, float | None]:
    """The same for every queue, by name; beat sends into the others every PULSE_INTERVAL_S."""
    runs: Any = client().hgetall(key("pulse"))
    ages = {name.decode(): _now_s() - float(ran_at) for name, ran_at in runs.items()}
    return {name: ages.get(name) for name in queues.NAMES}


def _note_run(queue: str) -> None:
    client().hset(key("pulse"), queue, _now_s())


def _now_s() -> float:
    # Redis' clock: the one that every machine sees alike.
    seconds, microseconds = client().time()
    return seconds + microseconds / 1e6


def _shards(registration: Registration) -> list[str]:
    try:
        return list(registration.shards())
    except Exception:
        # One package's database error must not keep the others' residents from starting.
        logger.exception("the shards of %s are unknown", registration.name)
        metrics.count("worker.shards_unknown")
        return []


def _waiting(queue: str) -> int:
    """How many messages no worker has taken yet; asked of the broker in a way that all brokers know."""
    with current_app.connection_or_acquire() as connection:
        declared: Any = current_app.amqp.queues[queue](connection.default_channel).queue_declare()
        return int(declared.message_count)
