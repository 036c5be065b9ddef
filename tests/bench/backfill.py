"""A backfill is limited by the venue's budget, not by us: `python -m tests.bench.backfill [--seconds 122]`.

Minutes' candles, then trades, are fetched from a loopback venue in a process of its own, which answers at once and
enforces Binance's weights, with the budget that a backfill has by default, for two of the budget's minutes each. Told
are how much of the budget was used, and the parts of the time in which our process and its database session were idle,
of the cores that there are; and that the venue was never asked for more than it allows. Only the ratios are meant to be
kept. DATABASE_URL and REDIS_URL name the servers; without them it starts its own.
"""

import argparse
import atexit
import datetime as dt
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import django

from project.localservices import Postgres, free_port

TARGET_IDLE = 0.70
# Between two bursts of its minute the budget counts a little late.
USED_UP = 0.95
CHUNKS = 6_000
WEIGHTS = {"klines": 2, "aggTrades": 4, "historicalTrades": 25}
START = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
TRADES_PER_HOUR = 1_000
MINUTE_MS = 60_000


def venue(pipe: Connection) -> None:
    """Answers as fast as can be, so that it is not what is measured. Says its address, then, when asked, its score."""
    from tests.venues.binance import BinanceVenue
    from tests.venues.http import Answer

    with BinanceVenue() as found:
        calls = dict.fromkeys(("klines", "aggTrades", "historicalTrades"), 0)

        def answer(path: str, arguments: dict[str, str], headers: object) -> Answer:
            call = path.removeprefix("/api/v3/")
            calls[call] += 1
            used = found.weigh(WEIGHTS[call])
            status, body, more = found._over(used) or (200, ANSWERS[call](arguments), {})
            return status, body, {"X-MBX-USED-WEIGHT-1M": str(used), **more}

        for call in calls:
            found.route(f"/api/v3/{call}", answer)
        pipe.send(found.rest_url)
        while pipe.recv() != "end":
            pipe.send((dict(calls), list(found.violations)))


def _klines(arguments: dict[str, str]) -> str:
    first, last = int(arguments["startTime"]), int(arguments["endTime"])
    rows = (
        f'[{at},"61837.63000000","61855.37000000","61824.00000000","61828.00000000","12.43238000",{at + MINUTE_MS - 1},'
        f'"768735.12345678",875,"6.10000000","377000.00000000","0"]'
        for at in range(first, last + 1, MINUTE_MS)
    )
    return "[" + ",".join(rows) + "]"


def _time_of(trade_id: int) -> int:
    return int(START.timestamp() * 1000) + trade_id * 3_600_000 // TRADES_PER_HOUR


def _aggregates(arguments: dict[str, str]) -> str:
    first = -(-(int(arguments["startTime"]) - int(START.timestamp() * 1000)) * TRADES_PER_HOUR // 3_600_000)
    row = {"a": first, "p": "1", "q": "1", "f": first, "l": first, "T": _time_of(first), "m": True, "M": True}
    return json.dumps([row])


def _trades(arguments: dict[str, str]) -> str:
    first = int(arguments["fromId"])
    rows = (
        f'{{"id":{i},"price":"61837.63000000","qty":"0.01234000","quoteQty":"763.07","time":{_time_of(i)},'
        f'"isBuyerMaker":{"true" if i % 2 else "false"},"isBestMatch":true}}'
        for i in range(first, first + 1000)
    )
    return "[" + ",".join(rows) + "]"


ANSWERS: dict[str, Callable[[dict[str, str]], str]] = {
    "klines": _klines, "aggTrades": _aggregates, "historicalTrades": _trades,
}  # fmt: skip


@contextmanager
def loopback() -> Iterator[tuple[str, Connection]]:
    ours, its = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=venue, args=(its,), daemon=True)
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        ours.send("end")
        process.join(10)


class Busy:
    """The seconds of CPU of this process and of its database session, where that is on this machine."""

    def __init__(self, backend: int) -> None:
        self.stat = Path(f"/proc/{backend}/stat")
        self.local = self.stat.exists() and "postgres" in self.stat.read_text()

    def seconds(self) -> float:
        return time.process_time() + (self._session() if self.local else 0.0)

    def _session(self) -> float:
        fields = self.stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(kind: str, seconds: float, pipe: Connection) -> bool:
    """Whether the budget was used up, with the processors idle enough."""
    from django.db import connection

    from ingestion import backfill, history
    from ingestion.models import Instrument, VenueSymbol

    instrument, _ = Instrument.objects.get_or_create(symbol="BTC-USDT", defaults={"kind": "crypto", "currency": "USDT"})
    VenueSymbol.objects.get_or_create(provider="binance", symbol="BTCUSDT", defaults={"instrument": instrument})
    length = dt.timedelta(hours=1) if kind == "trades" else dt.timedelta(minutes=1000)
    row = backfill.start(backfill.Wish("binance", kind, (instrument,), START, START + CHUNKS * length))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        busy = Busy(cursor.fetchone()[0])
    before = score(pipe)
    began, spent = time.monotonic(), busy.seconds()
    work_until(row, began + seconds)
    wall, spent = time.monotonic() - began, busy.seconds() - spent
    after = score(pipe)
    made = {call: after[call] - before[call] for call in WEIGHTS}
    used = sum(WEIGHTS[call] * count for call, count in made.items()) / (history.per_minute("binance") * wall / 60)
    cores = os.cpu_count() or 1
    idle, calls = 1 - spent / wall / cores, sum(made.values())
    where = f"{cores} cores" if busy.local else f"{cores} cores, our process alone"
    print(f"{kind:>7}: {backfill.totals(row)['rows']:,} rows, {calls:,} calls in {wall:.0f} s", end="; ")
    print(f"{used:.0%} of the budget, idle {idle:.0%} of {where}, {1000 * spent / calls:.1f} ms a call", end=" ")
    print(f"(target: the budget used up, idle ≥ {TARGET_IDLE:.0%})")
    return used >= USED_UP and idle >= TARGET_IDLE


def work_until(row: Any, until: float) -> None:
    """Chunk after chunk, as a worker does; one whose turn has not come yet waits for the budget."""
    from ingestion import backfill

    for number in range(CHUNKS):
        while not backfill.work(row, number):
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        if time.monotonic() > until:
            break
    backfill.cancel(row, "the bench")


def score(pipe: Connection) -> dict[str, int]:
    """The venue's calls so far. It was never asked for more than it allows."""
    pipe.send("score")
    calls, violations = pipe.recv()
    assert not violations, violations
    return dict(calls)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=122, help="of each; the budget's window is a minute")
    arguments = parser.parse_args()
    if "DATABASE_URL" not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="tapehouse-bench-"))
        postgres = Postgres(folder, durable=True, tied=True, port=free_port())
        os.environ["DATABASE_URL"] = postgres.start()
        atexit.register(lambda: (postgres.stop(), shutil.rmtree(folder)))
    os.environ.setdefault("DEVELOPMENT", "1")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ["REDIS_PREFIX"] = f"bench-{uuid.uuid4().hex[:8]}"
    django.setup()
    from django.conf import settings
    from django.test.utils import setup_databases, teardown_databases

    from worker.redis import client, key

    settings.BACKFILL_LANES = 0  # no workers are here to be asked
    made = setup_databases(verbosity=0, interactive=False)
    try:
        with loopback() as (url, pipe):
            settings.BINANCE_REST_URL = url
            met = [measure("1m", arguments.seconds, pipe), measure("trades", arguments.seconds, pipe)]
    finally:
        client().delete(*client().scan_iter(key("*")), key("nothing"))
        teardown_databases(made, verbosity=0)
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
