"""Server CPU per update delivered to a WebSocket client: our hub against the usual Channels way, side by side.

    python -m tests.bench.fanout [--clients 200] [--seconds 4]

The usual way: each consumer joins the group, `channels_redis.core`, `send_json`. Both are served by uvicorn on uvloop
and loaded by the same program, each in a process of its own. CPU is the server process's own (user and system, from
/proc), its idle costs included; Redis and the load are not counted. Exits non-zero when the target is missed.
"""

import argparse
import asyncio
import atexit
import base64
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from project.localservices import Redis, free_port

TARGET_RATIO = 12
# In each update, and nowhere else: counting it in what a client receives counts updates.
MARK = b'"bid":'


def update(symbol: str, n: int) -> dict[str, Any]:
    return {
        "symbol": symbol, "instrument": symbol, "price": 50000.5 + n, "change": 250.3, "change_percent": 0.5,
        "volume": 1_000_000.0, "high": 51000.0, "low": 49000.0, "bid": 50000.0 + n, "ask": 50001.0 + n,
        "source": "binance", "quality": "live", "venue_time": "2026-01-28T10:30:01.123456Z",
        "received_at": "2026-01-28T10:30:01.133456Z",
    }  # fmt: skip


# --- The servers --------------------------------------------------------------------------------------------------


def serve_ours(bound: socket.socket) -> None:
    import django

    django.setup()
    from streaming import routing, topics
    from streaming.protocol import Address
    from streaming.wire import TapehouseWebSocketProtocol

    class Bench(topics.Topic):
        prefix, kind, public = "bench", topics.Kind.CONFLATED, True

        def resolve(self, key: str, user: Any) -> Address:
            return Address(topic=f"bench:{key}", name=f"bench:{key}", symbol=key)

    topics.register(Bench())
    run(routing.application(), bound, TapehouseWebSocketProtocol)


def serve_usual(bound: socket.socket) -> None:
    import django
    from django.conf import settings

    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": core_config()},
    }  # fmt: skip
    django.setup()
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from channels.routing import URLRouter
    from django.urls import re_path

    class Consumer(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content: Any, **_: Any) -> None:
            for topic in content["data"]["topics"]:
                await self.channel_layer.group_add(topic.replace(":", "."), self.channel_name)
            await self.send_json({"type": "subscribed"})

        async def asset_update(self, event: Any) -> None:
            await self.send_json(event["data"])

    run(URLRouter([re_path("ws/", Consumer.as_asgi())]), bound, "auto")


def run(application: Any, bound: socket.socket, ws: Any) -> None:
    import uvicorn

    config = uvicorn.Config(application, ws=ws, loop="uvloop", lifespan="off", log_level="error", access_log=False)
    uvicorn.Server(config).run([bound])


def core_config() -> dict[str, Any]:
    from django.conf import settings

    # redis-py's limit of 5 s would close quiet connections: the layer blocks for that long in BZPOPMIN.
    host = {"address": settings.REDIS_URL, "socket_timeout": 15}
    return {"prefix": f"{settings.REDIS_PREFIX}-bench", "hosts": [host]}


# --- The load -----------------------------------------------------------------------------------------------------


class Client(asyncio.Protocol):
    """A WebSocket client that counts and does nothing else."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.said = said
        self.updates = 0
        self.subscribed = asyncio.get_running_loop().create_future()
        self._tail = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        transport.write(
            f"GET /ws/realtime/ HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if self.said and b" 101 " in data:
            self.transport.write(masked(json.dumps(self.said).encode()))
            self.said = {}
        seen = self._tail + data
        self.updates += seen.count(MARK)
        if not self.subscribed.done() and b'"subscribed"' in seen:
            self.subscribed.set_result(None)
        self._tail = seen[-(max(len(MARK), 12) - 1) :] if not self.subscribed.done() else seen[-(len(MARK) - 1) :]


def masked(payload: bytes) -> bytes:
    """One client text frame. The mask is zero: legal, and the payload goes as it is."""
    return b"\x81" + bytes((0x80 | 126,)) + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload


def cpu_s(pid: int) -> float:
    """What all threads of the process have run so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


async def load(server: str, port: int, pid: int, options: argparse.Namespace) -> dict[str, float]:
    """Subscribe all clients, publish at the rate, and see what arrives and what it costs the server."""
    loop = asyncio.get_running_loop()
    symbols = [f"S{n}" for n in range(options.symbols)]
    topics = [f"bench:{symbol}" for symbol in symbols]
    data = {"topics": topics, "interval_ms": options.interval_ms, "batch": options.symbols > 1}
    clients: list[Client] = []
    for _ in range(options.clients):
        _, client = await loop.create_connection(lambda: Client({"type": "subscribe", "data": data}), "127.0.0.1", port)
        clients.append(client)
        await asyncio.wait_for(client.subscribed, 20)
    publish = publisher(server)
    await publish(symbols, 0)
    await asyncio.sleep(0.5)
    before, began = cpu_s(pid), time.perf_counter()
    counted = sum(client.updates for client in clients)
    rounds = 0
    while (passed := time.perf_counter() - began) < options.seconds:
        if rounds < passed * options.rounds_per_s:
            rounds += 1
            await publish(symbols, rounds)
        else:
            await asyncio.sleep(0.001)
    await settle(clients)
    delivered = sum(client.updates for client in clients) - counted
    return {
        "sent": rounds * len(symbols) * len(clients),
        "delivered": delivered,
        "us_per_update": 1e6 * (cpu_s(pid) - before) / max(delivered, 1),
    }


async def settle(clients: Sequence[Client]) -> None:
    last = -1
    while (now := sum(client.updates for client in clients)) != last:
        last = now
        await asyncio.sleep(0.3)


def publisher(server: str) -> Callable[[Sequence[str], int], Any]:
    """One round: an update of each symbol, the way each side publishes."""
    if server == "ours":
        from streaming.protocol import Message
        from streaming.publish import apublish

        async def ours(symbols: Sequence[str], n: int) -> None:
            now_us = time.time_ns() // 1000
            await apublish([Message(f"bench:{s}", "asset_update", update(s, n), now_us) for s in symbols])

        return ours
    from channels_redis.core import RedisChannelLayer

    layer = RedisChannelLayer(**core_config())

    async def usual(symbols: Sequence[str], n: int) -> None:
        for symbol in symbols:
            data = {"type": "asset_update", "topic": f"bench:{symbol}", "data": update(symbol, n)}
            await layer.group_send(f"bench.{symbol}", {"type": "asset_update", "data": data})

    return usual


# --- The comparison -----------------------------------------------------------------------------------------------


def measure(server: str, clients: int, seconds: float, symbols: int, rounds_per_s: float) -> dict[str, float]:
    """One server, one load, each in its process."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as bound:
        bound.set_inheritable(True)
        me = [sys.executable, "-m", "tests.bench.fanout", "--server", server]
        served = subprocess.Popen([*me, "--role", "serve", "--fd", str(bound.fileno())], pass_fds=[bound.fileno()])
        try:
            wanted = ["--clients", clients, "--seconds", seconds, "--symbols", symbols, "--rounds-per-s", rounds_per_s]
            place = ["--role", "load", "--port", bound.getsockname()[1], "--pid", served.pid]
            loaded = subprocess.run([*me, *map(str, wanted + place)], stdout=subprocess.PIPE, check=True)
        finally:
            served.terminate()
            served.wait(15)
    result: dict[str, float] = json.loads(loaded.stdout)
    return result


def compare(clients: int, seconds: float) -> int:
    rows = [
        ("usual: a group member a consumer, core layer", measure("usual", clients, seconds, 1, 10)),
        ("ours: each update a frame of its own", measure("ours", clients, seconds, 1, 10)),
        ("ours: 50 symbols, a batch each 100 ms", measure("ours", clients, seconds, 50, 10)),
    ]
    usual = rows[0][1]["us_per_update"]
    print(f"{clients} clients{'':36}    sent  delivered  CPU us/update  usual/this")
    for name, row in rows:
        figures = f"{row['sent']:>10,.0f} {row['delivered']:>10,.0f} {row['us_per_update']:>14.1f}"
        print(f"{name:<46} {figures} {usual / row['us_per_update']:>11.1f}")
    reached = usual / rows[1][1]["us_per_update"]
    print(f"target: usual/ours >= {TARGET_RATIO}: {reached:.1f}")
    return 0 if reached >= TARGET_RATIO else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=4)
    for hidden in ("--role", "--server"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    for hidden in ("--fd", "--port", "--pid", "--symbols"):
        parser.add_argument(hidden, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rounds-per-s", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    os.environ |= {"DEVELOPMENT": "1", "ANONYMOUS_MARKET_DATA": "true", "MAX_CONNECTIONS_PER_ADDRESS": "100000"}
    if options.role == "serve":
        {"ours": serve_ours, "usual": serve_usual}[options.server](socket.socket(fileno=options.fd))
    elif options.role == "load":
        options.interval_ms = 100 if options.symbols > 1 else 50
        import uvloop

        sys.stdout.write(json.dumps(uvloop.run(load(options.server, options.port, options.pid, options))))
    else:
        own_redis()
        return compare(options.clients, options.seconds)
    return 0


def own_redis() -> None:
    """Without a REDIS_URL, a server for this run alone."""
    if "REDIS_URL" not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="tapehouse-bench-"))
        server = Redis(folder, tied=True, port=free_port())
        os.environ["REDIS_URL"] = server.start()
        atexit.register(lambda: (server.stop(), shutil.rmtree(folder)))


if __name__ == "__main__":
    sys.exit(main())
