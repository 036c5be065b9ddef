"""Four venues at once, from their sockets to the disk.

    python -m tests.bench.sustained [--ticks-per-s N] [--seconds S] [--cores 0,1]

The loopback venues run as processes and send trades made beforehand, when they are due; two processes of
`start_realtime_streams` (two venues each: listeners and writers) may use two cores and no more. While they run, the
journals are watched: what waits in them has to stay bounded. At the end everything that left a venue has to be on
disk. Printed are the ticks a second that were stored, the journals' peak, and our CPU a tick; a machine whose venues
are slower than asked for says so.
DATABASE_URL and REDIS_URL name the servers; without them it starts its own.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import services

# What a made-up trade becomes: at some venues a quote comes with each.
TICKS_PER_TRADE = {"binance": 2, "coinbase": 1, "kraken": 1, "finnhub": 1}
PAIRS = (("binance", "finnhub"), ("coinbase", "kraken"))
SYMBOLS = {
    "binance": ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"],
    "coinbase": ["BTC-USD", "ETH-USD"],
    "kraken": ["BTC/USD", "ETH/USD"],
    "finnhub": ["AAPL", "MSFT", "BINANCE:BTCUSDT"],
}
STARTUP_S = 120.0
CATCH_UP_S = 60.0
# The venues make their trades before they are due, since making them takes longer than sending them.
PREPARING_S = 75.0
WARMING_UP_S = 2.0


@dataclass
class VenueProcess:
    """One loopback venue, and what was seen of its feed."""

    name: str
    popen: "subprocess.Popen[str]"
    ws_url: str
    rest_url: str
    peak_bytes: int = 0
    ticks: list[int] = field(default_factory=list)

    def order(self, what: str) -> Any:
        with urllib.request.urlopen(f"{self.rest_url}/control/{what}", timeout=30) as answer:
            return json.load(answer)


@contextmanager
def venue(name: str) -> Iterator[VenueProcess]:
    command = [sys.executable, "-m", "tests.venues", name, "--symbols", ",".join(SYMBOLS[name])]
    popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert popen.stdout is not None
        yield VenueProcess(name, popen, *popen.stdout.readline().split())
    finally:
        popen.kill()
        popen.wait()


@contextmanager
def streams(names: tuple[str, ...], log: Path, cores: set[int], environment: dict[str, str]) -> Iterator[int]:
    """Listeners and writers of these venues; the process's id."""
    command = [sys.executable, "manage.py", "start_realtime_streams", *(f"--{name}" for name in names)]
    with log.open("wb") as output:
        popen = subprocess.Popen(
            command, env=os.environ | environment, stdout=output, stderr=output,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )  # fmt: skip
    try:
        yield popen.pid
    finally:
        popen.send_signal(signal.SIGTERM)
        try:
            popen.wait(30)
        except subprocess.TimeoutExpired:
            popen.kill()


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def make_instruments() -> None:
    from ingestion.models import Instrument, VenueSymbol

    for name, symbols in SYMBOLS.items():
        for symbol in symbols:
            own = f"{name}-{symbol}".replace("/", "-").replace(":", "-").upper()
            instrument = Instrument.objects.create(symbol=own, name=own, kind="crypto", currency="USD")
            VenueSymbol.objects.create(instrument=instrument, provider=name, symbol=symbol)


def watch(venues: list[VenueProcess], seconds: float) -> None:
    """Once in a while: how much waits in each journal, and how many ticks each feed has had."""
    from ingestion import status
    from ingestion.journal import Reader

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        told = {feed.provider: feed for feed in status.feeds()}
        for one in venues:
            one.peak_bytes = max(one.peak_bytes, Reader(status.shard_of(one.name)).size_bytes())
            one.ticks.append(told[one.name].ticks)
        time.sleep(0.25)


def stored(name: str) -> int:
    """Distinct trades of a venue on disk."""
    from django.db import connection

    from ingestion.providers import SOURCES

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM trade WHERE source = %s", [SOURCES[name]])
        return int(cursor.fetchone()[0])


def wait_until(condition: Any, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def run(ticks_per_s: float, seconds: float, cores: list[int], folder: Path) -> bool:
    """Measure and print. Whether everything reached the disk with the journals bounded."""
    from django.conf import settings

    from ingestion import status

    make_instruments()
    with ExitStack() as running:
        venues = [running.enter_context(venue(name)) for name in SYMBOLS]
        environment = {f"{one.name.upper()}_WS_URL": one.ws_url for one in venues}
        environment |= {f"{one.name.upper()}_REST_URL": one.rest_url for one in venues}
        environment |= {"FINNHUB_API_KEY": "loopback-key", "FEEDS": ",".join(SYMBOLS), "LOG_LEVEL": "WARNING"}
        settings.FEEDS = list(SYMBOLS)
        pids = [running.enter_context(streams(p, folder / p[0], set(cores), environment)) for p in PAIRS]
        ready = {status.LIVE, status.STALE}
        assert wait_until(lambda: all(f.state in ready for f in status.feeds()), STARTUP_S), status.feeds()
        start_s = time.time() + PREPARING_S
        for one in venues:
            per_s = ticks_per_s / len(venues) / TICKS_PER_TRADE[one.name]
            one.order(f"rush?per_s={per_s:.1f}&seconds={seconds + WARMING_UP_S + 1:.1f}&at_s={start_s:.1f}")
        watch(venues, start_s - time.time() + WARMING_UP_S)
        cpu_before, began = sum(map(cpu_s, pids)), time.monotonic()
        first = {one.name: one.ticks[-1] for one in venues}
        watch(venues, seconds)
        took_s, cpu_used_s = time.monotonic() - began, sum(map(cpu_s, pids)) - cpu_before
        rates = {one.name: (one.ticks[-1] - first[one.name]) / took_s for one in venues}
        time.sleep(1.0)  # the rest of what was made
        for one in venues:
            one.order("quiet")
        return tell(venues, rates, cpu_used_s / max(1.0, sum(rates.values()) * took_s), ticks_per_s)


def tell(venues: list[VenueProcess], rates: dict[str, float], cpu_a_tick_s: float, asked_per_s: float) -> bool:
    from django.conf import settings

    from ingestion import status

    print(f"{'venue':10} {'ticks/s':>9} {'sent':>9} {'stored':>9} {'journal peak':>13} {'p50 ms':>8} {'p99 ms':>8}")
    whole = True
    for one in venues:
        sent = one.order("report")
        # What Finnhub sends has no ids: equal trades of one frame are all kept.
        complete = wait_until(lambda one=one, sent=sent: stored(one.name) >= sent["trades"], CATCH_UP_S)
        feed = next(feed for feed in status.feeds() if feed.provider == one.name)
        bounded = one.peak_bytes < settings.JOURNAL_MAX_BYTES / 4 and not feed.dropped
        whole = whole and complete and bounded and not sent["violations"]
        latency = feed.latency_ms
        for violation in sent["violations"]:
            print(f"{one.name}: {violation}")
        print(
            f"{one.name:10} {rates[one.name]:9,.0f} {sent['trades']:9,} {stored(one.name):9,} "
            f"{one.peak_bytes / 1024:10,.0f} KiB {latency.get('p50', 0):8.1f} {latency.get('p99', 0):8.1f}"
        )
    total = sum(rates.values())
    print(f"{'all':10} {total:9,.0f}   {cpu_a_tick_s * 1e6:.1f} µs of our CPU a tick")
    if total < 0.9 * asked_per_s:
        print(f"fewer than the {asked_per_s:,.0f} asked for: the venues of this machine make no more")
    print("everything is on disk, the journals stayed bounded" if whole else "NOT everything is on disk, or bounded")
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticks-per-s", type=float, default=20_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--cores", default="0,1", help="those that our processes may use")
    arguments = parser.parse_args()
    services.provide()
    os.environ["REDIS_PREFIX"] = f"bench-{uuid.uuid4().hex[:8]}"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    import django

    django.setup()
    from django.conf import settings
    from django.test.utils import setup_databases, teardown_databases

    from worker.redis import client, key

    settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = f"bench_{uuid.uuid4().hex[:8]}"
    old = setup_databases(verbosity=0, interactive=False)
    here = settings.DATABASES["default"]
    place = f"{here['USER']}:{here['PASSWORD']}@{here['HOST']}:{here['PORT']}/{here['NAME']}"
    os.environ["DATABASE_URL"] = f"postgresql://{place}"
    try:
        with tempfile.TemporaryDirectory(prefix="tapehouse-bench-") as folder:
            cores = [int(core) for core in arguments.cores.split(",")]
            whole = run(arguments.ticks_per_s, arguments.seconds, cores, Path(folder))
    finally:
        for found in client().scan_iter(f"{key('*')}", count=1000):
            client().delete(found)
        teardown_databases(old, verbosity=0)
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
