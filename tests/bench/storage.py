"""A year of hourly candles, from what is rolled up and from the raw ticks; bytes a tick on disk.

`python -m tests.bench.storage [--ticks 10000000]`. One instrument traded at a steady rate all year, as a random walk.
`DATABASE_URL` names the server (with TimescaleDB the figures are of hypertables, and ticks are compressed); without it
the bench starts PostgreSQL itself, which compresses nothing, and says so. Fewer ticks give a lower ratio: what is
rolled up has as many rows whatever it was made of.
"""

import argparse
import atexit
import datetime as dt
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import django
import numpy as np

from project.localservices import Postgres, free_port

if "DATABASE_URL" not in os.environ:
    folder = Path(tempfile.mkdtemp(prefix="tapehouse-bench-"))
    postgres = Postgres(folder, tied=True, port=free_port())
    os.environ["DATABASE_URL"] = postgres.start()
    atexit.register(lambda: (postgres.stop(), shutil.rmtree(folder)))
os.environ.setdefault("DEVELOPMENT", "1")
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
os.environ["REDIS_PREFIX"] = f"bench-{uuid.uuid4().hex[:8]}"
django.setup()

from django.db import connection, transaction  # noqa: E402 - Django is set up first
from django.test.utils import setup_databases, teardown_databases  # noqa: E402

from ingestion import candles, store  # noqa: E402
from ingestion.ticks import POSTGRES_EPOCH_US  # noqa: E402
from tests.bench.ingest import rows  # noqa: E402

INSTRUMENT, SOURCE = 1, 1
YEAR_US = 365 * 86_400_000_000
BATCH = 200_000
ROUNDS = 5
TARGET_TIMES = 50

# What a reader without candles would ask of the ticks.
FROM_TICKS = """
SELECT date_bin('1 hour', time, TIMESTAMPTZ '2000-01-03 00:00:00+00') AS hour,
       (array_agg(price ORDER BY time, trade_id))[1], max(price), min(price),
       (array_agg(price ORDER BY time DESC, trade_id DESC))[1], sum(quantity), count(*)
FROM trade WHERE instrument_id = %s AND source = %s AND time >= %s AND time < %s GROUP BY 1 ORDER BY 1
"""
# The same with TimescaleDB's own functions, which need no sorting.
FROM_TICKS_TIMESCALE = """
SELECT time_bucket('1 hour', time) AS hour, first(price, time), max(price), min(price), last(price, time),
       sum(quantity), count(*)
FROM trade WHERE instrument_id = %s AND source = %s AND time >= %s AND time < %s GROUP BY 1 ORDER BY 1
"""


def batches(ticks: int, start_us: int) -> Iterator[np.ndarray]:
    """Packed trades over a year: prices in cents and quantities in steps, as venues have them."""
    random = np.random.default_rng(7)
    price = 50_000.0
    for done in range(0, ticks, BATCH):
        count = min(BATCH, ticks - done)
        trades = rows(count, start_us)
        order = done + np.arange(count)
        trades["time"] = start_us - POSTGRES_EPOCH_US + (order * (YEAR_US / ticks)).astype(np.int64)
        trades["received_at"] = trades["time"] + random.integers(800, 60_000, count)
        trades["instrument_id"], trades["source"], trades["trade_id"] = INSTRUMENT, SOURCE, order
        walk = price + np.cumsum(np.round(random.normal(0, 0.8, count), 2))
        trades["price"], price = np.round(walk, 2), float(walk[-1])
        trades["quantity"] = np.round(random.exponential(0.05, count) + 0.00001, 5)
        trades["side"] = np.where(random.random(count) < 0.5, 1, -1)
        yield trades


def load(ticks: int, start_us: int) -> None:
    """As the writer stores them: COPY, and sums into the minutes."""
    for trades in batches(ticks, start_us):
        store.ensure_partitions("trade", trades["time"].astype(np.int64) + POSTGRES_EPOCH_US)
        with transaction.atomic():
            store.copy_rows("trade", trades.tobytes())
            store.merge_sums(candles.fold(trades))
    execute("UPDATE candle_1m SET final = true")
    store.refresh()
    execute("VACUUM ANALYZE trade")
    execute("VACUUM ANALYZE candle_1m")


def execute(sql: str, *parameters: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.fetchall() if cursor.description else []


def seconds(ask: Callable[[], object]) -> float:
    """The middle one of some rounds, after one that warms."""
    ask()
    spent = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ask()
        spent.append(time.perf_counter() - began)
    return sorted(spent)[ROUNDS // 2]


def measure_year(start_us: int) -> tuple[float, float]:
    """Seconds for the same year of hours: from candles, as bars ready to show, and from ticks, as rows."""
    start, end = store.to_datetime(start_us), store.to_datetime(start_us + YEAR_US)
    execute("SET jit = off")  # compiling a plan of a year's chunks takes longer than running it
    sql = FROM_TICKS_TIMESCALE if store.storage_kind() == store.TIMESCALE else FROM_TICKS
    raw = execute(sql, INSTRUMENT, SOURCE, start, end)
    bars = store.candles(INSTRUMENT, "1h", start, end, limit=10_000)
    assert len(bars) == len(raw) == 8_760
    told = [(store.to_datetime(b.time_us), b.open, b.high, b.low, b.close, b.trades) for b in bars]
    assert told == [(*row[:5], row[6]) for row in raw], "both ways must say the same"
    from_candles = seconds(lambda: store.candles(INSTRUMENT, "1h", start, end, limit=10_000))
    return from_candles, seconds(lambda: execute(sql, INSTRUMENT, SOURCE, start, end))


def tick_bytes() -> int:
    return next(size.bytes for size in store.sizes() if size.table == "trade")


def compress() -> float:
    """All of it, as the policy would. Returns the seconds that took."""
    began = time.perf_counter()
    execute("SELECT compress_chunk(c) FROM show_chunks('trade') AS c")
    return time.perf_counter() - began


def bench(ticks: int) -> bool:
    newest = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0) - dt.timedelta(days=7)
    start_us = store.to_us(newest) - YEAR_US
    began = time.perf_counter()
    load(ticks, start_us)
    print(f"{ticks:,} ticks of a year, stored and rolled up in {time.perf_counter() - began:.0f} s; ", end="")
    print(f"{store.storage_kind()}, PostgreSQL {connection.pg_version // 10_000}")
    from_candles, from_ticks = measure_year(start_us)
    times = from_ticks / from_candles
    before = tick_bytes()
    print(f"{'a year of 1-hour candles':40}{'ms':>10}{'candles are':>16}")
    print(f"{'from what is rolled up':40}{1000 * from_candles:10,.1f}")
    print(f"{'from the ticks':40}{1000 * from_ticks:10,.1f}{times:14,.0f} ×")
    print(f"{'bytes a tick on disk, with its index':40}{before / ticks:10,.1f}")
    if store.storage_kind() == store.TIMESCALE:
        spent = compress()
        after = tick_bytes()
        _, compressed = measure_year(start_us)
        print(f"{'  compressed':40}{after / ticks:10,.1f}{before / after:14,.1f} × smaller, in {spent:.0f} s")
        print(f"{'from the ticks, compressed':40}{1000 * compressed:10,.1f}{compressed / from_candles:14,.0f} ×")
    else:
        print(f"{'  compressed':40}{'–':>10}  nothing compresses without TimescaleDB")
    met = times >= TARGET_TIMES
    print(f"target: ≥ {TARGET_TIMES} × faster: {'met' if met else 'MISSED'}")
    return met


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--ticks", type=int, default=10_000_000)
    given = arguments.parse_args()
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        return 0 if bench(given.ticks) else 1
    finally:
        teardown_databases(databases, verbosity=0)


if __name__ == "__main__":
    sys.exit(main())
