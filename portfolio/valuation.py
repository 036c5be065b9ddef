"""What a book is worth at given prices. Values in, values out; a price that is missing is never 0.

Figures are in the portfolio's currency unless said otherwise. What can't be priced is left out of every sum and
named in `unpriced` with the reason; what is priced by an old price counts, and is named in `stale`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final, Protocol

import msgspec

from portfolio.money import EXACT, ZERO, plain, stored
from portfolio.positions import Movement, Position

LIVE: Final = "live"
DELAYED: Final = "delayed"  # as new as its source ever is
CLOSED: Final = "closed"  # its market rests: the last session's price
LATE: Final = "stale"  # its market trades, and this is old
SUSPECT: Final = "suspect"  # not believed, and there is nothing better
CARRIED: Final = "carried"  # nobody quotes it: the last close that is known

_LATE: Final = frozenset({LATE, SUSPECT, CARRIED})
_STALE: Final = _LATE | {CLOSED}

# A day's change begins at most so long ago: markets have rested for eleven days.
RECENT: Final = timedelta(days=15)


class Mark(msgspec.Struct, frozen=True):
    """The market's word on one instrument, in the instrument's currency, as it was traded at `time`.

    previous: the price that the day's change counts from, and since: its instant; None where unknown. It is the
    previous session's close for what trades in sessions, the price of 24 hours ago for crypto and FX.
    """

    price: Decimal
    time: datetime
    quality: str = LIVE
    previous: Decimal | None = None
    since: datetime | None = None

    @property
    def stale(self) -> bool:
        """Too old to be called the present price. It still counts, and is said."""
        return self.quality in _STALE

    @property
    def late(self) -> bool:
        """Stale though its market is open, as far as anybody knows."""
        return self.quality in _LATE


class Holding(msgspec.Struct, frozen=True):
    """What the valuation must know of an instrument besides its price."""

    symbol: str
    currency: str


class Held(Protocol):
    """What there is to be valued: a `positions.Book`, or as much of one as was kept."""

    @property
    def held(self) -> Mapping[int, Position]: ...
    @property
    def cash(self) -> Mapping[str, Decimal]: ...
    @property
    def movements(self) -> Sequence[Movement]: ...
    @property
    def realized_base(self) -> Decimal: ...
    @property
    def net_invested_base(self) -> Decimal: ...
    @property
    def overdrawn(self) -> list[str]: ...


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
    quality: str = ""
    value: Decimal | None = None
    unrealized: Decimal | None = None
    daily_change: Decimal | None = None

    @property
    def stale(self) -> bool:
        return self.quality in _STALE


class Valuation(msgspec.Struct, frozen=True, kw_only=True):
    """A portfolio at one moment. total_value = market_value + cash, of what could be priced.

    stale, unpriced: symbol (or currency) → the reason. late: some price or rate is old though its market is open, as
    far as anybody knows.
    """

    as_of: datetime
    total_value: Decimal
    market_value: Decimal
    cash: Decimal
    unrealized: Decimal
    realized: Decimal
    net_invested: Decimal
    daily_change: Decimal
    daily_change_percent: Decimal | None
    positions: list[Valued]
    stale: dict[str, str]
    unpriced: dict[str, str]
    overdrawn: list[str]
    late: bool = False


def value(
    book: Held,
    holdings: Mapping[int, Holding],
    marks: Mapping[int, Mark],
    rates: Mapping[str, Decimal],
    as_of: datetime,
    stale_rates: Mapping[str, str] | None = None,
) -> Valuation:
    """Value `book`. rates: units of the portfolio's currency for one of each currency, its own among them.

    holdings: of what is held, and of what `recent` movements were of. stale_rates: why some of the rates are old.
    """
    moved = by_instrument(recent(book.movements, as_of))
    positions = {}
    for instrument, position in book.held.items():
        mark = carried(marks.get(instrument), moved.get(instrument, ()))
        positions[instrument] = valued(position, holdings[instrument], mark, rates, moved.get(instrument, ()))
    gone = [
        change_of_gone(marks.get(instrument), holdings[instrument], rates, movements)
        for instrument, movements in moved.items()
        if instrument not in positions and instrument in holdings
    ]
    return total(book, positions, gone, rates, as_of, stale_rates or {})


def valued(
    position: Position,
    holding: Holding,
    mark: Mark | None,
    rates: Mapping[str, Decimal],
    movements: Iterable[Movement] = (),
) -> Valued:
    """One position at its mark; without a mark or a rate the figures that need them stay None.

    movements: its recent ones, of which those since the mark's `since` are of the day.
    """
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
    known = msgspec.structs.replace(known, price=mark.price, price_time=mark.time, quality=mark.quality)
    if (rate := rates.get(holding.currency)) is None:
        return known
    with localcontext(EXACT):
        worth = stored(position.quantity * mark.price * rate)
        return msgspec.structs.replace(
            known,
            value=worth,
            unrealized=worth - position.cost_base,
            daily_change=_daily_change(position.quantity, mark, rate, rates, movements),
        )


def change_of_gone(
    mark: Mark | None, holding: Holding, rates: Mapping[str, Decimal], movements: Iterable[Movement]
) -> Decimal:
    """What the day brought on units that are not held any more: of a sale, what it fetched above the previous close."""
    rate = rates.get(holding.currency)
    if mark is None or rate is None:
        return ZERO
    with localcontext(EXACT):
        return _daily_change(ZERO, mark, rate, rates, movements) or ZERO


def _daily_change(
    quantity: Decimal, mark: Mark, rate: Decimal, rates: Mapping[str, Decimal], movements: Iterable[Movement]
) -> Decimal | None:
    """Worth now − worth at the previous price − what was paid for units since (fees included).

    All at the present rate: what a currency did is no part of the day. Units that came or went in kind count as if
    that had been before; so neither is a gain.
    """
    if mark.since is None:
        return None
    before, paid = quantity, ZERO
    for movement in movements:
        if movement.at > mark.since and movement.kind in ("trade", "action"):
            before -= movement.quantity
            paid -= movement.cash * rates.get(movement.currency, rate)
    if not before:
        return stored(quantity * mark.price * rate - paid)
    if mark.previous is None:
        return None
    return stored((quantity * mark.price - before * mark.previous) * rate - paid)


def carried(mark: Mark | None, movements: Iterable[Movement]) -> Mark | None:
    """The mark in terms of present units: a price from before a split is divided by its ratio."""
    if mark is None:
        return None
    for movement in movements:
        if movement.split_ratio is not None and mark.time < movement.at:
            with localcontext(EXACT):
                mark = msgspec.structs.replace(mark, price=stored(mark.price / movement.split_ratio))
    return mark


def recent(movements: Sequence[Movement], as_of: datetime) -> list[Movement]:
    """Those that the day's change, or a price from before a split, may depend on: the last RECENT's, and all splits.

    A price that nobody has quoted for a year is still carried over last month's split. What one instrument became by a
    merger or a new name is left out: it counts as if it had always been the other.
    """
    since = as_of - RECENT
    found = [m for m in movements if m.instrument is not None and (m.at >= since or m.split_ratio is not None)]
    became = {m.entry_id for m in found if m.kind == "action" and m.quantity < 0 and m.split_ratio is None}
    return [m for m in found if m.entry_id not in became] if became else found


def by_instrument(movements: Iterable[Movement]) -> dict[int, list[Movement]]:
    found: dict[int, list[Movement]] = {}
    for movement in movements:
        if movement.instrument is not None:
            found.setdefault(movement.instrument, []).append(movement)
    return found


def total(
    book: Held,
    valued: Mapping[int, Valued],
    gone: Iterable[Decimal],
    rates: Mapping[str, Decimal],
    as_of: datetime,
    stale_rates: Mapping[str, str],
) -> Valuation:
    """Add up a book's valued positions and its cash. gone: the day's change of what is not held any more."""
    positions = sorted(valued.values(), key=lambda position: position.symbol)
    unpriced = {p.symbol: _unpriced(p) for p in positions if p.value is None}
    with localcontext(EXACT):
        cash = ZERO
        for currency, amount in book.cash.items():
            if amount and currency not in rates:
                unpriced[currency] = f"There is no rate for {currency}."
            cash += stored(amount * rates.get(currency, ZERO))
        moneys = {p.currency for p in positions} | {currency for currency, amount in book.cash.items() if amount}
        market_value = sum((p.value for p in positions if p.value is not None), ZERO)
        change = sum((p.daily_change for p in positions if p.daily_change is not None), sum(gone, ZERO))
        worth = market_value + cash
        return Valuation(
            as_of=as_of,
            total_value=worth,
            market_value=market_value,
            cash=cash,
            unrealized=sum((p.unrealized for p in positions if p.unrealized is not None), ZERO),
            realized=book.realized_base,
            net_invested=book.net_invested_base,
            daily_change=change,
            daily_change_percent=_percent(change, worth - change),
            positions=positions,
            stale={p.symbol: _stale(p, as_of) for p in positions if p.stale}
            | {currency: why for currency, why in stale_rates.items() if currency in moneys},
            late=any(p.quality in _LATE for p in positions) or any(currency in moneys for currency in stale_rates),
            unpriced=unpriced,
            overdrawn=book.overdrawn,
        )


def _unpriced(position: Valued) -> str:
    if position.price is None:
        return f"There is no price for {position.symbol}."
    return f"There is no rate for {position.currency}."


_WHY_STALE: Final = {
    CLOSED: "Its market is closed",
    LATE: "There is no newer price",
    SUSPECT: "The price is not believed, and there is no other",
    CARRIED: "Nobody quotes it; this is its last known close",
}


def _stale(position: Valued, as_of: datetime) -> str:
    at = position.price_time
    assert at is not None, "a stale position has a price"
    return f"{_WHY_STALE[position.quality]}: of {at:%Y-%m-%d %H:%M:%S} UTC, {_age(as_of - at)} old."


def _age(age: timedelta) -> str:
    """
    >>> _age(timedelta(seconds=75)), _age(timedelta(hours=30)), _age(timedelta(days=9))
    ('75 s', '30 h', '9 days')
    """
    seconds = max(0, int(age.total_seconds()))
    if seconds < 600:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 2 * 86_400 else f"{seconds // 86_400} days"


def _percent(change: Decimal, before: Decimal) -> Decimal | None:
    """None where there was nothing to change from."""
    if before <= 0:
        return ZERO if not change else None
    return stored(change / before * 100)


# A position on the wire: its numbers, and the same as decimal strings.
Figures = tuple[dict[str, float | None], dict[str, str | None]]


def figures(position: Valued) -> Figures:
    """One position's part of the payload."""
    own = {
        "quantity": position.quantity,
        "price": position.price,
        "value": position.value,
        "unrealized_pnl": position.unrealized,
    }
    return _numbers(own), _strings(own)


def payload(
    portfolio_id: int, name: str, worth: Valuation, known: Mapping[str, Figures] | None = None
) -> dict[str, Any]:
    """The `data` of a `portfolio_update`: numbers for people, and under `exact` the same as decimal strings.

    known: the positions' parts by symbol, where the caller keeps them.
    """
    totals = {
        "total_value": worth.total_value,
        "market_value": worth.market_value,
        "daily_change": worth.daily_change,
        "daily_change_percent": worth.daily_change_percent,
        "cash": worth.cash,
        "unrealized_pnl": worth.unrealized,
        "realized_pnl": worth.realized,
        "net_invested": worth.net_invested,
    }
    positions = {p.symbol: known[p.symbol] if known else figures(p) for p in worth.positions}
    return {
        "portfolio_id": portfolio_id,
        "name": name,
        **_numbers(totals),
        "as_of": timestamp(worth.as_of),
        "stale": list(worth.stale),
        "stale_reasons": worth.stale,
        "unpriced": list(worth.unpriced),
        "unpriced_reasons": worth.unpriced,
        "overdrawn": worth.overdrawn,
        "positions": [{"symbol": symbol, **numbers} for symbol, (numbers, _) in positions.items()],
        "exact": {**_strings(totals), "positions": {symbol: strings for symbol, (_, strings) in positions.items()}},
    }


def timestamp(at: datetime) -> str:
    """As on the wire, in UTC."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _numbers(figures: Mapping[str, Decimal | None]) -> dict[str, float | None]:
    return {name: None if figure is None else float(figure) for name, figure in figures.items()}


def _strings(figures: Mapping[str, Decimal | None]) -> dict[str, str | None]:
    return {name: None if figure is None else plain(figure) for name, figure in figures.items()}
