"""What daily returns say of risk: deviation, Sharpe, Sortino, drawdown. Pure; ratios are floats.

Simple returns of the days on which a market moved, sample deviation (n − 1), a year of 252 days, or of 365 where only
crypto is held. Sharpe and Sortino: the mean daily return above the risk-free rate's day, over the deviation (Sortino:
over the root of the mean square of what fell short), times the root of the year's days.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SESSIONS_A_YEAR: Final = 252
DAYS_A_YEAR: Final = 365
# Less than this is what float arithmetic leaves of no deviation at all.
_NOTHING: Final = 1e-12


class Undefined(Exception):
    """A figure that these numbers don't have. Its text says why, for the reader."""


def volatility(returns: Floats, year_days: int) -> float:
    """Raises Undefined below two returns.

    >>> round(volatility(np.array([0.01, -0.01, 0.02]), 252), 9)
    0.242487113
    """
    return _deviation(returns) * float(np.sqrt(year_days))


def sharpe(returns: Floats, year_days: int, risk_free: float = 0.0) -> float:
    """risk_free: a year's rate. Raises Undefined, also where nothing ever moved."""
    deviation = _deviation(returns)
    if deviation < _NOTHING:
        raise Undefined("The daily returns don't differ: there is no risk to divide by.")
    return float((returns.mean() - risk_free / year_days) / deviation * np.sqrt(year_days))


def sortino(returns: Floats, year_days: int, risk_free: float = 0.0) -> float:
    """Raises Undefined, also where no day fell short of the risk-free rate."""
    _deviation(returns)
    excess = returns - risk_free / year_days
    if (short := downside(excess)) < _NOTHING:
        raise Undefined("No day fell short of the risk-free rate: there is no downside to divide by.")
    return float(excess.mean() / short * np.sqrt(year_days))


def downside(excess: Floats) -> float:
    """The root of the mean square of what fell short of nothing; the days that didn't count as 0."""
    return float(np.sqrt(np.mean(np.minimum(excess, 0.0) ** 2)))


def max_drawdown(index: Floats) -> tuple[float, int, int]:
    """The deepest fall of an index from its height until then, as a negative ratio; where its height and depth stand.

    >>> max_drawdown(np.array([1.0, 1.2, 0.9, 1.3]))
    (-0.25, 1, 2)
    """
    falls = index / np.maximum.accumulate(index) - 1.0
    depth = int(falls.argmin())
    return float(falls[depth]), int(index[: depth + 1].argmax()), depth


def _deviation(returns: Floats) -> float:
    if len(returns) < 2:
        raise Undefined(f"It takes two daily returns at least; there are {len(returns)}.")
    return float(returns.std(ddof=1))
