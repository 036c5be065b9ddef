"""Chart patterns and candlesticks: told at the bar that confirms them, and never taken back."""

import numpy as np
import pytest

from signals.candles import Candles
from signals.indicators import InvalidParameters
from signals.patterns import BEARISH, BULLISH, FIGURES, Shape, UnknownPattern, candlesticks, figures

from .conftest import market

MINUTE_US = 60_000_000
# A quiet market before, so that there is a usual range to measure by.
QUIET = [100 + 0.2 * (-1) ** i for i in range(24)]


def along(*prices, steps=6, around=0.1):
    """Bars that go from price to price in straight lines."""
    closes = list(QUIET)
    for target in prices:
        start = closes[-1]
        closes += [start + (target - start) * (i + 1) / steps for i in range(steps)]
    close = np.array(closes)
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) + around, np.minimum(opened, close) - around
    times = np.arange(len(close), dtype=np.int64)
    return Candles(MINUTE_US, times * MINUTE_US, opened, high, low, close, np.ones(len(close)), times * 0)


def mirrored(candles):
    """The same market upside down."""
    return Candles(
        candles.step_us, candles.time_us, 200 - candles.open, 200 - candles.low, 200 - candles.high,
        200 - candles.close, candles.volume, candles.session,
    )  # fmt: skip


DRAWN = {
    "double_top": (along(110, 104, 110.2, 98), BEARISH, 104),
    "head_and_shoulders": (along(108, 104, 114, 104.2, 108.3, 96), BEARISH, 104.5),
    "ascending_triangle": (along(110, 103, 110.1, 106.5, 114), BULLISH, 110),
    "symmetrical_triangle": (along(112, 102, 110, 105, 113), BULLISH, 108.5),
    "bull_flag": (along(112, 109.5, 116, steps=5), BULLISH, 112),
}
MIRRORED = {
    "double_top": "double_bottom",
    "head_and_shoulders": "inverse_head_and_shoulders",
    "ascending_triangle": "descending_triangle",
    "symmetrical_triangle": "symmetrical_triangle",
    "bull_flag": "bear_flag",
}


def told(candles, name):
    return [figure for figure in figures(candles) if figure.name == name]


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawn_figure_is_found_once(name):
    candles, direction, level = DRAWN[name]
    (figure,) = told(candles, name)
    assert figure.direction == direction
    assert figure.level == pytest.approx(level, abs=1.0)
    assert 0 <= figure.confidence <= 100


@pytest.mark.parametrize("name", DRAWN)
def test_upside_down_it_is_its_opposite(name):
    candles, direction, _ = DRAWN[name]
    (figure,) = told(mirrored(candles), MIRRORED[name])
    assert {figure.direction, direction} == {BULLISH, BEARISH}


@pytest.mark.parametrize("name", DRAWN)
def test_it_is_stamped_with_the_close_that_confirmed_it(name):
    candles, _, _ = DRAWN[name]
    (figure,) = told(candles, name)
    at = int(figure.time_us // MINUTE_US) - 1
    side = 1 if figure.direction == BULLISH else -1
    assert side * (candles.close[at] - figure.level) > 0
    assert not told(candles.until(at), name)
    assert told(candles.until(at + 1), name) == [figure]


def test_without_a_close_beyond_there_is_none():
    assert not told(along(110, 104, 110.2, 104.6), "double_top")


def test_tops_too_far_apart_are_no_double_top():
    assert not told(along(110, 104, 115, 98), "double_top")


def test_what_a_quiet_market_does_is_no_figure():
    assert not figures(along(100.4, 100.1, 100.4, 99.9))


@pytest.mark.parametrize("seed", range(4))
def test_the_future_changes_nothing(seed):
    candles = market(220, seed)
    whole = figures(candles, Shape(swing=2, least_height=1))
    assert whole, "a walk of 220 bars has some"
    for length in range(60, 220, 40):
        known = figures(candles.until(length), Shape(swing=2, least_height=1))
        assert known == [figure for figure in whole if figure.time_us <= length * MINUTE_US]


def test_candlesticks_are_talibs():
    # A hammer: a small body above a long lower shadow, after a fall.
    candles = along(90)
    hammer = Candles(
        MINUTE_US, np.append(candles.time_us, len(candles) * MINUTE_US),
        *(np.append(column, value) for column, value in (
            (candles.open, 89.8), (candles.high, 90.05), (candles.low, 86), (candles.close, 90),
            (candles.volume, 1), (candles.session, 0),
        )),
    )  # fmt: skip
    (figure,) = candlesticks(hammer, ["hammer"])
    assert (figure.direction, figure.time_us) == (BULLISH, (len(candles) + 1) * MINUTE_US)
    assert figure in candlesticks(hammer)


@pytest.mark.parametrize("wrong", [{"swing": 0}, {"tolerance": 0}, {"least_height": -1}, {"longest": 5}])
def test_a_shape_that_cannot_be(wrong):
    with pytest.raises(InvalidParameters):
        Shape(**wrong)


def test_names_that_there_are_not():
    with pytest.raises(UnknownPattern):
        figures(along(101), names=["cup"])
    with pytest.raises(UnknownPattern):
        candlesticks(along(101), ["nail"])
    assert set(MIRRORED) | set(MIRRORED.values()) == set(FIGURES)
