"""Corporate actions on lots: units and costs go elsewhere, and nothing of a cost is lost on the way.

Lots in, lots out; the lots given stay as they are. What was opened when stays so too: none of this is a sale. All of it
runs under `money.EXACT`.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec

from portfolio.lots import Lot, shares
from portfolio.money import ZERO, stored


def scaled(lots: Sequence[Lot], units: Decimal) -> list[Lot]:
    """The lots with `units` in all instead of what they had, in the same proportions and at the same costs."""
    if not lots:
        return []
    sizes = shares(units, [lot.quantity for lot in lots])
    return [msgspec.structs.replace(lot, quantity=size) for lot, size in zip(lots, sizes, strict=True)]


def times(units: Decimal, ratio: Decimal) -> Decimal:
    """units × ratio, to 18 places."""
    exact = as_fraction(ratio)
    return stored(units * exact.numerator / exact.denominator)


def as_fraction(ratio: Decimal) -> Fraction:
    """The ratio, or the simple fraction that somebody rounded to write it down.

    300 units at one new for three old are 100, though no decimal is a third. Eight places or more that are those of a
    simple fraction count as it.

    >>> as_fraction(Decimal("0.33333333")), as_fraction(Decimal("0.3333")), as_fraction(Decimal("1.05"))
    (Fraction(1, 3), Fraction(3333, 10000), Fraction(21, 20))
    """
    digits = ratio.normalize()
    places = max(0, -int(digits.as_tuple().exponent))
    simple = Fraction(ratio).limit_denominator(10 ** max(1, places // 4))
    if places >= 8 and abs(simple - Fraction(ratio)) < Fraction(1, 10**places):
        return simple
    return Fraction(ratio)


def moved(lots: Iterable[Lot], instrument: int) -> list[Lot]:
    """The same lots, of another instrument: a merger, a new name."""
    return [msgspec.structs.replace(lot, instrument=instrument) for lot in lots]


def spun_off(
    lots: Sequence[Lot], instrument: int, ratio: Decimal, fraction: Decimal, row: int
) -> tuple[list[Lot], list[Lot]]:
    """The lots without `fraction` of their cost, and those of the new instrument, which have it.

    Each new lot is opened by `row`, but as old as the one that it comes from.
    """
    held = sum((lot.quantity for lot in lots), ZERO)
    kept, new = [], []
    for sub, (lot, spun) in enumerate(zip(lots, scaled(lots, times(held, ratio)), strict=True)):
        cost, cost_base = stored(lot.cost * fraction), stored(lot.cost_base * fraction)
        kept.append(msgspec.structs.replace(lot, cost=lot.cost - cost, cost_base=lot.cost_base - cost_base))
        new.append(
            msgspec.structs.replace(spun, id=row, sub=sub, instrument=instrument, cost=cost, cost_base=cost_base)
        )
    return kept, new


class Returned(msgspec.Struct, frozen=True):
    """Capital that came back on one lot: what is left of it, and what came beyond its cost, a gain."""

    lot: Lot
    gain: Decimal
    gain_base: Decimal


def returned(lots: Sequence[Lot], amount: Decimal, amount_base: Decimal) -> list[Returned]:
    """Money paid back on long lots, the same for each unit: it lowers a cost down to 0, the rest is a gain."""
    sizes = [lot.quantity for lot in lots]
    back = zip(lots, shares(amount, sizes), shares(amount_base, sizes), strict=True)
    return [
        Returned(
            msgspec.structs.replace(
                lot, cost=max(lot.cost - share, ZERO), cost_base=max(lot.cost_base - share_base, ZERO)
            ),
            gain=max(share - lot.cost, ZERO),
            gain_base=max(share_base - lot.cost_base, ZERO),
        )
        for lot, share, share_base in back
    ]


def fraction_of(units: Decimal) -> Decimal:
    """What is beyond whole units, unsigned: what is paid for in cash."""
    return abs(units) % 1
