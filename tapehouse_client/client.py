"""The asyncio client: one connection, kept up; any number of subscriptions on it."""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from tapehouse_client.conversation import FINAL, ConnectionRefused, Conversation, Event, Granted, Refused

BUFFER_MAX: Final = 1000
HEARTBEAT_S: Final = 30.0
PONG_TIMEOUT_S: Final = 10.0
OPEN_TIMEOUT_S: Final = 10.0
BACKOFF_BASE_S: Final = 0.5
BACKOFF_CAP_S: Final = 20.0
# A connection that held for so long was a good one: the next loss starts the backoff anew.
SETTLED_S: Final = 5.0
REFRESH_EVERY_S: Final = 300.0
SIGN_IN_NEEDED: Final = 4001
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024


class Subscription(AsyncIterator[Event]):
    """Events of some topics, as they come. Iterate it; leaving the loop for good needs `close()`."""

    def __init__(self, client: "Client", topics: Iterable[str]) -> None:
        self._client = client
        self.topics = set(topics)
        self.dropped = 0
        self._waiting: deque[Event] = deque()
        self._behind: dict[str, tuple[str, int] | None] = {}
        self._delivered: dict[str, tuple[str, int]] = {}
        self._error: Exception | None = None
        self._news = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._error is not None:
                raise self._error
            if self._behind:
                await self._catch_up()
            self._news.clear()
            await self._news.wait()
        event = self._waiting.popleft()
        if event.epoch is not None and event.seq is not None:
            self._delivered[event.topic] = (event.epoch, event.seq)
        return event

    async def close(self) -> None:
        await self._client.leave(self)

    def take(self, event: Event) -> None:
        """Of a conflated topic the oldest give way; a lossless one is read anew when the reader has caught up."""
        if event.topic in self._behind:
            return
        if len(self._waiting) >= BUFFER_MAX:
            if event.seq is not None:
                self._behind[event.topic] = self._newest_of(event.topic)
                return
            self._make_room()
        self._waiting.append(event)
        self._news.set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._news.set()

    def _make_room(self) -> None:
        """Let go of the oldest event that may be missed."""
        self.dropped += 1
        for place, event in enumerate(self._waiting):
            if event.seq is None:
                del self._waiting[place]
                return

    def _newest_of(self, topic: str) -> tuple[str, int] | None:
        for event in reversed(self._waiting):
            if event.topic == topic and event.epoch is not None and event.seq is not None:
                return event.epoch, event.seq
        return self._delivered.get(topic)

    async def _catch_up(self) -> None:
        for topic in list(self._behind):
            await self._client.tell_again(topic, self._behind[topic])
            del self._behind[topic]


class Client:
    """A connection to `<url>/ws/realtime/` that comes back. url: such as `ws://localhost:8000`.

    token: an access token, or what gives a fresh one; asked before each connection and every five minutes.
    interval_ms: how often conflated topics are told, 50 to 5000.
    """

    def __init__(self, url: str, token: str | Callable[[], str] | None = None, interval_ms: int = 100) -> None:
        self.url = url.rstrip("/") + "/ws/realtime/"
        self._token = token
        self._conversation = Conversation(interval_ms)
        self._subscriptions: list[Subscription] = []
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()
        self._heard_at = self._opened_at = 0.0
        self._error: Exception | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @property
    def connected(self) -> bool:
        return self._opened.is_set()

    def subscribe(self, *topics: str) -> Subscription:
        """Events of these topics from now on, first of all their present state."""
        subscription = Subscription(self, topics)
        self._subscriptions.append(subscription)
        if self._error is not None:
            subscription.fail(self._error)
            return subscription
        messages = self._conversation.want(topics)
        if self.connected:
            asyncio.ensure_future(self._send(messages))  # noqa: RUF006 - the connection's end ends it
        return subscription

    async def leave(self, subscription: Subscription) -> None:
        """End a subscription; topics that no other one has are left."""
        self._subscriptions.remove(subscription)
        others = {topic for other in self._subscriptions for topic in other.topics}
        await self._send(self._conversation.leave(subscription.topics - others))

    async def tell_again(self, topic: str, position: tuple[str, int] | None) -> None:
        await self._send(self._conversation.again(topic, position))

    # --- The connection -------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        attempt = 0
        while True:
            started = time.monotonic()
            try:
                await self._one_connection()
            except ConnectionRefused as refused:
                self._fail(refused)
                return
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError):
                pass
            attempt = 0 if time.monotonic() - started >= SETTLED_S else attempt + 1
            await asyncio.sleep(random.uniform(0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(attempt, 30))))  # noqa: S311

    async def _one_connection(self) -> None:
        """From opening to loss. Raises ConnectionRefused when there is no coming back."""
        token = self._fresh_token()
        subprotocols: Any = None if token is None else ["bearer", token]
        try:
            async with connect(
                self.url, subprotocols=subprotocols, open_timeout=OPEN_TIMEOUT_S, close_timeout=1, ping_interval=None,
                max_size=MAX_MESSAGE_BYTES,
            ) as socket:  # fmt: skip
                self._socket, self._heard_at = socket, time.monotonic()
                self._opened_at = self._heard_at
                for message in self._conversation.open():
                    await socket.send(message)
                self._opened.set()
                await self._talk(socket)
        except InvalidStatus as refused:
            if refused.response.status_code in (401, 403):
                raise ConnectionRefused(refused.response.status_code, "the handshake was refused") from refused
            raise
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code in FINAL and not self._may_sign_in_again(closed.rcvd.code):
                raise ConnectionRefused(closed.rcvd.code, closed.rcvd.reason) from closed
            raise
        finally:
            self._socket = None
            self._opened.clear()

    async def _talk(self, socket: ClientConnection) -> None:
        beside = [asyncio.create_task(work(socket)) for work in (self._beat, self._refresh)]
        try:
            reading = asyncio.create_task(self._read(socket))
            done, _ = await asyncio.wait([reading, *beside], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (reading, *beside):
                task.cancel()
            await asyncio.wait([reading, *beside])

    async def _read(self, socket: ClientConnection) -> None:
        while True:
            text = await socket.recv()
            self._heard_at = time.monotonic()
            for heard in self._conversation.hear(text):
                self._take(heard)

    async def _beat(self, socket: ClientConnection) -> None:
        """A ping each half minute; a peer that says nothing for long is gone, whatever TCP thinks."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            asked_at = time.monotonic()
            await socket.send(self._conversation.ping())
            await asyncio.sleep(PONG_TIMEOUT_S)
            if self._heard_at < asked_at:
                socket.transport.abort()
                raise TimeoutError("the server does not answer")

    async def _refresh(self, socket: ClientConnection) -> None:
        """A token is renewed on the same connection, before the old one expires."""
        while True:
            await asyncio.sleep(REFRESH_EVERY_S)
            if callable(self._token):
                await socket.send(self._conversation.auth(self._token()))

    def _may_sign_in_again(self, code: int) -> bool:
        """A connection that held, and whose token has run out, is worth a new token."""
        return code == SIGN_IN_NEEDED and callable(self._token) and time.monotonic() - self._opened_at >= SETTLED_S

    def _fresh_token(self) -> str | None:
        return self._token() if callable(self._token) else self._token

    async def _send(self, messages: Iterable[str]) -> None:
        """Without a connection nothing is lost: the next one begins with all that is wanted."""
        socket = self._socket
        if socket is not None:
            with contextlib.suppress(ConnectionClosed):
                for message in messages:
                    await socket.send(message)

    # --- To the readers -------------------------------------------------------------------------------------------

    def _take(self, heard: Event | Granted | Refused) -> None:
        if isinstance(heard, Event):
            for subscription in self._subscriptions:
                if heard.topic in subscription.topics:
                    subscription.take(heard)
        elif isinstance(heard, Granted):
            for subscription in self._subscriptions:
                subscription.topics |= {name for topic in subscription.topics for name in heard.names_of(topic)}
        else:
            for subscription in self._subscriptions:
                if heard.topic.upper() in {topic.upper() for topic in subscription.topics}:
                    subscription.fail(heard)

    def _fail(self, error: Exception) -> None:
        self._error = error
        for subscription in self._subscriptions:
            subscription.fail(error)
