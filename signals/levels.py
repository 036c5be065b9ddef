"""Which plain price alerts a change of a price is about, out of millions, at a cost that grows with those alone. Pure.

An alert on one price that isn't moving through a threshold has nothing to say. So each tells what it waits for (a high
above, a low below, a moment), and waits in a heap of its instrument, the nearest on top: a change that reaches none
looks at two numbers. What is reached is named, and named again at each look until `put` says what it waits for next,
so that none is lost when whoever judges it fails.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from signals.arming import ARMED, NOT_CROSSED, ONCE_PER_BAR, State, Terms, bounds
from signals.rules import ABOVE, BELOW, Leaf

INF: Final = float("inf")
# A heap is cleaned once so many of its entries, and more than half, are of alerts that wait for something else by now.
_STALE_MIN: Final = 64


class Watch(msgspec.Struct, frozen=True, gc=False):
    """What an alert waits for: a high above `above`, a low below `below`, or the first look from `wake_us` on."""

    above: float = INF
    below: float = -INF
    wake_us: int | None = None

    @property
    def each(self) -> bool:
        """Whether it wants every look."""
        return self.above == -INF or self.below == INF

    def reached(self, low: float, high: float, now_us: int) -> bool:
        """Whether a look with these extremes is one that it waits for."""
        return high > self.above or low < self.below or (self.wake_us is not None and now_us >= self.wake_us)


EACH: Final = Watch(above=-INF)


def watch(leaf: Leaf, terms: Terms, state: State) -> Watch | None:
    """What an alert on one price waits for: any other look leaves it as it is. None: it waits for nothing any more.

    leaf: as `rules.plain_price` gives it. Its expiry is no look's matter.
    """
    if state.phase != ARMED:
        return None
    memory = state.memories[0] if state.memories else None
    if memory is None or memory.pending != NOT_CROSSED or 0 < state.count < terms.confirmations:
        return EACH
    if memory.side == 0:
        return Watch(leaf.value, leaf.value)
    lower, upper = bounds(leaf)
    reach = Watch(above=upper) if memory.side < 0 else Watch(below=lower)
    if leaf.op != (ABOVE if memory.side > 0 else BELOW):
        return reach
    return _standing(reach, terms, state)


def _standing(reach: Watch, terms: Terms, state: State) -> Watch:
    """Of a level that is true: until it is told, or told again in the next bar, a moment or any look may matter."""
    again = terms.mode == ONCE_PER_BAR and state.bar >= 0
    if state.told and not again:
        return reach
    moments = [(state.bar + 1) * terms.bar_us] if again else []
    if not state.told and state.cooling_until_us is not None:
        moments.append(state.cooling_until_us)
    return replace(reach, wake_us=max(moments)) if moments else EACH


class Side:
    """Alerts of one instrument that wait on one side: (threshold, id), the nearest first.

    What is taken out stays in the heap until it comes up or there is too much of it.
    """

    def __init__(self) -> None:
        self.heap: list[tuple[float, int]] = []
        self.live = 0

    def push(self, threshold: float, alert_id: int) -> None:
        heapq.heappush(self.heap, (threshold, alert_id))
        self.live += 1

    def crowded(self) -> bool:
        return len(self.heap) > 2 * self.live + _STALE_MIN


class Levels:
    """The index. Not for two threads at once."""

    def __init__(self) -> None:
        self._waits: dict[int, tuple[int, Watch]] = {}
        self._rising: defaultdict[int, Side] = defaultdict(Side)
        self._falling: defaultdict[int, Side] = defaultdict(Side)  # thresholds negated, so that the nearest is first
        self._each: defaultdict[int, set[int]] = defaultdict(set)
        self._wakes: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._waits)

    def __contains__(self, alert_id: int) -> bool:
        return alert_id in self._waits

    def put(self, alert_id: int, instrument: int, watch: Watch | None) -> None:
        """What an alert waits for from now on, whatever it was before; None: nothing any more."""
        self.remove(alert_id)
        if watch is None:
            return
        self._waits[alert_id] = instrument, watch
        if watch.each:
            self._each[instrument].add(alert_id)
            return
        if watch.above < INF:
            self._rising[instrument].push(watch.above, alert_id)
        if watch.below > -INF:
            self._falling[instrument].push(-watch.below, alert_id)
        if watch.wake_us is not None:
            heapq.heappush(self._wakes, (watch.wake_us, alert_id))

    def remove(self, alert_id: int) -> None:
        """Forget one; nothing where there is none."""
        instrument, watch = self._waits.pop(alert_id, (0, None))
        if watch is None:
            return
        if watch.each:
            self._each[instrument].discard(alert_id)
            return
        if watch.above < INF:
            self._left(self._rising[instrument], instrument, 1)
        if watch.below > -INF:
            self._left(self._falling[instrument], instrument, -1)

    def hits(self, instrument: int, low: float, high: float, now_us: int) -> list[int]:
        """The alerts that this look may move, by id, to be judged and `put` anew.

        low, high: its extremes, the last price included. now_us: the clock that alerts cool by; those whose moment has
        come want each look from here on.
        """
        self.wake(now_us)
        rising, falling = self._rising.get(instrument), self._falling.get(instrument)
        if rising and rising.heap and rising.heap[0][0] < high:
            self._take(rising, instrument, high, 1)
        if falling and falling.heap and falling.heap[0][0] < -low:
            self._take(falling, instrument, -low, -1)
        each = self._each.get(instrument)
        return sorted(each) if each else []

    def hits_in(self, changes: Iterable[tuple[int, float, float]], now_us: int) -> Iterator[tuple[int, list[int]]]:
        """The same for many changes (instrument, low, high) in their order: (place, ids) of those that have some.

        Lazily, so that what is `put` after one change is heeded at the next.
        """
        for place, (instrument, low, high) in enumerate(changes):
            found = self.hits(instrument, low, high, now_us)
            if found:
                yield place, found

    def wake(self, now_us: int) -> None:
        """From now on those whose moment has come want each look."""
        while self._wakes and self._wakes[0][0] <= now_us:
            wake_us, alert_id = heapq.heappop(self._wakes)
            instrument, watch = self._waits.get(alert_id, (0, None))
            if watch is not None and watch.wake_us == wake_us:
                self.put(alert_id, instrument, EACH)

    def _take(self, side: Side, instrument: int, reach: float, sign: int) -> None:
        """Everything nearer than `reach`: it wants each look until it's put anew."""
        heap = side.heap
        while heap and heap[0][0] < reach:
            threshold, alert_id = heapq.heappop(heap)
            if self._waits_at(alert_id, instrument, threshold, sign):
                self.put(alert_id, instrument, EACH)

    def _waits_at(self, alert_id: int, instrument: int, threshold: float, sign: int) -> bool:
        where, watch = self._waits.get(alert_id, (0, None))
        return watch is not None and where == instrument and threshold == (watch.above if sign > 0 else -watch.below)

    def _left(self, side: Side, instrument: int, sign: int) -> None:
        """One waits no longer on this side."""
        side.live -= 1
        if side.crowded():
            side.heap = sorted({e for e in side.heap if self._waits_at(e[1], instrument, e[0], sign)})
