"""Who gets the same bytes of a topic, sorted so that delivering touches no more of a connection than it must."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from streaming.frames import Frame, made_of
from streaming.outbox import Outbox, replace_all
from streaming.pace import Pace
from streaming.protocol import Message
from streaming.topics import Kind

if TYPE_CHECKING:
    from streaming.hub import Follower

logger = logging.getLogger(__name__)

# Dialect, name and depth: what a frame is made of, beside its message.
Manner = tuple[str, str, int | None]
Write = Callable[[bytes], None]


class Lane:
    """The followers of one topic, in one manner and at one pace. Each is in one of three places:

    held: its beginning is being read, and what arrives is kept for it;
    waiting: its outbox takes what arrives, until it is flushed;
    flowing: a frame is written to its socket at once, because each update is wanted by itself, nothing waits, and the
    socket has taken all that was written before.
    """

    __slots__ = ("_dialect", "_subscription", "flowing", "held", "kind", "manner", "name", "pace", "waiting")

    def __init__(self, first: "Follower", kind: Kind) -> None:
        self.manner, self.name, self.kind = first.manner, first.name, kind
        self.pace: Pace = first.connection.pace
        self._dialect, self._subscription = first.connection.dialect, first.subscription
        self.held: dict[Follower, None] = {}
        self.waiting: dict[Follower, Outbox] = {}
        self.flowing: dict[Follower, Write] = {}

    def __len__(self) -> int:
        return len(self.held) + len(self.waiting) + len(self.flowing)

    def place(self, follower: "Follower") -> None:
        """Put the follower where it belongs just now."""
        self.remove(follower)
        if follower.held is not None:
            self.held[follower] = None
        elif follower.connection.flow is not None and self.kind is not Kind.LOSSLESS:
            self.flowing[follower] = follower.connection.flow
        else:
            self.waiting[follower] = follower.connection.outbox

    def remove(self, follower: "Follower") -> None:
        self.held.pop(follower, None)
        self.waiting.pop(follower, None)
        self.flowing.pop(follower, None)

    def render(self, message: Message) -> Frame:
        """The bytes for every follower in this manner."""
        return made_of(self._dialect.render(message, self._subscription), message.at_us)

    def deliver(self, frame: Frame, seq: int | None) -> int:
        """Hand the frame to all that are not held. Returns to how many sockets it was written."""
        if seq is not None:
            self._queue(frame, seq)
            return 0
        if self.waiting:
            if self.kind is Kind.BATCHED:
                for outbox in self.waiting.values():
                    outbox.extend(self.name, frame)
            else:
                replace_all(self.waiting.values(), self.name, frame)
            self.pace.arm()
        return self._write(frame.wire) if self.flowing else 0

    def _queue(self, frame: Frame, seq: int) -> None:
        for follower in list(self.waiting):  # one that is too slow leaves meanwhile
            if seq > follower.after:
                follower.connection.put(frame)

    def _write(self, wire: bytes) -> int:
        """The hot loop. A socket that no longer takes all stops flowing meanwhile."""
        writes = list(self.flowing.values())
        rest = iter(writes)
        while True:
            try:
                for write in rest:
                    write(wire)
            except Exception:  # one broken connection must not stop all others
                logger.exception("a frame could not be written")
            else:
                return len(writes)
