"""Where ticks come from: a venue's socket, or the simulated market driven by the clock. These only move bytes.

A venue feed never gives up. Each connection starts only after the lease was asked for again, since many venues close
the older of two; its requests keep within the venue's message budget; a socket on which nothing arrives for
LISTENER_SILENCE_TIMEOUT_S is replaced, however alive it says it is. When the venue announces a shutdown, or the
connection nears the age at which the venue ends it, the next one is opened beside it and takes over once it is live;
what both deliver is recognised by its ids (`pipeline.py`).
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Protocol

from django.conf import settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from ingestion import status
from ingestion.pipeline import Pipeline
from ingestion.providers import Ack, Ask, Backoff, Provider, Shutdown, VenueError
from ingestion.providers.simulated import Simulation
from worker import metrics

logger = logging.getLogger(__name__)

OPEN_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 1.0
ACK_TIMEOUT_S: Final = 10.0
STREAMS_PER_REQUEST: Final = 100
# A symbol that was subscribed for so long and never heard of is probably not one.
UNHEARD_AFTER_S: Final = 60.0
# At most one line of this kind in so long; all are counted.
LOG_INTERVAL_S: Final = 5.0


class Silent(Exception):
    """The socket is open and nothing arrives."""


class Feed(Protocol):
    """One source of ticks, run by the listener until it is cancelled."""

    state: str
    reconnects: int
    venue_errors: int

    async def run(self) -> None: ...

    def follow(self, symbols: Sequence[str]) -> None:
        """From now on these, in the venue's spelling."""

    def unheard(self) -> list[str]:
        """Symbols subscribed a while ago that nothing was ever heard of."""


class Bucket:
    """So many a second, with a burst. `take` waits for its turn.

    clock: seconds on a steady clock.
    """

    def __init__(self, rate_per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate_per_s, self._burst, self._clock = rate_per_s, burst, clock
        self._tokens, self._at = float(burst), clock()

    async def take(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate_per_s) - 1
        self._at = now
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate_per_s)


class VenueFeed:
    """A provider's socket, always there: connections one after the other, each a `_Connection`.

    allowed: asked before each connect; false means not now (the lease is lost, or cannot be asked for).
    lost: told when the feed loses its connection; found: when it is live again.
    """

    def __init__(
        self,
        provider: Provider,
        base_url: str,
        pipeline: Pipeline,
        allowed: Callable[[], Awaitable[bool]],
        lost: Callable[[], None] = lambda: None,
        found: Callable[[], None] = lambda: None,
    ) -> None:
        self.provider, self.base_url, self.pipeline = provider, base_url, pipeline
        self.allowed, self.lost, self.found = allowed, lost, found
        self.state, self.reconnects, self.venue_errors = status.CONNECTING, 0, 0
        self.symbols: tuple[str, ...] = ()
        self.changed = asyncio.Event()
        self.refused: set[str] = set()
        self._subscribed_at: dict[str, float] = {}
        self._connects = Bucket(provider.limits.connects_per_s, provider.limits.connect_burst)
        self._backoff = Backoff(random.uniform)

    def follow(self, symbols: Sequence[str]) -> None:
        most = self.provider.limits.streams_per_connection // len(self.provider.kinds)
        if len(symbols) > most:
            logger.error("%s: %d symbols, only the first %d fit", self.provider.name, len(symbols), most)
        wanted = tuple(sorted(symbols)[:most])
        if wanted != self.symbols:
            self.symbols = wanted
            self.changed.set()

    def unheard(self) -> list[str]:
        long_ago = time.monotonic() - UNHEARD_AFTER_S
        heard = self.pipeline.heard
        return [s for s in self.symbols if s not in heard and self._subscribed_at.get(s, long_ago) < long_ago]

    def subscribed(self, symbol: str) -> None:
        self._subscribed_at.setdefault(symbol, time.monotonic())

    async def run(self) -> None:
        previous: asyncio.Task[None] | None = None
        try:
            while True:
                previous = await self._next(previous)
        finally:
            if previous is not None:
                await _end(previous)

    async def _next(self, previous: "asyncio.Task[None] | None") -> "asyncio.Task[None] | None":
        """Run one connection until it ends or is to be replaced; in that case it is returned, still running."""
        while not self.symbols:
            await self.changed.wait()
            self.changed.clear()
        await self._connects.take()
        started = time.monotonic()
        ended = True
        if await self.allowed():
            connection = _Connection(self)
            task = asyncio.create_task(connection.run())
            try:
                await self._took_over(connection, task, previous)
                ended = await _first(task, connection.to_replace)
            except BaseException:
                await _end(task)
                raise
            if not ended:
                return task
            if previous is not None and previous.done():
                previous = None
            self._tell_end(task, gone=previous is None)
        await self._pause(time.monotonic() - started)
        return previous

    async def _took_over(
        self, connection: "_Connection", task: "asyncio.Task[None]", previous: "asyncio.Task[None] | None"
    ) -> None:
        """Wait until the connection is live (or has ended), then end the one before it."""
        await _first(task, connection.live)
        if previous is not None and connection.live.is_set():
            await _end(previous)
        if connection.live.is_set():
            self.state = status.LIVE
            self.found()

    def _tell_end(self, task: "asyncio.Task[None]", gone: bool) -> None:
        """gone: no connection is left; a failed replacement leaves the one that it was to replace."""
        self.reconnects += 1
        if gone:
            self.state = status.CONNECTING
            self.lost()
        metrics.count(f"ingestion.reconnects.{self.provider.name}")
        error = task.exception()
        if error is None or isinstance(error, (OSError, WebSocketException, Silent, TimeoutError)):
            logger.warning("%s: connection ended: %s", self.provider.name, error or "closed by the venue")
            return
        raise error

    async def _pause(self, lived_s: float) -> None:
        await asyncio.sleep(self._backoff.delay(lived_s))


class _Connection:
    """One socket: subscribes within the budget, reads, and watches for silence."""

    def __init__(self, feed: VenueFeed) -> None:
        self.feed, self.provider, self.pipeline = feed, feed.provider, feed.pipeline
        self.live, self.to_replace = asyncio.Event(), asyncio.Event()
        self._budget = Bucket(self.provider.limits.messages_per_s, self.provider.limits.message_burst)
        self._subscribed: set[str] = set()
        # Request id → the streams it asked for, until the venue answers.
        self._asked: dict[int, list[str]] = {}
        self._answered = asyncio.Event()
        self._request_id = 0
        self._heard_at = time.monotonic()
        self._logged_at = 0.0

    async def run(self) -> None:
        """Until the connection ends. Raises what ended it."""
        async with self._open() as socket:
            self.feed.state = status.SUBSCRIBING
            tasks = [
                asyncio.create_task(work)
                for work in (self._read(socket), self._keep_subscribed(socket), self._watch(), self._grow_old())
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            except Silent:
                socket.transport.abort()  # a closing handshake would wait on a peer that says nothing
                raise
            finally:
                for task in tasks:
                    await _end(task)

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[ClientConnection]:
        # No pings of our own: they count towards the venue's message budget, and silence is watched for anyway.
        # The library answers the venue's.
        url = self.provider.url(self.feed.base_url)
        async with connect(
            url,
            max_size=settings.LISTENER_FRAME_MAX_BYTES,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,
        ) as socket:
            yield socket

    async def _read(self, socket: ClientConnection) -> None:
        receive, take = socket.recv, self.pipeline.receive
        while True:
            # Bytes, undecoded: a frame that is not UTF-8 is the decoder's to refuse, not the socket's to die of.
            frame = await receive(decode=False)
            self._heard_at = time.monotonic()
            said = take(frame, time.time_ns() // 1000)
            if said:
                self._hear(said)

    def _hear(self, said: Sequence[object]) -> None:
        for word in said:
            if isinstance(word, Ack):
                self._accepted(word)
            elif isinstance(word, VenueError):
                self._complained(word)
            elif isinstance(word, Shutdown):
                logger.info("%s announces a shutdown", self.provider.name)
                self.to_replace.set()

    def _accepted(self, ack: Ack) -> None:
        streams = self._asked.pop(ack.request_id, None) if isinstance(ack.request_id, int) else None
        if streams is None:
            logger.warning("%s: an answer to nothing we asked: %s", self.provider.name, ack)
            return
        self._answered.set()

    def _complained(self, error: VenueError) -> None:
        self.feed.venue_errors += 1
        metrics.count(f"ingestion.venue_errors.{self.provider.name}")
        streams = self._asked.pop(error.request_id, None) if isinstance(error.request_id, int) else None
        if streams is not None:
            self.feed.refused.update(streams)
            self._answered.set()
        if time.monotonic() - self._logged_at >= LOG_INTERVAL_S:
            self._logged_at = time.monotonic()
            logger.error("%s refuses: code %d, %s", self.provider.name, error.code, error.message)

    async def _keep_subscribed(self, socket: ClientConnection) -> None:
        while True:
            self.feed.changed.clear()
            await self._subscribe(socket)
            self.live.set()
            await self.feed.changed.wait()

    async def _subscribe(self, socket: ClientConnection) -> None:
        """Bring what is subscribed to what is wanted; each request waits for its turn, then all for their answers."""
        wanted = set(self.provider.streams(self.feed.symbols)) - self.feed.refused
        for streams, ask in (
            (sorted(self._subscribed - wanted), self.provider.unsubscribe),
            (sorted(wanted - self._subscribed), self.provider.subscribe),
        ):
            for at in range(0, len(streams), STREAMS_PER_REQUEST):
                await self._ask(socket, streams[at : at + STREAMS_PER_REQUEST], ask)
        self._subscribed = wanted
        for symbol in self.feed.symbols:
            self.feed.subscribed(symbol)
        async with asyncio.timeout(ACK_TIMEOUT_S):
            while self._asked:
                self._answered.clear()
                await self._answered.wait()

    async def _ask(
        self, socket: ClientConnection, streams: list[str], ask: Callable[[Sequence[str], int], list[Ask]]
    ) -> None:
        for request in ask(streams, self._request_id + 1):
            self._request_id = request.request_id
            self._asked[request.request_id] = list(request.streams)
            await self._budget.take()
            await socket.send(request.message)

    async def _watch(self) -> None:
        limit_s = settings.LISTENER_SILENCE_TIMEOUT_S
        while True:
            silent_s = time.monotonic() - self._heard_at
            if silent_s >= limit_s:
                raise Silent(f"nothing heard for {silent_s:.1f} s")
            await asyncio.sleep(limit_s - silent_s)

    async def _grow_old(self) -> None:
        """Have it replaced before the venue ends it; some sooner, so that many do not reconnect at once."""
        await asyncio.sleep(self.provider.limits.rotate_after_s * random.uniform(0.9, 1.0))  # noqa: S311
        self.to_replace.set()
        await asyncio.Event().wait()


class SimulatedFeed:
    """The simulated market, asked every flush interval for what happened since."""

    def __init__(self, pipeline: Pipeline, seed: int, ticks_per_s: float) -> None:
        self.pipeline, self._seed, self._ticks_per_s = pipeline, seed, ticks_per_s
        self.state, self.reconnects, self.venue_errors = status.CONNECTING, 0, 0
        self._simulation: Simulation | None = None
        self._symbols: tuple[str, ...] = ()

    def follow(self, symbols: Sequence[str]) -> None:
        wanted = tuple(sorted(symbols))
        if wanted != self._symbols:
            self._symbols = wanted
            self._simulation = Simulation(self._seed, wanted, self._ticks_per_s) if wanted else None

    def unheard(self) -> list[str]:
        return []

    async def run(self) -> None:
        from_us = time.time_ns() // 1000
        self.state = status.LIVE
        while True:
            await asyncio.sleep(settings.LISTENER_FLUSH_INTERVAL_MS / 1000)
            now_us = time.time_ns() // 1000
            if self._simulation is not None and now_us > from_us:
                self.pipeline.offer(self._simulation.ticks(from_us, now_us))
            from_us = max(from_us, now_us)


async def _first(task: "asyncio.Task[None]", event: asyncio.Event) -> bool:
    """Wait for either; whether the task has ended."""
    waiter = asyncio.create_task(event.wait())
    try:
        await asyncio.wait([task, waiter], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
    return task.done()


async def _end(task: "asyncio.Task[None]") -> None:
    """Cancel it and wait; whatever it had to say was said before or does not matter any more."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
