"""From cells to numbers and times. Where a file can be read in two ways it is not guessed: the sender is asked."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from portfolio.import_formats.files import Header, Record, key
from portfolio.import_formats.postings import Fault
from portfolio.money import ZERO, BadNumber, parse

# No number or time is longer; a longer cell is not looked at.
_LONGEST: Final = 100

DATE_FORMATS: Final = ("ymd", "dmy", "mdy")

_SPACES: Final = re.compile(r"[\s\u00a0\u2007\u2009\u202f'’]")
_CURRENCY_MARKS: Final = re.compile(r"[$€£¥₹₩₿]|\b[A-Z]{1,2}\$")
_NUMBER: Final = re.compile(r"[+-]?[\d.,]*\d[\d.,]*([eE][+-]?\d{1,4})?", re.ASCII)

_MONTH_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS: Final = {
    name: number
    for number, name in enumerate(_MONTH_NAMES, start=1)
}  # fmt: skip
_CLOCK: Final = (
    r"(?:[T ;,]+(?P<hour>\d{1,2}):?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?:\s?(?P<half>[AaPp][Mm]))?)?"
)
_ZONE: Final = r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
_NUMERIC: Final = re.compile(rf"(?P<a>\d{{1,4}})[-/.](?P<b>\d{{1,2}})[-/.](?P<c>\d{{1,4}}){_CLOCK}{_ZONE}", re.ASCII)
_COMPACT: Final = re.compile(rf"(?P<a>\d{{4}})(?P<b>\d{{2}})(?P<c>\d{{2}}){_CLOCK}{_ZONE}", re.ASCII)
_NAMED: Final = re.compile(
    r"(?:(?P<d1>\d{1,2})[ -])?(?P<month>[A-Za-z]{3,9})\.?[ -](?:(?P<d2>\d{1,2}),? )?(?P<year>\d{4})"
    rf"{_CLOCK}{_ZONE}",
    re.ASCII,
)


class Conventions(msgspec.Struct, frozen=True):
    """How a file writes numbers and times. decimal: its decimal mark; dates: the order of day, month and year."""

    decimal: str = "."
    dates: str = "ymd"
    zone: tzinfo = UTC


def zone(name: str | None, default: str = "UTC") -> tzinfo:
    """The time zone of a name such as `Europe/Berlin`. Raises Fault."""
    try:
        return UTC if (name or default) == "UTC" else ZoneInfo(name or default)
    except (KeyError, ValueError, OSError) as error:
        raise Fault(f"“{name}” is no time zone (one is written like Europe/Berlin).") from error


def number(text: str, decimal: str = ".") -> Decimal:
    """An exact decimal as people and brokers write it: `1.234,56`, `1'234.5`, `($5.00)`, `€2279.00`, `1.5E-7`.

    decimal: the decimal mark, `.` or `,`; the other one parts thousands. Raises BadNumber.
    """
    if len(text) > _LONGEST:
        raise BadNumber(f"“{text[:30]}…” is not a number.")
    bare = _CURRENCY_MARKS.sub("", _SPACES.sub("", text).replace("−", "-"))
    negative = bare.startswith("(") and bare.endswith(")")
    if negative:
        bare = bare[1:-1]
    if bare.endswith(("-", "+")):
        bare = bare[-1] + bare[:-1]
    if not _NUMBER.fullmatch(bare):
        raise BadNumber(f"“{text[:30]}” is not a number.")
    if not bare.strip("+-0.,"):
        return ZERO  # brokers write -0.00 for no commission
    mantissa, exponent, power = _split_power(bare)
    value = parse(_ungrouped(mantissa, decimal, text) + exponent + power)
    return -value if negative and value else value


def _split_power(bare: str) -> tuple[str, str, str]:
    for mark in "eE":
        if mark in bare:
            return bare.partition(mark)
    return bare, "", ""


def _ungrouped(mantissa: str, decimal: str, text: str) -> str:
    """Without the marks between thousands, which must stand where thousands are; with a point."""
    whole, _, fraction = mantissa.partition(decimal)
    other = "," if decimal == "." else "."
    groups = whole.lstrip("+-").split(other)
    if decimal in fraction or other in fraction:
        raise BadNumber(f"“{text[:30]}” is not a number with the decimal mark “{decimal}”.")
    # Groups of two are Indian: 1,23,456.
    if len(groups) > 1 and not (1 <= len(groups[0]) <= 3 and _grouped(groups[1:])):
        raise BadNumber(f"“{text[:30]}” is not a number with the decimal mark “{decimal}”.")
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{''.join(groups) or '0'}" + (f".{fraction}" if fraction else "")


def _grouped(groups: Sequence[str]) -> bool:
    return len(groups[-1]) == 3 and all(len(group) in (2, 3) for group in groups[:-1])


def decimal_mark(texts: Iterable[str], given: str | None, delimiter: str, column: str = "") -> str:
    """The decimal mark of a file's numbers, by those that can be read in one way only.

    Without any such number: a comma-delimited file has points. Raises Fault where both marks, or none, are proved
    and it matters.
    """
    if given is not None:
        return given
    proved, doubtful = set(), ""
    for text in texts:
        mark = _proved_mark(text) if len(text) <= _LONGEST else None
        if mark:
            proved.add(mark)
        elif not doubtful and len(text) <= _LONGEST and _DOUBTFUL.search(text):
            doubtful = text
    if len(proved) > 1:
        raise Fault("Some numbers have a decimal point and some a decimal comma: say `decimal`.", column=column or None)
    if proved:
        return proved.pop()
    if doubtful and delimiter != ",":
        raise Fault(f"“{doubtful.strip()}” has one mark and three digits after it: say `decimal`, “.” or “,”.")
    return "."


_DOUBTFUL: Final = re.compile(r"^\D*\d{1,3}[.,]\d{3}\D*$", re.ASCII)


def _proved_mark(text: str) -> str | None:
    """The mark that can only be the decimal one, None where the number has none or could be read both ways."""
    points, commas = text.count("."), text.count(",")
    if points and commas:
        return "." if text.rfind(".") > text.rfind(",") else ","
    mark = "." if points else ","
    if points + commas == 0:
        return None
    if points + commas > 1:
        return "," if points else "."  # repeated: it parts thousands
    whole, _, fraction = text.partition(mark)
    digits = re.sub(r"\D", "", fraction.partition("E")[0].partition("e")[0])
    leading = re.sub(r"\D", "", whole)
    if len(digits) != 3 or len(leading) > 3 or leading in ("", "0"):
        return mark
    return None


def date_order(texts: Iterable[str], given: str | None, column: str | None = None) -> str:
    """Whether a file's dates begin with the year, the day or the month, by those that can be read in one way only.

    Raises Fault where 01/02/2026 remains a riddle.
    """
    if given is not None:
        return given
    possible, example = {"dmy", "mdy"}, ""
    seen = False
    for text in texts:
        found = _NUMERIC.fullmatch(text[: _LONGEST + 1].strip())
        if found is None or len(found["a"]) == 4:
            continue
        seen = True
        ways = _ways(found)
        if len(ways) < 2:
            possible &= ways
        elif not example and found["a"] != found["b"]:
            example = text.strip()
    if not seen:
        return "ymd"
    if not possible:
        raise Fault("Some dates begin with the day, others with the month: say `date_format`.", column=column)
    if len(possible) > 1 and example:
        raise Fault(
            f"“{example}” may begin with the day or with the month: say `date_format`, dmy or mdy.", column=column
        )
    return "dmy" if "dmy" in possible else "mdy"


def _ways(found: re.Match[str]) -> set[str]:
    if "." in found[0][:6]:
        return {"dmy"}  # nobody writes the month first with points
    return {
        order for order, day, month in (("dmy", found["a"], found["b"]), ("mdy", found["b"], found["a"]))
        if 1 <= int(day) <= 31 and 1 <= int(month) <= 12
    }  # fmt: skip


def time(text: str, conventions: Conventions) -> datetime:
    """A moment; a date is its midnight. What states no zone is in the file's, then in UTC. Raises ValueError."""
    text = text[: _LONGEST + 1].strip()
    found = _COMPACT.fullmatch(text) or _NUMERIC.fullmatch(text)
    if found is not None:
        year, month, day = _ordered(found, conventions.dates)
    else:
        found, year, month, day = _named(text)
    at = datetime(year, month, day, *_clock(found), tzinfo=_zone_of(found, conventions.zone))
    return at.astimezone(UTC)


def _ordered(found: re.Match[str], order: str) -> tuple[int, int, int]:
    parts = dict(zip(order if len(found["a"]) < 3 else "ymd", (found["a"], found["b"], found["c"]), strict=True))
    year = int(parts["y"])
    return (year + 2000 if len(parts["y"]) == 2 else year), int(parts["m"]), int(parts["d"])


def _named(text: str) -> tuple[re.Match[str], int, int, int]:
    found = _NAMED.fullmatch(text)
    if found is None or not (found["d1"] or found["d2"]) or found["month"][:3].lower() not in _MONTHS:
        raise ValueError(f"“{text[:40]}” is no date.")
    return found, int(found["year"]), _MONTHS[found["month"][:3].lower()], int(found["d1"] or found["d2"])


def _clock(found: re.Match[str]) -> tuple[int, int, int, int]:
    if found["hour"] is None:
        return 0, 0, 0, 0
    hour = int(found["hour"])
    if found["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(f"There is no hour {hour} {found['half']}.")
        hour = hour % 12 + (12 if found["half"].lower() == "pm" else 0)
    return hour, int(found["minute"]), int(found["second"] or 0), int((found["fraction"] or "0")[:6].ljust(6, "0"))


def _zone_of(found: re.Match[str], default: tzinfo) -> tzinfo:
    told = found["zone"]
    if told is None:
        # A date alone is a day, not an instant: its midnight is kept as it is written.
        return default if found["hour"] is not None else UTC
    if told in ("Z", "UTC", "GMT"):
        return UTC
    offset = timedelta(hours=int(told[1:3]), minutes=int(told[-2:]))
    return timezone(-offset if told[0] == "-" else offset)


class Cells:
    """A record under its header."""

    def __init__(self, header: Header, record: Record, conventions: Conventions) -> None:
        self.line = record.line
        self._header, self._cells, self._conventions = header, record.cells, conventions

    def text(self, *names: str) -> str:
        """The first of these columns that the file has, without the spaces at its ends; "" where it has none."""
        for name in names:
            position = self._header.columns.get(key(name))
            if position is not None:
                return self._at(position, name)
        return ""

    def _at(self, position: int, name: str) -> str:
        if position >= len(self._cells):
            raise self.fault("The row ends before this column.", name)
        return self._cells[position].strip()

    def optional(self, name: str) -> str:
        """As `text`, and "" where the row ends before it: for what a row may well leave out."""
        position = self._header.columns.get(key(name))
        return self._cells[position].strip() if position is not None and position < len(self._cells) else ""

    def number(self, *names: str) -> Decimal | None:
        """None where the cell is empty or missing. Raises Fault."""
        text = self.text(*names)
        if text in ("", "-", "--"):
            return None
        try:
            return number(text, self._conventions.decimal)
        except BadNumber as error:
            raise self.fault(str(error), self._named(names)) from error

    def needed(self, *names: str) -> Decimal:
        """As `number`, where there must be one."""
        found = self.number(*names)
        if found is None:
            raise self.fault("A number is needed.", self._named(names))
        return found

    def time(self, *names: str) -> datetime:
        """Raises Fault: an unreadable time is never taken for another."""
        return self.time_of(self.text(*names), self._named(names))

    def time_of(self, text: str, name: str) -> datetime:
        """A moment made of several cells of this row; name: the column to blame."""
        try:
            return time(text, self._conventions)
        except (ValueError, OverflowError) as error:
            raise self.fault(f"“{text[:40]}” is no date that can be read here.", name) from error

    def fault(self, message: str, name: str | None = None) -> Fault:
        """An error of this row, in a column."""
        return Fault(message, row=self.line, column=None if name is None else self._header.spelled(name))

    def columns(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Our field → the file's column, of those that it has."""
        return {field: self._header.spelled(name) for field, name in fields.items() if name in self._header}

    def _named(self, names: Sequence[str]) -> str:
        return next((name for name in names if name in self._header), names[0])
