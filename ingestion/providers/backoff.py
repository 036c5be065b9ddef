"""How long to wait before connecting again: exponential, with full jitter, never giving up. Pure."""

from collections.abc import Callable
from typing import Final

FIRST_S: Final = 0.25
LONGEST_S: Final = 30.0
HEALTHY_S: Final = 60.0


class Backoff:
    """The delays between connection attempts to one venue.

    uniform: a number between two bounds, e.g. `Generator.uniform` of numpy or `Random.uniform`.

    >>> backoff = Backoff(lambda low, high: high)   # the longest that each may be
    >>> [backoff.delay(lived_s=0) for _ in range(9)]
    [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    >>> backoff.delay(lived_s=61)
    0.25
    """

    def __init__(
        self,
        uniform: Callable[[float, float], float],
        first_s: float = FIRST_S,
        longest_s: float = LONGEST_S,
        healthy_s: float = HEALTHY_S,
    ) -> None:
        self._uniform = uniform
        self._first_s = first_s
        self._longest_s = longest_s
        self._healthy_s = healthy_s
        self._bound_s = first_s

    def delay(self, lived_s: float) -> float:
        """Seconds to wait now. `lived_s`: how long the connection just lost was healthy, 0 if it never stood."""
        if lived_s >= self._healthy_s:
            self._bound_s = self._first_s
        bound_s, self._bound_s = self._bound_s, min(self._bound_s * 2, self._longest_s)
        return float(self._uniform(0.0, bound_s))
