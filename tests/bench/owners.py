"""How soon the owners of a thousand portfolios see a tick that touches all of them.

    python -m tests.bench.owners [--owners 1000] [--holdings 10] [--ticks 12]

A whole installation on stores of its own: each owner is signed in on a socket of its own and follows its portfolio. A
price is told as a poll tells it, at random moments; measured is from just before that until each owner's new value has
been read from its socket: the follower's pull, exact figures, publishing, hub, and the socket's own 100 ms. Exits
non-zero when the target is missed.
"""

import argparse
import json
import os
import random
import select
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from tests.bench.connections import allowed_connections
from tests.bench.fanout.receive import Client
from tests.flows.installation import Installation

MAX_P99_MS = 500.0
OPENING_AT_ONCE = 25
TIMEOUT_S = 60.0
NEWS = b'"type":"portfolio_update"'
SETTINGS = {
    "FEEDS": "simulated", "SIMULATED_TICKS_PER_S": "1", "LOG_LEVEL": "WARNING", "MAX_CONNECTIONS_PER_ADDRESS": "100000",
}  # fmt: skip


def owners(count: int, holdings: int) -> tuple[list[tuple[str, str]], int]:
    """Portfolios of so many holdings, each somebody's: their topics with their owners' tokens; and what all hold."""
    from django.contrib.auth import get_user_model
    from rest_framework_simplejwt.tokens import AccessToken

    from ingestion.models import Instrument
    from portfolio.models import Portfolio, Transaction

    instruments = [
        Instrument.objects.create(symbol=f"HELD{n}-USD", name=f"Held {n}", kind="crypto", currency="USD")
        for n in range(holdings)
    ]
    user = get_user_model()
    people = user.objects.bulk_create([user(username=f"owner{n}", password="!") for n in range(count)])
    made = Portfolio.objects.bulk_create(
        [Portfolio(owner=person, name="Savings", version=holdings + 1) for person in people]
    )
    at = datetime(2026, 1, 1, tzinfo=UTC)
    money = {"currency": "USD", "fee_currency": "USD", "fx_rate": Decimal(1), "at": at}
    Transaction.objects.bulk_create(
        [Transaction(portfolio=own, type="DEPOSIT", amount=Decimal(100_000), **money) for own in made]
    )
    Transaction.objects.bulk_create(
        [
            Transaction(
                portfolio=own, type="BUY", instrument=what, quantity=Decimal("1.5"), price=Decimal(100), **money
            )
            for own in made
            for what in instruments
        ]
    )
    tell(instruments[0].id, 100.0, [one.id for one in instruments])
    return [(f"portfolio:{own.pk}", str(AccessToken.for_user(own.owner))) for own in made], instruments[0].id


def tell(instrument: int, price: float, others: list[int] | None = None) -> None:
    """A poll's answer: the price, and that it has moved."""
    from ingestion import latest

    now_us = time.time_ns() // 1000
    told = latest.Latest("simulated", price=price, change=1.5, time_us=now_us, received_us=now_us)
    latest.put("simulated", dict.fromkeys(others or [instrument], told))


class Sockets:
    """Each owner's, opened and subscribed.

    who: a topic and a token each. ready: what a socket says once it is subscribed. news: what is in each update.
    """

    def __init__(self, port: int, who: list[tuple[str, str]], ready: str, news: bytes) -> None:
        self.poll = select.epoll()
        self.by_fd: dict[int, Client] = {}
        self.news = news
        for at in range(0, len(who), OPENING_AT_ONCE):
            self._open([_client(port, *one, ready) for one in who[at : at + OPENING_AT_ONCE]])

    def _open(self, clients: list[Client]) -> None:
        for client in clients:
            self.by_fd[client.socket.fileno()] = client
            self.poll.register(client.socket.fileno(), select.EPOLLIN)
        until = time.monotonic() + TIMEOUT_S
        while not all(client.is_ready for client in clients):
            if time.monotonic() > until:
                raise TimeoutError(f"not subscribed: {next(c.seen for c in clients if not c.is_ready)[-300:]!r}")
            self.read(0.1)

    def read(self, timeout_s: float) -> list[int]:
        """The sockets that brought news."""
        news = []
        for fd, _ in self.poll.poll(timeout_s):
            client, data = self.by_fd[fd], os.read(fd, 256 * 1024)
            if not data:
                raise ConnectionError("the server closed a socket")
            if not client.is_ready:
                client.open(data)
            elif client.count(data, self.news):
                news.append(fd)
        return news

    def ages_ms(self, began: float) -> list[float]:
        """How long each had to wait for its news. Raises TimeoutError when somebody hears nothing."""
        waiting, ages = set(self.by_fd), []
        while waiting:
            for fd in self.read(0.05):
                if fd in waiting:
                    waiting.discard(fd)
                    ages.append((time.monotonic() - began) * 1000)
            if time.monotonic() - began > TIMEOUT_S:
                raise TimeoutError(f"{len(waiting)} owners were told nothing")
        return ages

    def drain(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.read(left)


def _client(port: int, topic: str, token: str, ready: str) -> Client:
    steps = [
        [" 101 ", json.dumps({"type": "auth", "data": {"token": token}})],
        ['"authenticated"', json.dumps({"type": "subscribe", "data": {"topics": [topic]}})],
    ]
    return Client(port, "/ws/realtime/", "", steps, ready)


def measured(running: Installation, options: argparse.Namespace) -> list[float]:
    who, instrument = owners(allowed_connections(options.owners), options.holdings)
    running.start()
    running.wait_ready(180)
    sockets = Sockets(running.port, who, '"portfolio_update"', NEWS)
    drawn, ages = random.Random(5), []
    tell(instrument, 99.0)
    sockets.ages_ms(time.monotonic())  # the follower knows all of them
    for n in range(options.ticks):
        sockets.drain(0.5 + drawn.random())
        began = time.monotonic()
        tell(instrument, 100.0 + n)
        ages += sockets.ages_ms(began)
    return ages


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--owners", type=int, default=1000)
    parser.add_argument("--holdings", type=int, default=10)
    # Opened and measured within 40 s: these sockets answer no pings, and the server then closes them.
    parser.add_argument("--ticks", type=int, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tapehouse-bench-") as folder:
        with Installation(Path(folder), **SETTINGS) as running:
            os.environ.update(running.environment)
            import django

            django.setup()
            running.migrate()
            ages = sorted(measured(running, options))
    p50, p99 = statistics.median(ages), ages[int(len(ages) * 0.99)]
    print(
        f"{options.owners:,} owners of {options.holdings} holdings each, {options.ticks} ticks that touch all of them:"
    )
    print(f"  tick → socket p50 {p50:.0f} ms, p99 {p99:.0f} ms (target ≤ {MAX_P99_MS:g}), slowest {ages[-1]:.0f} ms")
    return 0 if p99 <= MAX_P99_MS else 1


if __name__ == "__main__":
    sys.exit(main())
