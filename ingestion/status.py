"""How each feed is doing: told every second by its listener, read by `/readyz`, `/realtime/status/` and `/api/feeds/`.

One Redis key a listener shard, which expires: a feed whose listener is gone says nothing, and counts as stopped.
"""

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from django.conf import settings

from ingestion.providers import provider_of
from worker.redis import async_client, client, key

STOPPED: Final = "stopped"
IDLE: Final = "idle"  # nothing is wanted of it
REFUSED: Final = "refused"  # by the venue, or for want of a key: tried again seldom
CONNECTING: Final = "connecting"
SUBSCRIBING: Final = "subscribing"
LIVE: Final = "live"
STALE: Final = "stale"
DRAINING: Final = "draining"

# Where it is published, for staff.
TOPIC: Final = "feeds"
EVENT: Final = "feed"

# The least advanced first.
ORDER: Final = (STOPPED, IDLE, REFUSED, CONNECTING, SUBSCRIBING, DRAINING, STALE, LIVE)

EXPIRES_S: Final = 30
# A listener tells every second; after this it is stuck or gone.
SILENCE_S: Final = 5.0
LATENCIES_KEPT: Final = 4096


class ConnectionStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of a feed's sockets. subscribed, asked: streams that the venue gives, and that it has not answered yet."""

    state: str
    symbols: int = 0
    reconnects: int = 0
    age_s: float | None = None
    subscribed: int = 0
    asked: int = 0
    last_error: str = ""


class FeedStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """One feed, as its listener last told.

    state: that of its least advanced connection: refused, connecting, subscribing, live; or stale (connected, and
        mute), idle (nothing is wanted), draining, stopped.
    at_us, last_tick_us: when this was told, and when its newest tick was received; 0 for never.
    latency_ms: p50 and p99 from the venue's time to our receipt; negative where the clocks differ, never clamped.
    journal_ms: the same from the receipt of a flush's oldest tick until the journal has it.
    clock_skew_ms: how far our clock is behind the venue's at the least, where that is beyond doubt; else 0.
    The counts are since the listener started.
    silent: symbols subscribed long ago of which nothing was ever heard; mute: streams that used to speak and do not;
    refused: streams that the venue does not give, and symbols without room.
    books: how many are in which state; snapshots_waiting: books whose snapshot is to be fetched.
    last_error: of the newest of its connections' troubles. closed: all its markets are, so that silence is no trouble.
    """

    provider: str
    shard: str
    state: str = STOPPED
    at_us: int = 0
    last_tick_us: int = 0
    symbols: int = 0
    ticks: int = 0
    ticks_per_s: float = 0.0
    frames: int = 0
    reconnects: int = 0
    malformed: int = 0
    quarantined: int = 0
    suspect: int = 0
    duplicates: int = 0
    unknown: int = 0
    venue_errors: int = 0
    dropped: int = 0
    journal_full: bool = False
    gaps_open: int = 0
    latency_ms: dict[str, float] = {}
    journal_ms: dict[str, float] = {}
    clock_skew_ms: float = 0.0
    silent: list[str] = []
    mute: list[str] = []
    refused: list[str] = []
    books: dict[str, int] = {}
    snapshots_waiting: int = 0
    last_error: str = ""
    closed: bool = False
    connections: list[ConnectionStatus] = []

    def last_tick_age_s(self, now_us: int) -> float | None:
        """How long ago its newest tick was received; None if it had none."""
        return (now_us - self.last_tick_us) / 1e6 if self.last_tick_us else None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(FeedStatus).decode


async def tell(status: FeedStatus) -> None:
    """Replace what is known of the feed. Raises redis.RedisError."""
    await async_client().set(_key(status.shard), _encode(status), ex=EXPIRES_S)


def payload(feed: FeedStatus, now_us: int) -> dict[str, Any]:
    """What staff are told of it, over HTTP and the topic `feeds`."""
    age_s = feed.last_tick_age_s(now_us)
    return {
        "provider": feed.provider,
        "state": feed.state,
        "last_tick_age_s": None if age_s is None else round(age_s, 3),
        "ticks_per_s": feed.ticks_per_s,
        "reconnects": feed.reconnects,
        "gaps_open": feed.gaps_open,
        "latency_ms": feed.latency_ms,
        "clock_skew_ms": feed.clock_skew_ms,
        "symbols": feed.symbols,
        "malformed": feed.malformed,
        "quarantined": feed.quarantined,
        "dropped": feed.dropped,
        "journal_full": feed.journal_full,
        "closed": feed.closed,
        "silent": feed.silent,
        "mute": feed.mute,
        "refused": feed.refused,
        "books": feed.books,
        "snapshots_waiting": feed.snapshots_waiting,
        "last_error": feed.last_error,
        "connections": msgspec.to_builtins(feed.connections),
    }


def shards() -> list[str]:
    """The listener shards of this installation's feeds."""
    return [shard_of(provider) for provider in settings.FEEDS]


def shard_of(provider: str) -> str:
    """A provider's listener shard. There is one; its journal and its lease have its name."""
    return f"{provider}:0"


def feeds(now_us: int | None = None, providers: Sequence[str] | None = None) -> list[FeedStatus]:
    """Every feed of these providers (by default of FEEDS), in that order. Raises redis.RedisError."""
    now_us = now_us or time.time_ns() // 1000
    names = shards() if providers is None else [shard_of(provider) for provider in providers]
    stored: Any = client().mget([_key(shard) for shard in names]) if names else []
    return [_judged(shard, value, now_us) for shard, value in zip(names, stored, strict=True)]


def _judged(shard: str, value: bytes | None, now_us: int) -> FeedStatus:
    if value is None:
        return FeedStatus(provider_of(shard), shard)
    status = _decode(value)
    told_ago_s = (now_us - status.at_us) / 1e6
    mute = not status.closed and now_us - status.last_tick_us > settings.PRICE_FRESH_S * 1e6
    if status.state == LIVE and (told_ago_s > SILENCE_S or mute):
        return msgspec.structs.replace(status, state=STALE)
    return status


def _key(shard: str) -> str:
    return key("feed", shard)


class Latencies:
    """The newest latencies, bounded, and their percentiles."""

    def __init__(self) -> None:
        self._batches: deque[np.ndarray] = deque()
        self._count = 0

    def add(self, latencies_us: np.ndarray) -> None:
        """latencies_us: received minus venue time, of one flush."""
        self._batches.append(latencies_us[-LATENCIES_KEPT:])
        self._count += len(self._batches[-1])
        while self._count - len(self._batches[0]) >= LATENCIES_KEPT:
            self._count -= len(self._batches.popleft())

    def skew_ms(self) -> float:
        """How far behind the venue's clock ours is at the least: no message arrives before it was sent.

        By the second smallest of a hundred, since one odd time is no clock. 0 while nothing is negative.
        """
        if not self._count:
            return 0.0
        least = float(np.percentile(np.concatenate(list(self._batches)), 1)) / 1000
        return round(max(0.0, -least), 3)

    def percentiles_ms(self, percentiles: Sequence[int] = (50, 99)) -> dict[str, float]:
        """Such as {"p50": 12.3, "p99": 80.1}; empty before the first tick."""
        if not self._count:
            return {}
        found = np.percentile(np.concatenate(list(self._batches)), percentiles) / 1000
        return {f"p{p}": round(float(value), 3) for p, value in zip(percentiles, found, strict=True)}
