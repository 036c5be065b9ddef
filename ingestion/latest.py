"""The newest values of each instrument, by source, and the log of what each flush moved.

The listener writes both inside its flush (`journal.py`), whoever polls with `put`; everyone else reads here. Two hashes
a source (what its listener told, what a poll was told), field instrument id, value a `Latest`; one bounded stream a
listener shard and one a polled source, an entry a flush, packed `Change`s.
"""

import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from django.conf import settings

from ingestion import markets, sessions
from ingestion.calendar import ALWAYS, Calendars
from ingestion.journal import START, parse_id
from ingestion.providers import SOURCES
from worker.redis import client, key

LIVE: Final = "live"
DELAYED: Final = "delayed"  # as new as its source ever is, which is later than the market
CLOSED: Final = "closed"  # the market rests, and this is its last session's
STALE: Final = "stale"  # the market trades, and this is old
SUSPECT: Final = "suspect"  # not believed: shown where nothing better is known, and no one acts on it

# Which quality is better, where several sources know an instrument.
_BEST_FIRST: Final = (LIVE, CLOSED, DELAYED, STALE, SUSPECT)
# A source that is this late tells of closes alone.
END_OF_DAY_S: Final = 43_200.0
# What was asked for by HTTP lies beside what the same venue's listener writes, so that neither overwrites the other.
POLLED: Final = "polled"


class Latest(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What one source last said of one instrument. None is unknown, never zero.

    price, time_us, trade_id: the newest trade's by (venue time, id); a late one never moves them back.
    bid, ask, quote_time_us, quote_id: the newest quote's, likewise.
    received_us: when we received the newest of the two.
    change, change_percent, volume, high, low: over 24 hours; for equities against the previous UTC day's close.
    delay_s: how much later than the market the source is known to be.
    suspect: the price is not believed.
    quality: judged when it is read.
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
    delay_s: float = 0.0
    suspect: bool = False

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


def judged(
    latest: Latest, now_us: int, fresh_us: int, calendars: Calendars | None = None, name: str = ALWAYS
) -> Latest:
    """With its quality as of now. calendars, name: when the instrument trades; without them it always does.

    A price younger than `fresh_us` is live even outside of its market's hours.
    """
    quality = _quality(latest, now_us, fresh_us, calendars, name)
    return latest if latest.quality == quality else msgspec.structs.replace(latest, quality=quality)


def _quality(latest: Latest, now_us: int, fresh_us: int, calendars: Calendars | None, name: str) -> str:
    if latest.suspect:
        return SUSPECT
    age_us = now_us - latest.as_of_us
    if age_us <= fresh_us and latest.delay_s == 0:
        return LIVE
    if calendars is not None and not calendars.is_open(name, now_us):
        session = calendars.last_session(name, now_us)
        return CLOSED if session is not None and latest.as_of_us >= session.open_us else STALE
    if age_us <= fresh_us + latest.delay_s * 1e6:
        return DELAYED
    ends_the_day = latest.delay_s >= END_OF_DAY_S
    return DELAYED if ends_the_day and _is_of_last_session(latest, now_us, calendars, name) else STALE


def _is_of_last_session(latest: Latest, now_us: int, calendars: Calendars | None, name: str) -> bool:
    """Whether it is of the newest session that is over."""
    close_us = calendars.last_close_us(name, now_us) if calendars else None
    session = None if calendars is None or close_us is None else calendars.last_session(name, close_us - 1)
    return session is not None and latest.as_of_us >= session.open_us


def load(source: str) -> dict[int, Latest]:
    """All that a source last said, as it was written."""
    stored: Any = client().hgetall(key("latest", source))
    return {int(field): _decode(value) for field, value in stored.items()}


def get(instrument_ids: Iterable[int], now_us: int | None = None) -> dict[int, Latest]:
    """The best source's newest values of those of the instruments that have a price.

    The better quality counts. Among live prices, and among those of a closed market, the instrument's order of
    sources decides; among stale ones the newest.
    """
    ids = list(instrument_ids)
    if not ids:
        return {}
    now_us = now_us or time.time_ns() // 1000
    fresh_us = int(settings.PRICE_FRESH_S * 1e6)
    known = sessions.calendars()
    best: dict[int, Latest] = {}
    for source, values in _read(ids).items():
        for instrument_id, latest in values.items():
            market = markets.of(instrument_id)
            if latest.price is None or not market.takes(source):
                continue
            candidate = judged(latest, now_us, fresh_us, known, market.calendar)
            if _better(candidate, best.get(instrument_id), market):
                best[instrument_id] = candidate
    return best


def of_source(source: str, instrument_ids: Sequence[int]) -> dict[int, Latest]:
    """What one source last said of those of the instruments that it knows, as it was written."""
    return _read(list(instrument_ids), [source])[source] if instrument_ids else {}


def _read(ids: list[int], sources: Iterable[str] = SOURCES) -> dict[str, dict[int, Latest]]:
    """By source; of what its listener and what a poll said, the newer."""
    names = list(sources)
    fields = [str(i) for i in ids]
    with client().pipeline(transaction=False) as pipe:
        for source in names:
            pipe.hmget(key("latest", source), fields)
            pipe.hmget(key("latest", source, POLLED), fields)
        answers = pipe.execute()
    return {
        source: _newer(ids, told, polled)
        for source, told, polled in zip(names, answers[::2], answers[1::2], strict=True)
    }


def _newer(ids: list[int], told: Sequence[bytes | None], polled: Sequence[bytes | None]) -> dict[int, Latest]:
    found: dict[int, Latest] = {}
    for instrument_id, *values in zip(ids, told, polled, strict=True):
        known = [_decode(value) for value in values if value is not None]
        if known:
            found[instrument_id] = max(known, key=lambda latest: latest.as_of_us)
    return found


def _better(candidate: Latest, best: Latest | None, market: markets.Market) -> bool:
    if best is None or candidate.quality != best.quality:
        return best is None or _BEST_FIRST.index(candidate.quality) < _BEST_FIRST.index(best.quality)
    if candidate.quality in (LIVE, CLOSED, DELAYED):
        return market.rank(candidate.source) < market.rank(best.source)
    return candidate.as_of_us > best.as_of_us


# --- What a poll says ----------------------------------------------------------------------------------------

# KEYS: the hash, the log of changes. ARGV: how many; changes_max; then of each: instrument id, as_of, value, change.
# as_of is kept beside each value (field `<id>:at`): whoever asked earlier but answers later moves nothing back.
_PUT: Final = """
local moved = {}
for i = 0, tonumber(ARGV[1]) - 1 do
    local id, at, value, change = unpack(ARGV, 3 + 4 * i, 6 + 4 * i)
    local stored = tonumber(redis.call('HGET', KEYS[1], id .. ':at') or '0')
    if tonumber(at) >= stored then
        redis.call('HSET', KEYS[1], id, value, id .. ':at', at)
        if tonumber(at) > stored and change ~= '' then moved[#moved + 1] = change end
    end
end
if #moved > 0 then redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'c', table.concat(moved)) end
return #moved
"""


def put(source: str, values: Mapping[int, Latest]) -> int:
    """Keep what a source said when it was asked, where that is newer than what is kept of it; and note what moved for
    those who follow. Safe from any number of processes. Returns how many prices are newer. Raises redis.RedisError.

    A price that is not believed moves nothing, and no volume is known between two polls.
    """
    arguments: list[Any] = [len(values), settings.CHANGES_MAX_ENTRIES]
    for instrument_id, latest in values.items():
        arguments += [instrument_id, latest.as_of_us, encode(latest), _polled_change(instrument_id, latest)]
    script = client().register_script(_PUT)
    return int(script([key("latest", source, POLLED), key("changes", polled_shard(source))], arguments))


def polled_shard(source: str) -> str:
    """The name of the log of changes that polls of a source write."""
    return f"{source}:{POLLED}"


def _polled_change(instrument_id: int, latest: Latest) -> bytes:
    price = latest.price
    if price is None or latest.suspect:
        return b""
    return pack_changes([Change(instrument_id, price, price, price, 0.0, 0, latest.as_of_us)])


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
    """The live listeners' shards and those of polls: replays have none here, for what they say is not news."""
    return [*(f"{provider}:0" for provider in settings.FEEDS), *map(polled_shard, SOURCES)]


def changes(cursor: Mapping[str, str] | None, count: int = 1000) -> tuple[list[Change], Cursor, bool]:
    """What moved since `cursor` (None: from now on), oldest first within a shard, and the cursor to ask with next.

    Reads up to `count` flushes a shard and does not wait. The third value is true when entries may have been missed
    (trimmed, or Redis lost): the caller then resyncs from `get` and the candles.
    """
    found, known, trimmed = changes_by_source(cursor, count)
    return [change for moved in found.values() for change in moved], known, trimmed


def changes_by_source(
    cursor: Mapping[str, str] | None, count: int = 1000
) -> tuple[dict[str, list[Change]], Cursor, bool]:
    """As `changes`, by the source that told them; what a poll told is its source's too."""
    known = dict(cursor or {})
    streams = {shard: key("changes", shard) for shard in {*shards(), *known}}
    bounds = _bounds(streams)
    moved: dict[str, list[Change]] = {}
    trimmed = False
    for shard, stream in streams.items():
        first, last = bounds[shard]
        if shard not in known:
            known[shard] = last
        elif known[shard] != last:
            at = known[shard]
            trimmed |= at != START and not parse_id(first) <= parse_id(at) < parse_id(last)
            known[shard], found = _read_changes(stream, known[shard], last, count)
            moved.setdefault(shard.rpartition(":")[0], []).extend(found)
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
