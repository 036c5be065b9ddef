"""From the journal to the disk: each journalled tick exactly once, whoever is killed.

The rows, the minutes' candles and the journal's position are one transaction, guarded by the position itself; the
journal is trimmed after its commit. So a batch is on disk whole or not at all, and is never taken twice. The same ticks
journalled twice (a reconnect's overlap, a replay, a lost answer) are told by their keys.
"""

import asyncio
import datetime as dt
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
import psycopg2
import redis
from django import db
from django.conf import settings
from django.db import connection, transaction
from psycopg2.errors import ProtocolViolation, UniqueViolation

from ingestion import candles, payloads, precedence, store
from ingestion.candles import INTERVALS, MINUTE_US, Bar, bucket_us
from ingestion.journal import START, Entry, Fenced, Reader, parse_id
from ingestion.models import Instrument
from ingestion.providers import SOURCE_NAMES, SOURCES, provider_of
from ingestion.store import Key, Position
from ingestion.ticks import LAYOUT_VERSION, POSTGRES_EPOCH_US, QUOTE_DTYPE, TRADE_DTYPE
from streaming.protocol import Message
from streaming.publish import publish
from worker import metrics
from worker.redis import client, key
from worker.resident import Context, resident

logger = logging.getLogger(__name__)

SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
# Candles made final in one transaction: their trades are read once more.
FINALISE_MAX: Final = 500
ENTRIES_AT_FIRST: Final = 64
ENTRIES_MAX: Final = 4_096

# What PostgreSQL says of a row that it will never take, through Django or straight. (A field's wrong length is a
# violation of the protocol to it, and so an OperationalError to psycopg2: to be caught before those that pass.)
REFUSED: Final = (
    psycopg2.DataError, psycopg2.IntegrityError, ProtocolViolation, db.DataError, db.IntegrityError,
)  # fmt: skip
# What passes: a store that is away, or a transaction that lost a race.
PASSING: Final = (
    psycopg2.OperationalError, psycopg2.InterfaceError, db.OperationalError, db.InterfaceError,
    redis.ConnectionError, redis.TimeoutError,
)  # fmt: skip


class PositionMoved(Exception):
    """Another writer of this shard has committed since we looked: what we had in hand is rolled back."""


class Batch(NamedTuple):
    """What one transaction takes from the journal."""

    position: Position  # after it
    entries: list[Entry]
    trades: np.ndarray
    quotes: np.ndarray
    dead: list["Dead"]


class Dead(NamedTuple):
    """Rows that cannot be stored, and why."""

    table: str
    rows: bytes
    why: str


class Placed(NamedTuple):
    """Where the rows of a batch went: straight in (all new), by their keys (minutes that gained some), or refused."""

    straight: list[np.ndarray]
    revised: set[Key]
    dead: list[Dead]


def clock_us() -> int:
    """Now, microseconds since 1970."""
    return time.time_ns() // 1000


class Writer:
    """Brings one shard's journal to the disk, a step at a time. It blocks, and keeps to the thread it is called in.

    token: the lease's fencing token; an older writer of the shard does not commit any more.
    live: candles may also become final by the clock, when no more trades come. Not so for a replay: its venue time
        is long past, and `seal` ends it.
    """

    def __init__(self, shard: str, token: int, live: bool = True, clock: Callable[[], int] = clock_us) -> None:
        self.shard, self.token, self.live, self.clock = shard, token, live, clock
        self.reader = Reader(shard)
        self.position: Position | None = None  # on disk; None until it is claimed, and after any failure
        self.read_from = START
        self.entries_at_once = ENTRIES_AT_FIRST
        self.last_rows = 0
        # Minutes that may have to become final, and the newest venue time by source, which decides it.
        self.open: set[Key] = set()
        self.watermark_us: dict[int, int] = {}
        self.arrived_us = clock()
        # Longer bars that people are to hear of once they are over, by interval; `time_us` is the bar's beginning.
        self.longer: dict[str, set[Key]] = {interval: set() for interval in store.ROLLED}

    def step(self) -> bool:
        """Take one batch to the disk, then close the candles that are due. Whether there was a batch.

        Raises Fenced when a newer writer is at work, and whatever a store that is away raises; then nothing is lost,
        and the next step begins anew.
        """
        try:
            position = self.position or self._claim()
            batch = self._next_batch(position)
            if batch is not None:
                self._store(position, batch)
                self.reader.trim(batch.position.epoch, batch.position.entry_id)
            self._finalise(self._due())
            self._announce_longer()
        except PositionMoved:
            self._start_anew()
            return True
        except Exception:
            self._start_anew()
            raise
        return batch is not None

    def wait(self) -> bool:
        """Wait a moment for the journal to have more. Whether it has."""
        return self.reader.wait(self.read_from, settings.WRITER_BLOCK_MS)

    def seal(self) -> None:
        """Empty the journal and make every candle of what came final, also the last one. The end of a replay."""
        while self.step():
            pass
        self._finalise(self.open)

    # --- Reading

    def _claim(self) -> Position:
        position = store.claim(self.shard, self.token)
        if position.token > self.token:
            raise Fenced(self.shard, self.token, position.token)
        source = SOURCES.get(provider_of(self.shard))
        if self.live and source is not None:
            self.open.update(store.open_keys(source))
            self._remember_longer(store.newest_minutes(source, store.to_datetime(self.clock() - DAY_US)))
        self.position, self.read_from = position, position.entry_id
        return position

    def _start_anew(self) -> None:
        """Forget where we are: a commit whose answer was lost may have happened."""
        self.position = None
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()

    def _next_batch(self, position: Position) -> Batch | None:
        epoch, entries = self.reader.read(self.read_from, self.entries_at_once)
        if self.read_from != START and self._is_another_journal(position, epoch, entries):
            logger.warning("journal %s is not the one that was read before: reading all of it", self.shard)
            self.read_from = START
            epoch, entries = self.reader.read(START, self.entries_at_once)
        if epoch is None or not entries:
            return None
        return self._batch(epoch, self._bounded(entries))

    def _is_another_journal(self, position: Position, epoch: str | None, entries: list[Entry]) -> bool:
        """Whether Redis lost the journal (it has a new epoch) or its end (ids are given anew)."""
        if entries:
            return epoch != position.epoch
        return parse_id(self.reader.last_id()) < parse_id(self.read_from)

    def _bounded(self, entries: list[Entry]) -> list[Entry]:
        """As many of them as make WRITER_BATCH_MAX_ROWS, one at least. The next read asks for about so many."""
        rows = np.cumsum([entry.count for entry in entries])
        fit = max(1, int(np.searchsorted(rows, settings.WRITER_BATCH_MAX_ROWS, side="right")))
        self.last_rows = int(rows[fit - 1])
        per_entry = max(1.0, self.last_rows / fit)
        self.entries_at_once = max(1, min(ENTRIES_MAX, round(settings.WRITER_BATCH_MAX_ROWS / per_entry)))
        return entries[:fit]

    def _batch(self, epoch: str, entries: list[Entry]) -> Batch:
        readable = [entry for entry in entries if _is_readable(entry)]
        unreadable = [entry for entry in entries if not _is_readable(entry)]
        dead = [Dead("trade", e.trade_rows + e.quote_rows, f"layout {e.layout} or a broken row") for e in unreadable]
        trades, insane_trades = self._sane("trade", _joined((e.trade_rows for e in readable), TRADE_DTYPE))
        quotes, insane_quotes = self._sane("quote", _joined((e.quote_rows for e in readable), QUOTE_DTYPE))
        position = Position(epoch, entries[-1].id, self.token)
        return Batch(position, entries, trades, quotes, dead + insane_trades + insane_quotes)

    def _sane(self, table: str, rows: np.ndarray) -> tuple[np.ndarray, list[Dead]]:
        """Without the rows whose time would make partitions in the far past or future. The listener refuses them;
        this is for a listener that has gone wrong."""
        times = _times_us(rows)
        sane = (times >= store.to_us(dt.datetime.fromisoformat(settings.TICK_EARLIEST))) & (
            times <= self.clock() + DAY_US
        )
        if sane.all():
            return rows, []
        return rows[sane], [Dead(table, rows[~sane].tobytes(), "time out of range")]

    # --- Storing

    def _store(self, position: Position, batch: Batch) -> None:
        """The one transaction."""
        store.ensure_partitions("trade", _times_us(batch.trades))
        store.ensure_partitions("quote", _times_us(batch.quotes))
        with transaction.atomic():
            if not store.advance(self.shard, position, batch.position):
                raise PositionMoved
            trades, quotes = _place("trade", batch.trades), _place("quote", batch.quotes)
            self._bury([*batch.dead, *trades.dead, *quotes.dead])
            for entry in batch.entries:
                if entry.gap is not None:
                    store.record_gap(self.shard, entry.gap)
            late = self._into_candles(trades)
        self.position, self.read_from = batch.position, batch.position.entry_id
        self._see(batch.trades)
        self._announce(late)
        metrics.count("ingestion.rows_stored", len(batch.trades) + len(batch.quotes))

    def _into_candles(self, trades: Placed) -> list[Bar]:
        """New trades into their minutes: added up where the minute is open, else counted again from the rows.

        Returns the final candles that changed.
        """
        revised = set(trades.revised)
        if trades.straight:
            sums = candles.fold(_concatenated(trades.straight))
            self.open.update(map(Key, *(sums[n].tolist() for n in ("instrument_id", "source", "time_us"))))
            revised.update(store.merge_sums(sums))
        self.open.update(trades.revised)
        return [bar for bar in store.recompute(revised) if bar.final]

    def _bury(self, dead: Sequence[Dead]) -> None:
        """Keep what the database will never take where a person finds it; inside the transaction, so that it is kept
        before the journal forgets it."""
        for table, rows, why in dead:
            metrics.count("ingestion.dead_rows")
            logger.error("%s: rows of %s cannot be stored (%s), see journal:dead", self.shard, table, why)
            fields = {"shard": self.shard, "table": table, "why": why, "rows": rows}
            client().xadd(key("journal", "dead"), fields, maxlen=settings.JOURNAL_DEAD_MAX_ENTRIES)  # type: ignore[arg-type]

    # --- Closing candles

    def _see(self, trades: np.ndarray) -> None:
        """Raise the watermark. A venue's clock that runs ahead of ours does not close our minutes."""
        if not len(trades):
            return
        now_us = self.arrived_us = self.clock()
        times, sources = _times_us(trades), trades["source"]
        for source in np.unique(sources):
            newest = min(int(times[sources == source].max()), now_us)
            self.watermark_us[int(source)] = max(newest, self.watermark_us.get(int(source), 0))

    def _due(self) -> list[Key]:
        """The minutes that are over."""
        over_us = self._over_us()
        return [minute for minute in self.open if minute.time_us + MINUTE_US <= over_us(minute.source)]

    def _over_us(self) -> Callable[[int], int]:
        """Until when a source's candles are over: by the venue's time, or, live and with nothing more coming, by the
        clock."""
        lateness_us = int(settings.CANDLE_ALLOWED_LATENESS_S * SECOND_US)
        patience_us = lateness_us + int(settings.CANDLE_IDLE_GRACE_S * SECOND_US)
        now_us = self.clock()
        idle = self.live and now_us - self.arrived_us >= patience_us
        by_clock_us = now_us - patience_us if idle else 0
        return lambda source: max(self.watermark_us.get(source, 0) - lateness_us, by_clock_us)

    def _finalise(self, minutes: Iterable[Key]) -> None:
        due = sorted(minutes)
        for i in range(0, len(due), FINALISE_MAX):
            part = due[i : i + FINALISE_MAX]
            assert self.position is not None
            with transaction.atomic():
                # A writer that was fenced meanwhile knows only some of the trades.
                if not store.advance(self.shard, self.position, self.position):
                    raise PositionMoved
                bars = store.finalise(part)
            self.open.difference_update(part)
            self._announce(bars)

    def _announce(self, bars: Sequence[Bar]) -> None:
        announce(bars, self.clock())
        self._remember_longer(Key(bar.instrument_id, bar.source, bar.time_us) for bar in bars)

    def _remember_longer(self, minutes: Iterable[Key]) -> None:
        """Of these final minutes the longer bars, unless they ended too long ago to be news."""
        since_us = _news_since_us(self.clock())
        for minute in minutes:
            for interval, bars in self.longer.items():
                start_us = bucket_us(minute.time_us, interval)
                if start_us + INTERVALS[interval] > since_us:
                    bars.add(minute._replace(time_us=start_us))

    def _announce_longer(self) -> None:
        """A longer bar is final when its last minute is; one that is revised is told again."""
        over_us = self._over_us()
        for interval, bars in self.longer.items():
            length_us = INTERVALS[interval]
            over = [bar for bar in bars if bar.time_us + length_us <= over_us(bar.source)]
            if over:
                announce([bar for bar in store.rolled_up(over, interval) if bar.final], self.clock())
                bars.difference_update(over)


def announce(bars: Sequence[Bar], now_us: int) -> None:
    """Tell browsers what became final or was revised, if it is of today's interest."""
    since_us = _news_since_us(now_us)
    recent = [bar for bar in bars if bar.time_us + INTERVALS[bar.interval] >= since_us]
    if recent:
        names = Instrument.objects.in_bulk({bar.instrument_id for bar in recent})
        spoken = _of_who_speaks(recent, now_us)
        known = [(bar, names[bar.instrument_id].symbol) for bar in spoken if bar.instrument_id in names]
        publish([_message(bar, symbol, now_us) for bar, symbol in known])


def _of_who_speaks(bars: Sequence[Bar], now_us: int) -> list[Bar]:
    """Those of the source that tells of the instrument now; all of them while Redis cannot be asked which that is."""
    silent: set[tuple[int, int]] = set()
    try:
        for source in {bar.source for bar in bars}:
            ids = sorted({bar.instrument_id for bar in bars if bar.source == source})
            outranked = precedence.outranked(SOURCE_NAMES[source], ids, now_us)
            silent |= {(source, instrument_id) for instrument_id in outranked.prices}
    except redis.RedisError:
        return list(bars)
    return [bar for bar in bars if (bar.source, bar.instrument_id) not in silent]


def _news_since_us(now_us: int) -> int:
    return now_us - int(settings.CANDLE_PUBLISH_MAX_AGE_S * SECOND_US)


def _message(bar: Bar, symbol: str, now_us: int) -> Message:
    data = payloads.candle(symbol, bar.interval, bar, SOURCE_NAMES[bar.source])
    return Message(f"candles:{symbol}:{bar.interval}", "candle", data, now_us)


# --- Rows ---------------------------------------------------------------------------------------------------


def _is_readable(entry: Entry) -> bool:
    whole = len(entry.trade_rows) % TRADE_DTYPE.itemsize == 0 and len(entry.quote_rows) % QUOTE_DTYPE.itemsize == 0
    return entry.layout == LAYOUT_VERSION and whole


def _joined(rows: Iterable[bytes], dtype: np.dtype) -> np.ndarray:
    return np.frombuffer(b"".join(rows), dtype)


def _concatenated(parts: Sequence[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _times_us(rows: np.ndarray) -> np.ndarray:
    return rows["time"].astype(np.int64) + POSTGRES_EPOCH_US


def _place(table: str, rows: np.ndarray) -> Placed:
    """Get the rows into the table: by COPY where all are new; those that are, where some are not; and without those
    that the database refuses, found by halving."""
    placed = Placed([], set(), [])
    if len(rows):
        _place_part(table, _neighbours_together(rows), placed)
    return placed


def _neighbours_together(rows: np.ndarray) -> np.ndarray:
    """The rows by instrument: what lies together in the index goes in together, a quarter less work for the server.

    By the id's last 16 bits, which sort much faster (the order is for speed alone), and as plain bytes: numpy moves
    structured rows field by field.
    """
    order = np.argsort(rows["instrument_id"].astype(np.uint16), kind="stable")
    return rows.view(f"V{rows.dtype.itemsize}")[order].view(rows.dtype)


def _place_part(table: str, rows: np.ndarray, placed: Placed) -> None:
    try:
        try:
            with transaction.atomic():
                store.copy_rows(table, rows.tobytes())
            placed.straight.append(rows)
        except UniqueViolation:
            with transaction.atomic():
                placed.revised.update(store.insert_new(table, rows.tobytes()))
    except REFUSED as error:
        if len(rows) == 1:
            placed.dead.append(Dead(table, rows.tobytes(), str(error).partition("\n")[0]))
            return
        middle = len(rows) // 2
        _place_part(table, rows[:middle], placed)
        _place_part(table, rows[middle:], placed)


# --- The resident -------------------------------------------------------------------------------------------


@resident("ingestion.persist")
async def persist(context: Context) -> None:
    """Bring the shard's journal to the disk until told to stop."""
    await write(Writer(context.shard, context.token), context.draining)


async def write(writer: Writer, draining: asyncio.Event) -> None:
    """Step until `draining` is set or a newer writer is at work; the step in hand is finished.

    A store that is away is waited for: the journal keeps what comes meanwhile. The steps run in one thread of their
    own, with one database connection.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix=f"persist {writer.shard}")
    try:
        await _steps(writer, draining, thread)
    except Fenced as fenced:
        logger.warning("%s", fenced)
    finally:
        thread.submit(connection.close)
        thread.shutdown(wait=False)


async def _steps(writer: Writer, draining: asyncio.Event, thread: ThreadPoolExecutor) -> None:
    loop = asyncio.get_running_loop()
    retry_s = settings.WRITER_RETRY_MIN_S
    while not draining.is_set():
        try:
            if not await loop.run_in_executor(thread, writer.step):
                await loop.run_in_executor(thread, writer.wait)
            elif writer.last_rows < settings.WRITER_BATCH_MAX_ROWS // 2:
                await _pause(draining, settings.WRITER_INTERVAL_MS / 1000)
            retry_s = settings.WRITER_RETRY_MIN_S
        except PASSING as error:
            logger.warning("%s waits %.1f s: %s", writer.shard, retry_s, str(error).strip() or type(error).__name__)
            metrics.count("ingestion.writer_retries")
            await _pause(draining, retry_s)
            retry_s = min(2 * retry_s, settings.WRITER_RETRY_MAX_S)


async def _pause(draining: asyncio.Event, pause_s: float) -> None:
    try:
        async with asyncio.timeout(pause_s):
            await draining.wait()
    except TimeoutError:
        pass
