"""Order book snapshots by REST, for the venues that give them there: a queue within the venue's budget.

The books say which symbols want one, the most urgent first; a few are fetched at a time, in threads, and come back to
the loop as deltas. What is over the budget waits until the venue has room again; a symbol that failed waits a while.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol, runtime_checkable

from django.conf import settings

from ingestion import http
from ingestion.budget import OverBudget
from ingestion.http import Refused, Unreachable
from ingestion.providers import MalformedFrame
from ingestion.rest.call import Call
from ingestion.ticks import BookDelta
from worker import metrics
from worker.resident import in_thread

logger = logging.getLogger(__name__)

LOOK_INTERVAL_S: Final = 0.1
# How long one call may wait for its share of the budget: its thread waits with it.
BUDGET_DEADLINE_S: Final = 1.0
FAILED_RETRY_S: Final = 10.0
REFUSED_RETRY_S: Final = 300.0


@runtime_checkable
class ByRest(Protocol):
    """A provider whose books begin with a snapshot by REST."""

    def book_call(self, symbol: str, limit: int) -> Call: ...

    def read_book(self, body: bytes, symbol: str, received_us: int) -> BookDelta:
        """Raises MalformedFrame."""


class Snapshots:
    """wanted: the symbols that want one now, the most urgent first. take: where they go."""

    def __init__(
        self, provider: ByRest, wanted: Callable[[], Sequence[str]], take: Callable[[BookDelta], None]
    ) -> None:
        self._provider, self._wanted, self._take = provider, wanted, take
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[str, float] = {}
        self._pause_until = 0.0
        self.waiting = 0

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._look(time.monotonic())
                await asyncio.sleep(LOOK_INTERVAL_S)
        finally:
            for task in self._fetching.values():
                task.cancel()

    def _look(self, now: float) -> None:
        self._fetching = {symbol: task for symbol, task in self._fetching.items() if not task.done()}
        wanted = [symbol for symbol in self._wanted() if symbol not in self._fetching]
        self.waiting = len(wanted)
        if now < self._pause_until:
            return
        room = settings.BOOK_SNAPSHOTS_AT_ONCE - len(self._fetching)
        for symbol in [s for s in wanted if self._not_before.get(s, 0.0) <= now][: max(0, room)]:
            self._fetching[symbol] = asyncio.create_task(self._fetch(symbol))

    async def _fetch(self, symbol: str) -> None:
        try:
            self._take(await in_thread(self._get, symbol))
            self._not_before.pop(symbol, None)
        except OverBudget as over:
            self._pause_until = time.monotonic() + max(0.0, over.retry_at_s - time.time())
            metrics.count("ingestion.book_snapshots_over_budget")
        except Refused as refused:
            self._later(symbol, REFUSED_RETRY_S, refused)
        except (Unreachable, MalformedFrame) as error:
            self._later(symbol, FAILED_RETRY_S, error)
        except Exception:  # one symbol's snapshot must not end the others'
            logger.exception("the snapshot of %s failed", symbol)
            self._not_before[symbol] = time.monotonic() + FAILED_RETRY_S

    def _get(self, symbol: str) -> BookDelta:
        call = self._provider.book_call(symbol, settings.BOOK_SNAPSHOT_LEVELS)
        body = http.get(call, deadline_s=BUDGET_DEADLINE_S)
        return self._provider.read_book(body, symbol, time.time_ns() // 1000)

    def _later(self, symbol: str, after_s: float, error: Exception) -> None:
        logger.warning("no snapshot of %s: %s", symbol, error)
        metrics.count("ingestion.book_snapshots_failed")
        self._not_before[symbol] = time.monotonic() + after_s
