"""What goes wrong at a venue, on order or by a schedule.

A schedule is a list of faults, each at the number of the data frame with which it happens, so that the same venue with
the same seed misbehaves in the same way each time.
"""

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

# What may befall one frame on its way …
PASS = "pass"
DROP = "drop"
DUPLICATE = "duplicate"
REORDER = "reorder"  # it goes out after the next one
DELAY = "delay"  # argument: seconds; all after it wait too, as on any TCP connection
HALF = "half"  # half of the frame, then RST
FRAGMENT = "fragment"  # in several fragments of one message
UNKNOWN_FIELDS = "unknown_fields"
WRONG_CHECKSUM = "wrong_checksum"
CROSSED = "crossed"  # a bid above the best ask, which the venue never meant
CUT_SNAPSHOT = "cut_snapshot"  # the next snapshot of a book ends in its middle, with RST
ON_FRAMES = (DROP, DUPLICATE, REORDER, DELAY, HALF, FRAGMENT, UNKNOWN_FIELDS, WRONG_CHECKSUM, CROSSED, CUT_SNAPSHOT)
# Of a book's frames alone.
ON_BOOKS = (WRONG_CHECKSUM, CROSSED)

# … or the whole connection, or all of them. The argument of most is for how many seconds.
CLOSE = "close"  # argument: the code; 1006 is RST
STALL = "stall"  # the socket stays open, and nothing comes
MUTE = "mute"  # heartbeats and pings go on, data is lost
REFUSE = "refuse"  # no new connections
SHUTDOWN = "shutdown"  # announced, then closed
STALE_SNAPSHOT = "stale_snapshot"  # the next REST book is older than what was streamed
HTTP_500 = "http_500"
HTTP_TIMEOUT = "http_timeout"
HTTP_HTML = "http_html"  # 200, and a page of HTML
ON_HTTP = (STALE_SNAPSHOT, HTTP_500, HTTP_TIMEOUT, HTTP_HTML)
CLOSE_CODES = (1000, 1001, 1006, 1008, 1011, 1013)


@dataclass(frozen=True)
class Fault:
    """at: the number of the data frame, from 1, with which it happens."""

    at: int
    kind: str
    argument: float = 0


def seeded(seed: int, kinds: Sequence[str | tuple[str, float]], frames: int, first: int = 20) -> list[Fault]:
    """Each of the kinds once, in some order, spread over frames `first` to `frames`.

    A kind comes with its argument or without: ("close", 1006).
    """
    chance = random.Random(seed)
    order = list(kinds)
    chance.shuffle(order)
    room = (frames - first) / max(1, len(order))
    places = [first + int((i + chance.random() * 0.5) * room) for i in range(len(order))]
    pairs = [kind if isinstance(kind, tuple) else (kind, 0.0) for kind in order]
    return [Fault(at, kind, argument) for at, (kind, argument) in zip(places, pairs, strict=True)]


class Fates:
    """What befalls the coming frames: faults given by count (`next`) and by schedule."""

    def __init__(self) -> None:
        self.frames = 0
        self.happened: list[Fault] = []
        self._next: deque[Fault] = deque()
        self._schedule: deque[Fault] = deque()

    def next(self, kind: str, count: int = 1, argument: float = 0) -> None:
        """This befalls the next frames."""
        self._next.extend(Fault(0, kind, argument) for _ in range(count))

    def schedule(self, faults: Iterable[Fault]) -> None:
        """Their frame numbers count from now."""
        moved = [Fault(fault.at + self.frames, fault.kind, fault.argument) for fault in faults]
        self._schedule = deque(sorted([*self._schedule, *moved], key=lambda fault: fault.at))

    @property
    def waiting(self) -> int:
        """Faults that have not happened yet."""
        return len(self._next) + len(self._schedule)

    def due(self) -> list[Fault]:
        """Count one data frame; the scheduled faults that happen with it."""
        self.frames += 1
        due: list[Fault] = []
        while self._schedule and self._schedule[0].at <= self.frames:
            due.append(self._schedule.popleft())
        self.happened += due
        return due

    def of(self, snapshot: bool, book: bool) -> Fault:
        """What befalls the frame at hand. Faults of books wait for a frame of a book, and so on."""
        return self._first(
            lambda kind: (kind not in ON_BOOKS or (book and not snapshot)) and (kind != CUT_SNAPSHOT or snapshot)
        )

    def of_answer(self, snapshot: bool) -> Fault:
        """As `of`, for what a client is told because it asked: only a snapshot can be cut."""
        return self._first(lambda kind: kind == CUT_SNAPSHOT and snapshot)

    def _first(self, fits: Callable[[str], bool]) -> Fault:
        for i, fault in enumerate(self._next):
            if fits(fault.kind):
                del self._next[i]
                return fault
        return Fault(0, PASS)
