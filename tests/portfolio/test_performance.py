from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from random import Random

import pytest
import pyxirr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from portfolio import performance
from portfolio.attribution import Effects
from portfolio.marking import Market, Series
from portfolio.money import EXACT, ONE, ZERO, plain
from portfolio.performance import Missing, Performance, Window
from portfolio.positions import BUY, DEPOSIT, DIVIDEND, SELL, WITHDRAWAL, Entry, Policy
from portfolio.xirr import NoRate, xirr
from tests.portfolio import golden
from tests.portfolio.golden_performance import CASES, read_case, series

START = date(2026, 1, 5)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_golden_performance(path):
    case = read_case(path)
    measured = case.measured()
    for name, values in case.expected.items():
        assert [rounded(one, like) for one, like in zip(figure(measured, name), values, strict=True)] == [
            plain(Decimal(value)) for value in values
        ], name
    for name, words in case.missing.items():
        found = getattr(measured, performance.FIGURES[name])
        assert isinstance(found, Missing), f"{name} is {found}"
        assert words in found.reason
    for of, parts in case.effects.items():
        effects = effects_of(measured, case, of)
        assert {name: getattr(effects, name) for name in parts} == parts, of
    for of, told in case.episodes.items():
        assert [episode(one) for one in measured.episodes(case.ledger.symbols[of])] == [
            [*days, *(plain(Decimal(number)) for number in numbers)]
            for *days, numbers in ((a, b, c) for a, b, *c in told)
        ]
    everything_adds_up(measured)


def figure(measured, name):
    if name == "returns":
        return [Decimal(repr(float(one))) for one in measured.returns]
    return [measured.holdings_twr if name == "holdings_twr" else measured.figure(name)]


def rounded(value, like):
    assert isinstance(value, Decimal), value
    with localcontext(EXACT):
        return plain(round(value, max(0, -Decimal(like).as_tuple().exponent)))


def effects_of(measured, case, of):
    if of == "-":
        return measured.attribution
    return measured.effects[case.ledger.symbols.get(of, of)]


def episode(one):
    numbers = (one.paid_in, one.paid_out, one.value, one.simple_return)
    return [one.opened.isoformat(), one.closed.isoformat() if one.closed else "-", *map(plain, numbers)]


def everything_adds_up(measured):
    """Whatever the ledger: contributions are the gain, to the last digit, and those of the months chain to the TWR."""
    if measured.unpriced:
        return
    with localcontext(EXACT):
        gain = measured.gain
        whole = measured.attribution
        assert whole.gain == gain
        assert whole.price + whole.fx + whole.cross + whole.income - whole.fees - whole.taxes == gain
        parts = measured.parts()
        assert sum((part.effects.gain for part in parts), ZERO) == gain
        if isinstance(measured.simple_return, Decimal):
            assert sum((part.share for part in parts), ZERO) == measured.simple_return
        periods = measured.periods()
        assert sum((period.gain for period in periods), ZERO) == gain
        assert measured.opening_value + measured.net_invested + gain == measured.total_value
        assert (whole.income, whole.fees, whole.taxes) == (measured.income, measured.fees, measured.taxes)
        if isinstance(measured.twr, Decimal):
            product = ONE
            for period in periods:
                product *= 1 + period.twr
            assert float(product) - 1 == pytest.approx(float(measured.twr), abs=1e-9)


# --- Laws -------------------------------------------------------------------------------------------------------

amounts = st.integers(1, 5_000).map(Decimal)
DAYS = 12
A, B = 1, 2


@st.composite
def markets(draw):
    """Closes of two instruments, one of them in euros, on most of twelve days; and what a euro is."""

    def told(low, high, places):
        days = draw(st.sets(st.integers(0, DAYS - 1), min_size=4)) | {0, DAYS - 1}
        numbers = st.decimals(low, high, places=places)
        return series({START + timedelta(day): draw(numbers) for day in sorted(days)})

    return Market(
        symbols={A: "A", B: "B"},
        currencies={A: "USD", B: "EUR"},
        closes={A: told("10", "20", 2), B: told("50", "90", 3)},
        rates={"USD": series({date.min: ONE}), "EUR": told("1.05", "1.25", 4)},
    )


@st.composite
def ledgers(draw):
    """A deposit on the first day, then purchases, sales, dividends and payments of both currencies."""
    rows = [row(1, DEPOSIT, 0, amount=Decimal(100_000))]
    held = {A: ZERO, B: ZERO}
    days = sorted(draw(st.lists(st.integers(0, DAYS - 2), min_size=1, max_size=8)))
    for id, day in enumerate(days, start=2):
        type_ = draw(st.sampled_from([BUY, BUY, SELL, DIVIDEND, DEPOSIT, WITHDRAWAL]))
        instrument = draw(st.sampled_from([A, B]))
        of = {"instrument": instrument, "currency": "USD", "fx_rate": ONE}
        if instrument == B:
            of |= {"currency": "EUR", "fx_rate": draw(st.decimals("1.05", "1.25", places=4))}
        if type_ == SELL and not held[instrument]:
            continue
        if type_ in (BUY, SELL):
            quantity = draw(st.integers(1, 40)) if type_ == BUY else draw(st.integers(1, int(held[instrument])))
            held[instrument] += quantity if type_ == BUY else -quantity
            price, fee = draw(st.decimals("10", "90", places=2)), draw(st.decimals("0", "3", places=2))
            rows.append(row(id, type_, day, quantity=Decimal(quantity), price=price, fee=fee, **of))
        elif type_ == DIVIDEND:
            rows.append(row(id, type_, day, amount=draw(amounts) / 100, withholding=Decimal("0.01"), **of))
        else:
            rows.append(row(id, type_, day, amount=draw(amounts)))
    return rows


def row(id, type, day, **figures):
    at = datetime(START.year, START.month, START.day, 12, tzinfo=UTC) + timedelta(day)
    return Entry(id=id, type=type, at=at, **{"currency": "USD", **figures})


def measure(rows, market, start=0, end=DAYS - 1):
    window = Window(START + timedelta(start), START + timedelta(end))
    return Performance(performance.read(rows, Policy(), window), market, window)


few = settings(max_examples=12, deadline=None)


@few
@given(ledgers(), markets(), st.integers(0, 6))
def test_whatever_the_ledger_and_the_window_everything_adds_up(rows, market, start):
    everything_adds_up(measure(rows, market, start))


@few
@given(ledgers(), markets())
def test_two_windows_chain_to_the_whole(rows, market):
    first, second, whole = measure(rows, market, 0, 5), measure(rows, market, 6), measure(rows, market)
    chained = (1 + float(first.twr)) * (1 + float(second.twr)) - 1
    assert chained == pytest.approx(float(whole.twr), abs=1e-9)
    assert first.total_value == second.opening_value
    assert first.gain + second.gain == whole.gain


@few
@given(ledgers(), markets(), st.integers(1, DAYS - 2), st.integers(1, 50))
def test_buying_at_the_close_of_the_day_moves_no_return(rows, market, day, quantity):
    """What is within the portfolio is no payment: units for their worth in cash leave each figure as it was."""
    price = market.closes[A].on(START + timedelta(day)).value
    traded = [*rows, row(900, BUY, day, instrument=A, quantity=Decimal(quantity), price=price)]
    with_it, without = measure(traded, market, end=day), measure(rows, market, end=day)
    assert with_it.twr == pytest.approx(without.twr)
    assert with_it.total_value == without.total_value
    assert with_it.xirr == without.xirr


@few
@given(ledgers(), markets())
def test_ten_times_the_money_has_the_same_returns(rows, market):
    def times_ten(entry):
        scaled = {name: getattr(entry, name) * 10 for name in ("quantity", "amount", "fee", "withholding")}
        return Entry(**{**{name: getattr(entry, name) for name in entry.__struct_fields__}, **scaled})

    one, ten = measure(rows, market), measure([times_ten(entry) for entry in rows], market)
    for name in ("twr", "simple_return", "modified_dietz", "max_drawdown", "volatility"):
        assert ten.figure(name) == pytest.approx(one.figure(name), abs=Decimal("1e-9")), name
    assert ten.gain == one.gain * 10


@pytest.mark.parametrize("path", golden.LEDGERS, ids=lambda path: path.stem)
def test_every_golden_ledger_adds_up_at_any_prices(path):
    """Actions, transfers, shorts, fees in kind, conversions: at whatever closes and rates, and from the middle too."""
    ledger = golden.read(path)
    rows, base, random = ledger.entries, ledger.policy.base_currency, Random(path.stem)
    first, last = min(row.at.date() for row in rows), max(row.at.date() for row in rows) + timedelta(9)

    def told(low, high):
        days = {0, *random.sample(range(1, 40), 9)}
        return series({first + timedelta(day): Decimal(str(round(random.uniform(low, high), 4))) for day in days})

    currencies = {row.instrument: row.currency for row in rows}
    moneys = {name for row in rows for name in (row.currency, row.to_currency, row.fee_currency) if name}
    market = Market(
        symbols={id: symbol for symbol, id in ledger.symbols.items()},
        currencies={id: currencies.get(id, base) for id in ledger.symbols.values()},
        closes={id: told(5, 300) for id in ledger.symbols.values()},
        rates={name: told(0.5, 2) for name in moneys} | {base: series({date.min: ONE})},
        rate_age_days=10_000,
    )
    for start in (first, rows[len(rows) // 2].at.date()):
        window = Window(start, last)
        everything_adds_up(Performance(performance.read(rows, ledger.policy, window), market, window))


# --- XIRR -------------------------------------------------------------------------------------------------------


def test_xirr_is_excels():
    """The example of Excel's own documentation."""
    payments = {
        date(2008, 1, 1): -10_000, date(2008, 3, 1): 2_750, date(2008, 10, 30): 4_250, date(2009, 2, 15): 3_250,
        date(2009, 4, 1): 2_750,
    }  # fmt: skip
    rate = xirr((day, Decimal(amount)) for day, amount in payments.items())
    assert rate == pytest.approx(0.373362535, abs=1e-8)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4_000), st.integers(-9_000, 9_000)), min_size=1, max_size=20),
    st.integers(0, 50_000),
)
def test_xirr_agrees_with_another_implementation(payments, closing):
    days = [date(2015, 1, 1) + timedelta(day) for day, _ in payments] + [date(2026, 1, 1)]
    numbers = [amount for _, amount in payments] + [closing]
    try:
        ours = xirr(zip(days, map(Decimal, numbers), strict=True))
    except NoRate:
        return
    theirs = pyxirr.xirr(days, numbers, silent=True)
    assume(theirs is not None)
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("payments", "why"),
    [
        ([], "Nothing was paid"),
        ([(0, -100), (0, 100)], "Nothing was paid"),
        ([(0, -100), (365, 0)], "one sign"),
        ([(0, -100), (365, 230), (730, -132)], "Several rates"),
        ([(0, -100), (365, 220), (730, -130)], "No rate"),
    ],
)
def test_without_one_rate_it_says_why(payments, why):
    with pytest.raises(NoRate, match=why):
        xirr([(START + timedelta(day), Decimal(amount)) for day, amount in payments])


def test_a_day_that_gains_a_fifth_has_a_rate_too():
    assert xirr([(START, Decimal(-100)), (START + timedelta(1), Decimal(120))]) == pytest.approx(1.2**365 - 1)


# --- Edges ------------------------------------------------------------------------------------------------------


def dollars(**closes):
    return Market(
        symbols={A: "A"},
        currencies={A: "USD"},
        closes={A: series({START + timedelta(int(day[1:])): Decimal(close) for day, close in closes.items()})},
        rates={"USD": series({date.min: ONE})},
    )


def test_a_window_before_everything_or_after_all_is_gone_has_no_returns():
    rows = [row(1, DEPOSIT, 1, amount=Decimal(10)), row(2, WITHDRAWAL, 2, amount=Decimal(10))]
    for start, end in ((-9, -5), (5, 9)):
        measured = measure(rows, dollars(d0=1), start, end)
        assert measured.twr == measured.xirr == measured.simple_return == Missing(performance.NO_CAPITAL)
        assert measured.gain == measured.net_invested == measured.total_value == 0


def test_what_has_no_price_is_told_and_never_counts_as_nothing():
    rows = [
        row(1, DEPOSIT, 0, amount=Decimal(100)),
        row(2, BUY, 0, instrument=A, quantity=ONE, price=Decimal(100)),
    ]
    market = Market(symbols={A: "A"}, currencies={A: "USD"}, closes={}, rates={"USD": series({date.min: ONE})})
    measured = measure(rows, market)
    for name in ("market_value", "twr", "xirr", "simple_return", "unrealized_pnl", "gain"):
        assert "no price for A" in measured.figure(name).reason, name
    assert measured.net_invested == 100
    assert isinstance(measured.attribution, Missing)


def test_before_the_first_close_the_price_that_was_paid_counts():
    rows = [
        row(1, DEPOSIT, 0, amount=Decimal(1000)),
        row(2, BUY, 0, instrument=A, quantity=Decimal(10), price=Decimal(100)),
        row(3, DEPOSIT, 2, amount=Decimal(1000)),
    ]
    measured = measure(rows, dollars(d5=110))
    # Not (0 + 1000)/1000, and then 1100 out of nothing: 1000 + 1000 → 2100.
    assert measured.twr == Decimal("0.05")


def test_a_loss_of_more_than_everything_has_no_return():
    rows = [
        row(1, DEPOSIT, 0, amount=Decimal(100)),
        row(2, SELL, 0, instrument=A, quantity=Decimal(10), price=Decimal(10)),
    ]
    window = Window(START, START + timedelta(3))
    ledger = performance.read(rows, Policy(allow_short=True), window)
    measured = Performance(ledger, dollars(d0=10, d1=25), window)
    assert "fell below zero on 2026-01-06" in measured.twr.reason
    assert measured.total_value == -50


def test_a_household_doesnt_count_what_went_from_one_member_to_another():
    """The money of a withdrawal here and a deposit there on the same day never left, and shares neither."""
    one = [
        row(1, DEPOSIT, 0, amount=Decimal(1000)),
        row(2, BUY, 0, instrument=A, quantity=Decimal(5), price=Decimal(100)),
        row(3, WITHDRAWAL, 3, amount=Decimal(200)),
        row(4, "TRANSFER_OUT", 3, instrument=A, quantity=Decimal(2)),
    ]
    other = [
        row(11, DEPOSIT, 3, amount=Decimal(200)),
        row(12, "TRANSFER_IN", 3, instrument=A, quantity=Decimal(2), price=Decimal(100)),
        row(13, DEPOSIT, 4, amount=Decimal(7)),
    ]
    window = Window(START, START + timedelta(6))
    members = [performance.read(rows, Policy(), window) for rows in (one, other)]
    measured = Performance(performance.together(members), dollars(d0=100, d5=120), window)
    assert measured.net_invested == 1007
    assert measured.gain == 100
    assert measured.total_value == 1107
    everything_adds_up(measured)


def test_a_benchmark_is_compared_over_its_split():
    closes = Series(
        [START.toordinal() - 1, START.toordinal() + 5], [100.0, 33.0], splits=[(START.toordinal() + 2, Decimal(4))]
    )
    market = dollars(d0=1)
    market.closes[A] = closes
    compared = performance.compare(A, market, Window(START, START + timedelta(5)), Decimal("0.4"))
    assert (compared.returned, compared.difference) == (Decimal("0.32"), Decimal("0.08"))
    assert (compared.start.quoted, compared.start.value) == (100, 25)


def test_effects_of_nothing_are_nothing():
    assert Effects().price == 0
