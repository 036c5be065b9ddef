"""What holds of every book, to the last digit."""

from collections import Counter
from decimal import localcontext

from portfolio.money import EXACT, ZERO
from portfolio.positions import Book


def assert_nothing_is_lost(book: Book) -> None:
    with localcontext(EXACT):
        _assert_identity(book)
        _assert_lots_are_the_positions(book)
        _assert_sales_are_what_was_realized(book)
        _assert_movements_are_all_that_moved(book)


def _assert_identity(book: Book) -> None:
    """cash + cost = net invested + transferred + realised + income − taxes − charges + converted, by currency."""
    costs = Counter()
    for lots in book.lots.values():
        for lot in lots:
            costs[lot.currency] += lot.cost
    into = (book.net_invested, book.transferred, book.realized, book.income, book.converted)
    out = (book.taxes, book.charges)
    for currency in {*book.cash, *costs, *(c for sums in (*into, *out) for c in sums)}:
        owned = book.cash.get(currency, ZERO) + costs[currency]
        assert owned == sum(s.get(currency, ZERO) for s in into) - sum(s.get(currency, ZERO) for s in out), currency


def _assert_lots_are_the_positions(book: Book) -> None:
    assert set(book.lots) == set(book.held)
    for instrument, position in book.positions.items():
        lots = book.lots.get(instrument, [])
        assert sum((lot.quantity for lot in lots), ZERO) == position.quantity
        assert sum((lot.cost for lot in lots), ZERO) == position.cost
        assert sum((lot.cost_base for lot in lots), ZERO) == position.cost_base
        assert all(lot.instrument == instrument and lot.quantity * position.quantity > 0 for lot in lots)
        assert len({(lot.id, lot.sub) for lot in lots}) == len(lots)


def _assert_sales_are_what_was_realized(book: Book) -> None:
    realized, by_instrument = Counter(), Counter()
    for sale in book.disposals:
        realized[sale.currency] += sale.gain
        by_instrument[sale.instrument] += sale.gain_base
        assert sale.opened_at <= sale.closed_at
    assert {c: gain for c, gain in realized.items() if gain} == {c: gain for c, gain in book.realized.items() if gain}
    assert sum(by_instrument.values(), ZERO) == book.realized_base
    for instrument, position in book.positions.items():
        assert position.realized_base == by_instrument[instrument]


def _assert_movements_are_all_that_moved(book: Book) -> None:
    cash, units = Counter(), Counter()
    for moved in book.movements:
        cash[moved.currency] += moved.cash
        units[moved.instrument] += moved.quantity
    assert {c: sum_ for c, sum_ in cash.items() if sum_} == {c: sum_ for c, sum_ in book.cash.items() if sum_}
    assert all(units[instrument] == position.quantity for instrument, position in book.positions.items())
