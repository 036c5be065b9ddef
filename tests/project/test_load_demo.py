import io

import pytest
from django.core.management import call_command
from django.utils import timezone

from ingestion import store, symbols
from ingestion.models import Instrument, VenueSymbol, WatchlistItem
from portfolio import positions
from portfolio.models import Portfolio, Transaction
from signals.models import SignalSubscription


@pytest.fixture
def short(monkeypatch):
    """An hour of history instead of three days."""
    from project.management.commands import load_demo

    monkeypatch.setattr(load_demo, "HISTORY", load_demo.timedelta(hours=1))


def load():
    out = io.StringIO()
    call_command("load_demo", stdout=out)
    return out.getvalue()


def rows():
    models = (Instrument, VenueSymbol, Portfolio, Transaction, SignalSubscription, WatchlistItem)
    return [model.objects.count() for model in models]


def test_it_loads_a_market_a_user_and_a_ledger(db, short, django_user_model, client):
    said = load()
    assert "transactions … 17" in said
    assert rows() == [12, 32, 1, 17, 6, 5]
    assert client.login(username="demo", password="demo")
    assert django_user_model.objects.get(username="admin").is_superuser
    book = positions.fold(Portfolio.objects.get().transactions.entries())
    assert len(book.held) == 8
    assert book.overdrawn == []


def test_its_candles_reach_up_to_this_minute(db, short):
    load()
    bars = store.candles(Instrument.objects.get(symbol="AAPL").id, "1m")
    assert len(bars) >= 59
    assert all(bar.final for bar in bars)
    assert (timezone.now() - store.to_datetime(bars[-1].time_us)).total_seconds() < 180


def test_loading_again_changes_nothing(db, short):
    load()
    before = rows()
    assert "transactions … 0" in load()
    assert rows() == before


def test_outside_development_there_are_no_demo_users(db, short, settings, django_user_model):
    settings.DEVELOPMENT = False
    load()
    assert not django_user_model.objects.exists()


def test_every_venue_knows_some_of_it(db, short, settings):
    settings.SYMBOLS = []
    load()
    assert set(symbols.followed("coinbase", [])) == {"BTC-USD", "BTC-USDT", "ETH-USDT", "SOL-USDT"}
    assert set(symbols.followed("kraken", [])) == {"BTC/USD", "BTC/USDT", "ETH/USDT", "SOL/USDT", "EUR/USD"}
    assert {"AAPL", "BRK.B", "BINANCE:BTCUSDT", "OANDA:EUR_USD"} <= set(symbols.followed("finnhub", []))
    assert len(symbols.followed("simulated", [])) == 12
