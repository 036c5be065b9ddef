"""Ghostfolio's export: JSON, or the CSV that it takes.

    {"activities": [{"date": "2024-01-05T00:00:00.000Z", "type": "BUY", "symbol": "AAPL", "quantity": 10,
     "unitPrice": 185.5, "fee": 1, "currency": "USD", "dataSource": "YAHOO", "comment": null, "id": …}]}
    Date,Code,DataSource,Currency,Price,Quantity,Action,Fee,Note

https://github.com/ghostfolio/ghostfolio#import-activities
"""

from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from typing import Any, Final

from portfolio.import_formats.cells import Cells, Conventions, number, time
from portfolio.import_formats.files import Document, Sheet, Tree, find_header, key
from portfolio.import_formats.postings import Fault, Posting
from portfolio.import_formats.reading import Options, below, conventions, currency, each, header
from portfolio.money import EXACT, BadNumber, stored

NAME: Final = "ghostfolio"
TITLE: Final = "Ghostfolio"
_CSV: Final = ("Date", "Code", "Currency", "Price", "Quantity", "Action", "Fee")
_COLUMNS: Final = {
    "at": "Date", "symbol": "Code", "currency": "Currency", "price": "Price", "quantity": "Quantity", "type": "Action",
    "fee": "Fee", "amount": "Price",
}  # fmt: skip
_JSON_NAMES: Final = {
    "Date": "date", "Code": "symbol", "Currency": "currency", "Price": "unitPrice", "Quantity": "quantity",
    "Action": "type", "Fee": "fee", "Note": "comment", "Id": "id",
}  # fmt: skip


def recognizes(document: Document) -> bool:
    """Whether this is Ghostfolio's file."""
    if isinstance(document, Tree):
        return isinstance(document.value, dict) and isinstance(document.value.get("activities"), list)
    return find_header(document, (*_CSV, "DataSource")) is not None


def read(document: Document, options: Options) -> Iterator[Posting | Fault]:
    """The rows of the file. Raises Fault where it is another file."""
    if isinstance(document, Sheet):
        under = header(document, _CSV, TITLE)
        how = conventions(document, under, ("Price", "Quantity", "Fee"), ("Date",), options)
        yield from each(below(document, under, how), _row)
        return
    if not recognizes(document):
        raise Fault("`activities`, a list, is expected.")
    for line, activity in document.numbered(document.value["activities"]):
        try:
            yield from list(_row(_Activity(line, activity)))
        except Fault as fault:
            yield fault


class _Activity:
    """An activity of the JSON file, read like a row of the CSV file."""

    def __init__(self, line: int, value: object) -> None:
        if not isinstance(value, dict):
            raise Fault("An activity is a JSON object.", row=line)
        self.line, self._value = line, {key(str(name)): told for name, told in value.items()}

    def text(self, name: str) -> str:
        """As it stands."""
        told = self._value.get(key(_JSON_NAMES[name]))
        if told is not None and not isinstance(told, str):
            raise self.fault("A string or a number is expected.", name)
        return (told or "").strip()

    optional = text

    def needed(self, name: str) -> Decimal:
        """A number."""
        try:
            return number(self.text(name))
        except BadNumber as error:
            raise self.fault(str(error), name) from error

    def number(self, name: str) -> Decimal | None:
        """A number, if there is one."""
        return self.needed(name) if self.text(name) else None

    def time(self, name: str) -> Any:
        """A moment."""
        try:
            return time(self.text(name), Conventions())
        except (ValueError, OverflowError) as error:
            raise self.fault(f"“{self.text(name)[:40]}” is no date that can be read here.", name) from error

    def fault(self, message: str, name: str) -> Fault:
        """An error of this activity."""
        return Fault(message, row=self.line, column=_JSON_NAMES[name])

    def columns(self, fields: Any) -> dict[str, str]:
        """Our field → the activity's."""
        return {field: _JSON_NAMES[name] for field, name in fields.items()}


_Row = Cells | _Activity


def _row(row: _Row) -> Iterator[Posting]:
    kind = row.text("Action").upper()
    if kind in ("ITEM", "LIABILITY"):
        return  # no part of a ledger: something one owns or owes at a stated price
    if kind not in _KINDS:
        raise row.fault(f"“{kind[:20]}” is not known here.", "Action")
    about = {
        "line": row.line, "at": row.time("Date"), "currency": currency(row.text("Currency")),
        "note": row.optional("Note")[:500], "reference": row.optional("Id") or None, "columns": row.columns(_COLUMNS),
    }  # fmt: skip
    yield from _KINDS[kind](row, about)


def _trade(type_: str) -> Callable[[_Row, dict[str, Any]], Iterator[Posting]]:
    def read_trade(row: _Row, about: dict[str, Any]) -> Iterator[Posting]:
        yield Posting(
            type=type_, symbol=row.text("Code"), quantity=row.needed("Quantity"), price=row.needed("Price"),
            fee=row.number("Fee"), **about,
        )  # fmt: skip

    return read_trade


def _total(row: _Row) -> Decimal:
    with localcontext(EXACT):
        return stored(row.needed("Quantity") * row.needed("Price"))


def _dividend(row: _Row, about: dict[str, Any]) -> Iterator[Posting]:
    yield Posting(type="DIVIDEND", symbol=row.text("Code"), amount=_total(row), fee=row.number("Fee"), **about)


def _interest(row: _Row, about: dict[str, Any]) -> Iterator[Posting]:
    yield Posting(type="INTEREST", amount=_total(row), fee=row.number("Fee"), **about)


def _fee(row: _Row, about: dict[str, Any]) -> Iterator[Posting]:
    """A charge that belongs to no trade: its own column holds it, older files its price."""
    amount = row.number("Fee") or _total(row)
    if amount:
        yield Posting(type="FEE", amount=amount, **{**about, "columns": {**about["columns"], "amount": "Fee"}})


_KINDS: Final[dict[str, Callable[[_Row, dict[str, Any]], Iterator[Posting]]]] = {
    "BUY": _trade("BUY"),
    "SELL": _trade("SELL"),
    "DIVIDEND": _dividend,
    "INTEREST": _interest,
    "FEE": _fee,
}
