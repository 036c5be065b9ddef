"""The resident that listens to one provider: frames in, flushes out to the journal, messages out to the browsers.

When Redis is away, nothing can be journalled: ticks wait in memory, at most LISTENER_BUFFER_MAX_TICKS of them and none
longer than LISTENER_BUFFER_MAX_S; what falls out is counted and becomes a gap. The lease runs out meanwhile. The
listener then goes on receiving until its first flush gets through or its time to drain is over, and returns. Flushing
then is safe although the lease is lost: the journal refuses the flush if a successor has written already (`Fenced`),
and a tick that both deliver is one row.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, Final, NamedTuple

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from kombu.exceptions import OperationalError

from ingestion import control, demand, hand_over, opening, precedence, sessions, status, symbols
from ingestion.calendar import Calendars
from ingestion.ccxt_feed import CcxtFeed
from ingestion.feeds import Feed, VenueFeed
from ingestion.hand_offs import HandOffs
from ingestion.journal import START, Fenced, Gap, Journal, Outcome, Reader, parse_id
from ingestion.models import Instrument
from ingestion.pipeline import Batch, Pipeline
from ingestion.precedence import Outranked
from ingestion.providers import PROVIDERS, provider_of
from ingestion.providers.ccxt_values import PREFIX
from ingestion.providers.simulated_faults import Faults
from ingestion.simulated_feed import SimulatedFeed
from ingestion.snapshots import ByRest, Snapshots
from ingestion.status import FeedStatus
from ingestion.symbols import Known
from ingestion.ticks import Tick
from streaming.interest import Interest
from streaming.protocol import Message
from streaming.publish import apublish
from worker import lease as leases
from worker import metrics
from worker.histogram import Histogram
from worker.resident import Context, end, in_thread, registry, resident
from worker.tasks import ask

logger = logging.getLogger(__name__)

TELL_INTERVAL_S: Final = 1.0
# How often what is to be stored beside the journal, and what books ask for, is looked after.
TEND_INTERVAL_S: Final = 0.1
# Who comes first to a topic is known of so late.
INTEREST_INTERVAL_S: Final = 0.5
# A flush may take at most this part of the time: the rest is for receiving.
FLUSH_SHARE: Final = 0.25
REDIS_RETRY_S: Final = 0.1
# Left of RESIDENT_DRAIN_TIMEOUT_S for returning after the last attempt to flush.
DRAIN_RESERVE_S: Final = 1.0

DISCONNECTED: Final = "disconnected"
NOT_LISTENING: Final = "not listening"
BUFFER_FULL: Final = "buffer full"


class Following(NamedTuple):
    """Whom a listener follows, as the database and Redis say.

    wanted: the instruments that somebody watches, holds or has an alert on. calendars: what each trades by.
    outranked: those of which a better source tells.
    """

    known: dict[str, Known]
    wanted: set[int]
    calendars: dict[int, str]
    sessions: Calendars
    halted: bool
    outranked: Outranked


@resident("ingestion.listen")
async def listen(context: Context) -> None:
    """Listen to the provider of `context.shard` (such as `binance:0`) until told to drain, or staff stop the feed."""
    provider = provider_of(context.shard)
    following = await in_thread(_following, provider)
    if following.halted:
        logger.info("%s is stopped", context.shard)
        return
    pipeline = await in_thread(opening.live, provider, following.known, _now_us())
    listener = Listener(context, provider, pipeline, following)
    listener.not_listening_since(await in_thread(_last_entry_us, context.shard))
    if await hand_over.is_offered(context.shard):
        listener.succeed()
    await listener.run()


class Listener:
    """One stay of one listener: its pipeline, its feed and its end of the journal."""

    def __init__(self, context: Context, provider: str, pipeline: Pipeline, following: Following) -> None:
        self.context, self.provider, self.pipeline = context, provider, pipeline
        self.journal = Journal(context.shard, context.token)
        self._following = following
        self.feed = self._feed()
        self.feed.follow(list(pipeline.symbols))
        self.dropped = 0
        self.journal_full = False
        self._full = asyncio.Event()
        pipeline.full = self._when_full
        self._flushing = asyncio.Lock()
        self._pending: Batch | None = None
        # From the receipt of a flush's oldest tick until it is in the journal.
        self._journalled = Histogram()
        self._gaps: deque[Gap] = deque(maxlen=1000)
        self._open_gaps: dict[object, Gap] = {}
        self._interval_s = settings.LISTENER_FLUSH_INTERVAL_MS / 1000
        self._published_at = 0.0
        self._told_at, self._told_ticks = time.monotonic(), 0
        self._unheard: set[str] = set()
        self._halted = asyncio.Event()
        self._draining = False
        self._its_turn = asyncio.Event()
        self._its_turn.set()
        self._hand_offs = HandOffs(provider, pipeline)
        self._snapshots = self._by_rest()
        self._interest = pipeline.watched = Interest()
        self.pipeline.outranked = following.outranked
        self._prefer()

    def _feed(self) -> Feed:
        if self.provider == "simulated":
            faults = Faults.parse(settings.SIMULATED_FAULTS)
            return SimulatedFeed(self.pipeline, settings.SIMULATED_SEED, settings.SIMULATED_TICKS_PER_S, faults, self)
        if self.provider.startswith(PREFIX):
            return CcxtFeed(self.provider, self.pipeline, self)
        base_url = getattr(settings, f"{self.provider.upper()}_WS_URL")
        key = getattr(settings, f"{self.provider.upper()}_API_KEY", "")
        return VenueFeed(PROVIDERS[self.provider], base_url, self.pipeline, self, key)

    def _by_rest(self) -> Snapshots | None:
        provider: object = PROVIDERS.get(self.provider)
        if not isinstance(provider, ByRest):
            return None
        return Snapshots(provider, self.pipeline.books.wanted_snapshots, self.pipeline.book_snapshot)

    async def run(self) -> None:
        """Until told to drain. A newer owner of the journal ends it at once; any other error is raised."""
        feed = asyncio.create_task(self.feed.run())
        others = [asyncio.create_task(work) for work in self._works()]
        ends = [asyncio.create_task(event.wait()) for event in (self.context.draining, self._halted)]
        try:
            done, _ = await asyncio.wait([feed, *others, *ends], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await self._drain(feed)
        except Fenced as fenced:
            await self._end_fenced(fenced)
        finally:
            await _cancel([feed, *others, *ends])

    def _works(self) -> list[Coroutine[Any, Any, None]]:
        works = [
            self._keep_flushing(),
            self._keep_telling(),
            self._keep_following(),
            self._keep_tending(),
            self._keep_interested(),
            self._keep_place(),
        ]
        return works if self._snapshots is None else [*works, self._snapshots.run()]

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
        if not self._its_turn.is_set():
            self._bound()
            return True
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
                self._journalled.add(_now_us() - self._pending.oldest_us)
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

    # --- What the feed asks and tells -------------------------------------------------------------------------

    async def allowed(self) -> bool:
        """Whether to connect: asks Redis for the lease once more."""
        return not self._draining and await self.context.still_mine()

    def still_ours(self) -> bool:
        """The same by our own clock, at once."""
        return not self.context.lost

    def is_open(self, symbol: str) -> bool:
        """Whether the symbol's market trades now."""
        known = self.pipeline.symbols.get(symbol)
        name = self._following.calendars.get(known.id) if known is not None else None
        return name is None or self._following.sessions.is_open(name, _now_us())

    def not_listening_since(self, since_us: int | None) -> None:
        """Open a gap from where the last listener stopped, if there was one, until this one is live."""
        if since_us is not None and isinstance(self.feed, VenueFeed):
            self._open(self, NOT_LISTENING, since_us)

    def lost(self, line: object, since_us: int) -> None:
        if line not in self._open_gaps:
            self._open(line, DISCONNECTED, since_us)

    def found(self, line: object) -> None:
        self._close(line)
        if self.feed.state == status.LIVE:
            self._close(self)

    def missed(self, since_us: int, reason: str) -> None:
        self._gaps.append(Gap(reason, since_us, _now_us()))

    def _open(self, line: object, reason: str, since_us: int) -> None:
        # A gap's end is recognised by its reason and its beginning: two at once begin a microsecond apart.
        taken = {gap.from_us for gap in self._open_gaps.values()}
        while since_us in taken:
            since_us += 1
        self._open_gaps[line] = gap = Gap(reason, since_us)
        self._gaps.append(gap)

    def _close(self, line: object) -> None:
        gap = self._open_gaps.pop(line, None)
        if gap is not None:
            self._gaps.append(Gap(gap.reason, gap.from_us, _now_us()))

    # --- Succeeding and being succeeded -----------------------------------------------------------------------

    def succeed(self) -> None:
        """Another still listens: append nothing before its place is taken without a hole, or it is gone."""
        self._its_turn.clear()

    async def _keep_place(self) -> None:
        if not self._its_turn.is_set():
            with contextlib.suppress(redis.RedisError, OSError, TimeoutError):
                async with asyncio.timeout(settings.LISTENER_HAND_OVER_S):
                    await self._take_place()
            await self._resume()
            self._its_turn.set()
        await asyncio.Event().wait()

    async def _take_place(self) -> None:
        """Wait until we have been live beside the other for a moment; then there is no hole. Or until it is gone."""
        while self.feed.state != status.LIVE:
            if not await hand_over.is_offered(self.context.shard):
                return
            await asyncio.sleep(hand_over.OFFER_INTERVAL_S)
        await asyncio.sleep(hand_over.OVERLAP_S)
        if await hand_over.is_offered(self.context.shard):
            self._open_gaps.pop(self, None)
            self._gaps.clear()
            logger.info("%s: taken over without a hole", self.context.shard)

    async def _resume(self) -> None:
        """What the other stored since this one began is no hole. It came here too from the overlap on."""
        try:
            await in_thread(opening.resume, self.pipeline)
        except (redis.RedisError, OSError) as error:
            logger.warning("%s: goes on from where it began: %s", self.context.shard, error)

    async def _hand_over(self) -> None:
        """Have a successor begin, and listen on until its first append (raises Fenced), or nobody came."""
        began, shard = time.monotonic(), self.context.shard
        try:
            await hand_over.offer(shard)
            await self.context.hand_over()
            await in_thread(ask, registry["ingestion.listen"], shard)
            while (waited_s := time.monotonic() - began) < settings.LISTENER_HAND_OVER_S:
                await hand_over.offer(shard)
                if not await self.flush():
                    break
                if waited_s > hand_over.TAKEN_WITHIN_S and not await in_thread(leases.held, [self.context.lease.name]):
                    break
                await asyncio.sleep(hand_over.OFFER_INTERVAL_S)
            await hand_over.withdraw(shard)
        except (redis.RedisError, OSError, OperationalError) as error:
            logger.warning("%s: no successor could be asked for: %s", shard, error)

    def _may_hand_over(self) -> bool:
        """Not where a second connection would end ours, nor where no listener is wanted any more."""
        overlaps = isinstance(self.feed, VenueFeed) and not self.feed.provider.limits.exclusive
        wanted = settings.LISTENER_HAND_OVER_S > 0 and not self._halted.is_set()
        return wanted and overlaps and self.feed.state == status.LIVE and not self.context.lost

    async def _end_fenced(self, fenced: Fenced) -> None:
        if self.context.handed_over:
            logger.info("%s: succeeded", self.context.shard)
        else:
            logger.error("%s: %s; stopping", self.context.shard, fenced)
            metrics.count("ingestion.fenced")
        self._hand_offs.tend()
        await self._hand_offs.finish(DRAIN_RESERVE_S)

    # --- Ending -----------------------------------------------------------------------------------------------

    async def _drain(self, feed: "asyncio.Task[None]") -> None:
        """Flush what is in memory and stop. While Redis is away the feed is kept until a flush gets through."""
        deadline = time.monotonic() + settings.RESIDENT_DRAIN_TIMEOUT_S - DRAIN_RESERVE_S
        self._draining = True
        if self._may_hand_over():
            await self._hand_over()
        while not await self._flush_by(deadline):
            if time.monotonic() >= deadline:
                await _cancel([feed])
                self._give_up()
                return
            await asyncio.sleep(REDIS_RETRY_S)
        await _cancel([feed])
        await self._flush_by(deadline)
        self._hand_offs.tend()
        await self._hand_offs.finish(deadline - time.monotonic())
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
            await self._tell(status.DRAINING if self._draining else self.feed.state)
            self._alarm_unheard()

    async def _tell(self, state: str) -> None:
        now_us = _now_us()
        told = self.status(state, now_us)
        try:
            await status.tell(told)
        except (redis.RedisError, OSError) as error:
            logger.debug("%s: cannot tell the feed's status: %s", self.context.shard, error)
        await apublish([Message(status.TOPIC, status.EVENT, status.payload(told, now_us), now_us)])

    def status(self, state: str, now_us: int) -> FeedStatus:
        """As of now; the rate since this was last asked for."""
        counts, now = self.pipeline.counts, time.monotonic()
        rate = (counts.ticks - self._told_ticks) / max(now - self._told_at, 1e-3)
        self._told_at, self._told_ticks = now, counts.ticks
        connections = self.feed.connections()
        return FeedStatus(
            self.provider,
            self.context.shard,
            state,
            at_us=now_us,
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
            gaps_open=len(self._open_gaps),
            latency_ms=self.pipeline.latencies.percentiles_ms(),
            journal_ms=self._journalled.percentiles_ms(),
            clock_skew_ms=self.pipeline.latencies.skew_ms(),
            silent=self.feed.unheard(),
            mute=self.feed.mute(),
            refused=self.feed.refused(),
            books=self.pipeline.books.states(),
            snapshots_waiting=self._snapshots.waiting if self._snapshots is not None else 0,
            last_error=next((c.last_error for c in connections if c.last_error), ""),
            closed=bool(self.pipeline.symbols) and not any(map(self.is_open, self.pipeline.symbols)),
            connections=connections,
        )

    def _alarm_unheard(self) -> None:
        unheard = set(self.feed.unheard())
        if fresh := unheard - self._unheard:
            logger.warning("%s: subscribed, and nothing heard of %s", self.provider, ", ".join(sorted(fresh)))
        self._unheard = unheard

    # --- Tending ----------------------------------------------------------------------------------------------

    async def _keep_tending(self) -> None:
        while True:
            await asyncio.sleep(TEND_INTERVAL_S)
            self._hand_offs.tend()
            if begin_anew := self.pipeline.books.resubscribe():
                self.feed.resubscribe_books(begin_anew)

    async def _keep_interested(self) -> None:
        """Topics that nobody watches are not told."""
        while True:
            await self._interest.refresh()
            await asyncio.sleep(INTEREST_INTERVAL_S)

    # --- Following --------------------------------------------------------------------------------------------

    async def _keep_following(self) -> None:
        for name in await in_thread(symbols.unknown_settings):
            logger.error("SYMBOLS names %s, and there is no such instrument", name)
        while True:
            await asyncio.sleep(settings.LISTENER_REFRESH_INTERVAL_S)
            try:
                await self._follow(await in_thread(_following, self.provider))
            except (DatabaseError, redis.RedisError) as error:
                logger.warning("%s: still following the same: %s", self.context.shard, error)

    async def _follow(self, following: Following) -> None:
        if following.halted:
            logger.warning("%s: staff stopped the feed", self.context.shard)
            self._halted.set()
            return
        self._following = following
        known = following.known
        fresh = [instrument for symbol, instrument in known.items() if symbol not in self.pipeline.symbols]
        if fresh:
            self.pipeline.remember(await in_thread(opening.remembered, self.provider, fresh, _now_us()))
        self.pipeline.follow(known)
        self._prefer()
        self.pipeline.outranked = following.outranked
        self.feed.follow(list(known))

    def _prefer(self) -> None:
        """The books that somebody watches come first."""
        following = self._following
        self.pipeline.books.preferred = {s for s, known in following.known.items() if known.id in following.wanted}


def flush_interval_s(took_s: float) -> float:
    """How long to wait after a flush that took so long: the longer, the longer."""
    shortest, longest = settings.LISTENER_FLUSH_INTERVAL_MS / 1000, settings.LISTENER_FLUSH_INTERVAL_MAX_MS / 1000
    return float(min(max(shortest, took_s / FLUSH_SHARE), longest))


def _following(provider: str) -> Following:
    wanted = demand.wanted()
    known = symbols.followed(provider, wanted)
    instruments = Instrument.objects.in_bulk([instrument.id for instrument in known.values()])
    calendars = {pk: sessions.name_of(instrument) for pk, instrument in instruments.items()}
    outranked = precedence.outranked(provider, list(instruments), _now_us())
    return Following(known, wanted, calendars, sessions.calendars(), control.is_halted(provider), outranked)


def _last_entry_us(shard: str) -> int | None:
    """When the journal was last appended to."""
    last = Reader(shard).last_id()
    return None if last == START else parse_id(last)[0] * 1000


async def _cancel(tasks: Sequence["asyncio.Task[Any]"]) -> None:
    await end(tasks)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # said before, or no matter any more


def _now_us() -> int:
    return time.time_ns() // 1000
