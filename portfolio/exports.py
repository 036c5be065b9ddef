"""A ledger as a file: CSV and JSON of our own format, which lose nothing and import back, and beancount.

Rows stand in the order in which they were posted, so that each finds before it what it speaks of.
"""

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any, Final

from ingestion.rest.listing import major
from portfolio import beancount, positions
from portfolio.import_formats.generic import FIELDS, NUMBERS, TIMES, escaped
from portfolio.models import Portfolio, Transaction
from portfolio.money import EXACT, ZERO, plain
from portfolio.positions import Book
from portfolio.valuation import timestamp

CHUNK_ROWS: Final = 1_000
_TEXTS: Final = ("symbol", "to_symbol", "external_id", "note")


def rows(portfolio: Portfolio) -> Iterator[dict[str, str]]:
    """The rows of the account's present epoch; what a row doesn't have is "", a plain number has no exponent."""
    found = portfolio.transactions.filter(id__gt=portfolio.archived_until).order_by("id")
    named = found.select_related("instrument", "to_instrument", "fee_instrument")
    for row in named.iterator(chunk_size=CHUNK_ROWS):
        yield _row(row)


def _row(row: Transaction) -> dict[str, str]:
    told = {name: _number(getattr(row, name)) for name in NUMBERS}
    told |= {name: _time(getattr(row, name)) for name in TIMES}
    return {
        **told,
        **_fee(row),
        "id": str(row.pk),
        "type": row.type,
        "symbol": row.instrument.symbol if row.instrument else "",
        "to_symbol": row.to_instrument.symbol if row.to_instrument else "",
        "currency": row.currency,
        "to_currency": row.to_currency,
        "withholding": _number(row.withholding or None),
        "lot_ids": " ".join(map(str, row.lot_ids)),
        "external_id": row.external_id or "",
        "reverses": str(row.reverses_id or ""),
        "note": row.note,
    }


def _fee(row: Transaction) -> dict[str, str]:
    """A fee in units was worth `fee_price` in the money that its instrument is reckoned in; it is told in what it is
    quoted in, as it was posted."""
    if row.fee_instrument is None or row.fee_price is None:
        return {"fee_currency": row.fee_currency if row.fee else "", "fee_price": ""}
    with localcontext(EXACT):
        units = major(row.fee_instrument.currency)[1]
        return {"fee_currency": row.fee_currency, "fee_price": plain(row.fee_price * units)}


def _number(value: Decimal | None) -> str:
    return "" if value is None else plain(value)


def _time(value: datetime | None) -> str:
    return "" if value is None else timestamp(value)


def as_csv(portfolio: Portfolio) -> Iterator[str]:
    """A header and the rows. Text that a spreadsheet would run has an apostrophe before it; importing takes it off."""
    yield _line(list(FIELDS))
    for row in rows(portfolio):
        yield _line([escaped(row[name]) if name in _TEXTS else row[name] for name in FIELDS])


def _line(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue()


def as_json(portfolio: Portfolio) -> Iterator[str]:
    """An object with the portfolio and its rows, one a line."""
    about = {
        "format": "tapehouse-ledger",
        "version": 1,
        "name": portfolio.name,
        "base_currency": portfolio.base_currency,
    }
    yield json.dumps(about)[:-1] + ', "transactions": ['
    between = "\n"
    for row in rows(portfolio):
        told: dict[str, Any] = {name: row[name] for name in FIELDS if row[name]}
        yield between + json.dumps(told, ensure_ascii=False)
        between = ",\n"
    yield "\n]}\n"


def as_beancount(portfolio: Portfolio) -> Iterator[str]:
    """Directives for what counts: reversed rows and their reversals are left out."""
    steps = list(_steps(portfolio))
    currencies = [portfolio.base_currency]
    yield from beancount.document(portfolio.name, portfolio.base_currency, steps, currencies)


def _steps(portfolio: Portfolio) -> Iterator[beancount.Step]:
    """Each standing row by what it changes in the book."""
    named = portfolio.transactions.filter(id__gt=portfolio.archived_until)
    pairs = named.exclude(instrument=None).values_list("instrument_id", "instrument__symbol", "instrument__currency")
    about = {pk: (symbol, currency) for pk, symbol, currency in pairs.order_by().distinct()}
    for column in ("to_instrument", "fee_instrument"):
        more = named.exclude(**{column: None}).values_list(f"{column}_id", f"{column}__symbol", f"{column}__currency")
        about |= {pk: (symbol, currency) for pk, symbol, currency in more.order_by().distinct()}
    notes = dict(named.exclude(note="").values_list("id", "note"))
    book = Book(portfolio.policy())
    for entry in positions.standing(named.entries()):
        before, cash = dict(book.positions), dict(book.cash)
        book.apply(entry)
        yield _step(entry, before, cash, book, about, notes.get(entry.id, ""))


def _step(
    entry: positions.Entry,
    before: dict[int, Any],
    cash: dict[str, Decimal],
    book: Book,
    about: dict[int, Any],
    note: str,
) -> beancount.Step:
    units, basis = {}, {}
    with localcontext(EXACT):
        for pk in {pk for pk in (entry.instrument, entry.to_instrument, entry.fee_instrument) if pk is not None}:
            old, new = before.get(pk, positions.Position()), book.positions.get(pk, positions.Position())
            symbol, currency = about[pk]
            currency = currency if pk == entry.fee_instrument != entry.instrument else entry.currency
            if new.quantity != old.quantity or new.cost != old.cost:
                units[symbol] = new.quantity - old.quantity
                basis[symbol] = (new.cost - old.cost, major(currency)[0])
        moved = {name: book.cash.get(name, ZERO) - cash.get(name, ZERO) for name in book.cash.keys() | cash.keys()}
    return beancount.Step(
        at=entry.at,
        type=entry.type,
        about=note or f"row {entry.id}",
        units=units,
        basis=basis,
        cash={currency: change for currency, change in sorted(moved.items()) if change},
    )


FORMATS: Final = {
    "csv": (as_csv, "text/csv; charset=utf-8", "csv"),
    "json": (as_json, "application/json", "json"),
    "beancount": (as_beancount, "text/plain; charset=utf-8", "beancount"),
}
