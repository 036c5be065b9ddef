"""The fast moving average crosses the slow one."""

from dataclasses import dataclass

import numpy as np

from signals.candles import Candles
from signals.indicators import average_range, sma
from signals.strategies.strategy import BUY, MODERATE, SELL, STRONG, WEAK, Advice, InvalidParameters

# The window may hold missing minutes, but a market that stood still for longer tells nothing of a crossing.
_SPAN_MAX = 2.0


@dataclass(frozen=True)
class SmaCross:
    """BUY when the fast average has come above the slow one, SELL when below.

    A touch is no crossing: after bars on which both are equal, the side before them decides. Target and stop lie
    `target_ranges` and `stop_ranges` average true ranges away from the close.
    """

    fast: int = 5
    slow: int = 20
    target_ranges: float = 3.0
    stop_ranges: float = 2.0
    name: str = "sma_cross"

    def __post_init__(self) -> None:
        if not 2 <= self.fast < self.slow <= 500:
            raise InvalidParameters(f"2 ≤ fast < slow ≤ 500, not {self.fast} and {self.slow}")
        if not (0 < self.stop_ranges <= 100 and 0 < self.target_ranges <= 100):
            raise InvalidParameters("target and stop lie between 0 and 100 average ranges away")

    @property
    def warmup(self) -> int:
        """Twice the slow window: the averages, the side before a touch, and the range."""
        return 2 * self.slow

    def evaluate(self, candles: Candles) -> Advice | None:
        """The crossing that the last bar completed, if it did."""
        candles = candles.last(self.warmup)  # so that more history before it changes nothing
        if len(candles) < self.warmup or _span(candles) > _SPAN_MAX:
            return None
        gap = sma(candles.close, self.fast) - sma(candles.close, self.slow)
        side = _crossed(gap[self.slow - 1 :])
        if side == 0:
            return None
        return self._advice(candles, side, abs(float(gap[-1])))

    def _advice(self, candles: Candles, side: int, gap: float) -> Advice:
        close = float(candles.close[-1])
        usual = float(average_range(candles.high, candles.low, candles.close, self.slow)[-1])
        strength, confidence = _heuristic(gap / usual if usual > 0 else 0.0)
        word = "above" if side > 0 else "below"
        return Advice(
            signal_type=BUY if side > 0 else SELL,
            strength=strength,
            confidence_score=confidence,
            time_us=candles.closed_us,
            entry_price=close,
            target_price=_positive(close + side * self.target_ranges * usual, usual),
            stop_loss=_positive(close - side * self.stop_ranges * usual, usual),
            expires_us=candles.closed_us + self.slow * candles.step_us,
            reason=f"The {self.fast}-bar average has crossed {word} the {self.slow}-bar average.",
        )


def _span(candles: Candles) -> float:
    """How long the bars took, as a multiple of what they take without a missing one."""
    return float((candles.closed_us - candles.time_us[0]) / (len(candles) * candles.step_us))


def _crossed(gap: np.ndarray) -> int:
    """1: the last value is above zero and the last one unlike zero before it was below; −1: the reverse; else 0."""
    side = int(np.sign(gap[-1]))
    before = gap[:-1][gap[:-1] != 0]
    return side if len(before) and side == -int(np.sign(before[-1])) else 0


def _heuristic(gap: float) -> tuple[str, float]:
    """Strength and confidence of a crossing that has opened `gap` average ranges wide: the wider, the surer."""
    strength = STRONG if gap >= 0.5 else MODERATE if gap >= 0.2 else WEAK
    return strength, round(50 + 50 * min(gap, 1.0), 1)


def _positive(price: float, usual: float) -> float | None:
    """None where there is no such price, or no range to measure it by."""
    return float(f"{price:.10g}") if price > 0 and usual > 0 else None
