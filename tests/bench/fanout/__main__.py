"""Server CPU and latency of an update delivered to a WebSocket client: Tapehouse beside its peers, in one run.

    python -m tests.bench.fanout [--quick] [--install-peers] [--only tapehouse,nchan] [--repeat 3]

Every server is one process on a core of its own; clients, source and Redis share the others. CPU is the server
process's own, its idle costs included; Redis, the load and the source are not counted. All get the same updates at
the same times; only the usual Channels way gets a tenth of them, since it can't take more. Latency is from the making
of an update to its receipt, of about one read in ten. Peers that are not installed are named with the reason;
`--install-peers` installs them into BENCH_PEERS_DIR (else a folder in the user's cache). Exits non-zero when a target
is missed.
"""

import argparse
import atexit
import dataclasses
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from project.localservices import Redis, free_port
from tests.bench.fanout import peers, processes
from tests.bench.fanout.measure import Load, Measured, measure
from tests.bench.fanout.peers import PEERS, Peer

# What each peer's CPU for an update is to be multiplied with to give our bound.
UNCONFLATED_TARGETS = {"core": 1 / 25, "nchan": 1.1, "picows": 1.1}
# nchan leaves Nagle's algorithm on, all others turn it off: this is the comparison of like with like.
NAGLE_TARGETS = {"nchan": 1.1}
CONFLATED_TARGETS = {"core": 1 / 25, "nchan": 1.1, "picows": 1.1}
# nchan leaves Nagle's algorithm on, all others turn it off: the kernel joins its small frames until the client has
# acknowledged, some 20 ms. Ours with the same, and ours joined by ourselves at that age: comparisons of like with like.
LIKE_NCHAN = ("nagle", "batched")
CONFLATED_TARGETS = {"core": 1 / 120}
UNCONFLATED_PER_S = 20_000.0
# Conflated: each symbol changes so often, for fewer clients than this rate is for.
CHANGES_PER_S, CONFLATED_MAX_PER_S = 10.0, 200_000.0
# The listener publishes so often.
LISTENER_FLUSH_S = 0.025


@dataclasses.dataclass(frozen=True)
class Table:
    """One load, and who is measured under it. conflated: how we are under 100 ms frames, which no peer has."""

    clients: int
    symbols: int
    peers: list[Peer]
    seconds: float

    def rows(self) -> Iterator[tuple[Peer, Load]]:
        plain = Load(self.clients, self.symbols, UNCONFLATED_PER_S, self.seconds)
        for peer in self.peers:
            yield peer, plain
        if any(peer.key == "tapehouse" for peer in self.peers):
            per_s = min(CHANGES_PER_S * self.symbols * self.clients, CONFLATED_MAX_PER_S)
            yield conflated(self.symbols), Load(self.clients, self.symbols, per_s, self.seconds, LISTENER_FLUSH_S)


def conflated(symbols: int) -> Peer:
    """Ourselves as a page uses us: the newest value of each symbol, all in one frame each 100 ms."""
    more = {"interval_ms": 100, "batch": symbols > 1}
    return dataclasses.replace(peers.tapehouse("Tapehouse, conflated at 100 ms", **more), key="conflated")


def median(peer: Peer, load: Load, repeat: int, log: Path) -> Measured:
    """The run whose CPU is in the middle."""
    runs = sorted((measure(peer, load, log) for _ in range(repeat)), key=lambda run: run.cpu_us)
    return runs[len(runs) // 2]


def show(table: Table, repeat: int, log: Path) -> dict[str, Measured]:
    """Measure and print, row by row."""
    print(f"\n{table.clients:,} clients, {table.symbols} symbol{'s' * (table.symbols > 1)}")
    print(f"{'':34}{'updates':>10}{'delivered':>11}{'CPU, µs':>9}{'p50, ms':>9}{'p99, ms':>9}{'÷ ours':>8}")
    measured: dict[str, Measured] = {}
    for peer, load in table.rows():
        try:
            row = measured[peer.key] = median(peer, load, repeat, log)
        except (RuntimeError, TimeoutError) as error:
            print(f"{peer.title:<34}failed: {error}\n{log.read_text()[-2000:]}")
            continue
        ratio = row.cpu_us / measured["tapehouse"].cpu_us if "tapehouse" in measured else float("nan")
        print(
            f"{peer.title:<34}{row.expected:>10,}{row.delivered / row.expected:>11.0%}{row.cpu_us:>9.1f}"
            f"{row.p50_ms:>9.1f}{row.p99_ms:>9.1f}{ratio:>8.2f}" + (f"  {row.closed} closed" if row.closed else ""),
            flush=True,
        )
    return measured


def missed(measured: dict[str, Measured], symbols: int) -> int:
    """Compare with the targets; how many are missed."""
    bounds = [("tapehouse", peer, factor) for peer, factor in UNCONFLATED_TARGETS.items()]
    bounds += [("nagle", peer, factor) for peer, factor in NAGLE_TARGETS.items()]
    if symbols > 1:
        bounds += [("conflated", peer, factor) for peer, factor in CONFLATED_TARGETS.items()]
    count = 0
    for ours, peer, factor in bounds:
        if ours in measured and peer in measured:
            reached = measured[ours].cpu_us / measured[peer].cpu_us
            wanted = f"{factor:.2f}" if factor >= 1 else f"1/{1 / factor:.0f}"
            is_met = reached <= factor
            told = f"{reached:.2f}" if factor >= 1 else f"1/{1 / reached:.0f}"
            print(f"  {ours} / {peer} ≤ {wanted}: {told}, {'met' if is_met else 'MISSED'}")
            count += not is_met
    return count


def present(only: str) -> list[Peer]:
    """Those wanted that are here; the others are named."""
    wanted = [peer for peer in PEERS if not only or peer.key in only.split(",")]
    for peer in wanted:
        if reason := peer.absent():
            print(f"absent: {peer.title}: {reason}")
    return [peer for peer in wanted if not peer.absent()]


def own_redis() -> None:
    """Without a REDIS_URL, a server for this run alone, off the measured core."""
    os.environ["DEVELOPMENT"] = "1"
    os.environ["REDIS_PREFIX"] = f"bench-{uuid.uuid4().hex[:8]}"
    if "REDIS_URL" not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="tapehouse-bench-"))
        server = Redis(folder, tied=True, port=free_port())
        os.environ["REDIS_URL"] = server.start()
        atexit.register(lambda: (server.stop(), shutil.rmtree(folder)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="200 clients and one symbol, within a minute")
    parser.add_argument("--install-peers", action="store_true")
    parser.add_argument("--only", default="", help="of " + ", ".join(peer.key for peer in PEERS))
    parser.add_argument("--clients", default="200,2000")
    parser.add_argument("--symbols", default="1,50")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--repeat", type=int, default=1, help="the median of so many runs of each row")
    options = parser.parse_args()
    if options.quick:
        options.clients, options.symbols, options.seconds = "200", "1", 2
    return options


def main() -> int:
    options = arguments()
    if options.install_peers:
        peers.install()
    everything, (measured_core, others) = os.sched_getaffinity(0), processes.cores()
    os.sched_setaffinity(0, others)
    own_redis()
    os.sched_setaffinity(0, everything)
    log = Path(tempfile.mkdtemp(prefix="tapehouse-bench-")) / "complaints.log"
    here = present(options.only)
    print(f"servers on core {measured_core}, everything else on {others}")
    misses = 0
    for symbols in map(int, options.symbols.split(",")):
        for clients in map(int, options.clients.split(",")):
            measured = show(Table(clients, symbols, here, options.seconds), options.repeat, log)
            misses += missed(measured, symbols)
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
