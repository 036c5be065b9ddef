"""A broker connection that dies without a word: for 20 s nothing comes and nothing goes, and the sockets that were open
then never answer again. Each pool takes tasks again soon after new connections work.

What a worker had just popped when it finds its other sockets dead is lost (Redis as a broker delivers it to nobody
else): so beat's tasks come again, and work that must not be lost is rows first.
"""

import time
from contextlib import ExitStack

import pytest

from tests.processes import wait_for
from tests.proxy import Proxy

pytestmark = [pytest.mark.flow, pytest.mark.timeout(180)]

BLACK_HOLE_S = 20.0
HEALED_WITHIN_S = 30.0
SEND_EVERY_S = 1.0
POOLS = ["prefork", "threads", "solo"]


def test_every_pool_heals_from_a_broker_black_hole(engine):
    """The pools run side by side: the waiting is the same for all."""

    def waiting_for(value):
        return [pool for pool in POOLS if not engine.redis.sismember(f"{engine.PREFIX}:tests.marks:{pool}", value)]

    def all_ran(value, timeout_s):
        """Send a task into each pool, as beat would, until each has run one."""
        deadline = time.monotonic() + timeout_s
        while pools := waiting_for(value):
            assert time.monotonic() < deadline, f"{pools} did not run {value} in {timeout_s} s"
            for pool in pools:
                engine.send("tests.mark", pool, value, queue=pool)
            sent_at = time.monotonic()
            wait_for(lambda sent_at=sent_at: not waiting_for(value) or time.monotonic() > sent_at + SEND_EVERY_S)

    with ExitStack() as stack, Proxy(engine.redis_url) as proxy:
        workers = [stack.enter_context(engine.worker(pool, pool, concurrency=2, REDIS_URL=proxy.url)) for pool in POOLS]
        wait_for(lambda: all(worker.says("ready.") for worker in workers), 60, "the workers")
        all_ran("before", 15)

        proxy.stall()
        began = time.monotonic()
        wait_for(lambda: time.monotonic() > began + BLACK_HOLE_S, BLACK_HOLE_S + 5)
        for pool in POOLS:
            engine.send("tests.mark", pool, "during", queue=pool)
        assert waiting_for("during") == POOLS
        proxy.resume()
        all_ran("after", HEALED_WITHIN_S)
