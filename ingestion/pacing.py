"""So many in so long, and never more: what a venue allows us to send, and how often it lets us connect. Pure.

A rolling window rather than a bucket that fills up: a bucket lets its burst and its rate fall into one second, which
the venue then counts as too many.
"""

from collections import deque
from typing import Final

from ingestion.providers import Limits

# What leaves a second apart may arrive a little closer together.
MARGIN: Final = 1.05


class Window:
    """At most `most` in any `span_s` seconds. Times are seconds on any steady clock.

    >>> window = Window(most=2, span_s=1.0)
    >>> window.note(10.0), window.note(10.25)
    (None, None)
    >>> window.wait_s(10.5), window.wait_s(11.0)
    (0.5, 0.0)
    """

    def __init__(self, most: int, span_s: float) -> None:
        self._span_s = span_s
        self._noted: deque[float] = deque(maxlen=most)

    def note(self, now_s: float) -> None:
        """One went out, whether or not it was its turn (a pong is not ours to hold back)."""
        self._noted.append(now_s)

    def wait_s(self, now_s: float) -> float:
        """How long until one more may go out; 0 if it may now."""
        if len(self._noted) < (self._noted.maxlen or 0):
            return 0.0
        return max(0.0, self._noted[0] + self._span_s - now_s)


def messages(limits: Limits) -> Window:
    """What one connection may send."""
    most = max(1, int(limits.messages_per_s))
    return Window(most, MARGIN * most / limits.messages_per_s)


def connects(limits: Limits) -> Window:
    """How often a venue may be connected to."""
    return Window(limits.connect_burst, MARGIN * limits.connect_burst / limits.connects_per_s)
