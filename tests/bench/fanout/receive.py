"""Many WebSocket clients in one cheap process: they subscribe, count updates, and take the time of some of them.

    python -m tests.bench.fanout.receive '{"port": 8000, "clients": 200, "path": "/ws/", "steps": [[" 101 ", "hello"]]}'

Says `ready` when all are subscribed, answers `settle` when nothing comes any more, counts from the line `start` on, and
answers `stop` with one line of JSON. Frames are not taken apart: an update is the mark in what is read, which is
`sent_us` (of the monotonic clock) or `received_at` (of the wall clock, when a tick came from its venue).
"""

import base64
import json
import os
import resource
import secrets
import select
import socket
import sys
import time
from datetime import UTC, datetime
from typing import Any

# What is in each update exactly once, before the time from which its age counts.
SENT, RECEIVED = b'"sent_us":', b'"received_at":"'
# Of the reads, one in so many has the age of one of its updates taken.
SAMPLE_EVERY = 11
OPENING_AT_ONCE = 50
OPENING_TIMEOUT_S = 180.0
QUIET_S = 0.5
_PING = 0x89
_READ_BYTES = 256 * 1024


class Client:
    """One connection. steps: what to say after having read what; it is subscribed once it has read `ready`."""

    def __init__(self, port: int, path: str, extensions: str, steps: list[list[str]], ready: str) -> None:
        self.steps, self.ready, self.seen = list(steps), ready.encode(), b""
        self.is_ready = False
        self.tail = b""
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        offered = f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offered}\r\n".encode()
        )
        self.socket.setblocking(False)

    def open(self, data: bytes) -> None:
        """Go on with the steps."""
        self.seen += data
        while self.steps and self.steps[0][0].encode() in self.seen:
            awaited, said = self.steps.pop(0)
            self.seen = self.seen.partition(awaited.encode())[2]
            self.socket.sendall(masked(said.encode(), 0x81))
        self.is_ready = not self.steps and self.ready in self.seen

    def count(self, data: bytes, mark: bytes) -> int:
        """How many updates have the end of their mark in this read."""
        if data[0] == _PING:
            self.socket.sendall(masked(data[2 : 2 + data[1]], 0x8A))
        split = (self.tail + data[: len(mark) - 1]).count(mark)
        self.tail = data[1 - len(mark) :]
        return data.count(mark) + split


def masked(payload: bytes, first: int) -> bytes:
    """One client frame. The mask is zero: legal, and the payload goes as it is."""
    if len(payload) < 126:
        return bytes((first, 0x80 | len(payload))) + b"\0\0\0\0" + payload
    return bytes((first, 0x80 | 126)) + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload


class Clients:
    def __init__(self, wanted: dict[str, Any]) -> None:
        self.poll = select.epoll()
        self.by_fd: dict[int, Client] = {}
        self.updates = self.reads = self.closed = 0
        self.ages_us: list[int] = []
        self.mark = RECEIVED if wanted.pop("mark") == "received_at" else SENT
        count = wanted.pop("clients")
        for at in range(0, count, OPENING_AT_ONCE):
            self._open([Client(**wanted) for _ in range(min(OPENING_AT_ONCE, count - at))])

    def _open(self, clients: list[Client]) -> None:
        for client in clients:
            self.by_fd[client.socket.fileno()] = client
            self.poll.register(client.socket.fileno(), select.EPOLLIN)
        until = time.monotonic() + OPENING_TIMEOUT_S
        while not all(client.is_ready for client in clients):
            self.read(0.1)
            if self.closed or time.monotonic() > until:
                seen = next(client.seen for client in clients if not client.is_ready)
                raise RuntimeError(f"{self.closed} closed, or not subscribed in time; the last heard: {seen[-200:]!r}")

    def read(self, timeout_s: float) -> bool:
        """Take what is there; whether a line waits on the standard input."""
        ordered = False
        for fd, _ in self.poll.poll(timeout_s):
            if fd == 0:
                ordered = True
                continue
            client = self.by_fd[fd]
            try:
                data = os.read(fd, _READ_BYTES)
            except OSError:
                data = b""
            if not data:
                self.poll.unregister(fd)
                self.closed += 1
            elif client.is_ready:
                self.updates += client.count(data, self.mark)
                self._time(data)
            else:
                client.open(data)
        return ordered

    def _time(self, data: bytes) -> None:
        """Now and then the age of some update in the read, not always its last one's."""
        self.reads += 1
        if self.reads % SAMPLE_EVERY == 0:
            found = data.find(self.mark, self.reads * 7919 % len(data))
            if found < 0:
                found = data.find(self.mark)
            end = data.find(b",", found)
            if found >= 0 and end >= 0:
                self.ages_us.append(self._age_us(data[found + len(self.mark) : end]))

    def _age_us(self, said: bytes) -> int:
        if self.mark is SENT:
            return time.monotonic_ns() // 1000 - int(said)
        at = datetime.fromisoformat(said.decode().rstrip('"'))
        return int((datetime.now(UTC) - at).total_seconds() * 1e6)

    def settle(self) -> None:
        """Until nothing has come for a while."""
        last, quiet_since = self.updates, time.monotonic()
        while time.monotonic() - quiet_since < QUIET_S:
            self.read(0.1)
            if self.updates != last:
                last, quiet_since = self.updates, time.monotonic()

    def forget(self) -> None:
        self.updates, self.ages_us = 0, []

    def told(self) -> dict[str, float]:
        ages = sorted(self.ages_us) or [0]
        p50, p99 = (ages[int(len(ages) * share)] / 1e3 for share in (0.5, 0.99))
        return {"delivered": self.updates, "p50_ms": p50, "p99_ms": p99, "closed": self.closed}


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = Clients(json.loads(sys.argv[1]))
    clients.poll.register(0, select.EPOLLIN)
    print("ready", flush=True)
    while True:
        if clients.read(1.0):
            match sys.stdin.readline().strip():
                case "settle":
                    clients.settle()
                    print("settled", flush=True)
                case "start":
                    clients.forget()
                case "stop":
                    print(json.dumps(clients.told()), flush=True)
                case _:
                    return


if __name__ == "__main__":
    main()
