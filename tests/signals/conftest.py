from datetime import UTC, datetime

import pytest

from ingestion import store
from ingestion.candles import MINUTE_US, Bar
from ingestion.models import Instrument
from ingestion.providers import SOURCES
from ingestion.symbols import forget

# The close of the last bar that `candles` stores.
CLOSED = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def fresh_symbols():
    forget()


@pytest.fixture
def btc(db):
    return Instrument.objects.create(symbol="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")


def make_bars(closes, instrument_id=1, source="simulated", closed=CLOSED, final=True):
    """1-minute bars that close at these prices, the last of them at `closed`; each reaches 1 above and below."""
    first_us = store.to_us(closed) - len(closes) * MINUTE_US
    return [
        Bar(
            instrument_id, SOURCES[source], time_us, close, close + 1, close - 1, close, 1.0, close, 1,
            time_us, i, time_us, i, final=final,
        )
        for i, close in enumerate(closes)
        for time_us in [first_us + i * MINUTE_US]
    ]  # fmt: skip


@pytest.fixture
def candles(btc):
    """candles([100.0, …]) stores them, the last one closing at `closed`."""

    def candles(closes, **how):
        store.copy_candles(make_bars(closes, btc.id, **how))

    return candles


def falling_then(*last):
    """Long enough a fall for every strategy, then these closes: the fast average lies below the slow one before."""
    return [200.0 - i for i in range(60)] + list(last)
