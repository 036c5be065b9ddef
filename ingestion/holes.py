"""Which trade ids of a symbol were seen, and which are missing. Pure.

A venue that counts its trades tells by the next one's id how many were lost in between. Late ones fill a hole; what is
still missing after a grace is told once, with its exact ends.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

# An id further than this from the newest is another numbering, not a hole (or a repetition).
HOLE_MAX: Final = 10_000_000
# Venues tell up to so many trades again to whoever subscribes.
TOLD_AGAIN_MAX: Final = 1000
# Holes of one symbol; what would be older ones' late trades count as new, and the disk knows better.
HOLES_MAX: Final = 100


class Hole(msgspec.Struct, frozen=True):
    """Trades that never came: ids from_id to to_id, both missing, between the venue's times from_us and until_us."""

    symbol: str
    from_id: int
    to_id: int
    from_us: int
    until_us: int


class _Missing(msgspec.Struct):
    from_id: int
    to_id: int
    from_us: int
    until_us: int
    noticed_us: int
    told: bool = False


class TradeIds:
    """Of one symbol: seen are those from `low` to `high` but for the missing.

    seen_until: the newest trade of an earlier run, its id and time. What was missed meanwhile is a hole too, and the
    last trades that a venue tells again after subscribing are known.
    """

    __slots__ = ("high", "low", "missing", "time_us")

    def __init__(self, seen_until: tuple[int, int] | None = None) -> None:
        self.high, self.time_us = seen_until or (-1, 0)
        self.low = max(0, self.high + 1 - TOLD_AGAIN_MAX)
        self.missing: list[_Missing] = []

    def is_new(self, trade_id: int, time_us: int, received_us: int) -> bool:
        """Whether it was not seen; and now it was. An id from before `low` counts as new."""
        if self.high < 0 or abs(trade_id - self.high) > HOLE_MAX:
            self.low = self.high = trade_id
            self.time_us = time_us
            self.missing.clear()
            return True
        if trade_id > self.high:
            self._jump(trade_id, time_us, received_us)
            return True
        return trade_id < self.low or self._fill(trade_id, time_us)

    def _jump(self, trade_id: int, time_us: int, received_us: int) -> None:
        if trade_id > self.high + 1:
            self.missing.append(_Missing(self.high + 1, trade_id - 1, self.time_us, time_us, received_us))
            self._bound()
        self.high, self.time_us = trade_id, time_us

    def _bound(self) -> None:
        while len(self.missing) > HOLES_MAX:
            self.low = self.missing.pop(0).to_id + 1

    def _fill(self, trade_id: int, time_us: int) -> bool:
        """Whether it was missing. A hole's middle leaves two."""
        for at, hole in enumerate(self.missing):
            if hole.from_id <= trade_id <= hole.to_id:
                before = msgspec.structs.replace(hole, to_id=trade_id - 1, until_us=time_us)
                after = msgspec.structs.replace(hole, from_id=trade_id + 1, from_us=time_us)
                self.missing[at : at + 1] = [part for part in (before, after) if part.from_id <= part.to_id]
                self._bound()
                return True
        return False

    def take(self, symbol: str, noticed_before_us: int) -> Iterator[Hole]:
        """What was noticed to be missing by then and was never told before."""
        for hole in self.missing:
            if not hole.told and hole.noticed_us <= noticed_before_us:
                hole.told = True
                yield Hole(symbol, hole.from_id, hole.to_id, hole.from_us, hole.until_us)

    @property
    def untold(self) -> bool:
        return any(not hole.told for hole in self.missing)
