"""What a ledger is made of: its rows, how a portfolio counts them, and what moves by them (docs/accounting.md)."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

import msgspec

from portfolio.lots import AVERAGE
from portfolio.money import ONE, ZERO

DEPOSIT: Final = "DEPOSIT"
WITHDRAWAL: Final = "WITHDRAWAL"
BUY: Final = "BUY"
SELL: Final = "SELL"
DIVIDEND: Final = "DIVIDEND"
FEE: Final = "FEE"
INTEREST: Final = "INTEREST"
TAX: Final = "TAX"
SPLIT: Final = "SPLIT"
STOCK_DIVIDEND: Final = "STOCK_DIVIDEND"
SPINOFF: Final = "SPINOFF"
MERGER: Final = "MERGER"
RENAME: Final = "RENAME"
TRANSFER_IN: Final = "TRANSFER_IN"
TRANSFER_OUT: Final = "TRANSFER_OUT"
RETURN_OF_CAPITAL: Final = "RETURN_OF_CAPITAL"
FX_CONVERSION: Final = "FX_CONVERSION"
REVERSAL: Final = "REVERSAL"


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of the ledger; what its type doesn't state keeps its default. docs/accounting.md tells each type.

    fx_rate: units of the portfolio's currency for one of `currency`, on that day; fee_rate: the same of `fee_currency`
    (None: the row's own). With a fee_instrument the fee is so many of its units, given away at fee_price each (in
    fee_currency). unit: how many of the price's units make one of the currency, 100 where a price is in pence.
    amount: gross, where the row has no quantity and price. basis: the whole cost that a transfer brings along (None:
    quantity × price); opened_at: when what it brings was bought (None: `at`). ratio: new units per old one.
    basis_fraction: the part of the cost that goes to the new instrument. FX_CONVERSION pays `amount` and receives
    to_amount of to_currency. lot_ids: the rows that opened the lots to sell, where they are chosen one by one.
    """

    id: int
    type: str
    at: datetime
    currency: str
    instrument: int | None = None
    quantity: Decimal = ZERO
    price: Decimal = ZERO
    amount: Decimal = ZERO
    fee: Decimal = ZERO
    fee_currency: str | None = None
    fee_rate: Decimal = ONE
    fee_instrument: int | None = None
    fee_price: Decimal = ZERO
    fx_rate: Decimal = ONE
    reverses: int | None = None
    to_instrument: int | None = None
    ratio: Decimal = ONE
    basis_fraction: Decimal = ZERO
    cash_in_lieu: Decimal = ZERO
    withholding: Decimal = ZERO
    basis: Decimal | None = None
    opened_at: datetime | None = None
    to_currency: str | None = None
    to_amount: Decimal = ZERO
    lot_ids: tuple[int, ...] = ()
    unit: int = 1


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How a portfolio counts.

    methods: (in force from, "fifo" | "lifo" | "hifo" | "average" | "specific"), oldest first; None: from the start.
    allow_short: a sale of more than is held opens a short. auto_convert: what a row about an instrument costs or
    brings in another currency is paid from or into base_currency at the row's rate. equivalents: currencies that
    count one to one as another.
    """

    methods: tuple[tuple[datetime | None, str], ...] = ((None, "average"),)
    allow_short: bool = False
    auto_convert: bool = False
    base_currency: str = "USD"
    equivalents: Mapping[str, str] = {}

    def method_at(self, at: datetime) -> str:
        """The method in force at that time."""
        if len(self.methods) == 1:
            return self.methods[0][1]
        return next((method for since, method in reversed(self.methods) if since is None or since <= at), AVERAGE)

    def at_par(self, one: str, other: str) -> bool:
        """Whether two currencies count as one."""
        return self.equivalents.get(one, one) == self.equivalents.get(other, other)


DEFAULT_POLICY: Final = Policy()

Kind = Literal["trade", "flow", "income", "fee", "tax", "transfer", "action", "fx"]


class Movement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One change of units or of cash; a row makes one or several, and together they are all that ever moved.

    quantity: change of units; cash: change of the cash in `currency`, fees deducted; external: it crosses the
    portfolio's border (payments in and out, transfers). rate: units of the portfolio's currency for one of
    `currency` on that row. split_ratio: new units per old, for carrying prices over it. basis: the cost that a
    transfer in kind moved; what it was worth then is for the caller to know.
    """

    at: datetime
    entry_id: int
    kind: Kind
    instrument: int | None = None
    quantity: Decimal = ZERO
    currency: str
    cash: Decimal = ZERO
    external: bool = False
    rate: Decimal | None = None
    split_ratio: Decimal | None = None
    basis: Decimal = ZERO


def standing(entries: Iterable[Entry]) -> list[Entry]:
    """The rows that still count, in order: neither reversed nor a reversal."""
    rows = list(entries)
    reversed_ids = {row.reverses for row in rows if row.reverses is not None}
    rows = [row for row in rows if row.reverses is None and row.id not in reversed_ids]
    return sorted(rows, key=lambda row: (row.at, row.id))


def connected(entries: Iterable[Entry], instrument: int) -> set[int]:
    """`instrument` and all that its units came from, went to or paid fees of: their rows alone prove its lots."""
    ties: dict[int, set[int]] = {}
    for entry in entries:
        ends = {entry.instrument, entry.to_instrument, entry.fee_instrument} - {None}
        for end in ends if len(ends) > 1 else ():
            ties.setdefault(end, set()).update(ends)  # type: ignore[arg-type]
    found, new = {instrument}, {instrument}
    while new:
        new = set().union(*(ties.get(end, set()) for end in new)) - found
        found |= new
    return found
