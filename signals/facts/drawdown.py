"""How far a portfolio is below its highest point. Pure.

Money that was paid in or out is no gain and no loss: the path is an index, chained from one point to the next, of what
was there without what came in meanwhile.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, SupportsFloat

import numpy as np


class Worth(NamedTuple):
    """A portfolio at a moment. invested: what was paid in so far, less what was taken out."""

    total: float
    invested: float


class Kept(Protocol):
    """A snapshot."""

    @property
    def total_value(self) -> SupportsFloat: ...
    @property
    def net_invested(self) -> SupportsFloat: ...


def of(snapshot: Kept) -> Worth:
    return Worth(float(snapshot.total_value), float(snapshot.net_invested))


def index(path: Sequence[Worth]) -> np.ndarray:
    """The path as an index from 1 on; where nothing was there to gain on, it stays as it was."""
    values = np.ones(len(path))
    for at in range(1, len(path)):
        before, now = path[at - 1], path[at]
        gain = (now.total - (now.invested - before.invested)) / before.total if before.total > 0 else 1.0
        values[at] = values[at - 1] * max(0.0, gain)
    return values


def percent(path: Sequence[Worth]) -> float | None:
    """How far the last point is below the highest, 0 to 100. None where nothing is there.

    >>> round(percent([Worth(100, 100), Worth(120, 100), Worth(190, 200)]), 9)   # 100 came in, 30 was lost
    25.0
    """
    if not path or path[-1].total <= 0:
        return None
    values = index(path)
    highest = float(values.max())
    return 100 * (1 - float(values[-1]) / highest) if highest > 0 else None
