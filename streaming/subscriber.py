"""One Redis connection that subscribes, and calls for each message straight from the event loop.

It is a member of the channel layer's groups as the layer's own reader would be: by Redis's SUBSCRIBE. But that reader
wakes two tasks and sets a timer for each message, which costs five times as much as everything here.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import hiredis
import redis

from worker.redis import async_client

Heard = Callable[[bytes], None]


class Subscriber:
    """channels: all that are wanted."""

    def __init__(self, heard: Heard, lost: Callable[[], None], timeout_s: float) -> None:
        """heard: called with each message's body; it must not raise. lost: called when an open connection has ended.

        timeout_s: how long connecting, and each subscription, may take.
        """
        self._heard, self._lost, self._timeout_s = heard, lost, timeout_s
        self.channels: set[str] = set()
        self._line: _Line | None = None

    async def open(self) -> None:
        """Connect anew and subscribe to all channels. Raises redis.RedisError, OSError."""
        self.close()
        pool: Any = async_client(self._timeout_s).connection_pool
        connection = pool.make_connection()
        await connection.connect()  # signs in, as its URL says; every answer to that has been read when it returns
        line = _Line(connection, self._heard, self._ended)
        try:
            await self._until_joined(line, *self.channels)
        except BaseException:
            line.close()
            raise
        self._line = line

    async def subscribe(self, channel: str) -> None:
        """Returns when Redis has confirmed it. Raises redis.RedisError, OSError; `open` then tries again."""
        self.channels.add(channel)
        if self._line is None:
            raise redis.ConnectionError("not connected")
        await self._until_joined(self._line, channel)

    async def _until_joined(self, line: "_Line", *channels: str) -> None:
        async with asyncio.timeout(self._timeout_s):
            await asyncio.gather(*line.subscribe(channels))

    def unsubscribe(self, channel: str) -> None:
        self.channels.discard(channel)
        if self._line is not None:
            self._line.send("UNSUBSCRIBE", channel)

    def close(self) -> None:
        """Safe to call again; without `lost`."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _ended(self, line: "_Line") -> None:
        if line is self._line:
            self._line = None
            self._lost()


class _Line(asyncio.Protocol):
    """What listens on a connection that redis-py has made, instead of redis-py."""

    def __init__(self, connection: Any, heard: Heard, ended: Callable[["_Line"], None]) -> None:
        # Kept: a stream's writer that nobody holds closes its transport.
        self._writer, connection._writer = connection._writer, None
        self._transport: asyncio.Transport = self._writer.transport
        self._replies = hiredis.Reader()
        self._heard, self._ended = heard, ended
        self._joining: dict[bytes, asyncio.Future[None]] = {}
        self._transport.set_protocol(self)

    def send(self, *words: Any) -> None:
        self._transport.write(hiredis.pack_command(words))

    def subscribe(self, channels: tuple[str, ...]) -> list["asyncio.Future[None]"]:
        """Done when it is confirmed; fail when the connection ends before."""
        for name in map(str.encode, channels):
            if name not in self._joining or self._joining[name].done():
                self._joining[name] = asyncio.get_running_loop().create_future()
        self.send("SUBSCRIBE", *channels)
        return [self._joining[channel.encode()] for channel in channels]

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Redis says [message, channel, body], [subscribe, channel, count] and the like."""
        self._replies.feed(data)
        while (reply := self._replies.gets()) is not False:
            if isinstance(reply, list) and reply[0] == b"message":
                self._heard(reply[2])
            elif isinstance(reply, list) and reply[0] == b"subscribe":
                self._settle(reply[1], None)

    def connection_lost(self, exc: Exception | None) -> None:
        for name in list(self._joining):
            self._settle(name, exc or ConnectionResetError("the connection has ended"))
        self._ended(self)

    def _settle(self, name: bytes, error: Exception | None) -> None:
        future = self._joining.pop(name, None)
        if future is None or future.done():  # given up meanwhile
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
