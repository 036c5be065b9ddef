import os
import subprocess
import sys

import pytest
import redis

from worker import metrics
from worker.redis import client, key


@pytest.fixture(autouse=True)
def no_counters():
    shared = client()
    metrics._counters.take()
    shared.delete(key("metrics"))
    yield
    metrics._counters.take()
    shared.delete(key("metrics"))


def test_counts_add_up():
    metrics.count("malformed")
    metrics.count("malformed", 4)
    metrics.count("late")
    assert metrics.totals() == {"late": 1, "malformed": 5}
    assert metrics.totals() == {"late": 1, "malformed": 5}


def test_counts_of_an_ended_process_stay():
    program = "import django; django.setup(); from worker import metrics; metrics.count('malformed', 2)"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "project.settings"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    metrics.count("malformed")
    assert metrics.totals() == {"malformed": 3}


def test_a_forked_child_does_not_count_its_parents_again():
    metrics.count("malformed")
    child = os.fork()
    if child == 0:
        metrics.count("malformed", 10)
        metrics.flush()
        os._exit(0)
    os.waitpid(child, 0)
    assert metrics.totals() == {"malformed": 11}


def test_an_outage_loses_no_count(own_redis, settings):
    shared = settings.REDIS_URL
    metrics.count("malformed", 3)
    settings.REDIS_URL = own_redis.url
    own_redis.kill()
    with pytest.raises(redis.RedisError):
        metrics.flush()
    metrics._flush_if_possible()
    settings.REDIS_URL = shared
    metrics.count("malformed")
    assert metrics.totals() == {"malformed": 4}


def test_the_hash_expires_once_nobody_counts():
    metrics.count("malformed")
    metrics.flush()
    assert 0 < client().ttl(key("metrics")) <= 7 * 24 * 3600
