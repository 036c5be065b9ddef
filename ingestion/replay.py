"""Recorded frames through the production path: the same decoder, judge, journal and writer as a live feed's.

It has a journal of its own (`binance:replay`), under leases of its own, and brings it to the disk itself, in turn with
reading, so that the journal stays small. Running it again changes nothing: every row is known by its key.
"""

import datetime as dt
import gzip
import io
import re
import time
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import zstandard
from django.conf import settings

from ingestion import opening, store, symbols
from ingestion.candles import MINUTE_US
from ingestion.hand_offs import quarantined
from ingestion.journal import Journal, Outcome
from ingestion.pipeline import Batch
from ingestion.providers import SOURCES
from ingestion.ticks import POSTGRES_EPOCH_US, VenueBar, unpack_quotes, unpack_trades
from ingestion.writer import Writer
from streaming.publish import publish
from worker import lease as leases
from worker.lease import Lease

# `<nanoseconds> <json>`, `<epoch>: <json>` or bare JSON.
STAMPED: Final = re.compile(rb"(\d+(?:\.\d+)?)(?:: ?| )(?=[{\[])")
# A venue's time in an event, for lines without a stamp: milliseconds or microseconds since 1970, or RFC 3339.
EVENT_TIME: Final = re.compile(
    rb'"(?:[ETt]": ?(\d{16}|\d{13})(?!\d)|(?:timestamp|time|time_in)": ?"(\d{4}-\d\d-\d\dT[\d:.]+Z)")'
)
# What a recorder writes of its connections: an address, and what was sent there or fetched.
NOTE: Final = re.compile(rb"(?:wss?|https?)://")
# Records `{"t":"recv","ts":<seconds>,"data":"<json>"}`, of which others tell of connections and what was sent.
RECORD: Final = b'{"t":"'
RECEIVED: Final = "recv"
# A frame with a word on where it is from: `{"src":"…","frame":{…}}`.
WRAPPED: Final = (b'{"frame":', b'{"src":')
# How many lines before the first known time may wait for it.
UNTIMED_MAX: Final = 10_000
LINE_MAX_BYTES: Final = 32 * 1024 * 1024
# The journal is brought to the disk whenever this many ticks wait in it.
WRITE_EVERY_TICKS: Final = 20_000
# A symbol that no instrument can have is left to the quarantine.
SYMBOL_MAX_LENGTH: Final = 32


class Busy(Exception):
    """Another replay of this provider is running."""


class LeaseLost(Exception):
    """Somebody else may be replaying by now."""


class Line(NamedTuple):
    """One recorded frame, empty for a line that holds none.

    received_us: when it was recorded; 0 where nothing tells.
    derived: the time is the event's own, since the line has no stamp.
    """

    received_us: int
    frame: bytes
    derived: bool = False


class _Record(msgspec.Struct):
    t: str
    ts: float = 0.0
    data: str = ""


class _Wrapped(msgspec.Struct):
    frame: msgspec.Raw


_record: Final = msgspec.json.Decoder(_Record).decode
_wrapped: Final = msgspec.json.Decoder(_Wrapped).decode


class Stored(NamedTuple):
    """What a replay did. On disk: in the recording's span of venue time, whoever brought it there."""

    lines: int
    trades: int
    quotes: int
    trades_on_disk: int
    quotes_on_disk: int
    candles_on_disk: int
    venue_candles: int
    malformed: int
    quarantined: int
    suspect: int
    duplicates: int
    unknown: int
    seconds: float


def stamp_us(stamp: bytes) -> int:
    """A time by its magnitude: seconds (with or without a fraction), milli-, micro- or nanoseconds since 1970.

    >>> stamp_us(b"1723161253937085768"), stamp_us(b"1633998480.25")
    (1723161253937085, 1633998480250000)
    """
    if b"." in stamp:
        return int(Decimal(stamp.decode()) * 1_000_000)
    number, digits = int(stamp), len(stamp)
    if digits >= 18:
        return number // 1000
    if digits >= 15:
        return number
    return number * (1000 if digits >= 12 else 1_000_000)


def parse(line: bytes) -> Line:
    """One line of a recording."""
    found = STAMPED.match(line)
    if found is not None:
        return Line(stamp_us(found[1]), line[found.end() :])
    if NOTE.match(line):
        return Line(0, b"")
    try:
        if line.startswith(RECORD):
            return _recorded(_record(line))
        frame = bytes(_wrapped(line).frame) if line.startswith(WRAPPED) else line
    except msgspec.DecodeError:
        frame = line
    event_us = _event_us(frame)
    return Line(event_us, frame, derived=bool(event_us))


def _recorded(record: _Record) -> Line:
    if record.t != RECEIVED:
        return Line(0, b"")
    return Line(round(record.ts * 1_000_000), record.data.encode())


def _event_us(frame: bytes) -> int:
    """The first time that stands in it; 0 for none."""
    found = EVENT_TIME.search(frame)
    if found is None:
        return 0
    if found[1] is not None:
        return int(found[1]) * (1000 if len(found[1]) == 13 else 1)
    try:
        return round(dt.datetime.fromisoformat(found[2].decode()).timestamp() * 1_000_000)
    except ValueError:
        return 0


def timed(lines: Iterable[Line]) -> Iterator[Line]:
    """The lines, each with a time: its own, else that of the line before; before the first known time, that.

    So a quote whose venue gives no time gets the same one in every replay of the file. Where nothing tells the time of
    the first UNTIMED_MAX lines, they come with 0 and are refused for it.
    """
    untimed: list[Line] = []
    last_us = 0
    for line in _apart(lines):
        if not line.received_us and not last_us and len(untimed) < UNTIMED_MAX:
            untimed.append(line)
            continue
        last_us = line.received_us or last_us
        yield from (Line(last_us, early.frame) for early in untimed)
        untimed = []
        yield Line(last_us, line.frame)
    yield from untimed


def _apart(lines: Iterable[Line]) -> Iterator[Line]:
    """Events of one millisecond, one after the other, a microsecond apart: no two frames are received at once.

    Some venues' ticks are told apart by nothing else.
    """
    base_us = last_us = 0
    for line in lines:
        if line.derived:
            last_us = last_us + 1 if line.received_us == base_us else line.received_us
            base_us, line = line.received_us, line._replace(received_us=last_us)
        yield line


def read(path: Path) -> Iterator[Line]:
    """The recording's lines, plain, .gz or .zst. Raises OSError, EOFError, zlib.error or zstandard.ZstdError."""
    with _open(path) as file:
        while raw := file.readline(LINE_MAX_BYTES):
            line = raw.strip()
            if line:
                yield parse(line)


def _open(path: Path) -> io.BufferedIOBase:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".zst":
        # Its own readers have no readline.
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(path.open("rb"), closefd=True))
    return path.open("rb")


class Replay:
    """One run of one recording.

    speed: how many times as fast as it was recorded; None: as fast as possible.
    """

    def __init__(self, provider: str, speed: float | None = None) -> None:
        self.provider, self.speed = provider, speed
        self.shard = f"{provider}:replay"
        self.pipeline = opening.replayed(provider)
        self.lines = 0
        self.venue_candles = 0
        self._bars: list[VenueBar] = []
        self._unwritten = 0
        self._span: tuple[int, int] | None = None
        self._adopted: dict[str, symbols.Known] = {}
        self._hopeless: set[str] = set()
        self._renewed_at = self._published_at = time.monotonic()

    def run(self, path: Path) -> Iterator[int]:
        """Replay the file to its end and to the disk; yields the number of lines read, every now and then.

        Raises Busy, LeaseLost, and what `read` raises.
        """
        self._leases = [_acquire(f"ingestion.listen:{self.shard}"), _acquire(f"ingestion.persist:{self.shard}")]
        try:
            self._journal = Journal(self.shard, self._leases[0].token)
            self._writer = Writer(self.shard, self._leases[1].token, live=False)
            yield from self._run(path)
        finally:
            for lease in self._leases:
                lease.release()

    def _run(self, path: Path) -> Iterator[int]:
        self._pace = _Pace(self.speed)
        for line in timed(read(path)):
            self.lines += 1
            if self._pace.due_in_s(line.received_us) > 0:
                self._wait(line.received_us)
            if line.frame:
                self.pipeline.receive(line.frame, line.received_us)
                self._bars += self.pipeline.take_venue_bars()
            if max(self.pipeline.waiting, len(self._bars)) >= settings.LISTENER_FLUSH_MAX_TICKS:
                self._flush()
            if self.lines % 1000 == 0:
                self._renew()
                yield self.lines
        self._flush()
        self._writer.seal()
        yield self.lines

    def _wait(self, until_us: int) -> None:
        """Until that line's turn, flushing and writing meanwhile as a listener would."""
        while (left_s := self._pace.due_in_s(until_us)) > 0:
            self._flush()
            self._write()
            self._renew()
            time.sleep(min(left_s, settings.LISTENER_FLUSH_INTERVAL_MS / 1000))

    def _flush(self) -> None:
        self._adopt()
        self._write_bars()
        while self.pipeline.waiting:
            batch = self.pipeline.take(_now_us())
            if batch is not None:
                self._append(batch)
        self._publish()
        if doubtful := self.pipeline.take_doubtful():
            store.quarantine([quarantined(self.provider, d) for d in doubtful])
        if self._unwritten >= WRITE_EVERY_TICKS:
            self._write()

    def _append(self, batch: Batch) -> None:
        while self._journal.append(batch.flush) is Outcome.FULL:
            self._write()
        self._unwritten += batch.flush.count
        self._see(unpack_trades(batch.flush.trade_rows)["time"])
        self._see(unpack_quotes(batch.flush.quote_rows)["time"])

    def _see(self, times: np.ndarray) -> None:
        """Widen the span of venue time by a batch's."""
        if len(times):
            first, last = int(times.min()) + POSTGRES_EPOCH_US, int(times.max()) + POSTGRES_EPOCH_US
            low, high = self._span or (first, last)
            self._span = min(low, first), max(high, last)

    def _write(self) -> None:
        while self._writer.step():
            self._renew()
        self._unwritten = 0

    def _write_bars(self) -> None:
        """The venue's own candles, beside ours."""
        if self._bars:
            ids = {symbol: known.id for symbol, known in self._adopted.items()}
            self.venue_candles += store.write_venue_bars(SOURCES[self.provider], self._bars, ids)
            self._bars = []

    def _adopt(self) -> None:
        """Make the instruments that the recording has and we lack."""
        symbols_of_bars = {bar.symbol for bar in self._bars}
        strangers = (self.pipeline.strangers() | (symbols_of_bars - self._adopted.keys())) - self._hopeless
        for symbol in strangers:
            if 0 < len(symbol) <= SYMBOL_MAX_LENGTH and "\0" not in symbol:
                self._adopted[symbol] = symbols.adopt(self.provider, symbol)
            else:
                self._hopeless.add(symbol)
        if strangers:
            self.pipeline.follow(self._adopted)

    def _publish(self) -> None:
        now = time.monotonic()
        if now - self._published_at >= settings.LISTENER_FLUSH_INTERVAL_MAX_MS / 1000:
            self._published_at = now
            publish(self.pipeline.publications(_now_us()))

    def _renew(self) -> None:
        now = time.monotonic()
        if now - self._renewed_at < settings.LEASE_TTL_S / 3:
            return
        self._renewed_at = now
        if not all(lease.renew() for lease in self._leases):
            raise LeaseLost

    def stored(self, seconds: float) -> Stored:
        """What came of it. seconds: how long it took."""
        counts = self.pipeline.counts
        on_disk = {table: self._on_disk(table) for table in ("trade", "quote", "candle_1m")}
        return Stored(
            self.lines, counts.trades, counts.quotes, on_disk["trade"], on_disk["quote"], on_disk["candle_1m"],
            self.venue_candles, counts.malformed, counts.quarantined, counts.suspect, counts.duplicates, counts.unknown,
            seconds,
        )  # fmt: skip

    def _on_disk(self, table: str) -> int:
        if self._span is None:
            return 0
        from_us, until_us = self._span
        ids = sorted({known.id for known in self._adopted.values()})
        return store.count_rows(table, SOURCES[self.provider], ids, from_us - from_us % MINUTE_US, until_us)


class _Pace:
    """When each line's turn comes, by the times in the recording."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._began = time.monotonic()
        self._first_us = 0

    def due_in_s(self, received_us: int) -> float:
        if self._speed is None or not received_us:
            return 0.0
        self._first_us = self._first_us or received_us
        return (received_us - self._first_us) / 1e6 / self._speed - (time.monotonic() - self._began)


def _acquire(name: str) -> Lease:
    """The lease; one that a killed replay left behind is waited for."""
    deadline = time.monotonic() + settings.LEASE_TTL_S + 0.5
    while True:
        lease = leases.acquire(name)
        if lease is not None:
            return lease
        if time.monotonic() > deadline:
            raise Busy(name)
        time.sleep(0.1)


def _now_us() -> int:
    return time.time_ns() // 1000
