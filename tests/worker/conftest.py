import threading
from contextlib import contextmanager

import pytest
import redis
from celery import Celery

from project.localservices import Redis, free_port
from tests.processes import started, worker


@pytest.fixture
def own_redis(tmp_path):
    """A Redis for this test alone, to be killed."""
    server = Redis(tmp_path / "redis", tied=True, port=free_port())
    server.start()
    yield server
    server.stop()


class Engine:
    """Real workers on a Redis of their own, and a hand on their queues."""

    PREFIX = "engine"

    def __init__(self, redis_url, tmp_path):
        self.redis_url = redis_url
        self.tmp_path = tmp_path
        self.redis = redis.Redis.from_url(redis_url, decode_responses=True)
        self.app = Celery(broker=redis_url, set_as_current=False)
        self.app.conf.broker_transport_options = {"global_keyprefix": f"{self.PREFIX}:celery:"}
        self.app.conf.task_ignore_result = True
        self.started = 0

    def worker(self, pool, queues, concurrency=4, **environment):
        """A context manager: a running worker that knows tests/worker/resident_tasks.py."""
        self.started += 1
        command = worker(pool, queues, "-I", "tests.worker.resident_tasks", concurrency=concurrency)
        log = self.tmp_path / f"worker-{self.started}.log"
        ours = {"REDIS_URL": self.redis_url, "TEST_REDIS_URL": self.redis_url, "REDIS_PREFIX": self.PREFIX}
        return started(command, log, **(ours | environment))

    def send(self, task, *arguments, queue="control"):
        self.app.send_task(task, arguments, queue=queue)

    @contextmanager
    def asking(self, interval_s=2.0):
        """What beat does: ask for the missing residents, at its interval."""
        stop = threading.Event()

        def ask():
            while not stop.wait(interval_s):
                self.send("worker.ensure_residents")

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def stays(self, shard="a", which="tests.stay"):
        """(process id, token, time) of each time the resident began (or ended), oldest first."""
        rows = self.redis.lrange(f"{self.PREFIX}:{which}:{shard}", 0, -1)
        return [(int(pid), int(token), float(at)) for pid, token, at in map(str.split, rows)]


@pytest.fixture
def engine(own_redis, tmp_path):
    made = Engine(own_redis.url, tmp_path)
    yield made
    made.app.close()
    made.redis.close()
