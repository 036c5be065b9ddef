"""What is believed, what is flagged, what is refused."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.quality import FLAGGED, Judge, Reason
from ingestion.ticks import BACKFILL, SUSPECT, BookSnapshot, Quote, Ticker, Trade

NOW_US = 1_769_596_201_000_000
EARLIEST_US = 1_230_768_000_000_000
FUTURE_US = 60_000_000


def judge():
    return Judge(EARLIEST_US, FUTURE_US)


def trade(price=100.0, quantity=1.0, time_us=NOW_US, symbol="BTCUSDT", trade_id=1, flags=0):
    return Trade(symbol, time_us, NOW_US, trade_id, price, quantity, flags=flags)


def quote(bid=99.0, bid_quantity=1.0, ask=101.0, ask_quantity=1.0):
    return Quote("BTCUSDT", NOW_US, NOW_US, 1, bid, bid_quantity, ask, ask_quantity)


def book(bids=((99.0, 1.0),), asks=((101.0, 1.0),)):
    return BookSnapshot("BTCUSDT", NOW_US, NOW_US, 1, tuple(bids), tuple(asks))


@pytest.mark.parametrize(
    ("tick", "reason"),
    [
        (trade(), None),
        (trade(quantity=0.0), None),  # a price without a quantity is still a price
        (trade(price=0.0), Reason.BAD_PRICE),
        (trade(price=-1.0), Reason.BAD_PRICE),
        (trade(price=math.nan), Reason.BAD_PRICE),
        (trade(price=math.inf), Reason.BAD_PRICE),
        (trade(price=1e300), Reason.BAD_PRICE),
        (trade(quantity=-1.0), Reason.BAD_QUANTITY),
        (trade(quantity=math.nan), Reason.BAD_QUANTITY),
        (trade(quantity=math.inf), Reason.BAD_QUANTITY),
        (trade(symbol=""), Reason.NO_SYMBOL),
        (trade(time_us=0), Reason.TIME_TOO_EARLY),
        (trade(time_us=EARLIEST_US - 1), Reason.TIME_TOO_EARLY),
        (trade(time_us=EARLIEST_US), None),
        (trade(time_us=NOW_US + FUTURE_US), None),
        (trade(time_us=NOW_US + FUTURE_US + 1), Reason.TIME_IN_FUTURE),
        (quote(), None),
        (quote(bid=100.0, ask=100.0), None),  # locked is legal
        (quote(bid=101.0, ask=100.0), Reason.CROSSED),
        (quote(bid=0.0, bid_quantity=0.0), Reason.ONE_SIDED),
        (quote(ask=0.0, ask_quantity=0.0), Reason.ONE_SIDED),
        (quote(bid=0.0), Reason.BAD_PRICE),
        (quote(bid=-1.0), Reason.BAD_PRICE),
        (quote(ask=math.nan), Reason.BAD_PRICE),
        (quote(ask_quantity=-1.0), Reason.BAD_QUANTITY),
        (Ticker("BTCUSDT", NOW_US, NOW_US, 1, 1, 1, 1, 0, 0), None),
        (Ticker("BTCUSDT", NOW_US, NOW_US, 1, 0, 1, 1, 0, 0), Reason.BAD_PRICE),
        (Ticker("BTCUSDT", NOW_US, NOW_US, 1, 1, 1, 1, math.nan, 0), Reason.BAD_QUANTITY),
        (book(), None),
        (book(bids=()), None),
        (book(bids=[(102.0, 1.0)]), Reason.CROSSED),
        (book(asks=[(0.0, 1.0)]), Reason.BAD_PRICE),
        (book(asks=[(101.0, -1.0)]), Reason.BAD_QUANTITY),
    ],
)
def test_each_reason(tick, reason):
    assert judge().judge(tick, NOW_US) == reason


def test_a_batch_is_divided_in_order_and_flagged_copies_keep_their_other_flags():
    ticks = [trade(trade_id=1, flags=BACKFILL), trade(price=-1.0), quote(bid=102.0), book(bids=[(102.0, 1.0)])]
    judged = judge().judge_batch(ticks, NOW_US)
    assert [refused.reason for refused in judged.refused] == [Reason.BAD_PRICE]
    assert judged.refused[0].tick is ticks[1]
    assert judged.accepted[0] is ticks[0]
    assert judged.accepted[1].flags == SUSPECT
    assert judged.accepted[2] is ticks[3]  # a book has no flags
    assert judged.suspect == 2


def walk(count, start=100.0, step=0.01, seed=7):
    draw = random.Random(seed)
    for i in range(count):
        start *= 1 + draw.gauss(0, step / 100)
        yield trade(price=start, trade_id=i)


def test_a_hundredfold_price_is_flagged_and_the_next_good_one_is_not():
    judging = judge()
    judging.judge_batch(walk(100), NOW_US)
    judged = judging.judge_batch([trade(price=10_000.0), trade(price=1.0), trade(price=100.0)], NOW_US)
    assert [tick.flags for tick in judged.accepted] == [SUSPECT, SUSPECT, 0]


def test_a_jump_of_less_than_a_tenth_is_believed_however_quiet_it_was():
    judging = judge()
    judging.judge_batch([trade(price=100.0)] * 100, NOW_US)
    assert judging.judge(trade(price=109.0), NOW_US) is None
    assert judging.judge(trade(price=111.0), NOW_US) is Reason.BAD_PRINT


def test_a_wild_instrument_may_jump_further():
    judging = judge()
    draw = random.Random(7)
    judging.judge_batch([trade(price=draw.uniform(80, 120)) for _ in range(200)], NOW_US)
    assert judging.judge(trade(price=150.0), NOW_US) is None


def test_a_level_that_lasts_is_believed_after_a_while():
    judging = judge()
    judging.judge_batch(walk(100), NOW_US)
    reasons = [judging.judge(trade(price=200.0), NOW_US) for _ in range(100)]
    assert reasons[0] is Reason.BAD_PRINT
    assert reasons[-1] is None


def test_a_first_price_and_one_after_a_long_silence_have_no_measure():
    judging = judge()
    assert judging.judge(trade(price=5.0), NOW_US) is None
    judging.judge_batch(walk(100), NOW_US)
    later_us = NOW_US + 2 * 3_600_000_000
    assert judging.judge(trade(price=500.0, time_us=later_us), later_us) is None


def test_instruments_are_measured_by_their_own_prices():
    judging = judge()
    judging.judge_batch(walk(100), NOW_US)
    assert judging.judge(trade(price=60_000.0, symbol="ETHUSDT"), NOW_US) is None


@given(st.lists(st.tuples(st.floats(), st.floats(), st.integers(0, 2**62)), max_size=100))
def test_nothing_is_lost_and_nothing_impossible_is_accepted(columns):
    ticks = [trade(price, quantity, time_us) for price, quantity, time_us in columns]
    judged = judge().judge_batch(ticks, NOW_US)
    assert len(judged.accepted) + len(judged.refused) == len(ticks)
    for tick in judged.accepted:
        assert 0 < tick.price < math.inf
        assert 0 <= tick.quantity < math.inf
        assert EARLIEST_US <= tick.time_us <= NOW_US + FUTURE_US
    assert not {refused.reason for refused in judged.refused} & FLAGGED
