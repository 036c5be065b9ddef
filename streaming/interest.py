"""Which topics somebody follows: those to whose channel a web process listens, or did a moment ago.

For publishers of very many topics, most of which nobody watches. It is a moment late: whoever uses it keeps what is new
of an unwatched topic, and tells it when the topic comes to be watched. While Redis is away every topic counts as
watched.
"""

import time
from functools import lru_cache
from typing import Final

import redis
from django.conf import settings

from streaming.publish import channel_of, group_of
from worker.redis import async_client

# A topic counts as watched for so long after its channel was last seen: subscriptions are renewed now and then.
LINGER_S: Final = 5.0

_group_of = lru_cache(maxsize=100_000)(group_of)


class Interest:
    """`topic in interest`; refresh it every second or so."""

    def __init__(self) -> None:
        self._until: dict[str, float] | None = None

    def __contains__(self, topic: object) -> bool:
        return self._until is None or _group_of(topic) in self._until

    async def refresh(self) -> None:
        """Ask Redis, on the running loop."""
        prefix = channel_of("x").removesuffix(group_of("x"))
        try:
            found = await async_client(settings.PUBLISH_TIMEOUT_S).pubsub_channels(f"{prefix}*")
        except (redis.RedisError, OSError):
            self._until = None
            return
        now = time.monotonic()
        kept = {group: until for group, until in (self._until or {}).items() if until > now}
        groups = (str(channel, "utf-8")[len(prefix) :] for channel in found if isinstance(channel, bytes))
        self._until = kept | dict.fromkeys(groups, now + LINGER_S)
