"""How many sockets one web process holds, what a second process adds, and how old a tick is in the browser.

    python -m tests.bench.connections [memory] [processes] [ticks] [--connections 10000]

memory: resident memory of the web process for each idle, subscribed connection; once more with permessage-deflate
agreed on (WEBSOCKET_DEFLATE), which is its documented cost.

processes: one web process and two, each pinned to a core, under the same load a process. With fewer than four cores
the clients share the servers' cores, so that driving both into saturation would measure the clients. What is compared
is therefore capacity: updates delivered a second of the server's own CPU, added up over the processes. A second
process that only repeats what the first does (receiving, decoding, rendering) shows as much less than twice.

ticks: a whole installation with the simulated feed, 200 clients at `interval_ms` 50. Measured is from `received_at`,
which the listener stamps on each tick, through journal, publish, hub and socket to the client, by one machine's clock.
Exits non-zero when a target is missed.
"""

import argparse
import contextlib
import dataclasses
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.fanout import peers, processes
from tests.bench.fanout.__main__ import conflated, own_redis
from tests.bench.fanout.measure import Load, heard, measure_all, receiving, serving

CONNECTION_MAX_KIB = 40.0
PROCESSES_MIN_RATIO = 1.8
TICK_MAX_P99_MS = 120.0
TICKS_PER_S, TICK_CLIENTS = 1000, 200
DEFLATE = "permessage-deflate; client_max_window_bits"
# Files that a process needs beside its connections.
OTHER_FILES = 200
WARM_UP_S = 5.0


def allowed_connections(wanted: int) -> int:
    """As many as the limit of open files admits, raised as far as we may; says when these are fewer."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    with contextlib.suppress(ValueError, OSError):  # only root raises the hard limit
        hard = max(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < needed:
        print(f"RLIMIT_NOFILE is {hard} and may not be raised: {hard - OTHER_FILES:,} connections")
    return min(wanted, hard - OTHER_FILES)


def memory(connections: int, log: Path) -> bool:
    """Print the memory a connection costs, plain and compressed. Whether the plain one meets the target."""
    count = allowed_connections(connections)
    plain = kib_a_connection(count, False, log)
    print(f"{count:,} connections: {plain:.1f} KiB each (target ≤ {CONNECTION_MAX_KIB:g})", flush=True)
    compressed = kib_a_connection(count, True, log)
    print(f"{count:,} connections that compress: {compressed:.1f} KiB each")
    return count >= connections and plain <= CONNECTION_MAX_KIB


def kib_a_connection(count: int, deflate: bool, log: Path) -> float:
    peer = peers.tapehouse()
    # As many descriptors for the server as for us; and room for those who come all from one address.
    peer = dataclasses.replace(peer, environment=peer.environment | {"WEBSOCKET_DEFLATE": str(deflate)})
    load = Load(1, 1, 0, 0)
    server_core, others = processes.cores()
    with serving(peer, load, log, server_core, DEFLATE if deflate else "") as place:
        before = processes.rss_bytes(place.server.pid)
        many = dataclasses.replace(load, clients=count)
        with receiving(peer, many, log, others, place.port, DEFLATE if deflate else ""):
            return (processes.rss_bytes(place.server.pid) - before) / count / 1024


def two_processes(log: Path) -> bool:
    """Print what one process can deliver, and what two can. Whether the second is worth its core."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("two processes: there is only one core")
        return False
    load = Load(clients=200, symbols=50, delivered_per_s=50_000, seconds=5, flush_s=0.025)
    capacities = []
    for count in (1, 2):
        measured = measure_all(conflated(load.symbols), load, log, [{core} for core in cores[:count]])
        capacities.append(sum(1e6 / one.cpu_us for one in measured))
        latency = max(one.p99_ms for one in measured)
        print(
            f"{count} web process(es): {capacities[-1]:,.0f} updates/s of their CPU, p99 {latency:.0f} ms", flush=True
        )
    ratio = capacities[1] / capacities[0]
    print(f"two processes deliver {ratio:.2f} × one (target ≥ {PROCESSES_MIN_RATIO:g})")
    return ratio >= PROCESSES_MIN_RATIO


@contextlib.contextmanager
def installation(folder: Path) -> Iterator[int]:
    """All services on stores of their own, with the simulated feed at the rate; the port of the web."""
    from tests.flows.installation import Installation

    settings = {
        "FEEDS": "simulated", "SIMULATED_TICKS_PER_S": str(TICKS_PER_S), "ANONYMOUS_MARKET_DATA": "true",
        "MAX_CONNECTIONS_PER_ADDRESS": "100000", "LOG_LEVEL": "WARNING",
    }  # fmt: skip
    with Installation(folder, **settings) as running:
        running.migrate()
        running.start()
        running.wait_ready(180)
        time.sleep(WARM_UP_S)
        yield running.port


def tick_to_browser(seconds: float, log: Path) -> bool:
    """Print how old ticks are when a client has them. Whether the target is met."""
    symbols = ["BTC-USDT", "ETH-USDT", "SOL-USDT"]
    data = peers.subscribing(interval_ms=50)
    peer = dataclasses.replace(
        peers.tapehouse(),
        steps=lambda names: [[wait, said.replace("bench:", "price:")] for wait, said in data(names)],
    )
    with tempfile.TemporaryDirectory(prefix="tapehouse-bench-") as folder:
        with installation(Path(folder)) as port:
            load = Market(TICK_CLIENTS, len(symbols), 0, seconds, names_of=tuple(symbols))
            with receiving(peer, load, log, processes.cores()[1], port, mark="received_at") as clients:
                processes.say(clients, "start")
                time.sleep(seconds)
                told = heard(clients)
    print(f"tick → browser at {TICKS_PER_S:,} ticks/s, {TICK_CLIENTS} clients, interval 50 ms: ", end="")
    print(f"p50 {told['p50_ms']:.0f} ms, p99 {told['p99_ms']:.0f} ms (target ≤ {TICK_MAX_P99_MS:g}), ", end="")
    print(f"{told['delivered'] / seconds:,.0f} updates/s")
    return bool(told["delivered"]) and told["p99_ms"] <= TICK_MAX_P99_MS


@dataclasses.dataclass(frozen=True)
class Market(Load):
    """Of real symbols."""

    names_of: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        return list(self.names_of)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["memory", "processes", "ticks"])
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20, help="of measuring tick → browser")
    options = parser.parse_args()
    own_redis()
    log = Path(tempfile.mkdtemp(prefix="tapehouse-bench-")) / "complaints.log"
    met = []
    if "memory" in options.what:
        met.append(memory(options.connections, log))
    if "processes" in options.what:
        met.append(two_processes(log))
    if "ticks" in options.what:
        met.append(tick_to_browser(options.seconds, log))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
