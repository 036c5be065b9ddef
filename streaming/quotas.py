"""How many connections one user, or one anonymous address, may hold: counted in Redis across all web processes.

Each connection is a lease that its process renews. A killed process's leases run out; nothing leaks.
"""

import asyncio
import logging
import weakref
from collections.abc import Iterable
from typing import Any

import msgspec
import redis
from django.conf import settings

from worker import metrics
from worker.redis import async_client, key

logger = logging.getLogger(__name__)

# KEYS[1]: a sorted set of connection ids by the time (s) when their lease ends. ARGV: id, limit, lease in s.
# Returns 1 when the connection is let in.
_TAKE = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3] + 1)
return 1
"""
# KEYS[1] as above. ARGV: lease in s, then the ids. A restarted Redis learns of them again.
_RENEW = """
local now = tonumber(redis.call('TIME')[1])
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
redis.call('EXPIRE', KEYS[1], ARGV[1] + 1)
return 1
"""


# A thousand clients may come back in one second, after a restart; the Redis client has far fewer connections.
_AT_ONCE = 20
_gates: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]" = weakref.WeakKeyDictionary()


class OverLimit(Exception):
    """One connection too many; the sentence names the limit."""

    def __init__(self, limit: int, per: str) -> None:
        super().__init__(f"At most {limit} connections per {per}")
        self.limit, self.per = limit, per


class Lease(msgspec.Struct, frozen=True):
    """owner: `user:7` or `address:203.0.113.9`."""

    owner: str
    connection_id: str


async def take(user: Any, address: str, connection_id: str) -> Lease:
    """Count the connection. Raises OverLimit. While Redis is away everybody is let in, and counted when it is back."""
    if user.is_authenticated:
        lease, limit, per = Lease(f"user:{user.pk}", connection_id), settings.MAX_CONNECTIONS_PER_USER, "user"
    else:
        lease, limit, per = Lease(f"address:{address}", connection_id), settings.MAX_CONNECTIONS_PER_ADDRESS, "address"
    script = async_client(settings.PUBLISH_TIMEOUT_S).register_script(_TAKE)
    try:
        async with _gate():
            taken = await script(keys=[_key(lease.owner)], args=[connection_id, limit, _ttl_s()])
    except redis.RedisError as error:
        logger.warning("a connection is not counted: %s", error)
        metrics.count("streaming.uncounted_connections")
        return lease
    if not taken:
        raise OverLimit(limit, per)
    return lease


async def renew(leases: Iterable[Lease]) -> None:
    """Keep the leases of the connections that live. Raises redis.RedisError."""
    by_owner: dict[str, list[str]] = {}
    for lease in leases:
        by_owner.setdefault(lease.owner, []).append(lease.connection_id)
    if not by_owner:
        return
    client = async_client(settings.PUBLISH_TIMEOUT_S)
    script = client.register_script(_RENEW)
    async with client.pipeline(transaction=False) as pipe:
        for owner, ids in by_owner.items():
            await script(keys=[_key(owner)], args=[_ttl_s(), *ids], client=pipe)
        await pipe.execute()


async def give_back(lease: Lease) -> None:
    """The connection is gone. Without Redis its lease runs out by itself."""
    try:
        async with _gate():
            await async_client(settings.PUBLISH_TIMEOUT_S).zrem(_key(lease.owner), lease.connection_id)
    except redis.RedisError as error:
        logger.debug("a lease is left to run out: %s", error)


def _gate() -> asyncio.Semaphore:
    return _gates.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE))


def _key(owner: str) -> str:
    return key("connections", owner)


def _ttl_s() -> int:
    return max(1, int(settings.CONNECTION_LEASE_TTL_S))
