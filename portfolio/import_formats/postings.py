"""What a file says: the rows of a ledger in its own words, and what is wrong with it, by row and column."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from portfolio.money import plain


class Fault(Exception):
    """The file, or a row of it, can't be read. row: its line, None for the whole file; column: by the file's name."""

    def __init__(self, message: str, row: int | None = None, column: str | None = None) -> None:
        where = ", ".join([*([f"row {row}"] if row else []), *([f"column {column}"] if column else [])])
        super().__init__(f"{where}: {message}" if where else message)
        self.message, self.row, self.column = message, row, column


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger row as a file states it. Symbols are the file's; `names` are further ones to look under, best first.

    line: where it stands in the file, from 1. A file's line may state several rows: `part` counts them.
    reference: the source's own id of the line, where it has one.
    id, reverses, lot_ids: ids of rows in the same file (only our own format has them).
    columns: our field → the file's column, for errors.
    """

    line: int
    type: str
    at: datetime
    part: int = 0
    symbol: str | None = None
    names: tuple[str, ...] = ()
    quantity: Decimal | None = None
    price: Decimal | None = None
    amount: Decimal | None = None
    fee: Decimal | None = None
    fee_currency: str | None = None
    fee_rate: Decimal | None = None
    fee_price: Decimal | None = None
    currency: str | None = None
    fx_rate: Decimal | None = None
    to_symbol: str | None = None
    ratio: Decimal | None = None
    basis_fraction: Decimal | None = None
    basis: Decimal | None = None
    opened_at: datetime | None = None
    cash_in_lieu: Decimal | None = None
    withholding: Decimal | None = None
    to_currency: str | None = None
    to_amount: Decimal | None = None
    note: str = ""
    external_id: str | None = None
    reference: str | None = None
    id: int | None = None
    reverses: int | None = None
    lot_ids: tuple[int, ...] = ()
    columns: Mapping[str, str] = {}

    @property
    def symbols(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Our field → the file's symbol, and the names to look under."""
        given = {"symbol": (self.symbol, self.names), "to_symbol": (self.to_symbol, ())}
        return {field: (symbol, names) for field, (symbol, names) in given.items() if symbol is not None}


# What two exports of the same row may differ in: where it stands, how it is looked up, what people wrote beside it.
_NOT_CONTENT = {"line", "part", "names", "note", "external_id", "reference", "id", "reverses", "columns"}
_CONTENT = [name for name in Posting.__struct_fields__ if name not in _NOT_CONTENT]


def content(posting: Posting, source: str) -> str:
    """What makes a row the same row in every export of a source: its own id there, or else all that it states.

    >>> from datetime import UTC
    >>> row = Posting(line=2, type="DEPOSIT", at=datetime(2026, 1, 5, tzinfo=UTC), amount=Decimal("5.0"))
    >>> content(row, "generic") == content(msgspec.structs.replace(row, line=9, amount=Decimal("5.00")), "generic")
    True
    """
    if posting.reference:
        told: list[object] = [source, posting.reference, posting.part]
    else:
        told = [_plain(getattr(posting, name)) for name in _CONTENT]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value


class Identities:
    """Gives each row of one file its identity. Equal twins are told apart by their count, in the order of the file.

    An overlapping later export states the twins again, so that each finds itself.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._seen: dict[str, int] = {}

    def of(self, posting: Posting) -> str:
        """The identity of the next row."""
        found = content(posting, self._source)
        ordinal = self._seen.get(found, 0)
        self._seen[found] = ordinal + 1
        return f"import:{found}" + (f":{ordinal}" if ordinal else "")
