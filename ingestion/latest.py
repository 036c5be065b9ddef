"""The newest values of each instrument, by source, and the log of what each flush moved.

The listener writes both inside its flush (`journal.py`); everyone else reads here. One hash a source, field
instrument id, value a `Latest`; one bounded stream a listener shard, an entry a flush, packed `Change`s.
"""

import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from django.conf import settings

from ingestion.journal import START, parse_id
from ingestion.providers import SOURCES
from ingestion.symbols import source_rank
from worker.redis import client, key

LIVE: Final = "live"
STALE: Final = "stale"


class Latest(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What one source last said of one instrument. None is unknown, never zero.

    price, time_us, trade_id: the newest trade's by (venue time, id); a late one never moves them back.
    bid, ask, quote_time_us, quote_id: the newest quote's, likewise.
    received_us: when we received the newest of the two.
    change, change_percent, volume, high, low: over 24 hours; for equities against the previous UTC day's close.
    quality: live or stale; judged when it is read.
    """

    source: str
    price: float | None = None
    bid: float | None = None
    ask: float | None = None
    time_us: int = 0
    received_us: int = 0
    change: float | None = None
    change_percent: float | None = None
    volume: float | None = None
    high: float | None = None
    low: float | None = None
    trade_id: int = 0
    quote_time_us: int = 0
    quote_id: int = 0
    quality: str = LIVE

    @property
    def as_of_us(self) -> int:
        """The venue's time of the newest thing in here."""
        return max(self.time_us, self.quote_time_us)


class Change(msgspec.Struct, frozen=True, gc=False):
    """What one flush did to one instrument: its last price, and the extremes in between, which alerts must see."""

    instrument_id: int
    last: float
    high: float
    low: float
    volume: float
    count: int
    time_us: int


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Latest).decode

_CHANGE: Final = struct.Struct("!iddddiq")


def encode(latest: Latest) -> bytes:
    """As it stands in the hash."""
    return _encode(latest)


def judged(latest: Latest, now_us: int, fresh_us: int) -> Latest:
    """With its quality as of now: stale once it is older than `fresh_us`."""
    quality = LIVE if now_us - latest.as_of_us <= fresh_us else STALE
    return latest if latest.quality == quality else msgspec.structs.replace(latest, quality=quality)


def load(source: str) -> dict[int, Latest]:
    """All that a source last said, as it was written."""
    stored: Any = client().hgetall(key("latest", source))
    return {int(field): _decode(value) for field, value in stored.items()}


def get(instrument_ids: Iterable[int], now_us: int | None = None) -> dict[int, Latest]:
    """The best source's newest values of those of the instruments that have a price.

    A fresh price beats a stale one; among fresh ones SOURCE_ORDER decides, among stale ones the newest.
    """
    ids = list(instrument_ids)
    if not ids:
        return {}
    now_us = now_us or time.time_ns() // 1000
    fresh_us = int(settings.PRICE_FRESH_S * 1e6)
    best: dict[int, Latest] = {}
    for values in _read(ids).values():
        for instrument_id, latest in values.items():
            candidate = judged(latest, now_us, fresh_us)
            if candidate.price is not None and _better(candidate, best.get(instrument_id)):
                best[instrument_id] = candidate
    return best


def of_source(source: str, instrument_ids: Sequence[int]) -> dict[int, Latest]:
    """What one source last said of those of the instruments that it knows, as it was written."""
    return _read(list(instrument_ids), [source])[source] if instrument_ids else {}


def _read(ids: list[int], sources: Iterable[str] = SOURCES) -> dict[str, dict[int, Latest]]:
    names = list(sources)
    with client().pipeline(transaction=False) as pipe:
        for source in names:
            pipe.hmget(key("latest", source), [str(i) for i in ids])
        answers = pipe.execute()
    return {
        source: {i: _decode(value) for i, value in zip(ids, values, strict=True) if value is not None}
        for source, values in zip(names, answers, strict=True)
    }


def _better(candidate: Latest, best: Latest | None) -> bool:
    if best is None or candidate.quality != best.quality:
        return best is None or candidate.quality == LIVE
    if candidate.quality == LIVE:
        return source_rank(candidate.source) < source_rank(best.source)
    return candidate.as_of_us > best.as_of_us


# --- What each flush moved ------------------------------------------------------------------------------------

# Where a follower stands: shard → the last entry read. A shard that is missing is read from its present end.
Cursor = dict[str, str]


def pack_changes(changes: Iterable[Change]) -> bytes:
    """One entry's worth."""
    pack = _CHANGE.pack
    return b"".join(pack(c.instrument_id, c.last, c.high, c.low, c.volume, c.count, c.time_us) for c in changes)


def unpack_changes(entry: bytes) -> list[Change]:
    """As `pack_changes` packed them."""
    return [Change(*fields) for fields in _CHANGE.iter_unpack(entry)]


def shards() -> list[str]:
    """The live listeners' shards: replays have none here, for what they say is not news."""
    return [f"{provider}:0" for provider in settings.FEEDS]


def changes(cursor: Mapping[str, str] | None, count: int = 1000) -> tuple[list[Change], Cursor, bool]:
    """What moved since `cursor` (None: from now on), oldest first within a shard, and the cursor to ask with next.

    Reads up to `count` flushes a shard and does not wait. The third value is true when entries may have been missed
    (trimmed, or Redis lost): the caller then resyncs from `get` and the candles.
    """
    known = dict(cursor or {})
    streams = {shard: key("changes", shard) for shard in {*shards(), *known}}
    bounds = _bounds(streams)
    moved: list[Change] = []
    trimmed = False
    for shard, stream in streams.items():
        first, last = bounds[shard]
        if shard not in known:
            known[shard] = last
        elif known[shard] != last:
            at = known[shard]
            trimmed |= at != START and not parse_id(first) <= parse_id(at) < parse_id(last)
            known[shard], found = _read_changes(stream, known[shard], last, count)
            moved += found
    return moved, known, trimmed


def _bounds(streams: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Each stream's first and last entry; 0-0 for both where there is none."""
    with client().pipeline(transaction=False) as pipe:
        for stream in streams.values():
            pipe.xrange(stream, count=1)
            pipe.xrevrange(stream, count=1)
        answers = [answer[0][0].decode() if answer else START for answer in pipe.execute()]
    return {shard: (answers[2 * i], answers[2 * i + 1]) for i, shard in enumerate(streams)}


def _read_changes(stream: str, after: str, last: str, count: int) -> tuple[str, list[Change]]:
    if parse_id(after) > parse_id(last):
        after = START  # a new stream, after Redis was lost
    entries: Any = client().xrange(stream, min=f"({after}", count=count)
    moved = [change for _, fields in entries for change in unpack_changes(fields[b"c"])]
    return (entries[-1][0].decode() if entries else last), moved
