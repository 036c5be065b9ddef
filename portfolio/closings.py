"""What a ledger was worth at the end of each day: exact, by the closes and rates of those days. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import Final, Generic, TypeVar

import msgspec
import numpy as np

from portfolio.marking import Known, Market, Series
from portfolio.money import EXACT, ZERO, stored
from portfolio.positions import Book, Entry, Policy, standing

K = TypeVar("K")

# A close or a rate older than this is called stale; the longest holidays are shorter.
STALE_AFTER: Final = timedelta(days=12)


class Closing(msgspec.Struct, frozen=True):
    """One day's, in the portfolio's currency. whole: everything held had a price that is not stale."""

    day: date
    market_value: Decimal
    cash: Decimal
    net_invested: Decimal
    realized: Decimal
    unrealized: Decimal
    whole: bool

    @property
    def total_value(self) -> Decimal:
        return self.market_value + self.cash


def closings(entries: Iterable[Entry], policy: Policy, market: Market, days: Sequence[date]) -> Iterator[Closing]:
    """Each of `days`, rising: the ledger as it stood at its end. What has no price is left out of that day's sums."""
    rows, at = standing(entries), 0
    book = Book(policy)
    prices, rates = _Followed(market.closes), _Followed(market.rates)
    for day in days:
        while at < len(rows) and rows[at].at.date() <= day:
            book.apply(rows[at])
            at += 1
        yield _closing(book, market, prices, rates, day)


def _closing(book: Book, market: Market, prices: "_Followed[int]", rates: "_Followed[str]", day: date) -> Closing:
    value = unrealized = cash = ZERO
    whole = True
    with localcontext(EXACT):
        for instrument, position in book.held.items():
            price, rate = prices.on(instrument, day), rates.on(market.currencies[instrument], day)
            whole = whole and _is_fresh(price, day) and _is_fresh(rate, day)
            if price is not None and rate is not None:
                worth = stored(position.quantity * price.value * rate.value)
                value += worth
                unrealized += worth - position.cost_base
        for currency, amount in book.cash.items():
            rate = rates.on(currency, day) if amount else None
            if amount:
                whole = whole and _is_fresh(rate, day)
            cash += stored(amount * rate.value) if rate else ZERO
    return Closing(day, value, cash, book.net_invested_base, book.realized_base, unrealized, whole)


def _is_fresh(known: Known | None, day: date) -> bool:
    # What holds always, such as a currency in itself, is of the first of all days.
    return known is not None and (known.day == date.min or day - known.day <= STALE_AFTER)


class _Followed(Generic[K]):
    """Series read day after day: most days have no new value, and reading one costs more than looking."""

    def __init__(self, series: Mapping[K, Series]) -> None:
        self._series = series
        self._splits = {key: [day for day, _ in one.splits] for key, one in series.items()}
        self._last: dict[K, tuple[tuple[int, int], Known | None]] = {}

    def on(self, key: K, day: date) -> Known | None:
        """The value that counts on `day`: never one from after it."""
        series = self._series.get(key)
        if series is None or not len(series):
            return None
        ordinal = day.toordinal()
        place = int(np.searchsorted(series.days, ordinal, side="right"))
        if not place:
            return None
        at = place, bisect_right(self._splits[key], ordinal)
        last = self._last.get(key)
        if last is None or last[0] != at:
            last = self._last[key] = at, series.on(day)
        return last[1]
