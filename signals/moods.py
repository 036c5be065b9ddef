"""What the news said of one instrument at each of many moments, by the articles that were known then. Pure.

The score is the mean that `news.sentiment` works out. As all weights fade alike, it changes only when an article comes
or goes.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np


class Scored(NamedTuple):
    """One article about an instrument. confidence: that it is. made_up: simulated, which counts only without others."""

    published_us: int
    received_us: int
    confidence: float
    score: float
    made_up: bool


def over(articles: Sequence[Scored], times_us: np.ndarray, window_us: int, half_life_us: float) -> np.ndarray:
    """The weighted mean of the articles of `window_us` before each of these times, which rise; NaN where there are
    none."""
    found = np.full(len(times_us), np.nan)
    if not articles or not len(times_us):
        return found
    columns = np.array(sorted(articles), np.float64).T
    published, received = columns[:2]
    changes = np.concatenate([np.maximum(published, received), published + window_us])
    begins = np.unique(np.append(np.searchsorted(times_us, changes), 0))
    for begin, end in pairwise([*begins[begins < len(times_us)].tolist(), len(times_us)]):
        at_us = float(times_us[begin])
        first, last = np.searchsorted(published, [at_us - window_us, at_us], side="right")
        found[begin:end] = _mean(columns[:, first:last], at_us, half_life_us)
    return found


def _mean(columns: np.ndarray, at_us: float, half_life_us: float) -> float:
    published, received, confidence, score, made_up = columns
    known = received <= at_us
    real = known & (made_up == 0)
    chosen = real if real.any() else known
    weights = confidence[chosen] * 0.5 ** ((at_us - published[chosen]) / half_life_us)
    return float(np.dot(weights, score[chosen]) / weights.sum()) if chosen.any() else np.nan
