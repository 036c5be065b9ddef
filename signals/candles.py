"""Closed bars as arrays: what indicators, patterns and strategies are given."""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from ingestion.candles import INTERVALS, Bar

DAY_US: Final = 86_400_000_000
COLUMNS: Final = ("open", "high", "low", "close", "volume")


class Candles(msgspec.Struct, frozen=True):
    """Bars of one instrument, source and interval, oldest first, as arrays of the same length.

    time_us: when each bar began. session: a number that is the same for bars of one trading session: when it opened,
    microseconds since 1970, or else the UTC day, counted from then. A volume that nobody told is NaN. A minute without
    trades has no bar: nothing is filled in.
    """

    step_us: int
    time_us: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    session: np.ndarray

    @classmethod
    def of(cls, bars: Sequence[Bar], interval: str, session: Sequence[int] | None = None) -> "Candles":
        """Raises ValueError when a bar isn't final: what isn't closed feeds no signal."""
        if not all(bar.final for bar in bars):
            raise ValueError("a candle that is still open")
        times = np.array([bar.time_us for bar in bars], np.int64)
        # None becomes NaN.
        columns = {name: np.array([getattr(bar, name) for bar in bars], np.float64) for name in COLUMNS}
        sessions = times // DAY_US if session is None else np.array(session, np.int64)
        return cls(step_us=INTERVALS[interval], time_us=times, session=sessions, **columns)

    def until(self, length: int) -> "Candles":
        """The first `length` bars: what was known when the last of them closed."""
        return self._cut(slice(None, length))

    def last(self, length: int) -> "Candles":
        """The last `length` bars."""
        return self._cut(slice(max(0, len(self) - length), None))

    def _cut(self, part: slice) -> "Candles":
        return Candles(
            self.step_us, *(getattr(self, name)[part] for name in ("time_us", *COLUMNS, "session"))
        )  # fmt: skip

    def digest(self) -> str:
        """The same for bars that look the same."""
        digest = hashlib.blake2b(self.time_us.tobytes(), digest_size=16)
        for name in COLUMNS:
            digest.update(getattr(self, name).tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.time_us)

    @property
    def closed_us(self) -> int:
        """When the last bar closed: the time of a signal made of it."""
        return int(self.time_us[-1]) + self.step_us
