"""CSV or JSON by our own names, or by a mapping of them. What we export is of this format, and loses nothing.

    id,type,at,symbol,quantity,price,amount,fee,…,reverses
    {"transactions": [{"id": "7", "type": "BUY", "at": "2026-01-05T00:00:00Z", "symbol": "AAPL", …}]}

Columns are found by `mapping` (our field → their column; `-Commission` turns its sign round), else by their usual
names. `types` says what their words for a type mean here. Without a column for the type, the quantity's sign tells.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from portfolio.import_formats.cells import Cells, Conventions, number, time
from portfolio.import_formats.files import Document, Header, Sheet, Tree, find_header, header_of, key
from portfolio.import_formats.postings import Fault, Posting
from portfolio.import_formats.reading import Options, below, conventions, currency, each, unit_price
from portfolio.money import BadNumber

NAME: Final = "generic"
TITLE: Final = "CSV or JSON by our own names, or by a mapping"

# As they are exported, in this order.
FIELDS: Final = (
    "id", "type", "at", "symbol", "quantity", "price", "amount", "currency", "fx_rate", "fee", "fee_currency",
    "fee_rate", "fee_price", "to_symbol", "ratio", "basis_fraction", "basis",
    "opened_at", "cash_in_lieu", "withholding", "to_currency", "to_amount", "lot_ids", "external_id", "reverses",
    "note",
)  # fmt: skip
NUMBERS: Final = (
    "quantity", "price", "amount", "fx_rate", "fee", "fee_rate", "fee_price", "ratio", "basis_fraction", "basis",
    "cash_in_lieu", "withholding", "to_amount",
)  # fmt: skip
TIMES: Final = ("at", "opened_at")
_IDS: Final = ("id", "reverses")
# What else their columns are usually called.
_USUAL: Final[dict[str, tuple[str, ...]]] = {
    "type": ("action", "transaction type", "activity", "side", "buy/sell", "typ", "operation"),
    "at": ("date", "datetime", "date/time", "trade date", "transaction date", "timestamp", "datum", "time"),
    "symbol": ("ticker", "code", "asset", "security", "instrument", "isin", "ticker symbol"),
    "quantity": ("shares", "units", "qty", "no. of shares", "stück"),
    "price": ("unit price", "price per share", "unitprice", "price per unit", "kurs"),
    "amount": ("value", "total", "net amount", "betrag", "wert"),
    "currency": ("ccy", "currency code", "währung"),
    "fee": ("fees", "commission", "charges", "gebühren"),
    "fx_rate": ("exchange rate", "fx rate", "wechselkurs"),
    "note": ("notes", "comment", "description", "memo", "notiz"),
    "withholding": ("taxes", "tax", "withholding tax", "steuern"),
}
_TYPES: Final = {
    "purchase": "BUY", "bought": "BUY", "kauf": "BUY", "b": "BUY", "reinvest": "BUY",
    "sale": "SELL", "sold": "SELL", "verkauf": "SELL", "s": "SELL", "cover": "BUY", "short": "SELL",
    "dividends": "DIVIDEND", "div": "DIVIDEND", "dividende": "DIVIDEND",
    "cash in": "DEPOSIT", "einlage": "DEPOSIT", "contribution": "DEPOSIT", "cash out": "WITHDRAWAL",
    "withdraw": "WITHDRAWAL", "removal": "WITHDRAWAL", "entnahme": "WITHDRAWAL", "zinsen": "INTEREST",
    "fees": "FEE", "commission": "FEE", "gebühren": "FEE", "taxes": "TAX", "steuern": "TAX", "stock split": "SPLIT",
    "transfer in": "TRANSFER_IN", "transfer out": "TRANSFER_OUT", "spin-off": "SPINOFF", "merge": "MERGER",
    "conversion": "FX_CONVERSION", "fx": "FX_CONVERSION",
}  # fmt: skip
KNOWN_TYPES: Final = frozenset(
    ("DEPOSIT", "WITHDRAWAL", "BUY", "SELL", "DIVIDEND", "INTEREST", "FEE", "TAX", "SPLIT", "STOCK_DIVIDEND", "SPINOFF",
     "MERGER", "RENAME", "TRANSFER_IN", "TRANSFER_OUT", "RETURN_OF_CAPITAL", "FX_CONVERSION", "REVERSAL")
)  # fmt: skip
# The type says which way these go, so that a minus sign beside it is the same said twice.
_OUTWARD: Final = {"SELL", "WITHDRAWAL", "FEE", "TRANSFER_OUT"}

# A spreadsheet would run what begins so, full-width signs too. Our export puts an apostrophe before it, and before an
# apostrophe.
FORMULA: Final = re.compile(r"[=+\-@\t\r'＝＋－＠]")
_ESCAPED: Final = re.compile(rf"'(?={FORMULA.pattern})")


def escaped(text: str) -> str:
    """Text that no spreadsheet takes for a formula.

    >>> escaped("=1+1"), unescaped(escaped("=1+1")), unescaped(escaped("'tis"))
    ("'=1+1", '=1+1', "'tis")
    """
    return f"'{text}" if FORMULA.match(text) else text


def unescaped(text: str) -> str:
    """What `escaped` made it of."""
    return text[1:] if _ESCAPED.match(text) else text


def recognizes(document: Document) -> bool:
    """Whether the columns say enough by themselves."""
    if isinstance(document, Tree):
        return _rows(document) is not None
    found = _found(document, Options())
    return found is not None and "at" in found[1] and ("type" in found[1] or "quantity" in found[1])


def read(document: Document, options: Options) -> Iterator[Posting | Fault]:
    """The rows of the file. Raises Fault where no columns are found."""
    if isinstance(document, Tree):
        yield from _from_json(document, options)
        return
    found = _found(document, options)
    if found is None or "at" not in found[1]:
        raise Fault("No row names the columns: say `mapping`, such as {“at”: “Trade date”, “symbol”: “Ticker”}.")
    under, where = found
    how = conventions(document, under, _at(where, NUMBERS), _at(where, TIMES), options)
    yield from each(below(document, under, how), _Reader(where, options))


def _at(where: Mapping[str, str], fields: tuple[str, ...]) -> list[str]:
    return [where[field].removeprefix("-") for field in fields if field in where]


def _found(sheet: Sheet, options: Options) -> tuple[Header, dict[str, str]] | None:
    """The header, and our field → its column. Raises Fault where a mapped column is missing."""
    mapping = options.mapping
    _check_mapping(mapping)
    if mapping:
        under = find_header(sheet, [_unsigned(name) for name in mapping.values()])
        if under is None:
            first = next((header_of(record) for record in sheet.head()), None)
            missing = [name for name in mapping.values() if first is None or _unsigned(name) not in first]
            raise Fault(f"There is no column {', '.join(missing) or 'of the mapping'} in one row.")
        return under, {**_by_name(under, mapping), **mapping}
    best = max(
        (header_of(record) for record in sheet.head()), key=lambda header: len(_by_name(header, {})), default=None
    )
    return (best, _by_name(best, {})) if best is not None and _by_name(best, {}) else None


def _unsigned(name: str) -> str:
    return name.removeprefix("-")


def _check_mapping(mapping: Mapping[str, str]) -> None:
    unknown = set(mapping) - {*FIELDS, "time"}
    if unknown:
        raise Fault(f"`mapping` knows no {', '.join(sorted(unknown))}; it maps {', '.join(FIELDS)}, time.")


def _by_name(header: Header, taken: Mapping[str, str]) -> dict[str, str]:
    """The fields whose columns have their own or a usual name; a column is of one field."""
    used = {key(_unsigned(name)) for name in taken.values()}
    found: dict[str, str] = {}
    for field in FIELDS:
        for name in (field, field.replace("_", " "), *_USUAL.get(field, ())):
            if name in header and key(name) not in used:
                found[field] = header.spelled(name)
                used.add(key(name))
                break
    return found


class _Reader:
    """Reads rows by their fields' columns."""

    def __init__(self, where: Mapping[str, str], options: Options) -> None:
        self._where, self._options = where, options
        self._columns = {field: _unsigned(name) for field, name in where.items()}

    def __call__(self, cells: Cells) -> Iterator[Posting]:
        told: dict[str, Any] = {}
        for field, column in self._columns.items():
            if field in NUMBERS:
                told[field] = self._number(cells, field)
            elif field in TIMES:
                told[field] = self._time(cells, field)
            else:
                told[field] = cells.optional(column) if field == "note" else cells.text(column)
        yield _posting(told, cells.line, self._columns, self._options)

    def _number(self, cells: Cells, field: str) -> Decimal | None:
        value = cells.number(self._columns[field])
        return -value if value and self._where[field].startswith("-") else value

    def _time(self, cells: Cells, field: str) -> Any:
        if field != "at":
            return cells.time(self._columns[field]) if cells.text(self._columns[field]) else None
        clock = cells.text(self._where["time"]) if "time" in self._where else ""
        return cells.time_of(f"{cells.text(self._columns[field])} {clock}".strip(), self._columns[field])


def _rows(document: Tree) -> list[Any] | None:
    """The list in a JSON file: itself, or under `transactions`."""
    value = document.value.get("transactions") if isinstance(document.value, dict) else document.value
    return value if isinstance(value, list) else None


def _from_json(document: Tree, options: Options) -> Iterator[Posting | Fault]:
    rows = _rows(document)
    if rows is None:
        raise Fault("A list is expected, or an object with a list `transactions`.")
    for line, row in document.numbered(rows):
        try:
            yield _posting(_told(row, line, options), line, {}, options)
        except Fault as fault:
            yield fault


def _told(row: Any, line: int, options: Options) -> dict[str, Any]:
    """A JSON object's fields as a record's cells are told."""
    if not isinstance(row, dict):
        raise Fault("A row is a JSON object.", row=line)
    told: dict[str, Any] = {}
    for field in FIELDS:
        value = row.get(options.mapping.get(field, field))
        if value is None:
            continue
        if field == "lot_ids" and isinstance(value, list):
            value = " ".join(map(str, value))
        if not isinstance(value, str):
            raise Fault("A string or a number is expected.", row=line, column=field)
        told[field] = _typed(field, value, line)
    return told


def _typed(field: str, value: str, line: int) -> Any:
    try:
        if field in NUMBERS:
            return number(value)
        return time(value, Conventions()) if field in TIMES else value
    except (BadNumber, ValueError, OverflowError) as error:
        raise Fault(str(error), row=line, column=field) from error


def _posting(told: dict[str, Any], line: int, columns: Mapping[str, str], options: Options) -> Posting:
    """A row of what its cells say."""
    if told.get("at") is None:
        raise Fault("A time is needed.", row=line, column=columns.get("at", "at"))
    type_ = _type(told, line, columns, options)
    figures = {name: told.get(name) for name in (*NUMBERS, *TIMES)}
    texts: dict[str, Any] = {name: _text(told, name) for name in ("symbol", "to_symbol", "external_id")}
    moneys: dict[str, Any] = {
        name: currency(told.get(name) or "") for name in ("currency", "fee_currency", "to_currency")
    }
    ids: dict[str, Any] = {name: _id(told, name, line, columns) for name in _IDS}
    figures = _sized(type_, figures, line, columns)
    if type_ == "FX_CONVERSION" and not moneys["to_currency"]:
        moneys["to_currency"], texts["to_symbol"] = texts["to_symbol"], None
        figures["to_amount"], figures["quantity"] = figures["to_amount"] or figures["quantity"], None
    moneys["currency"] = moneys["currency"] or options.currency
    return Posting(
        line=line, type=type_, columns=columns, note=unescaped(told.get("note") or ""),
        lot_ids=_ids(told.get("lot_ids") or "", line), **figures, **texts, **moneys, **ids,
    )  # fmt: skip


def _type(told: dict[str, Any], line: int, columns: Mapping[str, str], options: Options) -> str:
    word = told.get("type")
    if word is None:
        quantity = told.get("quantity")
        if not quantity:
            raise Fault("A type is needed.", row=line, column=columns.get("type", "type"))
        return "BUY" if quantity > 0 else "SELL"
    meant = {key(name): type_ for name, type_ in options.types.items()}
    type_ = meant.get(key(word)) or _TYPES.get(key(word)) or word.strip().upper().replace(" ", "_").replace("-", "_")
    if type_ not in KNOWN_TYPES:
        raise Fault(
            f"“{word[:40]}” is no type known here: say `types`, such as {{“{word[:20]}”: “BUY”}}.",
            row=line, column=columns.get("type", "type"),
        )  # fmt: skip
    return type_


def _sized(type_: str, figures: dict[str, Any], line: int, columns: Mapping[str, str]) -> dict[str, Any]:
    """Signs as the type has them; a trade's price where only its amount is told, and no amount besides a price."""
    if type_ in _OUTWARD:
        for name in ("quantity", "amount"):
            if figures[name] is not None:
                figures[name] = figures[name].copy_abs()
    if type_ in ("BUY", "SELL"):
        if figures["price"] is None and figures["amount"] is not None and figures["quantity"]:
            figures["price"] = unit_price(figures["amount"].copy_abs(), figures["quantity"].copy_abs())
        if figures["quantity"] is not None and figures["quantity"] < 0:
            raise Fault("It can't be negative.", row=line, column=columns.get("quantity", "quantity"))
        figures["amount"] = None
    return figures


def _text(told: dict[str, Any], name: str) -> str | None:
    return unescaped(told.get(name) or "").strip() or None


def _id(told: dict[str, Any], name: str, line: int, columns: Mapping[str, str]) -> int | None:
    text = told.get(name) or ""
    if not text:
        return None
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise Fault("The number of a row is expected.", row=line, column=columns.get(name, name))
    return int(text)


def _ids(text: str, line: int) -> tuple[int, ...]:
    parts = text.replace(";", " ").replace(",", " ").split()
    if not all(re.fullmatch(r"\d{1,18}", part, re.ASCII) for part in parts):
        raise Fault("Numbers of rows are expected.", row=line, column="lot_ids")
    return tuple(map(int, parts))
