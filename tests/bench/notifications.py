"""How soon somebody with an alert reads of it, while a thousand ticks a second go through everything.

    python -m tests.bench.notifications [--clients 200]

A whole installation on stores of its own, its simulated feed at full speed. Each client is signed in on a socket of its
own, follows its notifications, and has two alerts: one on an instrument of its own, one on an instrument that all of
them watch. A price is told as a poll tells it; measured is from just before that until the notification has been read
from its owner's socket: the follower's pull, the firing with its rows in one transaction, publishing, hub, and the
socket's own 100 ms.
    one after the other   each client's own price crosses its threshold, at random moments: the target
    all at once           one price fires everybody's second alert, each a transaction of its own: as after an opening
                          auction; the last is told when all of them are
Exits non-zero when the target is missed.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.connections import allowed_connections
from tests.bench.owners import TIMEOUT_S, Sockets, tell
from tests.flows.installation import Installation

MAX_P99_MS = 500.0
TICKS_PER_S = 1000
# Of all the clients together.
FIRINGS_PER_S = 8.0
# Where the simulated market, which trades these instruments too, never comes.
BELOW, THRESHOLD, ABOVE = 999_999.0, 1_000_000.0, 1_000_001.0
NEWS = b'"type":"notification"'
SETTINGS = {
    "FEEDS": "simulated", "SIMULATED_TICKS_PER_S": str(TICKS_PER_S), "LOG_LEVEL": "WARNING",
    "MAX_CONNECTIONS_PER_ADDRESS": "100000",
}  # fmt: skip


def clients(count: int) -> tuple[list[tuple[str, str]], list[int], int]:
    """Everybody's topic and token; the instrument that each has for itself; the one that all watch."""
    from django.contrib.auth import get_user_model
    from django.utils import timezone
    from rest_framework_simplejwt.tokens import AccessToken

    from ingestion.models import Instrument
    from signals.alerts import Wish, create

    user = get_user_model()
    people = user.objects.bulk_create([user(username=f"client{n}", password="!") for n in range(count)])
    kinds = {"kind": "crypto", "currency": "USD"}
    *own, everybodys = Instrument.objects.bulk_create(
        [Instrument(symbol=f"OWN{n}-USD", name=f"Own {n}", **kinds) for n in range(count + 1)]
    )
    condition = {"kind": "price", "op": "crosses_above", "value": THRESHOLD}
    for person, instrument in zip(people, own, strict=True):
        for watched in (instrument, everybodys):
            create(person, Wish(condition=condition, instrument=watched), timezone.now())
    tokens = [str(AccessToken.for_user(person)) for person in people]
    return [("notifications", token) for token in tokens], [one.pk for one in own], everybodys.pk


def one_after_the_other(sockets: Sockets, own: Sequence[int]) -> list[float]:
    """The ages in ms. `own` is in the order of the sockets."""
    drawn, at = random.Random(5), time.monotonic()
    waiting: list[tuple[float, int, int]] = []
    for fd, instrument in zip(sockets.by_fd, own, strict=True):
        at += drawn.expovariate(FIRINGS_PER_S)
        waiting.append((at, fd, instrument))
    told_at: dict[int, float] = {}
    ages: list[float] = []
    while len(ages) < len(own):
        now = time.monotonic()
        if waiting and waiting[0][0] <= now:
            _, fd, instrument = waiting.pop(0)
            told_at[fd] = now
            tell(instrument, ABOVE)
            continue
        if not waiting and now - max(told_at.values()) > TIMEOUT_S:
            raise TimeoutError(f"{len(own) - len(ages)} clients were told nothing")
        for fd in sockets.read(min(0.05, waiting[0][0] - now) if waiting else 0.05):
            ages.append((time.monotonic() - told_at[fd]) * 1000)
    return ages


def measured(running: Installation, count: int) -> dict[str, list[float]]:
    who, own, everybodys = clients(count)
    running.start()
    running.wait_ready(180)
    sockets = Sockets(running.port, who, '"subscribed"', NEWS)
    tell(everybodys, BELOW, [*own, everybodys])
    sockets.drain(3.0)  # the follower has seen all of them below
    ages = {"one after the other": one_after_the_other(sockets, own)}
    sockets.drain(1.0)
    tell(everybodys, BELOW)
    sockets.drain(1.0)
    began = time.monotonic()
    tell(everybodys, ABOVE)
    return ages | {"all at once": sockets.ages_ms(began)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    count = allowed_connections(parser.parse_args().clients)
    with tempfile.TemporaryDirectory(prefix="tapehouse-bench-") as folder:
        with Installation(Path(folder), **SETTINGS) as running:
            os.environ.update(running.environment)
            import django

            django.setup()
            running.migrate()
            ages = measured(running, count)
    print(f"Tick → notification on the socket, {count:,} clients with alerts, {TICKS_PER_S:,} ticks/s beside it:\n")
    print("| alerts fire | p50 ms | p99 ms | slowest ms | limit of p99 |\n|---|---|---|---|---|")
    p99s = {}
    for name, found in ages.items():
        found.sort()
        p99s[name] = found[int(len(found) * 0.99)]
        limit = f"{MAX_P99_MS:.0f}" if name == "one after the other" else "–"
        print(f"| {name} | {statistics.median(found):.0f} | {p99s[name]:.0f} | {found[-1]:.0f} | {limit} |")
    return 0 if p99s["one after the other"] <= MAX_P99_MS else 1


if __name__ == "__main__":
    sys.exit(main())
