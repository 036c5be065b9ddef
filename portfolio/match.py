"""The resident that gives open orders what the market has for them: it pulls what moved, as `follow.py` does.

What it keeps is in the rows (the orders, and how far each has seen the market) and in Redis (how far the changes are
read). Whoever takes over goes on from there, as far as what happened meanwhile is still fresh; what is older fills
nothing (docs/trading.md).
"""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
import redis
from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError
from django.utils import timezone

from ingestion import demand, latest
from portfolio import accounts, floor, matching, orders, positions
from portfolio.matching import Move, Outcome, Working
from portfolio.models import Order
from worker.redis import client, key
from worker.resident import Context, in_thread, resident

logger = logging.getLogger(__name__)

# What is wrong with one order or one ledger, and keeps nobody else's from being matched.
_TROUBLE: Final = (IntegrityError, DataError, matching.IllegalTransition, positions.NotEnoughUnits, ArithmeticError)


@resident("portfolio.match")
async def match(context: Context) -> None:
    """Pull every ORDER_PULL_INTERVAL_MS until the lease is gone. An outage of a store is waited out."""
    matcher: Matcher | None = None
    interval_s = settings.ORDER_PULL_INTERVAL_MS / 1000
    while not context.draining.is_set():
        began = time.monotonic()
        try:
            if matcher is None:
                matcher = await in_thread(Matcher)
            await in_thread(matcher.pull)
        except (redis.RedisError, DatabaseError) as error:
            logger.warning("orders wait: %s", error)
            matcher = None  # what it had read may be old by now
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(context.draining.wait(), max(0.0, began + interval_s - time.monotonic()))


class Matcher:
    """The open orders in memory, by instrument; the rows decide."""

    def __init__(self) -> None:
        self.open: dict[int, list[Order]] = {}
        self.listed: dict[int, floor.Listed] = {}
        self.cursor = _read_cursor()
        self.hint: object = object()  # equals nothing yet, so the first pull reads the orders
        self.reconcile_at = 0.0
        self.demand_at = 0.0

    def pull(self) -> int:
        """One round: end what has run out, then look at the market for the rest. Returns how many orders it changed."""
        now = timezone.now()
        # First what moved, then the orders: one placed in between has seen those moves itself.
        told, self.cursor, _ = latest.changes_by_source(self.cursor)
        ended = orders.expire_due(now)
        self._read_orders()
        self._demand()
        worked = self._work_all(_moves(told, self.open), now) if self.open else 0
        # Last: what was read and not worked on is read again. An order counts no move twice (`seen_us`).
        client().set(_cursor_key(), msgspec.json.encode(self.cursor))
        return ended + worked

    def _work_all(self, moves: Mapping[tuple[str | None, int], Sequence[Move]], now: datetime) -> int:
        seen = floor.look(self.listed, now)
        return sum(
            self._work(order, seen[i], moves.get((seen[i].source, i), ()), now)
            for i, waiting in self.open.items()
            for order in waiting
        )

    def _read_orders(self) -> None:
        """All open ones, when something happened to one; a hint in Redis says when."""
        hint = client().get(orders.placed_key())
        if hint == self.hint and time.monotonic() < self.reconcile_at:
            return
        rows = Order.objects.open().select_related("instrument", "portfolio").order_by("id")
        found: defaultdict[int, list[Order]] = defaultdict(list)
        for order in rows:
            found[order.instrument_id].append(order)
        self.open = dict(found)
        self.listed = floor.listed(waiting[0].instrument for waiting in self.open.values())
        self.hint = hint
        self.reconcile_at = time.monotonic() + settings.ORDER_RECONCILE_INTERVAL_S

    def _work(self, order: Order, seen: floor.Seen, moves: Sequence[Move], now: datetime) -> int:
        """Only what changes an order is worth a transaction. One order's trouble is that order's alone."""
        working = order.working()
        outcome = matching.match(working, seen.market, moves, accounts.house_rules())
        if not _matters(working, outcome, order.waiting_for):
            _take_note(order, outcome.order)
            return 0
        try:
            fresh = orders.work(order, seen, moves, now)
        except _TROUBLE:
            logger.exception("order %d is left as it is", order.pk)
            return 0
        self.hint = object()  # it may be over, or have another stop: read it anew
        return int(fresh is not None)

    def _demand(self) -> None:
        """Ask the feeds for what is to be traded, again before they forget it."""
        if time.monotonic() >= self.demand_at:
            demand.want("orders", self.open, settings.PORTFOLIO_DEMAND_TTL_S)
            self.demand_at = time.monotonic() + settings.PORTFOLIO_DEMAND_TTL_S / 3


def _moves(
    told: Mapping[str, Sequence[latest.Change]], wanted: Mapping[int, object]
) -> dict[tuple[str | None, int], list[Move]]:
    """By source and instrument: an order goes by the source that speaks for its instrument now."""
    moves: defaultdict[tuple[str | None, int], list[Move]] = defaultdict(list)
    for source, changes in told.items():
        for change in changes:
            if change.instrument_id in wanted:
                moves[source, change.instrument_id].append(floor.move(change))
    return dict(moves)


def _matters(before: Working, outcome: Outcome, waiting_for: str) -> bool:
    """Whether there is something to write: a fill, an end, a stop that moved or was reached, another kind of wait."""
    after = outcome.order
    return bool(
        outcome.fills
        or outcome.end
        or outcome.reached
        or after.stop_price != before.stop_price
        or after.arrived != before.arrived
        or (outcome.waiting is not None and outcome.waiting[0] != waiting_for)
    )


def _take_note(order: Order, after: Working) -> None:
    """How far it has seen the market, in memory: whoever takes over starts from the market's present anyway."""
    order.seen_us, order.taken_us = after.seen_us, after.taken_us


def _cursor_key() -> str:
    return key("orders", "cursor")


def _read_cursor() -> latest.Cursor | None:
    stored = client().get(_cursor_key())
    return None if stored is None else msgspec.json.decode(stored, type=dict[str, str])
