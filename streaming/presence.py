"""Who is connected, across all web processes: each hub reports, and what is reported runs out with its process.

One Redis key a process, replaced every PRESENCE_INTERVAL_S and expiring after PRESENCE_TTL_S, so that a killed process
leaks nothing. Reading costs one round trip, however many are connected.
"""

import os
import socket
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from django.conf import settings

from worker.histogram import Histogram
from worker.redis import async_client, client, key

if TYPE_CHECKING:
    from streaming.connection import Connection

# The hops that a hub can measure, in their order: to this process, to the socket, to the client and back.
HOPS: Final = ("published_to_hub", "published_to_socket", "client_echo")


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """One connection. path: its dialect's; since: seconds since 1970; dropped: conflated updates it did not see.

    topics: the canonical names that a signed-in user's connection follows; of anonymous ones only the number is told.
    """

    connection_id: str
    user_id: int | None
    username: str
    address: str
    path: str
    since: float
    subscriptions: int
    topics: list[str]
    backlog_bytes: int
    dropped: int


class Report(msgspec.Struct, frozen=True):
    """One web process, as it last told. process: `host:pid`. topics: followers by topic. Counts since it started."""

    process: str
    at: float
    started_at: float
    connections: list[Seen]
    topics: dict[str, int]
    delivered: int
    failed: int
    per_s: float
    latencies: dict[str, dict[int, int]]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Report).decode


class Reporter:
    """A hub's own account of itself."""

    def __init__(self) -> None:
        self.process = f"{socket.gethostname()}:{os.getpid()}"
        self.started_at = time.time()
        self.delivered = self.failed = 0
        self.latencies = {hop: Histogram() for hop in HOPS}
        self._told_at, self._told_delivered = self.started_at, 0

    def due(self, now: float) -> bool:
        return bool(now - self._told_at >= settings.PRESENCE_INTERVAL_S)

    def report(self, connections: Iterable["Connection"], topics: dict[str, int], now: float) -> Report:
        """As of now, seconds since 1970; the rate is that since the last report."""
        rate = (self.delivered - self._told_delivered) / max(now - self._told_at, 1e-3)
        self._told_at, self._told_delivered = now, self.delivered
        seen = [self._seen(connection) for connection in connections]
        latencies = {hop: histogram.counts for hop, histogram in self.latencies.items()}
        return Report(
            self.process, now, self.started_at, seen, topics, self.delivered, self.failed, round(rate, 1), latencies
        )

    def _seen(self, connection: "Connection") -> Seen:
        if (echo_s := connection.writer.echo_s()) is not None:
            self.latencies["client_echo"].add(echo_s * 1e6)
        return Seen(
            connection.opening.connection_id,
            connection.user.pk,
            connection.user.get_username(),
            connection.address,
            connection.dialect.path,
            connection.since,
            len(connection.followers),
            connection.followed() if connection.user.is_authenticated else [],
            connection.writer.backlog_bytes(),
            connection.dropped,
        )


async def tell(report: Report) -> None:
    """Replace what is known of this process. Raises redis.RedisError."""
    redis = async_client(settings.PUBLISH_TIMEOUT_S)
    async with redis.pipeline(transaction=False) as pipe:
        pipe.set(_key(report.process), _encode(report), ex=settings.PRESENCE_TTL_S)
        pipe.zadd(_processes(), {report.process: report.at})
        await pipe.execute()


async def gone(process: str) -> None:
    """The process ends in order: it is forgotten at once. Raises redis.RedisError."""
    await async_client(settings.PUBLISH_TIMEOUT_S).delete(_key(process))


def reports() -> list[Report]:
    """Of every living web process. Raises redis.RedisError."""
    redis = client()
    redis.zremrangebyscore(_processes(), "-inf", time.time() - settings.PRESENCE_TTL_S)
    names: Any = redis.zrange(_processes(), 0, -1)
    stored: Any = redis.mget([_key(name.decode()) for name in names]) if names else []
    return [_decode(value) for value in stored if value is not None]


def latencies_ms(found: Iterable[Report]) -> dict[str, dict[str, float]]:
    """The hops' percentiles over all processes, such as {"published_to_socket": {"p50": 41.2, "p99": 99.8}}."""
    merged = {hop: Histogram() for hop in HOPS}
    for report in found:
        for hop, counts in report.latencies.items():
            merged[hop].merge(counts)
    return {hop: histogram.percentiles_ms() for hop, histogram in merged.items()}


def followers(found: Iterable[Report]) -> Counter[str]:
    """How many follow each topic, over all processes."""
    totals: Counter[str] = Counter()
    for report in found:
        totals.update(report.topics)
    return totals


def _key(process: str) -> str:
    return key("hub", process)


def _processes() -> str:
    return key("hubs")
