"""Binance's spot streams and REST, on loopback: combined and raw streams, its answers, its limits, its weights."""

import asyncio
import bisect
import json
import re
import time
from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from websockets.frames import Opcode

from tests.venues import faults
from tests.venues.http import Answer
from tests.venues.market import FIRST_TRADE_ID, SentTrade
from tests.venues.server import Client, Frame, Venue, json_text, now_us

MESSAGES_PER_S = 5
STREAMS_PER_CONNECTION = 1024
CONNECTS_PER_5_MIN = 300
WEIGHT_PER_MIN = 6000
DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))
WEIGHTS = {"exchangeInfo": 20, "trades": 25, "klines": 2}
# Who goes on after so many refusals is banned.
REFUSALS_BEFORE_BAN = 3
BAN_S = 120
BOOKS_EVERY_S = 0.1
TICKERS_EVERY_S = 1.0
# A REST book of a recording that has not come to its snapshot yet is waited for.
BOOK_KNOWN_WITHIN_S = 10.0
MILLISECONDS = re.compile(r'"([ET])":(\d{13})(?!\d)')

__all__ = ["CONNECTS_PER_5_MIN", "FIRST_TRADE_ID", "BinanceVenue", "event_frame", "trade_frame"]


class BinanceVenue(Venue):
    """Streams are named as Binance names them. See `server.py` for the orders."""

    name = "binance"
    symbols = ("BTCUSDT", "ETHUSDT")
    counted = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG})
    messages_per_s = MESSAGES_PER_S
    connects = (CONNECTS_PER_5_MIN, 300.0)
    weight_per_min = WEIGHT_PER_MIN

    def __init__(self, symbols: Iterable[str] = (), *arguments: Any, **more: Any) -> None:
        super().__init__(symbols, *arguments, **more)
        self._weights: deque[tuple[float, int]] = deque()
        self._refusals = 0
        self._told_us = dict.fromkeys(("books", "tickers"), 0)
        # Changes that a recording told before the book that they belong to.
        self._early: dict[str, list[dict[str, Any]]] = {}
        self._first_depth: dict[str, dict[str, Any]] = {}

    # --- The socket -------------------------------------------------------------------------------------------

    def handshake(self, path: str, arguments: dict[str, str]) -> Answer | None:
        if path.startswith("/ws/") or path in ("/stream", "/stream/", "/ws"):
            return None
        return 404, {"code": -1, "msg": "not found"}, {}

    def greet(self, client: Client) -> Sequence[Frame]:
        combined = client.path.startswith("/stream")
        names = client.arguments.get("streams", "") if combined else unquote(client.path[4:])
        client.streams = {name for name in names.split("/") if name}
        return ()

    def reply(self, client: Client, message: str | bytes) -> Sequence[Frame]:
        return [Frame("", json_text(self._said(client, message)))]

    def _said(self, client: Client, message: str | bytes) -> dict[str, Any]:
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
            self.violation(client, f"asked for {len(streams)} streams")
            return {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": request_id}
        client.streams = streams
        return {"result": None, "id": request_id}

    def exceeded(self, client: Client) -> int:
        return 1008

    def dress(self, client: Client, frame: Frame) -> str | bytes:
        text = frame.text
        if frame.stream and isinstance(text, str):
            if not client.path.startswith("/stream"):
                text = json_text(json.loads(text)["data"])
            if client.arguments.get("timeUnit", "").upper() == "MICROSECOND":
                text = MILLISECONDS.sub(r'"\1":\g<2>000', text)
        return text

    def is_book(self, frame: Frame) -> bool:
        return "@depth" in frame.stream

    def spoil(self, text: str, kind: str, argument: float) -> str:
        """Binance has no checksum: a book can only be crossed."""
        frame = json.loads(text)
        data = frame.get("data", frame)
        if kind == faults.CROSSED:
            best = self.market.books[data["s"]].asks.best(5)
            data["b"].append([best[-1][0], "1.00000000"])
        return json_text(frame)

    def shutdown_notice(self) -> str:
        return event_frame("!serverShutdown", {"e": "serverShutdown", "E": now_us() // 1000}).text  # type: ignore[return-value]

    # --- The market -------------------------------------------------------------------------------------------

    def frames_of(self, trade: SentTrade) -> Sequence[Frame]:
        book, name = self.market.books[trade.symbol], trade.symbol.lower()
        (bid, bid_quantity), (ask, ask_quantity) = book.bids.best(1)[0], book.asks.best(1)[0]
        quote = {"u": book.update_id, "s": trade.symbol, "b": bid, "B": bid_quantity, "a": ask, "A": ask_quantity}
        return trade_frame(trade), aggregate_frame(trade), event_frame(f"{name}@bookTicker", quote)

    def told_now(self, now_us: int, everything: bool = False) -> Sequence[Frame]:
        frames: list[Frame] = []
        if everything or self._due("books", BOOKS_EVERY_S, now_us):
            for symbol in list(self.market.untold):
                frames += self._depth_frames(symbol, now_us // 1000)
        if everything or self._due("tickers", TICKERS_EVERY_S, now_us):
            for symbol in self.market.symbols:
                frames += self._summaries(symbol, now_us // 1000)
        return frames

    def _due(self, what: str, every_s: float, now_us: int) -> bool:
        due = now_us - self._told_us[what] >= every_s * 1e6
        if due:
            self._told_us[what] = now_us
        return due

    def _depth_frames(self, symbol: str, now_ms: int) -> list[Frame]:
        changes = self.market.take_untold(symbol)
        assert changes is not None
        data = {
            "e": "depthUpdate", "E": now_ms, "s": symbol, "U": changes.first_id,
            "u": self.market.books[symbol].update_id, "b": list(changes.bids.items()), "a": list(changes.asks.items()),
        }  # fmt: skip
        return [event_frame(f"{symbol.lower()}@{name}", data) for name in ("depth@100ms", "depth")]

    def _summaries(self, symbol: str, now_ms: int) -> list[Frame]:
        trades = self.market.trades[symbol]
        if not trades:
            return []
        name = symbol.lower()
        return [
            event_frame(f"{name}@ticker", _ticker(symbol, trades, now_ms)),
            *(event_frame(f"{name}@kline_1m", bar) for bar in _last_bars(symbol, trades, now_ms)),
        ]

    def note(self, frame: Frame) -> None:
        super().note(frame)
        if frame.snapshot:
            told = json.loads(frame.text)
            self.market.books[told["s"]].replace(told["bids"], told["asks"], told["lastUpdateId"])
            self._first_depth[told["s"]] = self._depth(told["s"], 5000)
            for change in self._early.pop(told["s"], []):
                self._change(change)
        elif self.is_book(frame):
            self._change(json.loads(frame.text)["data"])

    def _change(self, data: dict[str, Any]) -> None:
        book = self.market.books[data["s"]]
        if not book.update_id:
            self._early.setdefault(data["s"], []).append(data)
        elif data["u"] > book.update_id:
            book.change(data["b"], data["a"], data["u"])

    # --- Orders of its own ------------------------------------------------------------------------------------

    def unknown_stream(self) -> None:
        self.inject('{"stream":"btcusdt@somethingNew","data":{"e":"somethingNew","E":1}}')

    def odd_trade(self, price: str = "100.00", quantity: str = "1.00", time_ms: int = 0, symbol: str = "") -> None:
        """A trade that cannot be so; none of the oracle's. By default its time is zero."""
        symbol = symbol or next(iter(self.market.symbols))
        self.inject(trade_frame(SentTrade(symbol, 1, price, quantity, time_ms * 1000, False)).text)

    def negative_price(self) -> None:
        self.odd_trade(price="-100.00", time_ms=now_us() // 1000)

    def zero_price(self) -> None:
        self.odd_trade(price="0.00", time_ms=now_us() // 1000)

    def zero_time(self) -> None:
        self.odd_trade()

    def absurd_time(self) -> None:
        self.odd_trade(time_ms=9_999_999_999_999)

    def server_shutdown(self, raw: int = 0) -> None:
        """The notice alone; `shutdown` of the schedule closes too."""
        self.inject(json_text({"e": "serverShutdown", "E": now_us() // 1000}) if raw else self.shutdown_notice())

    # --- REST -------------------------------------------------------------------------------------------------

    def weigh(self, weight: int) -> int:
        """Count a call; the weight of the last minute."""
        now = time.monotonic()
        self._weights.append((now, weight))
        while self._weights[0][0] < now - 60:
            self._weights.popleft()
        return sum(weight for _, weight in self._weights)

    async def rest(self, path: str, arguments: dict[str, str], headers: Any) -> Answer | None:
        call = path.removeprefix("/api/v3/")
        limit = int(arguments.get("limit", "500"))
        depth = next((w for most, w in DEPTH_WEIGHTS if limit <= most), 250)
        used = self.weigh(depth if call == "depth" else WEIGHTS.get(call, 1))
        status, body, more = self._over(used) or await self._called(call, arguments, limit)
        return status, body, {"X-MBX-USED-WEIGHT-1M": str(used), **more}

    def _over(self, used: int) -> Answer | None:
        """429 with the seconds to wait; 418 for who goes on."""
        if used <= self.weight_per_min:
            self._refusals = 0
            return None
        self.violation(None, f"weight {used} in a minute")
        self._refusals += 1
        if self._refusals > REFUSALS_BEFORE_BAN:
            until_ms = now_us() // 1000 + BAN_S * 1000
            message = f"Way too much request weight used; IP banned until {until_ms}."
            return 418, {"code": -1003, "msg": message}, {"Retry-After": str(BAN_S)}
        return 429, {"code": -1003, "msg": "Too much request weight used."}, {"Retry-After": "60"}

    async def _called(self, call: str, arguments: dict[str, str], limit: int) -> Answer:
        symbol = arguments.get("symbol", "")
        if call in ("depth", "trades", "klines") and symbol not in self.market.books:
            return 400, {"code": -1121, "msg": "Invalid symbol."}, {}
        if call == "ping":
            return 200, {}, {}
        if call == "time":
            return 200, {"serverTime": now_us() // 1000}, {}
        if call == "exchangeInfo":
            return 200, self._exchange_info(), {}
        if call == "depth":
            return await self._depth_answer(symbol, limit, stale="stale" in arguments)
        if call == "trades":
            return 200, [_rest_trade(t) for t in self.market.trades[symbol][-limit:]], {}
        if call == "klines":
            return 200, self._klines(symbol, arguments, limit), {}
        return 404, {"code": -1, "msg": "no such call"}, {}

    async def _depth_answer(self, symbol: str, limit: int, stale: bool) -> Answer:
        """The book as it is at this moment of the made-up market, or of the recording."""
        if self.made_up:
            self.market.open_book(symbol)
            self._first_depth.setdefault(symbol, self._depth(symbol, 5000))
        waits_until = time.monotonic() + BOOK_KNOWN_WITHIN_S
        while not self.market.books[symbol].update_id:
            if time.monotonic() > waits_until:
                return 503, {"code": -1008, "msg": "Server is currently overloaded."}, {}
            await asyncio.sleep(0.01)
        if stale:
            # Older than anything that was streamed to anyone.
            first = self._first_depth[symbol]
            return 200, first | {"lastUpdateId": first["lastUpdateId"] - 1000}, {}
        return 200, self._depth(symbol, limit), {}

    def _depth(self, symbol: str, limit: int) -> dict[str, Any]:
        book = self.market.books[symbol]
        return {"lastUpdateId": book.update_id, "bids": book.bids.best(limit), "asks": book.asks.best(limit)}

    def _exchange_info(self) -> dict[str, Any]:
        return {
            "timezone": "UTC", "serverTime": now_us() // 1000, "rateLimits": [],
            "symbols": [self._symbol_info(symbol) for symbol in self.market.symbols],
        }  # fmt: skip

    def _symbol_info(self, symbol: str) -> dict[str, Any]:
        price, quantity = (Decimal(1).scaleb(-decimals) for decimals in self.market.scale(symbol))
        quote = next((q for q in ("USDT", "USDC", "BTC", "ETH", "EUR") if symbol.endswith(q)), symbol[-4:])
        return {
            "symbol": symbol, "status": "TRADING", "baseAsset": symbol.removesuffix(quote), "baseAssetPrecision": 8,
            "quoteAsset": quote, "quotePrecision": 8, "quoteAssetPrecision": 8, "orderTypes": ["LIMIT", "MARKET"],
            "isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "permissions": [],
            "permissionSets": [["SPOT"]],
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": f"{price:f}", "maxPrice": "1000000.00000000",
                 "tickSize": f"{price:f}"},
                {"filterType": "LOT_SIZE", "minQty": f"{quantity:f}", "maxQty": "9000.00000000",
                 "stepSize": f"{quantity:f}"},
                {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
            ],
        }  # fmt: skip

    def _klines(self, symbol: str, arguments: dict[str, str], limit: int) -> list[list[Any]]:
        """Oldest first from `startTime`; without it the newest. The last row may still be open."""
        rows = [_kline(start, trades) for start, trades in sorted(_minutes(self.market.trades[symbol]).items())]
        starts = [row[0] for row in rows]
        end = bisect.bisect_right(starts, int(arguments.get("endTime", "9999999999999")))
        if "startTime" in arguments:
            start = bisect.bisect_left(starts, int(arguments["startTime"]))
            return rows[start:end][:limit]
        return rows[:end][-limit:]


def event_frame(stream: str, data: dict[str, Any], trade: SentTrade | None = None) -> Frame:
    return Frame(stream, json_text({"stream": stream, "data": data}), (trade,) if trade else ())


def trade_frame(trade: SentTrade) -> Frame:
    data = {
        "e": "trade", "E": trade.time_ms, "s": trade.symbol, "t": trade.trade_id, "p": trade.price,
        "q": trade.quantity, "T": trade.time_ms, "m": trade.buyer_is_maker, "M": True,
    }  # fmt: skip
    return event_frame(f"{trade.symbol.lower()}@trade", data, trade)


def aggregate_frame(trade: SentTrade) -> Frame:
    """Made-up trades are aggregated one by one."""
    data = {
        "e": "aggTrade", "E": trade.time_ms, "s": trade.symbol, "a": trade.trade_id, "p": trade.price,
        "q": trade.quantity, "f": trade.trade_id, "l": trade.trade_id, "T": trade.time_ms, "m": trade.buyer_is_maker,
        "M": True,
    }  # fmt: skip
    return event_frame(f"{trade.symbol.lower()}@aggTrade", data, trade)


def _ticker(symbol: str, trades: list[SentTrade], now_ms: int) -> dict[str, Any]:
    prices = [Decimal(t.price) for t in trades]
    volume = sum((Decimal(t.quantity) for t in trades), Decimal(0))
    money = sum((Decimal(t.quantity) * Decimal(t.price) for t in trades), Decimal(0))
    return {
        "e": "24hrTicker", "E": now_ms, "s": symbol, "c": str(prices[-1]), "o": str(prices[0]),
        "h": str(max(prices)), "l": str(min(prices)), "v": str(volume), "q": str(money), "n": len(trades),
    }  # fmt: skip


def _last_bars(symbol: str, trades: list[SentTrade], now_ms: int) -> list[dict[str, Any]]:
    """The open minute, and the one before it as closed."""
    first = now_ms // 60_000 * 60_000 - 60_000
    newest = bisect.bisect_left(trades, first * 1000, key=lambda t: t.time_us)
    bars = []
    for start, part in sorted(_minutes(trades[newest:]).items()):
        row = _kline(start, part)
        bars.append({"e": "kline", "E": now_ms, "s": symbol, "k": {
            "t": start, "T": row[6], "s": symbol, "i": "1m", "f": part[0].trade_id, "L": part[-1].trade_id,
            "o": row[1], "h": row[2], "l": row[3], "c": row[4], "v": row[5], "n": row[8], "x": start == first,
            "q": row[7], "V": row[9], "Q": row[10], "B": "0"}})  # fmt: skip
    return bars


def _minutes(trades: Iterable[SentTrade]) -> dict[int, list[SentTrade]]:
    minutes: dict[int, list[SentTrade]] = {}
    for trade in sorted(trades, key=lambda t: (t.time_us, t.trade_id)):
        minutes.setdefault(trade.time_ms // 60_000 * 60_000, []).append(trade)
    return minutes


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


def _rest_trade(trade: SentTrade) -> dict[str, Any]:
    return {
        "id": trade.trade_id, "price": trade.price, "qty": trade.quantity,
        "quoteQty": str(Decimal(trade.price) * Decimal(trade.quantity)), "time": trade.time_ms,
        "isBuyerMaker": trade.buyer_is_maker, "isBestMatch": True,
    }  # fmt: skip
