"""What a resident's coroutine meets: drains, lost leases, blocked loops, its own errors."""

import asyncio
import threading
import time

import pytest
from django.db import connections

from tests.processes import wait_for
from worker import lease, logs, resident
from worker.redis import async_client, client, key

TTL_S = 1.0


@pytest.fixture(autouse=True)
def quick(settings):
    settings.LEASE_TTL_S = TTL_S
    settings.RESIDENT_DRAIN_TIMEOUT_S = 0.5
    settings.RESIDENT_RESTART_DELAY_S = 0.3


@pytest.fixture
def name(request):
    shared = client()  # a test may point the settings elsewhere
    yield request.node.name
    shared.delete(key("lease", request.node.name), key("lease-token", request.node.name))


@pytest.fixture
def shutting_down():
    yield
    resident._shutting_down.clear()


def in_background(name, coroutine):
    thread = threading.Thread(target=resident.own, args=(name, "shard", coroutine))
    thread.start()
    return thread


def test_it_keeps_its_lease_for_as_long_as_it_runs(name):
    async def three_lives(context):
        assert context.shard == "shard"
        until = time.monotonic() + 3 * TTL_S
        while time.monotonic() < until:
            assert not context.lost
            assert lease.acquire(name) is None
            await asyncio.sleep(0.05)
        assert lease.holder(name).token == context.token

    assert resident.own(name, "shard", three_lives)
    assert lease.holder(name) is None


def test_a_held_lease_means_not_starting_at_all(name):
    async def never(context):
        pytest.fail("it started")

    lease.acquire(name)
    assert not resident.own(name, "shard", never)


def test_a_worker_that_shuts_down_drains_its_residents_and_starts_none(name, shutting_down):
    seen = []

    async def until_drained(context):
        seen.append("began")
        await context.draining.wait()
        seen.append("flushed")

    thread = in_background(name, until_drained)
    wait_for(lambda: seen)
    resident.drain_all()
    thread.join(2)
    assert seen == ["began", "flushed"]
    assert lease.holder(name) is None
    assert not resident.own(name, "shard", until_drained)


def test_one_that_does_not_drain_is_cancelled(name, shutting_down, caplog):
    seen = []

    async def deaf(context):
        seen.append("began")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    thread = in_background(name, deaf)
    wait_for(lambda: seen)
    resident.drain_all()
    thread.join(3)
    assert seen == ["began", "cancelled"]
    assert "did not drain" in caplog.text
    assert lease.holder(name) is None


def test_a_lost_lease_drains_it(name):
    seen = []

    async def until_drained(context):
        client().delete(key("lease", name))
        await context.draining.wait()
        seen.append((context.lost, await context.still_mine()))

    resident.own(name, "shard", until_drained)
    assert seen == [(True, False)]


def test_a_blocked_loop_loses_its_lease_and_the_log_says_where(name, caplog):
    """The heartbeat runs on the loop on purpose: what is stuck is replaced."""
    seen = []

    async def stuck(context):
        await asyncio.sleep(0)
        time.sleep(3 * TTL_S)
        seen.append(context.lost)
        await context.draining.wait()

    thread = in_background(name, stuck)
    wait_for(lambda: lease.holder(name))
    successor = wait_for(lambda: lease.acquire(name))
    thread.join(5)
    assert seen == [True]
    blocked = next(record.message for record in caplog.records if "has been blocked" in record.message)
    assert "time.sleep(3 * TTL_S)" in blocked
    assert lease.holder(name) is None or lease.holder(name).token == successor.token


def test_an_error_is_raised_after_a_pause_in_which_nobody_else_tries(name):
    async def broken(context):
        raise ZeroDivisionError

    began = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        resident.own(name, "shard", broken)
    assert time.monotonic() - began >= 0.3
    assert lease.holder(name) is None


def test_a_lost_redis_drains_it_and_the_lease_runs_out_by_itself(name, own_redis, settings, caplog):
    settings.REDIS_URL = own_redis.url
    seen = []

    async def until_drained(context):
        await asyncio.sleep(0.1)
        own_redis.kill()
        began = time.monotonic()
        await context.draining.wait()
        seen.append(time.monotonic() - began)

    resident.own(name, "shard", until_drained)
    assert seen[0] < TTL_S + 0.5
    assert "runs out by itself" in caplog.text


def test_the_redis_clients_of_its_loop_are_closed(name):
    clients = []

    async def uses_redis(context):
        clients.append(async_client())
        await clients[0].ping()

    resident.own(name, "shard", uses_redis)
    assert not clients[0].connection_pool._available_connections or not any(
        connection.is_connected for connection in clients[0].connection_pool._available_connections
    )


@pytest.mark.django_db(transaction=True)
def test_database_work_off_the_loop_leaves_no_connection_open(name, django_user_model):
    seen = []

    def count():
        seen.append(connections["default"])
        return django_user_model.objects.count()

    async def uses_the_orm(context):
        seen.append(await resident.in_thread(count))

    resident.own(name, "shard", uses_the_orm)
    connection, users = seen
    assert users == 0
    assert connection.connection is None


def test_the_tasks_name_and_id_reach_its_loop_and_threads():
    """Celery remembers the current task by thread, and so forgets it in those that the loop starts."""
    seen = []

    @resident.resident("tests.tagged")
    async def tagged(context):
        seen.append(logs.task_tag.get())
        seen.append(await asyncio.to_thread(logs.task_tag.get))

    done = tagged.apply(("shard",))
    assert seen == [f" [tests.tagged {done.id[:8]}]"] * 2
    assert logs.task_tag.get() == logs.current_tag() == ""
    client().delete(key("lease-token", "tests.tagged:shard"))


async def test_what_swallows_a_cancellation_ends_all_the_same(monkeypatch):
    monkeypatch.setattr(resident, "CANCEL_AGAIN_S", 0.05)
    swallowed = []

    async def deaf():
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed.append(1)

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(asyncio.sleep(60))]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await resident.end(tasks)
    assert swallowed
    assert all(task.cancelled() for task in tasks)
