"""The resident that values portfolios as prices move: it pulls what changed, it is not driven tick by tick."""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Iterable

import msgspec
import redis
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from ingestion import demand, latest
from portfolio import currencies, marks, positions
from portfolio.models import Portfolio, Transaction
from portfolio.topics import Revalued, postings_key, publish_values
from worker.redis import client
from worker.resident import Context, in_thread, resident

logger = logging.getLogger(__name__)


@resident("portfolio.follow")
async def follow(context: Context) -> None:
    """Pull every PORTFOLIO_PULL_INTERVAL_MS until the lease is gone. An outage of a store is waited out."""
    follower = Follower()
    interval_s = settings.PORTFOLIO_PULL_INTERVAL_MS / 1000
    while not context.draining.is_set():
        began = time.monotonic()
        try:
            await in_thread(follower.pull)
        except (redis.RedisError, DatabaseError) as error:
            logger.warning("portfolios wait: %s", error)
            follower = Follower()  # what it had read may be lost by now
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(context.draining.wait(), max(0.0, began + interval_s - time.monotonic()))


class _Followed(msgspec.Struct):
    """A portfolio as the follower keeps it. watched: held instruments, and the FX pairs its moneys need."""

    name: str
    version: int
    base: str
    book: positions.Book
    watched: set[int]


class Follower:
    """Which portfolios a price touches, kept in memory; rebuilt from the ledger by whoever follows next."""

    def __init__(self) -> None:
        self.followed: dict[int, _Followed] = {}
        self.watchers: dict[int, set[int]] = {}
        self.cursor: latest.Cursor | None = None
        self.postings: object = object()  # equals nothing yet, so the first pull reads the ledgers
        self.reconcile_at = 0.0
        self.demand_at = 0.0

    def pull(self) -> int:
        """One round: value what was posted to or touched by a price, and tell. Returns how many were told."""
        posted = self._read_ledgers()
        touched = posted | self._touched()
        self._demand(renew=bool(posted))
        return publish_values([self._revalue(portfolio_id) for portfolio_id in sorted(touched)])

    def _touched(self) -> set[int]:
        """The portfolios that hold what moved since the last round; all of them when some of that may be lost."""
        moved, self.cursor, trimmed = latest.changes(self.cursor)
        if trimmed:
            return set(self.followed)
        return {
            p for instrument in {change.instrument_id for change in moved} for p in self.watchers.get(instrument, ())
        }

    def _read_ledgers(self) -> set[int]:
        """Fold again the ledgers whose version has moved; their ids. A hint in Redis says when to look."""
        hint = client().get(postings_key())
        if hint == self.postings and time.monotonic() < self.reconcile_at:
            return set()
        versions = dict(Portfolio.objects.values_list("id", "version"))
        moved = {p for p, version in versions.items() if p not in self.followed or self.followed[p].version != version}
        for gone in set(self.followed) - set(versions):
            del self.followed[gone]
        self._fold(moved)
        self.postings = hint
        self.reconcile_at = time.monotonic() + settings.PORTFOLIO_RECONCILE_INTERVAL_S
        return moved

    def _fold(self, ids: set[int]) -> None:
        if not ids:
            return
        for portfolio in Portfolio.objects.filter(id__in=ids):
            # The version was read before the rows: at worst the same rows are folded once more.
            book = positions.fold(Transaction.objects.filter(portfolio=portfolio).entries())
            self.followed[portfolio.pk] = _Followed(
                portfolio.name, portfolio.version, portfolio.base_currency, book, _watched(portfolio, book)
            )
        self.watchers = _by_instrument(self.followed)

    def _revalue(self, portfolio_id: int) -> Revalued:
        own = self.followed[portfolio_id]
        return Revalued(portfolio_id, own.name, own.version, marks.value_book(own.book, own.base, timezone.now()))

    def _demand(self, renew: bool) -> None:
        """Ask the feeds for what is held, again before they forget it."""
        if renew or time.monotonic() >= self.demand_at:
            demand.want("portfolio", self.watchers, settings.PORTFOLIO_DEMAND_TTL_S)
            self.demand_at = time.monotonic() + settings.PORTFOLIO_DEMAND_TTL_S / 3


def _watched(portfolio: Portfolio, book: positions.Book) -> set[int]:
    held = set(book.held)
    moneys = {*book.cash, *(holding.currency for holding in marks.holdings(held).values())}
    return held | set(currencies.fx_instruments(portfolio.base_currency, moneys))


def _by_instrument(followed: dict[int, _Followed]) -> dict[int, set[int]]:
    watchers: defaultdict[int, set[int]] = defaultdict(set)
    for portfolio_id, own in followed.items():
        _watch(watchers, portfolio_id, own.watched)
    return dict(watchers)


def _watch(watchers: defaultdict[int, set[int]], portfolio_id: int, instruments: Iterable[int]) -> None:
    for instrument in instruments:
        watchers[instrument].add(portfolio_id)
