"""The strategies: pure functions of closed candles. A new one is a file here and a line below."""

from typing import Final

from signals.strategies.sma_cross import SmaCross
from signals.strategies.strategy import Strategy

STRATEGIES: Final[dict[str, Strategy]] = {strategy.name: strategy for strategy in (SmaCross(fast=5, slow=20),)}

__all__ = ["STRATEGIES", "Strategy"]
