"""What a book is worth at given prices. Values in, values out; a price that is missing is never 0.

Figures are in the portfolio's currency unless said otherwise. What can't be priced is left out of every sum and
named in `unpriced` with the reason.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any

import msgspec

from portfolio.money import EXACT, ZERO, plain, stored
from portfolio.positions import Book, Position


class Mark(msgspec.Struct, frozen=True):
    """The market's word on one instrument, in the instrument's currency.

    change: how far the price has moved (24 hours for crypto and FX, since the previous close for equities), None
    where unknown. stale: too old to be called the present price; it still counts, and is said.
    """

    price: Decimal
    change: Decimal | None
    stale: bool
    time: datetime


class Holding(msgspec.Struct, frozen=True):
    """What the valuation must know of an instrument besides its price."""

    symbol: str
    currency: str


class Valued(msgspec.Struct, frozen=True, kw_only=True):
    """One position at a price. `price`, `average_cost` and `cost` are in `currency`; the others in the portfolio's."""

    symbol: str
    currency: str
    quantity: Decimal
    average_cost: Decimal | None
    cost: Decimal
    cost_base: Decimal
    realized: Decimal
    price: Decimal | None = None
    price_time: datetime | None = None
    value: Decimal | None = None
    unrealized: Decimal | None = None
    daily_change: Decimal | None = None
    stale: bool = False


class Valuation(msgspec.Struct, frozen=True, kw_only=True):
    """A portfolio at one moment. total_value = market_value + cash, of what could be priced."""

    as_of: datetime
    total_value: Decimal
    market_value: Decimal
    cash: Decimal
    unrealized: Decimal
    realized: Decimal
    daily_change: Decimal
    daily_change_percent: Decimal | None
    positions: list[Valued]
    stale: list[str]
    unpriced: dict[str, str]
    overdrawn: list[str]


def value(
    book: Book,
    holdings: Mapping[int, Holding],
    marks: Mapping[int, Mark],
    rates: Mapping[str, Decimal],
    as_of: datetime,
) -> Valuation:
    """Value `book`. rates: units of the portfolio's currency for one of each currency, its own among them."""
    with localcontext(EXACT):
        positions, unpriced = [], {}
        for instrument, position in sorted(book.held.items(), key=lambda item: holdings[item[0]].symbol):
            holding = holdings[instrument]
            positions.append(valued(position, holding, marks.get(instrument), rates.get(holding.currency)))
            if reason := _unpriced(holding, marks.get(instrument), rates):
                unpriced[holding.symbol] = reason
        cash = ZERO
        for currency, amount in book.cash.items():
            if amount and currency not in rates:
                unpriced[currency] = f"There is no rate for {currency}."
            cash += stored(amount * rates.get(currency, ZERO))
        return _sum(book, positions, cash, unpriced, as_of)


def valued(position: Position, holding: Holding, mark: Mark | None, rate: Decimal | None) -> Valued:
    """One position at its mark; without a mark or a rate the figures that need them stay None."""
    known = Valued(
        symbol=holding.symbol,
        currency=holding.currency,
        quantity=position.quantity,
        average_cost=position.average_cost,
        cost=position.cost,
        cost_base=position.cost_base,
        realized=position.realized_base,
    )
    if mark is None:
        return known
    known = msgspec.structs.replace(known, price=mark.price, price_time=mark.time, stale=mark.stale)
    if rate is None:
        return known
    with localcontext(EXACT):
        worth = stored(position.quantity * mark.price * rate)
        change = None if mark.change is None else stored(position.quantity * mark.change * rate)
    return msgspec.structs.replace(known, value=worth, unrealized=worth - position.cost_base, daily_change=change)


def _unpriced(holding: Holding, mark: Mark | None, rates: Mapping[str, Decimal]) -> str | None:
    if mark is None:
        return f"There is no price for {holding.symbol}."
    if holding.currency not in rates:
        return f"There is no rate for {holding.currency}."
    return None


def _sum(book: Book, positions: list[Valued], cash: Decimal, unpriced: dict[str, str], as_of: datetime) -> Valuation:
    market_value = sum((p.value for p in positions if p.value is not None), ZERO)
    change = sum((p.daily_change for p in positions if p.daily_change is not None), ZERO)
    total = market_value + cash
    return Valuation(
        as_of=as_of,
        total_value=total,
        market_value=market_value,
        cash=cash,
        unrealized=sum((p.unrealized for p in positions if p.unrealized is not None), ZERO),
        realized=book.realized_base,
        daily_change=change,
        daily_change_percent=_percent(change, total - change),
        positions=positions,
        stale=[p.symbol for p in positions if p.stale],
        unpriced=unpriced,
        overdrawn=book.overdrawn,
    )


def _percent(change: Decimal, before: Decimal) -> Decimal | None:
    """None where there was nothing to change from."""
    if before <= 0:
        return ZERO if not change else None
    return stored(change / before * 100)


def payload(portfolio_id: int, name: str, worth: Valuation) -> dict[str, Any]:
    """The `data` of a `portfolio_update`: numbers for people, and under `exact` the same as decimal strings."""
    figures = {
        "total_value": worth.total_value,
        "market_value": worth.market_value,
        "daily_change": worth.daily_change,
        "daily_change_percent": worth.daily_change_percent,
        "cash": worth.cash,
        "unrealized_pnl": worth.unrealized,
        "realized_pnl": worth.realized,
    }
    positions = {p.symbol: _figures(p) for p in worth.positions}
    return {
        "portfolio_id": portfolio_id,
        "name": name,
        **_numbers(figures),
        "as_of": timestamp(worth.as_of),
        "stale": worth.stale,
        "unpriced": list(worth.unpriced),
        "unpriced_reasons": worth.unpriced,
        "overdrawn": worth.overdrawn,
        "positions": [{"symbol": symbol, **_numbers(own)} for symbol, own in positions.items()],
        "exact": {**_strings(figures), "positions": {symbol: _strings(own) for symbol, own in positions.items()}},
    }


def timestamp(at: datetime) -> str:
    """As on the wire, in UTC."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _figures(position: Valued) -> dict[str, Decimal | None]:
    return {
        "quantity": position.quantity,
        "price": position.price,
        "value": position.value,
        "unrealized_pnl": position.unrealized,
    }


def _numbers(figures: Mapping[str, Decimal | None]) -> dict[str, float | None]:
    return {name: None if figure is None else float(figure) for name, figure in figures.items()}


def _strings(figures: Mapping[str, Decimal | None]) -> dict[str, str | None]:
    return {name: None if figure is None else plain(figure) for name, figure in figures.items()}
