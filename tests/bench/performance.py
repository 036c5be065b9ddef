"""Twelve years of a ledger measured over HTTP, beside what it takes to read the closes that they are measured by.

`python -m tests.bench.performance [--rows 14400]`. 250 instruments in three currencies, FIFO, with a posted close for
each of them on each weekday (`tests/portfolio/ledgers.py`). In one run:
    performance   GET …/performance/, over all twelve years: the ledger read and folded, each day marked, TWR and XIRR
                  with all the other figures; nothing is kept between two of them
    one year      the same with `start=` a year before the end
    bare SELECT   the same closes and the ledger's columns, fetched as they are
Times are medians, with the CPU of this process beside them; the ratios are meant to be kept.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

from tests.bench.ledger import main, measured, select  # the first import: it sets Django up

from django.contrib.auth import get_user_model  # isort: skip
from django.db import connection  # isort: skip
from django.test import Client  # isort: skip

from ingestion.models import Instrument, PostedPrice  # isort: skip
from portfolio.models import Portfolio  # isort: skip
from tests.portfolio.ledgers import START, Ledger, make  # isort: skip

ROUNDS = 3
TARGET_MS = 2_000


def post_closes(ledger: Ledger) -> None:
    """A close of every weekday, straight into the table."""
    ids = dict(Instrument.objects.values_list("symbol", "id"))
    now = datetime.now(UTC).isoformat()
    lines = StringIO()
    for number in range(ledger.instruments):
        own = ids[f"LONG{number:03}"]
        for day, close in enumerate(ledger.closes[number]):
            date = START + timedelta(days=day)
            if date.weekday() < 5:
                lines.write(f"{own}\t{date}\t{close:.2f}\t{now}\n")
    lines.seek(0)
    with connection.cursor() as cursor:
        table = PostedPrice._meta.db_table
        cursor.copy_expert(f"COPY {table} (instrument_id, date, close, posted_at) FROM STDIN", lines)
        cursor.execute("ANALYZE")


def asked(http: Client, path: str, query: dict[str, str]) -> Callable[[], Any]:
    def act() -> None:
        answer = http.get(f"{path}performance/", query)
        assert answer.status_code == 200, answer.content
        told = answer.json()
        assert isinstance(told["twr"], str), told["twr"]
        assert isinstance(told["xirr"], str), told["xirr"]

    return act


def bare(portfolio: Portfolio) -> Callable[[], Any]:
    rows = select(portfolio)

    def act() -> None:
        rows()
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT instrument_id, date, close FROM {PostedPrice._meta.db_table}")
            assert len(cursor.fetchall()) > 1_000

    return act


def bench(rows: int) -> bool:
    user = get_user_model().objects.create_user("alice")
    ledger = Ledger(rows=rows)
    portfolio = make(user, ledger)
    post_closes(ledger)
    http = Client()
    http.force_login(user)
    path = f"/api/portfolios/{portfolio.pk}/"
    end = START + timedelta(days=ledger.days - 1)
    whole, year = {"end": f"{end}"}, {"start": f"{end - timedelta(days=364)}", "end": f"{end}"}
    print(f"{rows:,} transactions, {PostedPrice.objects.count():,} closes{'ms':>23}{'of it CPU':>12}")
    limit_ms, limit_cpu = measured(ROUNDS, bare(portfolio))
    print(f"{'bare SELECT':50}{limit_ms:10,.2f}{limit_cpu:12,.2f}")
    times = {}
    for name, query in (("performance", whole), ("one year", year)):
        times[name], cpu = measured(ROUNDS, asked(http, path, query))
        print(f"{name:50}{times[name]:10,.2f}{cpu:12,.2f}{times[name] / limit_ms:10,.1f} × bare SELECT")
    met = times["performance"] <= TARGET_MS
    print(f"target: performance ≤ {TARGET_MS:,} ms: {'met' if met else 'MISSED'}")
    return met


if __name__ == "__main__":
    sys.exit(main(bench, __doc__))
