"""A bare client for the venues' own tests: raw texts over a socket, nothing of the product's."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.venues.server import Venue


class Caller:
    """One connection; what it heard, in its order."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.heard: list[Any] = []

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def hear(self, timeout_s: float = 5.0) -> Any:
        """The next frame, its numbers as texts."""
        text = await asyncio.wait_for(self.socket.recv(), timeout_s)
        self.heard.append(json.loads(text, parse_float=str, parse_int=str))
        return self.heard[-1]

    async def until(self, wanted: Callable[[Any], Any], timeout_s: float = 5.0) -> Any:
        """The next frame of which this is true."""
        async with asyncio.timeout(timeout_s):
            while not wanted(await self.hear(timeout_s)):
                pass
        return self.heard[-1]

    async def drain(self, quiet_s: float = 0.2) -> list[Any]:
        """All that comes until nothing does."""
        came = []
        while True:
            try:
                came.append(await self.hear(quiet_s))
            except TimeoutError:
                return came


@asynccontextmanager
async def calling(venue: Venue, path: str = "/") -> AsyncIterator[Caller]:
    async with connect(venue.ws_url + path, max_size=1 << 25, max_queue=None, ping_interval=None) as socket:
        yield Caller(socket)


async def order(what: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Give an order from this loop's side."""
    return await asyncio.to_thread(what, *arguments, **named)
