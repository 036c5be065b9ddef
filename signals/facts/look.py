"""One gathering: when it is, and what was read once for all kinds."""

import datetime as dt
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from django.conf import settings

from ingestion.latest import LIVE, Latest
from signals.rules import Ask, Seen

T = TypeVar("T")


class Look(msgspec.Struct, frozen=True):
    """newest: the instruments' latest values. prices: what the stream of changes told since the last look, with its
    extremes; it counts before the newest price, which has none."""

    now: dt.datetime
    now_us: int
    newest: Mapping[int, Latest]
    prices: Mapping[int, Seen]

    def price(self, instrument_id: int | None) -> Seen | None:
        """A trade's price, live and believed; else None."""
        if instrument_id is None:
            return None
        if instrument_id in self.prices:
            return self.prices[instrument_id]
        newest = self.newest.get(instrument_id)
        if newest is None or newest.price is None or newest.quality != LIVE:
            return None
        # Quotes alone keep the quality live; the last trade may be older than they are.
        if self.now_us - newest.time_us > settings.PRICE_FRESH_S * 1e6:
            return None
        return at(newest.price, newest.time_us, source=newest.source)


class Gatherer(Protocol):
    """What answers one or several kinds."""

    def gather(self, asks: Sequence[Ask], look: Look) -> Mapping[Ask, Seen]: ...


def at(value: float, at_us: int, *, bar_us: int | None = None, source: str = "", note: str = "") -> Seen:
    """A figure that had no extremes meanwhile."""
    return Seen(value=value, low=value, high=value, at_us=at_us, bar_us=bar_us, source=source, note=note)


class Kept:
    """Values that are read anew after a while, or when what they are of is over (`of` changes); bounded.

    read: the keys that are due → their values; a key that it leaves out is known to have none, until it is due again.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[Hashable, tuple[float, Hashable, Any]] = {}

    def get(
        self,
        wanted: Mapping[Any, Hashable],
        now: dt.datetime,
        keep_s: float,
        read: Callable[[Sequence[Any]], Mapping[Any, Any]],
    ) -> dict[Any, Any]:
        """wanted: each key, and what its value is of, such as a day."""
        now_s = now.timestamp()
        due = [key for key, of in wanted.items() if not self._is_fresh(key, of, now_s, keep_s)]
        if due:
            self._keep({key: wanted[key] for key in due}, read(due), now_s)
        return {key: kept[2] for key in wanted if (kept := self._kept[key])[2] is not None}

    def _is_fresh(self, key: Hashable, of: Hashable, now_s: float, keep_s: float) -> bool:
        kept = self._kept.get(key)
        # A clock that was put back makes nothing fresh.
        return kept is not None and kept[1] == of and 0 <= now_s - kept[0] < keep_s

    def _keep(self, due: Mapping[Any, Hashable], found: Mapping[Any, Any], now_s: float) -> None:
        if len(self._kept) + len(due) > self._most:
            self._kept.clear()  # what is still asked for is read again
        self._kept.update({key: (now_s, of, found.get(key)) for key, of in due.items()})


def by(asks: Iterable[Ask], key: Callable[[Ask], T]) -> dict[T, list[Ask]]:
    """The asks by something that several share."""
    found: dict[T, list[Ask]] = {}
    for ask in asks:
        found.setdefault(key(ask), []).append(ask)
    return found
