"""What strategies are given and what they say."""

import dataclasses
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from signals.candles import Candles
from signals.indicators import InvalidParameters, average_range

BUY: Final = "BUY"
SELL: Final = "SELL"
WEAK: Final = "WEAK"
MODERATE: Final = "MODERATE"
STRONG: Final = "STRONG"


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy says at the close of a bar.

    confidence_score: 0–100, a heuristic of the strategy's own: neither a probability nor calibrated.
    """

    signal_type: str
    strength: str
    confidence_score: float
    time_us: int
    entry_price: float
    target_price: float | None
    stop_loss: float | None
    expires_us: int
    reason: str


class Strategy(Protocol):
    """Pure: the same bars give the same advice. It speaks of the last bar only, and needs `warmup` bars for it."""

    @property
    def name(self) -> str: ...

    @property
    def warmup(self) -> int: ...

    def evaluate(self, candles: Candles) -> Advice | None:
        """What there is to say at the close of the last bar; None mostly."""


def limited(default: float, least: float, most: float, about: str) -> Any:
    """A parameter of a strategy, as a field of its dataclass: what it is unless one says otherwise, the least and the
    most that is taken, and what it means."""
    return dataclasses.field(default=default, metadata={"least": least, "most": most, "about": about})


class Ranges(msgspec.Struct, frozen=True):
    """How far target and stop lie from the close, in average true ranges of `period` bars; the advice holds for
    `expires` bars."""

    target: float = 3.0
    stop: float = 2.0
    period: int = 20
    expires: int = 20

    def __post_init__(self) -> None:
        if not (0 < self.stop <= 100 and 0 < self.target <= 100):
            raise InvalidParameters("target and stop lie between 0 and 100 average ranges away")
        if not (2 <= self.period <= 500 and 1 <= self.expires <= 1_000):
            raise InvalidParameters("period lies between 2 and 500 bars, expires between 1 and 1000")


def usual_range(candles: Candles, period: int) -> float:
    """The average true range at the last bar; 0 where there is none."""
    usual = float(average_range(candles.high, candles.low, candles.close, period)[-1])
    return usual if usual > 0 else 0.0


def advise(candles: Candles, side: int, share: float, reason: str, ranges: Ranges) -> Advice:
    """Advice at the close of the last bar. side: 1 to buy, −1 to sell. share: 0 to 1, how far the strategy's own
    measure went; strength and confidence follow from it alone (0.2 is moderate, 0.5 strong; 50 to 100), a heuristic.
    """
    close, usual = float(candles.close[-1]), usual_range(candles, ranges.period)
    share = max(0.0, min(1.0, share))
    return Advice(
        signal_type=BUY if side > 0 else SELL,
        strength=STRONG if share >= 0.5 else MODERATE if share >= 0.2 else WEAK,
        confidence_score=round(50 + 50 * share, 1),
        time_us=candles.closed_us,
        entry_price=close,
        target_price=_positive(close + side * ranges.target * usual, usual),
        stop_loss=_positive(close - side * ranges.stop * usual, usual),
        expires_us=candles.closed_us + ranges.expires * candles.step_us,
        reason=reason,
    )


def _positive(price: float, usual: float) -> float | None:
    """None where there is no such price, or no range to measure it by."""
    return float(f"{price:.10g}") if price > 0 and usual > 0 else None


# The window may hold missing minutes, but a market that stood still for longer tells nothing of a crossing.
SPAN_MAX: Final = 2.0


def is_dense(candles: Candles) -> bool:
    """Whether the bars took no more than SPAN_MAX times what they take without a missing one. That an exchange was
    shut between two sessions doesn't count."""
    took_us = candles.closed_us - candles.time_us[0] - _shut_us(candles)
    return float(took_us / (len(candles) * candles.step_us)) <= SPAN_MAX


# No session opened so near to 1970 that its time could be taken for the number of a day.
_OPENINGS_FROM_US: Final = 10**12


def _shut_us(candles: Candles) -> int:
    """From the last bar of each session to the opening of the next. A day of the clock opens and shuts nothing."""
    first = np.flatnonzero(np.diff(candles.session)) + 1
    shut = candles.session[first] - (candles.time_us[first - 1] + candles.step_us)
    return int(shut[(candles.session[first] > _OPENINGS_FROM_US) & (shut > 0)].sum())
