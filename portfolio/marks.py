"""The latest prices as the ledger sees them: exact decimals, with their age."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from ingestion import latest
from ingestion.models import Instrument
from portfolio import currencies, positions, valuation
from portfolio.models import Portfolio
from portfolio.valuation import Holding, Mark


def value_portfolio(portfolio: Portfolio, now: datetime) -> valuation.Valuation:
    """The portfolio's value now, from its whole ledger."""
    return value_book(positions.fold(portfolio.transactions.entries()), portfolio.base_currency, now)


def value_book(book: positions.Book, base: str, now: datetime) -> valuation.Valuation:
    """A book at the latest prices and rates, in `base`."""
    known = holdings(book.held)
    rates = currencies.rates(base, {*book.cash, *(holding.currency for holding in known.values())})
    return valuation.value(book, known, marks(book.held, now), rates, now)


def holdings(ids: Iterable[int]) -> dict[int, Holding]:
    """What the valuation must know of each instrument."""
    rows = Instrument.objects.filter(id__in=list(ids))
    return {row.id: Holding(row.symbol, row.currency) for row in rows}


def marks(ids: Iterable[int], now: datetime) -> dict[int, Mark]:
    """The latest price of each; those that have none are missing."""
    return {instrument: mark(found) for instrument, found in latest.get(ids, int(now.timestamp() * 1e6)).items()}


def mark(found: latest.Latest) -> Mark:
    """`Decimal(str(price))`: the digits that were printed, not the binary number's."""
    assert found.price is not None, "latest.get leaves out what has no price"
    return Mark(
        price=Decimal(str(found.price)),
        # A difference of two floats: its digits past the twelfth are noise.
        change=None if found.change is None else Decimal(f"{found.change:.12g}"),
        stale=found.quality in (latest.STALE, latest.SUSPECT),
        time=datetime.fromtimestamp(found.time_us / 1_000_000, UTC),
    )
