"""The resident that listens to one provider: frames in, flushes out to the journal, messages out to the browsers.

When Redis is away, nothing can be journalled: ticks wait in memory, at most LISTENER_BUFFER_MAX_TICKS of them and none
longer than LISTENER_BUFFER_MAX_S; what falls out is counted and becomes a gap. The lease runs out meanwhile. The
listener then goes on receiving until its first flush gets through or its time to drain is over, and returns. Flushing
then is safe although the lease is lost: the journal refuses the flush if a successor has written already (`Fenced`),
and a tick that both deliver is one row.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Coroutine, Iterable
from typing import Any, Final

import redis
from django.conf import settings
from django.db import Error as DatabaseError

from ingestion import demand, opening, status, store, symbols
from ingestion.feeds import Feed, SimulatedFeed, VenueFeed
from ingestion.journal import START, Fenced, Gap, Journal, Outcome, Reader, parse_id
from ingestion.models import Quarantined
from ingestion.pipeline import Batch, Doubtful, Pipeline
from ingestion.providers import PROVIDERS
from ingestion.status import FeedStatus
from ingestion.symbols import Known
from ingestion.ticks import Tick
from streaming.publish import apublish
from worker import metrics
from worker.resident import Context, in_thread, resident

logger = logging.getLogger(__name__)

TELL_INTERVAL_S: Final = 1.0
REFRESH_INTERVAL_S: Final = 5.0
# A flush may take at most this part of the time: the rest is for receiving.
FLUSH_SHARE: Final = 0.25
REDIS_RETRY_S: Final = 0.1
# Left of RESIDENT_DRAIN_TIMEOUT_S for returning after the last attempt to flush.
DRAIN_RESERVE_S: Final = 1.0

DISCONNECTED: Final = "disconnected"
NOT_LISTENING: Final = "not listening"
BUFFER_FULL: Final = "buffer full"


@resident("ingestion.listen")
async def listen(context: Context) -> None:
    """Listen to the provider of `context.shard` (such as `binance:0`) until told to drain."""
    provider = context.shard.partition(":")[0]
    known = await in_thread(_followed, provider)
    pipeline = await in_thread(opening.live, provider, known, _now_us())
    listener = Listener(context, provider, pipeline)
    listener.not_listening_since(await in_thread(_last_entry_us, context.shard))
    await listener.run()


class Listener:
    """One stay of one listener: its pipeline, its feed and its end of the journal."""

    def __init__(self, context: Context, provider: str, pipeline: Pipeline) -> None:
        self.context, self.provider, self.pipeline = context, provider, pipeline
        self.journal = Journal(context.shard, context.token)
        self.feed = self._feed()
        self.feed.follow(list(pipeline.symbols))
        self.dropped = 0
        self.journal_full = False
        self._full = asyncio.Event()
        pipeline.full = self._when_full
        self._flushing = asyncio.Lock()
        self._pending: Batch | None = None
        self._gaps: deque[Gap] = deque(maxlen=1000)
        self._open_gap: Gap | None = None
        self._interval_s = settings.LISTENER_FLUSH_INTERVAL_MS / 1000
        self._published_at = 0.0
        self._told_at, self._told_ticks = time.monotonic(), 0
        self._unheard: set[str] = set()
        self._quarantining: asyncio.Task[None] | None = None

    def _feed(self) -> Feed:
        if self.provider == "simulated":
            return SimulatedFeed(self.pipeline, settings.SIMULATED_SEED, settings.SIMULATED_TICKS_PER_S)
        base_url = getattr(settings, f"{self.provider.upper()}_WS_URL")
        return VenueFeed(
            PROVIDERS[self.provider], base_url, self.pipeline, self.context.still_mine, self._lost, self._found
        )

    async def run(self) -> None:
        """Until told to drain. A newer owner of the journal ends it at once; any other error is raised."""
        feed = asyncio.create_task(self.feed.run())
        others = [asyncio.create_task(work) for work in self._works()]
        draining = asyncio.create_task(self.context.draining.wait())
        try:
            done, _ = await asyncio.wait([feed, *others, draining], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await self._drain(feed)
        except Fenced as fenced:
            logger.error("%s: %s; stopping", self.context.shard, fenced)
            metrics.count("ingestion.fenced")
        finally:
            await _cancel([feed, *others, draining])

    def _works(self) -> Iterable[Coroutine[Any, Any, None]]:
        return self._keep_flushing(), self._keep_telling(), self._keep_following()

    # --- Flushing ---------------------------------------------------------------------------------------------

    async def _keep_flushing(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._interval_s):
                    await self._full.wait()
            except TimeoutError:
                pass
            self._full.clear()
            started = time.monotonic()
            got_through = await self.flush()
            self._interval_s = flush_interval_s(time.monotonic() - started)
            if not got_through:
                await asyncio.sleep(REDIS_RETRY_S)

    async def flush(self) -> bool:
        """Journal and publish what waits; false when Redis did not take it (it is kept). Raises Fenced."""
        async with self._flushing:
            try:
                await self._append_all()
            except (redis.RedisError, OSError) as error:
                self._bound()
                logger.warning("%s: cannot reach the journal: %s", self.context.shard, error)
                return False
            await self._publish()
            return True

    async def _append_all(self) -> None:
        while self._pending is not None or self.pipeline.due(_now_us()):
            if self._pending is None:
                self._pending = self.pipeline.take(_now_us())
            if self._pending is not None:
                self._note(await self.journal.aappend(self._pending.flush))
                self._pending = None
        while self._gaps:
            await self.journal.aappend_gap(self._gaps[0])
            self._gaps.popleft()

    def _note(self, outcome: Outcome) -> None:
        full = outcome is Outcome.FULL
        if full:
            assert self._pending is not None
            self.dropped += self._pending.flush.count
            metrics.count("ingestion.journal_full_ticks", self._pending.flush.count)
        if full and not self.journal_full:
            logger.error(
                "%s: the journal is full; ticks are shown and not stored until it has room", self.context.shard
            )
        elif self.journal_full and not full:
            logger.warning("%s: the journal has room again", self.context.shard)
        self.journal_full = full

    async def _publish(self) -> None:
        now = time.monotonic()
        if now - self._published_at >= self._interval_s:
            self._published_at = now
            await apublish(self.pipeline.publications(_now_us()))

    def _when_full(self) -> None:
        self._full.set()
        if self.pipeline.waiting > settings.LISTENER_BUFFER_MAX_TICKS:
            self._bound()

    def _bound(self) -> None:
        """Drop what has waited too long or is too much, and record the hole."""
        before_us = _now_us() - int(settings.LISTENER_BUFFER_MAX_S * 1e6)
        # A tenth at once, so that dropping does not happen tick by tick.
        most = settings.LISTENER_BUFFER_MAX_TICKS
        most = most if self.pipeline.waiting <= most else most - most // 10
        self._dropped(self.pipeline.forget_oldest(most, before_us))

    def _dropped(self, ticks: list[Tick]) -> None:
        if not ticks:
            return
        self.dropped += len(ticks)
        metrics.count("ingestion.dropped_ticks", len(ticks))
        logger.error("%s: %d ticks dropped, the journal cannot be reached", self.context.shard, len(ticks))
        self._gaps.append(Gap(BUFFER_FULL, ticks[0].received_us, ticks[-1].received_us, len(ticks)))

    # --- Holes ------------------------------------------------------------------------------------------------

    def not_listening_since(self, since_us: int | None) -> None:
        """Open a gap from where the last listener stopped, if there was one, until this one is live."""
        if since_us is not None and isinstance(self.feed, VenueFeed):
            self._open(Gap(NOT_LISTENING, since_us))

    def _lost(self) -> None:
        if self._open_gap is None:
            self._open(Gap(DISCONNECTED, self.pipeline.last_tick_us or _now_us()))

    def _open(self, gap: Gap) -> None:
        self._open_gap = gap
        self._gaps.append(gap)

    def _found(self) -> None:
        if self._open_gap is not None:
            self._gaps.append(Gap(self._open_gap.reason, self._open_gap.from_us, _now_us()))
            self._open_gap = None

    # --- Ending -----------------------------------------------------------------------------------------------

    async def _drain(self, feed: "asyncio.Task[None]") -> None:
        """Flush what is in memory and stop. While Redis is away the feed is kept until a flush gets through."""
        self.feed.state = status.DRAINING
        deadline = time.monotonic() + settings.RESIDENT_DRAIN_TIMEOUT_S - DRAIN_RESERVE_S
        while not await self._flush_by(deadline):
            if time.monotonic() >= deadline:
                await _cancel([feed])
                self._give_up()
                return
            await asyncio.sleep(REDIS_RETRY_S)
        await _cancel([feed])
        await self._flush_by(deadline)
        await self._tell(status.STOPPED)

    def _give_up(self) -> None:
        """Say what is lost. The next listener records the hole, from the last entry on."""
        ticks = len(self.pipeline.forget_oldest(0, _now_us()))
        if self._pending is not None:
            ticks += self._pending.flush.count
        metrics.count("ingestion.dropped_ticks", ticks)
        logger.error("%s: the journal cannot be reached; %d ticks are lost", self.context.shard, ticks)

    async def _flush_by(self, deadline: float) -> bool:
        try:
            async with asyncio.timeout(max(0.05, deadline - time.monotonic())):
                return await self.flush()
        except TimeoutError:
            return False

    # --- Telling ----------------------------------------------------------------------------------------------

    async def _keep_telling(self) -> None:
        while True:
            await asyncio.sleep(TELL_INTERVAL_S)
            await self._tell(self.feed.state)
            self._quarantine()
            self._alarm_unheard()

    async def _tell(self, state: str) -> None:
        try:
            await status.tell(self.status(state))
        except (redis.RedisError, OSError) as error:
            logger.debug("%s: cannot tell the feed's status: %s", self.context.shard, error)

    def status(self, state: str) -> FeedStatus:
        """As of now; the rate since this was last asked for."""
        counts, now = self.pipeline.counts, time.monotonic()
        rate = (counts.ticks - self._told_ticks) / max(now - self._told_at, 1e-3)
        self._told_at, self._told_ticks = now, counts.ticks
        return FeedStatus(
            self.provider,
            self.context.shard,
            state,
            at_us=_now_us(),
            last_tick_us=self.pipeline.last_tick_us,
            symbols=len(self.pipeline.symbols),
            ticks=counts.ticks,
            ticks_per_s=round(rate, 1),
            frames=counts.frames,
            reconnects=self.feed.reconnects,
            malformed=counts.malformed,
            quarantined=counts.quarantined,
            suspect=counts.suspect,
            duplicates=counts.duplicates,
            unknown=counts.unknown,
            venue_errors=self.feed.venue_errors,
            dropped=self.dropped,
            journal_full=self.journal_full,
            gaps_open=int(self._open_gap is not None),
            latency_ms=self.pipeline.latencies.percentiles_ms(),
            silent=self.feed.unheard(),
        )

    def _alarm_unheard(self) -> None:
        unheard = set(self.feed.unheard())
        if fresh := unheard - self._unheard:
            logger.warning("%s: subscribed, and nothing heard of %s", self.provider, ", ".join(sorted(fresh)))
        self._unheard = unheard

    def _quarantine(self) -> None:
        """Have refused ticks written by a thread, one batch at a time; what waits meanwhile is bounded."""
        if self._quarantining is not None and not self._quarantining.done():
            return
        if doubtful := self.pipeline.take_doubtful():
            metrics.count("ingestion.refused", len(doubtful))
            self._quarantining = asyncio.create_task(_write_quarantine(self.provider, doubtful))

    # --- Following --------------------------------------------------------------------------------------------

    async def _keep_following(self) -> None:
        for name in await in_thread(symbols.unknown_settings):
            logger.error("SYMBOLS names %s, and there is no such instrument", name)
        while True:
            await asyncio.sleep(REFRESH_INTERVAL_S)
            try:
                await self._follow(await in_thread(_followed, self.provider))
            except (DatabaseError, redis.RedisError) as error:
                logger.warning("%s: still following the same: %s", self.context.shard, error)

    async def _follow(self, known: dict[str, Known]) -> None:
        fresh = [instrument for symbol, instrument in known.items() if symbol not in self.pipeline.symbols]
        if fresh:
            self.pipeline.remember(await in_thread(opening.remembered, self.provider, fresh, _now_us()))
        self.pipeline.follow(known)
        self.feed.follow(list(known))


def flush_interval_s(took_s: float) -> float:
    """How long to wait after a flush that took so long: the longer, the longer."""
    shortest, longest = settings.LISTENER_FLUSH_INTERVAL_MS / 1000, settings.LISTENER_FLUSH_INTERVAL_MAX_MS / 1000
    return float(min(max(shortest, took_s / FLUSH_SHARE), longest))


def _followed(provider: str) -> dict[str, Known]:
    return symbols.followed(provider, demand.wanted())


def _last_entry_us(shard: str) -> int | None:
    """When the journal was last appended to."""
    last = Reader(shard).last_id()
    return None if last == START else parse_id(last)[0] * 1000


async def _write_quarantine(provider: str, doubtful: list[Doubtful]) -> None:
    try:
        await in_thread(store.quarantine, [quarantined(provider, d) for d in doubtful])
    except DatabaseError as error:
        metrics.count("ingestion.quarantine_failures", len(doubtful))
        logger.warning("%d refused ticks could not be kept: %s", len(doubtful), error)


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


async def _cancel(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    waiting = [task for task in tasks if not task.done()]
    for task in waiting:
        task.cancel()
    if waiting:
        await asyncio.wait(waiting)


def _now_us() -> int:
    return time.time_ns() // 1000
