"""One portfolio as the follower keeps it: its exact value, of which only what has moved is worked out again. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from portfolio import valuation
from portfolio.positions import Book, Entry, Movement, NotEnoughUnits, Policy, Position
from portfolio.valuation import Holding, Mark, Valuation, Valued

# Where a ledger ends: its newest row's (at, id), and the highest id of all.
Newest = tuple[datetime, int]


class Standing(msgspec.Struct, frozen=True):
    """What a valuation needs of a book, and no more: thousands of ledgers are followed. movements: the recent ones."""

    held: dict[int, Position]
    cash: dict[str, Decimal]
    movements: list[Movement]
    realized_base: Decimal
    net_invested_base: Decimal
    overdrawn: list[str]


def standing(book: Book, now: datetime) -> Standing:
    """The book as it is now; later changes of it do not show."""
    return Standing(
        dict(book.held),
        dict(book.cash),
        valuation.recent(book.movements, now),
        book.realized_base,
        book.net_invested_base,
        book.overdrawn,
    )


class Folded(msgspec.Struct):
    """A ledger that was added up: at which version, up to which row, by which policy."""

    portfolio_id: int
    name: str
    version: int
    policy: Policy
    book: Book
    newest: Newest | None
    last_id: int

    @property
    def base(self) -> str:
        return self.policy.base_currency

    def goes_on(self, name: str, version: int, policy: Policy, rows: Sequence[Entry]) -> bool:
        """Apply rows that were posted since, if they are all that happened, and newer than all before. Whether it did;
        when not, the book is not to be used any more."""
        if policy != self.policy or len(rows) != version - self.version or not _in_order(self.newest, rows):
            return False
        try:
            for row in rows:
                self.book.apply(row)
        except NotEnoughUnits:
            return False
        self.name, self.version = name, version
        if rows:
            self.newest, self.last_id = (rows[-1].at, rows[-1].id), rows[-1].id
        return True


def _in_order(newest: Newest | None, rows: Iterable[Entry]) -> bool:
    """Whether each row is newer than what came before it, and none takes back another."""
    for row in rows:
        if row.reverses is not None or (newest is not None and (row.at, row.id) < newest):
            return False
        newest = (row.at, row.id)
    return True


def newest_of(rows: Iterable[Entry]) -> tuple[Newest | None, int]:
    """Where a ledger ends."""
    keys = [(row.at, row.id) for row in rows]
    return max(keys, default=None), max((id for _, id in keys), default=0)


class Prices(msgspec.Struct):
    """What the market says just now. marks, holdings: by instrument; rates: by base currency, then by currency."""

    marks: dict[int, Mark] = msgspec.field(default_factory=dict)
    holdings: dict[int, Holding] = msgspec.field(default_factory=dict)
    rates: dict[str, dict[str, Decimal]] = msgspec.field(default_factory=dict)
    stale_rates: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)


class Followed:
    """A portfolio's value, kept. order: its holdings as they lie on the board: instruments, then currencies.

    valued_in: the board's round up to which `valued` is true.
    """

    def __init__(self, folded: Folded, now: datetime) -> None:
        self.portfolio_id, self.name, self.version, self.base = (
            folded.portfolio_id, folded.name, folded.version, folded.base,
        )  # fmt: skip
        self.standing = standing(folded.book, now)
        self.recent = valuation.by_instrument(self.standing.movements)
        self.order: list[int | str] = [*self.standing.held, *self.standing.cash]
        self.valued: dict[int, Valued] = {}
        self.figures: dict[str, valuation.Figures] = {}
        self.valued_in = 0

    @property
    def instruments(self) -> set[int]:
        """Those whose prices it needs: what it holds, and what it held a moment ago."""
        return {*self.standing.held, *self.recent}

    def moneys(self, holdings: Mapping[int, Holding]) -> set[str]:
        """The currencies whose rates it needs."""
        return {*self.standing.cash, *(holdings[i].currency for i in self.instruments if i in holdings)}

    def quantity(self, what: int | str) -> Decimal:
        return self.standing.cash[what] if isinstance(what, str) else self.standing.held[what].quantity

    def splits(self, instrument: int) -> tuple[tuple[datetime, Decimal], ...]:
        """When its units became more: a price from before is carried over."""
        return tuple((m.at, m.split_ratio) for m in self.recent.get(instrument, ()) if m.split_ratio is not None)

    def value(self, moved: Iterable[int | str] | None, prices: Prices, as_of: datetime) -> Valuation:
        """What it is worth. moved: of what has a price, what has another one than the last time; None: everything."""
        rates = prices.rates.get(self.base, {})
        for instrument in self.standing.held if moved is None else moved:
            if isinstance(instrument, int):
                self._value_one(instrument, prices, rates)
        gone = [
            valuation.change_of_gone(prices.marks.get(i), prices.holdings[i], rates, movements)
            for i, movements in self.recent.items()
            if i not in self.standing.held and i in prices.holdings
        ]
        stale = prices.stale_rates.get(self.base, {})
        return valuation.total(self.standing, self.valued, gone, rates, as_of, stale)

    def _value_one(self, instrument: int, prices: Prices, rates: Mapping[str, Decimal]) -> None:
        movements = self.recent.get(instrument, ())
        mark = valuation.carried(prices.marks.get(instrument), movements)
        position, holding = self.standing.held[instrument], prices.holdings[instrument]
        self.valued[instrument] = found = valuation.valued(position, holding, mark, rates, movements)
        self.figures[found.symbol] = valuation.figures(found)

    def payload(self, worth: Valuation) -> dict[str, Any]:
        """The `data` of a `portfolio_update`."""
        return valuation.payload(self.portfolio_id, self.name, worth, self.figures)
