"""Telling every web process what happened. A hint only: the database and the stores are the record.

Messages go out as the Channels pub/sub layer itself would send them to a group, so that each web process's hub gets
them by being a member of that group; but encoded once, all in one round trip, from a client that lives as long as the
process. (`async_to_sync(group_send)` per message opens a connection each time and keeps it.)
"""

import hashlib
import re
import threading
import time
from collections.abc import Sequence

import msgspec
import redis
from channels.layers import get_channel_layer
from django.conf import settings

from streaming.protocol import Message
from worker import metrics
from worker.redis import async_client, client

# What the hub's members of a group receive: {"type": HINT, "body": the Message as JSON}.
HINT = "hint"

# One command for a whole batch: redis-py spends 15 µs on each PUBLISH of a pipeline, and 4 µs on each here.
_PUBLISH_ALL = "for i = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end"

_encode = msgspec.json.Encoder().encode
# What the layer allows in a group's name; others are hashed.
_PLAIN = re.compile(r"[A-Za-z0-9_.:-]{1,80}")


class _Outage:
    """While Redis is away, each publisher asks for it once in a while instead of waiting at each message."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.until = 0.0

    def lasts(self) -> bool:
        return time.monotonic() < self.until

    def begin(self, messages: int) -> int:
        """Count the messages as lost, ask again later; returns 0, the number handed over."""
        with self.lock:
            self.until = time.monotonic() + settings.PUBLISH_RETRY_INTERVAL_S
        metrics.count("streaming.unpublished", messages)
        return 0


_outage = _Outage()


def publish(messages: Sequence[Message]) -> int:
    """Hand the messages to every interested web process; synchronous, one round trip.

    Returns how many were handed to Redis. During an outage it counts and returns 0; it never raises for that.
    """
    if not messages:
        return 0
    if _outage.lasts():
        metrics.count("streaming.unpublished", len(messages))
        return 0
    try:
        client(settings.PUBLISH_TIMEOUT_S).register_script(_PUBLISH_ALL)(args=_wire(messages))
    except redis.RedisError:
        return _outage.begin(len(messages))
    return len(messages)


async def apublish(messages: Sequence[Message]) -> int:
    """As `publish`, on the running event loop."""
    if not messages:
        return 0
    if _outage.lasts():
        metrics.count("streaming.unpublished", len(messages))
        return 0
    try:
        await async_client(settings.PUBLISH_TIMEOUT_S).register_script(_PUBLISH_ALL)(args=_wire(messages))
    except redis.RedisError:
        return _outage.begin(len(messages))
    return len(messages)


def group_of(topic: str) -> str:
    """The topic's group on the channel layer, whose names are short and plain."""
    if _PLAIN.fullmatch(topic):
        return "topic." + topic.replace(":", ".")
    return "topic-hash." + hashlib.blake2b(topic.encode(), digest_size=20).hexdigest()


def channel_of(topic: str) -> str:
    """The Redis channel that the layer subscribes to for the topic's group."""
    return f"{settings.REDIS_PREFIX}__group__{group_of(topic)}"


def _wire(messages: Sequence[Message]) -> list[str | bytes]:
    """Channel and body of each message, one after the other."""
    serialize = get_channel_layer().serialize
    wire: list[str | bytes] = []
    for message in messages:
        wire += (channel_of(message.topic), serialize({"type": HINT, "body": _encode(message)}))
    return wire
