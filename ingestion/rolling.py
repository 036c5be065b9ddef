"""The last 24 hours of one instrument, minute by minute: what `change`, `high`, `low` and `volume` are made of. Pure.

A venue's own rolling figures are better where it gives them; this is for where it does not.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

MINUTE_US: Final = 60_000_000
MINUTES: Final = 24 * 60
NO_MINUTE: Final = -1


class Minute(msgspec.Struct, frozen=True, gc=False):
    """What one minute traded; `minute` counts them since 1970, `last_us` is its last trade's time."""

    minute: int
    high: float
    low: float
    close: float
    volume: float
    last_us: int


class Statistics(msgspec.Struct, frozen=True, gc=False):
    """reference: the price 24 hours ago, None while that is unknown; the others over the 24 hours since."""

    reference: float | None
    high: float | None
    low: float | None
    volume: float


class Rolling:
    """A ring of the newest MINUTES minutes, ended by the newest minute seen (the venue's time, not the clock's).

    before: the last price known from before the window: the reference until the window itself has one.
    """

    def __init__(self, before: float | None = None) -> None:
        self.before = before
        self.newest = NO_MINUTE
        self._minutes = np.full(MINUTES, NO_MINUTE, np.int64)
        self._high, self._low, self._close, self._volume = (np.zeros(MINUTES) for _ in range(4))
        self._last_us = np.zeros(MINUTES, np.int64)
        self._settled: Statistics | None = None  # over the window without its newest minute

    def load(self, minutes: Iterable[Minute]) -> None:
        for minute in minutes:
            self.add(minute)

    def add(self, traded: Minute) -> None:
        """Add trades of one minute, perhaps not its first; those from before the window change nothing."""
        if traded.minute <= self.newest - MINUTES:
            return
        if traded.minute != self.newest:
            self._settled = None
        at = traded.minute % MINUTES
        if self._minutes[at] != traded.minute:
            self._start(at, traded)
        else:
            self._merge(at, traded)
        self.newest = max(self.newest, traded.minute)

    def _start(self, at: int, traded: Minute) -> None:
        # The slot's old minute is exactly one window (or more) older: its close is the price 24 hours ago.
        if self._minutes[at] != NO_MINUTE:
            self.before = float(self._close[at])
        self._minutes[at], self._last_us[at] = traded.minute, traded.last_us
        self._high[at], self._low[at] = traded.high, traded.low
        self._close[at], self._volume[at] = traded.close, traded.volume

    def _merge(self, at: int, traded: Minute) -> None:
        self._high[at] = max(self._high[at], traded.high)
        self._low[at] = min(self._low[at], traded.low)
        self._volume[at] += traded.volume
        if traded.last_us >= self._last_us[at]:
            self._close[at], self._last_us[at] = traded.close, traded.last_us

    def statistics(self) -> Statistics:
        """Over the 24 hours up to the newest minute."""
        if self.newest == NO_MINUTE:
            return Statistics(self.before, None, None, 0.0)
        if self._settled is None:
            self._settled = self._over_older_minutes()
        settled, at = self._settled, self.newest % MINUTES
        high, low = float(self._high[at]), float(self._low[at])
        return Statistics(
            settled.reference,
            high if settled.high is None else max(high, settled.high),
            low if settled.low is None else min(low, settled.low),
            settled.volume + float(self._volume[at]),
        )

    def _over_older_minutes(self) -> Statistics:
        inside = (self._minutes > self.newest - MINUTES) & (self._minutes < self.newest)
        if not inside.any():
            return Statistics(self._reference(), None, None, 0.0)
        return Statistics(
            self._reference(),
            float(self._high[inside].max()),
            float(self._low[inside].min()),
            float(self._volume[inside].sum()),
        )

    def _reference(self) -> float | None:
        """The newest close from before the window; a slot not yet overwritten may still hold it."""
        outside = (self._minutes <= self.newest - MINUTES) & (self._minutes != NO_MINUTE)
        if not outside.any():
            return self.before
        return float(self._close[np.argmax(np.where(outside, self._minutes, NO_MINUTE))])
