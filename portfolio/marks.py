"""The latest prices as the ledger sees them: exact decimals, with their age and what the day counts from."""

import datetime as dt
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from ingestion import latest, markets, sessions
from ingestion.models import Instrument
from ingestion.store import to_datetime, to_us
from portfolio import currencies, positions, prices, valuation
from portfolio.models import Portfolio
from portfolio.valuation import Held, Holding, Mark

DAY: Final = dt.timedelta(days=1)


class Day(NamedTuple):
    """Where an instrument's day begins: its previous session's close, in time and price (None: nobody knows)."""

    since: datetime
    close: Decimal | None


def value_portfolio(portfolio: Portfolio, now: datetime) -> valuation.Valuation:
    """The portfolio's value now, from its whole ledger."""
    return value_book(
        positions.fold(portfolio.transactions.entries(), portfolio.policy()), portfolio.base_currency, now
    )


def value_book(book: Held, base: str, now: datetime) -> valuation.Valuation:
    """A book at the latest prices and rates, in `base`."""
    ids = instruments(book, now)
    known = holdings(ids)
    rates, stale = rates_of(base, moneys(book, known), now)
    return valuation.value(book, known, marks(ids, now), rates, now, stale)


def rates_of(base: str, wanted: Iterable[str], now: datetime) -> tuple[dict[str, Decimal], dict[str, str]]:
    """Units of `base` for one of each currency, and why some of them are old."""
    found = currencies.present_rates(base, wanted, now)
    stale = {c: f"The rate of {c} is of {rate.day}." for c, rate in found.items() if rate.stale}
    return {currency: rate.value for currency, rate in found.items()}, stale


def instruments(book: Held, now: datetime) -> set[int]:
    """Those whose prices a book's valuation needs: what is held, and what was until a moment ago."""
    return {*book.held, *valuation.by_instrument(valuation.recent(book.movements, now))}


def moneys(book: Held, known: Mapping[int, Holding]) -> set[str]:
    """The currencies whose rates it needs."""
    return {*book.cash, *(holding.currency for holding in known.values())}


def holdings(ids: Iterable[int]) -> dict[int, Holding]:
    """What the valuation must know of each instrument."""
    rows = Instrument.objects.filter(id__in=list(ids))
    return {row.id: Holding(row.symbol, row.currency) for row in rows}


def marks(
    ids: Iterable[int],
    now: datetime,
    days: Mapping[int, Day] | None = None,
    closes: Mapping[int, Mark] | None = None,
) -> dict[int, Mark]:
    """The latest price of each, else its last known close; those that have neither are missing.

    days, closes: from `days_of` and `last_closes`, where the caller keeps them.
    """
    ids = list(ids)
    found = {instrument: mark(told) for instrument, told in latest.get(ids, to_us(now)).items()}
    unquoted = [i for i in ids if i not in found or found[i].late]
    known = last_closes(unquoted, now) if closes is None else closes
    found |= {i: known[i] for i in unquoted if i in known and (i not in found or known[i].time > found[i].time)}
    began = days_of(found, now) if days is None else days
    return {i: _counting(mark, began.get(i), now) for i, mark in found.items()}


def last_closes(ids: Iterable[int], now: datetime) -> dict[int, Mark]:
    """The last known close of each, for want of a quote, or of a newer one."""
    return {
        i: Mark(close.price, min(prices.closed_at(i, close.date), now), valuation.CARRIED)
        for i, close in prices.last_closes(ids, now.astimezone(UTC).date()).items()
    }


def mark(found: latest.Latest) -> Mark:
    """`Decimal(str(price))`: the digits that were printed, not the binary number's."""
    assert found.price is not None, "latest.get leaves out what has no price"
    price = Decimal(str(found.price))
    return Mark(
        price=price,
        time=datetime.fromtimestamp(found.time_us / 1_000_000, UTC),
        quality=found.quality,
        # A difference of two floats: its digits past the twelfth are noise.
        previous=None if found.change is None else price - Decimal(f"{found.change:.12g}"),
    )


def days_of(ids: Iterable[int], now: datetime) -> dict[int, Day]:
    """The previous closes of what trades in sessions: docs/accounting.md, "The day". The others are missing."""
    began = {i: since for i in ids if (since := day_began(i, now)) is not None}
    closes = prices.previous_closes(began, to_us(now))
    return {i: Day(since, closes[i].price if i in closes else None) for i, since in began.items()}


def day_began(instrument: int, now: datetime) -> datetime | None:
    """When the session before the newest that has opened was over; None for what trades round the clock."""
    name = markets.of(instrument).calendar
    if name in prices.ROUND_THE_CLOCK:
        return None
    close_us = sessions.calendars().previous_close_us(name, to_us(now))
    return None if close_us is None else to_datetime(close_us)


def _counting(mark: Mark, day: Day | None, now: datetime) -> Mark:
    """The mark with what its day counts from. A price from before that has not moved since."""
    since = day.since if day else now - DAY
    told = (day.close if day else None) or mark.previous
    return msgspec.structs.replace(mark, previous=mark.price if mark.time <= since else told, since=since)
