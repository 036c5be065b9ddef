"""Indicators against their textbook definitions, written out in plain Python, to 1e-9."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals.indicators import INDICATORS, InvalidParameters, UnknownIndicator, asked, with_parameters

from .conftest import market

BARS = 160


CANDLES = market(BARS)
CLOSE, HIGH, LOW, VOLUME = (getattr(CANDLES, name).tolist() for name in ("close", "high", "low", "volume"))
CHANGES = [after - before for before, after in itertools.pairwise(CLOSE)]
RANGES = [
    max(high - low, abs(high - before), abs(low - before))
    for high, low, before in zip(HIGH[1:], LOW[1:], CLOSE, strict=False)
]


def mean(values):
    return math.fsum(values) / len(values)


def windows(values, length):
    return [values[at - length : at] for at in range(length, len(values) + 1)]


def smoothed(values, length, weight):
    """Seeded by the mean of the first `length`."""
    made = [mean(values[:length])]
    for value in values[length:]:
        made.append(made[-1] + weight * (value - made[-1]))
    return made


def ema(values, length):
    return smoothed(values, length, 2 / (length + 1))


def wilder(values, length):
    return smoothed(values, length, 1 / length)


def relative_strength(ups, downs):
    return [100 * up / (up + down) for up, down in zip(ups, downs, strict=True)]


def rsi(length):
    return relative_strength(
        wilder([max(c, 0) for c in CHANGES], length), wilder([max(-c, 0) for c in CHANGES], length)
    )


def deviation(values):
    return math.sqrt(mean([(value - mean(values)) ** 2 for value in values]))


def stochastic(length):
    return [
        100 * (close - min(lows)) / (max(highs) - min(lows))
        for close, highs, lows in zip(CLOSE[length - 1 :], windows(HIGH, length), windows(LOW, length), strict=True)
    ]


def macd():
    # TA-Lib lets both averages begin at the same bar: the fast one is seeded by the 12 bars up to it.
    fast, slow = ema(CLOSE[26 - 12 :], 12), ema(CLOSE, 26)
    line = [a - b for a, b in zip(fast, slow, strict=True)]
    signal = ema(line, 9)
    return line, signal


def vwap():
    made = []
    for at in range(BARS):
        since = range(at - at % 50, at + 1)
        money = math.fsum((HIGH[i] + LOW[i] + CLOSE[i]) / 3 * VOLUME[i] for i in since)
        made.append(money / math.fsum(VOLUME[i] for i in since))
    return made


def on_balance():
    made = [VOLUME[0]]
    for change, volume in zip(CHANGES, VOLUME[1:], strict=True):
        made.append(made[-1] + (volume if change > 0 else -volume if change < 0 else 0))
    return made


def directional():
    """ADX: Wilder's sums begin with one bar less than a period, as he has them."""
    plus, minus = [], []
    for at in range(1, BARS):
        up, down = HIGH[at] - HIGH[at - 1], LOW[at - 1] - LOW[at]
        plus.append(up if up > down and up > 0 else 0.0)
        minus.append(down if down > up and down > 0 else 0.0)
    sums = [[math.fsum(values[:13])] for values in (plus, minus, RANGES)]
    for at in range(13, BARS - 1):
        for total, values in zip(sums, (plus, minus, RANGES), strict=True):
            total.append(total[-1] * 13 / 14 + values[at])
    index = [100 * abs(p - m) / (p + m) for p, m in zip(sums[0][1:], sums[1][1:], strict=True)]
    return wilder(index, 14)


TEXTBOOK = {
    ("sma(20)", "sma"): lambda: [mean(window) for window in windows(CLOSE, 20)],
    ("ema(20)", "ema"): lambda: ema(CLOSE, 20),
    ("ema_first(20)", "ema_first"): lambda: smoothed([CLOSE[0], *CLOSE[1:]], 1, 2 / 21),
    ("wma(10)", "wma"): lambda: [sum(v * (i + 1) for i, v in enumerate(w)) / 55 for w in windows(CLOSE, 10)],
    ("rsi(14)", "rsi"): lambda: rsi(14),
    ("rsi_cutler(14)", "rsi_cutler"): lambda: relative_strength(
        [mean([max(c, 0) for c in w]) for w in windows(CHANGES, 14)],
        [mean([max(-c, 0) for c in w]) for w in windows(CHANGES, 14)],
    ),
    ("macd(12,26,9)", "macd"): lambda: macd()[0],
    ("macd(12,26,9)", "signal"): lambda: macd()[1],
    ("bollinger(20,2)", "upper"): lambda: [mean(w) + 2 * deviation(w) for w in windows(CLOSE, 20)],
    ("bollinger(20,2)", "lower"): lambda: [mean(w) - 2 * deviation(w) for w in windows(CLOSE, 20)],
    ("atr(14)", "atr"): lambda: wilder(RANGES, 14),
    ("atr_simple(14)", "atr_simple"): lambda: [mean(w) for w in windows(RANGES, 14)],
    ("stochastic(14,3,3)", "k"): lambda: [mean(w) for w in windows(stochastic(14), 3)],
    ("stochastic(14,3,3)", "d"): lambda: [mean(w) for w in windows([mean(w) for w in windows(stochastic(14), 3)], 3)],
    ("stochastic_fast(14,3)", "k"): lambda: stochastic(14),
    ("williams_r(14)", "williams_r"): lambda: [value - 100 for value in stochastic(14)],
    ("obv", "obv"): on_balance,
    ("vwap", "vwap"): vwap,
    ("adx(14)", "adx"): directional,
    ("roc(10)", "roc"): lambda: [100 * (now / then - 1) for then, now in zip(CLOSE, CLOSE[10:], strict=False)],
    ("donchian(20)", "upper"): lambda: [max(w) for w in windows(HIGH, 20)][:-1],
    ("stddev(20)", "stddev"): lambda: [deviation(w) for w in windows(CLOSE, 20)],
}


@pytest.mark.parametrize(("label", "output"), TEXTBOOK)
def test_it_is_what_the_textbook_says(label, output):
    expected = TEXTBOOK[label, output]()
    values = asked(label).over(CANDLES)[output]
    common = values[~np.isnan(values)][-min(len(expected), 100) :]
    np.testing.assert_allclose(common, expected[-len(common) :], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", INDICATORS)
def test_its_first_value_is_where_it_says(name):
    one = asked(name)
    first = min(int(np.flatnonzero(~np.isnan(values))[0]) for values in one.over(CANDLES).values())
    assert first == one.lookback
    assert all(np.isnan(values).all() for values in one.over(CANDLES.until(one.lookback)).values())


@pytest.mark.parametrize("name", [name for name in INDICATORS if asked(name).settle is not None and name != "kama"])
def test_warmed_up_it_is_the_same_whatever_came_before(name):
    one, long = asked(name), market(600)
    for output, values in one.over(long).items():
        short = one.over(long.last(one.warmup))[output]
        assert short[-1] == pytest.approx(values[-1], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", INDICATORS)
def test_bar_by_bar_it_says_what_it_says_at_once(name):
    one = asked(name)
    live, whole = one.live(CANDLES.until(100)), one.over(CANDLES)
    for at in range(100, BARS):
        bar = CANDLES.until(at + 1).last(1)
        forming, closed = live.peek(bar), live.add(bar)
        for output, values in whole.items():
            assert forming[output] == pytest.approx(values[at], rel=1e-9, abs=1e-9)
            assert closed[output] == pytest.approx(values[at], rel=1e-9, abs=1e-9)


def test_too_few_bars_make_no_live_one():
    with pytest.raises(ValueError, match=r"rsi\(14\) needs 15 bars, not 3"):
        asked("rsi").live(CANDLES.until(3))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("RSI", "rsi(14)"),
        (" macd( 5 , 35 ) ", "macd(5,35,9)"),
        ("bollinger(deviations=2.5)", "bollinger(20,2.5)"),
        ("vwap()", "vwap"),
    ],
)
def test_how_one_is_asked_for(text, label):
    assert asked(text).label == label
    assert asked(asked(text).label) == asked(text)


def test_by_name_and_parameters():
    assert with_parameters("sma", {"period": 50}) == asked("sma(50)")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rsii", "There is no indicator “rsii”; rsi"),
        ("rsi(14", "is no indicator: write it"),
        ("rsi" + "(1)" * 50, "is no indicator: write it"),
        ("rsi(1)", "period lies between 2 and 1000"),
        ("rsi(nan)", "period lies between"),
        ("rsi(1e999)", "period lies between"),
        ("rsi(14.5)", "whole number"),
        ("rsi(x)", "“x” is no number"),
        ("rsi(14,3)", "takes 1 parameters"),
        ("rsi(length=3)", "no parameter “length”, only period"),
        ("macd(26,12)", "fast is shorter than slow"),
        ("sar(0.3,0.2)", "step is no more than max"),
    ],
)
def test_what_cannot_be_asked_for(text, why):
    with pytest.raises((UnknownIndicator, InvalidParameters), match=why.replace("(", r"\(")):
        asked(text)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_an_indicator_or_a_clear_error(text):
    try:
        assert asked(text).indicator.name in INDICATORS
    except (UnknownIndicator, InvalidParameters) as error:
        assert str(error)  # noqa: PT017 - either is right
