"""The Redis clients: one per process for synchronous code, one per event loop for asynchronous code."""

import asyncio
import os
import weakref
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.retry
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

_clients: dict[tuple[int, str, float | None], redis.Redis] = {}
_async_clients: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[float | None, redis.asyncio.Redis]]" = (
    weakref.WeakKeyDictionary()
)


def key(*parts: object) -> str:
    """This installation's key for `parts`, such as `tapehouse:journal:binance:0`."""
    return ":".join([settings.REDIS_PREFIX, *map(str, parts)])


def client(timeout_s: float | None = None) -> redis.Redis:
    """The process's synchronous client (bytes in, bytes out). A forked child gets its own.

    timeout_s: how long connecting, and each answer, may take; the settings' limits without it.
    Raises redis.RedisError on use; a call that timed out is never sent a second time.
    """
    identity = os.getpid(), settings.REDIS_URL, timeout_s
    found = _clients.get(identity)
    if found is None:
        for other in [other for other in _clients if other[0] != identity[0]]:
            _clients.pop(other, None)  # inherited over a fork: its sockets are the parent's
        retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
        found = _clients[identity] = redis.Redis.from_url(settings.REDIS_URL, retry=retry, **_options(timeout_s))
    return found


def async_client(timeout_s: float | None = None) -> redis.asyncio.Redis:
    """The running event loop's client; otherwise as `client`."""
    ours = _async_clients.setdefault(asyncio.get_running_loop(), {})
    if timeout_s not in ours:
        retry = redis.asyncio.retry.Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
        ours[timeout_s] = redis.asyncio.Redis.from_url(settings.REDIS_URL, retry=retry, **_options(timeout_s))
    return ours[timeout_s]


async def close_async_client() -> None:
    """Close the running loop's clients. Whoever owns the loop calls it before the loop ends."""
    for found in _async_clients.pop(asyncio.get_running_loop(), {}).values():
        await found.aclose()


def _options(timeout_s: float | None) -> dict[str, Any]:
    # redis-py would by itself try ten times, timeouts included: minutes of waiting on a silent server, and a script
    # that had been run but not answered would be run again. One try more, for a connection that had been closed.
    return {
        "socket_timeout": timeout_s or settings.REDIS_CALL_TIMEOUT_S,
        "socket_connect_timeout": min(timeout_s or settings.REDIS_CONNECT_TIMEOUT_S, settings.REDIS_CONNECT_TIMEOUT_S),
        "health_check_interval": settings.REDIS_HEALTH_CHECK_INTERVAL_S,
    }
