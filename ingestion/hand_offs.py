"""What a listener has stored beside its journal: refused ticks, the venue's bars, holes in trade ids.

Handed to threads batch by batch, so that the listener's loop never waits. What waits is bounded; further items are
counted and dropped. While the database is away they wait and are tried again.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar

from django.conf import settings
from django.db import Error as DatabaseError

from ingestion import gaps, store
from ingestion.holes import Hole
from ingestion.models import Quarantined
from ingestion.pipeline import Doubtful, Pipeline
from ingestion.providers import SOURCES
from ingestion.ticks import VenueBar
from worker import metrics
from worker.resident import in_thread

logger = logging.getLogger(__name__)
T = TypeVar("T")

BATCH_MAX: Final = 1000
RETRY_S: Final = 1.0


class HandOff(Generic[T]):
    """Items of one kind on their way to `write`, which is called in a thread with up to BATCH_MAX of them.

    name: what they are, for logs and the metric `ingestion.<name>_dropped`.
    """

    def __init__(self, name: str, write: Callable[[list[T]], object]) -> None:
        self._name, self._write = name, write
        self._waiting: deque[T] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many, beside those being written."""
        return len(self._waiting)

    def offer(self, items: Iterable[T]) -> None:
        """Have them written. To be called on the loop."""
        for item in items:
            if len(self._waiting) >= settings.LISTENER_HAND_OFF_MAX:
                metrics.count(f"ingestion.{self._name}_dropped")
            else:
                self._waiting.append(item)
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._work())

    async def finish(self, timeout_s: float) -> None:
        """Wait until all is written, but no longer than this."""
        if self._task is None:
            return
        await asyncio.wait([self._task], timeout=max(0.0, timeout_s))
        if not self._task.done():
            logger.error("%d %s could not be stored", len(self._waiting), self._name)
            self._task.cancel()

    async def _work(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
            try:
                await in_thread(self._write, batch)
            except DatabaseError as error:
                logger.warning("%d %s could not be stored yet: %s", len(batch), self._name, error)
                metrics.count(f"ingestion.{self._name}_failures")
                self._waiting.extendleft(reversed(batch))
                await asyncio.sleep(RETRY_S)
            except Exception:  # a bug in one kind's writing must not end the feed
                logger.exception("%d %s are lost", len(batch), self._name)
                metrics.count(f"ingestion.{self._name}_dropped", len(batch))


class HandOffs:
    """A listener's. `tend` is called often."""

    def __init__(self, provider: str, pipeline: Pipeline) -> None:
        self._provider, self._pipeline = provider, pipeline
        self._doubtful = HandOff[Doubtful]("refused", self._write_doubtful)
        self._bars = HandOff[VenueBar]("venue_bars", self._write_bars)
        self._holes = HandOff[Hole]("holes", self._write_holes)

    def tend(self) -> None:
        """Take from the pipeline what is to be stored."""
        doubtful = self._pipeline.take_doubtful()
        metrics.count("ingestion.refused", len(doubtful))
        self._doubtful.offer(doubtful)
        self._bars.offer(self._pipeline.take_venue_bars())
        self._holes.offer(self._pipeline.take_holes())

    async def finish(self, timeout_s: float) -> None:
        """Have everything written that can be in this time."""
        deadline = time.monotonic() + timeout_s
        for hand_off in (self._doubtful, self._bars, self._holes):
            await hand_off.finish(deadline - time.monotonic())

    def _write_doubtful(self, batch: list[Doubtful]) -> None:
        store.quarantine([quarantined(self._provider, doubtful) for doubtful in batch])

    def _write_bars(self, batch: list[VenueBar]) -> None:
        ids = {symbol: known.id for symbol, known in self._pipeline.symbols.items()}
        store.write_venue_bars(SOURCES[self._provider], [bar for bar in batch if bar.symbol in ids], ids)

    def _write_holes(self, batch: list[Hole]) -> None:
        gaps.record(self._provider, batch)


def quarantined(provider: str, doubtful: Doubtful) -> Quarantined:
    """Its row."""
    try:
        time_ = None if doubtful.time_us is None else store.to_datetime(doubtful.time_us)
    except OverflowError:
        time_ = None  # no date has this time; the raw bytes show it
    return Quarantined(
        provider=provider,
        # PostgreSQL takes no NUL in text.
        symbol=doubtful.symbol.replace("\0", "")[:64],
        reason=doubtful.reason[:64],
        raw=doubtful.raw,
        time=time_,
        received_at=store.to_datetime(doubtful.received_us),
    )
