"""One timer for all connections of one interval, so that those that follow the same are flushed one after the other."""

import asyncio
import itertools
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from streaming.connection import Connection

logger = logging.getLogger(__name__)

# A client that takes nothing is looked at again so soon, at the earliest.
RETRY_MIN_S: Final = 0.01
# So many connections are flushed before the event loop gets to do something else: some milliseconds' work.
FLUSHED_AT_ONCE: Final = 500


class Pace:
    """members: the connections. A beat flushes those for whom something waits; without such there is none.

    After a rest of at least the interval the first to be armed for goes at once; so nobody waits for longer than it.
    """

    __slots__ = ("_handle", "_next_at", "interval_s", "members")

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.members: dict[Connection, None] = {}
        self._handle: asyncio.Handle | None = None
        self._next_at = 0.0

    def arm(self) -> None:
        """Something waits for a member."""
        if self._handle is None:
            loop = asyncio.get_running_loop()
            if self._next_at <= loop.time():
                self._handle = loop.call_soon(self._beat)
            else:
                self._handle = loop.call_at(self._next_at, self._beat)

    def retry(self) -> None:
        """What waits for a member could not be written: look again later, whatever the interval."""
        if self._handle is None:
            later_s = max(self.interval_s, RETRY_MIN_S)
            self._handle = asyncio.get_running_loop().call_later(later_s, self._beat)

    def _beat(self) -> None:
        self._handle = None
        self._next_at = asyncio.get_running_loop().time() + self.interval_s
        self._flush_some(iter([connection for connection in self.members if connection.outbox]))

    def _flush_some(self, waiting: "Iterator[Connection]") -> None:
        flushed = 0
        for connection in itertools.islice(waiting, FLUSHED_AT_ONCE):
            flushed += 1
            flush(connection)
        if flushed == FLUSHED_AT_ONCE:
            asyncio.get_running_loop().call_soon(self._flush_some, waiting)


def flush(connection: "Connection") -> None:
    """One broken connection must not stop all others."""
    try:
        connection.flush()
    except Exception:
        logger.exception("a connection could not be flushed")
