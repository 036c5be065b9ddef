"""What waits for one connection, and what gives way when it is slow. Pure.

Answers and lossless events wait in order, and too many of them end the connection; a conflated topic's newer value
takes the place of the one not yet sent; of a batched topic the oldest fall out. What nobody saw is counted.
"""

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

from streaming.frames import Frame

# A subscription's place among those of its connection: what a page shows just now goes first.
LOW: Final = 0
NORMAL: Final = 1
HIGH: Final = 2
PRIORITIES: Final = {"low": LOW, "normal": NORMAL, "high": HIGH}


class SlowConsumer(Exception):
    """More waits for this client than is kept for it."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} messages waiting")
        self.waiting = waiting


class Outbox:
    """queue_max: ordered messages kept. batch_max: messages kept of one batched topic."""

    __slots__ = ("batch_max", "batches", "dropped", "queue", "queue_max", "ranks", "slots")

    def __init__(self, queue_max: int, batch_max: int) -> None:
        self.queue_max, self.batch_max = queue_max, batch_max
        self.queue: list[Frame] = []
        self.slots: dict[str, Frame] = {}
        self.batches: dict[str, deque[Frame]] = {}
        self.dropped: Counter[str] = Counter()
        # The priorities of the topics that have another than NORMAL.
        self.ranks: dict[str, int] = {}

    def rank(self, topic: str, priority: int) -> None:
        """From now on the topic has this priority."""
        if priority == NORMAL:
            self.ranks.pop(topic, None)
        else:
            self.ranks[topic] = priority

    def put(self, frame: Frame) -> None:
        """Nothing of this may be lost or overtake another. Raises SlowConsumer."""
        if len(self.queue) >= self.queue_max:
            raise SlowConsumer(len(self.queue))
        self.queue.append(frame)

    def replace(self, topic: str, frame: Frame) -> None:
        """The newer value replaces the one not yet sent."""
        replace_all((self,), topic, frame)

    def extend(self, topic: str, frame: Frame) -> None:
        """Every message counts, but only the newest `batch_max` are kept."""
        waiting = self.batches.setdefault(topic, deque(maxlen=self.batch_max))
        if len(waiting) == self.batch_max:
            self.dropped[topic] += 1
        waiting.append(frame)

    def forget(self, topic: str) -> None:
        """The topic is no longer subscribed: what waits of it in slots goes; what is queued was promised."""
        self.slots.pop(topic, None)
        self.batches.pop(topic, None)
        self.dropped.pop(topic, None)
        self.ranks.pop(topic, None)

    def __bool__(self) -> bool:
        return bool(self.queue or self.slots or self.batches)

    def take(self, least: int = LOW) -> list[Frame]:
        """What waits: first what is in order, then the newest values, those of higher priority first.

        least: values of a lower priority stay, and newer ones may still take their place.
        """
        if not (self.queue or self.batches or self.ranks) and least <= NORMAL:
            values = list(self.slots.values())  # by far the most frequent case
            self.slots.clear()
            return values
        taken, self.queue = self.queue, []
        if not self.ranks and least <= NORMAL:
            self._take_all(taken)
            return taken
        ranks = self.ranks
        for topic in sorted((*self.slots, *self.batches), key=lambda name: -ranks.get(name, NORMAL)):
            if ranks.get(topic, NORMAL) < least:
                break
            taken.extend(self._take_one(topic))
        return taken

    def _take_all(self, taken: list[Frame]) -> None:
        taken.extend(self.slots.values())
        for waiting in self.batches.values():
            taken.extend(waiting)
        self.slots.clear()
        self.batches.clear()

    def _take_one(self, topic: str) -> list[Frame]:
        frame = self.slots.pop(topic, None)
        return [*self.batches.pop(topic, ())] if frame is None else [frame]

    def take_dropped(self) -> dict[str, int]:
        """How many updates of each topic this client did not see since this was last asked."""
        dropped, self.dropped = dict(self.dropped), Counter()
        return dropped


def replace_all(outboxes: Iterable[Outbox], topic: str, frame: Frame) -> None:
    """`replace` for each, without a call for each: a hub does this for every update and every client."""
    for outbox in outboxes:
        slots = outbox.slots
        if topic in slots:
            outbox.dropped[topic] += 1
        slots[topic] = frame
