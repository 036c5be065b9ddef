"""What is read from disk, and what is made of it."""

import datetime as dt

import numpy as np
import pytest
from django.db import connection, transaction

from ingestion import partitions, store, tasks
from ingestion.candles import INTERVALS, MINUTE_US, Bar
from ingestion.models import Quarantined
from ingestion.providers import SOURCES
from ingestion.store import minutes, to_datetime, to_us
from ingestion.store import times as times_sql
from ingestion.ticks import POSTGRES_EPOCH_US, TRADE_DTYPE, pack_quotes
from tests.ingestion.rows import BTC, DAY_START, ETH, SIMULATED, T0, packed, quote, stored, trade, trade_ids

pytestmark = [pytest.mark.storage, pytest.mark.usefixtures("tick_tables_in_transaction")]

BINANCE = SOURCES["binance"]
DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)


def bar(minute, close=100.0, instrument_id=BTC, source=SIMULATED, final=True, rev=0, volume=1.0):
    """The bar of one minute after T0: one trade, whose id is the minute's number."""
    at = T0 + minute * MINUTE_US
    return Bar(
        instrument_id, source, at, close, close + 1, close - 1, close, volume, close * volume, 1,
        at, minute, at + 1, minute, final=final, rev=rev,
    )  # fmt: skip


def times(bars):
    """Minutes after T0."""
    return [(b.time_us - T0) // MINUTE_US for b in bars]


def save_trades(*trades, source=SIMULATED):
    rows = packed(*trades, source=source)
    store.ensure_partitions("trade", np.frombuffer(rows, TRADE_DTYPE)["time"].astype(np.int64) + POSTGRES_EPOCH_US)
    with transaction.atomic():
        store.copy_rows("trade", rows)


def test_times_survive_the_way_to_disk_and_back():
    for time_us in (T0 + 1, 1_795_220_000_123_457, -1):
        assert to_us(to_datetime(time_us)) == time_us
        assert stored(f"SELECT {times_sql.us('%s::timestamptz')}", to_datetime(time_us)) == [(time_us,)]
        assert stored(f"SELECT {times_sql.timestamp('%s')}", time_us) == [(to_datetime(time_us),)]


# --- Candles


def test_bars_made_elsewhere_are_read_back_as_they_were():
    bars = [bar(0, 64_123.45), bar(1, 1e-8, volume=0.1 + 0.2), bar(2, final=False, rev=3)]
    assert store.copy_candles(bars) == 3
    assert store.candles(BTC, "1m", DAY_START) == bars


def test_bars_that_exist_stay_as_they_are():
    store.copy_candles([bar(0, 100)])
    assert store.copy_candles([bar(0, 200), bar(1, 300)]) == 1
    assert [b.close for b in store.candles(BTC, "1m")] == [100, 300]
    assert store.copy_candles([]) == 0


def test_a_range_of_bars():
    store.copy_candles([bar(i) for i in range(10)] + [bar(0, instrument_id=ETH)])
    assert times(store.candles(BTC, "1m", DAY_START + 2 * MINUTE, DAY_START + 5 * MINUTE)) == [2, 3, 4]
    assert times(store.candles(BTC, "1m", DAY_START, limit=3)) == [0, 1, 2]
    assert times(store.candles(BTC, "1m", limit=3)) == [7, 8, 9]
    assert times(store.candles(BTC, "1m", end=DAY_START + 5 * MINUTE, limit=3)) == [2, 3, 4]
    assert store.candles(99, "1m") == store.candles(BTC, "1m", DAY_START + DAY) == []


def test_the_newest_bars_are_found_behind_a_closed_market():
    store.copy_candles([bar(0), bar(1), bar(10_000)])
    assert times(store.candles(BTC, "1m", limit=2)) == [1, 10_000]
    assert times(store.candles(BTC, "5m", limit=2)) == [0, 10_000]


def test_longer_bars_are_made_of_minutes():
    store.copy_candles([bar(i, 100 + i, rev=i % 2) for i in (0, 1, 4, 5, 16)])
    first, second, third = store.candles(BTC, "5m", DAY_START)
    assert (first.open, first.high, first.low, first.close) == (100, 105, 99, 104)
    assert (first.volume, first.quote_volume, first.trades, first.rev) == (3, 305, 3, 1)
    assert (first.first_id, first.last_id, first.final, first.interval) == (0, 4, True, "5m")
    assert times([first, second, third]) == [0, 5, 15]


def test_a_longer_bar_is_not_shown_in_part():
    store.copy_candles([bar(i) for i in range(20)])
    found = store.candles(BTC, "5m", DAY_START + 3 * MINUTE)
    assert times(found) == [5, 10, 15]
    assert [b.trades for b in store.candles(BTC, "5m", limit=2)] == [5, 5]


def test_a_longer_bar_is_final_when_its_minutes_are_and_its_time_is_over():
    store.copy_candles([bar(0), bar(1, final=False), bar(5)])
    assert [b.final for b in store.candles(BTC, "5m")] == [False, True]

    now_minutes = (to_us(dt.datetime.now(dt.UTC)) - T0) // MINUTE_US
    store.copy_candles([bar(now_minutes - 1, instrument_id=ETH)])
    assert store.candles(ETH, "1m")[0].final is True
    assert store.candles(ETH, "1d")[-1].final is (now_minutes % 1440 == 0)


@pytest.mark.parametrize("interval", [i for i in INTERVALS if i != "1m"])
def test_the_views_say_the_same(interval):
    store.copy_candles([bar(i * 7, 100 + i % 13, final=i != 400) for i in range(500)])
    found = store.candles(BTC, interval, DAY_START, limit=5_000)
    viewed = stored(f"SELECT {minutes.CANDLE} FROM candle_{interval} AS c ORDER BY c.time")
    assert [minutes.bar_of(row, interval) for row in viewed] == found
    assert len(found) > 2


def test_every_interval_divides_the_day_alike():
    store.copy_candles([bar(i) for i in range(1440)])
    for interval, step_us in INTERVALS.items():
        bars = store.candles(BTC, interval, DAY_START, limit=1440)
        assert [b.time_us for b in bars] == list(range(T0, T0 + 1440 * MINUTE_US, step_us))


def test_the_best_source_in_the_range_is_chosen(settings):
    settings.SOURCE_ORDER = ["binance", "simulated"]
    store.copy_candles([bar(i) for i in (0, 1, 5_000)] + [bar(i, source=BINANCE) for i in (0, 1)])
    assert {b.source for b in store.candles(BTC, "1m", DAY_START)} == {BINANCE}
    assert {b.source for b in store.candles(BTC, "1m", DAY_START, source=SIMULATED)} == {SIMULATED}
    # The newest bars come from the source that has them, not from the better one's of long ago.
    assert {b.source for b in store.candles(BTC, "1m", limit=10)} == {SIMULATED}


def test_final_candles_since():
    store.copy_candles([bar(0), bar(1), bar(1, instrument_id=ETH), bar(2, final=False), bar(3)])
    found = store.final_candles_since(DAY_START + MINUTE)
    assert [(b.instrument_id, (b.time_us - T0) // MINUTE_US) for b in found] == [(BTC, 1), (ETH, 1), (BTC, 3)]
    assert len(store.final_candles_since(DAY_START, limit=2)) == 2


# --- Trades


def test_trades_in_pages():
    save_trades(*(trade(i, i // 2) for i in range(10)), trade(1, 1, symbol="ETH"))
    save_trades(trade(3, 1), source=BINANCE)
    seen, after = [], None
    while page := store.trades(BTC, DAY_START, limit=4, after=after):
        seen += page
        after = page[-1].place
    assert [(t.source, t.trade_id) for t in seen] == [
        (1, 0), (1, 1), (1, 2), (1, 3), (2, 3), (1, 4), (1, 5), (1, 6), (1, 7), (1, 8), (1, 9)
    ]  # fmt: skip
    assert [t.trade_id for t in store.trades(BTC, limit=3)] == [7, 8, 9]
    assert [t.trade_id for t in store.trades(BTC, limit=2, after=seen[7].place)] == [7, 8]
    second = dt.timedelta(seconds=1)
    assert [t.trade_id for t in store.trades(BTC, DAY_START + second, DAY_START + 2 * second)] == [2, 3, 3]


def test_a_trade_is_read_as_it_came():
    save_trades(trade(7, 1.000001, 61_234.56, 0.00001, side=-1))
    (found,) = store.trades(BTC)
    assert (found.time_us, found.received_us, found.side) == (T0 + 1_000_001, T0 + 1_001_001, -1)
    assert (found.price, found.quantity) == (61_234.56, 0.00001)


def test_export_streams_in_order():
    save_trades(*(trade(i, 100 - i) for i in range(25)))
    chunks = list(store.export("trade", BTC, DAY_START, DAY_START + DAY, chunk_rows=10))
    assert [len(chunk) for chunk in chunks] == [10, 10, 5]
    assert [row[4] for chunk in chunks for row in chunk] == list(range(24, -1, -1))
    assert chunks[0][0][0] == DAY_START + dt.timedelta(seconds=76)
    assert list(store.export("quote", BTC)) == []


# --- Partitions and chunks


def test_rows_of_any_week_find_room():
    at_s = [0, 86_400 * 3, 86_400 * 4, 86_400 * 365]
    save_trades(*(trade(i, s) for i, s in enumerate(at_s)))
    assert trade_ids() == [0, 1, 2, 3]


def test_weeks_begin_on_monday():
    sunday = dt.datetime(2024, 8, 11, 23, 59, 59, 999_999, tzinfo=dt.UTC)
    monday = dt.datetime(2024, 8, 12, tzinfo=dt.UTC)
    before, after = (partitions.week_of(to_us(t)) for t in (sunday, monday))
    assert after == before + 1
    far = [0, to_us(sunday), to_us(monday)]
    assert partitions.weeks(np.array(far, np.int64)) == {-1, before, after}


def test_a_dropped_partition_is_made_again():
    if store.storage_kind() == store.TIMESCALE:
        pytest.skip("TimescaleDB makes its chunks itself")
    save_trades(trade(1))
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE trade_20240805")
    save_trades(trade(2))
    assert trade_ids() == [2]


def test_partitions_are_made_ahead_and_the_quarantine_is_bounded(settings):
    settings.QUARANTINE_MAX_ROWS = 3
    settings.QUARANTINE_MAX_ROWS_AT_ONCE = 4
    received = dt.datetime(2024, 8, 8, tzinfo=dt.UTC)
    ticks = [Quarantined(provider="p", symbol=str(i), reason="r", raw=b"", received_at=received) for i in range(9)]
    assert store.quarantine(ticks) == 4

    tasks.keep_partitions()

    assert sorted(q.symbol for q in Quarantined.objects.all()) == ["1", "2", "3"]
    assert tasks.keep_partitions() == 0


def test_the_quotes_of_a_batch_are_stored_once():
    rows = pack_quotes([quote(1), quote(2, 61)], {"BTC": BTC}, SIMULATED)
    store.ensure_partitions("quote", np.array([T0], np.int64))
    with transaction.atomic():
        assert len(store.insert_new("quote", rows)) == 2
        assert store.insert_new("quote", rows) == []
