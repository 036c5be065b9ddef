"""Residents and tasks for the flow tests: `celery -A worker worker -I tests.worker.resident_tasks`."""

import asyncio
import logging
import os
import time

import redis
from celery import shared_task

from worker import resident
from worker.redis import client, key

logger = logging.getLogger("residents")
SHARDS = os.environ.get("TEST_SHARDS", "a").split(",")


@resident.resident("tests.stay")
async def stay(context):
    """Notes who runs, until it is asked to end."""
    client().rpush(key("tests.stay", context.shard), f"{os.getpid()} {context.token} {time.time()}")
    logger.info("from the loop")
    await resident.in_thread(logger.info, "from a thread")
    while not context.draining.is_set():
        await asyncio.sleep(0.05)
    client().rpush(key("tests.ended", context.shard), f"{os.getpid()} {context.token} {time.time()}")


@shared_task(name="tests.mark")
def mark(queue, value):
    """Notes that it ran: past a proxy that the worker's broker may be behind."""
    with redis.Redis.from_url(os.environ["TEST_REDIS_URL"]) as direct:
        direct.sadd(key("tests.marks", queue), value)


# Only this one: the real ones would want their tables.
resident.registry.clear()
resident.register("tests.stay", task="tests.stay", shards=lambda: SHARDS)
