"""From the journal to the disk, beside what it can be measured against: `python -m tests.bench.ingest`.

In one run, into tables of the same definition in a database of its own:
    writer     Writer.step: read the journal, COPY, candles, position, commit, trim
    bare COPY  the same rows, already in memory, as one binary COPY and one commit a batch of the same size
    INSERT     one INSERT and one commit a tick
Only the ratios are meant to be kept; the figures are this machine's, now. DATABASE_URL and REDIS_URL name the servers;
without them it starts its own, whose commits reach the disk as in production: that is what an INSERT a tick waits for.
"""

import argparse
import atexit
import os
import shutil
import sys
import tempfile
import time
import uuid
from pathlib import Path

import django
import numpy as np

from project.localservices import Postgres, free_port

if "DATABASE_URL" not in os.environ:
    folder = Path(tempfile.mkdtemp(prefix="tapehouse-bench-"))
    postgres = Postgres(folder, durable=True, tied=True, port=free_port())
    os.environ["DATABASE_URL"] = postgres.start()
    atexit.register(lambda: (postgres.stop(), shutil.rmtree(folder)))
os.environ.setdefault("DEVELOPMENT", "1")
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
os.environ["REDIS_PREFIX"] = f"bench-{uuid.uuid4().hex[:8]}"
django.setup()

from django.conf import settings  # noqa: E402 - Django is set up first
from django.db import connection, transaction  # noqa: E402
from django.test.utils import setup_databases, teardown_databases  # noqa: E402

from ingestion import store  # noqa: E402
from ingestion.journal import Flush, Journal, Reader  # noqa: E402
from ingestion.ticks import POSTGRES_EPOCH_US, TRADE_DTYPE  # noqa: E402
from ingestion.writer import Writer  # noqa: E402
from worker.redis import client, key  # noqa: E402

INSTRUMENTS = 500
TICKS_PER_S = 20_000  # of venue time: a batch spans a second, a run some minutes' boundaries
FLUSH_ROWS = 500
TARGET_OF_COPY = 0.6
TARGET_TIMES_INSERT = 50


def rows(count: int, start_us: int) -> np.ndarray:
    """Packed trades as a busy venue sends them: 500 instruments, ids rising in each, time rising."""
    trades = np.zeros(count, TRADE_DTYPE)
    trades["_fields"] = len(TRADE_DTYPE.names) // 2
    for name in TRADE_DTYPE.names:
        if name.startswith("_len_"):
            trades[name] = TRADE_DTYPE[name.removeprefix("_len_")].itemsize
    order = np.arange(count)
    trades["time"] = start_us - POSTGRES_EPOCH_US + order * 1_000_000 // TICKS_PER_S
    trades["received_at"] = trades["time"] + 1_000
    trades["instrument_id"] = np.random.default_rng(7).integers(1, INSTRUMENTS + 1, count)
    trades["source"], trades["trade_id"] = 1, order
    trades["price"], trades["quantity"] = 100 + (order % 1_000) / 100, 0.001 * (1 + order % 997)
    trades["side"] = 1
    return trades


def empty() -> None:
    """As after a migration, with the partitions of the bench's day."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE trade, candle_1m, journal_position")
        cursor.execute("CHECKPOINT")


def measure_writer(trades: np.ndarray) -> float:
    shard = f"simulated:{uuid.uuid4().hex[:8]}"
    journal = Journal(shard, 1)
    for i in range(0, len(trades), FLUSH_ROWS):
        part = trades[i : i + FLUSH_ROWS]
        journal.append(Flush(part.tobytes(), b"", len(part), {}, {}, None, 0))
    writer = Writer(shard, 1)
    empty()
    began = time.perf_counter()
    while writer.step():
        pass
    spent = time.perf_counter() - began
    assert count() == len(trades)
    assert Reader(shard).size_bytes() == 0
    return len(trades) / spent


def measure_copy(trades: np.ndarray) -> float:
    batches = [
        trades[i : i + settings.WRITER_BATCH_MAX_ROWS].tobytes()
        for i in range(0, len(trades), settings.WRITER_BATCH_MAX_ROWS)
    ]
    empty()
    began = time.perf_counter()
    for batch in batches:
        with transaction.atomic():
            store.copy_rows("trade", batch)
    spent = time.perf_counter() - began
    assert count() == len(trades)
    return len(trades) / spent


def measure_insert(trades: np.ndarray) -> float:
    names = store.COLUMNS["trade"]
    values = [tuple(row[name].item() for name in names) for row in trades]
    values = [(*(store.to_datetime(us + POSTGRES_EPOCH_US) for us in value[:2]), *value[2:]) for value in values]
    sql = f"INSERT INTO trade VALUES ({', '.join(['%s'] * len(names))})"
    empty()
    began = time.perf_counter()
    for value in values:
        with connection.cursor() as cursor:  # autocommit: one commit each
            cursor.execute(sql, value)
    spent = time.perf_counter() - began
    assert count() == len(trades)
    return len(trades) / spent


def count() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM trade")
        return cursor.fetchone()[0]


def bench(ticks: int, rounds: int) -> bool:
    """Writer and COPY in turn, so that the machine's moods meet both; the middle one of the rounds counts."""
    start_us = (time.time_ns() // 1000 - 86_400_000_000) // 60_000_000 * 60_000_000 + 50_000_000
    trades = rows(ticks, start_us)
    store.ensure_partitions("trade", trades["time"].astype(np.int64) + POSTGRES_EPOCH_US)
    measure_copy(trades)  # warm
    measure_writer(trades)
    measured = [(measure_writer(trades), measure_copy(trades)) for _ in range(rounds)]
    writer, copy = sorted(measured, key=lambda pair: pair[0] / pair[1])[rounds // 2]
    return report(writer, copy, measure_insert(trades[:2_000]))


def report(writer: float, copy: float, insert: float) -> bool:
    """A small table; whether the targets are met."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
        fsync, commit = cursor.fetchone()
    version = connection.pg_version // 10_000
    print(f"{store.storage_kind()}, PostgreSQL {version}, fsync {fsync}, synchronous_commit {commit}, one writer")
    print(f"{'way':34}{'rows/s':>10}{'writer is':>16}")
    print(f"{'journal → disk (Writer.step)':34}{writer:10,.0f}")
    print(f"{'bare binary COPY, same table':34}{copy:10,.0f}{writer / copy:10.2f} of it")
    print(f"{'one committed INSERT a tick':34}{insert:10,.0f}{writer / insert:10.0f} × it")
    met = writer / copy >= TARGET_OF_COPY and writer / insert >= TARGET_TIMES_INSERT
    print(f"target: ≥ {TARGET_OF_COPY} and ≥ {TARGET_TIMES_INSERT} ×: {'met' if met else 'MISSED'}")
    return met


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--ticks", type=int, default=200_000)
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        return 0 if bench(given.ticks, given.rounds) else 1
    finally:
        teardown_databases(databases, verbosity=0)
        for found in client().scan_iter(f"{key()}*", count=1_000):
            client().delete(found)


if __name__ == "__main__":
    sys.exit(main())
