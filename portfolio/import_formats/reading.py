"""What every format's reader stands on: how it was asked to read, and going through a sheet's rows."""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, localcontext

import msgspec

from portfolio.import_formats.cells import Cells, Conventions, date_order, decimal_mark, zone
from portfolio.import_formats.files import Header, Sheet, find_header, key
from portfolio.import_formats.postings import Fault, Posting
from portfolio.money import EXACT, ZERO, stored


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How the sender wants a file read; what is None is found out. All of it is by our names.

    mapping: our field → the file's column. types: the file's word for a type → ours. currency: of rows that state none.
    account: the one that is meant, where a file has several. base_currency: the portfolio's.
    """

    date_format: str | None = None
    timezone: str | None = None
    decimal: str | None = None
    mapping: dict[str, str] = {}
    types: dict[str, str] = {}
    currency: str | None = None
    account: str | None = None
    base_currency: str = "USD"


Reader = Callable[[Cells], Iterable[Posting]]


def header(sheet: Sheet, needed: Iterable[str], format_: str) -> Header:
    """The header with the columns that a format needs. Raises Fault."""
    needed = list(needed)
    found = find_header(sheet, needed)
    if found is None:
        raise Fault(f"No row names the columns of {format_}: {', '.join(needed)}.")
    return found


def conventions(
    sheet: Sheet, under: Header, numbers: Iterable[str], times: Iterable[str], options: Options, timezone: str = "UTC"
) -> Conventions:
    """How the numbers and times below a header are written. Raises Fault where it has to be asked."""
    number_at = [under.columns[key(name)] for name in numbers if name in under]
    times = [name for name in times if name in under]
    return Conventions(
        decimal=decimal_mark(_texts(sheet, under, number_at), options.decimal, sheet.delimiter),
        dates=date_order(
            _texts(sheet, under, [under.columns[key(name)] for name in times]),
            options.date_format,
            under.spelled(times[0]) if times else None,
        ),
        zone=zone(options.timezone, timezone),
    )


def _texts(sheet: Sheet, under: Header, positions: list[int]) -> Iterator[str]:
    for record in sheet.records():
        if record.line > under.line:
            yield from (record.cells[at] for at in positions if at < len(record.cells))


def below(sheet: Sheet, under: Header, how: Conventions) -> Iterator[Cells]:
    """The rows below a header."""
    return (Cells(under, record, how) for record in sheet.records() if record.line > under.line)


def each(rows: Iterable[Cells], read: Reader) -> Iterator[Posting | Fault]:
    """What the rows state; a row with a fault states nothing else."""
    for row in rows:
        try:
            yield from list(read(row))
        except Fault as fault:
            yield fault


def unit_price(total: Decimal, quantity: Decimal) -> Decimal:
    """The price of one unit where a file tells only the whole, to 18 digits after the point."""
    with localcontext(EXACT):
        return stored(total / quantity)


def absolute(value: Decimal | None) -> Decimal | None:
    """Without its sign: where the type says which way it goes."""
    return None if value is None else value.copy_abs()


def magnitude(value: Decimal | None) -> Decimal:
    """Without its sign; nothing is zero."""
    return ZERO if value is None else value.copy_abs()


def currency(text: str) -> str | None:
    """A currency's code as the ledger knows it: upper case, but pence are GBp. None where there is none."""
    text = text.strip()
    return text if text in _MINOR else text.upper() or None


_MINOR = {"GBp", "ZAc"}
