"""How old data is kept: sizes, ranges that can be dropped, compression and roll-up policies.

A range is what can be dropped as a whole: a chunk of a day with TimescaleDB, else the partition of a week. TimescaleDB
compresses old chunks and refreshes its aggregates itself, by policies that `apply_policies` sets. Without it nothing is
compressed, and `refresh` is the task's. Dropping is ours on both: it comes after the archive.
"""

import datetime as dt
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import connection, transaction

from ingestion import partitions
from ingestion.store.kind import NATIVE, TIMESCALE, storage_kind
from ingestion.store.stale import ROLLED

TICKS: Final = ("trade", "quote")
_REFRESH_EVERY_S: Final = 1800


class Range(msgspec.Struct, frozen=True):
    """A part of a table: [start, end), and the relation that holds it."""

    table: str
    relation: str
    start: dt.datetime
    end: dt.datetime
    compressed: bool = False


class Size(msgspec.Struct, frozen=True):
    """What a table takes on disk, indexes included. rows: as the planner estimates them."""

    table: str
    kind: str  # hypertable, partitioned, aggregate, table
    bytes: int
    rows: int
    ranges: int = 0
    compressed_ranges: int = 0
    bytes_before_compression: int | None = None  # of the compressed ranges, as they were
    bytes_after_compression: int | None = None
    start: dt.datetime | None = None
    end: dt.datetime | None = None


class Policy(msgspec.Struct, frozen=True):
    """What happens to a table as it ages. after_s: None where the setting turns it off."""

    table: str
    does: str  # compress, refresh, drop
    after_s: float | None
    setting: str
    by: str  # timescaledb or ingestion.keep_storage; "nobody": this storage cannot
    last_run: dt.datetime | None = None
    next_run: dt.datetime | None = None
    last_status: str | None = None


# --- Ranges


def ranges(table: str) -> list[Range]:
    """The parts of `trade` or `quote`, oldest first."""
    if storage_kind() == NATIVE:
        return [Range(table, name, start, end) for name, start, end in partitions.existing(table)]
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT format('%%I.%%I', chunk_schema, chunk_name), range_start, range_end, is_compressed
               FROM timescaledb_information.chunks WHERE hypertable_name = %s ORDER BY range_start""",
            [table],
        )
        return [Range(table, *row) for row in cursor.fetchall()]


def drop_range(given: Range, rows: int) -> bool:
    """Drop it, if it still holds so many rows: then all of them are where the caller put them. Whether it did.

    A transaction of its own. Raises OperationalError where somebody keeps the table longer than STORAGE_LOCK_TIMEOUT_S.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = %s", [f"{settings.STORAGE_LOCK_TIMEOUT_S}s"])
        cursor.execute(f"LOCK TABLE {given.relation} IN EXCLUSIVE MODE")
        if count_in_range(given) != rows:
            return False
        if storage_kind() == TIMESCALE:
            cursor.execute(
                "SELECT drop_chunks(%s, older_than => %s::timestamptz, newer_than => %s::timestamptz)",
                [given.table, given.end, given.start],
            )
        else:
            cursor.execute(f"ALTER TABLE {given.table} DETACH PARTITION {given.relation}; DROP TABLE {given.relation}")
    return True


def count_in_range(given: Range) -> int:
    """How many rows it holds, exactly."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {given.table} WHERE time >= %s AND time < %s", [given.start, given.end])
        return int(cursor.fetchone()[0])


# --- Policies


def retention_days(table: str) -> int:
    """How long ticks are kept; 0 is for ever."""
    return int({"trade": settings.RETENTION_TRADES_DAYS, "quote": settings.RETENTION_QUOTES_DAYS}[table])


def apply_policies() -> None:
    """Bring TimescaleDB's policies to what the settings say now, where there is one. Re-running changes nothing."""
    if storage_kind() != TIMESCALE:
        return
    for table in TICKS:
        _apply_compression(table)
    for interval in ROLLED:
        _apply_refresh(f"candle_{interval}")


def _apply_compression(table: str) -> None:
    after = dt.timedelta(days=settings.COMPRESS_AFTER_DAYS)
    job = _job(table, "policy_compression")
    stored = _interval(job, "compress_after")
    if stored == (after or None):
        return
    with connection.cursor() as cursor:
        cursor.execute("CALL remove_columnstore_policy(%s, if_exists => true)", [table])
        if after:
            cursor.execute("CALL add_columnstore_policy(%s, after => make_interval(days => %s))", [table, after.days])


def _apply_refresh(view: str) -> None:
    """Everything that changed, whatever its age, up to what has settled: never an open bucket."""
    settled = dt.timedelta(seconds=settings.CANDLE_SETTLE_S)
    job = _job(view, "policy_refresh_continuous_aggregate")
    if _interval(job, "end_offset") == settled:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT remove_continuous_aggregate_policy(%s, if_exists => true)", [view])
        cursor.execute(
            """SELECT add_continuous_aggregate_policy(
                   %s, start_offset => NULL, end_offset => make_interval(secs => %s),
                   schedule_interval => make_interval(secs => %s))""",
            [view, settings.CANDLE_SETTLE_S, _REFRESH_EVERY_S],
        )


def policies() -> list[Policy]:
    """What the settings ask for, and who does it. (`apply_policies` brings the two together.)"""
    timescale = storage_kind() == TIMESCALE
    found = [
        *(_policy(table, "compress", "COMPRESS_AFTER_DAYS", "policy_compression", "nobody") for table in TICKS),
        *(
            _policy(f"candle_{i}", "refresh", "CANDLE_SETTLE_S", "policy_refresh_continuous_aggregate", _KEEPER)
            for i in ROLLED
            if timescale or i == "1h"
        ),
    ]
    for table in TICKS:
        days = retention_days(table)
        setting = "RETENTION_TRADES_DAYS" if table == "trade" else "RETENTION_QUOTES_DAYS"
        found.append(Policy(table, "drop", days * 86_400.0 or None, setting, _KEEPER))
    return found


_KEEPER: Final = "ingestion.keep_storage"


def _policy(table: str, does: str, setting: str, procedure: str, elsewhere: str) -> Policy:
    value = float(getattr(settings, setting)) * (86_400 if setting.endswith("_DAYS") else 1)
    if storage_kind() != TIMESCALE:
        return Policy(table, does, value or None, setting, elsewhere)
    job = _job(table, procedure) or {}
    return Policy(
        table, does, value or None, setting, "timescaledb", job.get("last_run_started_at"), job.get("next_start"),
        job.get("last_run_status"),
    )  # fmt: skip


def _job(table: str, procedure: str) -> dict[str, Any] | None:
    """TimescaleDB's job of a hypertable or an aggregate, with its configuration."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT j.config, j.next_start, s.last_run_started_at, s.last_run_status
               FROM timescaledb_information.jobs AS j
               LEFT JOIN timescaledb_information.job_stats AS s USING (job_id)
               WHERE j.proc_name = %s AND j.hypertable_name IN (
                   SELECT %s UNION ALL SELECT materialization_hypertable_name
                   FROM timescaledb_information.continuous_aggregates WHERE view_name = %s)""",
            [procedure, table, table],
        )
        row = cursor.fetchone()
    names = ("config", "next_start", "last_run_started_at", "last_run_status")
    return dict(zip(names, row, strict=True)) if row else None


def _interval(job: dict[str, Any] | None, name: str) -> dt.timedelta | None:
    """An interval out of a job's configuration, which spells it as PostgreSQL does."""
    if job is None:
        return None
    config = job["config"] if isinstance(job["config"], dict) else msgspec.json.decode(job["config"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::interval", [config.get(name)])
        found: dt.timedelta | None = cursor.fetchone()[0]
    return found


# --- Sizes


def sizes() -> list[Size]:
    """Every table of ticks and candles."""
    return [*(_ticks_size(table) for table in TICKS), *_candle_sizes()]


def _ticks_size(table: str) -> Size:
    held = ranges(table)
    edges: dict[str, Any] = {"start": held[0].start, "end": held[-1].end} if held else {}
    if storage_kind() == TIMESCALE:
        return _hypertable_size(table, "hypertable", ranges=len(held), **edges)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8,
                      coalesce(sum(greatest(c.reltuples, 0)), 0)::int8
               FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass""",
            [table],
        )
        size_bytes, rows = cursor.fetchone()
    return Size(table, "partitioned", size_bytes, rows, ranges=len(held), **edges)


def _candle_sizes() -> list[Size]:
    if storage_kind() == TIMESCALE:
        hypertables = [_hypertable_size(table, "hypertable") for table in ("candle_1m", "venue_candle")]
        return [*hypertables, *(_hypertable_size(f"candle_{interval}", "aggregate") for interval in ROLLED)]
    return [_table_size(table) for table in ("candle_1m", "candle_hour", "venue_candle")]


def _table_size(table: str) -> Size:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_total_relation_size(oid), greatest(reltuples, 0)::int8 FROM pg_class WHERE oid = %s::regclass",
            [table],
        )
        return Size(table, "table", *cursor.fetchone())


def _hypertable_size(table: str, kind: str, **more: Any) -> Size:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(hypertable_size(%s), 0)::int8, approximate_row_count(%s)", [table, table])
        size_bytes, rows = cursor.fetchone()
        compressed, before, after = 0, None, None
        if kind == "hypertable" and table in TICKS:
            cursor.execute(
                """SELECT coalesce(number_compressed_chunks, 0), before_compression_total_bytes,
                          after_compression_total_bytes FROM hypertable_columnstore_stats(%s)""",
                [table],
            )
            compressed, before, after = cursor.fetchone() or (0, None, None)
    return Size(
        table, kind, size_bytes, rows, compressed_ranges=compressed, bytes_before_compression=before,
        bytes_after_compression=after, **more,
    )  # fmt: skip
