"""What every venue shares: a thread with its own loop, clients and their queues, limits, orders, and the score.

A venue is a `Venue` with its own words: how it reads a request, what its frames look like, what it allows. Every order
may be given from any thread while it runs.
"""

import asyncio
import base64
import contextlib
import json
import re
import socket as sockets
import struct
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.http11 import Request, Response

from tests.venues import faults
from tests.venues.faults import Fates, Fault
from tests.venues.http import Answer, Handler, Routes, parsed, response
from tests.venues.market import Market, SentTrade

PING_EVERY_S = 20.0
PONG_WITHIN_S = 60.0
# A client that lets so many frames wait is too slow: the venue cuts it off. A recording waits for it instead.
QUEUE_FRAMES = 50_000
PLAYED_AHEAD = 1_000
LIVE_STEP_S = 0.01
RUSH_STEP_S = 0.02
HUGE_BYTES = 20_000_000
FRAGMENTS = 3


@dataclass(frozen=True)
class Frame:
    """What goes out to those who subscribed `stream`; a stream of "" goes to everyone, whole and unharmed.

    at_ns: when it was recorded. snapshot: a whole order book.
    """

    stream: str
    text: str | bytes
    trades: tuple[SentTrade, ...] = ()
    at_ns: int = 0
    snapshot: bool = False


@dataclass(eq=False)
class Client:
    """One connection, and what was sent to it."""

    number: int
    socket: ServerConnection
    path: str
    arguments: dict[str, str]
    streams: set[str] = field(default_factory=set)
    queue: asyncio.Queue[tuple[Frame, Fault]] = field(default_factory=lambda: asyncio.Queue(QUEUE_FRAMES))
    trades: list[tuple[str, int]] = field(default_factory=list)
    said: list[str | bytes] = field(default_factory=list)
    frames: int = 0
    sequence: int = 0
    received_at: deque[float] = field(default_factory=deque)
    sent_at: float = 0.0
    asked: bool = False
    open: bool = True
    busy: bool = False


class _CountedConnection(ServerConnection):
    """Tells the venue of each frame the client sends: at some venues pings and pongs count towards the limit too."""

    heard: Callable[[Opcode], None] | None = None

    def process_event(self, event: Any) -> None:
        if isinstance(event, WireFrame) and self.heard is not None:
            self.heard(event.opcode)
        super().process_event(event)


class Venue:
    """One venue on loopback. Those of `binance.py` and the others speak; this one only listens and sends."""

    name: ClassVar[str]
    symbols: ClassVar[tuple[str, ...]]  # made up unless others are asked for
    counted: ClassVar[frozenset[Opcode]] = frozenset({Opcode.TEXT, Opcode.BINARY})
    messages_per_s: float
    connects: tuple[int, float]  # so many within so many seconds
    subscribe_within_s: float | None = None

    def __init__(
        self,
        symbols: Iterable[str] = (),
        port: int = 0,
        seed: int = 7,
        ping_every_s: float = PING_EVERY_S,
        lifetime_s: float | None = None,
        made_up: bool = True,
    ) -> None:
        """lifetime_s: it ends each connection at that age, as venues do after 24 hours.

        made_up: False where only a recording will be played, so that its books are not known before it tells them.
        """
        self.made_up = made_up
        self.market = self.make_market(tuple(symbols) or self.symbols, seed)
        self.port = port
        self.ping_every_s = ping_every_s
        self.lifetime_s = lifetime_s
        self.fates, self.routes = Fates(), Routes()
        self.sent: dict[tuple[str, int], SentTrade] = {}
        self.dropped: set[tuple[str, int]] = set()
        self.violations: list[str] = []
        self.clients: list[Client] = []
        self._refuse_until = self._mute_until = 0.0
        self._pings = True
        self._connected_at: deque[float] = deque()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"{self.name} venue", daemon=True)

    # --- What a venue says of itself --------------------------------------------------------------------------

    def make_market(self, symbols: tuple[str, ...], seed: int) -> Market:
        return Market(symbols, seed)

    def handshake(self, path: str, arguments: dict[str, str]) -> Answer | None:
        """What it answers to who wants to connect there; None lets them in."""
        raise NotImplementedError

    def greet(self, client: Client) -> Sequence[Frame]:
        """What a new connection is told at once."""
        return ()

    def reply(self, client: Client, message: str | bytes) -> Sequence[Frame]:
        """To what a client said; changes `client.streams`."""
        raise NotImplementedError

    def exceeded(self, client: Client) -> Sequence[Frame] | int:
        """What who sends too many messages is told, or the code that its connection is closed with."""
        raise NotImplementedError

    def frames_of(self, trade: SentTrade) -> Sequence[Frame]:
        """What goes out after a made-up trade."""
        raise NotImplementedError

    def told_now(self, now_us: int, everything: bool = False) -> Sequence[Frame]:
        """What goes out from time to time while the market lives: tickers, and books told in steps."""
        return ()

    def idle(self, client: Client, idle_s: float) -> Sequence[Frame]:
        """Asked each second or so: what a client is told that was sent nothing for so long."""
        return ()

    def dress(self, client: Client, frame: Frame) -> str | bytes | None:
        """The frame as it goes to this client, numbered and wrapped; None: not meant for it."""
        return frame.text

    def wants(self, client: Client, frame: Frame) -> bool:
        return frame.stream in client.streams

    def carried(self, client: Client, frame: Frame) -> tuple[SentTrade, ...]:
        """The trades in what this client is sent of the frame."""
        return frame.trades

    def expand(self, frame: Frame) -> Sequence[Frame]:
        """A recorded frame, and what else follows from it for those who subscribed otherwise."""
        return [frame]

    def spoil(self, text: str, kind: str, argument: float) -> str:
        """faults.ON_BOOKS: a book's frame with something wrong in it."""
        raise NotImplementedError

    def note(self, frame: Frame) -> None:
        """Of a recording: what this frame tells goes into `market`."""
        for trade in frame.trades:
            self.market.trades.setdefault(trade.symbol, []).append(trade)

    async def rest(self, path: str, arguments: dict[str, str], headers: Any) -> Answer | None:
        """Its REST calls; None where there is none such."""
        return None

    def shutdown_notice(self) -> str | None:
        """What it says before it closes, if it says anything."""
        return None

    # --- Life -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        if self._failed is not None:
            raise self._failed
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def _run(self) -> None:
        try:
            asyncio.run(self.serve())
        except BaseException as error:
            self._failed = error
            self._ready.set()

    async def serve(self) -> None:
        """Until ended."""
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        async with serve(
            self._talk, "127.0.0.1", self.port, process_request=self._answer, create_connection=_CountedConnection,
            ping_interval=None, compression=None, max_size=1 << 20, close_timeout=1,
        ) as server:  # fmt: skip
            self._server: Server = server
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._ended.wait()
            self.routes.ended.set()
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _do(self, work: Coroutine[Any, Any, Any], timeout_s: float | None = 60) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    # --- What the market does ---------------------------------------------------------------------------------

    def live(self, per_s: float = 100.0) -> None:
        """Make trades from now on, stamped now; ids are consecutive for each symbol, heard or not."""
        self._do(self._start("live", self._live(per_s)))

    def quiet(self) -> None:
        """Make no more trades. What waits is still sent."""
        self._do(self._quieten())

    def flood(self, count: int = 10_000) -> None:
        """So many trades at once."""
        self._do(self._flood(count))

    def play(self, frames: Iterable[Frame], speed: float | None = None) -> None:
        """Send recorded frames, as fast as the clients read, or at a multiple of the recorded pace. Waits."""
        self.made_up = False
        self._do(self._play(frames, speed), timeout_s=None)

    def settle(self, timeout_s: float = 30.0) -> None:
        """Wait until nothing waits to be sent."""
        self._do(self._settle(), timeout_s)

    def route(self, prefix: str, handler: Handler) -> None:
        """HTTP requests to paths that begin so are the handler's; it runs on the venue's thread."""
        self.routes.add(prefix, handler)

    # --- Orders to misbehave ----------------------------------------------------------------------------------

    def schedule(self, what: Iterable[Fault]) -> None:
        """Each at its data frame, counted from now."""
        self.fates.schedule(what)

    def harm(self, kind: str, count: int = 1, argument: float = 0) -> None:
        """One of faults.ON_FRAMES befalls the next frames that it can befall."""
        self.fates.next(kind, count, argument)

    def drop(self, count: int = 1) -> None:
        """The next frames are lost on the way to everyone."""
        self.harm(faults.DROP, count)

    def duplicate(self, count: int = 1) -> None:
        """The next frames go out twice."""
        self.harm(faults.DUPLICATE, count)

    def fail(self, kind: str, count: int = 1, seconds: float = 0) -> None:
        """One of faults.ON_HTTP befalls the next REST answers."""
        self.routes.fail(kind, count, seconds)

    def stall(self, pings: int = 0, seconds: float = 0) -> None:
        """Sockets stay open and nothing comes, until `resume` or for some seconds; with `pings` those still do."""
        self._pings = bool(pings)
        self._loop.call_soon_threadsafe(self._flowing.clear)
        if seconds:
            self._loop.call_soon_threadsafe(lambda: self._loop.call_later(seconds, self.resume))

    def resume(self) -> None:
        self._pings = True
        self._loop.call_soon_threadsafe(self._flowing.set)

    def mute(self, seconds: float = 5.0) -> None:
        """No data for a while, though heartbeats and pings come and requests are answered. What was data is lost."""
        self._mute_until = time.monotonic() + seconds

    def close(self, code: int = 1001) -> None:
        """End every connection; 1006 without a word."""
        self._do(self._close(code))

    def refuse(self, seconds: float = 5.0) -> None:
        """Answer 503 to who wants to connect, for a while."""
        self._refuse_until = time.monotonic() + seconds

    def inject(self, text: str | bytes) -> None:
        """Say just this, as a text frame, to everyone."""
        self._do(self._offer(Frame("", text)))

    def garbage(self) -> None:
        self.inject('{"stream":"btcusdt@trade","data":{"e":"tra')

    def not_utf8(self) -> None:
        self.inject(b'{"stream":"\xff\xfe@trade","data":{"s":"\xc3\x28"}}')

    def huge(self, size: int = HUGE_BYTES) -> None:
        self.inject('{"stream":"btcusdt@trade","data":{"x":"' + "x" * size + '"}}')

    # --- The score --------------------------------------------------------------------------------------------

    @property
    def open_clients(self) -> list[Client]:
        return [client for client in self.clients if client.open]

    def subscribed(self, stream: str) -> bool:
        return any(stream in client.streams for client in self.open_clients)

    @property
    def quantity(self) -> Decimal:
        """Of all distinct trades that left."""
        return sum((Decimal(trade.quantity) for trade in list(self.sent.values())), Decimal(0))

    def made(self) -> dict[tuple[str, int], SentTrade]:
        """Every trade that happened there, whether or not it left."""
        return {trade.key: trade for trades in list(self.market.trades.values()) for trade in list(trades)}

    def report(self) -> dict[str, Any]:
        """The score, JSON-ready."""
        return {
            "connections": len(self.clients),
            "open": len(self.open_clients),
            "streams": sorted(set().union(*(client.streams for client in self.open_clients))),
            "frames": sum(client.frames for client in self.clients),
            "trades": len(self.sent),
            "quantity": str(self.quantity),
            "dropped": len(self.dropped),
            "waiting": sum(client.queue.qsize() for client in self.open_clients),
            "faults": [[fault.at, fault.kind, fault.argument] for fault in self.fates.happened],
            "violations": self.violations,
        }

    def trades(self) -> list[list[Any]]:
        """Every distinct trade that left: [symbol, id, price, quantity, time in ms], JSON-ready."""
        return [[t.symbol, t.trade_id, t.price, t.quantity, t.time_ms] for t in list(self.sent.values())]

    def violation(self, client: Client | None, what: str) -> None:
        self.violations.append(f"connection {client.number} {what}" if client else what)

    # --- Sending ----------------------------------------------------------------------------------------------

    async def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        await self._stop(name)
        self._tasks[name] = asyncio.create_task(work)

    async def _stop(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _live(self, per_s: float) -> None:
        made, started = 0, time.monotonic()
        while True:
            due = int((time.monotonic() - started) * per_s) - made
            made += due
            await self._make_trades(due)
            for frame in self.told_now(now_us()):
                await self._offer(frame)
            await asyncio.sleep(LIVE_STEP_S)

    async def _rush(self, per_s: float, seconds: float, at_s: float) -> None:
        """Trades of so many seconds, made now and sent when their time comes: more than `live` can, unharmed.

        at_s: the second since 1970 at which they begin.
        """
        steps = [step async for step in self._steps(per_s, seconds, int(at_s * 1e6))]
        for at_us, frames in steps:
            await asyncio.sleep(max(0.0, (at_us - now_us()) / 1e6))
            for client in self.open_clients:
                self._send_at_once(client, [frame for frame in frames if self.wants(client, frame)])

    async def _steps(self, per_s: float, seconds: float, start_us: int) -> AsyncIterator[tuple[int, list[Frame]]]:
        """What is told at each moment to come."""
        made = 0
        for at_us in range(start_us, start_us + int(seconds * 1e6), int(RUSH_STEP_S * 1e6)):
            due = int((at_us - start_us) / 1e6 * per_s) - made
            made += due
            frames = [f for _ in range(due) for f in self.frames_of(self.market.make_trade(at_us))]
            yield at_us, [*frames, *self.told_now(at_us)]
            await asyncio.sleep(0)

    def _send_at_once(self, client: Client, frames: Sequence[Frame]) -> None:
        """In one write, past the queue; between the frames of the queue, never within one."""
        texts = [(frame, text) for frame in frames if (text := self.dress(client, frame)) is not None]
        wire = [WireFrame(Opcode.TEXT, as_text(text).encode()).serialize(mask=False) for _, text in texts]
        client.socket.transport.write(b"".join(wire))
        client.sent_at = time.monotonic()
        for frame, _ in texts:
            self._score(client, frame)

    async def _flood(self, count: int) -> None:
        await self._make_trades(count)
        await self._tell_everything()

    async def _quieten(self) -> None:
        await self._stop("live")
        await self._tell_everything()

    async def _tell_everything(self) -> None:
        for frame in self.told_now(now_us(), everything=True):
            await self._offer(frame)

    async def _make_trades(self, count: int) -> None:
        for _ in range(count):
            for frame in self.frames_of(self.market.make_trade(now_us())):
                await self._offer(frame)

    async def _play(self, frames: Iterable[Frame], speed: float | None) -> None:
        first_ns, started = None, time.monotonic()
        for frame in frames:
            first_ns = frame.at_ns if first_ns is None else first_ns
            if speed is not None:
                await asyncio.sleep(max(0.0, (frame.at_ns - first_ns) / 1e9 / speed - time.monotonic() + started))
            self.note(frame)
            if frame.stream:
                for part in self.expand(frame):
                    await self._offer(part, patient=True)
        await self._settle()

    async def _offer(self, frame: Frame, patient: bool = False) -> None:
        """To those who subscribed it. patient: wait for a slow client instead of cutting it off."""
        fate = Fault(0, faults.PASS)
        if frame.stream:
            for fault in self.fates.due():
                await self._befall(fault)
            fate = self.fates.of(frame.snapshot, self.is_book(frame))
            if time.monotonic() < self._mute_until:
                fate = Fault(0, faults.DROP)
            if fate.kind in (faults.DROP, faults.HALF):
                self.dropped.update(trade.key for trade in frame.trades)
        for client in self.open_clients:
            if not frame.stream or self.wants(client, frame):
                if patient:
                    await self._room(client)
                self.put(client, frame, fate)

    def is_book(self, frame: Frame) -> bool:
        """Whether it changes an order book."""
        return False

    def put(self, client: Client, frame: Frame, fate: Fault | None = None) -> None:
        if client.queue.full():
            self.violation(client, "is too slow")
            client.socket.transport.abort()
        else:
            client.queue.put_nowait((frame, fate or self.fates.of_answer(frame.snapshot)))

    async def _befall(self, fault: Fault) -> None:
        """A scheduled fault: on the coming frame, on an answer to come, or on the connections."""
        if fault.kind in faults.ON_FRAMES:
            self.harm(fault.kind, argument=fault.argument)
        elif fault.kind in faults.ON_HTTP:
            self.fail(fault.kind, seconds=fault.argument)
        elif fault.kind == faults.CLOSE:
            await self._close(int(fault.argument) or 1001)
        elif fault.kind == faults.STALL:
            self.stall(seconds=fault.argument or 1.0)
        elif fault.kind == faults.MUTE:
            self.mute(fault.argument or 1.0)
        elif fault.kind == faults.REFUSE:
            self.refuse(fault.argument or 1.0)
            await self._close(1001)
        elif fault.kind == faults.SHUTDOWN:
            self._tasks[f"shutdown {self.fates.frames}"] = asyncio.create_task(self._shut_down(fault.argument or 1.0))
        else:
            raise ValueError(f"no such fault: {fault.kind}")

    async def _shut_down(self, after_s: float) -> None:
        """The notice, and after some seconds the end of the connections that are open now."""
        notice, doomed = self.shutdown_notice(), self.open_clients
        if notice is not None:
            await self._offer(Frame("", notice))
        await asyncio.sleep(after_s)
        await self._close(1001, doomed)

    async def _room(self, client: Client) -> None:
        while client.open and client.queue.qsize() >= PLAYED_AHEAD:
            await asyncio.sleep(LIVE_STEP_S / 10)

    async def _settle(self) -> None:
        while any(client.busy or not client.queue.empty() for client in self.open_clients):
            await asyncio.sleep(LIVE_STEP_S)

    async def _send(self, client: Client) -> None:
        """The frames that wait for one client, one after the other."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                frame, fate = await client.queue.get()
                client.busy = True
                await self._flowing.wait()
                await self._deliver(client, frame, fate)
                client.busy = False

    async def _deliver(self, client: Client, frame: Frame, fate: Fault) -> None:
        text = self.dress(client, frame)
        if text is None or fate.kind == faults.DROP:
            return
        if fate.kind in (faults.HALF, faults.CUT_SNAPSHOT):
            self._send_half(client, text)
            return
        if fate.kind == faults.REORDER:
            await self._let_one_pass(client)
        elif fate.kind == faults.DELAY:
            await asyncio.sleep(fate.argument or 0.1)
        elif fate.kind == faults.UNKNOWN_FIELDS:
            text = with_unknown_fields(text)
        elif fate.kind in faults.ON_BOOKS:
            text = self.spoil(as_text(text), fate.kind, fate.argument)
        for _ in range(2 if fate.kind == faults.DUPLICATE else 1):
            await self._write(client, text, fate.kind == faults.FRAGMENT)
        self._score(client, frame)

    def _score(self, client: Client, frame: Frame) -> None:
        client.frames += 1
        for trade in self.carried(client, frame):
            client.trades.append(trade.key)
            self.sent[trade.key] = trade

    async def _let_one_pass(self, client: Client) -> None:
        with contextlib.suppress(TimeoutError):
            frame, fate = await asyncio.wait_for(client.queue.get(), 1.0)
            await self._deliver(client, frame, fate)

    async def _write(self, client: Client, text: str | bytes, fragmented: bool) -> None:
        client.sent_at = time.monotonic()
        if fragmented:
            await client.socket.send(in_fragments(as_text(text).encode()), text=True)
        else:
            # `text=True`: bytes go out as a text frame as they are, valid or not.
            await client.socket.send(text, text=True)

    def _send_half(self, client: Client, text: str | bytes) -> None:
        payload = as_text(text).encode()
        whole = WireFrame(Opcode.TEXT, payload).serialize(mask=False)
        client.socket.transport.write(whole[: len(whole) // 2])
        reset(client)

    async def _close(self, code: int, clients: Sequence[Client] | None = None) -> None:
        for client in self.open_clients if clients is None else clients:
            if code == 1006:
                reset(client)
            else:
                await client.socket.close(code)

    async def _ping(self, client: Client) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(self.ping_every_s)
                if self._pings:
                    pong = await client.socket.ping()
                    try:
                        await asyncio.wait_for(pong, PONG_WITHIN_S)
                    except TimeoutError:
                        self.violation(client, "sent no pong")
                        await client.socket.close(1008, "no pong")

    async def _attend(self, client: Client) -> None:
        """What comes by the clock: heartbeats, the deadline for a first request, the end of its life."""
        born = client.sent_at = time.monotonic()
        with contextlib.suppress(ConnectionClosed):
            while True:
                now = time.monotonic()
                if self._flowing.is_set():
                    for frame in self.idle(client, now - client.sent_at):
                        self.put(client, frame)
                if self.subscribe_within_s and not client.asked and now - born > self.subscribe_within_s:
                    self.violation(client, f"subscribed nothing within {self.subscribe_within_s:g} s")
                    await client.socket.close(1008, "subscribe timeout")
                if self.lifetime_s and now - born > self.lifetime_s:
                    await client.socket.close(1001, "lifetime")
                await asyncio.sleep(0.1)

    # --- Listening --------------------------------------------------------------------------------------------

    async def _talk(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        client = Client(len(self.clients), socket, *parsed(socket.request.path))
        self.clients.append(client)
        assert isinstance(socket, _CountedConnection)
        socket.heard = lambda opcode: self._count_message(client, opcode)
        for frame in self.greet(client):
            self.put(client, frame)
        tasks = [asyncio.create_task(work) for work in (self._send(client), self._ping(client), self._attend(client))]
        try:
            async for message in socket:
                client.asked = True
                client.said.append(message)
                for frame in self.reply(client, message):
                    self.put(client, frame)
        except ConnectionClosed:
            pass
        finally:
            client.open = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # Nobody is to wait for room among frames that will not be sent.
            while not client.queue.empty():
                client.queue.get_nowait()

    def _count_message(self, client: Client, opcode: Opcode) -> None:
        if opcode not in self.counted:
            return
        now = time.monotonic()
        forget_before(client.received_at, now - 1)
        client.received_at.append(now)
        if len(client.received_at) != int(self.messages_per_s) + 1:
            return
        self.violation(client, f"sent more than {self.messages_per_s:g} messages in a second")
        told = self.exceeded(client)
        if isinstance(told, int):
            asyncio.get_running_loop().create_task(client.socket.close(told, "Too many requests"))
        else:
            for frame in told:
                self.put(client, frame)

    async def _answer(self, socket: ServerConnection, request: Request) -> Response | None:
        """An HTTP answer, or None to go on with the WebSocket handshake."""
        path, arguments = parsed(request.path)
        if path.startswith("/control/"):
            return self._control(path.removeprefix("/control/"), arguments)
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return await self.routes.answer(self.routes.handler(path) or self._rest, request)
        if time.monotonic() < self._refuse_until:
            return response(503, {"code": 0, "msg": "Service unavailable"})
        refused = self.handshake(path, arguments) or self._count_connect()
        return None if refused is None else response(*refused)

    async def _rest(self, path: str, arguments: dict[str, str], headers: Any) -> Answer:
        return await self.rest(path, arguments, headers) or (404, {"code": -1, "msg": "no such call"}, {})

    def _count_connect(self) -> Answer | None:
        now = time.monotonic()
        most, within_s = self.connects
        forget_before(self._connected_at, now - within_s)
        self._connected_at.append(now)
        if len(self._connected_at) <= most:
            return None
        self.violation(None, f"more than {most} connections in {within_s:g} s")
        return 429, {"code": -1003, "msg": "Too many connections"}, {}

    def _control(self, order: str, arguments: dict[str, str]) -> Response:
        """Orders from another process. They run on this loop, so the ones that wait become tasks."""
        if order == "report":
            return response(200, self.report())
        if order == "trades":
            return response(200, self.trades())
        number = {name: float(value) if "." in value else int(value) for name, value in arguments.items()
                  if name not in ("base64", "kind")}  # fmt: skip
        kind = {"kind": arguments["kind"]} if "kind" in arguments else {}
        waiting: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
            "flood": lambda count=10_000: self._flood(count),
            "live": lambda per_s=100.0: self._start("live", self._live(per_s)),
            "rush": lambda per_s, seconds, at_s: self._start("live", self._rush(per_s, seconds, at_s)),
            "quiet": self._quieten,
            "close": lambda code=1001: self._close(code),
            "shutdown": lambda after_s=1.0: self._shut_down(after_s),
            "inject": lambda: self._offer(Frame("", base64.b64decode(arguments["base64"]))),
        }
        if order in waiting:
            self._tasks[f"order {len(self._tasks)}"] = asyncio.create_task(waiting[order](**number))
        elif order in ("drop", "duplicate", "stall", "resume", "mute", "refuse", "harm", "fail"):
            getattr(self, order)(**kind, **number)
        else:
            return response(404, {"msg": f"no such order: {order}"})
        return response(200, {"order": order})


def now_us() -> int:
    return time.time_ns() // 1000


def forget_before(times: deque[float], oldest: float) -> None:
    while times and times[0] < oldest:
        times.popleft()


def as_text(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode(errors="replace")


def with_unknown_fields(text: str | bytes) -> str:
    """As venues add fields without asking, at the top and in what lies within."""
    return re.sub(r'\{(?=")', '{"addedLater":{"deep":[1,null,"x"]},', as_text(text))


def in_fragments(payload: bytes) -> Iterator[bytes]:
    size = max(1, len(payload) // FRAGMENTS)
    return iter([payload[at : at + size] for at in range(0, len(payload), size)])


def reset(client: Client) -> None:
    """RST instead of a goodbye."""
    raw = client.socket.transport.get_extra_info("socket")
    with contextlib.suppress(OSError):
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.transport.abort()


def json_text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
