"""From one listener to the next without a hole, as when workers are replaced one by one.

The one that is told to end lets its lease go at once and asks for a successor, and listens on. The successor connects,
and keeps what it hears to itself until it has been live for a moment beside the other. Then it appends: the journal
refuses the older one from there on, which ends. What both heard is recognised by its ids. While the older one listens
it says so under a key that expires by itself, so that the successor knows whether there is a hole to record.
"""

from typing import Final

from worker.redis import async_client, key

# The word of a listener that died meanwhile is good for so long.
OFFER_TTL_S: Final = 1.0
# How often it gives its word.
OFFER_INTERVAL_S: Final = 0.2
# Both listen for so long before the successor appends: longer than anything waits to be flushed.
OVERLAP_S: Final = 0.5
# Whoever is there to succeed takes the lease within this.
TAKEN_WITHIN_S: Final = 1.0


async def offer(shard: str) -> None:
    """Say that this listener still listens. Raises redis.RedisError."""
    await async_client().set(_key(shard), b"1", px=int(OFFER_TTL_S * 1000))


async def withdraw(shard: str) -> None:
    """Say that it does not any more. Raises redis.RedisError."""
    await async_client().delete(_key(shard))


async def is_offered(shard: str) -> bool:
    """Whether one before us still listens. Raises redis.RedisError."""
    return bool(await async_client().exists(_key(shard)))


def _key(shard: str) -> str:
    return key("hand-over", shard)
