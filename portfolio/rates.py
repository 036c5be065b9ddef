"""Exchange rates by day: from what sources published to what one currency was in another. Pure.

A rate of two currencies is the one that was published, else its inverse, else it goes by one third currency, by both
rates of that one day. What was entered by hand counts before what a source says of the same day.
"""

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Final, NamedTuple

import msgspec

from portfolio.money import EXACT, ONE, stored

MANUAL: Final = "manual"
PARITY: Final = "parity"
# The day of a rate that holds always, such as a penny's in pounds.
ALWAYS: Final = dt.date.min


class Published(NamedTuple):
    """What one `base` cost in `quote` on a day, as a source says."""

    base: str
    quote: str
    day: dt.date
    rate: Decimal
    source: str


class Rate(msgspec.Struct, frozen=True):
    """Units of a base currency for one of another. day: the one it is of; source: who said so, `ecb via EUR`.

    stale: it is of an earlier day than it is asked for as the present one.
    """

    value: Decimal
    day: dt.date
    source: str
    stale: bool = False


Leg = Mapping[dt.date, tuple[Decimal, str]]


def series(published: Iterable[Published], currency: str, base: str) -> list[Rate]:
    """What one `currency` was in `base` on each day that it is known of, oldest first.

    >>> day = dt.date(2026, 1, 5)
    >>> told = [("EUR", "USD", "1.25"), ("EUR", "GBP", "0.8")]
    >>> rows = [Published(own, quote, day, Decimal(rate), "ecb") for own, quote, rate in told]
    >>> [(str(r.value), r.source) for r in series(rows, "USD", "GBP")]
    [('0.640000000000000000', 'ecb via EUR')]
    """
    legs = _legs(published)
    found: dict[dt.date, Rate] = {}
    with localcontext(EXACT):
        for step in _thirds(legs, currency, base):
            into, out_of = legs[currency, step], legs[step, base]
            for day in into.keys() & out_of.keys():
                (one, said), (other, said_too) = into[day], out_of[day]
                who = said if said == said_too else f"{said} and {said_too}"
                found.setdefault(day, Rate(stored(one * other), day, f"{who} via {step}"))
        for day, (value, source) in legs.get((currency, base), {}).items():
            found[day] = Rate(stored(value), day, source)
    return sorted(found.values(), key=_day)


def pairs_needed(known: Iterable[tuple[str, str]], currency: str, base: str) -> set[tuple[str, str]]:
    """Which of the published pairs `series` makes use of."""
    pairs = {*known}
    both = pairs | {(quote, own) for own, quote in pairs}
    steps = {step for own, step in both if own == currency and (step, base) in both}
    wanted = {(currency, base), *((currency, s) for s in steps), *((s, base) for s in steps)}
    return {(own, quote) for own, quote in pairs if (own, quote) in wanted or (quote, own) in wanted}


def as_of(rates: Sequence[Rate], day: dt.date, max_age_days: int) -> Rate | None:
    """The newest of `rates` (oldest first) that is not after `day`, nor older than so many days."""
    at = bisect_right(rates, day, key=_day)
    found = rates[at - 1] if at else None
    return found if found is not None and fresh(found.day, day, max_age_days) else None


def fresh(of: dt.date, day: dt.date, max_age_days: int) -> bool:
    """Whether a rate of the day `of` still counts on `day`."""
    return of == ALWAYS or (day - of).days <= max_age_days


def _legs(published: Iterable[Published]) -> dict[tuple[str, str], dict[dt.date, tuple[Decimal, str]]]:
    """Each pair both ways. What was entered by hand stays, then what was published that way round."""
    ways: dict[tuple[str, str], dict[dt.date, tuple[Decimal, str]]] = {}
    rows = sorted(published, key=_authority)
    with localcontext(EXACT):
        for by_hand in (False, True):
            ours = [row for row in rows if (row.source == MANUAL) is by_hand]
            for row in ours:
                ways.setdefault((row.quote, row.base), {})[row.day] = (ONE / row.rate, row.source)
            for row in ours:
                ways.setdefault((row.base, row.quote), {})[row.day] = (row.rate, row.source)
    return ways


def _authority(row: Published) -> str:
    """Of several sources any will do, if it is the same one each time."""
    return row.source


def _thirds(legs: Mapping[tuple[str, str], Leg], currency: str, base: str) -> list[str]:
    return sorted(step for own, step in legs if own == currency and step != base and (step, base) in legs)


def _day(rate: Rate) -> dt.date:
    return rate.day
