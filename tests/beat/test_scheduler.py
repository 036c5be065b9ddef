"""However many beats are started, one sends."""

import pytest
import redis
from django.db import connection

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
        wait_for(lambda: one.says("sends from now on"), 40, "the first beat")
        with beats("two") as two:
            wait_for(lambda: two.says("beat: Starting"), 40, "the second beat")
            before = beats.sent()
            wait_for(lambda: beats.sent() >= before + 5, 20, "five sends")
            assert "Sending due task" not in two.output()
            assert one.output().count("Sending due task") == pytest.approx(beats.sent(), abs=1)

            one.kill()
            wait_for(lambda: two.says("Sending due task"), 2 * LEASE_S + 3, "the second beat to take over")


def test_a_clean_end_hands_over_at_once(beats):
    sync([every(1.0, "worker.ensure_residents")])
    with beats("one") as one:
        wait_for(lambda: one.says("Sending due task"), 40, "the first beat")
        one.terminate()
        assert beats.holder() is None
