"""What strategies are given and what they say."""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec
import numpy as np

from ingestion.candles import INTERVALS, Bar

BUY: Final = "BUY"
SELL: Final = "SELL"
WEAK: Final = "WEAK"
MODERATE: Final = "MODERATE"
STRONG: Final = "STRONG"


class InvalidParameters(ValueError):
    """A strategy can't work with these."""


class Candles(msgspec.Struct, frozen=True):
    """Closed bars of one instrument, source and interval, oldest first, as arrays of the same length.

    time_us: when each bar began. A minute without trades has no bar: nothing is filled in.
    """

    step_us: int
    time_us: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray

    @classmethod
    def of(cls, bars: Sequence[Bar], interval: str) -> "Candles":
        """Raises ValueError when a bar isn't final: what isn't closed feeds no signal."""
        if not all(bar.final for bar in bars):
            raise ValueError("a candle that is still open")
        columns = ([getattr(bar, name) for bar in bars] for name in ("high", "low", "close"))
        times = np.array([bar.time_us for bar in bars], np.int64)
        return cls(INTERVALS[interval], times, *(np.array(column, np.float64) for column in columns))

    def until(self, length: int) -> "Candles":
        """The first `length` bars: what was known when the last of them closed."""
        columns = (column[:length] for column in (self.time_us, self.high, self.low, self.close))
        return Candles(self.step_us, *columns)

    def __len__(self) -> int:
        return len(self.time_us)

    @property
    def closed_us(self) -> int:
        """When the last bar closed: the time of a signal made of it."""
        return int(self.time_us[-1]) + self.step_us


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
