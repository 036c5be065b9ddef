"""One owner at a time, and a fencing token for whoever still believes it is.

A lease is a Redis key that expires by itself. Its holder renews it; without a renewal the holder counts it as lost
by its own clock *before* Redis lets go of it, so a cut-off holder stops before a successor starts. A holder that was
frozen (a paused process, a blocked loop) cannot notice in time: for that there is the token. Every grant's token is
higher than all before it, and stores that take writes under a lease refuse a lower token than the last they saw.
"""

import os
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import redis as redis_py
from django.conf import settings

from worker.redis import async_client, client, key

# KEYS: the lease, its token counter. ARGV: the holder, the life in ms. Returns the token, or 0 when it is held.
# The counter has no expiry; should Redis lose it, the clock carries on from above every earlier token.
_ACQUIRE = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local now = redis.call('TIME')
local token = math.max((tonumber(redis.call('GET', KEYS[2])) or 0) + 1, now[1] * 1000000 + now[2])
local text = string.format('%.0f', token)
redis.call('SET', KEYS[2], text)
redis.call('SET', KEYS[1], text .. ' ' .. ARGV[1], 'PX', ARGV[2])
return token
"""
# KEYS: the lease. ARGV: the token, the life in ms. Returns 1, or 0 when another token (or none) is there.
_RENEW = """
local held = redis.call('GET', KEYS[1])
if not held or string.match(held, '^%d+') ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_RELEASE = """
local held = redis.call('GET', KEYS[1])
if not held or string.match(held, '^%d+') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

# The holder stops this part of the life earlier than Redis does: two clocks need not run equally fast.
_SAFETY = 0.1


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease."""

    token: int
    name: str  # host:process:thread


@dataclass(slots=True)
class Lease:
    """A granted lease. `lost` turns true for good when it was not renewed in time or is another's."""

    name: str
    token: int
    ttl_s: float
    good_until: float  # on the monotonic clock
    _gone: bool = field(default=False, repr=False)

    @property
    def lost(self) -> bool:
        """Whether to stop acting. Reads this process's clock only, so it can be asked at any rate."""
        if time.monotonic() >= self.good_until:
            self._gone = True
        return self._gone

    def renew(self) -> bool:
        """Prolong it by its whole life; false when it is lost. Raises redis.RedisError; `lost` then tells the time."""
        asked_at = time.monotonic()
        return self._renewed(_call(client(self.ttl_s / 3), _RENEW, *self._renewal()), asked_at)

    async def arenew(self) -> bool:
        """As `renew`, on the running loop."""
        asked_at = time.monotonic()
        return self._renewed(await _call(async_client(self.ttl_s / 3), _RENEW, *self._renewal()), asked_at)

    def release(self) -> None:
        """Let go at once, if it is still ours. Raises redis.RedisError; the lease then runs out by itself."""
        self._gone = True
        _call(client(self.ttl_s / 3), _RELEASE, [_lease_key(self.name)], [self.token])

    def _renewal(self) -> tuple[list[str], list[int]]:
        return [_lease_key(self.name)], [self.token, _ms(self.ttl_s)]

    def _renewed(self, answer: int, asked_at: float) -> bool:
        # A lease that ran out meanwhile is not taken up again: somebody may have acted on its absence.
        if answer != 1 or self.lost:
            self._gone = True
        else:
            self.good_until = _good_until(asked_at, self.ttl_s)
        return not self._gone


def acquire(name: str, ttl_s: float | None = None) -> Lease | None:
    """Take the lease, or None when it is held.

    ttl_s: how long it lives without a renewal; settings.LEASE_TTL_S without it. Renew at least three times in that.
    Raises redis.RedisError.
    """
    ttl_s = ttl_s or settings.LEASE_TTL_S
    asked_at = time.monotonic()
    token = _call(client(ttl_s / 3), _ACQUIRE, [_lease_key(name), key("lease-token", name)], [_whoami(), _ms(ttl_s)])
    return Lease(name, token, ttl_s, _good_until(asked_at, ttl_s)) if token else None


def holder(name: str) -> Holder | None:
    """Who holds the lease now."""
    return _holder(client().get(_lease_key(name)))


def held(names: Iterable[str]) -> set[str]:
    """Those of the names whose lease is held, in one round trip."""
    asked = list(names)
    answers: Any = client().mget([_lease_key(name) for name in asked]) if asked else []
    return {name for name, answer in zip(asked, answers, strict=True) if answer is not None}


def _call(to: "redis_py.Redis | redis_py.asyncio.Redis", script: str, keys: list[str], arguments: list[Any]) -> Any:
    return to.eval(script, len(keys), *keys, *arguments)


def _holder(value: Any) -> Holder | None:
    if value is None:
        return None
    token, _, name = value.decode().partition(" ")
    return Holder(int(token), name)


def _lease_key(name: str) -> str:
    return key("lease", name)


def _good_until(asked_at: float, ttl_s: float) -> float:
    # Counted from before the question was sent: Redis can only have started later.
    return asked_at + ttl_s * (1 - _SAFETY)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _whoami() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{threading.current_thread().name}"
