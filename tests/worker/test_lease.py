"""One owner at a time, by a real Redis."""

import os
import signal
import subprocess
import sys
import time

import pytest
import redis

from worker import lease
from worker.redis import client, key

TTL_S = 1.0


@pytest.fixture
def name(request):
    shared = client()  # a test may point the settings elsewhere
    yield request.node.name
    shared.delete(key("lease", request.node.name), key("lease-token", request.node.name))


def wait_for(condition, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return answer


def test_a_held_lease_is_refused_until_it_is_released(name):
    first = lease.acquire(name, TTL_S)
    assert lease.acquire(name, TTL_S) is None
    first.release()
    assert lease.acquire(name, TTL_S).token > first.token


def test_a_lease_that_is_not_renewed_runs_out(name):
    first = lease.acquire(name, TTL_S)
    second = wait_for(lambda: lease.acquire(name, TTL_S))
    assert first.lost
    assert second.token > first.token


def test_a_renewed_lease_stays(name):
    first = lease.acquire(name, TTL_S)
    until = time.monotonic() + 3 * TTL_S
    while time.monotonic() < until:
        assert first.renew()
        assert lease.acquire(name, TTL_S) is None
        time.sleep(TTL_S / 3)
    assert not first.lost


def test_the_holder_counts_it_as_lost_before_redis_lets_go(name):
    first = lease.acquire(name, TTL_S)
    wait_for(lambda: first.lost)
    assert lease.acquire(name, TTL_S) is None


def test_a_lost_lease_is_lost_for_good(name):
    first = lease.acquire(name, TTL_S)
    wait_for(lambda: first.lost)
    assert not first.renew()
    second = wait_for(lambda: lease.acquire(name, TTL_S))
    assert not first.renew()
    assert first.lost
    assert second.renew()


def test_only_the_holder_renews_and_releases(name):
    first = lease.acquire(name, TTL_S)
    second = wait_for(lambda: lease.acquire(name, TTL_S))
    first.release()
    assert lease.holder(name).token == second.token
    assert second.renew()


def test_tokens_rise_by_the_clock_and_past_it(name):
    """The stored counter may be ahead of the clock (it was set back): then it is counted on from there."""
    seconds, microseconds = client().time()
    by_clock = lease.acquire(name, TTL_S)
    assert by_clock.token >= seconds * 1_000_000 + microseconds
    by_clock.release()
    client().set(key("lease-token", name), by_clock.token + 10**12)
    assert lease.acquire(name, TTL_S).token == by_clock.token + 10**12 + 1


def test_tokens_rise_although_redis_lost_everything(name):
    first = lease.acquire(name, TTL_S)
    client().delete(key("lease", name), key("lease-token", name))
    assert not first.renew()
    assert lease.acquire(name, TTL_S).token > first.token


def test_who_holds_what(name):
    assert lease.holder(name) is None
    assert lease.held([name, "nobody's"]) == set()
    first = lease.acquire(name, TTL_S)
    assert lease.held([name, "nobody's"]) == {name}
    assert lease.holder(name).token == first.token
    assert f":{os.getpid()}:" in lease.holder(name).name
    assert lease.held([]) == set()


def test_an_unreachable_redis_ends_the_lease_by_the_holders_own_clock(name, own_redis, settings):
    settings.REDIS_URL = own_redis.url
    mine = lease.Lease(name, lease.acquire(name, TTL_S).token, TTL_S, time.monotonic() + TTL_S * 0.9)
    own_redis.kill()
    with pytest.raises(redis.RedisError):
        mine.renew()
    assert not mine.lost
    wait_for(lambda: mine.lost)


HOLDER = """
import sys, time, django
django.setup()
from worker import lease
from worker.redis import client, key
mine = lease.acquire(sys.argv[1], float(sys.argv[2]))
print("held", mine.token, flush=True)
while mine.renew():
    time.sleep(0.05)
print("lost", mine.lost, flush=True)
"""


def test_a_paused_holder_wakes_up_fenced(name):
    """SIGSTOP is what a swapped-out or migrated machine looks like: only the token can tell."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, name, str(TTL_S)], stdout=subprocess.PIPE, text=True, env=_environment()
    )
    try:
        token = int(process.stdout.readline().split()[1])
        process.send_signal(signal.SIGSTOP)
        mine = wait_for(lambda: lease.acquire(name, TTL_S))
        assert mine.token > token
        mine.renew()
        process.send_signal(signal.SIGCONT)
        assert process.stdout.readline() == "lost True\n"
        assert lease.holder(name) is None or lease.holder(name).token == mine.token
    finally:
        process.kill()
        process.communicate()


def _environment():
    return os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
