from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from portfolio.positions import BUY, SELL, WITHDRAWAL, Entry, NotEnoughUnits, fold
from tests.portfolio import golden
from tests.portfolio.laws import assert_nothing_is_lost

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("path", golden.LEDGERS, ids=lambda path: path.stem)
def test_golden_ledger(path):
    ledger = golden.read(path)
    book = ledger.fold()
    assert ledger.figures(book) == ledger.expected
    assert ledger.lists(book) == ledger.listed
    assert_nothing_is_lost(book)


def entry(id, type, day=0, **more):
    figures = {name: Decimal(value) for name, value in more.items() if isinstance(value, str)}
    return Entry(id=id, type=type, at=START + timedelta(days=day), currency="USD", **{**more, **figures})


def test_selling_more_than_was_held_at_that_time_is_refused():
    bought_later = [
        entry(1, SELL, 1, instrument=7, quantity="1", price="10"),
        entry(2, BUY, 2, instrument=7, quantity="5", price="10"),
    ]
    with pytest.raises(NotEnoughUnits) as refused:
        fold(bought_later)
    assert (refused.value.instrument, refused.value.held, refused.value.wanted) == (7, 0, 1)


def test_rows_count_in_the_order_of_their_time_not_of_their_posting():
    rows = [
        entry(1, SELL, 2, instrument=7, quantity="1", price="30"),
        entry(2, BUY, 1, instrument=7, quantity="1", price="10"),
    ]
    assert fold(rows).realized == {"USD": Decimal(20)}


def test_the_rate_of_the_day_of_the_trade_makes_the_base_cost():
    """Bought at 1.10, sold at 1.20: the currency's gain is realised with the price's."""
    rows = [
        Entry(id=1, type=BUY, at=START, currency="EUR", instrument=7, quantity=Decimal(2), price=Decimal(100),
              fx_rate=Decimal("1.10")),
        Entry(id=2, type=SELL, at=START + timedelta(1), currency="EUR", instrument=7, quantity=Decimal(1),
              price=Decimal(110), fx_rate=Decimal("1.20")),
    ]  # fmt: skip
    book = fold(rows)
    position = book.held[7]
    assert (position.cost, position.cost_base) == (Decimal(100), Decimal(110))
    assert book.realized == {"EUR": Decimal(10)}
    assert book.realized_base == Decimal("132") - Decimal("110")


def test_spending_more_than_there_is_says_so():
    book = fold([entry(1, WITHDRAWAL, amount="5")])
    assert book.overdrawn == ["USD"]


def test_a_closed_position_has_no_average_cost():
    rows = [
        entry(1, BUY, 1, instrument=7, quantity="3", price="10"),
        entry(2, SELL, 2, instrument=7, quantity="3", price="10"),
    ]
    book = fold(rows)
    assert book.held == {}
    assert book.positions[7].average_cost is None
