"""The writer as a long-lived task, and as a process that is killed at the worst moment."""

import asyncio
import os
import subprocess
import sys
import time

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection

from ingestion import store
from ingestion.journal import Journal, Reader
from ingestion.writer import Writer, write
from tests.ingestion.rows import flush, stored, trade, trade_ids

WAIT_S = 20.0

# A writer that commits one batch, and stops inside the transaction of the next, its rows already in.
STUCK = """
import django, sys, threading
django.setup()
from ingestion import store
from ingestion.writer import Writer
writer = Writer(sys.argv[1], 5)
assert writer.step()
merge = store.merge_sums
def stop(sums):
    print("in the transaction", flush=True)
    threading.Event().wait()
store.merge_sums = stop
print("first batch done", flush=True)
while not writer.step():
    pass
"""


async def until(condition, timeout_s=WAIT_S):
    async with asyncio.timeout(timeout_s):
        while not await sync_to_async(condition)():
            await asyncio.sleep(0.02)


def sessions():
    return {pid for (pid,) in stored("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")}


@pytest.mark.django_db(transaction=True)
async def test_it_writes_until_it_drains(tick_tables, shard):
    journal, draining = Journal(shard, 1), asyncio.Event()
    writing = asyncio.create_task(write(Writer(shard, 1), draining))
    for i in range(3):
        await sync_to_async(journal.append)(flush(trade(i, i)))
        await until(lambda i=i: trade_ids() == list(range(i + 1)))
    draining.set()
    await asyncio.wait_for(writing, WAIT_S)


@pytest.mark.django_db(transaction=True)
async def test_it_ends_when_a_newer_writer_is_at_work(tick_tables, shard):
    await sync_to_async(store.claim)(shard, 2)
    await asyncio.wait_for(write(Writer(shard, 1), asyncio.Event()), WAIT_S)


@pytest.mark.django_db(transaction=True)
async def test_it_outlives_a_lost_database_connection(tick_tables, shard):
    journal, draining = Journal(shard, 1), asyncio.Event()
    others = await sync_to_async(sessions)()
    writing = asyncio.create_task(write(Writer(shard, 1), draining))
    await sync_to_async(journal.append)(flush(trade(1)))
    await until(lambda: trade_ids() == [1])

    (writers,) = await sync_to_async(sessions)() - others
    await sync_to_async(stored)("SELECT pg_terminate_backend(%s)", writers)
    await sync_to_async(journal.append)(flush(trade(2)))
    await until(lambda: trade_ids() == [1, 2])

    draining.set()
    await asyncio.wait_for(writing, WAIT_S)


@pytest.mark.flow
@pytest.mark.django_db(transaction=True)
def test_a_writer_killed_between_copy_and_commit_loses_and_doubles_nothing(tick_tables, shard):
    journal = Journal(shard, 1)
    journal.append(flush(*(trade(i, i) for i in range(10))))
    database = connection.settings_dict
    host = f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DATABASE_URL": f"postgresql://{host}/{database['NAME']}",
        "REDIS_PREFIX": settings.REDIS_PREFIX,
    }
    stuck = subprocess.Popen([sys.executable, "-c", STUCK, shard], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert stuck.stdout.readline() == "first batch done\n"
        journal.append(flush(*(trade(i, i) for i in range(10, 20))))
        assert stuck.stdout.readline() == "in the transaction\n"
    finally:
        stuck.kill()
        stuck.wait()
        stuck.stdout.close()

    successor = Writer(shard, 6)
    began = time.monotonic()
    successor.seal()

    assert trade_ids() == list(range(20))
    assert sum(bar.trades for bar in store.candles(11, "1m")) == 20
    assert Reader(shard).size_bytes() == 0
    assert time.monotonic() - began < WAIT_S
