"""Paper orders against a real account: what is reserved, filled, told and kept, with a market that a test sets up."""

import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import connections
from django.utils import timezone

from ingestion import books, latest, store
from ingestion.candles import MINUTE_US, Bar
from ingestion.models import VenueSymbol
from ingestion.orderbook import BookView
from ingestion.providers import SOURCES
from portfolio import accounts, ledger, match, matching, orders, ownbook, positions
from portfolio.ledger import Draft
from portfolio.match import Matcher
from portfolio.models import Order, OrderEvent, Portfolio, Transaction
from streaming.models import Event
from tests.processes import wait_for
from worker import resident
from worker.redis import client, key

d = Decimal


@pytest.fixture(autouse=True)
def empty_floor(own_prefix, settings):
    """Prices, books and changes of this test alone."""
    settings.FEEDS = ["simulated"]


@pytest.fixture
def cash(portfolio):
    ledger.post(portfolio, Draft(type="DEPOSIT", amount=d(1000), at=datetime(2026, 1, 1, tzinfo=UTC)), timezone.now())


@pytest.fixture
def quote():
    """quote(btc, 100, bid=99, ask=101) is the newest the market has said. age_s: how long ago."""

    def quote(instrument, last, bid=None, ask=None, age_s=0.0, source="simulated", **more):
        at = time.time_ns() // 1000 - int(age_s * 1e6)
        told = latest.Latest(
            source=source, price=last, bid=bid, ask=ask, time_us=at, quote_time_us=at, received_us=at, **more
        )
        client().hset(key("latest", source), str(instrument.pk), latest.encode(told))

    return quote


@pytest.fixture
def book():
    """book(btc, bids=[(99, 1)], asks=[(101, 2)]) is the venue's live book."""

    def book(instrument, bids=(), asks=()):
        view = BookView("simulated", "live", tuple(bids), tuple(asks), 1, 0, time.time_ns() // 1000)
        client().hset(key("book", "simulated"), str(instrument.pk), books._encode(view))

    return book


@pytest.fixture
def moved():
    """moved(btc, last=99, low=98, volume=3) is one flush's change."""

    def moved(instrument, last, high=None, low=None, volume=1.0, count=1, age_s=0.0):
        at = time.time_ns() // 1000 - int(age_s * 1e6)
        high, low = high if high is not None else last, low if low is not None else last
        change = latest.Change(instrument.pk, last, high, low, volume, count, at)
        client().xadd(key("changes", "simulated:0"), {"c": latest.pack_changes([change])})

    return moved


@pytest.fixture
def place(portfolio, btc):
    """place(side="BUY", type="LIMIT", quantity=1, price=100) → the order, as it then is."""
    numbers = iter(range(10_000))

    def place(**asked):
        exact = {
            name: d(str(value)) if name in ("quantity", "price", "stop_price", "trail") else value
            for name, value in asked.items()
        }
        wish = {"client_order_id": f"c{next(numbers)}", "instrument": btc, "side": "BUY", "type": "LIMIT"} | exact
        return orders.place(portfolio, orders.Wish(**wish), timezone.now())[0]

    return place


def held(portfolio, instrument):
    book = positions.fold(portfolio.transactions.entries(), portfolio.policy())
    return book.cash.get("USD", d(0)), book.positions.get(instrument.pk, positions.Position()).quantity


def account(portfolio):
    portfolio.refresh_from_db()
    return accounts.account_of(portfolio, accounts.uncommitted_book(portfolio), accounts.open_orders(portfolio))


def steps(order):
    return [(event.before, event.status) for event in order.events.all()]


# --- Placing and filling --------------------------------------------------------------------------------------------


def test_a_market_order_walks_the_book_and_posts_each_level(portfolio, cash, btc, quote, book, place):
    quote(btc, 100.0)
    book(btc, asks=[(100.5, 1.0), (101.0, 4.0)])
    order = place(type="MARKET", quantity=3)
    assert (order.status, order.filled_quantity) == ("FILLED", d(3))
    assert order.average_price == d("100.833333333333333333")
    assert [(f.quantity, f.price) for f in order.fills.all()] == [(d(1), d("100.5")), (d(2), d(101))]
    assert held(portfolio, btc) == (d("697.5"), d(3))
    rows = Transaction.objects.filter(external_id__startswith="order:").values_list("external_id", flat=True)
    assert sorted(rows) == [f"order:{order.pk}:1", f"order:{order.pk}:2"]
    assert steps(order) == [("", "PENDING"), ("PENDING", "PARTIAL"), ("PARTIAL", "FILLED")]
    assert all(event.reason for event in order.events.all())
    assert (order.reserved_cash, order.reserved_units) == (0, 0)


def test_a_limit_order_reserves_its_worst_cost_and_frees_it_when_cancelled(portfolio, cash, btc, quote, place):
    quote(btc, 100.0, bid=99.5, ask=100.5)
    accounts.epoch_of(portfolio)
    portfolio.epochs.update(taker_fee_bps=d(10))
    order = place(quantity=4, price=90)
    assert (order.status, order.reserved_cash) == ("PENDING", d("360.36"))
    assert account(portfolio).available_cash("USD") == d("639.64")
    orders.cancel(order, "Enough.", timezone.now())
    assert account(portfolio).available_cash("USD") == d(1000)
    with pytest.raises(matching.IllegalTransition):
        orders.cancel(order, "Again.", timezone.now())
    with pytest.raises(matching.IllegalTransition):
        orders.expire(order, timezone.now())


def test_fees_are_posted_with_the_fill(portfolio, cash, btc, quote, place):
    accounts.epoch_of(portfolio)
    portfolio.epochs.update(taker_fee_bps=d(10))
    quote(btc, 100.0, bid=99.5, ask=100.0)
    order = place(type="MARKET", quantity=4)
    assert (order.fees, held(portfolio, btc)) == (d("0.4"), (d("599.6"), d(4)))


def test_what_the_account_cannot_cover_is_stored_as_rejected(portfolio, cash, btc, quote, place):
    quote(btc, 100.0)
    rejected = place(quantity=11, price=100)
    assert (rejected.status, steps(rejected)) == ("REJECTED", [("", "REJECTED")])
    assert rejected.reason == "1100 USD are needed, 1000 USD are available: insufficient funds."
    assert "too few to sell" in place(side="SELL", quantity=1, price=100).reason
    assert place(quantity=10, price=100).status == "PENDING"
    assert "0 USD are available" in place(quantity=1, price=1).reason


def test_a_market_order_reserves_with_a_margin(cash, btc, quote, place, settings):
    settings.ORDER_MARKET_MARGIN = "0.05"
    quote(btc, 100.0)
    assert place(type="MARKET", quantity="9.6").status == "REJECTED"
    assert place(type="MARKET", quantity="9.5").status == "FILLED"


def test_without_any_price_a_market_order_is_rejected_and_a_limit_order_waits(cash, place):
    assert "No price of BTC-USD is known" in place(type="MARKET", quantity=1).reason
    waiting = place(quantity=1, price=5)
    assert (waiting.status, waiting.reason) == ("PENDING", "Waiting. No price is known.")


def test_the_venues_rules_are_kept(cash, btc, quote, place):
    quote(btc, 100.0)
    VenueSymbol.objects.create(
        instrument=btc, provider="binance", symbol="BTCUSD", tick_size=d("0.5"), lot_size=d("0.1"), min_notional=d(10)
    )
    assert "tick size" in place(quantity=1, price="99.7").reason
    assert "lot size" in place(quantity="0.15", price=99).reason
    assert "minimum of 10" in place(quantity="0.1", price=99).reason
    assert place(quantity="0.2", price=99).status == "PENDING"
    VenueSymbol.objects.update(valid_until=timezone.now())
    assert "delisted" in place(quantity="0.2", price=99).reason


def test_the_same_wish_gives_the_same_order_and_another_one_is_refused(cash, quote, btc, place):
    quote(btc, 100.0)
    first = place(client_order_id="mine", quantity=1, price=90)
    assert place(client_order_id="mine", quantity=1, price=90) == first
    with pytest.raises(ledger.Refused) as refused:
        place(client_order_id="mine", quantity=2, price=91)
    assert refused.value.errors["client_order_id"].endswith("with another price, quantity.")
    assert Order.objects.count() == 1


def test_an_instrument_in_usdt_is_paid_for_in_dollars(portfolio, cash, eth, quote, place):
    quote(eth, 100.0, bid=99, ask=100)
    order = place(type="MARKET", quantity=2, instrument=eth)
    assert (order.status, order.currency, held(portfolio, eth)) == ("FILLED", "USD", (d(800), d(2)))


def test_selling_short_only_where_the_portfolio_allows_it_and_with_a_margin(portfolio, cash, btc, quote, place):
    quote(btc, 100.0, bid=100, ask=100)
    assert place(side="SELL", type="MARKET", quantity=4).status == "REJECTED"
    Portfolio.objects.filter(pk=portfolio.pk).update(allow_short=True)
    assert place(side="SELL", type="MARKET", quantity=20).status == "REJECTED", "half of 2000 and a margin: too much"
    assert place(side="SELL", type="MARKET", quantity=4).status == "FILLED"
    assert held(Portfolio.objects.get(pk=portfolio.pk), btc) == (d(1400), d(-4))
    assert account(portfolio).available_cash("USD") == d(800)
    assert place(type="MARKET", quantity=4).status == "FILLED"
    assert account(portfolio).available_cash("USD") == d(1000)


# --- When nothing is filled -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "word"),
    [({"age_s": 75.0}, "No fresh price"), ({"suspect": True}, "not believed"), ({"delay_s": 900.0}, "No fresh price")],
)
def test_nothing_is_filled_at_a_price_that_is_not_fit(cash, btc, quote, place, said, word):
    quote(btc, 100.0, **said)
    order = place(type="MARKET", quantity=1)
    assert (order.status, order.filled_quantity) == ("PENDING", 0)
    assert word in order.reason
    at_once = place(type="MARKET", quantity=1, time_in_force="IOC")
    assert (at_once.status, word in at_once.reason) == ("CANCELLED", True)


def test_nothing_is_filled_while_the_venue_has_halted(cash, btc, quote, place):
    quote(btc, 100.0)
    VenueSymbol.objects.create(instrument=btc, provider="simulated", symbol="BTC", status="halted")
    assert "simulated has halted trading" in place(type="MARKET", quantity=1).reason


def test_nothing_is_filled_while_the_market_is_closed(cash, btc, quote, place, matcher):
    btc.calendar = "XNAI"
    btc.save()
    quote(btc, 100.0)
    with time_machine.travel("2026-11-21T12:00:00Z", tick=False):  # a Saturday
        order = place(type="MARKET", quantity=1)
        assert order.reason == "Waiting. The market is closed until 2026-11-23 06:00:00 UTC."
        assert order.expires_at == datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_day_order_around_the_clock_ends_with_the_day_of_utc(cash, btc, quote, place):
    quote(btc, 100.0)
    order = place(quantity=1, price=50)
    day = order.created_at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert order.expires_at == day
    assert orders.expire_due(day - timedelta(seconds=1)) == 0
    assert (orders.expire_due(day), orders.expire_due(day)) == (1, 0)
    order.refresh_from_db()
    assert (order.status, order.reserved_cash) == ("EXPIRED", 0)
    assert place(quantity=1, price=50, time_in_force="GTC").expires_at is None


# --- portfolio.match ------------------------------------------------------------------------------------------------


@pytest.fixture
def matcher(db):
    found = Matcher()
    found.pull()
    return found


def again(matcher):
    matcher.reconcile_at = 0.0
    return matcher.pull()


def test_a_resting_order_is_filled_by_an_extreme_inside_a_flush(portfolio, cash, btc, quote, place, moved, matcher):
    quote(btc, 100.0)
    order = place(quantity=3, price=95)
    assert again(matcher) == 0
    quote(btc, 100.0)
    moved(btc, 100.0, low=94.0, volume=2.0)
    assert again(matcher) == 1
    order.refresh_from_db()
    assert (order.status, order.filled_quantity, order.average_price) == ("PARTIAL", d(2), d(95))
    assert order.reserved_cash == d(95)
    assert order.fills.get().maker
    moved(btc, 95.0, volume=5.0)
    assert again(matcher) == 1, "a tenth of five at the limit"
    moved(btc, 95.0, volume=50.0)
    assert again(matcher) == 1
    order.refresh_from_db()
    assert (order.status, held(portfolio, btc)) == ("FILLED", (d(715), d(3)))


def test_a_move_of_another_source_is_no_trade_of_ours(cash, btc, quote, place, moved, matcher, settings):
    quote(btc, 100.0, source="binance")
    settings.SOURCE_ORDER = ["binance", "simulated"]
    order = place(quantity=3, price=95)
    again(matcher)
    moved(btc, 90.0)
    assert again(matcher) == 0
    order.refresh_from_db()
    assert order.status == "PENDING"


def test_a_trailing_stop_is_kept_where_it_stands(portfolio, cash, btc, quote, place, moved, matcher):
    quote(btc, 100.0, bid=100, ask=100)
    place(type="MARKET", quantity=2)
    order = place(side="SELL", type="TRAILING_STOP", trail=5, quantity=2)
    assert order.stop_price == d(95)
    again(matcher)
    quote(btc, 110.0, bid=109, ask=110)
    moved(btc, 108.0, high=112.0, low=107.5)
    assert again(matcher) == 1
    order.refresh_from_db()
    assert (order.stop_price, order.status) == (d(107), "PENDING")
    quote(btc, 90.0, bid=89, ask=91)
    moved(btc, 90.0)
    assert again(matcher) == 1
    order.refresh_from_db()
    assert (order.status, order.average_price) == ("FILLED", d(89)), "at the first price there is, not at the stop"
    assert [s for _, s in steps(order)] == ["PENDING", "PENDING", "PENDING", "FILLED"][-len(steps(order)) :]


def test_whoever_takes_over_goes_on_where_the_last_one_stopped(cash, btc, quote, place, moved, matcher):
    quote(btc, 100.0)
    order = place(quantity=3, price=95)
    again(matcher)
    del matcher
    quote(btc, 100.0)
    moved(btc, 100.0, low=94.0, volume=1.0)
    Matcher().pull()
    order.refresh_from_db()
    assert order.filled_quantity == 1
    client().delete(key("orders", "cursor"))
    successor = Matcher()
    successor.cursor = {"simulated:0": "0-0"}  # it died before it could say how far it had read
    successor.pull()
    order.refresh_from_db()
    assert order.filled_quantity == 1, "no move counts twice"


def test_what_was_traded_while_nobody_matched_fills_nothing_once_it_is_old(cash, btc, quote, place, moved, matcher):
    quote(btc, 100.0)
    order = place(quantity=3, price=95)
    again(matcher)
    moved(btc, 100.0, low=94.0, age_s=120.0)
    quote(btc, 100.0)
    assert Matcher().pull() == 0
    quote(btc, 94.0)
    assert Matcher().pull() == 1, "but what is offered now does"
    order.refresh_from_db()
    assert order.average_price == d(95)


def test_a_stop_that_was_passed_while_nobody_matched_is_reached_on_return(portfolio, cash, btc, quote, place, matcher):
    quote(btc, 100.0, bid=100, ask=100)
    place(type="MARKET", quantity=2)
    order = place(side="SELL", type="STOP", stop_price=90, quantity=2)
    quote(btc, 80.0, bid=79, ask=81)
    assert Matcher().pull() == 1
    order.refresh_from_db()
    assert (order.status, order.average_price) == ("FILLED", d(79))


def test_without_a_book_only_a_part_of_the_minutes_volume_is_taken(cash, btc, quote, place):
    now_us = time.time_ns() // 1000
    minute = Bar(btc.pk, SOURCES["simulated"], now_us - now_us % MINUTE_US, 100, 100, 100, 100, 20.0, 2000.0, 1,
                 now_us, 1, now_us, 1)  # fmt: skip
    store.copy_candles([minute])
    quote(btc, 100.0, bid=99, ask=100)
    order = place(type="MARKET", quantity=3, time_in_force="GTC")
    assert (order.status, order.filled_quantity) == ("PARTIAL", d(2))
    other = place(type="MARKET", quantity=1)
    assert (other.status, "volume" in other.reason) == ("PENDING", True)


def test_another_row_of_the_ledger_cancels_the_orders_that_it_leaves_uncovered(portfolio, cash, btc, quote, place):
    quote(btc, 100.0)
    first, second = place(quantity=4, price=90), place(quantity=4, price=90)
    ledger.post(portfolio, Draft(type="WITHDRAWAL", amount=d(500), at=timezone.now()), timezone.now())
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("PENDING", "CANCELLED")
    assert second.reason == "A row of the ledger took USD that it needs."


def test_units_that_are_sold_past_an_order_end_it(portfolio, cash, btc, quote, place):
    quote(btc, 100.0, bid=100, ask=100)
    place(type="MARKET", quantity=2)
    order = place(side="SELL", quantity=2, price=200)
    sold = Draft(type="SELL", instrument=btc, quantity=d(1), price=d(100), at=timezone.now())
    ledger.post(portfolio, sold, timezone.now())
    order.refresh_from_db()
    assert (order.status, order.reserved_units) == ("CANCELLED", 0)


@pytest.mark.django_db(transaction=True)
def test_the_resident_matches_until_its_lease_is_gone(portfolio, cash, btc, quote, place, moved, settings):
    settings.LEASE_TTL_S = 1.0
    settings.ORDER_PULL_INTERVAL_MS = 20
    quote(btc, 100.0)
    order = place(quantity=3, price=95)
    life = threading.Thread(target=match.match, args=("0",))
    life.start()
    try:
        wait_for(lambda: client().exists(key("orders", "cursor")))
        moved(btc, 100.0, low=94.0, volume=9.0)
        wait_for(lambda: Order.objects.get(pk=order.pk).status == "FILLED")
    finally:
        client().delete(key("lease", "portfolio.match:0"))
        life.join(15)
    assert not life.is_alive()


def test_the_matcher_is_kept_alive():
    (wanted,) = [one for one in resident.registry.values() if one.name == "portfolio.match"]
    assert (wanted.task, list(wanted.shards())) == (match.match.name, ["0"])


def test_an_order_that_is_over_meanwhile_is_left_alone(cash, btc, quote, place, moved, matcher):
    quote(btc, 100.0)
    first, second = place(quantity=1, price=95), place(quantity=1, price=95)
    again(matcher)
    Order.objects.filter(pk=first.pk).update(status="FILLED", filled_quantity=1, reserved_cash=0)  # behind its back
    quote(btc, 100.0)
    moved(btc, 94.0, volume=9.0)
    assert matcher.pull() == 1
    second.refresh_from_db()
    assert second.status == "FILLED"


# --- Epochs ---------------------------------------------------------------------------------------------------------


def test_a_reset_archives_and_begins_anew(portfolio, cash, btc, quote, place):
    quote(btc, 100.0, bid=100, ask=100)
    place(type="MARKET", quantity=2)
    waiting = place(quantity=1, price=50)
    epoch = orders.reset(portfolio, timezone.now(), "Again.", d(500))
    waiting.refresh_from_db()
    assert (waiting.status, waiting.reason) == ("CANCELLED", "The account was reset.")
    assert (epoch.number, held(portfolio, btc)) == (2, (d(500), d(0)))
    old = portfolio.epochs.get(number=1)
    assert old.closing["positions"] == {"BTC-USD": {"quantity": "2", "cost_basis": "200"}}
    assert (old.closing["cash"], portfolio.transactions.count()) == ({"USD": "800"}, 3)
    bought = portfolio.transactions.get(type="BUY")
    with pytest.raises(ledger.Refused):
        ledger.reverse(bought)
    assert place(type="MARKET", quantity=1).epoch == epoch


# --- Two at once ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_hundred_orders_from_fifty_threads_never_overspend(portfolio, cash, btc, quote):
    quote(btc, 100.0, bid=100, ask=100)
    placed, lock = [], threading.Lock()

    def buy(first):
        try:
            for number in range(first, 200, 50):
                wish = orders.Wish(
                    client_order_id=f"t{number}", instrument=btc, side="BUY", quantity=d("0.3"),
                    type=("MARKET", "LIMIT")[number % 2], price=None if number % 2 == 0 else d("90"),
                )  # fmt: skip
                order, _ = orders.place(portfolio, wish, timezone.now())
                with lock:
                    placed.append(order)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=buy, args=(i,)) for i in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(placed) == 200
    now = account(portfolio)
    left = now.available_cash("USD")
    assert 0 <= left < d(31), "and no order that would have fitted was refused"
    spent = sum(order.filled_value for order in placed)
    assert now.cash["USD"] == 1000 - spent
    assert now.cash["USD"] - sum(order.reserved_cash for order in Order.objects.open()) == left
    assert {order.status for order in placed} == {"FILLED", "PENDING", "REJECTED"}
    told = Event.objects.filter(topic=f"orders:{portfolio.owner_id}").order_by("seq").values_list("seq", flat=True)
    assert list(told) == list(range(1, OrderEvent.objects.count() + 1))


@pytest.mark.django_db(transaction=True)
def test_one_order_sent_and_cancelled_by_many_at_once_is_one(portfolio, cash, btc, quote):
    quote(btc, 100.0)
    wish = orders.Wish(client_order_id="a", instrument=btc, side="BUY", type="LIMIT", quantity=d(1), price=d(90))
    placed, cancelled, over = [], [], []

    def one():
        try:
            placed.append(orders.place(portfolio, wish, timezone.now()))
            try:
                cancelled.append(orders.cancel(placed[0][0], "Enough.", timezone.now()))
            except matching.IllegalTransition as error:
                over.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len({order.pk for order, _ in placed}), sum(new for _, new in placed)) == (1, 1)
    assert (len(cancelled), len(over)) == (1, 7)
    assert account(portfolio).available_cash("USD") == 1000


def test_an_account_has_so_many_open_orders_and_no_more(cash, btc, quote, place, settings):
    settings.ORDER_OPEN_MAX = 2
    quote(btc, 100.0)
    assert [place(quantity=1, price=90).status for _ in range(3)] == ["PENDING", "PENDING", "REJECTED"]


def test_the_own_book_adds_up_what_remains(portfolio, cash, btc, quote, place, moved, matcher):
    quote(btc, 100.0)
    place(quantity=2, price=90)
    place(quantity="1.5", price=90)
    place(quantity=1, price=91)
    place(type="STOP_LIMIT", side="BUY", stop_price=120, price=121, quantity=1)
    again(matcher)
    quote(btc, 100.0)
    moved(btc, 100.0, low=90.5, volume=0.25)
    again(matcher)
    assert ownbook.levels("BTC-USD") == {
        "symbol": "BTC-USD",
        "bids": [{"price": "91", "quantity": "0.75"}, {"price": "90", "quantity": "3.5"}],
        "asks": [],
    }
    assert ownbook.levels("NOPE") == {"symbol": "NOPE", "bids": [], "asks": []}
