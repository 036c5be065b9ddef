"""Long-lived tasks: one asyncio loop in one thread of a Celery worker, under a lease.

    @resident("ingestion.listen")
    async def listen(context: Context) -> None:
        while not context.draining.is_set():
            ...

`worker.ensure_residents` asks, every few seconds, for each resident whose lease nobody holds; the Celery task takes the
lease or returns at once. The message is acknowledged before the coroutine starts: a message kept for hours would be
delivered again, and a killed worker's residents come back by their leases, not by the queue.

The heartbeat that renews the lease runs **on the coroutine's own loop**, deliberately: a loop that is stuck in a
blocking call renews nothing, loses its lease, and is replaced. A thread beside each loop logs where it is stuck.
The threads pool has no time limits; this takes their place.
"""

import asyncio
import contextlib
import contextvars
import functools
import logging
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, ParamSpec, TypeVar

import redis as redis_py
from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings
from django.db import close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from worker import lease as leases
from worker import logs, metrics
from worker.redis import close_async_client

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")
Coroutine = Callable[["Context"], Awaitable[None]]

# Longer than a socket's closing handshake, which a second cancellation would cut short.
CANCEL_AGAIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Registration:
    """A kind of resident and where its shards are found."""

    name: str
    task: str
    shards: Callable[[], Iterable[str]]


registry: dict[str, Registration] = {}


def register(name: str, task: str, shards: Callable[[], Iterable[str]]) -> None:
    """Keep the Celery task `task` alive for each shard that `shards()` names, from a package's `residents.py`.

    The lease of a shard is `<name>:<shard>`. `shards` is called every few seconds and may read the database.
    """
    assert name not in registry, f"resident {name} is registered twice"
    registry[name] = Registration(name, task, shards)


def lease_name(name: str, shard: str) -> str:
    """The lease that the resident `name` holds for `shard`."""
    return f"{name}:{shard}"


@dataclass(eq=False, slots=True)
class Context:
    """What a resident's coroutine is given."""

    shard: str
    lease: leases.Lease = field(repr=False)
    # Set on SIGTERM and when the lease is lost: finish what is in hand, flush, return.
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    handed_over: bool = False

    @property
    def token(self) -> int:
        """The fencing token: give it to every store that is written to."""
        return self.lease.token

    @property
    def lost(self) -> bool:
        """Whether the lease is gone: write nothing more under its token."""
        return self.lease.lost

    async def hand_over(self) -> None:
        """Let another take the lease now, for a resident that goes on until its successor's token ends its writes.

        Raises redis.RedisError; the lease then runs out by itself.
        """
        self.handed_over = True
        await in_thread(self.lease.release)

    async def still_mine(self) -> bool:
        """Ask Redis, and prolong the lease. To be asked before each connect: two connections can close each other.

        False when it is lost, or when Redis does not answer.
        """
        try:
            async with asyncio.timeout(self.lease.ttl_s / 3):
                return await self.lease.arenew()
        except (redis_py.RedisError, OSError, TimeoutError) as error:
            logger.warning("the lease %s could not be renewed: %s", self.lease.name, str(error) or type(error).__name__)
            return False


def resident(name: str) -> Callable[[Coroutine], Any]:
    """Make the coroutine the Celery task `name(shard)`."""

    def decorate(coroutine: Coroutine) -> Any:
        @shared_task(name=name, acks_late=False, ignore_result=True)
        @functools.wraps(coroutine)
        def run(shard: str) -> None:
            own(lease_name(name, shard), shard, coroutine)

        return run

    return decorate


def own(name: str, shard: str, coroutine: Coroutine) -> bool:
    """Run the coroutine for as long as it wants under the lease; false when the lease is another's.

    Raises what the coroutine raised, after a pause in which nobody else tries the same.
    """
    if _shutting_down.is_set():
        return False
    lease = leases.acquire(name)
    if lease is None:
        logger.info("%s is held already", name)
        return False
    stay = _Stay(Context(shard, lease), coroutine)
    # The tag is set in a copy, so that the pool's thread does not carry it into its next task.
    scope = contextvars.copy_context()
    scope.run(logs.task_tag.set, logs.current_tag())
    scope.run(stay.run)
    return True


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a blocking function, such as one that uses the ORM, off the loop, with a live database connection."""

    def call() -> R:
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return await asyncio.to_thread(call)


async def end(tasks: Sequence["asyncio.Future[Any]"]) -> None:
    """Cancel them and wait until they are done, however often it takes: a library in between may swallow the first."""
    while waiting := [task for task in tasks if not task.done()]:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=CANCEL_AGAIN_S)


@dataclass(eq=False, slots=True)
class _Stay:
    """One coroutine under one lease, from taking it to letting it go."""

    context: Context
    coroutine: Coroutine
    loop: asyncio.AbstractEventLoop | None = None
    beat_at: float = field(default_factory=time.monotonic)
    finished: asyncio.Event = field(default_factory=asyncio.Event)  # the coroutine: no more renewals
    ended: threading.Event = field(default_factory=threading.Event)  # the loop: no more watching
    # Those of the loop's threads: Django closes none at a thread's end.
    connections: list[BaseDatabaseWrapper] = field(default_factory=list)

    def run(self) -> None:
        _stays.add(self)
        thread = threading.get_ident()
        threading.Thread(target=self._watch, args=(thread,), name=f"watch {self.name}", daemon=True).start()
        logger.info("%s starts with token %d", self.name, self.context.token)
        try:
            asyncio.run(self._main())
        finally:
            self.ended.set()
            _stays.discard(self)
            for connection in [*connections.all(initialized_only=True), *self.connections]:
                connection.close()
            self._release()

    @property
    def name(self) -> str:
        return self.context.lease.name

    def drain(self) -> None:
        """Ask it to end, from any thread or signal handler."""
        if self.loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop closed this very moment
                self.loop.call_soon_threadsafe(self.context.draining.set)

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_default_executor(ThreadPoolExecutor(settings.RESIDENT_THREADS, self.name, self._thread_begins))
        if _shutting_down.is_set():  # it came before there was a loop to tell
            self.context.draining.set()
        heartbeat = asyncio.create_task(self._heartbeat())
        try:
            await self._drained(asyncio.ensure_future(self.coroutine(self.context)))
        except Exception:
            metrics.count("worker.resident_failures")
            await self._pause()
            raise
        finally:
            self.finished.set()
            await asyncio.wait([heartbeat])
            await close_async_client()

    def _thread_begins(self) -> None:
        for connection in connections.all():
            connection.inc_thread_sharing()
            self.connections.append(connection)

    async def _drained(self, work: "asyncio.Future[Any]") -> None:
        """Wait for the coroutine; once it drains, no longer than the drain bound."""
        draining: asyncio.Future[Any] = asyncio.create_task(self.context.draining.wait())
        await asyncio.wait({work, draining}, return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()
        done, _ = await asyncio.wait([work], timeout=settings.RESIDENT_DRAIN_TIMEOUT_S)
        if done:
            work.result()
            return
        logger.error("%s did not drain in %.0f s: cancelled", self.name, settings.RESIDENT_DRAIN_TIMEOUT_S)
        metrics.count("worker.resident_drains_cut")
        await end([work])

    async def _heartbeat(self) -> None:
        lease, interval_s = self.context.lease, self.context.lease.ttl_s / 3
        try:
            while not lease.lost:
                self.beat_at = time.monotonic()
                await self.context.still_mine()
                if await _is_set_within(self.finished, self.beat_at + interval_s - time.monotonic()):
                    return
            if not self.context.handed_over:
                logger.error("%s has lost its lease (token %d)", self.name, lease.token)
                metrics.count("worker.leases_lost")
        finally:
            self.context.draining.set()  # nothing renews it from here on, whatever ended this

    async def _pause(self) -> None:
        await _is_set_within(self.context.draining, settings.RESIDENT_RESTART_DELAY_S)

    def _watch(self, thread: int) -> None:
        """Log, once each time, where the loop's thread is when it has not run for longer than the lease lives."""
        told_at = 0.0
        limit_s = self.context.lease.ttl_s
        while not self.ended.wait(limit_s / 3):
            if time.monotonic() - self.beat_at < limit_s or self.beat_at == told_at or self.context.draining.is_set():
                continue
            told_at = self.beat_at
            frame = sys._current_frames().get(thread)
            stack = "".join(traceback.format_stack(frame)) if frame else "(gone)"
            logger.error("%s: the loop has been blocked for %.1f s:\n%s", self.name, limit_s, stack)
            metrics.count("worker.loops_blocked")

    def _release(self) -> None:
        # Last of all, when the loop and the threads it started have ended: a successor may write at once.
        try:
            self.context.lease.release()
        except redis_py.RedisError as error:
            logger.warning("the lease %s runs out by itself: %s", self.name, error)
        logger.info("%s has ended", self.name)


async def _is_set_within(event: asyncio.Event, timeout_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), max(0.0, timeout_s))
    return event.is_set()


_stays: set[_Stay] = set()
_shutting_down = threading.Event()


@worker_shutting_down.connect(dispatch_uid="worker.resident")
def drain_all(**_signal: Any) -> None:
    """Ask every resident of this process to end. Runs in the signal handler: it waits for nothing."""
    _shutting_down.set()
    for stay in list(_stays):
        stay.drain()
