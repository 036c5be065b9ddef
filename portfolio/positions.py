"""From the ledger's rows to what is held: units, average cost, cash, realised profit.

Conventions, with worked examples: docs/accounting.md. All sums are exact decimals, rounded to 18 places once a row
(half to even), so that in each currency, to the last digit:

    cash + cost of holdings = net invested + realised + income − charges
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Final, Literal

import msgspec

from portfolio.lots import Disposal, Lot
from portfolio.money import EXACT, ONE, ZERO, stored

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


class NotEnoughUnits(Exception):
    """A sale of more than was held at its time."""

    def __init__(self, instrument: int, held: Decimal, wanted: Decimal, at: datetime) -> None:
        super().__init__(f"{wanted} wanted of instrument {instrument}, {held} held on {at:%Y-%m-%d %H:%M}")
        self.instrument, self.held, self.wanted, self.at = instrument, held, wanted, at


class Entry(msgspec.Struct, frozen=True, kw_only=True):
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
    equivalents: dict[str, str] = {}


DEFAULT_POLICY: Final = Policy()

Kind = Literal["trade", "flow", "income", "fee", "tax", "transfer", "action", "fx"]


class Movement(msgspec.Struct, frozen=True, kw_only=True):
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


class Position(msgspec.Struct, frozen=True):
    """What is held of one instrument. Costs hold the buying fees; `…_base` is at the rates of the trades' days."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    cost_base: Decimal = ZERO
    realized: Decimal = ZERO
    realized_base: Decimal = ZERO

    @property
    def average_cost(self) -> Decimal | None:
        """Per unit, fees included; None when nothing is held."""
        with localcontext(EXACT):
            return stored(self.cost / self.quantity) if self.quantity else None


class Book:
    """What a ledger adds up to. Sums by currency, except `…_base`, which are in the portfolio's own."""

    def __init__(self, policy: Policy = DEFAULT_POLICY) -> None:
        self.policy = policy
        self.positions: dict[int, Position] = {}
        self.lots: dict[int, list[Lot]] = {}
        self.disposals: list[Disposal] = []
        self.movements: list[Movement] = []
        self.cash: dict[str, Decimal] = {}
        self.net_invested: dict[str, Decimal] = {}
        self.realized: dict[str, Decimal] = {}
        self.income: dict[str, Decimal] = {}
        self.charges: dict[str, Decimal] = {}  # fees that belong to no trade
        self.fees: dict[str, Decimal] = {}  # all of them, those in a basis or a sale's proceeds included
        self.taxes: dict[str, Decimal] = {}
        self.converted: dict[str, Decimal] = {}  # what came from, less what went into, other currencies
        self.transferred: dict[str, Decimal] = {}  # the cost of what came in kind, less of what left so
        self.income_base = ZERO
        self.charges_base = ZERO
        self.fees_base = ZERO
        self.taxes_base = ZERO
        self.transferred_base = ZERO
        self.realized_base = ZERO
        self.net_invested_base = ZERO

    def apply(self, entry: Entry) -> None:
        """Go on by one row, newer than all before it."""
        with localcontext(EXACT):
            _APPLY[entry.type](self, entry)

    @property
    def held(self) -> dict[int, Position]:
        """The positions of which there is something."""
        return {instrument: p for instrument, p in self.positions.items() if p.quantity}

    @property
    def overdrawn(self) -> list[str]:
        """Currencies of which more was spent than there was."""
        return sorted(currency for currency, cash in self.cash.items() if cash < 0)


def fold(entries: Iterable[Entry], policy: Policy = DEFAULT_POLICY) -> Book:
    """Add up the ledger in the order of `at`, then of `id`. A reversed row and its reversal both count for nothing.

    Raises NotEnoughUnits at the first sale of more than was held at that time.
    """
    book = Book(policy)
    with localcontext(EXACT):
        for entry in standing(entries):
            _APPLY[entry.type](book, entry)
    return book


def standing(entries: Iterable[Entry]) -> list[Entry]:
    """The rows that still count, in order: neither reversed nor a reversal."""
    rows = list(entries)
    reversed_ids = {row.reverses for row in rows if row.reverses is not None}
    rows = [row for row in rows if row.reverses is None and row.id not in reversed_ids]
    return sorted(rows, key=lambda row: (row.at, row.id))


def _buy(book: Book, entry: Entry) -> None:
    """The fee is part of the cost."""
    held = _position(book, entry)
    cost = stored(entry.quantity * entry.price) + entry.fee
    book.positions[_instrument(entry)] = msgspec.structs.replace(
        held,
        quantity=held.quantity + entry.quantity,
        cost=held.cost + cost,
        cost_base=held.cost_base + stored(cost * entry.fx_rate),
    )
    _add(book.cash, entry, -cost)
    _add(book.fees, entry, entry.fee)


def _sell(book: Book, entry: Entry) -> None:
    """The sold units leave at average cost; the fee lowers the proceeds."""
    held = _position(book, entry)
    if entry.quantity > held.quantity:
        raise NotEnoughUnits(_instrument(entry), held.quantity, entry.quantity, entry.at)
    proceeds = stored(entry.quantity * entry.price) - entry.fee
    cost, cost_base = _share(held, entry.quantity)
    realized, realized_base = proceeds - cost, stored(proceeds * entry.fx_rate) - cost_base
    book.positions[_instrument(entry)] = Position(
        quantity=held.quantity - entry.quantity,
        cost=held.cost - cost,
        cost_base=held.cost_base - cost_base,
        realized=held.realized + realized,
        realized_base=held.realized_base + realized_base,
    )
    _add(book.cash, entry, proceeds)
    _add(book.realized, entry, realized)
    _add(book.fees, entry, entry.fee)
    book.realized_base += realized_base


def _share(held: Position, quantity: Decimal) -> tuple[Decimal, Decimal]:
    """The cost of `quantity` of the units held. The last units take all that is left, so that nothing remains."""
    if quantity == held.quantity:
        return held.cost, held.cost_base
    return stored(held.cost * quantity / held.quantity), stored(held.cost_base * quantity / held.quantity)


def _deposit(book: Book, entry: Entry) -> None:
    _flow(book, entry, entry.amount)


def _withdrawal(book: Book, entry: Entry) -> None:
    _flow(book, entry, -entry.amount)


def _flow(book: Book, entry: Entry, amount: Decimal) -> None:
    _add(book.cash, entry, amount)
    _add(book.net_invested, entry, amount)
    book.net_invested_base += stored(amount * entry.fx_rate)
    _charge(book, entry, entry.fee)


def _dividend(book: Book, entry: Entry) -> None:
    _add(book.cash, entry, entry.amount)
    _add(book.income, entry, entry.amount)
    _charge(book, entry, entry.fee)


def _fee(book: Book, entry: Entry) -> None:
    _charge(book, entry, entry.amount)


def _charge(book: Book, entry: Entry, amount: Decimal) -> None:
    _add(book.cash, entry, -amount)
    _add(book.charges, entry, amount)
    _add(book.fees, entry, amount)


def _add(sums: dict[str, Decimal], entry: Entry, amount: Decimal) -> None:
    if amount or entry.currency in sums:
        sums[entry.currency] = sums.get(entry.currency, ZERO) + amount


def _position(book: Book, entry: Entry) -> Position:
    return book.positions.get(_instrument(entry), Position())


def _instrument(entry: Entry) -> int:
    assert entry.instrument is not None, f"a {entry.type} without an instrument"
    return entry.instrument


_APPLY: Final[dict[str, Callable[[Book, Entry], None]]] = {
    DEPOSIT: _deposit,
    WITHDRAWAL: _withdrawal,
    BUY: _buy,
    SELL: _sell,
    DIVIDEND: _dividend,
    FEE: _fee,
}
