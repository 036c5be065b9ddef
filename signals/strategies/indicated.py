"""Strategies that read an indicator or two: each speaks at the bar at which its condition has come about."""

from dataclasses import dataclass

import numpy as np

from signals.candles import Candles
from signals.indicators import Asked, InvalidParameters, with_parameters
from signals.strategies.sma_cross import crossed
from signals.strategies.strategy import Advice, Ranges, advise, is_dense, limited, usual_range


@dataclass(frozen=True, kw_only=True)
class Indicated:
    """What they share: how far target and stop lie away, and how long the advice holds, in bars."""

    target_ranges: float = limited(3.0, 0.01, 100, "from the close to the target, in average ranges")
    stop_ranges: float = limited(2.0, 0.01, 100, "from the close to the stop, in average ranges")
    expires: int = limited(20, 1, 1000, "for how many bars the advice holds")
    name: str = ""

    def __post_init__(self) -> None:
        # Each of the two refuses what it can't be.
        self.ranges  # noqa: B018
        self.reads  # noqa: B018

    @property
    def ranges(self) -> Ranges:
        return Ranges(self.target_ranges, self.stop_ranges, expires=self.expires)

    @property
    def reads(self) -> tuple[Asked, ...]:
        """The indicators."""
        raise NotImplementedError

    @property
    def warmup(self) -> int:
        """Until all of them have settled, and one bar more: the one before the condition came about."""
        return max(self.ranges.period + 1, *(asked.warmup for asked in self.reads)) + 1

    def evaluate(self, candles: Candles) -> Advice | None:
        """What the last bar brought about, if it did."""
        candles = candles.last(self.warmup)  # so that more history before it changes nothing
        if len(candles) < self.warmup or not is_dense(candles):
            return None
        told = self.judge(candles, *(asked.over(candles) for asked in self.reads))
        if told is None:
            return None
        side, share, reason = told
        return advise(candles, side, share, reason, self.ranges)

    def judge(self, candles: Candles, *read: dict[str, np.ndarray]) -> tuple[int, float, str] | None:
        """Side, share (as `advise` takes them) and reason; None mostly."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class RsiReversal(Indicated):
    """BUY when Wilder's RSI comes back above `low`, SELL when it comes back below `high`. The farther out it was, the
    surer."""

    period: int = limited(14, 2, 200, "bars of the RSI")
    low: float = limited(30.0, 1, 98, "below it too much was sold")
    high: float = limited(70.0, 2, 99, "above it too much was bought")
    name: str = "rsi_reversal"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.low < self.high < 100:
            raise InvalidParameters(f"0 < low < high < 100, not {self.low:g} and {self.high:g}")

    @property
    def reads(self) -> tuple[Asked, ...]:
        return (with_parameters("rsi", {"period": self.period}),)

    def judge(self, candles: Candles, *read: dict[str, np.ndarray]) -> tuple[int, float, str] | None:
        rsi = read[0]["rsi"]
        before, now = float(rsi[-2]), float(rsi[-1])
        if before <= self.low < now:
            depth = (self.low - _extreme(rsi, self.low, -1)) / self.low
            return 1, 2 * depth, f"RSI({self.period}) has come back above {self.low:g}."
        if before >= self.high > now:
            depth = (_extreme(rsi, self.high, 1) - self.high) / (100 - self.high)
            return -1, 2 * depth, f"RSI({self.period}) has come back below {self.high:g}."
        return None


def _extreme(values: np.ndarray, level: float, side: int) -> float:
    """The outermost value of the visit beyond `level` that the last value has ended."""
    inside = np.flatnonzero(side * values[:-1] < side * level)
    visit = values[inside[-1] + 1 if len(inside) else 0 : -1]
    return float(side * np.nanmax(side * visit))


@dataclass(frozen=True, kw_only=True)
class MacdCross(Indicated):
    """BUY when the MACD line has come above its signal line, SELL when below. The wider apart, the surer."""

    fast: int = limited(12, 2, 199, "bars of the fast average")
    slow: int = limited(26, 3, 200, "bars of the slow average")
    signal: int = limited(9, 2, 100, "bars of the signal line")
    name: str = "macd_cross"

    @property
    def reads(self) -> tuple[Asked, ...]:
        return (with_parameters("macd", {"fast": self.fast, "slow": self.slow, "signal": self.signal}),)

    def judge(self, candles: Candles, *read: dict[str, np.ndarray]) -> tuple[int, float, str] | None:
        gap = read[0]["histogram"][-self.slow :]
        side, usual = crossed(gap[~np.isnan(gap)]), usual_range(candles, self.ranges.period)
        if side == 0:
            return None
        word = "above" if side > 0 else "below"
        reason = f"MACD({self.fast}, {self.slow}, {self.signal}) has crossed {word} its signal line."
        return side, abs(float(gap[-1])) / usual if usual else 0.0, reason


@dataclass(frozen=True, kw_only=True)
class BollingerBreakout(Indicated):
    """BUY when a close leaves the upper band, SELL when it leaves the lower. The farther outside, the surer."""

    period: int = limited(20, 2, 500, "bars of the bands")
    deviations: float = limited(2.0, 0.1, 10, "from the mean to a band, in standard deviations")
    name: str = "bollinger_breakout"

    @property
    def reads(self) -> tuple[Asked, ...]:
        return (with_parameters("bollinger", {"period": self.period, "deviations": self.deviations}),)

    def judge(self, candles: Candles, *read: dict[str, np.ndarray]) -> tuple[int, float, str] | None:
        return _broken(candles, read[0], self.ranges, f"Bollinger band ({self.period}, {self.deviations:g})")


@dataclass(frozen=True, kw_only=True)
class DonchianBreakout(Indicated):
    """BUY when a close passes the highest high of the `period` bars before, SELL at their lowest low."""

    period: int = limited(20, 2, 500, "bars whose range is to be left")
    name: str = "donchian_breakout"

    @property
    def reads(self) -> tuple[Asked, ...]:
        return (with_parameters("donchian", {"period": self.period}),)

    def judge(self, candles: Candles, *read: dict[str, np.ndarray]) -> tuple[int, float, str] | None:
        return _broken(candles, read[0], self.ranges, f"range of the {self.period} bars before")


def _broken(candles: Candles, bands: dict[str, np.ndarray], ranges: Ranges, what: str) -> tuple[int, float, str] | None:
    for side, band, word in ((1, bands["upper"], "above"), (-1, bands["lower"], "below")):
        outside = side * (candles.close[-2:] - band[-2:])
        if outside[-1] > 0 >= outside[-2]:
            usual = usual_range(candles, ranges.period)
            return side, float(outside[-1]) / usual if usual else 0.0, f"The close has left the {what} {word}."
    return None


@dataclass(frozen=True, kw_only=True)
class MultiFactor(Indicated):
    """Four votes: trend (close against its mean), momentum (RSI against 50), MACD against its signal line, and money
    (MFI against 50). BUY when at least `votes` of them have come to agree upward, SELL downward."""

    trend: int = limited(50, 2, 500, "bars of the trend's average")
    votes: int = limited(4, 3, 4, "how many of the four have to agree")
    name: str = "multi_factor"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.votes not in (3, 4):
            raise InvalidParameters(f"votes is 3 or 4, not {self.votes}")

    @property
    def reads(self) -> tuple[Asked, ...]:
        return (
            with_parameters("sma", {"period": self.trend}),
            *(with_parameters(n, {}) for n in ("rsi", "macd", "mfi")),
        )

    def judge(self, candles: Candles, *read: dict[str, np.ndarray]) -> tuple[int, float, str] | None:
        means, rsi, macd, mfi = read
        factors = (
            candles.close - means["sma"], rsi["rsi"] - 50, macd["histogram"], np.nan_to_num(mfi["mfi"] - 50),
        )  # fmt: skip
        before, now = (int(sum(np.sign(factor[at]) for factor in factors)) for at in (-2, -1))
        # Each vote against takes one away twice: 3 for and 1 against is 2, 3 for and one silent is 3.
        needed = 4 if self.votes == 4 else 2
        for side in (1, -1):
            if side * now >= needed > side * before:
                return (
                    side,
                    abs(now) / 8,
                    f"{_count(factors, side)} of 4 factors agree {'up' if side > 0 else 'down'}ward.",
                )
        return None


def _count(factors: tuple[np.ndarray, ...], side: int) -> int:
    return sum(bool(np.sign(factor[-1]) == side) for factor in factors)
