"""A broker connection that dies without a word: for 20 s nothing comes and nothing goes, and the sockets that were open
then never answer again. Each pool takes tasks again soon after new connections work."""

import time
from contextlib import ExitStack

import pytest

from tests.processes import wait_for
from tests.proxy import Proxy

pytestmark = [pytest.mark.flow, pytest.mark.timeout(180)]

BLACK_HOLE_S = 20.0
HEALED_WITHIN_S = 30.0
POOLS = ["prefork", "threads", "solo"]


def test_every_pool_heals_from_a_broker_black_hole(engine):
    """The pools run side by side: the waiting is the same for all."""

    def sent_and_done(value):
        for pool in POOLS:
            engine.send("tests.mark", pool, value, queue=pool)
        marks = [f"{engine.PREFIX}:tests.marks:{pool}" for pool in POOLS]
        return lambda: all(engine.redis.sismember(pool_marks, value) for pool_marks in marks)

    with ExitStack() as stack, Proxy(engine.redis_url) as proxy:
        workers = [stack.enter_context(engine.worker(pool, pool, concurrency=2, REDIS_URL=proxy.url)) for pool in POOLS]
        wait_for(lambda: all(worker.says("ready.") for worker in workers), 60, "the workers")
        wait_for(sent_and_done("before"), 15, "a task in each pool")

        proxy.stall()
        black_hole_ends = time.monotonic() + BLACK_HOLE_S
        done = sent_and_done("during")
        wait_for(lambda: time.monotonic() > black_hole_ends, BLACK_HOLE_S + 5)
        assert not done()
        proxy.resume()
        wait_for(sent_and_done("after"), HEALED_WITHIN_S, "the pools to heal")
