"""Counters that survive their process: "counted, and goes on".

A process adds up in memory and hands the sums to one Redis hash every few seconds, so that counting costs well under
a microsecond and a tick path may do it for every frame. What an outage keeps from being handed over waits in memory.
"""

import atexit
import logging
import os
import threading
from collections import Counter
from typing import Any

import redis as redis_py
from celery.signals import worker_process_shutdown
from django.conf import settings

from worker.redis import client, key

logger = logging.getLogger(__name__)


class _Counters:
    """This process's sums since they were last handed over."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: Counter[str] = Counter()
        self.flusher: threading.Thread | None = None

    def add(self, name: str, n: int) -> None:
        with self.lock:
            self.waiting[name] += n
            if self.flusher is None:
                self.flusher = threading.Thread(target=_flush_for_ever, name="metrics", daemon=True)
                self.flusher.start()

    def take(self) -> Counter[str]:
        with self.lock:
            taken, self.waiting = self.waiting, Counter()
            return taken

    def give_back(self, taken: Counter[str]) -> None:
        with self.lock:
            self.waiting.update(taken)


_counters = _Counters()


def count(name: str, n: int = 1) -> None:
    """Add `n` to the counter, such as `ingestion.malformed_frames`. Never waits, never raises."""
    _counters.add(name, n)


def totals() -> dict[str, int]:
    """Every counter of every process, by name; this process's own up to now. Raises redis.RedisError."""
    flush()
    stored: Any = client().hgetall(_hash())
    return {name.decode(): int(value) for name, value in sorted(stored.items())}


def flush() -> None:
    """Hand this process's sums to Redis. Raises redis.RedisError, and then keeps them."""
    taken = _counters.take()
    if not taken:
        return
    try:
        pipe = client(settings.METRICS_FLUSH_INTERVAL_S).pipeline(transaction=True)
        for name, n in taken.items():
            pipe.hincrby(_hash(), name, n)
        pipe.expire(_hash(), settings.METRICS_KEEP_S)
        pipe.execute()
    except redis_py.RedisError:
        _counters.give_back(taken)
        raise


def _flush_for_ever() -> None:
    pause = threading.Event()
    while not pause.wait(settings.METRICS_FLUSH_INTERVAL_S):
        _flush_if_possible()


def _flush_if_possible(**_signal: object) -> None:
    try:
        flush()
    except redis_py.RedisError as error:
        logger.debug("counters wait for Redis: %s", error)


def _hash() -> str:
    return key("metrics")


def _forget_the_parent() -> None:
    # The parent hands over its own sums; its flusher thread and perhaps a held lock did not come along.
    global _counters
    _counters = _Counters()


os.register_at_fork(after_in_child=_forget_the_parent)
atexit.register(_flush_if_possible)
worker_process_shutdown.connect(_flush_if_possible, dispatch_uid="worker.metrics")
