"""How many calls are answered, and what is said while a store is away."""

import pytest
import time_machine
from django.db import OperationalError
from django.test import override_settings
from redis.exceptions import ConnectionError as RedisGone

from worker import errors

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]

JOBS = "/api/jobs/"


@pytest.fixture(autouse=True)
def _limits(settings):
    settings.API_CALLS_PER_MINUTE, settings.API_CALLS_PER_MINUTE_ANONYMOUS = 3, 2
    settings.ANONYMOUS_MARKET_DATA = True


def calls(client, count, path=JOBS, **more):
    return [client.get(path, **more).status_code for _ in range(count)]


def test_each_user_has_their_own_minute(client, alice, bob):
    with time_machine.travel("2026-01-28T10:30:20Z", tick=False) as clock:
        client.force_login(alice)
        assert calls(client, 4) == [200, 200, 200, 429]
        assert client.get(JOBS).headers["Retry-After"] == "40"
        client.force_login(bob)
        assert calls(client, 1) == [200]
        client.force_login(alice)
        clock.shift(40)
        assert calls(client, 1) == [200]


def test_who_is_not_signed_in_is_counted_by_address(client):
    with time_machine.travel("2026-01-28T10:30:20Z", tick=False):
        path = "/api/instruments/"
        assert calls(client, 3, path, REMOTE_ADDR="203.0.113.1") == [200, 200, 429]
        assert calls(client, 1, path, REMOTE_ADDR="203.0.113.2") == [200]


def test_zero_is_no_limit(client, alice, settings):
    settings.API_CALLS_PER_MINUTE = 0
    client.force_login(alice)
    assert calls(client, 10) == [200] * 10


@pytest.mark.parametrize("error", [RedisGone("no"), OperationalError("no")])
def test_a_store_that_is_away_is_said_to_be(error):
    answer = errors.answer(error, {})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert errors.answer(ValueError(), {}) is None


def test_without_redis_calls_are_answered_uncounted(client, alice):
    client.force_login(alice)
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        assert calls(client, 5) == [200] * 5
        assert client.get("/api/feeds/").status_code == 503
