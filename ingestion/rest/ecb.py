"""The European Central Bank's daily rates: from Frankfurter, which serves them as JSON, and from the bank. Pure.

A rate is how much of `quote` one euro buys, on TARGET's working days, published about 16:00 in Frankfurt. A day
without a rate is a holiday only if other days around it have one: an empty answer to a range of weeks is a failure,
not a holiday (`gaps`).
https://frankfurter.dev, https://data.ecb.europa.eu/help/api/data
"""

import csv
import datetime as dt
import io
import itertools
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from ingestion.rest.call import Call
from ingestion.rest.quoted import UNREADABLE, Unreadable, day_of

FRANKFURTER: Final = "frankfurter"
ECB: Final = "ecb"
EURO: Final = "EUR"
# Frankfurter answers at most five years of one provider's rates at once.
LONGEST_DAYS: Final = 4 * 365
# Easter is the longest time in which no working day falls: Good Friday to Easter Monday, with Christmas alike.
LONGEST_REST_DAYS: Final = 6
RATE_LIMIT: Final = Decimal("1e12")


class Rate(msgspec.Struct, frozen=True, order=True):
    """One `base` cost `rate` of `quote` on `date`."""

    base: str
    quote: str
    date: dt.date
    rate: Decimal


class _Row(msgspec.Struct):
    date: str
    base: str
    quote: str
    rate: Decimal


_rows: Final = msgspec.json.Decoder(list[_Row])


def frankfurter_call(first: dt.date, last: dt.date, quotes: Sequence[str] = ()) -> Call:
    """The rates of [first, last] as the ECB published them; of all currencies unless `quotes` names some."""
    params = {"from": first.isoformat(), "to": last.isoformat(), "base": EURO, "providers": "ECB"}
    return Call(FRANKFURTER, "/v2/rates", params | ({"quotes": ",".join(quotes)} if quotes else {}))


def ecb_call(first: dt.date, last: dt.date, quotes: Sequence[str] = ()) -> Call:
    """The same from the bank itself."""
    params = {"format": "csvdata", "startPeriod": first.isoformat(), "endPeriod": last.isoformat()}
    return Call(ECB, f"/service/data/EXR/D.{'+'.join(quotes)}.EUR.SP00.A", params)


def pages(first: dt.date, last: dt.date) -> list[tuple[dt.date, dt.date]]:
    """[first, last] in pieces that one call may ask for, oldest first."""
    found = []
    while first <= last:
        until = min(last, first + dt.timedelta(days=LONGEST_DAYS - 1))
        found.append((first, until))
        first = until + dt.timedelta(days=1)
    return found


def read_frankfurter(body: bytes) -> list[Rate]:
    """[{"date": "2024-01-15", "base": "EUR", "quote": "GBP", "rate": 0.8623}, …], in order. Raises Unreadable.

    The euro's rate in euros, which the answer includes, is left out.
    """
    try:
        rows = _rows.decode(body)
    except UNREADABLE as error:
        raise Unreadable(FRANKFURTER, body, str(error)) from None
    rates = [_rate(FRANKFURTER, body, row.base, row.quote, row.date, row.rate) for row in rows if row.base != row.quote]
    return sorted(rates)


def read_ecb(body: bytes) -> list[Rate]:
    """CSV with the columns CURRENCY, TIME_PERIOD and OBS_VALUE among others, in order. Raises Unreadable.

    A holiday of one currency is an empty value. An answer without rows is an empty body.
    """
    if not body.strip():
        return []
    try:
        rows = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Unreadable(ECB, body, str(error)) from None
    if rows and not {"CURRENCY", "TIME_PERIOD", "OBS_VALUE"} <= rows[0].keys():
        raise Unreadable(ECB, body, "columns are missing")
    told = [row for row in rows if row["OBS_VALUE"] not in (None, "", "N/A", "NaN")]
    return sorted(_rate(ECB, body, EURO, r["CURRENCY"], r["TIME_PERIOD"], r["OBS_VALUE"]) for r in told)


def _rate(source: str, body: bytes, base: str, quote: str, day: str, value: str | Decimal) -> Rate:
    date = day_of(day)
    try:
        rate = Decimal(value)
    except InvalidOperation:
        rate = Decimal("nan")
    if date is None or not quote or not (rate.is_finite() and 0 < rate < RATE_LIMIT):
        raise Unreadable(source, body, f"no rate: {base}/{quote} {day} {value}")
    return Rate(base, quote, date, rate)


def cross(rates: Iterable[Rate], base: str, quote: str) -> list[tuple[dt.date, Decimal]]:
    """What one `base` cost in `quote`, by day, oldest first: q2/q1 of the two currencies' own rates of the same day.

    >>> day = dt.date(2026, 4, 13)
    >>> given = [Rate("EUR", "USD", day, Decimal("1.1684")), Rate("EUR", "GBP", day, Decimal("0.87058"))]
    >>> [(str(d), round(rate, 6)) for d, rate in cross(given, "GBP", "USD")]
    [('2026-04-13', Decimal('1.342094'))]
    """
    by_day: dict[dt.date, dict[str, Decimal]] = {}
    for rate in rates:
        assert rate.base == EURO, "the bank's rates are the euro's"
        by_day.setdefault(rate.date, {EURO: Decimal(1)})[rate.quote] = rate.rate
    return [(day, of[quote] / of[base]) for day, of in sorted(by_day.items()) if base in of and quote in of]


def gaps(days: Iterable[dt.date], first: dt.date, last: dt.date) -> list[tuple[dt.date, dt.date]]:
    """The parts of [first, last] that have no rate for longer than holidays explain: to be asked for again.

    >>> day = dt.date(2026, 1, 5)
    >>> gaps([day], day, day + dt.timedelta(days=20))
    [(datetime.date(2026, 1, 6), datetime.date(2026, 1, 25))]
    """
    one = dt.timedelta(days=1)
    edges = [first - one, *sorted(day for day in set(days) if first <= day <= last), last + one]
    return [
        (before + one, after - one)
        for before, after in itertools.pairwise(edges)
        if (after - before).days - 1 > LONGEST_REST_DAYS
    ]
