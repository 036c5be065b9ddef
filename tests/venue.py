"""A loopback venue that speaks Binance's spot protocol over real sockets, and misbehaves on order.

    with Venue() as venue:
        venue.live(per_s=200)              # made-up trades, stamped now, with consecutive ids
        … connect something to venue.ws_url …
        venue.drop(10); venue.stall(); venue.resume(); venue.close(1006)
        assert not venue.violations        # of the venue's limits, by the client
        venue.sent                         # every trade that left, by (symbol, id): what must be on disk

It reads real SUBSCRIBE messages, answers as the venue does, sends only what was subscribed, pings, and enforces the
venue's limits. REST lies beside it on the same port. `python -m tests.venue --port 9443 --live 200` runs it as a
process; every order is then also `GET /control/<order>?<argument>=<value>`, and `GET /control/report` tells the score.
It shares no code with the decoder that is tested against it.
"""

import argparse
import asyncio
import base64
import bisect
import contextlib
import gzip
import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.http11 import Request, Response

MESSAGES_PER_S = 5
STREAMS_PER_CONNECTION = 1024
CONNECTS_PER_5_MIN = 300
WEIGHT_PER_MIN = 6000
PING_EVERY_S = 20.0
PONG_WITHIN_S = 60.0
# A client that lets so many frames wait is too slow: the venue cuts it off.
QUEUE_FRAMES = 50_000
LIVE_STEP_S = 0.01
FIRST_TRADE_ID = 1_000_001
HUGE_BYTES = 20_000_000
COUNTED = {Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG}
DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))


@dataclass(frozen=True)
class SentTrade:
    """A trade as the venue made it: decimals as the strings on the wire."""

    symbol: str
    trade_id: int
    price: str
    quantity: str
    time_ms: int
    buyer_is_maker: bool

    @property
    def key(self) -> tuple[str, int]:
        return self.symbol, self.trade_id


@dataclass(frozen=True)
class VenueFrame:
    """What goes out to those who subscribed `stream`; a stream of "" goes to everyone. `at_ns` in recordings."""

    stream: str
    text: str | bytes
    trade: SentTrade | None = None
    at_ns: int = 0


@dataclass(eq=False)
class Client:
    """One connection, and what was sent to it."""

    number: int
    socket: ServerConnection
    combined: bool
    streams: set[str] = field(default_factory=set)
    queue: asyncio.Queue[VenueFrame] = field(default_factory=lambda: asyncio.Queue(QUEUE_FRAMES))
    trades: list[tuple[str, int]] = field(default_factory=list)
    frames: int = 0
    received_at: deque[float] = field(default_factory=deque)
    open: bool = True
    busy: bool = False


class Book:
    """An order book of price strings, for the REST snapshot: the recording's, with its later changes applied."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
        self.update_id = 0
        self._early: list[dict[str, Any]] = []

    def replace(self, snapshot: dict[str, Any]) -> None:
        """A snapshot may be older than changes that came before it: those are applied again."""
        self.sides = {side: dict(snapshot[side]) for side in ("bids", "asks")}
        self.update_id = snapshot["lastUpdateId"]
        early, self._early = self._early, []
        for change in early:
            self.apply(change)

    def apply(self, change: dict[str, Any]) -> None:
        if not self.update_id:
            self._early.append(change)
            return
        if change["u"] <= self.update_id:
            return
        self.update_id = change["u"]
        for side, key in (("bids", "b"), ("asks", "a")):
            for price, quantity in change[key]:
                if Decimal(quantity):
                    self.sides[side][price] = quantity
                else:
                    self.sides[side].pop(price, None)

    def depth(self, limit: int) -> dict[str, Any]:
        bids = sorted(self.sides["bids"].items(), key=lambda level: -Decimal(level[0]))
        asks = sorted(self.sides["asks"].items(), key=lambda level: Decimal(level[0]))
        return {"lastUpdateId": self.update_id, "bids": bids[:limit], "asks": asks[:limit]}


class Market:
    """What happened on the venue, whoever was listening: the trades and books that REST tells of."""

    def __init__(self, symbols: Iterable[str], seed: int) -> None:
        self.symbols = {symbol: 100.0 * (i + 1) for i, symbol in enumerate(symbols)}
        self.trades: dict[str, list[SentTrade]] = {symbol: [] for symbol in self.symbols}
        self.books: dict[str, Book] = {symbol: Book() for symbol in self.symbols}
        self._random = random.Random(seed)
        self._ids = dict.fromkeys(self.symbols, FIRST_TRADE_ID)
        self._updates = 5_000_001

    def note(self, frame: VenueFrame) -> None:
        if frame.trade is not None:
            self.trades.setdefault(frame.trade.symbol, []).append(frame.trade)
        elif "@depth" in frame.stream:
            data = json.loads(frame.text)["data"]
            self.books.setdefault(data["s"], Book()).apply(data)

    def make_trade(self, now_ms: int) -> list[VenueFrame]:
        """The next made-up trade of some symbol, and the quote after it."""
        symbol = self._random.choice(list(self.symbols))
        price = self.symbols[symbol] = max(1.0, self.symbols[symbol] * (1 + self._random.gauss(0, 0.0001)))
        quantity = f"{self._random.expovariate(2) + 0.00001:.5f}"
        trade = SentTrade(symbol, self._ids[symbol], f"{price:.2f}", quantity, now_ms, self._random.random() < 0.5)
        self._ids[symbol] += 1
        self._updates += 1
        bid, ask = f"{price - 0.01:.2f}", f"{price + 0.01:.2f}"
        self.books[symbol].replace({"lastUpdateId": self._updates, "bids": [(bid, "1.00")], "asks": [(ask, "1.00")]})
        quote = {"u": self._updates, "s": symbol, "b": bid, "B": "1.00000", "a": ask, "A": "1.00000"}
        return [trade_frame(trade), event_frame(f"{symbol.lower()}@bookTicker", quote)]

    def ticker(self, symbol: str, now_ms: int) -> VenueFrame:
        trades = self.trades[symbol]
        prices = [Decimal(t.price) for t in trades] or [Decimal(1)]
        volume = sum((Decimal(t.quantity) for t in trades), Decimal(0))
        money = sum((Decimal(t.quantity) * Decimal(t.price) for t in trades), Decimal(0))
        data = {
            "e": "24hrTicker", "E": now_ms, "s": symbol, "c": str(prices[-1]), "o": str(prices[0]),
            "h": str(max(prices)), "l": str(min(prices)), "v": str(volume), "q": str(money), "n": len(trades),
        }  # fmt: skip
        return event_frame(f"{symbol.lower()}@ticker", data)

    def klines(self, symbol: str) -> list[list[Any]]:
        """One-minute rows of every trade made."""
        minutes: dict[int, list[SentTrade]] = {}
        for trade in sorted(self.trades.get(symbol, []), key=lambda t: (t.time_ms, t.trade_id)):
            minutes.setdefault(trade.time_ms // 60_000 * 60_000, []).append(trade)
        return [_kline(start, trades) for start, trades in sorted(minutes.items())]


def _kline(start_ms: int, trades: list[SentTrade]) -> list[Any]:
    by_price = sorted(trades, key=lambda t: Decimal(t.price))
    volume = sum(Decimal(t.quantity) for t in trades)
    money = sum(Decimal(t.quantity) * Decimal(t.price) for t in trades)
    taken = [t for t in trades if not t.buyer_is_maker]
    taker_base = sum(Decimal(t.quantity) for t in taken)
    taker_money = sum(Decimal(t.quantity) * Decimal(t.price) for t in taken)
    return [
        start_ms, trades[0].price, by_price[-1].price, by_price[0].price, trades[-1].price, str(volume),
        start_ms + 59_999, str(money), len(trades), str(taker_base), str(taker_money), "0",
    ]  # fmt: skip


def event_frame(stream: str, data: dict[str, Any], trade: SentTrade | None = None) -> VenueFrame:
    return VenueFrame(stream, json.dumps({"stream": stream, "data": data}, separators=(",", ":")), trade)


def trade_frame(trade: SentTrade) -> VenueFrame:
    data = {
        "e": "trade", "E": trade.time_ms, "s": trade.symbol, "t": trade.trade_id, "p": trade.price,
        "q": trade.quantity, "T": trade.time_ms, "m": trade.buyer_is_maker, "M": True,
    }  # fmt: skip
    return event_frame(f"{trade.symbol.lower()}@trade", data, trade)


def recorded(path: Path) -> Iterator[VenueFrame]:
    """The frames of a recording of lines `<nanoseconds> <json>`, verbatim. A REST snapshot in it has no stream."""
    with gzip.open(path, "rt") as lines:
        for line in lines:
            at_ns, text = line.split(" ", 1)
            frame = json.loads(text)
            stream, data = frame.get("stream", ""), frame.get("data", {})
            trade = None
            if stream.endswith("@trade"):
                trade = SentTrade(data["s"], data["t"], data["p"], data["q"], data["T"], data["m"])
            yield VenueFrame(stream, text.strip(), trade, int(at_ns))


class _CountedConnection(ServerConnection):
    """Tells the venue of each frame the client sends: pings and pongs count towards the limit as well."""

    heard: Callable[[], None] | None = None

    def process_event(self, event: Any) -> None:
        if isinstance(event, WireFrame) and event.opcode in COUNTED and self.heard is not None:
            self.heard()
        super().process_event(event)


class Venue:
    """See the module. Every order may be given from any thread while the venue runs."""

    def __init__(
        self,
        symbols: Iterable[str] = ("BTCUSDT", "ETHUSDT"),
        port: int = 0,
        seed: int = 7,
        ping_every_s: float = PING_EVERY_S,
    ) -> None:
        self.market = Market(symbols, seed)
        self.port = port
        self.ping_every_s = ping_every_s
        self.sent: dict[tuple[str, int], SentTrade] = {}
        self.dropped: set[tuple[str, int]] = set()
        self.violations: list[str] = []
        self.clients: list[Client] = []
        self._drop = self._duplicate = 0
        self._refuse_until = 0.0
        self._pings = True
        self._connected_at: deque[float] = deque()
        self._weights: deque[tuple[float, int]] = deque()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="venue", daemon=True)

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
        self._do(self._stop("live"))

    def flood(self, count: int = 10_000) -> None:
        """So many trades at once."""
        self._do(self._produce_trades(count))

    def play(self, frames: Iterable[VenueFrame], speed: float | None = None) -> None:
        """Send recorded frames, as fast as the clients read, or at a multiple of the recorded pace. Waits."""
        self._do(self._play(frames, speed), timeout_s=None)

    def settle(self, timeout_s: float = 30.0) -> None:
        """Wait until nothing waits to be sent."""
        self._do(self._settle(), timeout_s)

    # --- Orders to misbehave ----------------------------------------------------------------------------------

    def drop(self, count: int = 1) -> None:
        """The next frames are lost on the way to everyone."""
        self._drop += count

    def duplicate(self, count: int = 1) -> None:
        """The next frames go out twice."""
        self._duplicate += count

    def stall(self, pings: int = 0) -> None:
        """Sockets stay open and nothing comes; with `pings` those still do."""
        self._pings = bool(pings)
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def resume(self) -> None:
        self._pings = True
        self._loop.call_soon_threadsafe(self._flowing.set)

    def close(self, code: int = 1001) -> None:
        """End every connection; 1006 without a word."""
        self._do(self._close(code))

    def refuse(self, seconds: float = 5.0) -> None:
        """Answer 503 to who wants to connect, for a while."""
        self._refuse_until = time.monotonic() + seconds

    def inject(self, text: str | bytes) -> None:
        """Say just this, as a text frame, to everyone."""
        self._do(self._offer(VenueFrame("", text)))

    def garbage(self) -> None:
        self.inject('{"stream":"btcusdt@trade","data":{"e":"tra')

    def not_utf8(self) -> None:
        self.inject(b'{"stream":"\xff\xfe@trade","data":{"s":"\xc3\x28"}}')

    def huge(self, size: int = HUGE_BYTES) -> None:
        self.inject('{"stream":"btcusdt@trade","data":{"x":"' + "x" * size + '"}}')

    def unknown_stream(self) -> None:
        self.inject('{"stream":"btcusdt@somethingNew","data":{"e":"somethingNew","E":1}}')

    def odd_trade(self, price: str = "100.00", quantity: str = "1.00", time_ms: int = 0, symbol: str = "") -> None:
        """A trade that cannot be so; none of the oracle's. By default its time is zero."""
        symbol = symbol or next(iter(self.market.symbols))
        self.inject(trade_frame(SentTrade(symbol, 1, price, quantity, time_ms, False)).text)

    def negative_price(self) -> None:
        self.odd_trade(price="-100.00", time_ms=_now_ms())

    def zero_price(self) -> None:
        self.odd_trade(price="0.00", time_ms=_now_ms())

    def zero_time(self) -> None:
        self.odd_trade()

    def absurd_time(self) -> None:
        self.odd_trade(time_ms=9_999_999_999_999)

    def server_shutdown(self, raw: int = 0) -> None:
        event = {"e": "serverShutdown", "E": _now_ms()}
        self.inject(json.dumps(event) if raw else event_frame("!serverShutdown", event).text)

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
            "violations": self.violations,
        }

    def trades(self) -> list[list[Any]]:
        """Every distinct trade that left: [symbol, id, price, quantity, time in ms], JSON-ready."""
        return [[t.symbol, t.trade_id, t.price, t.quantity, t.time_ms] for t in list(self.sent.values())]

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
        made, started, told_s = 0, time.monotonic(), 0
        while True:
            lived_s = time.monotonic() - started
            due = int(lived_s * per_s) - made
            made += due
            await self._produce_trades(due)
            if int(lived_s) > told_s:
                told_s = int(lived_s)
                for symbol in self.market.symbols:
                    await self._offer(self.market.ticker(symbol, _now_ms()))
            await asyncio.sleep(LIVE_STEP_S)

    async def _produce_trades(self, count: int) -> None:
        for _ in range(count):
            for frame in self.market.make_trade(_now_ms()):
                await self._offer(frame)

    async def _play(self, frames: Iterable[VenueFrame], speed: float | None) -> None:
        first_ns, started = None, time.monotonic()
        for frame in frames:
            if not frame.stream:
                snapshot = json.loads(frame.text)
                next(iter(self.market.books.values())).replace(snapshot)
                continue
            first_ns = frame.at_ns if first_ns is None else first_ns
            if speed is not None:
                await asyncio.sleep(max(0.0, (frame.at_ns - first_ns) / 1e9 / speed - time.monotonic() + started))
            await self._offer(frame, patient=True)
        await self._settle()

    async def _offer(self, frame: VenueFrame, patient: bool = False) -> None:
        """To those who subscribed it. patient: wait for a slow client instead of cutting it off."""
        self.market.note(frame)
        copies = 1
        if frame.stream and self._drop:
            self._drop -= 1
            if frame.trade is not None:
                self.dropped.add(frame.trade.key)
            copies = 0
        elif frame.stream and self._duplicate:
            self._duplicate -= 1
            copies = 2
        for client in self.open_clients:
            for _ in range(copies if not frame.stream or frame.stream in client.streams else 0):
                if patient:
                    await self._room(client)
                    client.queue.put_nowait(frame)
                elif client.queue.full():
                    self.violations.append(f"connection {client.number} is too slow")
                    client.socket.transport.abort()
                else:
                    client.queue.put_nowait(frame)

    async def _room(self, client: Client) -> None:
        while client.open and client.queue.full():
            await asyncio.sleep(LIVE_STEP_S)

    async def _settle(self) -> None:
        while any(client.busy or not client.queue.empty() for client in self.open_clients):
            await asyncio.sleep(LIVE_STEP_S)

    async def _send(self, client: Client) -> None:
        """The frames that wait for one client, one after the other."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                frame = await client.queue.get()
                client.busy = True
                await self._flowing.wait()
                text = frame.text
                if frame.stream and not client.combined:
                    text = json.dumps(json.loads(text)["data"])
                # `text=True`: bytes go out as a text frame as they are, valid or not.
                await client.socket.send(text, text=True)
                client.frames += 1
                if frame.trade is not None:
                    client.trades.append(frame.trade.key)
                    self.sent[frame.trade.key] = frame.trade
                client.busy = False

    async def _ping(self, client: Client) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(self.ping_every_s)
                if self._pings:
                    pong = await client.socket.ping()
                    try:
                        await asyncio.wait_for(pong, PONG_WITHIN_S)
                    except TimeoutError:
                        self.violations.append(f"connection {client.number} sent no pong")
                        await client.socket.close(1008, "no pong")

    async def _close(self, code: int) -> None:
        for client in self.open_clients:
            if code == 1006:
                client.socket.transport.abort()
            else:
                await client.socket.close(code)

    # --- Listening --------------------------------------------------------------------------------------------

    async def _talk(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        path = urlsplit(socket.request.path)
        client = Client(len(self.clients), socket, combined=path.path.startswith("/stream"))
        names = parse_qs(path.query).get("streams", [""])[0] if client.combined else unquote(path.path[4:])
        client.streams = {name for name in names.split("/") if name}
        self.clients.append(client)
        assert isinstance(socket, _CountedConnection)
        socket.heard = lambda: self._count_message(client)
        tasks = [asyncio.create_task(work) for work in (self._send(client), self._ping(client))]
        try:
            async for message in socket:
                await socket.send(json.dumps(self._reply(client, message)))
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

    def _count_message(self, client: Client) -> None:
        now = time.monotonic()
        _forget_before(client.received_at, now - 1)
        client.received_at.append(now)
        if len(client.received_at) == MESSAGES_PER_S + 1:
            self.violations.append(f"connection {client.number} sent more than {MESSAGES_PER_S} messages in a second")
            asyncio.get_running_loop().create_task(client.socket.close(1008, "Too many requests"))

    def _reply(self, client: Client, message: str | bytes) -> dict[str, Any]:
        """What the venue says to a request, in the shapes it has been seen to use."""
        try:
            request = json.loads(message)
        except ValueError as error:
            return {"code": 3, "msg": f"Invalid JSON: {error}"}
        request_id = request.get("id") if isinstance(request, dict) else None
        params = request.get("params", []) if isinstance(request, dict) else None
        method = request.get("method") if isinstance(request, dict) else None
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": sorted(client.streams), "id": request_id}
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE") or not params or not all(isinstance(p, str) for p in params):
            return {"code": 2, "msg": "Invalid request: unknown variant or parameters", "id": request_id}
        streams = client.streams | set(params) if method == "SUBSCRIBE" else client.streams - set(params)
        if len(streams) > STREAMS_PER_CONNECTION:
            self.violations.append(f"connection {client.number} asked for {len(streams)} streams")
            return {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": request_id}
        client.streams = streams
        return {"result": None, "id": request_id}

    # --- REST and control -------------------------------------------------------------------------------------

    def _answer(self, socket: ServerConnection, request: Request) -> Response | None:
        """An HTTP answer, or None to go on with the WebSocket handshake."""
        url = urlsplit(request.path)
        arguments = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path.startswith("/control/"):
            return self._control(url.path.removeprefix("/control/"), arguments)
        if url.path.startswith("/api/v3/"):
            return self._rest(url.path.removeprefix("/api/v3/"), arguments)
        if time.monotonic() < self._refuse_until:
            return _json(503, {"code": 0, "msg": "Service unavailable"})
        if not (url.path.startswith("/ws/") or url.path in ("/stream", "/stream/", "/ws")):
            return _json(404, {"code": -1, "msg": "not found"})
        return self._count_connect()

    def _count_connect(self) -> Response | None:
        now = time.monotonic()
        _forget_before(self._connected_at, now - 300)
        self._connected_at.append(now)
        if len(self._connected_at) <= CONNECTS_PER_5_MIN:
            return None
        self.violations.append(f"more than {CONNECTS_PER_5_MIN} connections in 5 minutes")
        return _json(429, {"code": -1003, "msg": "Too many connections"})

    def _rest(self, call: str, arguments: dict[str, str]) -> Response:
        symbol, limit = arguments.get("symbol", ""), int(arguments.get("limit", "500"))
        weight = {"depth": next((w for most, w in DEPTH_WEIGHTS if limit <= most), 250), "exchangeInfo": 20,
                  "trades": 25, "klines": 2}.get(call, 1)  # fmt: skip
        used = self._weigh(weight)
        if used > WEIGHT_PER_MIN:
            self.violations.append(f"weight {used} in a minute")
            return _json(429, {"code": -1003, "msg": "Too much request weight used."}, used, {"Retry-After": "60"})
        if call in ("depth", "trades", "klines") and symbol not in self.market.symbols:
            return _json(400, {"code": -1121, "msg": "Invalid symbol."}, used)
        answers: dict[str, Callable[[], Any]] = {
            "ping": dict,
            "time": lambda: {"serverTime": _now_ms()},
            "exchangeInfo": self._exchange_info,
            "depth": lambda: self.market.books[symbol].depth(limit),
            "trades": lambda: [_rest_trade(t) for t in self.market.trades[symbol][-limit:]],
            "klines": lambda: self._klines(symbol, arguments, limit),
        }
        if call not in answers:
            return _json(404, {"code": -1, "msg": "no such call"}, used)
        return _json(200, answers[call](), used)

    def _weigh(self, weight: int) -> int:
        now = time.monotonic()
        self._weights.append((now, weight))
        while self._weights[0][0] < now - 60:
            self._weights.popleft()
        return sum(weight for _, weight in self._weights)

    def _exchange_info(self) -> dict[str, Any]:
        symbols = [
            {"symbol": s, "status": "TRADING", "baseAsset": s[:-4], "quoteAsset": s[-4:]} for s in self.market.symbols
        ]
        return {"timezone": "UTC", "serverTime": _now_ms(), "rateLimits": [], "symbols": symbols}

    def _klines(self, symbol: str, arguments: dict[str, str], limit: int) -> list[list[Any]]:
        """Oldest first from `startTime`; without it the newest. The last row may still be open."""
        rows = self.market.klines(symbol)
        starts = [row[0] for row in rows]
        end = bisect.bisect_right(starts, int(arguments.get("endTime", "9999999999999")))
        if "startTime" in arguments:
            start = bisect.bisect_left(starts, int(arguments["startTime"]))
            return rows[start:end][:limit]
        return rows[:end][-limit:]

    def _control(self, order: str, arguments: dict[str, str]) -> Response:
        """Orders from another process. They run on this loop, so the ones that wait become tasks."""
        if order == "report":
            return _json(200, self.report())
        if order == "trades":
            return _json(200, self.trades())
        number = {name: float(value) if "." in value else int(value) for name, value in arguments.items()}
        waiting: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
            "flood": lambda count=10_000: self._produce_trades(count),
            "live": lambda per_s=100.0: self._start("live", self._live(per_s)),
            "quiet": lambda: self._stop("live"),
            "close": lambda code=1001: self._close(code),
            "inject": lambda: self._offer(VenueFrame("", base64.b64decode(arguments["base64"]))),
        }
        if order in waiting:
            self._tasks[f"order {len(self._tasks)}"] = asyncio.create_task(
                waiting[order](**({} if order == "inject" else number))
            )
        elif order in ("drop", "duplicate", "stall", "resume", "refuse"):
            getattr(self, order)(**number)
        else:
            return _json(404, {"msg": f"no such order: {order}"})
        return _json(200, {"order": order})


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _forget_before(times: deque[float], oldest: float) -> None:
    while times and times[0] < oldest:
        times.popleft()


def _rest_trade(trade: SentTrade) -> dict[str, Any]:
    return {
        "id": trade.trade_id, "price": trade.price, "qty": trade.quantity,
        "quoteQty": str(Decimal(trade.price) * Decimal(trade.quantity)), "time": trade.time_ms,
        "isBuyerMaker": trade.buyer_is_maker, "isBestMatch": True,
    }  # fmt: skip


def _json(status: int, body: Any, weight: int | None = None, more: dict[str, str] | None = None) -> Response:
    payload = json.dumps(body).encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(payload)), **(more or {})})
    headers["Connection"] = "close"
    if weight is not None:
        headers["X-MBX-USED-WEIGHT-1M"] = str(weight)
    return Response(status, "OK" if status == 200 else "Refused", headers, payload)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--symbols", default="BTCUSDT,ETHUSDT")
    parser.add_argument("--live", type=float, default=0, help="made-up trades a second")
    parser.add_argument("--recording", type=Path, help="lines of <nanoseconds> <json>, gzipped; played once subscribed")
    parser.add_argument("--speed", type=float, help="a multiple of the recorded pace; as fast as possible without")
    arguments = parser.parse_args()
    with Venue(arguments.symbols.split(","), arguments.port) as venue:
        print(f"{venue.ws_url} {venue.rest_url}", flush=True)
        if arguments.live:
            venue.live(arguments.live)
        if arguments.recording:
            while not any(client.streams for client in venue.open_clients):
                time.sleep(0.05)
            venue.play(recorded(arguments.recording), arguments.speed)
        threading.Event().wait()


if __name__ == "__main__":
    main()
