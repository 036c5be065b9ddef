"""Blocking work of the event loop, done in a few threads of our own: so many database connections, no more."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import close_old_connections, connections

P = ParamSpec("P")
T = TypeVar("T")

_pools: list[ThreadPoolExecutor] = []


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function` in one of the threads, with a database connection that is alive."""

    def run() -> T:
        close_old_connections()
        return function(*args, **kwargs)

    return await asyncio.get_running_loop().run_in_executor(_pool(), run)


def close() -> None:
    """End the threads and their database connections. The next call starts new ones."""
    while _pools:
        pool = _pools.pop()
        together = threading.Barrier(settings.STREAM_THREADS)
        for _ in range(settings.STREAM_THREADS):
            pool.submit(_close_connections, together)
        pool.shutdown(wait=True)


def _close_connections(together: threading.Barrier) -> None:
    together.wait()  # so that each thread takes one of these
    connections.close_all()


def _pool() -> ThreadPoolExecutor:
    if not _pools:
        _pools.append(ThreadPoolExecutor(settings.STREAM_THREADS, "stream"))
    return _pools[0]
