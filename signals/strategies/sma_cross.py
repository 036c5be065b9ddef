"""The fast moving average crosses the slow one."""

from dataclasses import dataclass

import numpy as np

from signals.candles import Candles
from signals.indicators import InvalidParameters, sma
from signals.strategies.strategy import Advice, Ranges, advise, is_dense, limited, usual_range


@dataclass(frozen=True)
class SmaCross:
    """BUY when the fast average has come above the slow one, SELL when below.

    A touch is no crossing: after bars on which both are equal, the side before them decides. The wider the gap has
    opened, in average ranges, the surer.
    """

    fast: int = limited(5, 2, 499, "bars of the fast average")
    slow: int = limited(20, 3, 500, "bars of the slow average, and for how many the advice holds")
    target_ranges: float = limited(3.0, 0.01, 100, "from the close to the target, in average ranges")
    stop_ranges: float = limited(2.0, 0.01, 100, "from the close to the stop, in average ranges")
    name: str = "sma_cross"

    def __post_init__(self) -> None:
        if not 2 <= self.fast < self.slow <= 500:
            raise InvalidParameters(f"2 ≤ fast < slow ≤ 500, not {self.fast} and {self.slow}")
        self.ranges  # noqa: B018 - refuses what they can't be

    @property
    def ranges(self) -> Ranges:
        return Ranges(self.target_ranges, self.stop_ranges, self.slow, self.slow)

    @property
    def warmup(self) -> int:
        """Twice the slow window: the averages, the side before a touch, and the range."""
        return 2 * self.slow

    def evaluate(self, candles: Candles) -> Advice | None:
        """The crossing that the last bar completed, if it did."""
        candles = candles.last(self.warmup)  # so that more history before it changes nothing
        if len(candles) < self.warmup or not is_dense(candles):
            return None
        gap = sma(candles.close, self.fast) - sma(candles.close, self.slow)
        side = crossed(gap[self.slow - 1 :])
        if side == 0:
            return None
        usual = usual_range(candles, self.slow)
        word = "above" if side > 0 else "below"
        reason = f"The {self.fast}-bar average has crossed {word} the {self.slow}-bar average."
        return advise(candles, side, abs(float(gap[-1])) / usual if usual else 0.0, reason, self.ranges)


def crossed(gap: np.ndarray) -> int:
    """1: the last value is above zero and the last one unlike zero before it was below; −1: the reverse; else 0."""
    side = int(np.sign(gap[-1]))
    before = gap[:-1][gap[:-1] != 0]
    return side if len(before) and side == -int(np.sign(before[-1])) else 0
