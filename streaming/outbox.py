"""What waits for one connection, and what gives way when it is slow. Pure.

Answers and lossless events wait in order, and too many of them end the connection; a conflated topic's newer value
takes the place of the one not yet sent; of a batched topic the oldest fall out. What nobody saw is counted.
"""

from collections import Counter, deque

from streaming.frames import Frame


class SlowConsumer(Exception):
    """More waits for this client than is kept for it."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} messages waiting")
        self.waiting = waiting


class Outbox:
    """queue_max: ordered messages kept. batch_max: messages kept of one batched topic."""

    __slots__ = ("batch_max", "batches", "dropped", "queue", "queue_max", "slots")

    def __init__(self, queue_max: int, batch_max: int) -> None:
        self.queue_max, self.batch_max = queue_max, batch_max
        self.queue: list[Frame] = []
        self.slots: dict[str, Frame] = {}
        self.batches: dict[str, deque[Frame]] = {}
        self.dropped: Counter[str] = Counter()

    def put(self, frame: Frame) -> None:
        """Nothing of this may be lost or overtake another. Raises SlowConsumer."""
        if len(self.queue) >= self.queue_max:
            raise SlowConsumer(len(self.queue))
        self.queue.append(frame)

    def replace(self, topic: str, frame: Frame) -> None:
        """The newer value replaces the one not yet sent."""
        if topic in self.slots:
            self.dropped[topic] += 1
        self.slots[topic] = frame

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

    def __bool__(self) -> bool:
        return bool(self.queue or self.slots or self.batches)

    def take(self) -> list[Frame]:
        """Everything that waits: first what is in order, then the newest values."""
        taken = self.queue
        taken.extend(self.slots.values())
        for waiting in self.batches.values():
            taken.extend(waiting)
        self.queue = []
        self.slots.clear()
        self.batches.clear()
        return taken

    def take_dropped(self) -> dict[str, int]:
        """How many updates of each topic this client did not see since this was last asked."""
        dropped, self.dropped = dict(self.dropped), Counter()
        return dropped
