"""Residents in real workers: who takes over, how fast, and how they end."""

import time

import pytest

from tests.processes import wait_for

pytestmark = pytest.mark.flow

LEASE_S, ASK_S = 3.0, 2.0
STARTUP_S = 40.0  # a worker's first second is long on a busy machine
SLACK_S = 1.5  # and so is the way of a message


def test_after_a_kill_another_worker_takes_over_within_lease_and_asking_interval(engine):
    """And a fenced-off token tells the old owner's writes from the new one's."""
    with engine.worker("threads", "resident,control") as one, engine.worker("threads", "resident,control") as two:
        wait_for(lambda: one.says("ready.") and two.says("ready."), STARTUP_S, "two workers")
        with engine.asking(ASK_S):
            wait_for(engine.stays, 2 * ASK_S + 5, "an owner")
            (owner, token, _), *others = engine.stays()
            assert not others
            killed, left = (one, two) if owner == one.popen.pid else (two, one)
            killed.kill()
            killed_at = time.time()
            wait_for(lambda: len(engine.stays()) == 2, LEASE_S + ASK_S + 5, "a new owner")
        successor, next_token, began_at = engine.stays()[1]
        assert successor == left.popen.pid
        assert next_token > token
        assert began_at - killed_at < LEASE_S + ASK_S + SLACK_S
        assert engine.stays(which="tests.ended") == []


def test_sigterm_drains_in_about_a_second_and_frees_the_lease(engine):
    with engine.worker("threads", "resident,control", TEST_SHARDS="a,b,c") as one:
        wait_for(lambda: one.says("ready."), STARTUP_S, "a worker")
        engine.send("worker.ensure_residents")
        wait_for(lambda: all(engine.stays(shard) for shard in "abc"), 10, "three residents")
        asked_at = time.time()
        assert one.terminate() == 0
        assert time.time() - asked_at < 5 + SLACK_S
        for shard in "abc":
            ((_, _, ended_at),) = engine.stays(shard, "tests.ended")
            assert ended_at - asked_at < 1 + SLACK_S
        assert engine.redis.keys("engine:lease:*") == []
        assert "Traceback" not in one.output()


def test_log_lines_of_a_resident_name_its_task(engine):
    """On the loop and in the threads it starts; Celery itself remembers the task by thread."""
    with engine.worker("threads", "resident,control") as one:
        wait_for(lambda: one.says("ready."), STARTUP_S, "a worker")
        engine.send("worker.ensure_residents")
        wait_for(lambda: one.says("from a thread"), 10, "its lines")
        lines = [line for line in one.output().splitlines() if "from the loop" in line or "from a thread" in line]
        assert len(lines) == 2
        tags = {line.partition(" residents ")[2].partition(":")[0] for line in lines}
        assert len(tags) == 1
        assert tags.pop().startswith("[tests.stay ")


def test_without_a_resident_worker_requests_do_not_pile_up(engine):
    with engine.worker("solo", "control") as one:
        wait_for(lambda: one.says("ready."), STARTUP_S, "a worker")
        for n in range(1, 6):
            engine.send("worker.ensure_residents")
            wait_for(lambda n=n: one.output().count("no worker takes the 1 requests") >= n - 1, 10, "its complaint")
        assert engine.redis.llen("engine:celery:resident") == 1
