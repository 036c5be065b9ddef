"""Durations counted in buckets that grow by a tenth: percentiles of any number of them, in constant memory. Pure.

Histograms of several processes add up, which percentiles do not.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

GROWTH: Final = 1.1
_LOG_GROWTH: Final = math.log(GROWTH)
# Beyond an hour everything is the same.
_LAST: Final = math.ceil(math.log(3.6e9) / _LOG_GROWTH)


class Histogram:
    """Of durations in microseconds. `counts`: how many by bucket; bucket 0 holds everything up to 1 µs."""

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(counts or {})

    def add(self, duration_us: float, times: int = 1) -> None:
        bucket = min(int(math.log(duration_us) / _LOG_GROWTH) + 1, _LAST) if duration_us > 1 else 0
        self.counts[bucket] = self.counts.get(bucket, 0) + times

    def merge(self, counts: Mapping[int, int]) -> None:
        for bucket, n in counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + n

    def __len__(self) -> int:
        return sum(self.counts.values())

    def percentiles_ms(self, percentiles: Iterable[float] = (50, 99)) -> dict[str, float]:
        """Such as {"p50": 12.3, "p99": 80.1}, each at most a tenth above the true value; empty without any.

        >>> h = Histogram(); [h.add(us) for us in (1000, 2000, 3000)] and h.percentiles_ms((50,))
        {'p50': 2.1}
        """
        total = len(self)
        return {f"p{p:g}": round(self._at(p / 100 * total) / 1000, 2) for p in percentiles} if total else {}

    def _at(self, rank: float) -> float:
        """The upper edge of the bucket that holds the value of this rank, in microseconds."""
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return float(GROWTH**bucket)
        return float(GROWTH ** max(self.counts))
