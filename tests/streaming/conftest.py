"""A real uvicorn in a thread, with a hub of its own, and clients that speak to it."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import uvicorn
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from redis import RedisError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from streaming import hub, threads
from streaming.loop import new_event_loop
from streaming.wire import TapehouseWebSocketProtocol
from tests.streaming import topics
from worker.redis import client, close_async_client, key

topics.register()


class Server:
    """uvicorn on an event loop in a thread. `run(f)` calls f on that loop."""

    def __init__(self) -> None:
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.loop: asyncio.AbstractEventLoop | None = None
        self.hub: hub.Hub | None = None
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        from project.asgi import application

        config = uvicorn.Config(
            application, ws=TapehouseWebSocketProtocol, lifespan="off", log_config=None, timeout_graceful_shutdown=3
        )
        self.uvicorn = uvicorn.Server(config)
        self._thread.start()
        while not self.uvicorn.started:
            self._thread.join(0.01)
            assert self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:  # the web process's own
            runner.run(self._serve())

    async def _serve(self) -> None:
        self.loop, self.hub = asyncio.get_running_loop(), hub.current()
        await self.uvicorn._serve([self.socket])
        await self.hub.close()
        await close_async_client()

    def stop(self) -> None:
        self.uvicorn.should_exit = True
        self._thread.join()

    def run(self, function: Callable[[], Any]) -> Any:
        async def call() -> Any:
            return function()

        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(call(), self.loop).result()


class Client:
    """A browser, or something like it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, type: str, data: dict[str, Any] | None = None, **more: Any) -> None:
        await self.socket.send(json.dumps({"type": type, "data": data or {}, **more}))

    async def hear(self, timeout_s: float = 5) -> Any:
        return json.loads(await asyncio.wait_for(self.socket.recv(), timeout_s))

    async def hear_until(self, type: str) -> Any:
        while (message := await self.hear())["type"] != type:
            pass
        return message

    async def silent(self, for_s: float = 0.3) -> bool:
        """Whether nothing but the answer to a ping comes."""
        await self.say("ping", id="silent")
        first = await self.hear()
        with contextlib.suppress(TimeoutError):
            await self.hear(for_s)
            return False
        return first.get("id") == "silent"

    async def closed(self) -> int:
        """The code, after all that was said before."""
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()
            await self.socket.wait_closed()
        assert self.socket.close_code is not None
        return self.socket.close_code


@pytest.fixture
def server(transactional_db: None, settings: Any) -> Iterator[Server]:
    settings.HUB_HEARTBEAT_S = 0.2
    settings.HUB_SILENCE_S = 0.6
    settings.HUB_LINGER_S = 0.2
    topics.state.clear()
    started = Server()
    started.start()
    yield started
    started.stop()
    threads.close()
    with contextlib.suppress(RedisError):  # the test may have ended its Redis
        for pattern in (key("connections", "*"), key("hub*")):
            for found in client().scan_iter(pattern):
                client().delete(found)


@pytest.fixture
async def dial(server: Server) -> AsyncIterator[Callable[..., Any]]:
    """`await dial("realtime", user=alice)`; all are hung up at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def call(path: str = "realtime/", user: Any = None, greeted: bool = True, **options: Any) -> Client:
            headers = options.pop("additional_headers", {})
            if user is not None:
                headers["Cookie"] = f"sessionid={await asyncio.to_thread(sign_in, user)}"
            url = f"ws://127.0.0.1:{server.port}/ws/{path}"
            socket = await stack.enter_async_context(connect(url, additional_headers=headers, **options))
            dialled = Client(socket)
            if greeted and path.startswith("realtime"):
                assert (await dialled.hear())["type"] == "connection"
            return dialled

        yield call


def sign_in(user: Any) -> str:
    """A session of the user's; its key."""
    from django.db import connection

    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    connection.close()
    return str(session.session_key)
