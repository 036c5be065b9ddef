from datetime import UTC, datetime
from decimal import Decimal, localcontext

import pytest

from portfolio.lots import METHODS, Disposal, Holding, Lot, shares
from portfolio.money import EXACT
from portfolio.positions import (
    BUY,
    SELL,
    TRANSFER_OUT,
    NotEnoughInLots,
    NotEnoughUnits,
    OutOfOrder,
    Policy,
    UnknownLot,
    fold,
)
from tests.portfolio.test_positions import entry

SPECIFIC = Policy(methods=((None, "specific"),))


def day(number):
    return datetime(2026, 1, number, tzinfo=UTC)


def lot(id, quantity, cost, opened=1):
    cost = Decimal(cost)
    return Lot(id=id, instrument=7, opened_at=day(opened), quantity=Decimal(quantity), cost=cost, cost_base=cost,
               currency="USD")  # fmt: skip


def test_parts_always_add_up_to_their_whole():
    with localcontext(EXACT):
        parts = shares(Decimal(100), [Decimal(1)] * 7)
        assert sum(parts) == 100
    assert len({part.as_tuple().exponent for part in parts}) == 1


@pytest.mark.parametrize(
    ("method", "ids"), [("fifo", [1, 2]), ("lifo", [3, 2]), ("hifo", [2, 3]), ("average", [1, 2]), ("specific", [1, 2])]
)
def test_each_method_takes_its_own_lots_first(method, ids):
    with localcontext(EXACT):
        holding = Holding(method, [lot(1, 10, 100, 1), lot(2, 10, 300, 2), lot(3, 10, 200, 3)])
        taken = holding.take(Decimal(15))
        assert [part.id for part in taken] == ids
        assert [part.quantity for part in taken] == [10, 5]
        assert holding.quantity == 15
        assert holding.cost + sum(part.cost for part in taken) == 600
        assert holding.cost == sum(part.cost for part in holding.lots())


def test_of_shorts_the_dearest_to_cover_is_the_one_that_brought_in_least():
    with localcontext(EXACT):
        holding = Holding("hifo", [lot(1, -10, -300), lot(2, -10, -100), lot(3, -10, -200)])
        assert [part.id for part in holding.take(Decimal(20))] == [2, 3]


def test_a_lot_that_comes_late_is_held_in_the_order_of_its_age():
    with localcontext(EXACT):
        holding = Holding("fifo", [lot(5, 1, 10, 20)])
        holding.add(lot(6, 1, 10, 3))
        assert [part.id for part in holding.take(Decimal(1))] == [6]


@pytest.mark.parametrize("method", METHODS)
def test_a_copy_goes_its_own_way(method):
    with localcontext(EXACT):
        holding = Holding(method, [lot(1, 10, 100), lot(2, 10, 300)])
        before = holding.lots()
        holding.copy().take(Decimal(15))
        assert holding.lots() == before


@pytest.mark.parametrize(
    ("closed", "days", "long_term"),
    [((2025, 1, 6), 366, False), ((2025, 1, 7), 367, True), ((2024, 3, 1), 55, False)],
)
def test_long_term_is_more_than_a_year(closed, days, long_term):
    zero = Decimal(0)
    sale = Disposal(
        entry_id=2, instrument=7, lot_id=1, lot_sub=0, quantity=zero, opened_at=datetime(2024, 1, 6, tzinfo=UTC),
        closed_at=datetime(*closed, tzinfo=UTC), currency="USD", proceeds=zero, cost=zero, proceeds_base=zero,
        cost_base=zero,
    )  # fmt: skip
    assert (sale.days, sale.long_term) == (days, long_term)


def bought(*more):
    rows = [
        entry(1, BUY, 1, instrument=7, quantity="5", price="10"),
        entry(2, BUY, 2, instrument=7, quantity="5", price="20"),
    ]
    return [*rows, *more]


def test_a_sale_of_a_lot_that_is_not_there_says_which():
    with pytest.raises(UnknownLot) as refused:
        fold(bought(entry(3, SELL, 3, instrument=7, quantity="1", price="10", lot_ids=(2, 9))), SPECIFIC)
    assert (refused.value.instrument, refused.value.lot_id) == (7, 9)


def test_a_sale_of_more_than_the_lots_it_names_says_what_they_hold():
    with pytest.raises(NotEnoughInLots) as refused:
        fold(bought(entry(3, SELL, 3, instrument=7, quantity="6", price="10", lot_ids=(2,))), SPECIFIC)
    assert (refused.value.held, refused.value.wanted) == (5, 6)


def test_a_lot_that_is_sold_is_no_lot_any_more():
    sale = entry(3, SELL, 3, instrument=7, quantity="5", price="10", lot_ids=(2,))
    again = entry(4, SELL, 4, instrument=7, quantity="1", price="10", lot_ids=(2,))
    with pytest.raises(UnknownLot):
        fold(bought(sale, again), SPECIFIC)


def test_only_the_method_specific_listens_to_lot_ids():
    book = fold(
        bought(entry(3, SELL, 3, instrument=7, quantity="5", price="10", lot_ids=(2,))),
        Policy(methods=((None, "fifo"),)),
    )
    assert [part.id for part in book.lots[7]] == [2]


def test_no_more_leaves_than_is_held():
    with pytest.raises(NotEnoughUnits):
        fold(bought(entry(3, TRANSFER_OUT, 3, instrument=7, quantity="11")))


def test_a_fee_in_units_needs_the_units():
    trade = entry(3, BUY, 3, instrument=8, quantity="1", price="1", fee="11", fee_instrument=7, fee_price="2")
    with pytest.raises(NotEnoughUnits) as refused:
        fold(bought(trade))
    assert (refused.value.instrument, refused.value.held, refused.value.wanted) == (7, 10, 11)


def test_a_book_goes_on_by_newer_rows_only():
    book = fold(bought())
    for row in (entry(9, BUY, 1, instrument=7, quantity="1", price="1"), entry(3, "REVERSAL", 9, reverses=1)):
        with pytest.raises(OutOfOrder):
            book.apply(row)
    book.apply(entry(3, SELL, 2, instrument=7, quantity="1", price="10"))
    assert book.positions[7].quantity == 9
