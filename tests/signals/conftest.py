import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from django.db import connection

from ingestion import partitions, store
from ingestion.candles import MINUTE_US, Bar
from ingestion.models import Instrument
from ingestion.providers import SOURCES
from ingestion.symbols import forget
from ingestion.ticks import VenueBar
from portfolio.models import MinuteSnapshot
from signals.candles import DAY_US, Candles

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


@pytest.fixture
def revise(btc):
    """revise(minutes_ago, close): that minute's bar is another now, as after a late trade."""

    def revise(minutes_ago, close, final=True):
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE candle_1m SET close = %s, high = greatest(high, %s), rev = rev + 1, final = %s "
                "WHERE instrument_id = %s AND time = %s",
                [close, close, final, btc.id, CLOSED - timedelta(minutes=minutes_ago + 1)],
            )
            assert cursor.rowcount == 1

    return revise


def falling_then(*last):
    """Long enough a fall for every strategy, then these closes: the fast average lies below the slow one before."""
    return [200.0 - i for i in range(60)] + list(last)


def market(length, seed=3):
    """A made-up walk in sessions of fifty bars."""
    rng = random.Random(seed)
    rows, close = [], 100.0
    for _ in range(length):
        opened, close = close, close * (1 + rng.gauss(0, 0.01))
        rows.append((opened, max(opened, close) * 1.002, min(opened, close) * 0.997, close, rng.uniform(1, 50)))
    times = np.arange(length, dtype=np.int64)
    return Candles(MINUTE_US, times * MINUTE_US, *(column.copy() for column in np.array(rows).T), times // 50)


def daily(instrument, closes, first, source="yahoo"):
    """Final daily bars of a venue, each reaching from 2 below its close to 3 above."""
    bars = [
        VenueBar(
            symbol=instrument.symbol, interval="1d", time_us=time_us, open=close - 1, high=close + 3, low=close - 2,
            close=close, volume=10.0, quote_volume=None, trades=None, final=True, received_us=time_us + DAY_US,
        )
        for n, close in enumerate(closes)
        for time_us in [store.to_us(first) + n * DAY_US]
    ]  # fmt: skip
    store.write_venue_bars(SOURCES[source], bars, {instrument.symbol: instrument.id})


def snapshot(portfolio, at, total, invested):
    """What a portfolio was worth in a minute."""
    if store.storage_kind() == store.NATIVE:
        partitions.ensure(MinuteSnapshot._meta.db_table, {partitions.week_of(store.to_us(at))})
    MinuteSnapshot.objects.create(
        portfolio=portfolio, time=at.replace(second=0), version=1, total_value=Decimal(total),
        market_value=Decimal(total), cash=0, net_invested=Decimal(invested), realized_pnl=0, unrealized_pnl=0,
        stale=False,
    )  # fmt: skip
