"""What an alert would have told: its rule judged over the past by the same `judge` as the present. Pure.

The past is given as tracks, one for each figure. At each time at which one of them has something new the alert has a
look; a figure that has not been renewed for long counts as not known, as it does live.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
import numpy as np

from signals import arming
from signals.arming import Fired, Terms
from signals.levels import EACH, Watch, watch
from signals.rules import Ask, Names, Rule, Seen, plain_price

# Between two looks at the time that is left.
_LOOKS: Final = 500


class TooSlow(Exception):
    """It took longer than it may."""


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """A figure over time, as arrays of the same length.

    at_us: rising, when each row was known, such as the close of a bar. hold_us: how long a row counts; 0: at its own
    time alone, as an event. step_us: the bars' length, where the rows are of bars.
    """

    at_us: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    hold_us: int
    step_us: int | None = None

    @classmethod
    def of(cls, at_us: np.ndarray, value: np.ndarray, hold_us: int, step_us: int | None = None) -> "Track":
        """A figure without extremes; where it is NaN or infinite there is none."""
        known = np.isfinite(value)
        at_us, value = at_us[known], value[known]
        return cls(at_us=at_us, value=value, low=value, high=value, hold_us=hold_us, step_us=step_us)

    def seen(self, row: int) -> Seen:
        at_us = int(self.at_us[row])
        bar_us = None if self.step_us is None else at_us - self.step_us
        return Seen(float(self.value[row]), float(self.low[row]), float(self.high[row]), at_us, bar_us)


def replay(
    rule: Rule,
    terms: Terms,
    tracks: Mapping[Ask, Track],
    start_us: int,
    end_us: int,
    *,
    names: Names,
    is_muted: Callable[[int], bool],
    is_late: Callable[[], bool],
) -> list[Fired]:
    """Every firing in (start, end] of an alert that was armed at `start`, oldest first.

    is_muted: at a time, as `judge` has it. is_late: whether to give up. Raises TooSlow.
    """
    times = _times(tracks.values(), start_us, end_us)
    rows = {ask: np.searchsorted(track.at_us, times, side="right") - 1 for ask, track in tracks.items()}
    state, firings = arming.begun(start_us), list[Fired]()
    plain, waits = plain_price(rule), EACH
    for look, now_us in enumerate(times.tolist()):
        if look % _LOOKS == 0 and is_late():
            raise TooSlow
        facts = _facts(tracks, rows, look, now_us)
        # Most looks at a price change nothing, and are passed over as the follower passes them over.
        if plain is not None and not _reached(waits, facts.get(plain.ask), now_us):
            continue
        verdict = arming.judge(rule, terms, state, facts, now_us, muted=is_muted(now_us), names=names)
        state = verdict.state
        if verdict.fired is not None:
            firings.append(verdict.fired)
        if state.phase != arming.ARMED:
            break
        if plain is not None:
            waits = watch(plain, terms, state) or EACH
    return firings


def _reached(waits: Watch, seen: Seen | None, now_us: int) -> bool:
    return seen is not None and waits.reached(seen.low, seen.high, now_us)


def _times(tracks: Iterable[Track], start_us: int, end_us: int) -> np.ndarray:
    arrays = [track.at_us for track in tracks]
    times = np.unique(np.concatenate(arrays)) if arrays else np.empty(0, np.int64)
    found: np.ndarray = times[(times > start_us) & (times <= end_us)]
    return found


def _facts(tracks: Mapping[Ask, Track], rows: Mapping[Ask, np.ndarray], look: int, now_us: int) -> dict[Ask, Seen]:
    facts = {}
    for ask, track in tracks.items():
        row = int(rows[ask][look])
        if row >= 0 and now_us - int(track.at_us[row]) <= track.hold_us:
            facts[ask] = track.seen(row)
    return facts
