"""The Redis clients: one per process for synchronous code, one per event loop for asynchronous code."""

import asyncio
import os
import weakref

import redis
import redis.asyncio
from django.conf import settings

_clients: dict[int, redis.Redis] = {}
_async_clients: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis]" = (
    weakref.WeakKeyDictionary()
)


def key(*parts: object) -> str:
    """This installation's key for `parts`, such as `tapehouse:journal:binance:0`."""
    return ":".join([settings.REDIS_PREFIX, *map(str, parts)])


def client() -> redis.Redis:
    """The process's synchronous client (bytes in, bytes out). A forked child gets its own."""
    pid = os.getpid()
    if pid not in _clients:
        _clients.clear()  # inherited over a fork: its sockets are the parent's
        _clients[pid] = redis.Redis.from_url(settings.REDIS_URL, **_options())
    return _clients[pid]


def async_client() -> redis.asyncio.Redis:
    """The running event loop's client (bytes in, bytes out)."""
    loop = asyncio.get_running_loop()
    if loop not in _async_clients:
        _async_clients[loop] = redis.asyncio.Redis.from_url(settings.REDIS_URL, **_options())
    return _async_clients[loop]


async def close_async_client() -> None:
    """Close the running loop's client. Whoever owns the loop calls it before the loop ends."""
    found = _async_clients.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.aclose()


def _options() -> dict[str, float]:
    return {
        "socket_timeout": settings.REDIS_SOCKET_TIMEOUT_S,
        "socket_connect_timeout": settings.REDIS_CONNECT_TIMEOUT_S,
        "health_check_interval": settings.REDIS_HEALTH_CHECK_INTERVAL_S,
    }
