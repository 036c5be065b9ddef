"""/healthz and /readyz."""

import time

import pytest
import redis as redis_py
from django.db import connection
from django.db.utils import OperationalError
from django.test import override_settings

from ingestion import status as feed_status
from ingestion.models import Feed
from project import health
from worker import lease, queues
from worker.redis import client, key
from worker.resident import lease_name, registry


@pytest.fixture
def in_use(db, settings):
    """Every resident's lease held, every queue served, the feed ticking."""
    settings.FEEDS = ["simulated"]
    now_us = time.time_ns() // 1000
    wanted = [lease_name(item.name, shard) for item in registry.values() for shard in item.shards()]
    held = [granted for name in wanted if (granted := lease.acquire(name, ttl_s=30))]
    client().hset(key("pulse"), mapping=dict.fromkeys(queues.NAMES, time.time()))
    told = feed_status.FeedStatus("simulated", "simulated:0", feed_status.LIVE, now_us, now_us)
    client().set(key("feed", "simulated:0"), feed_status._encode(told))
    yield
    for granted in held:
        granted.release()
    client().delete(key("pulse"), key("feed", "simulated:0"))


def test_healthz_asks_no_store(client):
    # Without the `db` mark a query would fail.
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


def test_readyz_says_yes_when_everything_serves(client, in_use):
    answer = client.get("/readyz")
    assert answer.status_code == 200, answer.json()
    assert answer.json()["ready"] is True
    assert answer.json()["checks"]["feeds"]["feeds"]["simulated"]["last_tick_age_s"] < 60


def test_readyz_names_the_residents_that_nobody_holds(client, in_use):
    first = next(iter(registry.values()))
    name = lease_name(first.name, next(iter(first.shards())))
    _client().delete(key("lease", name))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["residents"]["missing"] == [name]


def test_readyz_names_the_queues_that_are_not_served(client, in_use, settings):
    _client().hset(key("pulse"), queues.SIGNALS, time.time() - settings.READY_WORKER_SILENCE_S - 5)
    _client().hdel(key("pulse"), queues.BACKFILL)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["workers"]["silent"] == [queues.BACKFILL, queues.SIGNALS]


def test_a_feed_may_be_silent_while_its_markets_are_closed_or_staff_stopped_it(client, in_use, settings):
    settings.FEEDS = ["simulated", "finnhub"]
    old_us = time.time_ns() // 1000 - 3600 * 1_000_000
    told = feed_status.FeedStatus("finnhub", "finnhub:0", feed_status.LIVE, time.time_ns() // 1000, old_us, closed=True)
    _client().set(key("feed", "finnhub:0"), feed_status._encode(told))
    assert health.feeds()["ok"]
    _client().delete(key("feed", "finnhub:0"))
    assert health.feeds()["late"] == ["finnhub"]
    Feed.objects.create(provider="finnhub", wanted=Feed.Wanted.STOPPED)
    assert health.feeds()["ok"]


def test_readyz_names_the_feed_whose_last_tick_is_old(client, in_use, settings):
    settings.READY_TICK_AGE_S = 0.0
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["feeds"]["late"] == ["simulated"]


def test_readyz_says_which_store_is_down_and_no_more(client, in_use, monkeypatch):
    """The connections themselves are broken here, in the way a stopped server breaks them."""

    def refuse(*_args, **_options):
        raise OperationalError('connection to server at "10.1.2.3" failed')

    with monkeypatch.context() as broken:
        broken.setattr(connection, "cursor", refuse)
        checks = client.get("/readyz").json()["checks"]
    assert checks["database"]["error"] == "OperationalError"
    assert checks["residents"] == {"ok": False, "error": "database is down"}
    assert checks["feeds"]["ok"] is True


def test_readyz_answers_while_redis_is_away(client, in_use):
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        checks = client.get("/readyz").json()["checks"]
    assert checks["redis"]["error"] == redis_py.ConnectionError.__name__
    assert checks["database"]["ok"] is True
    assert checks["workers"] == {"ok": False, "error": "redis is down"}


def test_a_container_is_told_what_is_wrong_with_its_service(in_use, settings):
    assert health.problem_of("worker-signals") is None
    _client().hdel(key("pulse"), queues.SIGNALS)
    assert health.problem_of("worker-signals") == "no task of the queue signals was taken ever"
    assert health.problem_of("worker-market") is None
    assert health.problem_of("beat") == "nobody holds the beat lease"
    settings.PORT = 1
    assert "refused" in health.problem_of("web")


def _client() -> redis_py.Redis:
    return client()
