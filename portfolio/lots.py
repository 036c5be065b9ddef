"""Lots: what was opened when, at which cost, opening fees included; `…_base` is at the rate of the opening day.

Which lot goes first is the method's word. Lots of one age go in the order of their ids, so that every fold of a ledger
takes the same ones. Everything here runs under `money.EXACT`; shares are rounded to 18 places, and what rounding
leaves stays with the last of them, so that parts always add up to their whole.
"""

import bisect
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from portfolio.money import ZERO, stored

FIFO: Final = "fifo"
LIFO: Final = "lifo"
HIFO: Final = "hifo"
AVERAGE: Final = "average"
SPECIFIC: Final = "specific"


class Lot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Units of one instrument that were opened together.

    id: of the ledger's row that opened it; sub: 0, 1, … where one row opened several. opened_at stays what it was
    through splits, mergers, spin-offs, renames and transfers. A short lot has a negative quantity and a negative
    cost: what its sale brought in.
    """

    id: int
    sub: int = 0
    instrument: int
    opened_at: datetime
    quantity: Decimal
    cost: Decimal
    cost_base: Decimal
    currency: str


class Disposal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A lot, or a part of one, that was closed by the row `entry_id`.

    quantity: the units closed, negative where a short was covered, 0 where only money came back. A short's proceeds
    are those of its opening sale, its cost is that of the purchase that covered it.
    """

    entry_id: int
    instrument: int
    lot_id: int
    lot_sub: int
    quantity: Decimal
    opened_at: datetime
    closed_at: datetime
    currency: str
    proceeds: Decimal
    cost: Decimal
    proceeds_base: Decimal
    cost_base: Decimal

    @property
    def gain(self) -> Decimal:
        return self.proceeds - self.cost

    @property
    def gain_base(self) -> Decimal:
        return self.proceeds_base - self.cost_base

    @property
    def days(self) -> int:
        """Whole days held."""
        return (self.closed_at - self.opened_at).days

    @property
    def long_term(self) -> bool:
        """Held for more than a year."""
        return held_long(self.opened_at, self.closed_at)


def held_long(opened: datetime, closed: datetime) -> bool:
    """Whether that is more than a year: closed after the day of the same name a year later."""
    return (closed.year - 1, closed.month, closed.day) > (opened.year, opened.month, opened.day)


def by_age(lot: Lot) -> tuple[datetime, int, int]:
    return lot.opened_at, lot.id, lot.sub


def by_cost(lot: Lot) -> tuple[Decimal, datetime, int, int]:
    """The dearest first, in the portfolio's currency; of shorts the one that brought in least."""
    return -lot.cost_base / abs(lot.quantity), lot.opened_at, lot.id, lot.sub


class _Method(msgspec.Struct, frozen=True):
    """order: of the lots in a holding. at: the end of it from which they go. pooled: all at one cost a unit."""

    order: Callable[[Lot], tuple[Any, ...]]
    at: int = 0
    pooled: bool = False


_METHODS: Final = {
    FIFO: _Method(by_age),
    LIFO: _Method(by_age, at=-1),
    HIFO: _Method(by_cost),
    AVERAGE: _Method(by_age, pooled=True),
    SPECIFIC: _Method(by_age),  # a sale that names no lots takes the oldest
}
METHODS: Final = tuple(_METHODS)


class Holding:
    """The open lots of one instrument, all long or all short, and their sums."""

    __slots__ = ("_lots", "cost", "cost_base", "method", "quantity")

    def __init__(self, method: str, lots: Iterable[Lot] = ()) -> None:
        self.method = method
        self.put(lots)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holding) and (self.method, self.lots()) == (other.method, other.lots())

    def put(self, lots: Iterable[Lot]) -> None:
        """Hold these lots instead of those there were."""
        self._lots = sorted(lots, key=_METHODS[self.method].order)
        self.quantity = sum((lot.quantity for lot in self._lots), ZERO)
        self.cost = sum((lot.cost for lot in self._lots), ZERO)
        self.cost_base = sum((lot.cost_base for lot in self._lots), ZERO)

    @property
    def currency(self) -> str | None:
        """Of the costs; None where nothing is held."""
        return self._lots[0].currency if self._lots else None

    def copy(self) -> "Holding":
        twin = Holding.__new__(Holding)
        twin.method, twin._lots = self.method, self._lots.copy()
        twin.quantity, twin.cost, twin.cost_base = self.quantity, self.cost, self.cost_base
        return twin

    def lots(self) -> list[Lot]:
        """The open lots, in the order of the method. In a pool each has its units' share of the pool's cost."""
        if not _METHODS[self.method].pooled:
            return list(self._lots)
        return priced(self._lots, self.cost, self.cost_base)

    def follow(self, method: str) -> None:
        """Go on by another method. Lots that leave a pool keep its average cost."""
        if method != self.method:
            lots = self.lots()
            self.method = method
            self.put(lots)

    def add(self, lot: Lot) -> None:
        order = _METHODS[self.method].order
        if not self._lots or order(self._lots[-1]) < order(lot):
            self._lots.append(lot)
        else:
            bisect.insort(self._lots, lot, key=order)
        self.quantity += lot.quantity
        self.cost += lot.cost
        self.cost_base += lot.cost_base

    def chosen(self, lot_ids: Sequence[int]) -> list[Lot]:
        """The lots that these rows opened, in the order of the rows. Raises KeyError with one that opened none."""
        found: list[Lot] = []
        for lot_id in dict.fromkeys(lot_ids):
            own = [lot for lot in self._lots if lot.id == lot_id]
            if not own:
                raise KeyError(lot_id)
            found += own
        return found

    def take(self, units: Decimal, lot_ids: Sequence[int] = ()) -> list[Lot]:
        """Let `units` go, as many as there are at most: the lots and parts of lots that they are.

        lot_ids: the rows whose lots go; they hold enough. Without any, the method says which.
        """
        if lot_ids:
            self._lots = self.chosen(lot_ids) + [lot for lot in self._lots if lot.id not in lot_ids]
            taken = self._in_turn(units, 0)
            self._lots.sort(key=_METHODS[self.method].order)
        else:
            taken = self._in_turn(units, _METHODS[self.method].at)
        if _METHODS[self.method].pooled:
            taken = self._at_average(taken, units)
        for lot in taken:
            self.quantity -= lot.quantity
            self.cost -= lot.cost
            self.cost_base -= lot.cost_base
        return taken

    def _in_turn(self, units: Decimal, at: int) -> list[Lot]:
        taken: list[Lot] = []
        while units:
            lot = self._lots.pop(at)
            if abs(lot.quantity) > units:
                lot, rest = divided(lot, units)
                self._lots.insert(at if at == 0 else len(self._lots), rest)
            taken.append(lot)
            units -= abs(lot.quantity)
        return taken

    def _at_average(self, taken: list[Lot], units: Decimal) -> list[Lot]:
        """The last units take all the cost that is left, so that nothing remains of it."""
        held = abs(self.quantity)
        if units == held:
            return priced(taken, self.cost, self.cost_base)
        return priced(taken, stored(self.cost * units / held), stored(self.cost_base * units / held))


def divided(lot: Lot, units: Decimal) -> tuple[Lot, Lot]:
    """`units` of a lot, fewer than it has, and the rest of it."""
    held = abs(lot.quantity)
    part = _with(
        lot,
        units.copy_sign(lot.quantity),
        stored(lot.cost * units / held),
        stored(lot.cost_base * units / held),
    )
    rest = _with(lot, lot.quantity - part.quantity, lot.cost - part.cost, lot.cost_base - part.cost_base)
    return part, rest


def priced(lots: Sequence[Lot], cost: Decimal, cost_base: Decimal) -> list[Lot]:
    """The same units, a cost spread evenly over them."""
    sizes = [lot.quantity for lot in lots]
    costs, costs_base = shares(cost, sizes), shares(cost_base, sizes)
    return [_with(lot, *figures) for lot, *figures in zip(lots, sizes, costs, costs_base, strict=True)]


def shares(total: Decimal, sizes: Sequence[Decimal]) -> list[Decimal]:
    """`total` in proportion to sizes of one sign, each rounded so that they add up to it exactly.

    >>> [str(share) for share in shares(Decimal(1), [Decimal(1)] * 3)]
    ['0.333333333333333333', '0.333333333333333334', '0.333333333333333333']
    """
    if len(sizes) == 1:
        return [total]
    whole, size, given, parts = sum(sizes, ZERO), ZERO, ZERO, []
    for own in sizes:
        size += own
        reached = total if size == whole else stored(total * size / whole)
        parts.append(reached - given)
        given = reached
    return parts


def _with(lot: Lot, quantity: Decimal, cost: Decimal, cost_base: Decimal) -> Lot:
    return Lot(
        id=lot.id,
        sub=lot.sub,
        instrument=lot.instrument,
        opened_at=lot.opened_at,
        quantity=quantity,
        cost=cost,
        cost_base=cost_base,
        currency=lot.currency,
    )
