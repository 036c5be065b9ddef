"""Whatever happens to an account, its orders keep back no more than there is, and at the end nothing."""

import itertools
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion import latest
from ingestion.models import Instrument
from portfolio import accounts, funds, ledger, matching, orders
from portfolio.funds import Account, Reserved, Short, Terms
from portfolio.ledger import Draft
from portfolio.match import Matcher
from portfolio.matching import Working
from portfolio.models import Fill, Order, Portfolio
from worker.redis import client, key

d = Decimal
TERMS = Terms(bps=d(10), margin=d("0.02"), short_margin=d("0.5"))

prices = st.integers(20, 200).map(lambda cents: d(cents) / 2)
quantities = st.integers(1, 60).map(lambda tenths: d(tenths) / 10)
placing = st.fixed_dictionaries(
    {
        "side": st.sampled_from(["BUY", "SELL"]),
        "type": st.sampled_from(["MARKET", "LIMIT", "STOP", "STOP_LIMIT", "TRAILING_STOP"]),
        "quantity": quantities,
        "price": prices,
        "stop_price": prices,
        "at_once": st.booleans(),
    }
)
steps = st.one_of(
    placing,
    st.tuples(st.just("move"), prices, prices, quantities),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("withdraw"), st.integers(1, 100)),
)
numbers = itertools.count()


def wish(instrument: Instrument, asked: dict[str, Any]) -> orders.Wish:
    type_ = asked["type"]
    return orders.Wish(
        client_order_id=f"h{next(numbers)}",
        instrument=instrument,
        side=asked["side"],
        type=type_,
        quantity=asked["quantity"],
        price=asked["price"] if type_ in (matching.LIMIT, matching.STOP_LIMIT) else None,
        stop_price=asked["stop_price"] if type_ in (matching.STOP, matching.STOP_LIMIT) else None,
        trail=d(5) if type_ == matching.TRAILING_STOP else None,
        time_in_force=matching.IOC if asked["at_once"] and type_ not in matching.STOPS else matching.GTC,
    )


def say(instrument: Instrument, price: Decimal, other: Decimal, volume: Decimal) -> None:
    """The market goes to `price` by way of `other`."""
    at = time.time_ns() // 1000
    told = latest.Latest(
        source="simulated", price=float(price), bid=float(price) - 0.5, ask=float(price) + 0.5, time_us=at,
        quote_time_us=at, received_us=at,
    )  # fmt: skip
    client().hset(key("latest", "simulated"), str(instrument.pk), latest.encode(told))
    extremes = sorted([float(price), float(other)])
    change = latest.Change(instrument.pk, float(price), extremes[1], extremes[0], float(volume), 1, at)
    client().xadd(key("changes", "simulated:0"), {"c": latest.pack_changes([change])})


def check(portfolio: Portfolio, instrument: Instrument) -> Account:
    portfolio.refresh_from_db()
    found = accounts.account_of(portfolio, accounts.uncommitted_book(portfolio), accounts.open_orders(portfolio))
    assert found.available_cash("USD") >= 0
    assert found.available_units(instrument.pk) >= 0
    return found


@given(what=st.lists(steps, max_size=10))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_account_is_never_overdrawn_by_its_orders(own_prefix: str, btc: Instrument, alice: Any, what: Any) -> None:
    portfolio = Portfolio.objects.create(owner=alice, name="Any")
    accounts.epoch_of(portfolio)
    portfolio.epochs.update(maker_fee_bps=d(5), taker_fee_bps=d(10))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ledger.post(portfolio, Draft(type="DEPOSIT", amount=d(1000), at=start), timezone.now())
    ledger.post(portfolio, Draft(type="BUY", instrument=btc, quantity=d(5), price=d(50), at=start), timezone.now())
    say(btc, d(50), d(50), d(1))
    matcher = Matcher()
    matcher.pull()
    for step in what:
        if isinstance(step, dict):
            orders.place(portfolio, wish(btc, step), timezone.now())
        elif step[0] == "move":
            say(btc, *step[1:])
        elif step[0] == "cancel":
            for order in accounts.open_orders(portfolio)[step[1] : step[1] + 1]:
                orders.cancel(order, "Enough.", timezone.now())
        else:
            there = check(portfolio, btc).cash["USD"]
            gone = Draft(type="WITHDRAWAL", amount=d(step[1]) / 100 * there + 1, at=timezone.now())
            if gone.amount is not None and gone.amount <= there:
                ledger.post(portfolio, gone, timezone.now())
        matcher.reconcile_at = 0.0
        matcher.pull()
        check(portfolio, btc)
    for order in accounts.open_orders(portfolio):
        orders.cancel(order, "The end.", timezone.now())
    end = check(portfolio, btc)
    assert end.available_cash("USD") == end.cash["USD"]
    assert not Order.objects.filter(portfolio=portfolio).exclude(reserved_cash=0, reserved_units=0).exists()
    for order in Order.objects.filter(portfolio=portfolio).prefetch_related("fills"):
        assert sum(fill.quantity for fill in order.fills.all()) == order.filled_quantity
    assert (
        Fill.objects.filter(order__portfolio=portfolio).count()
        == portfolio.transactions.filter(external_id__startswith="order:").count()
    )


# --- The arithmetic, by hand ----------------------------------------------------------------------------------------


def buying(**more: Any) -> Working:
    return Working(**{"side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "quantity": d(4), "price": d(90)} | more)


@pytest.mark.parametrize(
    ("order", "last", "expected"),
    [
        (buying(), 100, "90"),
        (buying(type="MARKET", price=None), 100, "102"),
        (buying(type="MARKET", price=None), None, None),
        (buying(type="STOP", price=None, stop_price=d(110)), 100, "112.2"),
        (buying(type="STOP_LIMIT", price=d(111), stop_price=d(110)), 100, "111"),
        (buying(side="SELL"), 100, "102"),
    ],
)
def test_the_price_that_an_order_reserves_by(order: Working, last: int | None, expected: str | None) -> None:
    found = funds.worst_price(order, None if last is None else d(last), TERMS)
    assert found == (None if expected is None else d(expected))


def test_a_purchase_reserves_its_cost_and_fee_and_a_sale_its_units() -> None:
    kept = (Reserved(currency="USD", cash=d(100), instrument=1, units=d(2)),)
    account = Account(cash={"USD": d(1000)}, held={1: d(5)}, reserved=kept)
    assert (account.available_cash("USD"), account.available_units(1), account.available_units(2)) == (900, 3, 0)
    bought = funds.need(buying(), account, 1, "USD", d(90), TERMS, short=False)
    assert (bought.cash, bought.units, bought.lacking_cash) == (d("360.36"), 0, 0)
    sold = funds.need(buying(side="SELL"), account, 1, "USD", d(90), TERMS, short=False)
    assert (sold.cash, sold.units, sold.lacking_units) == (0, 4, 1)
    pence = funds.need(buying(), account, 1, "GBP", d(90), Terms(units=100), short=False)
    assert (pence.cash, pence.lacking_cash) == (d("3.6"), d("3.6"))


def test_a_short_sale_needs_a_margin_and_buying_back_frees_it() -> None:
    account = Account(cash={"USD": d(1000)}, held={1: d(1)}, short_margin=d("0.5"))
    sold = funds.need(buying(side="SELL"), account, 1, "USD", d(100), TERMS, short=True)
    assert (sold.units, sold.cash) == (1, d("150.3"))
    short = Account(cash={"USD": d(1300)}, held={}, shorts={1: Short(d(3), d(300), "USD")}, short_margin=d("0.5"))
    assert short.available_cash("USD") == 850
    assert (short.released(1, d(3)), short.released(1, d(9)), short.released(1, d(1))) == (450, 450, 150)
    back = funds.need(buying(quantity=d(3)), short, 1, "USD", d(100), Terms(), short=True)
    assert back.cash == 0
