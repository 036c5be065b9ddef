"""However many beats are started, one sends."""

import time

import pytest
import redis
from django.db import connection
from django_celery_beat.models import PeriodicTask

from beat.schedule import every
from beat.scheduler import LEASE
from beat.sync import sync
from project.localservices import Redis, free_port
from tests.processes import celery, started, wait_for

pytestmark = [pytest.mark.flow, pytest.mark.django_db(transaction=True)]

LEASE_S = 3.0


@pytest.fixture
def beats(tmp_path):
    """Starts beats on this test's database and a Redis of their own; `.sent()` is what they sent."""
    server = Redis(tmp_path / "redis", tied=True, port=free_port())
    server.start()
    database = connection.settings_dict
    login = f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
    environment = {
        "REDIS_URL": server.url,
        "REDIS_PREFIX": "beats",
        "DATABASE_URL": f"postgresql://{login}/{database['NAME']}",
        "BEAT_LEASE_TTL_S": str(LEASE_S),
    }
    client = redis.Redis.from_url(server.url, decode_responses=True)

    def start(name):
        command = celery("beat", "-l", "INFO", "--pidfile", str(tmp_path / f"{name}.pid"))
        return started(command, tmp_path / f"{name}.log", **environment)

    start.sent = lambda: client.llen("beats:celery:control")
    start.holder = lambda: client.get(f"beats:lease:{LEASE}")
    yield start
    client.close()
    server.stop()


def test_of_two_beats_one_sends_and_the_other_takes_over(beats):
    sync([every(1.0, "worker.ensure_residents")])
    with beats("one") as one:
        wait_for(lambda: beats.sent() >= 1, 40, "the first beat")
        with beats("two") as two:
            wait_for(lambda: two.says("celery beat v"), 40, "the second beat")
            before, began = beats.sent(), time.monotonic()
            wait_for(lambda: beats.sent() >= before + 5, 20, "five sends")
            assert time.monotonic() - began > 3.5
            assert f":{one.popen.pid}:" in beats.holder()
            assert not two.says("sends from now on")

            one.kill()
            wait_for(lambda: two.says("sends from now on"), 2 * LEASE_S + 3, "the second beat to take over")
            after = beats.sent()
            wait_for(lambda: beats.sent() > after, 10, "it to send")
            assert f":{two.popen.pid}:" in beats.holder()


def test_a_clean_end_hands_over_at_once(beats):
    sync([every(1.0, "worker.ensure_residents")])
    with beats("one") as one:
        wait_for(lambda: beats.sent() >= 1, 40, "the first beat")
        one.terminate()
        assert beats.holder() is None


def test_what_was_sent_is_noted_at_once(beats):
    """So that whoever takes over does not send a daily task a second time."""
    sync([every(3600.0, "worker.tidy")])
    PeriodicTask.objects.update(last_run_at="2026-01-01T00:00:00Z")
    with beats("one") as one:
        wait_for(lambda: beats.sent() == 1, 40, "the first beat")
        wait_for(lambda: PeriodicTask.objects.get().total_run_count == 1, 10, "its note")
        one.kill()
    with beats("two") as two:
        wait_for(lambda: two.says("sends from now on"), 40, "the second beat")
        two.terminate()
    assert beats.sent() == 1
