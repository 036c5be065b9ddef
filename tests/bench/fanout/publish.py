"""The source of the updates: the same updates at the same times, handed over the way each server wants them.

    python -m tests.bench.fanout.publish '{"way": "tapehouse", "symbols": 50, "per_s": 500, "seconds": 5, …}'

Says `ready`, begins at the line `start`, and tells how many updates it has sent.
"""

import asyncio
import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.bench.fanout.servers import layer_of, set_up_django

# The first update of each symbol is not measured.
WARM_UP_S = 0.5

# Symbol and payload.
Update = tuple[str, dict[str, Any]]
Send = Callable[[Sequence[Update]], object]


def update(symbol: str, n: int) -> dict[str, Any]:
    return {
        "sent_us": time.monotonic_ns() // 1000,
        "symbol": symbol, "instrument": symbol, "price": 50000.5 + n, "change": 250.3, "change_percent": 0.5,
        "volume": 1_000_000.0, "high": 51000.0, "low": 49000.0, "bid": 50000.0 + n, "ask": 50001.0 + n,
        "source": "binance", "quality": "live", "venue_time": "2026-01-28T10:30:01.123456Z",
        "received_at": "2026-01-28T10:30:01.133456Z",
    }  # fmt: skip


def said(symbol: str, data: dict[str, Any]) -> dict[str, Any]:
    """What a client of any of the servers reads."""
    return {
        "type": "asset_update", "topic": f"bench:{symbol}", "data": data, "timestamp": "2026-01-28T10:30:01.133456Z",
    }  # fmt: skip


def tapehouse(_port: int) -> Send:
    set_up_django()
    from streaming.protocol import Message
    from streaming.publish import publish

    def send(updates: Sequence[Update]) -> None:
        now_us = time.time_ns() // 1000
        publish([Message(f"bench:{symbol}", "asset_update", data, now_us) for symbol, data in updates])

    return send


def channels(kind: str) -> Callable[[int], Send]:
    """`group_send` through this channel layer, from one event loop that stays."""

    def prepare(_port: int) -> Send:
        set_up_django()
        layer = layer_of(kind)
        loop = asyncio.new_event_loop()

        async def send_all(updates: Sequence[Update]) -> None:
            for symbol, data in updates:
                await layer.group_send(f"bench.{symbol}", {"type": "asset_update", "data": said(symbol, data)})

        return lambda updates: loop.run_until_complete(send_all(updates))

    return prepare


def redis_channel(_port: int) -> Send:
    import redis

    client = redis.Redis.from_url(os.environ["REDIS_URL"])

    def send(updates: Sequence[Update]) -> None:
        for symbol, data in updates:
            client.publish(f"bench.{symbol}", json.dumps(said(symbol, data), separators=(",", ":")))

    return send


def http_post(port: int) -> Send:
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def send(updates: Sequence[Update]) -> None:
        for symbol, data in updates:
            body = json.dumps(said(symbol, data), separators=(",", ":"))
            connection.request("POST", f"/publish?id={symbol}", body, {"Content-Type": "text/plain"})
            connection.getresponse().read()

    return send


WAYS: dict[str, Callable[[int], Send]] = {
    "tapehouse": tapehouse,
    "core": channels("core"),
    "pubsub": channels("pubsub"),
    "redis": redis_channel,
    "http": http_post,
}


def run(send: Send, symbols: int, per_s: float, seconds: float, flush_s: float) -> int:
    """Send evenly, symbol after symbol, what is due each flush_s. Returns how many were sent."""
    began, sent = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * per_s) + 1
        if due > sent:
            names = [f"S{n % symbols}" for n in range(sent, due)]
            send([(name, update(name, n)) for n, name in enumerate(names, sent)])
            sent = due
        time.sleep(flush_s)
    return sent


def main() -> None:
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    send = WAYS[wanted.pop("way")](wanted.pop("port"))
    send([(name, update(name, 0)) for name in (f"S{n}" for n in range(wanted["symbols"]))])
    time.sleep(WARM_UP_S)
    print("ready", flush=True)
    sys.stdin.readline()
    print(run(send, **wanted), flush=True)


if __name__ == "__main__":
    main()
