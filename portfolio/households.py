"""Several portfolios as one: their books together, in the household's currency."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal, localcontext

import msgspec

from portfolio import marks, performance, positions, returns, valuation
from portfolio.models import Household
from portfolio.money import EXACT, ZERO
from portfolio.positions import Movement, Position


class Together(msgspec.Struct, frozen=True, kw_only=True):
    """The books of the members as one (a `valuation.Held`): each has sold its own lots, by its own method.

    movements: what went from one member to another crosses no border.
    """

    held: dict[int, Position]
    cash: dict[str, Decimal]
    movements: list[Movement]
    realized_base: Decimal
    net_invested_base: Decimal

    @property
    def overdrawn(self) -> list[str]:
        return sorted(currency for currency, cash in self.cash.items() if cash < 0)


def value(household: Household, now: datetime) -> valuation.Valuation:
    """What it is worth now. Raises marking.Unpriced where a member's own currency has no rate at all."""
    return marks.value_book(book(household), household.base_currency, now)


def book(household: Household) -> Together:
    """All that its members hold. Costs are in the household's currency at the rates of the rows' days.

    Raises marking.Unpriced where a member's own currency has no rate at all.
    """
    members = [returns.rated(portfolio, household.base_currency) for portfolio in household.portfolios()]
    return together([positions.fold(entries, policy) for entries, policy in members])


def together(books: Iterable[positions.Book]) -> Together:
    """The sums of several books of one currency."""
    books = list(books)
    held: dict[int, Position] = {}
    cash: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for one in books:
            for instrument, position in one.positions.items():
                held[instrument] = _sum(held[instrument], position) if instrument in held else position
            for currency, amount in one.cash.items():
                cash[currency] = cash.get(currency, ZERO) + amount
        return Together(
            held={instrument: position for instrument, position in held.items() if position.quantity},
            cash=cash,
            movements=sorted(performance.internal([one.movements for one in books]), key=_in_order),
            realized_base=sum((one.realized_base for one in books), ZERO),
            net_invested_base=sum((one.net_invested_base for one in books), ZERO),
        )


def _sum(one: Position, other: Position) -> Position:
    figures = {name: getattr(one, name) + getattr(other, name) for name in Position.__struct_fields__}
    return Position(**figures)


def _in_order(movement: Movement) -> tuple[datetime, int]:
    return movement.at, movement.entry_id
