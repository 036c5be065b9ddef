"""What became of a signal, by the bars after it. Pure, and never forward-looking: a bar counts when it has closed.

- The signal is entered at its own entry price, the close of its bar; the first bar that counts begins at that close.
- Whichever of target and stop a bar's high or low touches first ends it. Where one bar touches both, its minutes
  decide; where those do not tell either (or are not there), it counts as the **stop**: the cautious choice.
- A bar that opens beyond the stop is left at its open, which is worse than the stop. One that opens beyond the target
  is left at the target: no more is credited than was promised.
- What touched neither by its expiry is left at the close of the last bar that lies wholly before it.
- MFE and MAE are the most favourable and the most adverse price while it was held. Of the bar that ended it, what came
  after the end is not known: it counts against the signal, never for it.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from ingestion.candles import INTERVALS, Bar

TARGET: Final = "target"
STOP: Final = "stop"
EXPIRED: Final = "expired"


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """A signal. side: 1 to buy, −1 to sell. at_us: the close of its bar."""

    side: int
    entry: float
    target: float | None
    stop: float | None
    at_us: int
    expires_us: int


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it. at_us: the close of the bar that decided. Returns and excursions are in percent of the entry,
    and positive in the signal's favour; adverse ones (mae) are zero or negative."""

    result: str
    at_us: int
    exit: float
    bars: int
    return_percent: float
    mfe_percent: float
    mae_percent: float
    risk_percent: float | None
    gapped: bool = False
    undecided: bool = False

    def in_r(self, percent: float) -> float | None:
        """The same as a multiple of what was at risk; None where nothing was."""
        return percent / self.risk_percent if self.risk_percent else None


class _Touch(msgspec.Struct, frozen=True):
    result: str
    at_us: int
    exit: float
    gapped: bool = False
    undecided: bool = False


Minutes = Callable[[Bar], Sequence[Bar]]


def score(called: Called, bars: Sequence[Bar], now_us: int, minutes: Minutes | None = None) -> Scored | None:
    """What became of it by these bars of its interval, which rise in time; None while it is open.

    now_us: by when every bar that had closed has arrived. minutes: those within a longer bar. Without a bar before the
    expiry there is nothing to score it by: None as well, see `is_over`.
    """
    counted = [bar for bar in bars if bar.final and bar.time_us >= called.at_us and _close_us(bar) <= called.expires_us]
    for at, bar in enumerate(counted):
        touch = _touched(called, bar, minutes)
        if touch is not None:
            return _scored(called, counted[:at], bar, touch)
    if not is_over(called, now_us) or not counted:
        return None
    last = counted[-1]
    return _scored(called, counted, None, _Touch(EXPIRED, _close_us(last), last.close))


def is_over(called: Called, now_us: int) -> bool:
    """Whether it has expired."""
    return now_us >= called.expires_us


def _close_us(bar: Bar) -> int:
    return bar.time_us + INTERVALS[bar.interval]


def _touched(called: Called, bar: Bar, minutes: Minutes | None) -> _Touch | None:
    touch = _in_one(called, bar)
    if touch is None or bar.interval == "1m" or minutes is None:
        return touch
    for minute in minutes(bar):
        finer = _in_one(called, minute)
        if finer is not None:
            return finer
    return touch  # the minutes are not all there


def _in_one(called: Called, bar: Bar) -> _Touch | None:
    """What one bar says by itself."""
    if _beyond(called.stop, bar.open, -called.side):
        return _Touch(STOP, _close_us(bar), bar.open, gapped=bar.open != called.stop)
    best, worst = (bar.high, bar.low) if called.side > 0 else (bar.low, bar.high)
    opened_at_target = _beyond(called.target, bar.open, called.side)
    stopped = _beyond(called.stop, worst, -called.side) and not opened_at_target
    reached = _beyond(called.target, best, called.side)
    if stopped:
        assert called.stop is not None
        return _Touch(STOP, _close_us(bar), called.stop, undecided=reached)
    if reached:
        assert called.target is not None
        return _Touch(TARGET, _close_us(bar), called.target)
    return None


def _beyond(level: float | None, price: float, side: int) -> bool:
    return level is not None and side * price >= side * level


def _scored(called: Called, held: Sequence[Bar], last: Bar | None, touch: _Touch) -> Scored:
    """held: the bars that it was held through; last: the one that ended it, if one did."""
    prices = [called.entry, touch.exit]
    for bar in held:
        prices += [bar.high, bar.low]
    against = [] if last is None or touch.result == STOP else [last.low if called.side > 0 else last.high]
    risk = None if called.stop is None else abs(_percent(called, called.stop))
    moves = [_percent(called, price) for price in (*prices, *against)]
    return Scored(
        result=touch.result,
        at_us=touch.at_us,
        exit=touch.exit,
        bars=len(held) + (last is not None),
        return_percent=_percent(called, touch.exit),
        mfe_percent=max(moves),
        mae_percent=min(moves),
        risk_percent=risk,
        gapped=touch.gapped,
        undecided=touch.undecided,
    )


def _percent(called: Called, price: float) -> float:
    return called.side * (price - called.entry) / called.entry * 100


def wilson(hits: int, count: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's interval of a rate, of 95 % by default: (0, 1) where nothing was counted.

    >>> tuple(round(edge, 4) for edge in wilson(7, 10))
    (0.3968, 0.8922)
    """
    if not count:
        return 0.0, 1.0
    rate, spread = hits / count, z * z / count
    middle = rate + spread / 2
    half = z * ((rate * (1 - rate) + spread / 4) / count) ** 0.5
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))
