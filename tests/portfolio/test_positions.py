from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio.money import ZERO, plain
from portfolio.positions import BUY, DEPOSIT, DIVIDEND, FEE, REVERSAL, SELL, WITHDRAWAL, Entry, NotEnoughUnits, fold

GOLDEN = sorted((Path(__file__).parent.parent / "golden").glob("*.txt"))
START = datetime(2026, 1, 1, tzinfo=UTC)


def number(text):
    return ZERO if text == "-" else Decimal(text)


def read(path):
    """The ledger's entries, and what the accountant expects: (figure, of what) → number."""
    entries, expected, symbols = [], {}, {}
    for line in path.read_text().splitlines():
        words = line.split()
        if not words or words[0] == "#":
            continue
        if words[0] == "=":
            expected[words[1], words[2]] = Decimal(words[3])
            continue
        date, type_, symbol, quantity, price, amount, fee = words
        instrument = None if symbol == "-" else symbols.setdefault(symbol, len(symbols) + 1)
        at = datetime.fromisoformat(date).replace(tzinfo=UTC)
        entries.append(
            Entry(
                id=len(entries) + 1, type=type_, at=at, currency="USD", instrument=instrument,
                quantity=number(quantity), price=number(price), amount=number(amount), fee=number(fee),
            )
        )  # fmt: skip
    return entries, expected, symbols


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_ledger(path):
    entries, expected, symbols = read(path)
    book = fold(entries)

    def figure(name, of):
        if of in symbols:
            position = book.positions[symbols[of]]
            return {"quantity": position.quantity, "average": position.average_cost, "cost": position.cost}[name]
        return getattr(book, {"invested": "net_invested"}.get(name, name)).get(of, ZERO)

    assert {key: plain(figure(*key)) for key in expected} == {key: plain(value) for key, value in expected.items()}


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


# --- Laws -------------------------------------------------------------------------------------------------------

money = st.decimals("0.000000000000000001", "99999999", places=18)
prices = st.decimals("0", "999999", places=18)
fees = st.decimals("0", "99", places=18)


@st.composite
def ledgers(draw):
    """Rows of one currency, a sale never of more than is held."""
    rows, held = [], {1: ZERO, 2: ZERO}
    for id in range(1, draw(st.integers(1, 25)) + 1):
        type_ = draw(st.sampled_from([DEPOSIT, WITHDRAWAL, BUY, BUY, SELL, DIVIDEND, FEE]))
        instrument = draw(st.sampled_from([1, 2])) if type_ in (BUY, SELL, DIVIDEND) else None
        given = {"quantity": ZERO, "price": ZERO, "amount": ZERO, "fee": ZERO if type_ == FEE else draw(fees)}
        if type_ == SELL:
            if not held[instrument]:
                continue
            whole = draw(st.booleans())
            given["quantity"] = (
                held[instrument] if whole else draw(st.decimals("0.000000000000000001", held[instrument], places=18))
            )
            held[instrument] -= given["quantity"]
        elif type_ == BUY:
            given["quantity"] = draw(money)
            held[instrument] += given["quantity"]
        if type_ in (BUY, SELL):
            given["price"] = draw(prices)
        else:
            given["amount"] = draw(money)
        rows.append(
            Entry(id=id, type=type_, at=START + timedelta(hours=id), currency="USD", instrument=instrument, **given)
        )
    return rows


@given(ledgers())
def test_nothing_appears_and_nothing_is_lost(rows):
    """cash + cost of holdings = net invested + realised + income − charges, to the last digit."""
    book = fold(rows)

    def total(sums):
        return sum(sums.values(), ZERO)

    assert total(book.cash) + sum(p.cost for p in book.positions.values()) == (
        total(book.net_invested) + total(book.realized) + total(book.income) - total(book.charges)
    )
    for position in book.positions.values():
        assert position.quantity >= 0
        assert position.quantity or position.cost == 0


@given(ledgers())
def test_after_selling_everything_only_cash_is_left(rows):
    held = fold(rows).held
    last = START + timedelta(days=99)
    sales = [
        Entry(id=1000 + i, type=SELL, at=last, currency="USD", instrument=i, quantity=p.quantity, price=Decimal(1))
        for i, p in held.items()
    ]
    book = fold([*rows, *sales])
    assert book.held == {}
    assert all(position.cost == 0 for position in book.positions.values())


@given(ledgers(), st.randoms())
def test_the_order_in_which_rows_are_read_changes_nothing(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert vars(fold(shuffled)) == vars(fold(rows))


@given(ledgers(), st.integers(0, 30))
def test_a_reversal_undoes_its_row_exactly(rows, at):
    """As if the row had never been, whatever stood around it."""
    undone = entry(500, DEPOSIT, amount="123.456")
    reversal = entry(501, REVERSAL, amount="123.456", reverses=500)
    assert vars(fold([*rows[:at], undone, *rows[at:], reversal])) == vars(fold(rows))
