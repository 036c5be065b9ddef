"""Ticks and candles on disk. The only file that knows their SQL, and whether TimescaleDB is beneath.

Times in and out are integers, microseconds since 1970, UTC (`…_us`), unless a caller's `datetime` is asked for.
Functions that write belong to one transaction of the caller's, except where they say so.
"""

import datetime as dt
import io
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from django.conf import settings
from django.db import connection, transaction

from ingestion import partitions
from ingestion.candles import INTERVALS, MINUTE_US, Bar
from ingestion.journal import START, Gap
from ingestion.models import Quarantined
from ingestion.providers import SOURCES
from ingestion.ticks import QUOTE_COLUMNS, SUSPECT, TRADE_COLUMNS

TIMESCALE: Final = "timescaledb"
NATIVE: Final = "native"

_COLUMNS: Final = {"trade": TRADE_COLUMNS, "quote": QUOTE_COLUMNS}
_KEYS: Final = {"trade": "trade_id", "quote": "quote_id"}
_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER: Final = b"\xff\xff"
# libpq is called once per so many bytes.
_COPY_CHUNK_BYTES: Final = 1 << 20
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


class Key(NamedTuple):
    """A minute of one instrument by one source."""

    instrument_id: int
    source: int
    time_us: int


class StoredTrade(msgspec.Struct, frozen=True, gc=False):
    """A trade as it is on disk. (time_us, source, trade_id) is its place in the order of reading."""

    time_us: int
    received_us: int
    source: int
    trade_id: int
    price: float
    quantity: float
    side: int
    flags: int

    @property
    def place(self) -> tuple[int, int, int]:
        return self.time_us, self.source, self.trade_id


class Position(msgspec.Struct, frozen=True):
    """How far a shard's journal is on disk, and under whose fencing token."""

    epoch: str
    entry_id: str
    token: int


def to_us(time: dt.datetime) -> int:
    """An aware datetime as microseconds since 1970, exactly."""
    return (time - _EPOCH) // _MICROSECOND


def to_datetime(time_us: int) -> dt.datetime:
    """Microseconds since 1970 as an aware datetime."""
    return _EPOCH + time_us * _MICROSECOND


@lru_cache(maxsize=1)
def storage_kind() -> str:
    """TIMESCALE or NATIVE, as the second migration found it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relkind FROM pg_class WHERE oid = 'trade'::regclass")
        return NATIVE if cursor.fetchone()[0] == "p" else TIMESCALE


# --- The journal's position ---------------------------------------------------------------------------------


def claim(shard: str, token: int) -> Position:
    """Put `token` on the shard's position, so that no older writer commits any more, and read it.

    Its token is a higher one where a newer writer has been here. A transaction of its own.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO journal_position AS p VALUES (%s, '', %s, %s)
               ON CONFLICT (shard) DO UPDATE SET token = greatest(p.token, excluded.token)
               RETURNING epoch, entry_id, token""",
            [shard, START, token],
        )
        return Position(*cursor.fetchone())


def advance(shard: str, old: Position, new: Position) -> bool:
    """Move the position, if it is where and whose we think. The row stays locked until the caller's commit, but not for
    ever where the caller vanished inside its transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SET LOCAL idle_in_transaction_session_timeout = %s;
               UPDATE journal_position SET epoch = %s, entry_id = %s, token = %s
               WHERE shard = %s AND epoch = %s AND entry_id = %s AND token <= %s""",
            [
                f"{settings.WRITER_TRANSACTION_TIMEOUT_S}s", new.epoch, new.entry_id, new.token,
                shard, old.epoch, old.entry_id, new.token,
            ],
        )  # fmt: skip
        return bool(cursor.rowcount == 1)


# --- Rows in ------------------------------------------------------------------------------------------------


def ensure_partitions(table: str, times_us: np.ndarray) -> None:
    """Room for rows of these times, in a transaction of its own. TimescaleDB makes its chunks itself."""
    if storage_kind() == NATIVE:
        partitions.ensure(table, partitions.weeks(times_us))


def copy_rows(table: str, rows: bytes | memoryview) -> None:
    """COPY packed rows straight in. Raises psycopg2's UniqueViolation or DataError, and then none is in."""
    data = io.BytesIO(b"".join((_COPY_HEADER, rows, _COPY_TRAILER)))
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} FROM STDIN BINARY", data, _COPY_CHUNK_BYTES)


def insert_new(table: str, rows: bytes | memoryview) -> list[Key]:
    """Insert those of the packed rows that are not on disk yet. Returns the minutes that gained some."""
    staged = f"staged_{table}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {staged} (LIKE {table}); TRUNCATE {staged}")
        copy_rows(staged, rows)
        cursor.execute(
            f"""WITH fresh AS (
                    INSERT INTO {table} SELECT * FROM {staged} ORDER BY instrument_id, source, time, {_KEYS[table]}
                    ON CONFLICT (instrument_id, source, time, {_KEYS[table]}) DO NOTHING
                    RETURNING instrument_id, source, flags, date_trunc('minute', time, 'UTC') AS minute)
                SELECT DISTINCT instrument_id, source, {_us("minute")} FROM fresh WHERE flags & {SUSPECT} = 0"""
        )
        return [Key(*row) for row in cursor.fetchall()]


def record_gap(shard: str, gap: Gap) -> None:
    """Note a hole, or the end of one noted before."""
    until = None if gap.until_us is None else to_datetime(gap.until_us)
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO gap AS g (shard, reason, started_at, ended_at, ticks) VALUES (%s, %s, %s, %s, %s)
               ON CONFLICT (shard, reason, started_at)
               DO UPDATE SET ended_at = coalesce(excluded.ended_at, g.ended_at),
                             ticks = greatest(g.ticks, excluded.ticks)""",
            [shard, gap.reason, to_datetime(gap.from_us), until, gap.ticks],
        )


def quarantine(ticks: Sequence[Quarantined]) -> int:
    """Keep ticks that were not believed, so that a person can look: the first of a flood. Returns how many."""
    kept = ticks[: settings.QUARANTINE_MAX_ROWS_AT_ONCE]
    return len(Quarantined.objects.bulk_create(kept))


def trim_quarantine() -> int:
    """Forget all but the newest QUARANTINE_MAX_ROWS ticks. Returns how many went."""
    newest = Quarantined.objects.order_by("-id").values_list("id", flat=True)
    last_to_go = newest[settings.QUARANTINE_MAX_ROWS : settings.QUARANTINE_MAX_ROWS + 1].first()
    if last_to_go is None:
        return 0
    return Quarantined.objects.filter(id__lte=last_to_go).delete()[0]


# --- Candles in ---------------------------------------------------------------------------------------------

# Table `candle_1m`, and `Bar` without its interval.
_CANDLE_COLUMNS: Final = (
    "instrument_id", "source", "time", "open", "high", "low", "close", "volume", "quote_volume", "trades",
    "first_time", "first_id", "last_time", "last_id", "final", "rev",
)  # fmt: skip
_CANDLE_TYPES: Final = (
    "int4", "int2", "int8", "float8", "float8", "float8", "float8", "float8", "float8", "int4",
    "int8", "int8", "int8", "int8", "bool", "int4",
)  # fmt: skip
_TIMES: Final = ("time", "first_time", "last_time")


def _us(expression: str) -> str:
    """SQL: a timestamptz as microseconds since 1970."""
    return f"(extract(epoch FROM {expression}) * 1000000)::int8"


def _timestamp(expression: str) -> str:
    """SQL: microseconds since 1970 as a timestamptz; exact as long as they fit a float8's 53 bits (until 2255)."""
    return f"(TIMESTAMPTZ '1970-01-01 00:00:00+00' + {expression} * INTERVAL '1 microsecond')"


def _unnest(count: int) -> str:
    """SQL: the first `count` columns of candles, one array parameter each, as rows."""
    columns = _CANDLE_COLUMNS[:count]
    values = ", ".join(f"{_timestamp(c)} AS {c}" if c in _TIMES else c for c in columns)
    arrays = ", ".join(f"%s::{t}[]" for t in _CANDLE_TYPES[:count])
    return f"SELECT {values} FROM unnest({arrays}) AS given ({', '.join(columns)})"


def _array(values: Iterable[float]) -> str:
    """Numbers or truth values as PostgreSQL reads an array: one literal, where a driver's ARRAY[…] would be thousands
    of expressions to parse and plan."""
    return "{" + ",".join(map(repr, values)) + "}"


_KEYS_GIVEN: Final = _unnest(3)
_SUMS_GIVEN: Final = _unnest(14)
_CANDLES_GIVEN: Final = _unnest(16)
_CANDLE: Final = ", ".join(_us(f"c.{c}") if c in _TIMES else f"c.{c}" for c in _CANDLE_COLUMNS)

_MERGE: Final = f"""
WITH given AS ({_SUMS_GIVEN}),
merged AS (
    INSERT INTO candle_1m AS c SELECT *, false, 0 FROM given ORDER BY instrument_id, source, time
    ON CONFLICT (instrument_id, source, time) DO UPDATE SET
        open = CASE WHEN (excluded.first_time, excluded.first_id) < (c.first_time, c.first_id)
                    THEN excluded.open ELSE c.open END,
        first_id = CASE WHEN (excluded.first_time, excluded.first_id) < (c.first_time, c.first_id)
                        THEN excluded.first_id ELSE c.first_id END,
        first_time = least(c.first_time, excluded.first_time),
        close = CASE WHEN (excluded.last_time, excluded.last_id) > (c.last_time, c.last_id)
                     THEN excluded.close ELSE c.close END,
        last_id = CASE WHEN (excluded.last_time, excluded.last_id) > (c.last_time, c.last_id)
                       THEN excluded.last_id ELSE c.last_id END,
        last_time = greatest(c.last_time, excluded.last_time),
        high = greatest(c.high, excluded.high), low = least(c.low, excluded.low),
        volume = c.volume + excluded.volume, quote_volume = c.quote_volume + excluded.quote_volume,
        trades = c.trades + excluded.trades
    WHERE NOT c.final
    RETURNING instrument_id, source, time)
SELECT instrument_id, source, {_us("time")}
FROM (SELECT instrument_id, source, time FROM given EXCEPT SELECT * FROM merged) AS kept
"""

# A row to lock for each minute, also for one that has none yet. Whatever another writer has not committed of the minute
# it still has to merge into the row that is locked here; what it has, the next statement sees.
_LOCK_OR_MAKE: Final = f"""
INSERT INTO candle_1m AS c
SELECT instrument_id, source, time, 0, 0, 0, 0, 0, 0, 0, time, 0, time, 0, false, 0
FROM ({_KEYS_GIVEN}) AS wanted ORDER BY instrument_id, source, time
ON CONFLICT (instrument_id, source, time) DO UPDATE SET rev = c.rev
"""

_LOCK: Final = f"""
SELECT FROM candle_1m AS c JOIN ({_KEYS_GIVEN}) AS wanted USING (instrument_id, source, time)
ORDER BY instrument_id, source, time FOR UPDATE OF c
"""

# The bounds over all wanted minutes let the planner leave out other partitions.
_OF_THE_MINUTE: Final = f"""
FROM trade AS t
WHERE t.instrument_id = wanted.instrument_id AND t.source = wanted.source AND t.flags & {SUSPECT} = 0
  AND t.time >= wanted.time AND t.time < wanted.time + INTERVAL '1 minute' AND t.time >= %s AND t.time < %s
"""

# Sums in numeric are exact, so that they do not depend on the order in which the rows came.
_FROM_ROWS: Final = f"""
WITH wanted AS ({_KEYS_GIVEN}),
exact AS (
    SELECT *
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT max(price) AS high, min(price) AS low, sum(quantity::numeric)::float8 AS volume,
               sum(price::numeric * quantity::numeric)::float8 AS quote_volume, count(*)::int4 AS trades
        {_OF_THE_MINUTE}) AS sums
    CROSS JOIN LATERAL (
        SELECT price AS open, t.time AS first_time, trade_id AS first_id
        {_OF_THE_MINUTE} ORDER BY t.time, trade_id LIMIT 1) AS opening
    CROSS JOIN LATERAL (
        SELECT price AS close, t.time AS last_time, trade_id AS last_id
        {_OF_THE_MINUTE} ORDER BY t.time DESC, trade_id DESC LIMIT 1) AS closing)
UPDATE candle_1m AS c SET
    open = e.open, high = e.high, low = e.low, close = e.close, volume = e.volume, quote_volume = e.quote_volume,
    trades = e.trades, first_time = e.first_time, first_id = e.first_id, last_time = e.last_time, last_id = e.last_id,
"""
_OF_CANDLE: Final = (
    "FROM exact AS e WHERE c.instrument_id = e.instrument_id AND c.source = e.source AND c.time = e.time"
)
_RECOMPUTE: Final = f"{_FROM_ROWS} rev = c.rev + c.final::int4 {_OF_CANDLE} RETURNING {_CANDLE}"
_FINALISE: Final = f"{_FROM_ROWS} final = true {_OF_CANDLE} AND NOT c.final RETURNING {_CANDLE}"


def merge_sums(sums: np.ndarray) -> list[Key]:
    """Add what `candles.fold` made of new trades to their candles.

    Returns the minutes that are final already, left as they were: `recompute` them.
    """
    with connection.cursor() as cursor:
        cursor.execute(_MERGE, [_array(sums[name].tolist()) for name in sums.dtype.names or ()])
        return [Key(*row) for row in cursor.fetchall()]


def recompute(keys: Iterable[Key]) -> list[Bar]:
    """Make these minutes' candles anew from the trades on disk; a final one's `rev` grows. Returns them.

    Each minute has a trade that is not suspect.
    """
    return _from_rows(keys, _LOCK_OR_MAKE, _RECOMPUTE)


def finalise(keys: Iterable[Key]) -> list[Bar]:
    """Make these minutes' candles from the trades on disk, exactly, and final. Returns those that were not yet."""
    return _from_rows(keys, _LOCK, _FINALISE)


def _from_rows(keys: Iterable[Key], lock: str, update: str) -> list[Bar]:
    ordered = sorted(set(keys))
    if not ordered:
        return []
    columns = [_array(column) for column in zip(*ordered, strict=True)]
    minutes = [minute.time_us for minute in ordered]
    bounds = [to_datetime(min(minutes)), to_datetime(max(minutes) + MINUTE_US)]
    with connection.cursor() as cursor:
        cursor.execute(lock, columns)
        cursor.execute(update, [*columns, *bounds * 3])
        return [_bar(row, "1m") for row in cursor.fetchall()]


def open_keys(source: int) -> list[Key]:
    """The minutes of this source that are not final yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT instrument_id, source, {_us('time')} FROM candle_1m WHERE NOT final AND source = %s", [source]
        )
        return [Key(*row) for row in cursor.fetchall()]


def copy_candles(bars: Iterable[Bar]) -> int:
    """1-minute bars made elsewhere (history), in bulk; those that exist stay as they are. Returns how many were new."""
    rows = [msgspec.structs.astuple(bar) for bar in bars]
    if not rows:
        return 0
    *columns, intervals, final, rev = zip(*rows, strict=True)
    assert set(intervals) == {"1m"}
    arrays = [_array(column) for column in (*columns, final, rev)]
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO candle_1m {_CANDLES_GIVEN} ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING", arrays)
        return int(cursor.rowcount)


def _bar(row: Sequence[Any], interval: str) -> Bar:
    values = [*row[:-2], interval, *row[-2:]]
    return Bar(*values)


# --- Reading ------------------------------------------------------------------------------------------------


# Longer bars out of the minutes in a range, found by the primary key; the views `candle_5m` … say the same of all of
# them. A bar is final when its minutes are and its time is over.
_ROLLED_UP: Final = """
SELECT instrument_id, source, bucket AS time, (array_agg(open ORDER BY time))[1] AS open, max(high) AS high,
       min(low) AS low, (array_agg(close ORDER BY time DESC))[1] AS close, sum(volume) AS volume,
       sum(quote_volume) AS quote_volume, sum(trades)::int4 AS trades, min(first_time) AS first_time,
       (array_agg(first_id ORDER BY time))[1] AS first_id, max(last_time) AS last_time,
       (array_agg(last_id ORDER BY time DESC))[1] AS last_id, bool_and(final) AND bucket + %(step)s <= now() AS final,
       sum(rev)::int4 AS rev
FROM (SELECT *, date_bin(%(step)s, time, TIMESTAMPTZ '2000-01-03 00:00:00+00') AS bucket FROM candle_1m
      WHERE instrument_id = %(instrument)s AND source = %(source)s AND time >= %(start)s AND time < %(end)s) AS minutes
GROUP BY instrument_id, source, bucket
"""
_MINUTES: Final = """
SELECT * FROM candle_1m
WHERE instrument_id = %(instrument)s AND source = %(source)s AND time >= %(start)s AND time < %(end)s
"""
BEGINNING: Final = dt.datetime(1, 1, 2, tzinfo=dt.UTC)
FOREVER: Final = dt.datetime(9999, 12, 30, tzinfo=dt.UTC)


def candles(
    instrument_id: int,
    interval: str,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
    limit: int = 500,
    source: int | None = None,
) -> list[Bar]:
    """Bars of one source, oldest first, that begin in [start, end): the first `limit` from `start`, or without a
    `start` the newest. Without a `source`: the best of SOURCE_ORDER that has any there."""
    if start is not None:
        # A bar that began before `start` is not to be shown in part.
        start = to_datetime(-(-to_us(start) // INTERVALS[interval]) * INTERVALS[interval])
        source = source or best_source(instrument_id, start, end or FOREVER)
        return _bars(instrument_id, source, interval, start, end or FOREVER, limit) if source else []
    return _newest_bars(instrument_id, interval, end, limit, source)


def _newest_bars(
    instrument_id: int, interval: str, end: dt.datetime | None, limit: int, source: int | None
) -> list[Bar]:
    """From as far back as `limit` bars reach if none is missing; then further, for a market that is thin or closes."""
    newest = _newest_minute(instrument_id, end or FOREVER, source)
    if newest is None:
        return []
    step_us = INTERVALS[interval]
    found: list[Bar] = []
    for reach in (1, 8, None):
        start = to_datetime((to_us(newest) // step_us + 1 - limit * reach) * step_us) if reach else BEGINNING
        source = source or best_source(instrument_id, start, end or FOREVER)
        assert source is not None, "the newest minute is in the range"
        found = _bars(instrument_id, source, interval, start, end or FOREVER, limit, newest_first=True)[::-1]
        if len(found) == limit:
            break
    return found


def _newest_minute(instrument_id: int, end: dt.datetime, source: int | None) -> dt.datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT max(newest) FROM unnest(%s::int2[]) AS known (source) CROSS JOIN LATERAL (
                   SELECT max(time) AS newest FROM candle_1m c
                   WHERE c.instrument_id = %s AND c.source = known.source AND time < %s) AS of_source""",
            [[source] if source else list(SOURCES.values()), instrument_id, end],
        )
        found: dt.datetime | None = cursor.fetchone()[0]
    return found


def best_source(instrument_id: int, start: dt.datetime, end: dt.datetime) -> int | None:
    """The best source, by SOURCE_ORDER, with a candle in [start, end)."""
    ordered = [SOURCES[name] for name in settings.SOURCE_ORDER if name in SOURCES]
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT source FROM unnest(%s::int2[]) WITH ORDINALITY AS known (source, rank)
               WHERE EXISTS (SELECT FROM candle_1m c WHERE c.instrument_id = %s AND c.source = known.source
                             AND time >= %s AND time < %s)
               ORDER BY rank LIMIT 1""",
            [ordered, instrument_id, start, end],
        )
        row = cursor.fetchone()
    return row and int(row[0])


def _bars(
    instrument_id: int,
    source: int,
    interval: str,
    start: dt.datetime,
    end: dt.datetime,
    limit: int,
    newest_first: bool = False,
) -> list[Bar]:
    range_sql = _MINUTES if interval == "1m" else _ROLLED_UP
    order = "DESC" if newest_first else "ASC"
    parameters: dict[str, Any] = {
        "instrument": instrument_id, "source": source, "start": start, "end": end, "limit": limit,
        "step": INTERVALS[interval] * _MICROSECOND,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_CANDLE} FROM ({range_sql}) AS c ORDER BY c.time {order} LIMIT %(limit)s", parameters)
        return [_bar(row, interval) for row in cursor.fetchall()]


def final_candles_since(start: dt.datetime, limit: int = 10_000) -> list[Bar]:
    """The final 1-minute bars of every instrument and source that begin at `start` or later, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT {_CANDLE} FROM candle_1m AS c WHERE final AND time >= %s
                ORDER BY time, instrument_id, source LIMIT %s""",
            [start, limit],
        )
        return [_bar(row, "1m") for row in cursor.fetchall()]


_TRADE: Final = f"{_us('time')}, {_us('received_at')}, source, trade_id, price, quantity, side, flags"


def trades(
    instrument_id: int,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
    limit: int = 500,
    after: tuple[int, int, int] | None = None,
    source: int | None = None,
) -> list[StoredTrade]:
    """Trades of an instrument in [start, end), oldest first: the first `limit` from `start`, or those that come after
    the place `after` (`StoredTrade.place`), or with neither the newest. Of all sources without a `source`."""
    newest_first = start is None and after is None
    order = "DESC" if newest_first else "ASC"
    place = (to_datetime(after[0]), *after[1:]) if after else (BEGINNING, 0, 0)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT {_TRADE} FROM unnest(%s::int2[]) AS known (s) CROSS JOIN LATERAL (
                    SELECT * FROM trade
                    WHERE instrument_id = %s AND source = s AND time >= %s AND time < %s
                      AND (time, source, trade_id) > (%s, %s, %s)
                    ORDER BY time {order}, trade_id {order} LIMIT %s) AS of_source
                ORDER BY time {order}, source {order}, trade_id {order} LIMIT %s""",
            [
                [source] if source else list(SOURCES.values()),
                instrument_id, max(start or BEGINNING, place[0]), end or FOREVER, *place, limit, limit,
            ],
        )  # fmt: skip
        found = [StoredTrade(*row) for row in cursor.fetchall()]
    return found[::-1] if newest_first else found


def count_rows(table: str, source: int, instrument_ids: Sequence[int], from_us: int, until_us: int) -> int:
    """How many rows `trade`, `quote` or `candle_1m` has of these instruments in [from, until]."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM {table} WHERE source = %s AND instrument_id = ANY(%s) AND time >= %s AND time <= %s",
            [source, list(instrument_ids), to_datetime(from_us), to_datetime(until_us)],
        )
        return int(cursor.fetchone()[0])


def export(
    table: str,
    instrument_id: int,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
    chunk_rows: int = 10_000,
) -> Iterator[list[tuple[Any, ...]]]:
    """All rows of `trade` or `quote` of an instrument in [start, end), by time, in chunks, without holding them all.

    A row is as `ticks.TRADE_COLUMNS` or `ticks.QUOTE_COLUMNS` name it, times as datetimes. One transaction, which
    stays open until the last chunk is taken.
    """
    columns = ", ".join(_COLUMNS[table])
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(
            f"""SELECT {columns} FROM {table} WHERE instrument_id = %s AND time >= %s AND time < %s
                ORDER BY time, source, {_KEYS[table]}""",
            [instrument_id, start or BEGINNING, end or FOREVER],
        )
        while chunk := cursor.fetchmany(chunk_rows):
            yield chunk
