"""Indicators over arrays, by TA-Lib. Where a window isn't full yet the value is NaN, never an estimate.

TA-Lib imports pandas where there is one: two seconds and eighty megabytes. So it is imported by the first indicator
that is asked for, and not by each process at its start.
"""

import numpy as np


def sma(values: np.ndarray, period: int) -> np.ndarray:
    """Simple moving average of the last `period` values, the present one included. Same length as `values`."""
    import talib

    return np.asarray(talib.SMA(np.ascontiguousarray(values, np.float64), timeperiod=period))


def average_range(high: np.ndarray, low: np.ndarray, close: np.ndarray, period: int) -> np.ndarray:
    """The true range (the bar's, or from the close before it), averaged over `period` bars.

    The plain mean, not Wilder's smoothing (TA-Lib's ATR): it depends on the last `period` + 1 bars alone, so that
    the same bars give the same value however much history stands before them.
    """
    import talib

    ranges = talib.TRANGE(*(np.ascontiguousarray(values, np.float64) for values in (high, low, close)))
    averaged = np.full(len(ranges), np.nan)
    if len(ranges) > period:
        averaged[1:] = talib.SMA(ranges[1:], timeperiod=period)  # the first bar has no close before it
    return averaged
