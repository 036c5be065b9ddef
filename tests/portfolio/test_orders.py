"""Paper orders against a real account: what is reserved, filled, told and kept, with a market that a test sets up."""

import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, connections
from django.utils import timezone

from ingestion import books, latest
from ingestion.models import VenueSymbol
from ingestion.orderbook import BookView
from portfolio import accounts, ledger, matching, orders, ownbook, positions
from portfolio.ledger import Draft
from portfolio.match import Matcher
from portfolio.models import Fill, Order, OrderEvent, Portfolio, Transaction
from streaming.models import Event
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
    book = positions.fold(portfolio.transactions.entries())
    return book.cash.get("USD", d(0)), book.positions.get(instrument.pk, positions.Position()).quantity


def test_a_market_order_walks_the_book_and_posts_each_level(portfolio, cash, btc, quote, book, place):
    quote(btc, 100.0)
    book(btc, asks=[(100.5, 1.0), (101.0, 4.0)])
    order = place(type="MARKET", quantity=3)
    assert (order.status, order.filled_quantity, order.average_price) == ("FILLED", d(3), stored("100.833333333333333333"))
    assert [(f.quantity, f.price) for f in order.fills.all()] == [(d(1), d("100.5")), (d(2), d(101))]
    assert held(portfolio, btc) == (d("697.5"), d(3))
    rows = Transaction.objects.filter(external_id__startswith="order:").values_list("external_id", flat=True)
    assert sorted(rows) == [f"order:{order.pk}:1", f"order:{order.pk}:2"]
    assert [(e.before, e.status) for e in order.events.all()] == [("", "PENDING"), ("PENDING", "PARTIAL"), ("PARTIAL", "FILLED")]
    assert (order.reserved_cash, order.reserved_units) == (0, 0)


def stored(text):
    return d(text)
