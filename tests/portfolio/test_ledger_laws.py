"""What holds of every ledger, whatever its rows: drawn at random from all types, in two currencies."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.lots import METHODS
from portfolio.money import EXACT, ZERO
from portfolio.positions import (
    BUY,
    DEPOSIT,
    DIVIDEND,
    FEE,
    FX_CONVERSION,
    INTEREST,
    MERGER,
    RENAME,
    RETURN_OF_CAPITAL,
    REVERSAL,
    SELL,
    SPINOFF,
    SPLIT,
    STOCK_DIVIDEND,
    TAX,
    TRANSFER_IN,
    TRANSFER_OUT,
    WITHDRAWAL,
    Book,
    Entry,
    NotEnoughUnits,
    Policy,
    connected,
    fold,
)
from tests.portfolio.laws import assert_nothing_is_lost

START = datetime(2026, 1, 1, tzinfo=UTC)
CURRENCY = {1: "USD", 2: "USD", 3: "EUR", 4: "EUR"}
PAID = [DEPOSIT, WITHDRAWAL, FEE, TAX, INTEREST, DIVIDEND, RETURN_OF_CAPITAL]
UNITS = [BUY, BUY, BUY, SELL, SELL, TRANSFER_IN, TRANSFER_OUT, STOCK_DIVIDEND]
ACTIONS = [SPLIT, SPINOFF, MERGER, RENAME, RETURN_OF_CAPITAL, STOCK_DIVIDEND]
EVERY = [*UNITS, *PAID, *ACTIONS, FX_CONVERSION]

RATIOS = ["2", "0.5", "1.5", "0.333333333333333333", "1.05", "0.1", "0.066666666666666667"]


class Dice(random.Random):
    """Draws rows. Seeded by hypothesis: drawing each figure through it would take minutes."""

    abroad = False  # whether units may go to an instrument of another currency

    def places(self, low, high, places):
        return Decimal(self.randint(int(low * 10**places), int(high * 10**places))).scaleb(-places)

    def quantity(self):
        return self.choice([Decimal(self.randint(1, 50)), self.places(0, 9999, 18) + Decimal("1e-18")])

    def money(self):
        return self.choice([Decimal(self.randint(1, 500)), self.places(0.01, 99999, 18)])

    def small(self):
        return self.choice([ZERO, self.places(0, 9, 2)])

    def rate(self):
        return self.places(0.5, 2, 4)

    def policy(self):
        since = START + timedelta(hours=self.randint(0, 20))
        return Policy(
            methods=((None, self.choice(METHODS)), (since, self.choice(METHODS))),
            allow_short=self.random() < 0.5,
            auto_convert=self.random() < 0.5,
        )

    def fee(self):
        """None, in the row's currency, in another, or in units of an instrument."""
        abroad = {"fee": self.small(), "fee_currency": "GBP", "fee_rate": self.rate()}
        in_kind = {"fee": self.small() / 10, "fee_instrument": 1, "fee_price": self.money(), "fee_currency": "USD"}
        return self.choice([{}, {"fee": self.small()}, abroad, in_kind])

    def row(self, id, types, shift=0):
        type_ = self.choice(types)
        instrument = self.choice(list(CURRENCY))
        if type_ in (DEPOSIT, WITHDRAWAL, FEE, TAX, INTEREST, FX_CONVERSION):
            instrument = None
        currency = CURRENCY.get(instrument, "USD")
        given = {"fx_rate": Decimal(1) if currency == "USD" else self.rate()}
        if type_ in PAID or type_ == FX_CONVERSION:
            given["amount"] = self.money()
        if type_ in UNITS:
            given |= {"quantity": self.quantity(), "price": self.money()}
        if type_ in (DIVIDEND, INTEREST):
            given["withholding"] = self.small()
        if type_ == FX_CONVERSION:
            given |= {"to_currency": "EUR", "to_amount": self.money()}
        if type_ in (SPLIT, SPINOFF, MERGER):
            given |= {"ratio": Decimal(self.choice(RATIOS)), "cash_in_lieu": self.small()}
        if type_ in (SPINOFF, MERGER, RENAME):
            others = CURRENCY if self.abroad else [i for i in CURRENCY if CURRENCY[i] == currency]
            given["to_instrument"] = self.choice([i for i in others if i != instrument])
        if type_ == SPINOFF:
            given["basis_fraction"] = self.places(0, 1, 4)
        if type_ not in ACTIONS:
            given |= self.fee()
        at = START + timedelta(hours=id + shift)
        return Entry(id=id, type=type_, at=at, currency=currency, instrument=instrument, **given)

    def ledger(self, policy, types=EVERY, rows=14):
        """Rows that the ledger takes, one after the other."""
        book, taken = Book(policy), []
        for id in range(1, self.randint(1, rows) + 1):
            row, tried = self.row(id, types), book.copy()
            try:
                tried.apply(row)
            except NotEnoughUnits:
                continue
            book, taken = tried, [*taken, row]
        return taken

    def counted(self):
        self.abroad = True
        policy = self.policy()
        return policy, self.ledger(policy)


dice = st.integers(0, 2**64).map(Dice)


@given(dice)
@settings(max_examples=150)
def test_nothing_appears_and_nothing_is_lost(dice):
    policy, rows = dice.counted()
    book = fold(rows, policy)
    assert_nothing_is_lost(book)
    if not policy.allow_short:
        assert all(position.quantity >= 0 for position in book.positions.values())


@given(dice)
@settings(max_examples=30)
def test_the_order_in_which_rows_are_read_changes_nothing(dice):
    policy, rows = dice.counted()
    shuffled = list(rows)
    dice.shuffle(shuffled)
    assert vars(fold(shuffled, policy)) == vars(fold(rows, policy))


@given(dice)
@settings(max_examples=30)
def test_going_on_row_by_row_is_folding(dice):
    policy, rows = dice.counted()
    book = Book(policy)
    for row in rows:
        before = book.copy()
        book.apply(row)
        assert before.last != book.last
    assert vars(book) == vars(fold(rows, policy))


@given(dice)
@settings(max_examples=60)
def test_a_reversal_undoes_its_row_exactly(dice):
    """As if the row had never been, whatever its type and whatever stood around it."""
    policy, rows = dice.counted()
    at = dice.randint(0, len(rows))
    undone = dice.row(500, EVERY, shift=at - 499)
    reversal = msgspec.structs.replace(undone, id=501, type=REVERSAL, reverses=500)
    assert vars(fold([*rows[:at], undone, *rows[at:], reversal], policy)) == vars(fold(rows, policy))


@given(dice)
@settings(max_examples=60)
def test_five_methods_earn_the_same_once_everything_is_sold(dice):
    """They differ only in when a gain is counted."""
    rows = dice.ledger(Policy(), types=[*UNITS, *ACTIONS, DIVIDEND])
    last = START + timedelta(days=99)

    def total(method):
        policy = Policy(methods=((None, method),))
        sales = [
            Entry(id=1000 + i, type=SELL, at=last, currency=CURRENCY[i], instrument=i, quantity=p.quantity,
                  price=Decimal(7), fx_rate=Decimal("1.25"))
            for i, p in fold(rows, policy).held.items()
        ]  # fmt: skip
        book = fold([*rows, *sales], policy)
        assert book.held == {}
        assert all(position.cost == position.cost_base == 0 for position in book.positions.values())
        gains = {c: book.realized.get(c, ZERO) + book.transferred.get(c, ZERO) for c in ("USD", "EUR")}
        return gains, book.cash, book.realized_base + book.transferred_base

    with localcontext(EXACT):
        assert [total(method) for method in METHODS] == [total("fifo")] * len(METHODS)


@given(st.sampled_from(METHODS), dice)
@settings(max_examples=30)
def test_independent_rows_of_one_instant_may_stand_in_any_order(method, dice):
    """Each ledger of its own instrument; the rows of one follow each other, those of several mix in any way."""
    policy = Policy(methods=((None, method),))
    ledgers = [dice.ledger(Policy(), types=[BUY, SELL, DIVIDEND, SPLIT], rows=6) for _ in range(3)]
    own = [
        [msgspec.structs.replace(row, instrument=i + 1, currency="USD", at=START, fee_instrument=None) for row in rows]
        for i, rows in enumerate(ledgers)
    ]
    in_turn = [row for rows in own for row in rows]
    mixed = [rows[i] for i in range(6) for rows in own if i < len(rows)]

    def sums(rows):
        try:
            book = fold([msgspec.structs.replace(row, id=id) for id, row in enumerate(rows)], policy)
        except NotEnoughUnits as lacking:
            return lacking.instrument
        return book.positions, book.cash, book.realized, book.income, book.fees

    one, other = sums(in_turn), sums(mixed)
    assert one == other or (isinstance(one, int) and isinstance(other, int))


@given(st.sampled_from(METHODS), dice)
@settings(max_examples=30)
def test_corporate_actions_keep_every_cost_and_every_age(method, dice):
    """Without cash they leave all cost where there are units, or say that it is lost, and make no lot younger."""
    policy = Policy(methods=((None, method),))
    bought = [msgspec.structs.replace(row, fee=ZERO) for row in dice.ledger(policy, types=[BUY, TRANSFER_IN])]
    last = START + timedelta(days=1)
    actions = [
        Entry(id=1000 + id, type=type_, at=last + timedelta(days=id), currency="USD", instrument=instrument,
              to_instrument=to, ratio=Decimal(ratio), basis_fraction=Decimal("0.1234"))
        for id, (type_, instrument, to, ratio) in enumerate([
            (SPLIT, 1, None, "3"), (SPINOFF, 1, 2, "0.25"), (SPLIT, 2, None, "0.333333333333333333"),
            (MERGER, 1, 2, "0.75"), (RENAME, 2, 9, "1"),
        ])
    ]  # fmt: skip
    before, after = fold(bought, policy), fold([*bought, *actions], policy)
    with localcontext(EXACT):
        costs, costs_base = (
            [sum(getattr(p, figure) for p in book.positions.values()) for book in (before, after)]
            for figure in ("cost", "cost_base")
        )
        assert costs[0] == costs[1] + sum(sale.cost - sale.proceeds for sale in after.disposals)
        assert costs_base[0] == costs_base[1] + sum(sale.cost_base - sale.proceeds_base for sale in after.disposals)
    ages = {lot.opened_at for lots in before.lots.values() for lot in lots}
    assert {lot.opened_at for lots in after.lots.values() for lot in lots} <= ages


@given(dice)
@settings(max_examples=30)
def test_the_rows_of_connected_instruments_prove_a_position(dice):
    policy, rows = dice.counted()
    whole = fold(rows, policy)
    for instrument in whole.positions:
        near = connected(rows, instrument)
        own = fold([row for row in rows if {row.instrument, row.to_instrument, row.fee_instrument} & near], policy)
        assert own.positions[instrument] == whole.positions[instrument]
        assert own.lots.get(instrument) == whole.lots.get(instrument)
