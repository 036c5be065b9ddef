"""When silence is too long: each stream's own measure, learned from how long it was silent before. Pure.

The measure is the longest silence lately (it fades with time) rather than a mean: trades come in bursts, and a mean of
bursts calls every pause a stall. A stream is mute after some multiple of it, no sooner than a floor and no later than
a ceiling. A stall teaches little: of a silence longer than the limit only the limit is learned, so that one stall does
not hide the next, while a market that has become slower is believed after a few.
"""

from collections.abc import Hashable, Iterable
from typing import Final

import msgspec

# Before it was heard so often, a stream's measure is not known, and the ceiling is its limit.
KNOWN_AFTER: Final = 5
HALF_LIFE_S: Final = 3600.0


class _Beat(msgspec.Struct):
    since_s: float
    longest_s: float = 0.0
    count: int = 0
    alarms: int = 0


class Rhythm:
    """Of the streams of one feed, by any key. Times are seconds on a steady clock."""

    def __init__(self, factor: float, floor_s: float, ceiling_s: float) -> None:
        self._factor, self._floor_s, self._ceiling_s = factor, floor_s, ceiling_s
        self._beats: dict[Hashable, _Beat] = {}

    def follow(self, keys: Iterable[Hashable], now_s: float) -> None:
        """These, and no others. A new one's silence begins now."""
        wanted = set(keys)
        for gone in self._beats.keys() - wanted:
            del self._beats[gone]
        for key in wanted - self._beats.keys():
            self._beats[key] = _Beat(now_s)

    def heard(self, keys: Iterable[Hashable], now_s: float) -> None:
        """Something came on each of them."""
        for key in keys:
            beat = self._beats.get(key)
            if beat is not None:
                self._learn(beat, now_s - beat.since_s + beat.alarms * self._limit_s(beat))
                beat.since_s, beat.count, beat.alarms = now_s, beat.count + 1, 0

    def pause(self, keys: Iterable[Hashable], now_s: float) -> None:
        """Nothing can come just now (the market is closed, the connection is new): silence counts from here."""
        for key in keys:
            beat = self._beats.get(key)
            if beat is not None:
                beat.since_s = now_s

    def limit_s(self, key: Hashable) -> float:
        """After so long a silence it is mute."""
        return self._limit_s(self._beats[key])

    def mute(self, now_s: float) -> list[tuple[Hashable, int]]:
        """Those that used to speak and are silent too long, each with how often in a row this was said of it.

        Saying it begins the count anew: it is said again if the stream stays mute for as long once more.
        """
        found = []
        for key, beat in self._beats.items():
            if beat.count and now_s - beat.since_s >= self._limit_s(beat):
                beat.alarms += 1
                beat.since_s = now_s
                found.append((key, beat.alarms))
        return found

    def spoken(self) -> set[Hashable]:
        """Those that ever spoke."""
        return {key for key, beat in self._beats.items() if beat.count}

    def alarmed(self) -> list[Hashable]:
        """Those that are mute now."""
        return [key for key, beat in self._beats.items() if beat.alarms]

    def unheard(self, now_s: float, after_s: float) -> list[Hashable]:
        """Those that never spoke in `after_s`."""
        return [key for key, beat in self._beats.items() if not beat.count and now_s - beat.since_s >= after_s]

    def _limit_s(self, beat: _Beat) -> float:
        if beat.count < KNOWN_AFTER:
            return self._ceiling_s
        return min(max(self._floor_s, self._factor * beat.longest_s), self._ceiling_s)

    def _learn(self, beat: _Beat, silent_s: float) -> None:
        faded_s: float = beat.longest_s * 0.5 ** (silent_s / HALF_LIFE_S)
        beat.longest_s = max(faded_s, min(silent_s, self._limit_s(beat)))
