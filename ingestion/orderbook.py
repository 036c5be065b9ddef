"""Order books, one at a time, each kept whole by its venue's rule. Pure: no clock; times come with the deltas.

A book is either in sync, and then exactly what the venue last said, or it is empty and waits for a snapshot. There is
nothing in between: a plausible wrong book is worse than none. Levels are absolute quantities by price; zero removes.

A level's key is its price for bids and the negated price for asks, so that on both sides the best level is the last
key: changes happen near the best, where a list is cheap to insert into. Prices compare as float64 exactly, since the
same decimal text always gives the same float.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from enum import StrEnum
from typing import Final
from zlib import crc32

import msgspec

from ingestion.providers.kraken import BOOK_DEPTH
from ingestion.providers.provider import BookRule
from ingestion.ticks import BookDelta, BookSnapshot

SYNCING: Final = "syncing"
LIVE: Final = "live"
STALE: Final = "stale"

Levels = tuple[tuple[float, float], ...]

# The depths that a checksum venue offers.
CHECKSUM_DEPTHS: Final = (10, 25, 100, 500, 1000)
CHECKSUM_LEVELS: Final = 10
# No longer than this do two connections tell of the same book.
OVERLAP_US: Final = 30_000_000
# No venue quotes with more decimals.
DECIMALS_MAX: Final = 12
# Beyond this a float64 no longer tells each decimal apart.
EXACT_MAX: Final = 2.0**52


class Outcome(StrEnum):
    """What became of one delta."""

    APPLIED = "applied"
    IGNORED = "ignored"  # it tells nothing that the book does not know
    HELD = "held"  # kept (or not needed) until the snapshot comes
    OLD_SNAPSHOT = "old_snapshot"  # from before the first held delta: another is needed
    GAP = "gap"  # something before it is missing: the book is void
    MISMATCH = "mismatch"  # the checksum says that the book is wrong: it is void


VOID: Final = frozenset({Outcome.GAP, Outcome.MISMATCH})


class BookView(msgspec.Struct, frozen=True, gc=False):
    """The best levels of a book as they are shown, best first. No levels unless it is live or stale.

    time_us: the venue's, of its newest change; received_us: when that was received; both 0 before the first.
    """

    source: str
    status: str
    bids: Levels = ()
    asks: Levels = ()
    update_id: int | None = None
    time_us: int = 0
    received_us: int = 0


def whole(snapshot: BookSnapshot) -> BookDelta:
    """Of a source that sends what to show instead of what changed."""
    s = snapshot
    return BookDelta(s.symbol, s.time_us, s.received_us, s.bids, s.asks, s.update_id, s.update_id, snapshot=True)


class Side:
    """One side of a book. `keys` ascend, the best level's last; `quantities` are by key."""

    __slots__ = ("keys", "quantities", "sign", "texts")

    def __init__(self, sign: int) -> None:
        self.sign = sign  # 1 for bids, -1 for asks
        self.quantities: dict[float, float] = {}
        self.keys: list[float] = []
        self.texts: dict[float, str | None] = {}  # a level as the checksum reads it, while it stays as it is

    def __len__(self) -> int:
        return len(self.keys)

    def clear(self) -> None:
        self.replace(())

    def replace(self, levels: Iterable[tuple[float, float]]) -> None:
        sign = self.sign
        self.quantities = {sign * price: quantity for price, quantity in levels if quantity}
        self.keys = sorted(self.quantities)
        self.texts = {}

    def update(self, levels: Iterable[tuple[float, float]]) -> None:
        """Set each level's quantity; one of zero is removed, if it is there at all."""
        sign, quantities, keys, texts = self.sign, self.quantities, self.keys, self.texts
        for price, quantity in levels:
            key = sign * price
            if quantity:
                if key not in quantities:
                    insort(keys, key)
                quantities[key] = quantity
            elif key in quantities:
                del quantities[key], keys[bisect_left(keys, key)]
            if texts:
                texts.pop(key, None)

    def truncate(self, depth: int) -> None:
        """Keep the best `depth` levels."""
        excess = len(self.keys) - depth
        if excess > 0:
            for key in self.keys[:excess]:
                del self.quantities[key]
                self.texts.pop(key, None)
            del self.keys[:excess]

    def best(self, depth: int, edge: float | None = None) -> Levels:
        """Up to `depth` (price, quantity), best first; none with a key below `edge`."""
        sign, quantities = self.sign, self.quantities
        keys = self.keys[: -depth - 1 : -1]
        if edge is not None and keys and keys[-1] < edge:
            keys = [key for key in keys if key >= edge]
        return tuple([(sign * key, quantities[key]) for key in keys])


class Book:
    """One order book: what every venue's has in common.

    synced: whether the levels are the venue's. last_id: the venue's number of the newest change, 0 where it has none.
    """

    def __init__(self) -> None:
        self.bids, self.asks = Side(1), Side(-1)
        self.synced = False
        self.last_id = self.time_us = self.received_us = 0

    @property
    def crossed(self) -> bool:
        """Whether the best bid is above the best ask. Equal is legal (a locked market)."""
        bids, asks = self.bids.keys, self.asks.keys
        return bool(bids and asks) and bids[-1] > -asks[-1]

    @property
    def wants_snapshot(self) -> bool:
        """Whether only a snapshot from outside its stream brings it (fully) up to date."""
        return False

    @property
    def certain(self) -> bool:
        """Whether at least the best level of each side is known for certain."""
        return True

    def reset(self) -> None:
        """Forget everything: what comes next may not continue what was before."""
        self.synced = False
        self.bids.clear()
        self.asks.clear()
        self.last_id = 0

    def apply(self, delta: BookDelta) -> Outcome:
        """Take in what the venue said. A void outcome leaves the book reset."""
        raise NotImplementedError

    def best(self, depth: int) -> tuple[Levels, Levels]:
        """Up to `depth` levels of bids and of asks: those known for certain, or all where not even the best one is."""
        return self.bids.best(depth), self.asks.best(depth)

    def _replace(self, delta: BookDelta) -> None:
        self.bids.replace(delta.bids)
        self.asks.replace(delta.asks)
        self.synced = True
        self._noted(delta)

    def _update(self, delta: BookDelta) -> None:
        self.bids.update(delta.bids)
        self.asks.update(delta.asks)
        self._noted(delta)

    def _noted(self, delta: BookDelta) -> None:
        self.last_id, self.time_us, self.received_us = delta.last_id, delta.time_us, delta.received_us

    def _void(self, outcome: Outcome) -> Outcome:
        self.reset()
        return outcome


class RestBook(Book):
    """Deltas with first and last update ids, joined to a snapshot from REST: Binance spot.

    https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md#how-to-manage-a-local-order-book-correctly
    Deltas are held until the snapshot comes; those that end at or before its id are dropped; the first that is left
    may begin before the snapshot ended; each later one must begin by the id after the last.

    This is the spot rule. Futures deltas carry `pu`, the last id of the delta before, and their ids are not
    consecutive: they would need a rule of their own, and here nearly each of them would be a gap.

    The snapshot has a bounded number of levels. What is beyond its last one stays unknown until it changes, so it is
    not certain; where prices move so close to that edge that fewer than `depth` levels are certain (or half of the
    snapshot's), a new one is wanted while the book goes on.

    held_max: so many deltas wait for a snapshot; then the oldest go, and the snapshot must be newer still.
    asked_levels: how many levels a side a snapshot is asked for: a side of fewer is whole.
    """

    def __init__(self, depth: int, held_max: int, asked_levels: int) -> None:
        super().__init__()
        self._needed = min(depth, asked_levels // 2)
        self._asked_levels = asked_levels
        self._held: deque[BookDelta] = deque(maxlen=held_max)
        self._bid_edge: float | None = None
        self._ask_edge: float | None = None
        self._refreshing = False

    @property
    def wants_snapshot(self) -> bool:
        return not self.synced or self._refreshing

    @property
    def holds(self) -> bool:
        """Whether a delta waits for the snapshot: then one that is fetched now can be joined to it."""
        return bool(self._held)

    def reset(self) -> None:
        super().reset()
        self._held.clear()
        self._bid_edge = self._ask_edge = None
        self._refreshing = False

    def apply(self, delta: BookDelta) -> Outcome:
        if delta.snapshot:
            return self._join(delta)
        if not self.synced:
            self._held.append(delta)
            return Outcome.HELD
        if self._refreshing:
            self._held.append(delta)
        outcome = self._follow(delta)
        if outcome is Outcome.GAP:
            # The snapshot to come may be from before this delta ends: it is the first to be held.
            self.reset()
            self._held.append(delta)
        elif not self._refreshing:
            self._refreshing = self._near_edge()
        return outcome

    @property
    def certain(self) -> bool:
        return not _too_few(self.bids, self._bid_edge, 1) and not _too_few(self.asks, self._ask_edge, 1)

    def best(self, depth: int) -> tuple[Levels, Levels]:
        if not self.certain:
            return super().best(depth)
        return self.bids.best(depth, self._bid_edge), self.asks.best(depth, self._ask_edge)

    def _follow(self, delta: BookDelta) -> Outcome:
        if delta.last_id <= self.last_id:
            return Outcome.IGNORED
        if delta.first_id > self.last_id + 1:
            return Outcome.GAP
        self._update(delta)
        return Outcome.APPLIED

    def _join(self, snapshot: BookDelta) -> Outcome:
        """Start from the snapshot and what was held since."""
        if not self.wants_snapshot:
            return Outcome.IGNORED
        oldest_known = self._held[0].first_id if self._held else self.last_id + 1 if self.synced else 0
        if snapshot.last_id + 1 < oldest_known:
            return Outcome.OLD_SNAPSHOT
        held = list(self._held)
        self._replace(snapshot)
        self._held.clear()
        self._set_edges(snapshot)
        for delta in held:
            if self._follow(delta) is Outcome.GAP:
                self.reset()
                self._held.extend(d for d in held if d.first_id >= delta.first_id)
                return Outcome.GAP
        self._refreshing = False
        return Outcome.APPLIED

    def _set_edges(self, snapshot: BookDelta) -> None:
        """A side goes on beyond its last level if it has as many levels as a snapshot may have."""
        self._bid_edge = self.bids.keys[0] if len(self.bids) >= self._asked_levels else None
        self._ask_edge = self.asks.keys[0] if len(self.asks) >= self._asked_levels else None

    def _near_edge(self) -> bool:
        return _too_few(self.bids, self._bid_edge, self._needed) or _too_few(self.asks, self._ask_edge, self._needed)


def _too_few(side: Side, edge: float | None, depth: int) -> bool:
    """Whether fewer than `depth` levels are inside the edge."""
    if edge is None:
        return False
    keys = side.keys
    return len(keys) < depth or keys[-depth] < edge


class StreamBook(Book):
    """A snapshot in the stream, then deltas; the frames are numbered per connection, not per book: Coinbase.

    Whoever reads the connection tells of a hole in the numbers by `reset`. A snapshot of a book that is in sync may
    mean that one connection takes over from another: for a moment both tell the same, and the later of the two must
    not bring back what was. Then, and only then, the venue's times decide.
    """

    def __init__(self) -> None:
        super().__init__()
        self._overlap_until_us = 0

    def apply(self, delta: BookDelta) -> Outcome:
        if delta.snapshot:
            return self._start(delta)
        if not self.synced:
            return Outcome.HELD
        if delta.received_us < self._overlap_until_us and delta.time_us < self.time_us:
            return Outcome.IGNORED
        self._update(delta)
        return Outcome.APPLIED

    def _start(self, snapshot: BookDelta) -> Outcome:
        # Without a time of the venue's it has ours, by which nothing of the venue's can be judged.
        if self.synced and snapshot.time_us != snapshot.received_us:
            self._overlap_until_us = snapshot.received_us + OVERLAP_US
        self._replace(snapshot)
        return Outcome.APPLIED


class ChecksumBook(StreamBook):
    """As a stream book of a fixed depth, each delta with a checksum of the best ten levels a side after it: Kraken.

    https://docs.kraken.com/api/docs/guides/spot-ws-book-v2
    Every level of a delta is applied before both sides are cut to the subscribed depth (no removal is sent for what
    falls out), and only then the checksum is made. It reads prices and quantities with as many decimals as the pair
    has. Those are found by trying: the first checksum of a book is of known content, so that the decimals which give
    it are the pair's. A delta without a checksum (as a thin market's snapshot) is taken as it is.

    depth: what was subscribed; a snapshot of another of the venue's depths, full on both sides, counts instead.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        self._subscribed_depth = self.depth = depth
        self.decimals: tuple[int, int] | None = None  # of prices and quantities
        self.unverifiable = 0  # checksums over levels too large for a float64 to tell exactly

    def apply(self, delta: BookDelta) -> Outcome:
        outcome = super().apply(delta)
        if outcome is not Outcome.APPLIED:
            return outcome
        if delta.snapshot:
            self.depth = _subscribed(delta, self._subscribed_depth)
        else:
            self.bids.truncate(self.depth)
            self.asks.truncate(self.depth)
        if delta.checksum is None or self._verifies(delta.checksum, delta.snapshot):
            return outcome
        return self._void(Outcome.MISMATCH)

    def _verifies(self, checksum: int, snapshot: bool) -> bool:
        if self.decimals is not None:
            found = self._checksum(*self.decimals)
            if found is None or found == checksum:
                self.unverifiable += found is None
                return True
            if not snapshot:
                return False
        # A whole book that does not fit: the venue may have changed the pair's decimals.
        self.decimals = self._find_decimals(checksum)
        return self.decimals is not None

    def _find_decimals(self, checksum: int) -> tuple[int, int] | None:
        levels = [*self.bids.best(CHECKSUM_LEVELS), *self.asks.best(CHECKSUM_LEVELS)]
        least_price = max((decimals_of(price) for price, _ in levels), default=0)
        least_quantity = max((decimals_of(quantity) for _, quantity in levels), default=0)
        for price in range(least_price, DECIMALS_MAX + 1):
            for quantity in range(least_quantity, DECIMALS_MAX + 1):
                self.bids.texts, self.asks.texts = {}, {}
                if self._checksum(price, quantity) == checksum:
                    return price, quantity
        return None

    def _checksum(self, price_decimals: int, quantity_decimals: int) -> int | None:
        """CRC32 over asks from the lowest, then bids from the highest; None where a level cannot be told exactly."""
        parts: list[str] = []
        for side in (self.asks, self.bids):
            texts = side.texts
            for key in side.keys[: -CHECKSUM_LEVELS - 1 : -1]:
                if key not in texts:
                    texts[key] = _level_text(abs(key), side.quantities[key], price_decimals, quantity_decimals)
                text = texts[key]
                if text is None:
                    return None
                parts.append(text)
        return crc32("".join(parts).encode())


def _subscribed(snapshot: BookDelta, depth: int) -> int:
    """The depth of the stream that a snapshot belongs to."""
    longest = max(len(snapshot.bids), len(snapshot.asks))
    if len(snapshot.bids) == len(snapshot.asks) and longest in CHECKSUM_DEPTHS:
        return longest
    if longest <= depth:
        return depth
    return next((offered for offered in CHECKSUM_DEPTHS if offered >= longest), longest)


def decimals_of(number: float) -> int:
    """How many decimals it has at least.

    >>> decimals_of(5.1e-05), decimals_of(29430.4), decimals_of(3.0)
    (6, 1, 0)
    """
    digits, _, exponent = repr(number).partition("e")
    fraction = digits.partition(".")[2].rstrip("0")
    return max(0, len(fraction) - int(exponent or 0))


def _level_text(price: float, quantity: float, price_decimals: int, quantity_decimals: int) -> str | None:
    """A level as the checksum reads it: no point, no leading zeros. None where a float64 cannot tell."""
    if price * 10**price_decimals >= EXACT_MAX or quantity * 10**quantity_decimals >= EXACT_MAX:
        return None
    return _digits(price, price_decimals) + _digits(quantity, quantity_decimals)


def _digits(number: float, decimals: int) -> str:
    """
    >>> _digits(0.000051, 8), _digits(29430.4, 1)
    ('5100', '294304')
    """
    return f"{number:.{decimals}f}".replace(".", "").lstrip("0")


def make(rule: BookRule | None, *, shown: int, held_max: int, asked_levels: int) -> Book:
    """A book of a venue's rule, out of sync. None: the source only ever sends whole books.

    shown: how many levels a side will be shown. held_max, asked_levels: see `RestBook`.
    """
    if rule is BookRule.SNAPSHOT_BY_REST:
        return RestBook(shown, held_max, asked_levels)
    return ChecksumBook(BOOK_DEPTH) if rule is BookRule.CHECKSUM else StreamBook()
