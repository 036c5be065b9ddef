"""Trades and quotes: rows in as packed COPY rows, rows out."""

import datetime as dt
import io
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import msgspec
import numpy as np
from django.db import connection, transaction

from ingestion import partitions
from ingestion.providers import SOURCES
from ingestion.store.kind import NATIVE, storage_kind
from ingestion.store.minutes import Key
from ingestion.store.times import BEGINNING, FOREVER, to_datetime, us
from ingestion.ticks import NOT_IN_CANDLES, QUOTE_COLUMNS, TRADE_COLUMNS

COLUMNS: Final = {"trade": TRADE_COLUMNS, "quote": QUOTE_COLUMNS}
KEYS: Final = {"trade": "trade_id", "quote": "quote_id"}
_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER: Final = b"\xff\xff"
# libpq is called once per so many bytes.
_COPY_CHUNK_BYTES: Final = 1 << 20


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


def ensure_partitions(table: str, times_us: np.ndarray) -> None:
    """Room for rows of these times, in a transaction of its own. TimescaleDB makes its chunks itself."""
    if storage_kind() == NATIVE:
        partitions.ensure(table, partitions.weeks(times_us))


def copy_rows(table: str, rows: bytes | memoryview) -> None:
    """COPY packed rows straight in. Raises psycopg2's UniqueViolation or DataError, and then none is in."""
    data = io.BytesIO(b"".join((_COPY_HEADER, rows, _COPY_TRAILER)))
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} FROM STDIN BINARY", data, _COPY_CHUNK_BYTES)


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, data: bytes, /) -> Any: ...


def copy_out(table: str, start: dt.datetime, end: dt.datetime, sink: Sink) -> None:
    """The rows of [start, end) as binary COPY writes them: 19 bytes of header, rows as they are packed, 2 bytes of
    trailer. By instrument, source, time and id."""
    with connection.cursor() as cursor:
        selected = cursor.mogrify(
            f"""SELECT {", ".join(COLUMNS[table])} FROM {table} WHERE time >= %s AND time < %s
                ORDER BY instrument_id, source, time, {KEYS[table]}""",
            [start, end],
        )
        cursor.copy_expert(f"COPY ({selected.decode()}) TO STDOUT BINARY", sink, _COPY_CHUNK_BYTES)


def insert_new(table: str, rows: bytes | memoryview) -> list[Key]:
    """Insert those of the packed rows that are not on disk yet. Returns the minutes whose candles gained some."""
    staged = f"staged_{table}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {staged} (LIKE {table}); TRUNCATE {staged}")
        copy_rows(staged, rows)
        cursor.execute(
            f"""WITH fresh AS (
                    INSERT INTO {table} SELECT * FROM {staged} ORDER BY instrument_id, source, time, {KEYS[table]}
                    ON CONFLICT (instrument_id, source, time, {KEYS[table]}) DO NOTHING
                    RETURNING instrument_id, source, flags, date_trunc('minute', time, 'UTC') AS minute)
                SELECT DISTINCT instrument_id, source, {us("minute")} FROM fresh WHERE flags & {NOT_IN_CANDLES} = 0"""
        )
        return [Key(*row) for row in cursor.fetchall()]


_TRADE: Final = f"{us('time')}, {us('received_at')}, source, trade_id, price, quantity, side, flags"


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
    columns = ", ".join(COLUMNS[table])
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(
            f"""SELECT {columns} FROM {table} WHERE instrument_id = %s AND time >= %s AND time < %s
                ORDER BY time, source, {KEYS[table]}""",
            [instrument_id, start or BEGINNING, end or FOREVER],
        )
        while chunk := cursor.fetchmany(chunk_rows):
            yield chunk
