"""Kraken's WebSocket v2 on loopback: an answer a symbol, checksums, heartbeats while nothing else is told."""

import json
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.venues import faults
from tests.venues.coinbase import iso
from tests.venues.http import Answer
from tests.venues.market import Book, Level, Market, SentTrade
from tests.venues.server import Client, Frame, Venue, json_text, now_us

# How many the venue allows is not told in figures: more than anybody needs.
MESSAGES_PER_S = 10
CONNECTS = (150, 600.0)
HEARTBEAT_AFTER_S = 1.0
DEPTHS = (10, 25, 100, 500, 1000)
CHECKED_LEVELS = 10
TRADES_TOLD = 50
CONNECTION_ID = 2**63 + 5_000_000_000_000_000_001
CHECKSUM = re.compile(r'"checksum":(\d+)')

DECIMALS = {"BTC/USD": (1, 8), "ETH/USD": (2, 8), "DOGE/USD": (7, 8)}

View = tuple[list[Level], list[Level]]


@dataclass(frozen=True)
class BookFrame(Frame):
    """For those who asked for this depth."""

    depth: int = 0


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """CRC32 of the ten best levels, asks first, digits alone; prices and quantities in the pair's full precision."""

    def digits(number: str) -> str:
        return number.replace(".", "").lstrip("0")

    levels = [*asks[:CHECKED_LEVELS], *bids[:CHECKED_LEVELS]]
    return zlib.crc32("".join(digits(price) + digits(quantity) for price, quantity in levels).encode())


class KrakenVenue(Venue):
    """Streams are named `trade:BTC/USD`; the depth of a book is the client's.

    recorded_depth: of the recording that is played; who asks for more gets this.
    """

    name = "kraken"
    symbols = ("BTC/USD", "ETH/USD")
    messages_per_s = MESSAGES_PER_S
    connects = CONNECTS
    recorded_depth = max(DEPTHS)

    def __init__(self, symbols: Iterable[str] = (), *arguments: Any, **more: Any) -> None:
        super().__init__(symbols, *arguments, **more)
        self._depths: dict[tuple[int, str], int] = {}  # by client and symbol
        self._views: dict[tuple[str, int], View] = {}  # what those of a depth were told, by symbol and depth
        self._told_us = 0

    def make_market(self, symbols: tuple[str, ...], seed: int) -> Market:
        known = {symbol: DECIMALS[symbol] for symbol in symbols if symbol in DECIMALS}
        # A recording's texts have the decimals of its pairs.
        return Market(symbols, seed, dict.fromkeys(symbols, (4, 8)) | known if self.made_up else known)

    # --- The socket -------------------------------------------------------------------------------------------

    def handshake(self, path: str, arguments: dict[str, str]) -> Answer | None:
        return None

    def greet(self, client: Client) -> Sequence[Frame]:
        status = {
            "version": "2.0.10", "system": "online", "api_version": "v2",
            "connection_id": CONNECTION_ID + client.number,
        }  # fmt: skip
        return [Frame("", json_text({"channel": "status", "type": "update", "data": [status]}))]

    def reply(self, client: Client, message: str | bytes) -> Sequence[Frame]:
        at = iso(now_us())
        try:
            request = json.loads(message)
            method, parameters = request["method"], request.get("params") or {}
        except (ValueError, TypeError, KeyError):
            return [Frame("", json_text({"error": "Malformed request", "success": False, "time_in": at}))]
        heading = {"method": method} | ({"req_id": request["req_id"]} if "req_id" in request else {})
        if method == "ping":
            return [Frame("", json_text(heading | {"method": "pong", "time_in": at, "time_out": at}))]
        if method not in ("subscribe", "unsubscribe"):
            return [_refused(heading, "Unsupported method", at)]
        if parameters.get("channel") == "instrument":
            return [_accepted(heading, parameters, at), self._instruments()]
        frames: list[Frame] = []
        for symbol in parameters.get("symbol", []):
            frames += self._one(client, heading, parameters | {"symbol": symbol}, at)
        return frames or [_refused(heading, "Malformed request", at)]

    def _one(self, client: Client, heading: dict[str, Any], asked: dict[str, Any], at: str) -> list[Frame]:
        """The answer for one symbol, and the snapshot after it."""
        channel, symbol = asked["channel"], asked["symbol"]
        stream = f"{channel}:{symbol}"
        if symbol not in self.market.books:
            return [_refused(heading, f"Currency pair not supported {symbol}", at, symbol)]
        if channel not in ("trade", "ticker", "book", "ohlc"):
            return [_refused(heading, f"Subscription name invalid {channel}", at, symbol)]
        if heading["method"] == "unsubscribe":
            if stream not in client.streams:
                return [_refused(heading, "Subscription Not Found", at, symbol)]
            client.streams.discard(stream)
            return [_accepted(heading, asked, at)]
        if stream in client.streams:
            return [_refused(heading, "Already subscribed", at, symbol)]
        depth = int(asked.get("depth", 10))
        if channel == "book" and depth not in DEPTHS:
            return [_refused(heading, "Subscription depth not supported", at, symbol)]
        client.streams.add(stream)
        if channel == "book":
            depth = self._depths[client.number, symbol] = min(depth, self.recorded_depth)
        shown = {name: asked[name] for name in ("depth", "interval", "event_trigger") if name in asked}
        answer = _accepted(heading, {"channel": channel, "symbol": symbol, "snapshot": True} | shown, at)
        snapshot = self._snapshot(channel, symbol, depth) if asked.get("snapshot", True) else []
        return [answer, *snapshot]

    def _snapshot(self, channel: str, symbol: str, depth: int) -> list[Frame]:
        trades = self.market.trades.get(symbol, [])
        if channel == "trade" and trades:
            return [_trades_frame("", "snapshot", trades[-TRADES_TOLD:])]
        if channel == "ticker" and trades:
            return [self._ticker(symbol, "", "snapshot")]
        if channel == "ohlc" and trades:
            return [self._candle(symbol, "", "snapshot")]
        if channel == "book" and self._book(symbol).update_id:
            return [self._book_snapshot(symbol, depth)]
        return []

    def exceeded(self, client: Client) -> Sequence[Frame] | int:
        return [Frame("", json_text({"Error": "Exceeded msg rate"}))]

    def idle(self, client: Client, idle_s: float) -> Sequence[Frame]:
        if client.streams and idle_s >= HEARTBEAT_AFTER_S:
            return [Frame("", '{"channel":"heartbeat"}')]
        return ()

    def dress(self, client: Client, frame: Frame) -> str | bytes | None:
        if isinstance(frame, BookFrame) and frame.depth != self._depths.get((client.number, _symbol(frame))):
            return None
        return frame.text

    def is_book(self, frame: Frame) -> bool:
        return isinstance(frame, BookFrame)

    def spoil(self, text: str, kind: str, argument: float) -> str:
        if kind == faults.WRONG_CHECKSUM:
            return CHECKSUM.sub(lambda found: f'"checksum":{(int(found[1]) + 1) % 2**32}', text)
        symbol = json.loads(text)["data"][0]["symbol"]
        above = self.market.books[symbol].asks.best(5)[-1][0]
        return re.sub(r'"bids":\[(?=(.))', lambda found: f'"bids":[{{"price":{above},"qty":1.0}}'
                      + ("" if found[1] == "]" else ","), text, count=1)  # fmt: skip

    # --- The market -------------------------------------------------------------------------------------------

    def frames_of(self, trade: SentTrade) -> Sequence[Frame]:
        stream = f"trade:{trade.symbol}"
        self.market.take_untold(trade.symbol)
        return [_trades_frame(stream, "update", [trade]), *self._book_updates(trade.symbol, self._asked(trade.symbol))]

    def told_now(self, now_us: int, everything: bool = False) -> Sequence[Frame]:
        if not everything and now_us - self._told_us < 1e6:
            return ()
        self._told_us = now_us
        told: list[Frame] = []
        for symbol, trades in self.market.trades.items():
            if trades and self.made_up:
                told += [self._ticker(symbol, f"ticker:{symbol}", "update"),
                         self._candle(symbol, f"ohlc:{symbol}", "update")]  # fmt: skip
        return told

    def _asked(self, symbol: str) -> set[int]:
        """The depths that somebody follows."""
        open_now = {client.number for client in self.open_clients if f"book:{symbol}" in client.streams}
        return {depth for (number, s), depth in self._depths.items() if s == symbol and number in open_now}

    def _book(self, symbol: str) -> Book:
        return self.market.open_book(symbol) if self.made_up else self.market.books[symbol]

    def _view(self, symbol: str, depth: int) -> View:
        book = self._book(symbol)
        return book.bids.best(depth), book.asks.best(depth)

    def _book_snapshot(self, symbol: str, depth: int) -> BookFrame:
        view = self._views[symbol, depth] = self._view(symbol, depth)
        return self._book_frame(symbol, depth, "snapshot", view, view)

    def _book_updates(self, symbol: str, depths: Iterable[int]) -> list[Frame]:
        """For each depth what changed within it; what fell out of it is not told."""
        frames: list[Frame] = []
        for depth in depths:
            before = self._views.get((symbol, depth), ([], []))
            view = self._views[symbol, depth] = self._view(symbol, depth)
            book = self._book(symbol)
            changes = (
                _changes(before[0], view[0], {price for price, _ in book.bids.best()}),
                _changes(before[1], view[1], {price for price, _ in book.asks.best()}),
            )
            if changes != ([], []):
                frames.append(self._book_frame(symbol, depth, "update", changes, view))
        return frames

    def _book_frame(self, symbol: str, depth: int, kind: str, told: View, view: View) -> BookFrame:
        """With the checksum of the view after it, but for a snapshot of a thin book."""
        thin = kind == "snapshot" and min(len(side) for side in view) < CHECKED_LEVELS
        check = "" if thin else f',"checksum":{checksum(*view)}'
        bids, asks = (",".join(f'{{"price":{p},"qty":{q}}}' for p, q in side) for side in told)
        text = (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{bids}],"asks":[{asks}]{check},'
            f'"timestamp":"{iso(now_us())}"}}]}}'
        )
        return BookFrame(f"book:{symbol}", text, snapshot=kind == "snapshot", depth=depth)

    def _ticker(self, symbol: str, stream: str, kind: str) -> Frame:
        trades = self.market.trades[symbol]
        prices, volume, vwap = _summary(trades)
        bids, asks = self._view(symbol, 1)
        change = prices[-1] - prices[0]
        text = (
            f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{symbol}","bid":{bids[0][0]},'
            f'"bid_qty":{bids[0][1]},"ask":{asks[0][0]},"ask_qty":{asks[0][1]},"last":{prices[-1]},"volume":{volume},'
            f'"vwap":{vwap},"low":{min(prices)},"high":{max(prices)},"change":{change},'
            f'"change_pct":{change / prices[0] * 100:.2f},"trades":{len(trades)},"timestamp":"{iso(now_us())}"}}]}}'
        )
        return Frame(stream, text)

    def _candle(self, symbol: str, stream: str, kind: str) -> Frame:
        """The minute of the last trade."""
        newest = self.market.trades[symbol][-1].time_us // 60_000_000
        trades = [t for t in self.market.trades[symbol][-10_000:] if t.time_us // 60_000_000 == newest]
        prices, volume, vwap = _summary(trades)
        begin = iso(newest * 60_000_000).replace("Z", "000Z")
        text = (
            f'{{"channel":"ohlc","type":"{kind}","timestamp":"{iso(now_us())}","data":[{{"symbol":"{symbol}",'
            f'"open":{prices[0]},"high":{max(prices)},"low":{min(prices)},"close":{prices[-1]},"trades":{len(trades)},'
            f'"volume":{volume},"vwap":{vwap},"interval_begin":"{begin}","interval":1,'
            f'"timestamp":"{iso((newest + 1) * 60_000_000)}"}}]}}'
        )
        return Frame(stream, text)

    def _instruments(self) -> Frame:
        assets = sorted({part for symbol in self.market.symbols for part in symbol.split("/")})
        pairs = [
            {"symbol": symbol, "base": symbol.split("/")[0], "quote": symbol.split("/")[1], "status": "online",
             "price_precision": price, "qty_precision": quantity, "price_increment": 10.0**-price,
             "qty_increment": 10.0**-quantity, "qty_min": 0.0001, "cost_min": "0.5", "cost_precision": 5,
             "marginable": False, "has_index": True}
            for symbol in self.market.symbols
            for price, quantity in (self.market.scale(symbol),)
        ]  # fmt: skip
        data = {
            "assets": [{"id": asset, "status": "enabled", "precision": 10, "precision_display": 5} for asset in assets],
            "pairs": pairs,
        }
        return Frame("", json_text({"channel": "instrument", "type": "snapshot", "data": data}))

    # --- A recording ------------------------------------------------------------------------------------------

    def note(self, frame: Frame) -> None:
        super().note(frame)
        if not isinstance(frame, BookFrame):
            return
        for data in json.loads(frame.text, parse_float=str, parse_int=str)["data"]:
            symbol = data["symbol"]
            book = self.market.books.setdefault(symbol, Book())
            bids, asks = ([self._level(symbol, level) for level in data[side]] for side in ("bids", "asks"))
            if frame.snapshot:
                book.replace(bids, asks, book.update_id + 1)
            else:
                book.change(bids, asks, book.update_id + 1)
            for side in (book.bids, book.asks):
                side.keep(self.recorded_depth)

    def _level(self, symbol: str, level: dict[str, str]) -> Level:
        """In the pair's full precision, where it is known: JSON may have lost zeros."""
        if symbol not in self.market.decimals:
            return level["price"], level["qty"]
        price, quantity = self.market.decimals[symbol]
        return f"{Decimal(level['price']):.{price}f}", f"{Decimal(level['qty']):.{quantity}f}"

    def expand(self, frame: Frame) -> Sequence[Frame]:
        """Verbatim for those who asked for the recorded depth, made anew for those who asked for less."""
        if not isinstance(frame, BookFrame):
            return [frame]
        symbol = _symbol(frame)
        shallower = self._asked(symbol) - {self.recorded_depth}
        if frame.snapshot:
            return [frame, *(self._book_snapshot(symbol, depth) for depth in shallower)]
        return [frame, *self._book_updates(symbol, shallower)]

    # --- REST -------------------------------------------------------------------------------------------------

    async def rest(self, path: str, arguments: dict[str, str], headers: Any) -> Answer | None:
        """Always 200: errors are in the body."""
        call = path.removeprefix("/0/public/")
        if call == "Time":
            return _result({"unixtime": now_us() // 10**6, "rfc1123": ""})
        if call == "SystemStatus":
            return _result({"status": "online", "timestamp": iso(now_us())})
        if call == "Assets":
            names = {part for symbol in self.market.symbols for part in symbol.split("/")}
            return _result({rest_asset(n): {"aclass": "currency", "altname": v1_name(n), "decimals": 10,
                                            "display_decimals": 5, "status": "enabled"} for n in names})  # fmt: skip
        if call == "AssetPairs":
            return _result({rest_pair(symbol): self._pair(symbol) for symbol in self.market.symbols})
        if call == "Depth":
            return self._depth(arguments.get("pair", ""), int(arguments.get("count", "100")))
        return None

    def symbol_of(self, pair: str) -> str | None:
        """By any of the names that REST takes."""
        for symbol in self.market.symbols:
            if pair in (symbol, rest_pair(symbol), v1_name(symbol), v1_name(symbol).replace("/", "")):
                return symbol
        return None

    def _pair(self, symbol: str) -> dict[str, Any]:
        base, _, quote = symbol.partition("/")
        price, quantity = self.market.scale(symbol)
        return {
            "altname": v1_name(symbol).replace("/", ""), "wsname": v1_name(symbol), "aclass_base": "currency",
            "base": rest_asset(base), "aclass_quote": "currency", "quote": rest_asset(quote), "lot": "unit",
            "cost_decimals": 5, "pair_decimals": price, "lot_decimals": quantity, "lot_multiplier": 1,
            "leverage_buy": [], "leverage_sell": [], "fees": [[0, 0.4]], "fees_maker": [[0, 0.25]],
            "fee_volume_currency": "ZUSD", "margin_call": 80, "margin_stop": 40, "ordermin": "0.0001",
            "costmin": "0.5", "tick_size": f"{Decimal(1).scaleb(-price):f}", "status": "online",
        }  # fmt: skip

    def _depth(self, pair: str, count: int) -> Answer:
        symbol = self.symbol_of(pair)
        if symbol is None:
            return 200, {"error": ["EQuery:Unknown asset pair"]}, {}
        at = now_us() // 10**6
        bids, asks = self._view(symbol, count)
        return _result(
            {rest_pair(symbol): {"asks": [[p, q, at] for p, q in asks], "bids": [[p, q, at] for p, q in bids]}}
        )


def v1_name(name: str) -> str:
    """As REST and the old sockets call it: XBT and XDG."""
    return name.replace("BTC", "XBT").replace("DOGE", "XDG")


def rest_asset(name: str) -> str:
    return ("Z" if name in ("USD", "EUR", "GBP") else "X") + v1_name(name)


def rest_pair(symbol: str) -> str:
    """Its key in REST's results: XXBTZUSD."""
    return "".join(rest_asset(part) for part in symbol.split("/"))


def _symbol(frame: Frame) -> str:
    return frame.stream.partition(":")[2]


def _result(result: Any) -> Answer:
    return 200, {"error": [], "result": result}, {}


def _accepted(heading: dict[str, Any], result: dict[str, Any], at: str) -> Frame:
    return Frame("", json_text(heading | {"result": result, "success": True, "time_in": at, "time_out": at}))


def _refused(heading: dict[str, Any], error: str, at: str, symbol: str = "") -> Frame:
    named = {"symbol": symbol} if symbol else {}
    told = heading | {"error": error, "success": False} | named | {"time_in": at, "time_out": at}
    return Frame("", json_text(told))


def _changes(before: list[Level], now: list[Level], standing: set[str]) -> list[Level]:
    """before, now: within the depth. standing: the prices of all levels, those outside it too."""
    old = dict(before)
    gone = [(price, _zero(quantity)) for price, quantity in before if price not in standing]
    return [*gone, *((price, quantity) for price, quantity in now if old.get(price) != quantity)]


def _zero(like: str) -> str:
    return re.sub(r"\d", "0", like[like.index(".") - 1 :]) if "." in like else "0"


def _summary(trades: Sequence[SentTrade]) -> tuple[list[Decimal], Decimal, Decimal]:
    prices = [Decimal(trade.price) for trade in trades]
    volume = sum((Decimal(trade.quantity) for trade in trades), Decimal(0))
    money = sum((Decimal(trade.quantity) * Decimal(trade.price) for trade in trades), Decimal(0))
    return prices, volume, round(money / volume, 5)


def _trades_frame(stream: str, kind: str, trades: Sequence[SentTrade]) -> Frame:
    data = ",".join(
        f'{{"symbol":"{t.symbol}","side":"{t.taker}","price":{t.price},"qty":{t.quantity},"ord_type":"market",'
        f'"trade_id":{t.trade_id},"timestamp":"{iso(t.time_us)}"}}'
        for t in trades
    )
    return Frame(stream, f'{{"channel":"trade","type":"{kind}","data":[{data}]}}', tuple(trades))
