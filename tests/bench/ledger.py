"""A ledger of twelve years, asked and added to over HTTP, beside what the database alone needs for it.

`python -m tests.bench.ledger [--rows 14400]`. 250 instruments in three currencies (`tests/portfolio/ledgers.py`), FIFO,
each with a present price. In one run:
    positions      GET …/positions/, from the first row on: read, folded, valued; nothing is kept between two of them
    bare SELECT    the same rows' columns, fetched as they are
    one more       POST …/transactions/: a sale, proven to be of units that are held
    bare INSERT    one row into a table of the same columns, and a commit
Times are medians, with the CPU of this process beside them; the ratios are meant to be kept. `DATABASE_URL` and
`REDIS_URL` name the servers; without the first it starts PostgreSQL itself.
"""

import argparse
import atexit
import os
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

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

from django.contrib.auth import get_user_model  # noqa: E402 - Django is set up first
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_databases, teardown_databases  # noqa: E402

from ingestion import latest  # noqa: E402
from ingestion.models import Instrument  # noqa: E402
from portfolio.models import Portfolio  # noqa: E402
from portfolio.models.ledger import COLUMNS  # noqa: E402
from tests.portfolio.ledgers import ROWS, Ledger, make  # noqa: E402
from worker.redis import client, key  # noqa: E402

ROUNDS_COLD, ROUNDS_POST = 5, 40
TARGET_COLD_MS, TARGET_POST_MS = 1_000, 20


def measured(rounds: int, act: Callable[[], Any]) -> tuple[float, float]:
    """Milliseconds that `act` takes, and of this process's CPU: medians. The first time is not counted."""
    act()
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        act()
        walls.append(1000 * (time.perf_counter() - wall))
        cpus.append(1000 * (time.process_time() - cpu))
    return statistics.median(walls), statistics.median(cpus)


def tell_prices() -> None:
    now_us = time.time_ns() // 1000
    for pk in Instrument.objects.values_list("id", flat=True):
        told = latest.Latest(source="simulated", price=100.0, change=1.0, time_us=now_us, received_us=now_us)
        client().hset(key("latest", "simulated"), str(pk), latest.encode(told))


def select(portfolio: Portfolio) -> Callable[[], Any]:
    def act() -> None:
        rows = list(portfolio.transactions.order_by("at", "id").values_list(*COLUMNS))
        assert len(rows) >= portfolio.version

    return act


def insert() -> Callable[[], Any]:
    """A row like the newest one, in a table without indexes, constraints or anybody who is told."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bare AS SELECT * FROM portfolio_transaction LIMIT 0")

    def act() -> None:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO bare SELECT * FROM portfolio_transaction ORDER BY id DESC LIMIT 1")

    return act


def positions(http: Client, path: str) -> Callable[[], Any]:
    def act() -> None:
        answer = http.get(f"{path}positions/")
        assert answer.status_code == 200, answer.content
        assert len(answer.json()["results"]) > 200

    return act


def one_more(http: Client, path: str) -> Callable[[], Any]:
    body = {"type": "SELL", "symbol": "LONG007", "quantity": "0.001", "price": "100", "at": "2026-06-01"}

    def act() -> None:
        answer = http.post(f"{path}transactions/", body, content_type="application/json")
        assert answer.status_code == 201, answer.content

    return act


def bench(rows: int) -> bool:
    user = get_user_model().objects.create_user("alice")
    portfolio = make(user, Ledger(rows=rows))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    tell_prices()
    http = Client()
    http.force_login(user)
    path = f"/api/portfolios/{portfolio.pk}/"
    print(f"{rows:,} transactions, {Instrument.objects.count()} instruments{'ms':>23}{'of it CPU':>12}")
    met = report("positions", ROUNDS_COLD, positions(http, path), "bare SELECT", select(portfolio), TARGET_COLD_MS)
    return report("one more", ROUNDS_POST, one_more(http, path), "bare INSERT", insert(), TARGET_POST_MS) and met


def report(
    name: str, rounds: int, act: Callable[[], Any], limit_name: str, limit: Callable[[], Any], target_ms: float
) -> bool:
    """Print `act` beside `limit`; whether it is within the target."""
    limit_ms, limit_cpu = measured(rounds, limit)
    wall_ms, cpu_ms = measured(rounds, act)
    print(f"{limit_name:50}{limit_ms:10,.2f}{limit_cpu:12,.2f}")
    print(f"{name:50}{wall_ms:10,.2f}{cpu_ms:12,.2f}{wall_ms / limit_ms:10,.1f} × {limit_name}")
    met = wall_ms <= target_ms
    print(f"target: {name} ≤ {target_ms:,} ms: {'met' if met else 'MISSED'}")
    return met


def main(bench: Callable[[int], bool], about: str) -> int:
    """Run `bench` with as many rows as asked for, in a database of its own. The exit code."""
    arguments = argparse.ArgumentParser(description=about.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=ROWS)
    given = arguments.parse_args()
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        return 0 if bench(given.rows) else 1
    finally:
        for found in client().scan_iter(key("*")):
            client().delete(found)
        teardown_databases(databases, verbosity=0)


if __name__ == "__main__":
    sys.exit(main(bench, __doc__))
