"""From a file's bytes to its records: encoding, JSON or CSV, delimiter. Bounds and slips are told by line.

Memory: the text once; records are made one at a time.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from portfolio.import_formats.postings import Fault

ENCODINGS: Final = ("utf-8", "utf-16", "latin-1")
DELIMITERS: Final = (",", ";", "\t", "|")
# A header stands under a preamble of at most this many records.
HEAD_RECORDS: Final = 40
# What a cell may hold; the csv module's own bound, above any note that the ledger takes.
CELL_CHARS_MAX: Final = 131_072
# What of a column's name is told in errors.
NAME_CHARS_MAX: Final = 80
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class Record(NamedTuple):
    """One record of a CSV file, and the line on which it ends."""

    line: int
    cells: list[str]


class Sheet(msgspec.Struct, frozen=True):
    """A CSV file. Its records are parsed anew at each call."""

    text: str
    delimiter: str
    encoding: str
    rows_max: int
    columns_max: int

    def records(self) -> Iterator[Record]:
        """Every record that isn't empty. Raises Fault at the first that is broken."""
        reader = csv.reader(io.StringIO(self.text, newline=""), delimiter=self.delimiter, strict=True)
        count = 0
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise Fault(_csv_sentence(str(error)), row=reader.line_num) from error
            if len(cells) > self.columns_max:
                raise Fault(f"{len(cells)} columns are more than {self.columns_max}.", row=reader.line_num)
            if not any(cells):
                continue
            if (count := count + 1) > self.rows_max:
                raise Fault(f"The file has more than {self.rows_max} rows.", row=reader.line_num)
            yield Record(reader.line_num, cells)

    def head(self) -> list[Record]:
        """The first records, among which a header stands."""
        return [record for record, _ in zip(self.records(), range(HEAD_RECORDS), strict=False)]


class Tree(msgspec.Struct, frozen=True):
    """A JSON file. Numbers are the strings that the file shows, so that none is rounded."""

    value: Any
    encoding: str
    rows_max: int

    def numbered(self, rows: list[Any]) -> Iterator[tuple[int, Any]]:
        """The elements of a list in it, from 1. Raises Fault where there are too many."""
        if len(rows) > self.rows_max:
            raise Fault(f"The file has more than {self.rows_max} rows.")
        return enumerate(rows, start=1)


Document = Sheet | Tree


def open_document(
    content: bytes, *, rows_max: int, columns_max: int, encoding: str | None = None, delimiter: str | None = None
) -> Document:
    """The file as records or as JSON. Raises Fault."""
    text, encoding = decode(content, encoding)
    if not text.strip():
        raise Fault("The file is empty.")
    if found := _CONTROL.search(text):
        line, column = _place(text, found.start())
        raise Fault(f"There is a control character (U+{ord(found[0]):04X}) at character {column}.", row=line)
    if text.lstrip()[0] in "{[":
        return Tree(_json(text), encoding, rows_max)
    return Sheet(text, delimiter or sniff(text), encoding, rows_max, columns_max)


def decode(content: bytes, encoding: str | None = None) -> tuple[str, str]:
    """The text, and what it was encoded in: by its mark, else UTF-8, else latin-1. Raises Fault."""
    if encoding is not None:
        return _as(content, encoding), encoding
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _as(content, "utf-16"), "utf-16"
    if guessed := _unmarked_utf16(content):
        return _as(content, guessed), guessed
    try:
        return content.decode("utf-8-sig"), "utf-8-sig" if content.startswith(b"\xef\xbb\xbf") else "utf-8"
    except UnicodeDecodeError:
        return content.decode("latin-1"), "latin-1"


def _unmarked_utf16(content: bytes) -> str | None:
    """Text of Latin letters in UTF-16 has a zero in every other byte."""
    start = content[:200]
    if len(start) < 4 or len(content) % 2:
        return None
    zeros = [start[offset::2].count(0) / len(start[offset::2]) for offset in (0, 1)]
    if zeros[1] > 0.8 and zeros[0] < 0.2:
        return "utf-16-le"
    return "utf-16-be" if zeros[0] > 0.8 and zeros[1] < 0.2 else None


def _as(content: bytes, encoding: str) -> str:
    try:
        return content.decode("utf-8-sig" if encoding == "utf-8" else encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise Fault(f"“{encoding}” is no encoding known here.") from error
    except UnicodeError as error:
        raise Fault(f"The file is not in {encoding}.") from error


def _place(text: str, position: int) -> tuple[int, int]:
    """Line and character of a position, both from 1."""
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def _json(text: str) -> Any:
    def refuse(name: str) -> str:
        raise Fault(f"{name} is not a number.")

    try:
        return json.loads(text, parse_float=str, parse_int=str, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise Fault(f"This is not JSON: {error.msg}, at character {error.colno}.", row=error.lineno) from error
    except RecursionError as error:
        raise Fault("The JSON is nested too deeply.") from error


def sniff(text: str) -> str:
    """The delimiter that cuts the most of the first lines alike: what most of them have, and none is without."""
    lines = [line for line in text[:20_000].splitlines()[:HEAD_RECORDS] if line.strip()]
    if len(text) > 20_000 and len(lines) > 1:
        lines.pop()  # it may be cut off
    return max(DELIMITERS, key=lambda delimiter: _evenness(lines, delimiter))


def _evenness(lines: Sequence[str], delimiter: str) -> tuple[int, int]:
    counts = [_outside_quotes(line).count(delimiter) for line in lines]
    usual = max(set(counts) - {0}, key=lambda count: (counts.count(count), count), default=0)
    return (counts.count(usual) if usual else 0, usual)


def _outside_quotes(line: str) -> str:
    return "".join(line.split('"')[::2])


def _csv_sentence(error: str) -> str:
    """Python's csv errors in words for whoever sent the file."""
    if "unexpected end of data" in error:
        return "A quoted cell is never closed."
    if "expected after" in error:
        return "Text follows the closing quote of a cell."
    if "field larger" in error:
        return f"A cell is longer than {CELL_CHARS_MAX} characters."
    return f"The line is not CSV: {error}."


def key(name: str) -> str:
    """How column names are compared: without case, spaces at the ends or doubled.

    >>> key("  T. Price "), key("Date(UTC)")
    ('t. price', 'date(utc)')
    """
    return " ".join(name.casefold().split())


class Header(msgspec.Struct, frozen=True):
    """The record that names the columns. columns: `key` of the name → position."""

    line: int
    names: list[str]
    columns: dict[str, int]

    def __contains__(self, name: str) -> bool:
        return key(name) in self.columns

    def spelled(self, name: str) -> str:
        """As the file writes it."""
        return self.names[self.columns[key(name)]].strip()[:NAME_CHARS_MAX] if name in self else name


def header_of(record: Record) -> Header:
    """A record as a header; of two columns with one name the first counts."""
    columns: dict[str, int] = {}
    for position, name in enumerate(record.cells):
        if key(name):
            columns.setdefault(key(name), position)
    return Header(record.line, record.cells, columns)


def find_header(sheet: Sheet, needed: Iterable[str]) -> Header | None:
    """The first of the head's records that names all that is needed."""
    wanted = {key(name) for name in needed}
    headers = (header_of(record) for record in sheet.head())
    return next((header for header in headers if wanted <= header.columns.keys()), None)
