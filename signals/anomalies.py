"""What is out of the ordinary: a price that jumped, a volume that surged, by robust z-scores of closed bars.

A robust z-score measures a value from the median in median absolute deviations (× 1.4826, which makes it a standard
deviation where values are normal): one wild bar among those before does not make the next wild one look usual.
"""

from typing import Final

import msgspec
import numpy as np

from signals.candles import Candles
from signals.indicators import InvalidParameters

PRICE_SPIKE: Final = "price_spike"
VOLUME_SURGE: Final = "volume_surge"
_NORMAL: Final = 1.482602218505602


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """window: bars before each that say what is usual. threshold: z-scores from which on it is out of the ordinary.
    least_percent: a move smaller than that is none, however still the market was."""

    window: int = 60
    threshold: float = 6.0
    least_percent: float = 0.5

    def __post_init__(self) -> None:
        if not 20 <= self.window <= 2_000:
            raise InvalidParameters("window lies between 20 and 2000 bars")
        if not 2 <= self.threshold <= 100 or not 0 <= self.least_percent <= 100:
            raise InvalidParameters("threshold lies between 2 and 100, least_percent between 0 and 100")


class Anomaly(msgspec.Struct, frozen=True, kw_only=True):
    """One bar. time_us: its close. value: the move in percent, or the volume as a multiple of the median. z: signed,
    infinite where nothing had varied before. confidence: a heuristic, 50 at the threshold, 100 at twice it and beyond.
    """

    kind: str
    time_us: int
    value: float
    z: float
    confidence: float


def anomalies(candles: Candles, measure: Measure | None = None, first: int = 0) -> list[Anomaly]:
    """Those of all bars, from the bar `first` on, that have `window` bars (for a move: one more) before them, oldest
    first."""
    measure = measure or Measure()
    found = [*_spikes(candles, measure, first), *_surges(candles, measure, first)]
    return sorted(found, key=lambda one: (one.time_us, one.kind))


def robust_z(value: float, before: np.ndarray) -> float:
    """How many robust deviations `value` lies from the median of `before`. Where those were all alike: infinite, or 0
    for a value like them; NaN where there are none."""
    known = before[~np.isnan(before)]
    if not len(known) or np.isnan(value):
        return float("nan")
    away = value - float(np.median(known))
    usual = _NORMAL * float(np.median(np.abs(known - np.median(known))))
    if usual > 0:
        return away / usual
    return 0.0 if away == 0 else float(np.copysign(np.inf, away))


def _spikes(candles: Candles, measure: Measure, first: int) -> list[Anomaly]:
    moves = np.full(len(candles), np.nan)
    moves[1:] = np.diff(np.log(candles.close))
    found = []
    for at in range(max(first, measure.window + 1), len(candles)):
        percent = 100 * float(np.expm1(moves[at]))
        if abs(percent) < measure.least_percent:
            continue
        z = robust_z(float(moves[at]), moves[at - measure.window : at])
        if abs(z) >= measure.threshold:
            found.append(_anomaly(PRICE_SPIKE, candles, at, percent, z, measure))
    return found


def _surges(candles: Candles, measure: Measure, first: int) -> list[Anomaly]:
    """Only upward: that nothing was traded is no surge. In logarithms, as volumes are skewed."""
    with np.errstate(divide="ignore"):
        logs = np.where(candles.volume > 0, np.log(candles.volume), np.nan)
    found = []
    for at in range(max(first, measure.window), len(candles)):
        before = logs[at - measure.window : at]
        z = robust_z(float(logs[at]), before)
        if z >= measure.threshold:
            times = float(np.exp(logs[at] - np.nanmedian(before)))
            found.append(_anomaly(VOLUME_SURGE, candles, at, times, z, measure))
    return found


def _anomaly(kind: str, candles: Candles, at: int, value: float, z: float, measure: Measure) -> Anomaly:
    confidence = min(100.0, 50 * abs(z) / measure.threshold)
    time_us = int(candles.time_us[at]) + candles.step_us
    return Anomaly(kind=kind, time_us=time_us, value=value, z=z, confidence=round(confidence, 1))
