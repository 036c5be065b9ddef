"""Lots: what was opened when, at which cost, opening fees included; `…_base` is at the rate of the opening day."""

from datetime import datetime
from decimal import Decimal

import msgspec


class Lot(msgspec.Struct, frozen=True, kw_only=True):
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


class Disposal(msgspec.Struct, frozen=True, kw_only=True):
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
