"""What the engine does by itself."""

import pytest
from celery import current_app
from kombu import Connection

from worker import lease, queues, resident, tasks
from worker.redis import client, key


@pytest.fixture
def only(monkeypatch):
    """A registry of this test's own."""
    registry = {}
    monkeypatch.setattr(resident, "registry", registry)
    monkeypatch.setattr(tasks, "registry", registry)
    yield resident.register
    for registration in registry.values():
        for shard in "ab":
            client().delete(
                key("lease", f"{registration.name}:{shard}"), key("lease-token", f"{registration.name}:{shard}")
            )


@pytest.fixture
def waiting():
    """The resident queue, emptied before and after: how many requests are in it."""

    def purge():
        with current_app.connection_for_write() as connection:
            return current_app.amqp.queues[queues.RESIDENT](connection.default_channel).purge()

    purge()
    yield lambda: tasks._waiting(queues.RESIDENT)
    purge()


def test_only_residents_that_nobody_owns_are_asked_for(only, waiting):
    only("tests.one", task="tests.one", shards=lambda: "ab")
    held = lease.acquire(resident.lease_name("tests.one", "a"))
    assert [shard for _, shard in tasks.unowned(resident.registry.values())] == ["b"]
    tasks.ensure_residents()
    assert waiting() == 1
    held.release()


def test_requests_expire_and_are_not_repeated_before_one_is_taken(only, waiting, settings):
    only("tests.one", task="tests.one", shards=lambda: "ab")
    for _ in range(3):
        tasks.ensure_residents()
    assert waiting() == 2
    with Connection(settings.CELERY_BROKER_URL, transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS) as broker:
        message = broker.SimpleQueue(current_app.amqp.queues[queues.RESIDENT]).get(timeout=2)
        message.ack()
    assert message.headers["task"] == "tests.one"
    assert message.headers["expires"] is not None


def test_one_packages_error_does_not_keep_the_others_from_starting(only, waiting, caplog):
    def broken():
        raise ZeroDivisionError

    only("tests.broken", task="tests.broken", shards=broken)
    only("tests.one", task="tests.one", shards=lambda: "a")
    tasks.ensure_residents()
    assert waiting() == 1
    assert "the shards of tests.broken are unknown" in caplog.text


def test_readiness_sees_how_long_ago_each_queue_was_served(only, waiting):
    client().delete(key("pulse"))
    assert tasks.last_control_run_age_s() is None
    assert tasks.pulse_ages_s() == dict.fromkeys(queues.NAMES)
    tasks.ensure_residents()
    tasks.pulse("backfill")
    assert 0 <= tasks.last_control_run_age_s() < 5
    assert 0 <= tasks.pulse_ages_s()["backfill"] < 5
    assert tasks.pulse_ages_s()["signals"] is None


@pytest.mark.django_db
def test_tidying_twice_changes_nothing():
    tasks.tidy()
    tasks.tidy()


@pytest.mark.parametrize(
    ("task", "queue"),
    [
        ("worker.ensure_residents", "control"),
        ("ingestion.listen", "resident"),
        ("ingestion.persist", "resident"),
        ("portfolio.follow", "resident"),
        ("portfolio.match", "resident"),
        ("ingestion.poll_quotes", "polling"),
        ("ingestion.force_update", "polling"),
        ("signals.poll_news", "polling"),
        ("ingestion.backfill_chunk", "backfill"),
        ("ingestion.keep_partitions", "backfill"),
        ("portfolio.revalue", "portfolio"),
        ("signals.run_strategies", "signals"),
        ("signals.notify", "notifications"),
        ("signals.deliver", "notifications"),
        ("nobody.knows", "control"),
    ],
)
def test_where_a_task_waits(task, queue):
    assert current_app.amqp.router.route({}, task)["queue"].name == queue


def test_every_resident_is_a_task_that_workers_know():
    current_app.loader.import_default_modules()
    unknown = {registration.task for registration in resident.registry.values()} - set(current_app.tasks)
    assert unknown == set()
