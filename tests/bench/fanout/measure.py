"""One measurement: a server, its clients and its source of updates, each a process of its own."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
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
    """expected: what would have been delivered of everything sent. cpu_us: the server's, for one delivered update."""

    expected: int
    delivered: int
    cpu_us: float
    p50_ms: float
    p99_ms: float
    closed: int


@dataclass(frozen=True)
class Place:
    """One running server and its clients."""

    port: int
    server: "subprocess.Popen[str]"
    clients: "subprocess.Popen[str]"


@contextlib.contextmanager
def serving(peer: Peer, load: Load, log: Path, on: set[int], extensions: str = "") -> Iterator[Place]:
    """A server on its core, with its clients subscribed from elsewhere. Raises RuntimeError, TimeoutError."""
    _, others = processes.cores()
    port = free_port()
    with processes.running(peer.command(port), on, environment() | peer.environment, log) as server:
        processes.wait_for_port(port, server)
        with receiving(peer, load, log, others, port, extensions) as clients:
            yield Place(port, server, clients)


@contextlib.contextmanager
def receiving(
    peer: Peer, load: Load, log: Path, on: set[int], port: int, extensions: str = "", mark: str = "sent_us"
) -> Iterator["subprocess.Popen[str]"]:
    """The clients, subscribed."""
    wanted = {
        "port": port, "clients": load.clients, "path": peer.path(load.names), "extensions": extensions,
        "steps": peer.steps(load.names), "ready": peer.ready, "mark": mark,
    }  # fmt: skip
    with processes.running(_module("receive", wanted), on, environment(), log) as clients:
        assert processes.hear(clients) == "ready"
        yield clients


def measure(peer: Peer, load: Load, log: Path) -> Measured:
    """Raises RuntimeError when one of the processes fails; the log has its complaints."""
    return measure_all(peer, load, log, [processes.cores()[0]])[0]


def measure_all(peer: Peer, load: Load, log: Path, places: Sequence[set[int]]) -> list[Measured]:
    """Several servers at once, each with clients of its own, and all with one source."""
    with contextlib.ExitStack() as running:
        placed = [running.enter_context(serving(peer, load, log, on)) for on in places]
        sent, cpus_s, told = _run(placed, _source(peer, load, placed[0].port), log)
    return [
        Measured(
            sent * load.clients, int(one["delivered"]), 1e6 * cpu_s / max(one["delivered"], 1),
            one["p50_ms"], one["p99_ms"], int(one["closed"]),
        )
        for cpu_s, one in zip(cpus_s, told, strict=True)
    ]  # fmt: skip


def settle(clients: "subprocess.Popen[str]") -> None:
    """Until all that was sent has come."""
    processes.say(clients, "settle")
    assert processes.hear(clients) == "settled"


def heard(clients: "subprocess.Popen[str]") -> dict[str, float]:
    """What the clients counted since `start`."""
    processes.say(clients, "stop")
    told: dict[str, float] = json.loads(processes.hear(clients))
    return told


def _source(peer: Peer, load: Load, port: int) -> list[str]:
    per_s = load.delivered_per_s / load.clients * peer.share
    wanted = {"symbols": load.symbols, "per_s": per_s, "seconds": load.seconds, "flush_s": load.flush_s}
    return _module("publish", {"way": peer.way, "port": port, **wanted})


def _run(placed: list[Place], source: list[str], log: Path) -> tuple[int, list[float], list[dict[str, float]]]:
    """How many updates were sent, each server's CPU meanwhile, and what its clients tell."""
    _, others = processes.cores()
    with processes.running(source, others, environment(), log) as publisher:
        assert processes.hear(publisher) == "ready"
        for place in placed:
            settle(place.clients)
            processes.say(place.clients, "start")
        before = [processes.cpu_s(place.server.pid) for place in placed]
        processes.say(publisher, "start")
        sent = int(processes.hear(publisher))
        for place in placed:
            settle(place.clients)
        told = [heard(place.clients) for place in placed]
        after = [processes.cpu_s(place.server.pid) for place in placed]
        return sent, [end - begin for begin, end in zip(before, after, strict=True)], told


def _module(name: str, wanted: dict[str, object]) -> list[str]:
    return [sys.executable, "-m", f"tests.bench.fanout.{name}", json.dumps(wanted)]
