"""The journal: a Redis Stream per provider and listener shard, between a venue's frames and the database.

One flush of a listener is one call of one Lua script, all or nothing: the ticks (already packed as rows of binary
COPY, see `ticks.py`), the newest values per instrument, the open bars and the entry in `changes`. The script refuses
a listener whose fencing token is lower than the stream's. Entries are removed by the writer alone, after its commit.

Keys (`<name>` is `<provider>:<shard>`, such as `binance:0`):
    journal:<name>          the stream; an entry's fields are v (layout), t (trade rows), q (quote rows), n (ticks) and
                            b (bytes appended to this stream up to and with this entry); a gap's are g, f, u, n and b
    journal:<name>:state    token, epoch, appended and trimmed bytes, and the hole being made while the journal is full
    latest:<provider>       instrument id → newest values
    bars:<provider>         open bars
    book:<provider>         instrument id → its order book as shown; gone BOOK_KEEP_S after the last of them changed
    changes:<name>          what each flush moved, for followers; bounded by CHANGES_MAX_ENTRIES; one field, c
"""

import enum
import uuid
from typing import Any, Final

import msgspec
from django.conf import settings

from ingestion.providers import provider_of
from ingestion.ticks import LAYOUT_VERSION
from worker.redis import async_client, client, key

# What Redis needs for an entry beside its rows, roughly.
ENTRY_OVERHEAD_BYTES: Final = 128
START: Final = "0-0"
JOURNAL_FULL: Final = "journal full"  # the reason of the gaps that the append script itself records


class Fenced(Exception):
    """A newer listener owns this journal. Whoever meets this stops."""

    def __init__(self, name: str, token: int, newer: int) -> None:
        super().__init__(f"journal {name}: token {token} is fenced by {newer}")
        self.name, self.token, self.newer = name, token, newer


class Outcome(enum.Enum):
    APPENDED = "appended"
    FULL = "full"  # the ticks were dropped, a gap recorded; `latest`, `bars` and `changes` are up to date


class Flush(msgspec.Struct, frozen=True, gc=False):
    """What a listener hands over at once.

    trade_rows, quote_rows: as `ticks.pack_trades` and `ticks.pack_quotes` make them.
    count: how many ticks those are.
    latest: instrument id → its newest values, encoded.
    bars: the open bars, encoded, by the field they have in `bars:<provider>`.
    changes: one encoded entry for the followers, or None if no price moved.
    now_us: when, microseconds since 1970.
    books: instrument id → its order book as shown, encoded.
    """

    trade_rows: bytes
    quote_rows: bytes
    count: int
    latest: dict[int, bytes]
    bars: dict[str, bytes]
    changes: bytes | None
    now_us: int
    books: dict[int, bytes] = {}


class Gap(msgspec.Struct, frozen=True):
    """A hole in what we have: from, and until when (None: still open), microseconds since 1970.

    ticks: how many are known to be missing; 0 when nobody can know, as while disconnected.
    """

    reason: str
    from_us: int
    until_us: int | None = None
    ticks: int = 0


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry of the stream, as the writer reads it: rows, or a gap."""

    id: str
    layout: int
    trade_rows: bytes = b""
    quote_rows: bytes = b""
    count: int = 0
    gap: Gap | None = None


# Shared by the scripts: refuse an older owner, start an epoch with the stream, add an entry and count its bytes.
# `fields` carries everything but b. Numbers stay below 2^53, and are formatted without an exponent.
_PRELUDE = """
local stream, state = KEYS[1], KEYS[2]
local token, new_epoch = ARGV[1], ARGV[2]
local limit, headroom = tonumber(ARGV[3]), tonumber(ARGV[4])
local stored = redis.call('HGET', state, 'token')
if stored and tonumber(stored) > tonumber(token) then return {'fenced', stored} end
if stored ~= token then redis.call('HSET', state, 'token', token) end
if redis.call('EXISTS', stream) == 0 then
    redis.call('HDEL', state, 'full_from', 'full_ticks', 'full_when')
    redis.call('HSET', state, 'epoch', new_epoch, 'appended', '0', 'trimmed', '0')
end
local counters = redis.call('HMGET', state, 'appended', 'trimmed', 'full_from', 'full_ticks', 'full_when')
local appended, trimmed = tonumber(counters[1]), tonumber(counters[2])
local function add(size, ceiling, ...)
    if appended + size - trimmed > ceiling then return false end
    appended = appended + size
    redis.call('XADD', stream, '*', 'b', string.format('%.0f', appended), ...)
    redis.call('HSET', state, 'appended', string.format('%.0f', appended))
    return true
end
"""

_APPEND = (
    _PRELUDE
    + """
local now_us, changes_max, overhead = ARGV[5], ARGV[6], tonumber(ARGV[7])
local layout, trades, quotes, count, changes = ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12]
local function set_all(hash, first, pairs_given)
    local last = first + 2 * pairs_given - 1
    for i = first, last, 2000 do redis.call('HSET', hash, unpack(ARGV, i, math.min(i + 1999, last))) end
end
local latest, bars, books = tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])
set_all(KEYS[3], 17, latest)
set_all(KEYS[4], 17 + 2 * latest, bars)
set_all(KEYS[6], 17 + 2 * (latest + bars), books)
if books > 0 then redis.call('EXPIRE', KEYS[6], ARGV[16]) end
if changes ~= '' then redis.call('XADD', KEYS[5], 'MAXLEN', '~', changes_max, '*', 'c', changes) end
if count == '0' then return {'appended'} end
local size = #trades + #quotes + overhead
local gap_size = counters[3] and overhead or 0
local room, when = limit, counters[2] .. ':' .. ARGV[3]
if counters[3] then
    -- Full until the writer took some and a tenth is free: else what is small would go in between what is large.
    room = counters[5] == when and 0 or limit - limit / 10
end
if appended + size + gap_size - trimmed > room then
    if not counters[3] then
        redis.call('HSET', state, 'full_from', now_us, 'full_when', when)
        add(overhead, limit + headroom, 'g', 'journal full', 'f', now_us, 'u', '', 'n', '0')
    end
    redis.call('HINCRBY', state, 'full_ticks', count)
    return {'full'}
end
if counters[3] then
    add(overhead, limit, 'g', 'journal full', 'f', counters[3], 'u', now_us, 'n', counters[4])
    redis.call('HDEL', state, 'full_from', 'full_ticks', 'full_when')
end
add(size, limit, 'v', layout, 't', trades, 'q', quotes, 'n', count)
return {'appended'}
"""
)

_APPEND_GAP = (
    _PRELUDE
    + """
if add(tonumber(ARGV[5]), limit + headroom, 'g', ARGV[6], 'f', ARGV[7], 'u', ARGV[8], 'n', ARGV[9]) then
    return {'appended'}
end
return {'full'}
"""
)

# The entry at the committed position tells how many bytes go with it, whoever appended and read them.
_TRIM = """
local stream, state, epoch, id = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
if redis.call('HGET', state, 'epoch') ~= epoch then return 0 end
local found = redis.call('XRANGE', stream, id, id)
if #found == 0 then return 0 end
local fields = found[1][2]
for i = 1, #fields, 2 do
    if fields[i] == 'b' then redis.call('HSET', state, 'trimmed', fields[i + 1]) end
end
local removed = redis.call('XTRIM', stream, 'MINID', id)
return removed + redis.call('XDEL', stream, id)
"""


class Journal:
    """The writing end, for the holder of a listener's lease. `token` is the lease's fencing token."""

    def __init__(self, name: str, token: int) -> None:
        provider = provider_of(name)
        self.name, self.token = name, token
        shown = key("latest", provider), key("bars", provider), key("changes", name), key("book", provider)
        self.keys = [*_keys(name), *shown]

    def append(self, flush: Flush) -> Outcome:
        """Hand over a flush, all or nothing. Raises Fenced, or redis.RedisError: then append the same flush again,
        since a row that was in fact taken is recognised by its key on disk."""
        script = client().register_script(_APPEND)  # runs by digest; sent in full to a Redis that knows it not
        return self._outcome(script(self.keys, self._flush_arguments(flush)))

    async def aappend(self, flush: Flush) -> Outcome:
        """As `append`, on the running event loop."""
        script = async_client().register_script(_APPEND)
        return self._outcome(await script(self.keys, self._flush_arguments(flush)))

    def append_gap(self, gap: Gap) -> Outcome:
        """Record a hole, or its end (same reason and from_us). It goes into headroom that ticks cannot fill."""
        script = client().register_script(_APPEND_GAP)
        return self._outcome(script(self.keys[:2], self._gap_arguments(gap)))

    async def aappend_gap(self, gap: Gap) -> Outcome:
        """As `append_gap`, on the running event loop."""
        script = async_client().register_script(_APPEND_GAP)
        return self._outcome(await script(self.keys[:2], self._gap_arguments(gap)))

    def _common_arguments(self) -> list[Any]:
        return [self.token, uuid.uuid4().hex, settings.JOURNAL_MAX_BYTES, settings.JOURNAL_HEADROOM_BYTES]

    def _flush_arguments(self, flush: Flush) -> list[Any]:
        arguments = [
            *self._common_arguments(), flush.now_us, settings.CHANGES_MAX_ENTRIES, ENTRY_OVERHEAD_BYTES,
            LAYOUT_VERSION, flush.trade_rows, flush.quote_rows, flush.count, flush.changes or b"",
            len(flush.latest), len(flush.bars), len(flush.books), settings.BOOK_KEEP_S,
        ]  # fmt: skip
        for values in (flush.latest, flush.bars, flush.books):
            for field, value in values.items():
                arguments += (field, value)
        return arguments

    def _gap_arguments(self, gap: Gap) -> list[Any]:
        until = "" if gap.until_us is None else gap.until_us
        return [*self._common_arguments(), ENTRY_OVERHEAD_BYTES, gap.reason, gap.from_us, until, gap.ticks]

    def _outcome(self, answer: list[bytes]) -> Outcome:
        if answer[0] == b"fenced":
            raise Fenced(self.name, self.token, int(answer[1]))
        return Outcome(answer[0].decode())


class Reader:
    """The reading end, for the writer. It blocks: keep it out of event loops."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stream, self.state = _keys(name)

    def read(self, after: str, count: int) -> tuple[str | None, list[Entry]]:
        """The journal's epoch and up to `count` entries after id `after`, at one instant. No entries: no new epoch."""
        with client().pipeline(transaction=True) as pipe:
            pipe.hget(self.state, "epoch")
            pipe.xread({self.stream: after}, count=count)
            epoch, streams = pipe.execute()
        return epoch and epoch.decode(), [_entry(*raw) for raw in _entries(streams)]

    def wait(self, after: str, timeout_ms: int) -> bool:
        """Whether there is an entry after `after`; waits for one up to `timeout_ms`."""
        return bool(client().xread({self.stream: after}, count=1, block=timeout_ms))

    def last_id(self) -> str:
        """The newest id ever given by this stream, trimmed or not; 0-0 where there is no stream."""
        if not client().exists(self.stream):
            return START
        return str(client().xinfo_stream(self.stream)["last-generated-id"].decode())

    def trim(self, epoch: str, last_id: str) -> int:
        """Remove what is committed: the entries up to and with `last_id`. Returns how many; a newer epoch's stay."""
        script = client().register_script(_TRIM)
        return int(script([self.stream, self.state], [epoch, last_id]))

    def size_bytes(self) -> int:
        """What waits in the journal, as the byte bound counts it."""
        appended, trimmed = client().hmget(self.state, "appended", "trimmed")
        return int(appended or 0) - int(trimmed or 0)


def parse_id(entry_id: str) -> tuple[int, int]:
    """An entry's id as it sorts: milliseconds, number."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)


def _keys(name: str) -> tuple[str, str]:
    return key("journal", name), key("journal", name, "state")


def _entries(streams: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The entries in XREAD's answer for one stream, RESP2's list or RESP3's map."""
    if not streams:
        return []
    found = next(iter(streams.values()))[0] if isinstance(streams, dict) else streams[0][1]
    return list(found)


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    if b"g" in fields:
        until = fields[b"u"]
        gap = Gap(fields[b"g"].decode(), int(fields[b"f"]), int(until) if until else None, int(fields[b"n"]))
        return Entry(entry_id.decode(), LAYOUT_VERSION, gap=gap)
    return Entry(entry_id.decode(), int(fields[b"v"]), fields[b"t"], fields[b"q"], int(fields[b"n"]))
