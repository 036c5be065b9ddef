"""Bars are a function of the trades, not of their order or their batches."""

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.calendar import Session, Table
from ingestion.candles import INTERVALS, MINUTE_US, Bar, OpenBars, bars, bucket_us, fold, merge
from ingestion.ticks import BACKFILL, IRREGULAR, SUSPECT, Trade, pack_trades, unpack_trades

T0 = 1_723_161_600_000_000  # 2024-08-09 00:00 UTC
IDS = {"BTC": 11, "ETH": 12}


def trade(trade_id, at_s=0.0, price=100.0, quantity=1.0, symbol="BTC", flags=0):
    return Trade(symbol, T0 + round(at_s * 1e6), T0, trade_id, price, quantity, flags=flags)


def rows(*trades):
    return unpack_trades(pack_trades(trades, IDS, 2))


def folded(*trades):
    return bars(fold(rows(*trades)))


def test_a_minute_of_trades_is_one_bar():
    (bar,) = folded(trade(1, 0, 100, 2), trade(2, 10, 103, 1), trade(3, 20, 99, 1), trade(4, 59.999999, 101, 4))
    assert bar == Bar(
        11, 2, T0, 100, 103, 99, 101, 8, 806, 4, T0, 1, T0 + 59_999_999, 4,
    )  # fmt: skip
    assert bar.vwap == pytest.approx(100.75)


def test_open_and_close_go_by_time_then_id_never_by_arrival():
    late, early = trade(9, 5, 105), trade(3, 1, 101)
    same_time = trade(8, 5, 104)
    (bar,) = folded(late, early, same_time)
    assert (bar.open, bar.close) == (101, 105)
    assert (bar.first_id, bar.last_id) == (3, 9)


def test_minutes_and_instruments_are_apart_and_a_full_minute_starts_the_next():
    made = folded(trade(1, 59.9), trade(2, 60), trade(1, 0, symbol="ETH"), trade(3, -0.000001))
    assert [(b.instrument_id, b.time_us, b.trades) for b in made] == [
        (11, T0 - MINUTE_US, 1), (11, T0, 1), (11, T0 + MINUTE_US, 1), (12, T0, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("flags", [SUSPECT, IRREGULAR, SUSPECT | IRREGULAR, IRREGULAR | BACKFILL])
def test_suspect_and_irregular_trades_are_left_out_altogether(flags):
    (bar,) = folded(trade(1), trade(2, 1, 10_000, 50, flags=flags))
    assert (bar.high, bar.volume, bar.trades) == (100, 1, 1)
    assert folded(trade(1, flags=flags)) == []


def test_no_trades_no_bars_and_the_rows_are_left_alone():
    assert folded() == []
    given_rows = rows(trade(2, 5), trade(1, 1))
    before = given_rows.tobytes()
    fold(given_rows)
    assert given_rows.tobytes() == before


def test_no_quantities_no_average_price():
    (bar,) = folded(trade(1, quantity=0.0))
    assert bar.vwap is None


@pytest.mark.parametrize("interval", INTERVALS)
def test_buckets_divide_the_utc_day(interval):
    assert 86_400_000_000 % INTERVALS[interval] == 0
    assert bucket_us(T0, interval) == T0
    assert bucket_us(T0 + INTERVALS[interval] - 1, interval) == T0
    assert bucket_us(T0 - 1, interval) == T0 - INTERVALS[interval]


trades = st.lists(
    st.tuples(st.integers(0, 150), st.integers(1, 10_000), st.integers(0, 1000), st.sampled_from(["BTC", "ETH"])),
    min_size=1,
    max_size=60,
).map(
    lambda drawn: [
        # Quarters, so that float64 sums are exact and bars can be compared as a whole.
        trade(i, at_s, price / 4, quantity / 4, symbol)
        for i, (at_s, price, quantity, symbol) in enumerate(drawn)
    ]
)


@given(trades, st.randoms(use_true_random=False), st.lists(st.integers(0, 60), max_size=6))
def test_any_permutation_and_any_batches_give_the_same_bars(whole, draw, cuts):
    shuffled = draw.sample(whole, len(whole))
    edges = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    held = {}
    for start, end in itertools.pairwise(edges):
        for bar in folded(*shuffled[start:end]):
            key = (bar.instrument_id, bar.time_us)
            held[key] = merge(held[key], bar) if key in held else bar
    assert [held[key] for key in sorted(held)] == folded(*whole)


@given(trades)
def test_merge_takes_its_parts_in_either_order(whole):
    parts = {}
    for bar in [*folded(*whole[::2]), *folded(*whole[1::2])]:
        parts.setdefault((bar.instrument_id, bar.time_us), []).append(bar)
    for a, b in (pair for pair in parts.values() if len(pair) == 2):
        assert merge(a, b) == merge(b, a)


@given(trades)
def test_open_bars_end_where_one_fold_of_everything_would(whole):
    """Fed in time order, the newest bar of each interval holds all its trades."""
    in_order = sorted(whole, key=lambda t: (t.time_us, t.trade_id))
    live = OpenBars()
    shown = {}
    for i in range(0, len(in_order), 7):
        for bar in live.update(rows(*in_order[i : i + 7])):
            shown[bar.instrument_id, bar.interval] = bar
    for (instrument_id, interval), bar in shown.items():
        own = [t for t in in_order if IDS[t.symbol] == instrument_id and bucket_us(t.time_us, interval) == bar.time_us]
        assert bar.trades == len(own)
        assert bar.volume == sum(t.quantity for t in own)
        assert (bar.open, bar.close) == (own[0].price, own[-1].price)
        assert (bar.high, bar.low) == (max(t.price for t in own), min(t.price for t in own))
        assert bar.time_us == bucket_us(own[0].time_us, interval)


def test_a_batch_tells_only_the_bars_that_changed_each_once():
    live = OpenBars(["1m", "5m"])
    live.update(rows(trade(1, 0), trade(1, 0, symbol="ETH")))
    changed = live.update(rows(trade(2, 59), trade(3, 61)))
    assert [(b.instrument_id, b.interval, b.time_us - T0, b.trades) for b in changed] == [
        (11, "1m", MINUTE_US, 1), (11, "5m", 0, 3),
    ]  # fmt: skip


def test_a_trade_of_a_bar_that_is_over_shows_nothing_there_but_counts_in_longer_bars():
    live = OpenBars(["1m", "5m"])
    live.update(rows(trade(5, 61)))
    changed = live.update(rows(trade(1, 10, price=90)))
    assert [(b.interval, b.low, b.trades) for b in changed] == [("5m", 90, 2)]


def test_the_day_of_what_trades_in_sessions_is_its_session():
    open_us = T0 + 14 * 60 * MINUTE_US
    held = OpenBars(["1h", "1d"])
    held.trades_in_sessions(11, Table([Session(open_us, open_us + 60 * MINUTE_US)]))
    early, inside, late = (trade(i, (14 + i) * 3600 - 1800, 100 + i) for i in range(3))
    told = [bar for one in (early, inside, late) for bar in held.update(rows(one))]
    assert [(bar.interval, bar.time_us, bar.open) for bar in told if bar.interval == "1d"] == [("1d", T0, 101)]
    assert len([bar for bar in told if bar.interval == "1h"]) == 3


def test_seeded_bars_go_on():
    live = OpenBars(["1m"])
    (stored,) = folded(trade(1, 0, 100), trade(2, 5, 120))
    live.seed([msgspec.structs.replace(stored, rev=3)])
    (bar,) = live.update(rows(trade(3, 10, 110)))
    assert (bar.open, bar.high, bar.close, bar.trades, bar.rev) == (100, 120, 110, 3, 3)


def test_a_hundred_thousand_trades_fold_without_a_warning():
    count = 100_000
    packed = np.tile(rows(trade(1)), count)
    packed["trade_id"] = np.arange(count)
    packed["time"] += np.arange(count) * 1000
    made = bars(fold(packed))
    assert sum(bar.trades for bar in made) == count
    assert len(made) == 2
