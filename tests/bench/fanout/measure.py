"""One measurement: a server, its clients and its source of updates, each a process of its own."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from project.localservices import free_port
from tests.bench.fanout import processes
from tests.bench.fanout.peers import Peer, environment


@dataclass(frozen=True)
class Load:
    """delivered_per_s: updates a second over all clients. flush_s: so often the source sends what is due."""

    clients: int
    symbols: int
    delivered_per_s: float
    seconds: float
    flush_s: float = 0.001

    @property
    def names(self) -> list[str]:
        return [f"S{n}" for n in range(self.symbols)]


@dataclass(frozen=True)
class Measured:
    """expected: what would have been delivered of everything sent. busy: the server's share of its core."""

    expected: int
    delivered: int
    cpu_us: float
    p50_ms: float
    p99_ms: float
    closed: int


def measure(peer: Peer, load: Load, log: Path) -> Measured:
    """Raises RuntimeError when one of the processes fails; the log has its complaints."""
    ours, others = processes.cores()
    port = free_port()
    wanted = {
        "port": port, "clients": load.clients, "path": peer.path(load.names), "extensions": "",
        "steps": peer.steps(load.names), "ready": peer.ready,
    }  # fmt: skip
    with processes.running(peer.command(port), ours, environment() | peer.environment, log) as server:
        processes.wait_for_port(port, server)
        with processes.running(_module("receive", wanted), others, environment(), log) as clients:
            assert processes.hear(clients) == "ready"
            sent, cpu_s, told = _run(server.pid, clients, _source(peer, load, port), log)
    delivered = told["delivered"]
    return Measured(
        sent * load.clients, int(delivered), 1e6 * cpu_s / max(delivered, 1),
        told["p50_ms"], told["p99_ms"], int(told["closed"]),
    )  # fmt: skip


def _source(peer: Peer, load: Load, port: int) -> list[str]:
    per_s = load.delivered_per_s / load.clients * peer.share
    wanted = {"symbols": load.symbols, "per_s": per_s, "seconds": load.seconds, "flush_s": load.flush_s}
    return _module("publish", {"way": peer.way, "port": port, **wanted})


def _run(
    server: int, clients: "subprocess.Popen[str]", source: list[str], log: Path
) -> tuple[int, float, dict[str, float]]:
    """How many updates were sent, the server's CPU meanwhile, and what the clients tell."""
    _, others = processes.cores()
    with processes.running(source, others, environment(), log) as publisher:
        assert processes.hear(publisher) == "ready"
        processes.say(clients, "start")
        before = processes.cpu_s(server)
        processes.say(publisher, "start")
        sent = int(processes.hear(publisher))
        processes.say(clients, "stop")
        told = json.loads(processes.hear(clients))
        return sent, processes.cpu_s(server) - before, told


def _module(name: str, wanted: dict[str, object]) -> list[str]:
    return [sys.executable, "-m", f"tests.bench.fanout.{name}", json.dumps(wanted)]
