"""What an ask about bars says at each closed bar: indicators, volumes and figures as one series. Pure.

The live figure is the series' last value and a dry run's is all of them, so that both can't say two things.
"""

from typing import Final

import numpy as np

from signals import patterns
from signals.anomalies import Measure, robust_z
from signals.candles import DAY_US, Candles
from signals.indicators import asked
from signals.rules import INDICATOR, PATTERN, VOLUME_ZSCORE, Ask

# What is answered from closed bars alone.
KINDS: Final = frozenset({INDICATOR, VOLUME_ZSCORE, PATTERN})
# Bars before the one that is judged: a figure's longest, what its swings are weighed by, and as much again, so that a
# figure does not depend on where the bars begin.
PATTERN_BARS: Final = 300
# A volume beside volumes that never varied lies infinitely far off; that is written down as this.
Z_MAX: Final = 1_000.0
# What has to be read before the bar that is judged, at the most.
HISTORY_MAX: Final = 5_000


def interval_of(ask: Ask) -> str:
    """Whose bars it is about."""
    return str(ask.get("interval") or "1m")


def bars_before(ask: Ask, step_us: int) -> int:
    """How many bars it needs before the one that it speaks of. An indicator that never settles gets a day."""
    if ask.kind == VOLUME_ZSCORE:
        return _window(ask)
    if ask.kind == PATTERN:
        return PATTERN_BARS
    wanted = asked(str(ask.get("name")))
    return min(HISTORY_MAX, wanted.warmup if wanted.settle is not None else max(wanted.lookback, DAY_US // step_us))


def settles(ask: Ask) -> bool:
    """Whether an indicator comes to the same wherever its bars begin; a VWAP does, once its session is whole."""
    wanted = asked(str(ask.get("name")))
    return wanted.settle is not None or wanted.indicator.name == "vwap"


def series(ask: Ask, candles: Candles) -> np.ndarray:
    """Its value at each bar, as long as the candles; NaN where there is none.

    Of a figure the value is its confidence at the bars that confirmed one; at the others there is none.
    """
    if ask.kind == VOLUME_ZSCORE:
        return _volume_zscore(candles, _window(ask))
    if ask.kind == PATTERN:
        return _pattern(ask, candles)
    return _indicator(ask, candles)


def newest(ask: Ask, candles: Candles) -> float:
    """The series' last value, from the bars that it needs alone. NaN where there is none."""
    if not len(candles):
        return float("nan")
    return float(series(ask, candles.last(bars_before(ask, candles.step_us) + 1))[-1])


def _indicator(ask: Ask, candles: Candles) -> np.ndarray:
    outputs = asked(str(ask.get("name"))).over(candles)
    return np.asarray(outputs[str(ask.get("output") or next(iter(outputs)))])


def _window(ask: Ask) -> int:
    return int(ask.get("window") or Measure().window)


def _volume_zscore(candles: Candles, window: int) -> np.ndarray:
    """In logarithms, as volumes are skewed; a bar without a volume has no value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(candles.volume > 0, np.log(candles.volume), np.nan)
    values = np.full(len(candles), np.nan)
    for at in range(window, len(candles)):
        values[at] = robust_z(float(logs[at]), logs[at - window : at])
    clipped: np.ndarray = np.clip(values, -Z_MAX, Z_MAX)
    return clipped


def _pattern(ask: Ask, candles: Candles) -> np.ndarray:
    name, least = str(ask.get("name")), float(ask.get("min_confidence") or 0)
    if name in patterns.FIGURES:
        found = patterns.figures(candles, names=[name])
    else:
        found = patterns.candlesticks(candles, [name])
    values = np.full(len(candles), np.nan)
    for figure in found:
        at = int(np.searchsorted(candles.time_us, figure.time_us - candles.step_us))
        if figure.confidence >= least:
            values[at] = np.fmax(values[at], figure.confidence)
    return values
