"""What becomes of a paper order in a given market: its fills, its end, or why it waits. Pure.

The rules, with worked examples: docs/trading.md. Nothing here knows an account; `portfolio/orders.py` carries out what
is decided here, and reserves, posts and tells.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Final

import msgspec

from portfolio.money import EXACT, ZERO, plain, stored

BUY: Final = "BUY"
SELL: Final = "SELL"

MARKET: Final = "MARKET"
LIMIT: Final = "LIMIT"
STOP: Final = "STOP"
STOP_LIMIT: Final = "STOP_LIMIT"
TRAILING_STOP: Final = "TRAILING_STOP"
STOPS: Final = frozenset({STOP, STOP_LIMIT, TRAILING_STOP})

DAY: Final = "DAY"
GTC: Final = "GTC"
IOC: Final = "IOC"
FOK: Final = "FOK"
AT_ONCE: Final = frozenset({IOC, FOK})

PENDING: Final = "PENDING"
PARTIAL: Final = "PARTIAL"
FILLED: Final = "FILLED"
CANCELLED: Final = "CANCELLED"
REJECTED: Final = "REJECTED"
EXPIRED: Final = "EXPIRED"
OPEN: Final = (PENDING, PARTIAL)

# What an order may become; "" is one that is new. An open one may stay what it is (a stop is reached, a wait begins).
LEGAL: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({PENDING, REJECTED}),
    PENDING: frozenset({PENDING, PARTIAL, FILLED, CANCELLED, EXPIRED}),
    PARTIAL: frozenset({PARTIAL, FILLED, CANCELLED, EXPIRED}),
    FILLED: frozenset(),
    CANCELLED: frozenset(),
    REJECTED: frozenset(),
    EXPIRED: frozenset(),
}

# Where a venue's lot size is not known, a partial fill is a multiple of this.
FINEST_LOT: Final = Decimal("0.00000001")
_BPS: Final = Decimal(10_000)
_HUNDRED: Final = Decimal(100)


class IllegalTransition(Exception):
    """An order can't become that any more."""

    def __init__(self, before: str, to: str) -> None:
        super().__init__(f"An order that is {before or 'new'} does not become {to}.")
        self.before, self.to = before, to


def transition(before: str, to: str) -> str:
    """`to`, if an order that is `before` ("" when new) may become it. Raises IllegalTransition."""
    if to not in LEGAL[before]:
        raise IllegalTransition(before, to)
    return to


class Working(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it stands. stop_price: where its stop is now; None for a trailing one that has seen no price yet.

    arrived: whether it was in the market at the last look; one that was not meets what is on offer as a newcomer.
    seen_us: moves up to this time are done with. taken_us: what was offered at this time has been taken from already.
    """

    side: str
    type: str
    time_in_force: str
    quantity: Decimal
    filled: Decimal = ZERO
    price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    trail_percent: bool = False
    triggered: bool = False
    arrived: bool = False
    seen_us: int = 0
    taken_us: int = 0

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def limit(self) -> Decimal | None:
        """The worst price that it takes; None for any."""
        return self.price if self.type in (LIMIT, STOP_LIMIT) else None

    @property
    def active(self) -> bool:
        """Whether it is in the market: not a stop that has yet to be reached."""
        return self.type not in STOPS or self.triggered

    @property
    def rests(self) -> bool:
        """Whether others may trade with it in the book."""
        return self.active and self.limit is not None


class Move(msgspec.Struct, frozen=True):
    """What one flush of the feed did. volume: traded in it; None where nobody told it."""

    last: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal | None
    time_us: int


Levels = tuple[tuple[Decimal, Decimal], ...]


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """The market as an order meets it.

    blocked: why nothing is filled now (a word, and a sentence). bids, asks: the venue's live book, best first; empty
    where there is none. bid, ask: the newest quote's. as_of_us: when what is offered here was told.
    moves_from_us: older moves count no more. now_us: the present. minute_left: how much may still be taken without a
    book, of what was traded in the last minute; None where no volume is known.
    """

    now_us: int
    blocked: tuple[str, str] | None = None
    last: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    bids: Levels = ()
    asks: Levels = ()
    as_of_us: int = 0
    moves_from_us: int = 0
    minute_left: Decimal | None = None
    lot_size: Decimal | None = None


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """queue_share: of what is traded at exactly the limit, the part that reaches a resting order.

    units: how many of the price's units make one of the money that is paid: 100 for a price in pence.
    """

    maker_bps: Decimal = ZERO
    taker_bps: Decimal = ZERO
    queue_share: Decimal = Decimal("0.1")
    units: int = 1


class Execution(msgspec.Struct, frozen=True):
    """A fill at one price. fee: in the money that is paid."""

    quantity: Decimal
    price: Decimal
    fee: Decimal
    maker: bool
    reason: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done. order: as it then stands, its fills counted in.

    reached: why its stop was triggered just now. end: the final status that it takes without being filled whole, and
    why. waiting: what keeps it from being filled (a word, and a sentence).
    """

    order: Working
    fills: tuple[Execution, ...] = ()
    reached: str | None = None
    end: tuple[str, str] | None = None
    waiting: tuple[str, str] | None = None


def match(
    order: Working, market: Market, moves: Iterable[Move], rules: Rules, allowance: Decimal | None = None
) -> Outcome:
    """One look at the market for one open order.

    allowance: for a purchase the money that it may cost, fees included; for a sale the units that there are; None: no
    bound. Moves are taken in their order; those that the order has seen, or that are too old, count for nothing.
    """
    with localcontext(EXACT):
        return _match(order, market, list(moves), rules, allowance)


def _match(order: Working, market: Market, moves: Sequence[Move], rules: Rules, allowance: Decimal | None) -> Outcome:
    newest_us = max([order.seen_us, *(move.time_us for move in moves)])
    if market.blocked is not None:
        seen = msgspec.structs.replace(order, seen_us=newest_us, arrived=False)
        return Outcome(order=seen, end=_too_late(order, market.blocked[1]), waiting=market.blocked)
    new = [move for move in moves if move.time_us > order.seen_us and move.time_us >= market.moves_from_us]
    rested = order.arrived and order.rests
    order, reached = _watch_stop(order, market, new)
    order = msgspec.structs.replace(order, seen_us=newest_us, arrived=order.active)
    if not order.active:
        return Outcome(order=order)
    takings = _Takings(order, market, rules, allowance)
    if rested:
        takings.from_moves(new)
    if not takings.fills and market.as_of_us > order.taken_us:
        takings.from_offers(maker=rested)
    return takings.outcome(reached)


def _too_late(order: Working, why: str) -> tuple[str, str] | None:
    """What is to be had at once or not at all does not wait."""
    return (CANCELLED, f"{order.time_in_force}: {why}") if order.time_in_force in AT_ONCE else None


# --- Stops --------------------------------------------------------------------------------------------------------


def _watch_stop(order: Working, market: Market, moves: Sequence[Move]) -> tuple[Working, str | None]:
    """The order with its stop where the moves leave it, and why it was reached if it was. Stops go by last prices."""
    if order.active:
        return order, None
    for move in moves:
        if reached := _reached(order, move.low if order.side == SELL else move.high, move.last):
            return msgspec.structs.replace(order, triggered=True), reached
        order = ratcheted(order, move.high if order.side == SELL else move.low)
        # The last price came after the extreme that moved the stop; the other extreme may have come before it.
        if reached := _reached(order, move.last, move.last):
            return msgspec.structs.replace(order, triggered=True), reached
    if market.last is not None:
        if reached := _reached(order, market.last, market.last):
            return msgspec.structs.replace(order, triggered=True), reached
        order = ratcheted(order, market.last)
    return order, None


def _reached(order: Working, extreme: Decimal, last: Decimal) -> str | None:
    stop = order.stop_price
    if stop is None or (extreme > stop if order.side == SELL else extreme < stop):
        return None
    return f"The stop {plain(stop)} was reached: traded at {plain(extreme)}, last {plain(last)}."


def ratcheted(order: Working, price: Decimal) -> Working:
    """A trailing stop moved after a price, never back; any other order as it is."""
    if order.trail is None or order.active:
        return order
    distance = price * order.trail / _HUNDRED if order.trail_percent else order.trail
    if order.side == SELL:
        stop = stored(price - distance)
        stop = stop if order.stop_price is None else max(stop, order.stop_price)
    else:
        stop = stored(price + distance)
        stop = stop if order.stop_price is None else min(stop, order.stop_price)
    return msgspec.structs.replace(order, stop_price=stop)


# --- Fills --------------------------------------------------------------------------------------------------------


class _Takings:
    """The fills of one look, as they add up."""

    def __init__(self, order: Working, market: Market, rules: Rules, allowance: Decimal | None) -> None:
        self.order, self.market, self.rules = order, market, rules
        self.left, self.allowance = order.remaining, allowance
        self.lot = market.lot_size or FINEST_LOT
        self.fills: list[Execution] = []
        self.short_of: str | None = None
        self.taken_us = order.taken_us
        self.nothing: tuple[str, str] | None = None

    def from_moves(self, moves: Iterable[Move]) -> None:
        """What trades at the limit or beyond it gives to an order that rests there: at its own price."""
        limit = self.order.limit
        assert limit is not None, "only orders with a limit rest"
        for move in moves:
            best = move.low if self.order.side == BUY else move.high
            if best == limit:
                # Others were there before: of an unknown volume nothing is sure to reach us.
                share = ZERO if move.volume is None else move.volume * self.rules.queue_share
                self._take(share, limit, True, f"A share of {plain(move.volume or ZERO)} traded at the limit.")
            elif _better(self.order.side, best, limit):
                volume = self.left if move.volume is None else move.volume
                self._take(volume, limit, True, f"The price went through the limit, to {plain(best)}.")

    def from_offers(self, maker: bool) -> None:
        """What is on offer now, as far as the limit allows. maker: the order was there first, so its price counts."""
        levels = self.market.asks if self.order.side == BUY else self.market.bids
        if levels:
            self._walk(levels, maker)
        else:
            self._at_quote(maker)

    def _walk(self, levels: Levels, maker: bool) -> None:
        for price, quantity in levels:
            if not self._acceptable(price):
                break
            at = self.order.limit if maker and self.order.limit is not None else price
            self._take(quantity, at, maker, f"From the book, offered at {plain(price)}.")
        if self.fills:
            self.taken_us = self.market.as_of_us
        elif self.order.limit is None:
            self.nothing = ("empty", "That side of the book is empty.")

    def _at_quote(self, maker: bool) -> None:
        """Without a book: at the quote, or without one at the last price, of a part of the last minute's volume."""
        quote = self.market.ask if self.order.side == BUY else self.market.bid
        price = self.market.last if quote is None else quote
        if price is None:
            self.nothing = ("no_price", "No price is known.")
            return
        if not self._acceptable(price) or (quote is None and price == self.order.limit):
            return  # a last price that equals the limit offers nothing
        at = self.order.limit if maker and self.order.limit is not None else price
        volume = self.left if self.market.minute_left is None else self.market.minute_left
        self._take(volume, at, maker, f"At the {'last price' if quote is None else 'quote'} {plain(price)}.")
        if self.fills:
            self.taken_us = self.market.as_of_us
        else:
            self.nothing = ("volume", "Its part of the last minute's volume is used up.")

    def _acceptable(self, price: Decimal) -> bool:
        limit = self.order.limit
        return limit is None or price == limit or _better(self.order.side, price, limit)

    def _take(self, offered: Decimal, price: Decimal, maker: bool, reason: str) -> None:
        quantity = min(self.left, _whole_lots(offered, self.lot) if offered < self.left else self.left)
        bps = self.rules.maker_bps if maker else self.rules.taker_bps
        affordable = self._affordable(price, bps)
        if affordable is not None and affordable < quantity:
            quantity = affordable
            self.short_of = "money" if self.order.side == BUY else "units"
        if quantity <= 0:
            return
        fee = stored(quantity * price * bps / _BPS / self.rules.units)
        self.fills.append(Execution(stored(quantity), price, fee, maker, reason))
        self.left -= quantity
        if self.allowance is not None:
            self.allowance -= self._cost(quantity, price, bps) if self.order.side == BUY else quantity

    def _affordable(self, price: Decimal, bps: Decimal) -> Decimal | None:
        if self.allowance is None:
            return None
        if self.order.side == SELL:
            return max(self.allowance, ZERO)
        if self._cost(self.left, price, bps) <= self.allowance:
            return self.left
        each = price * (1 + bps / _BPS) / self.rules.units
        return _whole_lots(max(self.allowance, ZERO) / each, self.lot)

    def _cost(self, quantity: Decimal, price: Decimal, bps: Decimal) -> Decimal:
        whole = quantity * price / self.rules.units
        return stored(whole) + stored(whole * bps / _BPS)

    def outcome(self, reached: str | None) -> Outcome:
        if self.order.time_in_force == FOK and self.left > 0:
            had = self.order.remaining - self.left
            why = f"FOK: only {plain(had)} of {plain(self.order.remaining)} was to be had at once."
            return Outcome(order=self.order, reached=reached, end=(CANCELLED, why))
        filled = self.order.filled + sum((fill.quantity for fill in self.fills), ZERO)
        order = msgspec.structs.replace(self.order, filled=filled, taken_us=self.taken_us)
        waiting = None if self.fills else self.nothing
        return Outcome(order=order, fills=tuple(self.fills), reached=reached, end=self._end(), waiting=waiting)

    def _end(self) -> tuple[str, str] | None:
        if self.left <= 0:
            return None
        if self.short_of is not None:
            return CANCELLED, f"The account has no {self.short_of} for the rest of it."
        if self.order.time_in_force == IOC:
            return CANCELLED, f"IOC: the remaining {plain(self.left)} was not to be had at once."
        return None


def _better(side: str, price: Decimal, limit: Decimal) -> bool:
    """Whether a price is better than the limit for whoever placed the order."""
    return price < limit if side == BUY else price > limit


def _whole_lots(quantity: Decimal, lot: Decimal) -> Decimal:
    """As many whole lots as there are in it.

    >>> _whole_lots(Decimal("0.1234"), Decimal("0.01"))
    Decimal('0.12')
    """
    return (quantity / lot).to_integral_value(ROUND_DOWN) * lot
