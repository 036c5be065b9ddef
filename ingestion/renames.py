"""A stock's names over the years, as a map file tells them. Pure.

Lines of `date,ticker[,exchange]`, oldest first. The first line's date is the first day of trading; each later line's is
the last day on which the stock had that ticker, far in the future for today's.

    20120518,fb,Q
    20220608,fb,Q
    20501231,meta,Q
"""

import csv
import datetime as dt
from collections.abc import Iterable
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

NEW_YORK: Final = ZoneInfo("America/New_York")
# Today's name ends at a date that is no date.
STILL: Final = dt.date(2050, 1, 1)


class BadMap(Exception):
    """The file is no map: `line` (from 1) is at fault."""

    def __init__(self, line: int, detail: str) -> None:
        super().__init__(f"line {line}: {detail}")
        self.line = line


class Spell(NamedTuple):
    """A name and the time [start, until) in which the stock had it; an end of None has not come yet."""

    symbol: str
    start: dt.datetime
    until: dt.datetime | None


def read(lines: Iterable[str]) -> list[Spell]:
    """The names, oldest first, each spell once. Days begin at midnight in New York. Raises BadMap.

    >>> [spell.symbol for spell in read(["20120518,fb,Q", "20220608,fb,Q", "20501231,meta,Q"])]
    ['FB', 'META']
    """
    rows = [_row(number, fields) for number, fields in enumerate(csv.reader(lines), start=1) if fields]
    if len(rows) < 2:
        raise BadMap(len(rows) + 1, "a map has a first day, and a name until a last one")
    spells: list[Spell] = []
    starts = rows[0][0]
    for number, (last, symbol) in enumerate(rows[1:], start=2):
        if last < starts:
            raise BadMap(number, "dates do not fall")
        until = None if last >= STILL else last + dt.timedelta(days=1)
        ends = None if until is None else _midnight(until)
        if spells and spells[-1].symbol == symbol:
            spells[-1] = spells[-1]._replace(until=ends)
        else:
            spells.append(Spell(symbol, _midnight(starts), ends))
        starts = until or last
    return spells


def _row(number: int, fields: list[str]) -> tuple[dt.date, str]:
    try:
        day = dt.datetime.strptime(fields[0].strip(), "%Y%m%d").replace(tzinfo=dt.UTC).date()
        symbol = fields[1].strip().upper()
    except (ValueError, IndexError) as error:
        raise BadMap(number, "not a date as 20220608 and a ticker") from error
    if not symbol:
        raise BadMap(number, "no ticker")
    return day, symbol


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)
