"""Every strategy keeps the rules; each speaks when it should; and the test kit finds those that do not."""

import math

import msgspec
import numpy as np
import pytest

from signals.candles import Candles
from signals.strategies import KINDS, InvalidParameters, UnknownStrategy, defaults, make
from signals.strategies.check import looks_ahead, problems
from signals.strategies.sma_cross import SmaCross
from signals.strategies.strategy import BUY, SELL, is_dense

from .conftest import market

# Such that they have something to say within a short market.
QUICK = {
    "sma_cross": {"fast": 3, "slow": 9},
    "rsi_reversal": {"period": 3},
    "macd_cross": {"fast": 3, "slow": 6, "signal": 2},
    "bollinger_breakout": {"period": 10, "deviations": 1.5},
    "donchian_breakout": {"period": 10},
    "multi_factor": {"trend": 10, "votes": 3},
}


def said(strategy, candles, first=1):
    told = (strategy.evaluate(candles.until(length)) for length in range(first, len(candles) + 1))
    return [advice for advice in told if advice is not None]


@pytest.mark.parametrize("name", KINDS)
def test_it_keeps_the_rules(name):
    strategy = make(name, QUICK[name])
    candles = market(strategy.warmup + 25)
    assert problems(strategy, candles.last(60) if strategy.warmup < 35 else candles.last(strategy.warmup + 25)) == []


@pytest.mark.parametrize("name", KINDS)
def test_it_says_both(name):
    strategy = make(name, QUICK[name])
    candles = market(strategy.warmup + 120)
    assert {advice.signal_type for advice in said(strategy, candles, strategy.warmup)} == {BUY, SELL}


@pytest.mark.parametrize("name", ["rsi_reversal", "macd_cross", "bollinger_breakout", "donchian_breakout"])
def test_upside_down_it_says_the_opposite(name):
    strategy = make(name, QUICK[name])
    candles = market(strategy.warmup + 60)
    flipped = msgspec.structs.replace(
        candles, open=300 - candles.open, close=300 - candles.close, high=300 - candles.low, low=300 - candles.high
    )
    for one, other in zip(
        said(strategy, candles, strategy.warmup), said(strategy, flipped, strategy.warmup), strict=True
    ):
        assert (one.time_us, {one.signal_type, other.signal_type}) == (other.time_us, {BUY, SELL})


def test_a_market_that_stood_still_for_long_tells_nothing():
    strategy = make("donchian_breakout", QUICK["donchian_breakout"])
    candles = market(strategy.warmup)
    up = msgspec.structs.replace(candles, close=np.append(candles.close[:-1], 500.0))
    assert strategy.evaluate(up).signal_type == BUY
    assert strategy.evaluate(msgspec.structs.replace(up, time_us=up.time_us * 3)) is None


@pytest.mark.parametrize("name", KINDS)
def test_parameters_by_name(name):
    assert make(name, {}) == make(name, defaults(name)) == KINDS[name]()


@pytest.mark.parametrize(
    ("name", "parameters", "why"),
    [
        ("sma_cross", {"fast": 20, "slow": 5}, "fast < slow"),
        ("sma_cross", {"fast": 2.5}, "whole number"),
        ("sma_cross", {"fast": "3"}, "is a number"),
        ("sma_cross", {"fast": True}, "is a number"),
        ("sma_cross", {"speed": 3}, "no parameter “speed”"),
        ("sma_cross", {"stop_ranges": 0}, "between 0.01 and 100"),
        ("rsi_reversal", {"low": 80}, "low < high"),
        ("rsi_reversal", {"period": 1}, "period lies between"),
        ("macd_cross", {"fast": 30}, "fast is shorter"),
        ("bollinger_breakout", {"deviations": math.nan}, "sensible size"),
        ("bollinger_breakout", {"deviations": 1e300}, "sensible size"),
        ("multi_factor", {"votes": 2}, "between 3 and 4"),
        ("multi_factor", {"expires": 0}, "expires lies between"),
    ],
)
def test_parameters_that_it_cannot_work_with(name, parameters, why):
    with pytest.raises(InvalidParameters, match=why):
        make(name, parameters)


def test_a_strategy_that_there_is_not():
    with pytest.raises(UnknownStrategy, match="sma_cross"):
        make("crystal_ball", {})


# --- The kit finds those that break the rules -------------------------------------------------------------------


class Peeks:
    """Reads past its end, through the array that its own is a view of."""

    name, warmup = "peeks", 2

    def evaluate(self, candles):
        whole = candles.close.base if candles.close.base is not None else candles.close
        return ALWAYS.evaluate(candles) if len(candles) >= 2 and whole[-1] > whole[0] else None


class Always(SmaCross):
    """BUY at each bar, soundly."""

    def evaluate(self, candles):
        return CROSSING and msgspec.structs.replace(
            CROSSING, time_us=candles.closed_us, expires_us=candles.closed_us + 1
        )


CANDLES = market(40)
CROSS = make("sma_cross", QUICK["sma_cross"])
CROSSING = next(advice for advice in said(CROSS, market(200), 18) if advice.signal_type == BUY)
ALWAYS = Always()


class Remembers:
    name, warmup = "remembers", 1

    def __init__(self):
        self.asked = 0

    def evaluate(self, candles):
        self.asked += 1
        return ALWAYS.evaluate(candles) if self.asked % 3 == 0 else None


class Writes:
    name, warmup = "writes", 1

    def evaluate(self, candles):
        candles.close[-1] = 0


class Raises:
    name, warmup = "raises", 1

    def evaluate(self, candles):
        raise ZeroDivisionError("by nothing")


class Greedy:
    """Reads all that there is, and says that it needs little."""

    name, warmup = "greedy", 3

    def evaluate(self, candles):
        return ALWAYS.evaluate(candles) if len(candles) >= 3 and candles.close[-1] > candles.close.mean() else None


class Late:
    name, warmup = "late", 1

    def evaluate(self, candles):
        told = ALWAYS.evaluate(candles)
        return msgspec.structs.replace(told, time_us=told.time_us - 1, stop_loss=told.entry_price + 1)


@pytest.mark.parametrize(
    ("strategy", "why"),
    [
        (Remembers(), "remembers"),
        (Writes(), "changes the bars"),
        (Raises(), "raises ZeroDivisionError: by nothing"),
        (Greedy(), "more than the 3 bars"),
        (Late(), "another time"),
        (Late(), "stop lies on the wrong side"),
    ],
)
def test_who_breaks_a_rule_is_told_which(strategy, why):
    assert any(why in problem for problem in problems(strategy, CANDLES)), problems(strategy, CANDLES)


def test_who_looks_ahead_is_found():
    assert looks_ahead(Peeks(), CANDLES)
    assert not looks_ahead(CROSS, CANDLES)


def test_the_night_between_two_sessions_is_no_gap():
    """Hours of an exchange that opens at 14:30: seven bars a day. Of a market that never shuts they would be gaps."""
    hour = 3_600_000_000
    opens = [day * 24 * hour + hour * 14 + hour // 2 + 10**15 for day in range(3)]
    times = np.array([at - hour // 2 + i * hour for at in opens for i in range(7)], np.int64)
    columns = [np.full(len(times), 100.0) for _ in range(5)]
    by_session, by_clock = np.repeat(opens, 7), times // (24 * hour)
    assert is_dense(Candles(hour, times, *columns, by_session))
    assert not is_dense(Candles(hour, times, *columns, by_clock))
    ends = np.array([0, 6, 7, 13, 14, 20])
    assert not is_dense(Candles(hour, times[ends], *(column[ends] for column in columns), by_session[ends]))
