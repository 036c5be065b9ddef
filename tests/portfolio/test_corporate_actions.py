from decimal import Decimal
from fractions import Fraction

import pytest

from portfolio.corporate_actions import as_fraction, times
from portfolio.positions import (
    BUY,
    MERGER,
    RETURN_OF_CAPITAL,
    SELL,
    SPINOFF,
    SPLIT,
    STOCK_DIVIDEND,
    Entry,
    Policy,
    connected,
    fold,
)
from tests.portfolio.laws import assert_nothing_is_lost
from tests.portfolio.test_positions import START, entry

FIFO = Policy(methods=((None, "fifo"),))
SHORTS = Policy(methods=((None, "fifo"),), allow_short=True)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0.333333333333333333", Fraction(1, 3)),
        ("0.3333333333333333", Fraction(1, 3)),
        ("0.66666667", Fraction(2, 3)),
        ("0.066666666666666667", Fraction(1, 15)),
        ("1.333333333333", Fraction(4, 3)),
        ("0.142857142857142857", Fraction(1, 7)),
        ("0.3333", Fraction(3333, 10000)),
        ("20", Fraction(20)),
        ("0.12345678", Fraction(12345678, 10**8)),
        ("1E+1", Fraction(10)),
    ],
)
def test_a_ratio_that_no_decimal_says_is_the_fraction_it_stands_for(written, meant):
    assert as_fraction(Decimal(written)) == meant


def test_a_third_of_three_hundred_is_a_hundred():
    assert times(Decimal(300), Decimal("0.333333333333333333")) == 100


def test_a_split_of_a_short_makes_more_units_owed():
    rows = [entry(1, SELL, 1, instrument=7, quantity="10", price="30"), entry(2, SPLIT, 2, instrument=7, ratio="2")]
    book = fold(rows, SHORTS)
    assert (book.positions[7].quantity, book.positions[7].cost) == (-20, -300)


def test_a_split_and_its_inverse_leave_what_was():
    rows = [
        entry(1, BUY, 1, instrument=7, quantity="7", price="3"),
        entry(2, BUY, 2, instrument=7, quantity="3", price="5"),
    ]
    there = entry(3, SPLIT, 3, instrument=7, ratio="3")
    back = entry(4, SPLIT, 4, instrument=7, ratio="0.333333333333333333")
    assert fold([*rows, there, back], FIFO).lots == fold(rows, FIFO).lots


def test_a_movement_tells_the_ratio_that_prices_are_carried_by():
    rows = [
        entry(1, BUY, 1, instrument=7, quantity="100", price="10"),
        entry(2, SPLIT, 2, instrument=7, ratio="4"),
        entry(3, STOCK_DIVIDEND, 3, instrument=7, quantity="20"),
    ]
    actions = [(moved.quantity, moved.split_ratio) for moved in fold(rows, FIFO).movements if moved.kind == "action"]
    assert actions == [(300, 4), (20, Decimal("1.05"))]


def test_a_split_abroad_says_nothing_of_the_rate():
    """It needs none, so that the one that its row has by default must not be taken for that day's."""
    bought = Entry(id=1, type=BUY, at=START, currency="EUR", instrument=7, quantity=Decimal(1), price=Decimal(9),
                   fx_rate=Decimal("1.1"))  # fmt: skip
    split = Entry(id=2, type=SPLIT, at=START, currency="EUR", instrument=7, ratio=Decimal(2))
    assert [moved.rate for moved in fold([bought, split]).movements] == [Decimal("1.1"), None]


def test_extra_units_after_the_last_sale_are_a_lot_that_cost_nothing():
    rows = [
        entry(1, BUY, 1, instrument=7, quantity="100", price="10"),
        entry(2, SELL, 2, instrument=7, quantity="100", price="10"),
        entry(3, STOCK_DIVIDEND, 3, instrument=7, quantity="5"),
    ]
    book = fold(rows, FIFO)
    assert [(lot.id, lot.quantity, lot.cost) for lot in book.lots[7]] == [(3, 5, 0)]


def test_cash_in_lieu_without_a_fraction_is_a_gain():
    rows = [
        entry(1, BUY, 1, instrument=7, quantity="10", price="10"),
        entry(2, SPLIT, 2, instrument=7, ratio="2", cash_in_lieu="3"),
    ]
    book = fold(rows, FIFO)
    assert (book.positions[7].quantity, book.positions[7].cost, book.realized) == (20, 100, {"USD": Decimal(3)})


def test_a_holding_that_is_all_fraction_is_paid_out():
    rows = [
        entry(1, BUY, 1, instrument=7, quantity="3", price="10"),
        entry(2, SPLIT, 2, instrument=7, ratio="0.1", cash_in_lieu="28"),
    ]
    book = fold(rows, FIFO)
    assert book.held == {}
    assert (book.positions[7].cost, book.realized) == (0, {"USD": Decimal(-2)})
    assert_nothing_is_lost(book)


def test_capital_returned_after_the_last_sale_is_a_gain():
    rows = [
        entry(1, BUY, 1, instrument=7, quantity="3", price="10"),
        entry(2, SELL, 2, instrument=7, quantity="3", price="10"),
        entry(3, RETURN_OF_CAPITAL, 3, instrument=7, amount="4"),
    ]
    assert fold(rows, FIFO).realized == {"USD": Decimal(4)}


def test_units_that_a_merger_brings_cover_a_short_of_the_buyer():
    """Long the company that is bought, short the buyer: one closes the other, at what the first has cost."""
    rows = [
        entry(1, BUY, 1, instrument=7, quantity="100", price="9"),
        entry(2, SELL, 1, instrument=8, quantity="50", price="20"),
        entry(3, MERGER, 9, instrument=7, to_instrument=8, ratio="0.5"),
    ]
    book = fold(rows, SHORTS)
    assert book.held == {}
    assert book.realized == {"USD": Decimal(100)}
    assert_nothing_is_lost(book)


def test_spun_off_units_can_come_back():
    """A merger back into the parent: all cost is where it was, in more lots."""
    rows = [
        entry(1, BUY, 1, instrument=7, quantity="10", price="10"),
        entry(2, SPINOFF, 2, instrument=7, to_instrument=8, ratio="1", basis_fraction="0.3"),
        entry(3, MERGER, 3, instrument=8, to_instrument=7, ratio="0.5"),
    ]
    book = fold(rows, FIFO)
    assert [(lot.id, lot.sub, lot.quantity, lot.cost, lot.opened_at) for lot in book.lots[7]] == [
        (1, 0, 10, 70, rows[0].at),
        (2, 0, 5, 30, rows[0].at),
    ]


def test_connected_instruments_are_those_that_units_went_between():
    rows = [
        entry(1, MERGER, instrument=1, to_instrument=2),
        entry(2, SPINOFF, instrument=2, to_instrument=3),
        entry(3, BUY, instrument=4, fee_instrument=5),
        entry(4, BUY, instrument=6),
    ]
    assert connected(rows, 1) == {1, 2, 3}
    assert connected(rows, 5) == {4, 5}
    assert connected(rows, 6) == {6}
