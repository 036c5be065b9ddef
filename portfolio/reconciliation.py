"""What somebody else's statement says is held, beside what the ledger says, and which rows the difference may be of."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any, Final

import msgspec

from ingestion import symbols
from ingestion.models import Instrument
from portfolio import positions
from portfolio.models import Portfolio
from portfolio.money import CURRENCIES, EXACT, ZERO
from portfolio.positions import Book, Movement

# Rows that an explanation names, the newest of them.
EXPLAINED_ROWS_MAX: Final = 50


class Moved(msgspec.Struct, frozen=True):
    """A row that changed a balance. suspect: without it the two would agree, or it was counted the wrong way round."""

    transaction: int
    at: datetime
    change: Decimal
    balance: Decimal
    suspect: bool


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """One balance, as it is stated and as it is here. difference: stated − here, at the digits that were stated."""

    name: str
    symbol: str | None
    currency: str | None
    stated: Decimal | None
    here: Decimal
    difference: Decimal
    rows: list[Moved] | None = None


class UnknownName(Exception):
    """A stated balance is of nothing known here."""

    def __init__(self, name: str) -> None:
        super().__init__(f"“{name[:40]}” is neither a currency nor an instrument known here.")
        self.name = name


def reconcile(portfolio: Portfolio, stated: Mapping[str, Decimal], at: datetime, explain: bool) -> list[Balance]:
    """The stated balances, and after them what is held here and was not stated. Raises UnknownName."""
    entries = [entry for entry in portfolio.transactions.entries() if entry.at <= at]
    book = positions.fold(entries, portfolio.policy())
    named = [(name, _meant(name, book)) for name in stated]
    told = [_balance(name, what, stated[name], book, explain) for name, what in named]
    return told + _unstated(book, [what for _, what in named], explain)


def _meant(name: str, book: Book) -> Instrument | str:
    """An instrument that was ever held, else a currency, else any instrument: BTC may be both."""
    try:
        instrument = symbols.resolve(name)
    except symbols.UnknownSymbol:
        instrument = None
    if instrument is not None and (instrument.pk in book.positions or name not in CURRENCIES):
        return instrument
    if name in CURRENCIES:
        return name
    raise UnknownName(name)


def _balance(name: str, what: Instrument | str, stated: Decimal | None, book: Book, explain: bool) -> Balance:
    here = _here(what, book)
    with localcontext(EXACT):
        # A statement of two digits agrees with what rounds to it.
        places = Decimal(1).scaleb(int(stated.as_tuple().exponent)) if stated is not None else None
        rounded = here if places is None else here.quantize(places)
        difference = (stated or ZERO) - rounded
    return Balance(
        name=name,
        symbol=what.symbol if isinstance(what, Instrument) else None,
        currency=what if isinstance(what, str) else None,
        stated=stated,
        here=here,
        difference=difference,
        rows=_moved(what, book, difference) if explain and difference else None,
    )


def _here(what: Instrument | str, book: Book) -> Decimal:
    if isinstance(what, str):
        return book.cash.get(what, ZERO)
    found = book.positions.get(what.pk)
    return ZERO if found is None else found.quantity


def _unstated(book: Book, named: Sequence[Instrument | str], explain: bool) -> list[Balance]:
    held = Instrument.objects.filter(pk__in=book.held).exclude(
        pk__in=[x.pk for x in named if isinstance(x, Instrument)]
    )
    cash = [currency for currency, amount in sorted(book.cash.items()) if amount and currency not in named]
    others: list[Instrument | str] = [*held.order_by("symbol"), *cash]
    return [_balance(str(what), what, None, book, explain) for what in others]


def _moved(what: Instrument | str, book: Book, difference: Decimal) -> list[Moved]:
    """The rows that made the balance, oldest first. One that states twice the difference went the wrong way."""
    rows: list[Moved] = []
    balance = ZERO
    with localcontext(EXACT):
        for movement in book.movements:
            change = _change(what, movement)
            if change:
                balance += change
                suspect = -difference in (change, 2 * change)
                rows.append(Moved(movement.entry_id, movement.at, change, balance, suspect))
    return rows[-EXPLAINED_ROWS_MAX:]


def _change(what: Instrument | str, movement: Movement) -> Decimal:
    if isinstance(what, str):
        return movement.cash if movement.currency == what else ZERO
    return movement.quantity if movement.instrument == what.pk else ZERO


def payload(balances: Sequence[Balance]) -> dict[str, Any]:
    """As the call answers."""
    return {"agrees": not any(balance.difference for balance in balances), "balances": balances}
