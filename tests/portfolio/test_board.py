import random

import numpy as np
import pytest

from portfolio.board import Board


@pytest.fixture
def board():
    return Board()


def test_who_holds_what_moved_is_touched_and_worth_more(board):
    btc, usd = board.slot("btc"), board.slot("usd")
    board.mark(usd, 1.0)
    board.mark(btc, 100.0)
    board.put(1, [(btc, 2.0), (usd, 50.0)])
    board.put(2, [(usd, 7.0)])
    board.remark()
    board.mark(btc, 110.0)
    assert board.remark() == [1]
    assert (board.total(1), board.total(2)) == (270.0, 7.0)
    assert board.remark() == []


def test_a_portfolio_without_holdings_is_worth_nothing(board):
    board.put(1, [])
    board.mark(board.slot("btc"), 5.0)
    assert (board.remark(), board.total(1)) == ([], 0.0)


def test_what_moved_since_a_round_is_told_by_place(board):
    slots = [board.slot(name) for name in "abc"]
    for slot in slots:
        board.mark(slot, 1.0)
    board.put(1, [(slot, 1.0) for slot in slots])
    board.remark()
    seen = board.round
    board.mark(slots[1], 2.0)
    board.remark()
    board.mark(slots[2], 2.0)
    assert board.moved_since(1, seen).tolist() == [1, 2]
    assert board.moved_since(1, board.round).tolist() == [2]


def test_after_any_changes_it_is_worth_what_its_holdings_are():
    """Portfolios come, grow, shrink and go while prices move; every total is the sum of quantities × prices."""
    drawn, board = random.Random(5), Board()
    prices, holdings = {}, {}
    for _ in range(2000):
        match drawn.randrange(4):
            case 0:
                slot = board.slot(drawn.randrange(40))
                prices[slot] = drawn.uniform(1, 100)
                board.mark(slot, prices[slot])
            case 1 if prices:
                portfolio = drawn.randrange(30)
                slots = drawn.sample(sorted(prices), drawn.randint(0, min(8, len(prices))))
                holdings[portfolio] = [(slot, drawn.uniform(-5, 5)) for slot in slots]
                board.put(portfolio, holdings[portfolio])
            case 2 if holdings and drawn.random() < 0.3:
                portfolio = drawn.choice(sorted(holdings))
                board.drop(portfolio)
                del holdings[portfolio]
            case 3:
                moved = set(board.remark())
                assert moved <= set(holdings)
    board.remark()
    for portfolio, held in holdings.items():
        assert board.total(portfolio) == pytest.approx(sum(q * prices[slot] for slot, q in held))
        assert sorted(board.holdings(portfolio)) == sorted(held)
    assert len(board) == len(holdings)


def test_few_and_many_moved_holdings_count_the_same(board):
    """One price goes by places, all of them by one pass over everything: both leave the same totals."""
    generator = np.random.default_rng(5)
    slots = [board.slot(n) for n in range(50)]
    for slot in slots:
        board.mark(slot, 1.0)
    for portfolio in range(100):
        board.put(portfolio, [(slot, float(q)) for slot, q in zip(slots, generator.normal(size=50), strict=True)])
    board.remark()
    for slot in slots:  # one after the other
        board.mark(slot, 2.0)
        assert board.remark() == list(range(100))
    one_by_one = [board.total(portfolio) for portfolio in range(100)]
    for slot in slots:  # all at once
        board.mark(slot, 2.0)
    assert board.remark() == list(range(100))
    assert [board.total(portfolio) for portfolio in range(100)] == pytest.approx(one_by_one)
