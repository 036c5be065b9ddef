"""A ledger as beancount's directives, for other people's tools to read. Text made of values; nothing is read.

Our sums are exact and each transaction balances to the last digit: what is gained on a sale is posted to
Income:PnL:<holding>. Every holding is reduced by the cost of the lots that went, as the portfolio's method chose them.
https://beancount.github.io/docs/beancount_language_syntax.html
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal, localcontext
from typing import Final

import msgspec

from portfolio.money import EXACT, ZERO, plain

CASH: Final = "Assets:Cash"
HOLDINGS: Final = "Assets:Holdings"
GAINS: Final = "Income:PnL"
EQUITY: Final = "Equity:Opening"
_INCOME: Final = {"DIVIDEND": "Income:Dividends", "INTEREST": "Income:Interest"}
_COSTS: Final = {"FEE": "Expenses:Fees", "TAX": "Expenses:Taxes"}
_NOT_IN_NAMES: Final = re.compile(r"[^A-Z0-9]")
_NOT_IN_COMMODITIES: Final = re.compile(r"[^A-Z0-9'._-]")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one row did. units, basis, cash: changes, by symbol and by currency; basis in the holding's currency."""

    at: datetime
    type: str
    about: str
    units: dict[str, Decimal]
    basis: dict[str, tuple[Decimal, str]]
    cash: dict[str, Decimal]


def commodity(name: str) -> str:
    """A name as beancount spells commodities: it begins with a letter, ends with a letter or digit, 24 at most.

    >>> commodity("BRK.B"), commodity("EURUSD=X"), commodity("^GSPC"), commodity("7203.T"), commodity("V")
    ('BRK.B', 'EURUSD-X', 'X-GSPC', 'X7203.T', 'V.X')
    """
    spelled = _NOT_IN_COMMODITIES.sub("-", name.upper())[:22].rstrip("'._-")
    if not spelled[:1].isalpha():
        spelled = f"X{spelled}"
    # Version 2 knows none of one letter.
    return f"{spelled}.X" if len(spelled) == 1 else spelled


def account(prefix: str, name: str) -> str:
    """An account's name: each part begins with a capital letter or a digit.

    >>> account(HOLDINGS, "BTC-USD")
    'Assets:Holdings:BTC-USD'
    """
    return f"{prefix}:{_NOT_IN_NAMES.sub('-', name.upper()).strip('-') or 'X'}"


def quoted(text: str) -> str:
    """A string on one line."""
    bare = "".join(character if character.isprintable() else " " for character in text)
    return '"' + bare.replace("\\", "\\\\").replace('"', '\\"') + '"'


def document(title: str, base: str, steps: Sequence[Step], currencies: Iterable[str]) -> Iterator[str]:
    """The whole file, a line at a time."""
    yield f'option "title" {quoted(title)}\n'
    yield f'option "operating_currency" "{commodity(base)}"\n\n'
    if not steps:
        return
    first = min(step.at for step in steps).date()
    yield from _opened(first, steps, currencies)
    for step in steps:
        yield from _transaction(step)


def _opened(first: date, steps: Sequence[Step], currencies: Iterable[str]) -> Iterator[str]:
    symbols = sorted({symbol for step in steps for symbol in step.units.keys() | step.basis.keys()})
    moneys = sorted({*currencies, *(currency for step in steps for currency in step.cash)})
    names = dict.fromkeys(commodity(name) for name in (*moneys, *symbols))
    yield from (f"{first} commodity {name}\n" for name in names)
    for name in (EQUITY, *_INCOME.values(), *_COSTS.values(), f"{EQUITY}:Exchange", f"{EQUITY}:Basis"):
        yield f"{first} open {name}\n"
    for currency in moneys:
        yield f"{first} open {account(CASH, currency)}\n"
    for name in dict.fromkeys(account(HOLDINGS, symbol) for symbol in symbols):
        yield f"{first} open {name}\n"
    for name in dict.fromkeys(account(GAINS, symbol) for symbol in symbols):
        yield f"{first} open {name}\n"
    yield "\n"


def _transaction(step: Step) -> Iterator[str]:
    """Units at their whole cost, the cash, and what balances them in each currency."""
    postings = [*_units(step), *_cash(step)]
    if not postings:
        return
    yield f"{step.at:%Y-%m-%d} * {quoted(step.type)} {quoted(step.about)}\n"
    yield f"  time: {quoted(step.at.isoformat())}\n"
    yield from postings
    yield from _balancing(step)
    yield "\n"


def _units(step: Step) -> Iterator[str]:
    for symbol, change in step.units.items():
        basis, currency = step.basis.get(symbol, (ZERO, ""))
        if change and currency:
            yield (
                f"  {account(HOLDINGS, symbol)}  {plain(change)} {commodity(symbol)}"
                f" @@ {plain(basis.copy_abs())} {commodity(currency)}\n"
            )


def _cash(step: Step) -> Iterator[str]:
    for currency, change in step.cash.items():
        if change:
            yield f"  {account(CASH, currency)}  {plain(change)} {commodity(currency)}\n"


def _balancing(step: Step) -> Iterator[str]:
    """The other side, by currency: what remains of cash and basis."""
    weights: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for currency, change in step.cash.items():
            weights[currency] = weights.get(currency, ZERO) + change
        for symbol, (basis, currency) in step.basis.items():
            if step.units.get(symbol) and currency:
                # `@@` weighs by its total with the sign of the units.
                weight = basis.copy_abs() if step.units[symbol] > 0 else -basis.copy_abs()
                weights[currency] = weights.get(currency, ZERO) + weight
    for currency, weight in weights.items():
        if weight:
            yield f"  {_other_side(step)}  {plain(-weight)} {commodity(currency)}\n"


def _other_side(step: Step) -> str:
    symbol = next(iter(step.units), None) or next(iter(step.basis), None)
    if step.type in _INCOME or step.type in _COSTS:
        return _INCOME.get(step.type) or _COSTS[step.type]
    if step.type in ("DEPOSIT", "WITHDRAWAL", "TRANSFER_IN", "TRANSFER_OUT"):
        return EQUITY
    if step.type == "FX_CONVERSION":
        return f"{EQUITY}:Exchange"
    return account(GAINS, symbol) if symbol and step.type in ("BUY", "SELL") else f"{EQUITY}:Basis"
