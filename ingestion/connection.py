"""One socket to a venue, from its handshake to its end: subscribe within the budget, read, and watch for silence.

connecting → subscribing → live → draining. It is live when everything wanted is answered, and drains while its
successor, opened beside it, takes over. Whatever ends it is raised from `run`; `line.py` decides what comes next.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from django.conf import settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame, Opcode

from ingestion import pacing, status
from ingestion.pipeline import Pipeline
from ingestion.providers import Ack, Heartbeat, Numbered, Provider, Shutdown, VenueError
from ingestion.subscriptions import Subscriptions, Wish
from worker import resident

logger = logging.getLogger(__name__)
# At DEBUG it writes each request line, and some venues want the key there.
logging.getLogger("websockets.client").setLevel(logging.INFO)

OPEN_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 1.0
STREAMS_PER_REQUEST: Final = 100
# At most one line of this kind in so long; all are counted.
LOG_INTERVAL_S: Final = 5.0
# A venue's heartbeats are late after so many times their longest interval.
HEARTBEATS_MISSED: Final = 3


class Silent(Exception):
    """The socket is open and nothing arrives."""


class Unanswered(Exception):
    """Nothing that was asked on this connection is answered."""


class NotOurs(Exception):
    """The lease went to another while the connection was being opened: it is not ours to open."""


class Told(Protocol):
    """Who is told of what a connection hears beside ticks."""

    def complained(self, error: VenueError, refused: list[str]) -> None:
        """The venue refuses these streams, or complains."""

    def skipped(self, first: int, last: int, since_us: int) -> None:
        """The venue's frames of these numbers did not arrive; the one before them came at `since_us`."""


class _Socket(ClientConnection):
    """Tells of the venue's pings, which are signs of life, and whose answers count as our messages.

    may_open: asked in the very moment before the handshake is sent: whoever was paused since it asked for the lease,
    however briefly, must not end the connection of its successor.
    """

    pinged: Callable[[], None] | None = None
    may_open: Callable[[], bool] | None = None

    async def handshake(self, *args: Any, **kwargs: Any) -> None:
        if self.may_open is not None and not self.may_open():
            raise NotOurs("the lease is another's by now")
        await super().handshake(*args, **kwargs)

    def process_event(self, event: Any) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.PING and self.pinged is not None:
            self.pinged()
        super().process_event(event)


class Connection:
    """See the module.

    subscriptions: what it is to have; `want` changes it.
    may_open: whether the lease is still ours, by our own clock.
    """

    def __init__(
        self,
        provider: Provider,
        url: str,
        pipeline: Pipeline,
        subscriptions: Subscriptions,
        told: Told,
        may_open: Callable[[], bool],
    ) -> None:
        self.provider, self.pipeline, self.subscriptions = provider, pipeline, subscriptions
        self._url, self._told, self._may_open = url, told, may_open
        self.state = status.CONNECTING
        self.live, self.to_replace = asyncio.Event(), asyncio.Event()
        self.opened_s = 0.0
        # When the last frame came: by our clock, and steadily.
        self.heard_us, self.heard_s = time.time_ns() // 1000, time.monotonic()
        self._pace = pacing.messages(provider.limits)
        self._wake = asyncio.Event()
        self._request_id = 0
        self._sequence: int | None = None
        self._beat_s = self._beat_interval_s = 0.0
        self._logged_at = 0.0

    # --- Wishes -----------------------------------------------------------------------------------------------

    def want(self, streams: Iterable[str]) -> None:
        self.subscriptions.want(streams)
        self._wake.set()

    def resubscribe(self, streams: Iterable[str]) -> None:
        """End these subscriptions and ask for them anew."""
        self.subscriptions.again(streams)
        self._wake.set()

    def heard(self, streams: Iterable[str]) -> None:
        """Data of these came."""
        self.subscriptions.heard(streams, time.monotonic())
        self._wake.set()

    def replace(self, why: str) -> None:
        """Have the next one opened."""
        logger.info("%s: the connection is to be replaced: %s", self.provider.name, why)
        self.to_replace.set()

    # --- Life -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the connection ends. Raises what ended it."""
        async with self._open() as socket:
            self.state, self.opened_s = status.SUBSCRIBING, time.monotonic()
            self._alive()
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
                    await end(task)

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[ClientConnection]:
        # No pings of our own: they count towards the venue's message budget, and silence is watched for anyway.
        # The library answers the venue's.
        async with connect(
            self._url,
            max_size=settings.LISTENER_FRAME_MAX_BYTES,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,
            create_connection=self._socket,  # type: ignore[arg-type]
        ) as socket:
            yield socket

    def _socket(self, *args: Any, **kwargs: Any) -> _Socket:
        made = _Socket(*args, **kwargs)
        made.pinged, made.may_open = self._pinged, self._may_open
        return made

    # --- Reading ----------------------------------------------------------------------------------------------

    async def _read(self, socket: ClientConnection) -> None:
        receive, take = socket.recv, self.pipeline.receive
        while True:
            # Bytes, undecoded: a frame that is not UTF-8 is the decoder's to refuse, not the socket's to die of.
            frame = await receive(decode=False)
            received_us = time.time_ns() // 1000
            said = take(frame, received_us)
            if said:
                self._hear(said)
            self.heard_us, self.heard_s = received_us, time.monotonic()

    def _hear(self, said: Sequence[object]) -> None:
        now = time.monotonic()
        for word in said:
            if isinstance(word, Numbered):
                self._count(word.sequence)
            elif isinstance(word, Heartbeat):
                self._beaten(now)
            elif isinstance(word, Ack):
                if not self.subscriptions.accepted(word, now):
                    logger.info("%s: an answer to nothing we asked: %s", self.provider.name, word)
                self._wake.set()
            elif isinstance(word, VenueError):
                self._complained(word, now)
            elif isinstance(word, Shutdown):
                self.replace("the venue announces a shutdown")

    def _count(self, sequence: int) -> None:
        """A number that jumps is a hole; one that is not above the last is a frame that came twice."""
        expected = sequence if self._sequence is None else self._sequence + 1
        if sequence < expected:
            return
        self._sequence = sequence
        if sequence > expected:
            self._told.skipped(expected, sequence - 1, self.heard_us)

    def _complained(self, error: VenueError, now: float) -> None:
        refused = self.subscriptions.refused(error, now)
        self._told.complained(error, refused)
        self._wake.set()
        if now - self._logged_at >= LOG_INTERVAL_S:
            self._logged_at = now
            left_out = f"; left out for now: {', '.join(refused[:10])}" if refused else ""
            logger.error("%s refuses: code %d, %s%s", self.provider.name, error.code, error.message, left_out)

    # --- Subscribing ------------------------------------------------------------------------------------------

    async def _keep_subscribed(self, socket: ClientConnection) -> None:
        while True:
            self._wake.clear()
            for wish in self.subscriptions.due(time.monotonic()):
                await self._ask(socket, wish)
            now = time.monotonic()
            if self.subscriptions.settled(now) and not self.live.is_set():
                self.state = status.LIVE
                self.live.set()
            await self._rest(self.subscriptions.next_s(now))
            self._look_overdue(time.monotonic())

    async def _ask(self, socket: ClientConnection, wish: Wish) -> None:
        ask = self.provider.subscribe if wish.subscribe else self.provider.unsubscribe
        for at in range(0, len(wish.streams), STREAMS_PER_REQUEST):
            for request in ask(wish.streams[at : at + STREAMS_PER_REQUEST], self._request_id + 1):
                self._request_id = request.request_id
                await self._turn()
                self.subscriptions.asked(request, wish.subscribe, time.monotonic())
                await socket.send(request.message)

    async def _turn(self) -> None:
        """Wait until the venue allows one more message."""
        while (wait_s := self._pace.wait_s(time.monotonic())) > 0:
            await asyncio.sleep(wait_s)
        self._pace.note(time.monotonic())

    async def _rest(self, at_most_s: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._wake.wait()

    def _look_overdue(self, now: float) -> None:
        late = self.subscriptions.overdue(now)
        if not late:
            return
        logger.warning("%s: no answer for %d streams, such as %s", self.provider.name, len(late), late[0])
        if not self.subscriptions.answered and not self.subscriptions.live:
            raise Unanswered(f"{len(late)} streams asked for, and no answer to anything")

    # --- Silence and age --------------------------------------------------------------------------------------

    def _alive(self) -> None:
        self.heard_us, self.heard_s = time.time_ns() // 1000, time.monotonic()

    def _pinged(self) -> None:
        self.heard_s = time.monotonic()
        self._pace.note(self.heard_s)

    def _beaten(self, now: float) -> None:
        if self._beat_s:
            self._beat_interval_s = max(self._beat_interval_s, now - self._beat_s)
        self._beat_s = now

    def _silence_limit_s(self) -> float:
        limit_s = self.provider.limits.silence_timeout_s
        if settings.LISTENER_SILENCE_TIMEOUT_S:
            limit_s = min(limit_s, settings.LISTENER_SILENCE_TIMEOUT_S)
        if self._beat_interval_s:
            usual_s = HEARTBEATS_MISSED * self._beat_interval_s
            limit_s = min(limit_s, max(settings.LISTENER_HEARTBEAT_TIMEOUT_S, usual_s))
        return limit_s

    async def _watch(self) -> None:
        while True:
            silent_s, limit_s = time.monotonic() - self.heard_s, self._silence_limit_s()
            if silent_s >= limit_s:
                raise Silent(f"nothing heard for {silent_s:.1f} s")
            await asyncio.sleep(min(limit_s - silent_s, 1.0))

    async def _grow_old(self) -> None:
        """Have it replaced before the venue ends it; some sooner, so that many do not reconnect at once."""
        await asyncio.sleep(self.provider.limits.rotate_after_s * random.uniform(0.9, 1.0))  # noqa: S311
        self.replace("it is as old as the venue lets it become")
        await asyncio.Event().wait()


async def end(task: "asyncio.Task[None]") -> None:
    """Cancel it and wait; whatever it had to say was said before or does not matter any more."""
    await resident.end([task])
    if not task.cancelled():
        task.exception()
