"""The resident that values portfolios as prices move: it pulls what changed, it is not driven tick by tick.

One thread pulls, four times a second: what was posted, what has another price; whom that touches (`board.py`), and
their exact values (`followed.py`), of which only the positions that moved are worked out again. Another thread folds
the ledgers that cannot be gone on with, so that one of ten thousand rows keeps nobody else waiting.
"""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import redis
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from ingestion import demand, latest
from portfolio import books, proof, snapshots
from portfolio.board import Board
from portfolio.followed import Folded, Followed
from portfolio.models import Portfolio
from portfolio.pricing import Pricing
from portfolio.topics import Revalued, posted_key, publish_values, topic_of
from streaming.interest import Interest
from worker import metrics
from worker.redis import client
from worker.resident import Context, end, in_thread, resident

logger = logging.getLogger(__name__)

# Told at one go: the first of a thousand do not wait for the last.
CHUNK: Final = 100
# Whoever ends waits for the thread that folds; so it looks up so often.
FOLD_S: Final = 0.2
# Beyond so many posted at once, all are folded by the other thread.
GO_ON_MAX: Final = 50


@resident("portfolio.follow")
async def follow(context: Context) -> None:
    """Pull every PORTFOLIO_PULL_INTERVAL_MS until the lease is gone. An outage of a store is waited out."""
    follower = Follower()
    beside = [asyncio.create_task(_fold(context, follower)), asyncio.create_task(_keep_interested(context, follower))]
    try:
        while not context.draining.is_set():
            began = time.monotonic()
            try:
                await in_thread(follower.pull)
            except (redis.RedisError, DatabaseError) as error:
                logger.warning("portfolios wait: %s", error)
                follower.doubt()
            await _pause(context, began + settings.PORTFOLIO_PULL_INTERVAL_MS / 1000 - time.monotonic())
            for task in beside:
                if task.done():
                    task.result()  # raises what it failed with
    finally:
        await end(beside)


async def _fold(context: Context, follower: "Follower") -> None:
    """Add up the ledgers that wait, in a thread of their own."""
    while not context.draining.is_set():
        try:
            worked = await in_thread(follower.fold_some)
        except DatabaseError as error:
            logger.warning("ledgers wait: %s", error)
            worked = 0
        if not worked:
            await _pause(context, settings.PORTFOLIO_PULL_INTERVAL_MS / 1000)


async def _keep_interested(context: Context, follower: "Follower") -> None:
    while not context.draining.is_set():
        await follower.interest.refresh()
        await _pause(context, 1.0)


async def _pause(context: Context, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(context.draining.wait(), max(0.0, seconds))


class Follower:
    """All portfolios in memory; rebuilt from the ledgers by whoever follows next.

    books: ledgers as they stand, the PORTFOLIO_BOOKS_KEPT last used: a new row goes on from there. due: whom a price or
    a row has touched, and who has not been told since; those whom nobody watches wait there.
    """

    def __init__(self) -> None:
        self.board = Board()
        self.pricing = Pricing(self.board)
        self.followed: dict[int, Followed] = {}
        self.books: OrderedDict[int, Folded] = OrderedDict()
        self.unfolded: dict[int, None] = {}
        self.folded: deque[Folded] = deque()
        self.due: set[int] = set()
        self.interest = Interest()
        self.minutes = snapshots.Minutes()
        self.cursor: latest.Cursor | None = None
        self.reconcile_at = self.refresh_at = self.demand_at = 0.0

    def doubt(self) -> None:
        """A store was away: what it would have told is looked for anew."""
        self.reconcile_at = self.refresh_at = self.demand_at = 0.0

    def pull(self) -> int:
        """One round: value what was posted to or touched by a price, and tell. Returns how many were told."""
        now = timezone.now()
        self._read_prices(now)
        self._read_postings(now)
        self.touch(self.board.remark())
        told = self._tell(now)
        self._demand()
        self._note(now)
        self._answer(now)
        return told

    def touch(self, ids: Iterable[int]) -> None:
        """Their value is another one."""
        touched = [portfolio_id for portfolio_id in ids if portfolio_id in self.followed]
        self.due.update(touched)
        self.minutes.moved.update(touched)

    # --- Ledgers

    def _read_postings(self, now: datetime) -> None:
        """Go on with the ledgers that were posted to, and take over those that the other thread has folded."""
        posted = _take_posted()
        if time.monotonic() >= self.reconcile_at:
            posted |= self._reconciled()
            self.reconcile_at = time.monotonic() + settings.PORTFOLIO_RECONCILE_INTERVAL_S
        gone_on = [] if len(posted) > GO_ON_MAX else filter(None, map(self._go_on, sorted(posted)))
        ready = {folded.portfolio_id: folded for folded in gone_on}
        self.unfolded.update(dict.fromkeys(posted - ready.keys()))
        while self.folded:
            folded = self.folded.popleft()
            ready[folded.portfolio_id] = folded
        self._take(list(ready.values()), now)

    def _reconciled(self) -> set[int]:
        """Those whose version no hint told of. Forgets those that are gone."""
        versions = dict(Portfolio.objects.values_list("id", "version"))
        for gone in set(self.followed) - set(versions):
            del self.followed[gone]
            self.board.drop(gone)
            self.due.discard(gone)
            self.books.pop(gone, None)
        return {p for p, version in versions.items() if p not in self.followed or self.followed[p].version != version}

    def _go_on(self, portfolio_id: int) -> Folded | None:
        """Apply what was posted since, where that is enough; else the ledger is to be folded again."""
        folded = self.books.pop(portfolio_id, None)
        portfolio = _find(portfolio_id) if folded else None
        if folded is None or portfolio is None:
            return None
        return folded if books.go_on(folded, portfolio) else None

    def _keep(self, folded: Folded) -> None:
        self.books[folded.portfolio_id] = folded
        while len(self.books) > settings.PORTFOLIO_BOOKS_KEPT:
            self.books.popitem(last=False)

    def _take(self, ready: Sequence[Folded], now: datetime) -> None:
        """Follow these as they stand now."""
        for folded in ready:
            self._keep(folded)
            self.followed[folded.portfolio_id] = Followed(folded, now)
        if ready:
            self.demand_at = 0.0
            self.pricing.watch([self.followed[folded.portfolio_id] for folded in ready], now)
            self.touch(folded.portfolio_id for folded in ready)

    def fold_some(self) -> int:
        """In a thread of its own: add up ledgers that wait, for a moment. Returns how many."""
        count, until = 0, time.monotonic() + FOLD_S
        while self.unfolded and time.monotonic() < until:
            portfolio_id, _ = self.unfolded.popitem()
            count += 1
            try:
                self.folded.extend(_fold_one(portfolio_id))
            except DatabaseError:
                self.unfolded[portfolio_id] = None
                raise
            except Exception:  # one broken ledger must not stop all others
                metrics.count("portfolio.unfoldable")
                logger.exception("portfolio %d: its ledger does not add up", portfolio_id)
        return count

    # --- Prices

    def _read_prices(self, now: datetime) -> None:
        moved, self.cursor, trimmed = latest.changes(self.cursor)
        if trimmed or time.monotonic() >= self.refresh_at:
            self.pricing.refresh({i for own in self.followed.values() for i in own.instruments}, now)
            self.refresh_at = time.monotonic() + settings.PORTFOLIO_RECONCILE_INTERVAL_S
        elif moved:
            self.pricing.update({change.instrument_id for change in moved}, now)

    def _demand(self) -> None:
        """Ask the feeds for what is held, again before they forget it."""
        if time.monotonic() >= self.demand_at:
            demand.want("portfolio", self.pricing.instruments, settings.PORTFOLIO_DEMAND_TTL_S)
            self.demand_at = time.monotonic() + settings.PORTFOLIO_DEMAND_TTL_S / 3

    # --- Telling

    def revalue(self, portfolio_id: int, as_of: datetime) -> Revalued:
        """Its exact value now: of its positions, those that moved since the last time are worked out."""
        own = self.followed[portfolio_id]
        moved = None
        if own.valued_in:
            places = self.board.moved_since(portfolio_id, own.valued_in)
            moved = [own.order[place] for place in places if place < len(own.order)]
        worth = own.value(moved, self.pricing.prices, as_of)
        own.valued_in = self.board.round
        return Revalued(portfolio_id, own.name, own.version, worth, own.figures)

    def _tell(self, now: datetime) -> int:
        """Tell those who are watched. Who was told something newer meanwhile stays due: that may lack our news."""
        watched = sorted(portfolio_id for portfolio_id in self.due if topic_of(portfolio_id) in self.interest)
        count = 0
        for at in range(0, len(watched), CHUNK):
            told = publish_values([self.revalue(portfolio_id, now) for portfolio_id in watched[at : at + CHUNK]])
            self.due.difference_update(told)
            count += len(told)
        return count

    def _note(self, now: datetime) -> None:
        """Keep what is due to be kept of this minute."""
        due = [portfolio_id for portfolio_id in self.minutes.take(now, self.followed) if portfolio_id in self.followed]
        try:
            snapshots.write([self.revalue(portfolio_id, now) for portfolio_id in due])
        except DatabaseError:
            self.minutes.moved.update(due)
            raise

    def _answer(self, now: datetime) -> None:
        """Show whoever proves it what is held."""
        question = proof.asked()
        if question is None:
            return
        proof.answer(question, [self.held(p, now) for p in question.ids if p in self.followed])
        for portfolio_id in question.forget:
            self.books.pop(portfolio_id, None)
            self.unfolded[portfolio_id] = None

    def held(self, portfolio_id: int, now: datetime) -> proof.Held:
        own, prices = self.followed[portfolio_id], self.pricing.prices
        return proof.Held(
            portfolio_id,
            own.version,
            self.board.total(portfolio_id),
            self.revalue(portfolio_id, now).worth,
            {instrument: prices.marks[instrument] for instrument in own.instruments if instrument in prices.marks},
            prices.rates[own.base],
        )


def _take_posted() -> set[int]:
    with client().pipeline(transaction=True) as pipe:
        pipe.smembers(posted_key())
        pipe.delete(posted_key())
        found, _ = pipe.execute()
    return {int(portfolio_id) for portfolio_id in found}


def _find(portfolio_id: int) -> Portfolio | None:
    return books.with_policy().filter(pk=portfolio_id).first()


def _fold_one(portfolio_id: int) -> list[Folded]:
    """The ledger, added up; nothing if the portfolio is gone."""
    portfolio = _find(portfolio_id)
    return [] if portfolio is None else [books.fold(portfolio)]
