from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ingestion.models import Instrument
from portfolio import currencies, marks, valuation
from portfolio.positions import Book, Position
from portfolio.valuation import Holding, Mark

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ONE = {"USD": Decimal(1), "USDT": Decimal(1)}
HOLDINGS = {1: Holding("BTC-USD", "USD"), 2: Holding("SCOM", "KES")}


def book(cash="1000", **held):
    made = Book()
    made.cash = {"USD": Decimal(cash)}
    for name, (quantity, cost) in held.items():
        made.positions[{"btc": 1, "scom": 2}[name]] = Position(Decimal(quantity), Decimal(cost), Decimal(cost))
    return made


def mark(price, change=None, quality=valuation.LIVE):
    previous = None if change is None else Decimal(price) - Decimal(change)
    return Mark(Decimal(price), NOW, quality, previous, NOW - timedelta(days=1))


def test_value_is_holdings_at_their_prices_and_cash():
    worth = valuation.value(book(btc=("0.5", "40000")), HOLDINGS, {1: mark("97000", "1000")}, ONE, NOW)
    assert (worth.total_value, worth.market_value, worth.cash) == (49500, 48500, 1000)
    assert (worth.unrealized, worth.daily_change) == (8500, 500)
    assert worth.daily_change_percent == Decimal("1.020408163265306122")  # 500 of 49000


def test_a_missing_price_is_not_zero():
    worth = valuation.value(book(btc=("0.5", "40000")), HOLDINGS, {}, ONE, NOW)
    assert worth.unpriced == {"BTC-USD": "There is no price for BTC-USD."}
    assert worth.positions[0].value is None
    assert (worth.total_value, worth.unrealized) == (1000, 0)  # the loss of 40000 is not claimed


def test_a_missing_rate_leaves_the_price_and_no_value():
    worth = valuation.value(book(scom=("10", "170")), HOLDINGS, {2: mark("17")}, ONE, NOW)
    assert worth.unpriced == {"SCOM": "There is no rate for KES."}
    assert (worth.positions[0].price, worth.positions[0].value) == (17, None)


def test_cash_without_a_rate_is_left_out_and_said():
    held = book()
    held.cash["KES"] = Decimal(5)
    worth = valuation.value(held, HOLDINGS, {}, ONE, NOW)
    assert (worth.cash, worth.unpriced) == (1000, {"KES": "There is no rate for KES."})


def test_an_old_price_counts_and_is_said_to_be_old():
    worth = valuation.value(book(btc=("1", "1")), HOLDINGS, {1: mark("5", quality=valuation.LATE)}, ONE, NOW)
    assert (worth.market_value, worth.late) == (5, True)
    assert worth.stale == {"BTC-USD": "There is no newer price: of 2026-11-21 12:00:00 UTC, 0 s old."}


def test_the_payload_has_numbers_and_the_same_exactly():
    worth = valuation.value(book(btc=("0.00001", "1")), HOLDINGS, {1: mark("0.1")}, ONE, NOW)
    data = valuation.payload(7, "Savings", worth)
    assert data["total_value"] == pytest.approx(1000.000001)
    assert data["exact"]["total_value"] == "1000.000001"
    assert data["positions"] == [
        {"symbol": "BTC-USD", "quantity": 1e-05, "price": 0.1, "value": 1e-06, "unrealized_pnl": -0.999999}
    ]
    assert data["exact"]["positions"]["BTC-USD"]["value"] == "0.000001"
    assert data["as_of"] == "2026-11-21T12:00:00.000000Z"


def test_nothing_at_all_has_moved_by_nothing():
    worth = valuation.value(Book(), {}, {}, ONE, NOW)
    assert (worth.total_value, worth.daily_change_percent) == (0, 0)


def test_a_stablecoin_counts_as_its_currency(portfolio, post, eth, say):
    post("DEPOSIT", amount="5000")
    post("BUY", eth, quantity="1", price="3400")
    say(eth, 3500.0)
    worth = marks.value_portfolio(portfolio, datetime.now(UTC))
    assert worth.unpriced == {}
    assert (worth.total_value, worth.unrealized, worth.overdrawn) == (5100, 100, ["USDT"])


def test_euros_are_worth_what_the_latest_rate_says_either_way_round(db, say):
    pair = Instrument.objects.create(symbol="EURUSD=X", name="Euro", kind="fx", currency="USD")
    assert currencies.rates("USD", ["EUR"]) == {"USD": 1}
    say(pair, 1.25)
    assert currencies.rates("USD", ["EUR", "USDT"]) == {"USD": 1, "USDT": 1, "EUR": Decimal("1.25")}
    assert currencies.rates("EUR", ["USD"]) == {"EUR": 1, "USD": Decimal("0.8")}


def test_an_old_price_is_stale(portfolio, post, btc, say):
    post("BUY", btc, quantity="1", price="100")
    say(btc, 110.0, age_s=3600)
    worth = marks.value_portfolio(portfolio, datetime.now(UTC))
    assert (list(worth.stale), worth.market_value) == (["BTC-USD"], 110)
