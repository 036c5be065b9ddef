"""A TCP proxy on loopback that misbehaves on order: forward, slow, stall (a black hole), cut.

with Proxy(port_of_redis) as proxy:
    connect_to(proxy.port)
    proxy.stall()    # nobody gets an answer, nobody gets an error
    proxy.resume()   # new connections work; those that were open in the black hole never answer again
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Self
from urllib.parse import urlsplit

CHUNK_BYTES = 64 * 1024
_AT_ONCE = struct.pack("ii", 1, 0)


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, dead: bool) -> None:
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self.dead = dead  # swallowed by a black hole, for good

    def abort(self) -> None:
        for writer in (self.client, self.server):
            if writer is not None:
                # Without lingering, closing is a reset: what a killed server or a firewall sends.
                with contextlib.suppress(OSError):  # closed meanwhile, from the other side
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                writer.transport.abort()


class Proxy:
    """Runs on a thread of its own; every method may be called from any thread."""

    def __init__(self, target: int | str) -> None:
        """target: a port on this machine, or an address such as redis://:secret@127.0.0.1:6379/0."""
        self.address = urlsplit(target) if isinstance(target, str) else None
        self.target = (self.address.hostname, self.address.port) if self.address else ("127.0.0.1", target)
        self.port = 0
        self._links: set[_Link] = set()
        self._stalled = False
        self._refusing = False
        self._bytes_per_s: float | None = None
        self._delay_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The target's address, through the proxy."""
        assert self.address is not None, "the target was given as a port"
        login = f"{before}@" if (before := self.address.netloc.rpartition("@")[0]) else ""
        return self.address._replace(netloc=f"{login}127.0.0.1:{self.port}").geturl()

    @property
    def connections(self) -> int:
        """How many are open and alive."""
        return sum(not link.dead for link in self._links)

    def stall(self) -> None:
        """Become a black hole: what is sent, in either direction, is gone. New connections get no answer either."""
        self._stalled = True
        for link in list(self._links):
            link.dead = True

    def resume(self) -> None:
        """Forward again, at full speed. What fell into the black hole stays there: its peer never hears of it."""
        self._stalled = self._refusing = False
        self._bytes_per_s, self._delay_s = None, 0.0

    def cut(self) -> None:
        """Reset every connection, and each new one until `resume`."""
        self._refusing = True
        self._do(self._abort_all)

    def drop(self) -> None:
        """Reset every connection; new ones work."""
        self._do(self._abort_all)

    def slow(self, bytes_per_s: float | None = None, delay_s: float = 0.0) -> None:
        """Pass at most so many bytes a second on each connection, and each chunk so much later."""
        self._bytes_per_s, self._delay_s = bytes_per_s, delay_s

    def _do(self, step: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await step()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        await self._abort_all()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _abort_all(self) -> None:
        for link in list(self._links):
            link.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer, dead=self._stalled)
        self._links.add(link)
        try:
            if self._refusing:
                return
            if link.dead:
                await self._pump(link, reader, None)
                return
            server_reader, link.server = await asyncio.open_connection(*self.target)
            await asyncio.gather(self._pump(link, reader, link.server), self._pump(link, server_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass  # one side went away, or the test is over
        finally:
            with contextlib.suppress(OSError):
                link.abort()
            self._links.discard(link)

    async def _pump(self, link: _Link, reader: asyncio.StreamReader, writer: Any) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if self._delay_s or self._bytes_per_s:
                await asyncio.sleep(self._delay_s + (len(chunk) / self._bytes_per_s if self._bytes_per_s else 0.0))
            if not link.dead:
                writer.write(chunk)
                await writer.drain()
        if not link.dead:
            raise ConnectionResetError  # one side closed: so does the other
        await asyncio.Event().wait()  # a black hole does not pass on an end either
