import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.candles import MINUTE_US
from ingestion.store import to_us
from signals.candles import Candles
from signals.indicators import average_range, sma
from signals.strategies import InvalidParameters
from signals.strategies.sma_cross import SmaCross
from signals.strategies.strategy import BUY, SELL

from .conftest import CLOSED, make_bars

CROSS = SmaCross(fast=2, slow=4)


def of(closes, **how):
    return Candles.of(make_bars(closes, **how), "1m")


def test_the_average_of_a_fixed_series():
    assert sma(np.array([1.0, 2, 3, 4, 6]), 3)[2:].tolist() == pytest.approx([2, 3, 13 / 3])
    assert np.isnan(sma(np.array([1.0, 2, 3]), 3)[:2]).all()


def test_the_average_range_counts_the_gap_from_the_close_before():
    high, low, close = np.array([11.0, 12, 20]), np.array([9.0, 10, 18]), np.array([10.0, 11, 19])
    # Ranges: max(12-10, 12-10) = 2 and max(20-18, 20-11) = 9.
    assert average_range(high, low, close, 2)[-1] == pytest.approx(5.5)
    assert np.isnan(average_range(high, low, close, 3)).all()


def test_the_fast_average_comes_above_the_slow_one():
    advice = CROSS.evaluate(of([10, 9, 8, 7, 6, 5, 4, 9]))
    assert advice.signal_type == BUY
    assert advice.entry_price == 9
    assert advice.stop_loss < 9 < advice.target_price
    assert advice.time_us == to_us(CLOSED)  # the close of the bar, not its beginning
    assert advice.expires_us == advice.time_us + 4 * MINUTE_US


def test_and_below():
    advice = CROSS.evaluate(of([94, 95, 96, 97, 98, 99, 100, 95]))
    assert advice.signal_type == SELL
    assert advice.target_price < 95 < advice.stop_loss


def test_it_says_so_only_at_the_bar_of_the_crossing():
    assert CROSS.evaluate(of([10, 9, 8, 7, 6, 5, 4, 9, 12])) is None


@pytest.mark.parametrize(
    ("closes", "said"),
    [
        ([10, 9, 8, 7, 7, 7, 7, 9], BUY),  # down, touching, then up
        ([7, 8, 9, 10, 10, 10, 10, 12], None),  # up, touching, and up again
        ([7, 7, 7, 7, 7, 7, 7, 9], None),  # there was no other side
    ],
)
def test_a_touch_is_no_crossing(closes, said):
    advice = CROSS.evaluate(of(closes))
    assert (advice and advice.signal_type) == said


def test_too_little_history_says_nothing():
    assert CROSS.evaluate(of([6, 5, 4, 9])) is None
    assert CROSS.evaluate(of([])) is None


def test_a_hole_in_the_history_says_nothing():
    old = make_bars([10, 9, 8, 7, 6, 5], closed=CLOSED.replace(hour=3))
    assert CROSS.evaluate(Candles.of([*old, *make_bars([4, 9])], "1m")) is None


def test_an_open_candle_is_refused():
    with pytest.raises(ValueError, match="open"):
        Candles.of(make_bars([1, 2, 3], final=False), "1m")


def test_a_still_market_gives_no_target():
    bars = make_bars([5.0] * 8)
    flat = msgspec.structs.replace(Candles.of(bars, "1m"), **{name: np.full(8, 5.0) for name in ("high", "low")})
    assert CROSS.evaluate(flat) is None


@pytest.mark.parametrize("parameters", [(1, 4), (5, 5), (20, 5), (5, 501)])
def test_senseless_parameters_are_refused(parameters):
    with pytest.raises(InvalidParameters):
        SmaCross(*parameters)


walks = st.lists(st.floats(1, 1000), min_size=8, max_size=60)


@given(walks)
def test_it_never_looks_ahead(closes):
    """What it says at a bar, it says from the bars up to it alone, however the future went."""
    whole = of(closes)
    for length in range(1, len(closes) + 1):
        then = CROSS.evaluate(whole.until(length))
        cut = Candles.of(make_bars(closes)[:length], "1m")
        assert CROSS.evaluate(cut) == then


@given(walks, walks)
def test_older_history_changes_nothing(before, closes):
    long = Candles.of(make_bars([*before, *closes]), "1m")
    assert CROSS.evaluate(long) == CROSS.evaluate(of(closes))


def test_the_wider_the_crossing_the_higher_the_confidence():
    advice = [CROSS.evaluate(of([10, 9, 8, 7, 6, 5, 4, last])) for last in (9, 10, 30)]
    scores = [one.confidence_score for one in advice]
    assert scores == sorted(scores)
    assert all(50 <= score <= 100 for score in scores)
