"""A place for one connection: there is always one, or the next is about to be tried.

Each connection starts only after the lease was asked for again, since many venues close the older of two. When the
venue announces a shutdown, or the connection nears the age at which the venue ends it, or goes mute, the next one is
opened beside it and takes over once it is live; what both deliver is recognised by its ids (`pipeline.py`). A venue
that allows one connection only gets the break before the make, and the hole is recorded.
"""

import asyncio
import logging
import random
import time
from collections.abc import Iterable, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from django.conf import settings
from websockets.exceptions import InvalidStatus, WebSocketException

from ingestion import status
from ingestion.connection import Connection, NotOurs, Silent, Unanswered, end
from ingestion.providers import BOOK, Backoff, BookRule, VenueError
from ingestion.status import ConnectionStatus
from ingestion.subscriptions import Subscriptions
from worker import metrics

if TYPE_CHECKING:
    from ingestion.feeds import VenueFeed

logger = logging.getLogger(__name__)

# What ends a connection in the ordinary course; anything else is a bug of ours, and raised.
ORDINARY: Final = (OSError, WebSocketException, Silent, Unanswered, NotOurs, TimeoutError, EOFError)
# The venue does not know us, or not this key.
UNAUTHORIZED: Final = frozenset({401, 403})
# Books without update ids by which two accounts of them could be told apart.
BEGUN_IN_STREAM: Final = frozenset({BookRule.NUMBERED_FRAMES, BookRule.CHECKSUM})
TOO_MANY: Final = frozenset({418, 429})
LONGEST_RETRY_AFTER_S: Final = 24 * 3600.0


class Line:
    """One of a feed's. `symbols`: what it listens to, in the venue's spelling."""

    def __init__(self, feed: "VenueFeed", number: int) -> None:
        self.feed, self.number = feed, number
        self.symbols: tuple[str, ...] = ()
        self.connection: Connection | None = None
        self.waiting = status.CONNECTING  # the state while there is no connection
        self.reconnects = 0
        self.last_error = ""
        self._gone = True
        self._backoff = Backoff(random.uniform)

    # --- Wishes -----------------------------------------------------------------------------------------------

    def follow(self, symbols: Iterable[str]) -> None:
        """From now on these."""
        self.symbols = tuple(sorted(symbols))
        if self.connection is not None:
            self.connection.want(self._streams())

    def resubscribe(self, streams: Sequence[str]) -> None:
        if self.connection is not None:
            self.connection.resubscribe(streams)

    def replace(self, why: str) -> None:
        """Something is wrong with the connection; there may be a hole since it was last heard."""
        if self.connection is not None and not self.connection.to_replace.is_set():
            self.feed.doubt(self, self.connection.heard_us)
            self.connection.replace(why)

    def _streams(self, beside_another: bool = False) -> list[str]:
        """What is wanted. A second account of a book that begins in the stream would spoil the first one's."""
        provider = self.feed.provider
        if beside_another and provider.book in BEGUN_IN_STREAM:
            return provider.streams(self.symbols, [kind for kind in provider.kinds if kind != BOOK])
        return provider.streams(self.symbols)

    # --- Telling ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        return self.waiting if self.connection is None else self.connection.state

    def status(self, now_s: float) -> ConnectionStatus:
        connection = self.connection
        opened_s = connection.opened_s if connection is not None else 0.0
        return ConnectionStatus(
            state=self.state,
            symbols=len(self.symbols),
            reconnects=self.reconnects,
            age_s=round(now_s - opened_s, 1) if opened_s else None,
            subscribed=len(connection.subscriptions.live) if connection is not None else 0,
            asked=len(connection.subscriptions.asking) if connection is not None else 0,
            last_error=self.last_error,
        )

    def complained(self, error: VenueError, refused: list[str]) -> None:
        self.last_error = f"code {error.code}: {error.message}"
        self.feed.complained(refused)

    def skipped(self, first: int, last: int, since_us: int) -> None:
        self.feed.skipped(self, first, last, since_us)

    # --- Life -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        previous: asyncio.Task[None] | None = None
        try:
            while True:
                previous = await self._next(previous)
        finally:
            self.connection = None
            if previous is not None:
                await end(previous)

    async def _next(self, previous: "asyncio.Task[None] | None") -> "asyncio.Task[None] | None":
        """Run one connection until it ends or is to be replaced; in that case it is returned, still running."""
        await self.feed.turn_to_connect()
        if not await self.feed.allowed():
            await asyncio.sleep(self._backoff.delay(0.0))
            return previous
        connection = self._open(beside_another=previous is not None)
        task = asyncio.create_task(connection.run())
        try:
            await self._took_over(connection, task, previous)
            ended = await _first(task, connection.to_replace)
        except BaseException:
            await end(task)
            raise
        if not ended:
            return await self._succeeded(connection, task)
        await self._ended(connection, task, gone=previous is None or previous.done())
        return None if previous is None or previous.done() else previous

    def _open(self, beside_another: bool) -> Connection:
        feed = self.feed
        subscriptions = Subscriptions(
            acknowledges=feed.provider.acknowledges,
            refusals=feed.refusals,
            answer_within_s=settings.LISTENER_ANSWER_TIMEOUT_S,
            refused_for_s=settings.LISTENER_REFUSED_SYMBOL_RETRY_S,
        )
        connection = Connection(feed.provider, feed.url(), feed.pipeline, subscriptions, self, feed.still_ours)
        connection.want(self._streams(beside_another))
        if self.connection is None:
            self.connection = connection
        return connection

    async def _took_over(
        self, connection: Connection, task: "asyncio.Task[None]", previous: "asyncio.Task[None] | None"
    ) -> None:
        """Wait until the connection is live (or has ended), then end the one before it."""
        await _first(task, connection.live)
        if not connection.live.is_set():
            return
        older, self.connection = self.connection, connection
        self._gone, self.last_error = False, ""
        if previous is not None:
            if older is not None:
                older.state = status.DRAINING
            await end(previous)
            if self.feed.provider.book in BEGUN_IN_STREAM:
                self.feed.pipeline.lost(self.symbols)
        # With the books, and with what was wanted anew meanwhile.
        connection.want(self._streams())
        self.feed.found(self)

    async def _succeeded(self, connection: Connection, task: "asyncio.Task[None]") -> "asyncio.Task[None] | None":
        """The connection is to be replaced: it stays meanwhile, where the venue allows two."""
        if not self.feed.provider.limits.exclusive:
            return task
        connection.state = status.DRAINING
        await end(task)
        self.connection, self.waiting = None, status.CONNECTING
        self._lost(connection)
        return None

    async def _ended(self, connection: Connection, task: "asyncio.Task[None]", gone: bool) -> None:
        """gone: no connection is left; a failed replacement leaves the one that it was to replace."""
        error = task.exception()
        self.reconnects += 1
        metrics.count(f"ingestion.reconnects.{self.feed.provider.name}")
        if error is not None and not isinstance(error, ORDINARY):
            raise error
        self.last_error = self.feed.without_key(_said(error))
        logger.warning("%s: connection %d ended: %s", self.feed.provider.name, self.number, self.last_error)
        if gone:
            self._lost(self.connection or connection)
            self.connection = None
        self.waiting = status.REFUSED if _is_refusal(error) else status.CONNECTING
        lived_s = time.monotonic() - connection.opened_s if connection.live.is_set() else 0.0
        await asyncio.sleep(self._delay_s(error, lived_s))
        self.waiting = status.CONNECTING

    def _lost(self, connection: Connection) -> None:
        if not self._gone:
            self._gone = True
            self.feed.lost(self, connection.heard_us)

    def _delay_s(self, error: BaseException | None, lived_s: float) -> float:
        """How long to wait: by our own patience, and by what the venue says."""
        delay_s = self._backoff.delay(lived_s)
        if not isinstance(error, InvalidStatus):
            return delay_s
        code = error.response.status_code
        if code in UNAUTHORIZED:
            delay_s = max(delay_s, settings.LISTENER_REFUSED_RETRY_S * random.uniform(0.9, 1.1))  # noqa: S311
        asked_s = _retry_after_s(error)
        if asked_s is not None:
            return max(delay_s, asked_s * random.uniform(1.0, 1.1))  # noqa: S311
        return max(delay_s, settings.LISTENER_TOO_MANY_RETRY_S) if code in TOO_MANY else delay_s


def _is_refusal(error: BaseException | None) -> bool:
    return isinstance(error, InvalidStatus) and error.response.status_code in UNAUTHORIZED


def _retry_after_s(error: InvalidStatus) -> float | None:
    """What the answer's Retry-After says, in seconds or as a date; None if it says nothing that can be read."""
    said = error.response.headers.get("Retry-After")
    if said is None:
        return None
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(said).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER_S)


def _said(error: BaseException | None) -> str:
    if error is None:
        return "closed by the venue"
    if isinstance(error, InvalidStatus):
        body = (error.response.body or b"")[:200].decode(errors="replace").strip()
        return f"{error}: {body}" if body else str(error)
    return str(error) or type(error).__name__


async def _first(task: "asyncio.Task[None]", event: asyncio.Event) -> bool:
    """Wait for either; whether the task has ended."""
    waiter = asyncio.create_task(event.wait())
    try:
        await asyncio.wait([task, waiter], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
    return task.done()
