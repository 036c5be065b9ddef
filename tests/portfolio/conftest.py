import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ingestion import latest
from ingestion.models import Instrument
from ingestion.symbols import forget
from portfolio import ledger
from portfolio.ledger import Draft
from portfolio.models import Portfolio
from worker.redis import client, key

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_prices():
    """Each test begins with an empty market, and with symbols looked up anew."""
    forget()
    client().delete(key("latest", "simulated"), key("latest", "binance"), key("portfolio", "told"), key("demand"))


@pytest.fixture
def btc(db):
    return Instrument.objects.create(symbol="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")


@pytest.fixture
def eth(db):
    return Instrument.objects.create(symbol="ETH-USDT", name="Ether", kind="crypto", currency="USDT")


@pytest.fixture
def portfolio(alice):
    return Portfolio.objects.create(owner=alice, name="Savings")


@pytest.fixture
def post(portfolio):
    """post("BUY", btc, quantity="1", price="100") adds a row to alice's ledger."""

    def post(type, instrument=None, at=datetime(2026, 1, 1, tzinfo=UTC), now=NOW, **figures):
        exact = {
            name: Decimal(value) if name in ("quantity", "price", "amount", "fee", "fx_rate") else value
            for name, value in figures.items()
        }
        row, _ = ledger.post(portfolio, Draft(type=type, at=at, instrument=instrument, **exact), now)
        return row

    return post


@pytest.fixture
def say():
    """say(btc, 100.0, change=2.0) puts a latest price into the market. age_s: how old it is."""

    def say(instrument, price, change=None, age_s=0.0, source="binance"):
        time_us = time.time_ns() // 1000 - int(age_s * 1e6)
        told = latest.Latest(source=source, price=price, change=change, time_us=time_us, received_us=time_us)
        client().hset(key("latest", source), str(instrument.id), latest.encode(told))

    return say
