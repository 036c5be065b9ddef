"""What strategies are given and what they say."""

from typing import Final, Protocol

import msgspec

from signals.candles import Candles

BUY: Final = "BUY"
SELL: Final = "SELL"
WEAK: Final = "WEAK"
MODERATE: Final = "MODERATE"
STRONG: Final = "STRONG"


class InvalidParameters(ValueError):
    """A strategy can't work with these."""


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
