"""Finnhub's trades on loopback: no answers, no ids, one connection a key, fifty symbols."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from tests.venues.http import Answer
from tests.venues.market import SentTrade
from tests.venues.server import Client, Frame, Venue, json_text

MESSAGES_PER_S = 30
CONNECTS = (10, 60.0)
SYMBOLS_MAX = 50
PING_AFTER_S = 10.0
STEPS_EVERY_S = 0.1
# Of so many trades one comes with an equal twin, as real ones do.
TWIN_EVERY = 20
CONDITIONS = (["1"], ["1", "8"], None)
KEY = "loopback-key"


class FinnhubVenue(Venue):
    """A stream is named as its symbol. The ids of its trades are for the score alone: no frame has them."""

    name = "finnhub"
    symbols = ("AAPL", "MSFT", "BINANCE:BTCUSDT")
    messages_per_s = MESSAGES_PER_S
    connects = CONNECTS
    ping_after_s = PING_AFTER_S

    def __init__(self, symbols: Iterable[str] = (), *arguments: Any, keys: Iterable[str] = (KEY,), **more: Any) -> None:
        super().__init__(symbols, *arguments, **more)
        self.keys = set(keys)
        self._told_us = 0
        self._untold: list[SentTrade] = []

    def handshake(self, path: str, arguments: dict[str, str]) -> Answer | None:
        if arguments.get("token") not in self.keys:
            return 401, "Invalid API key", {}
        return None

    def greet(self, client: Client) -> Sequence[Frame]:
        """The second connection with a key ends the first."""
        for other in self.open_clients:
            if other is not client and other.arguments["token"] == client.arguments["token"]:
                self.violation(client, f"came while connection {other.number} with the same key was open")
                other.socket.transport.abort()
        return ()

    def reply(self, client: Client, message: str | bytes) -> Sequence[Frame]:
        try:
            request = json.loads(message)
            kind, symbol = request["type"], request["symbol"]
        except (ValueError, TypeError, KeyError):
            return [_error("Invalid message")]
        if kind == "unsubscribe":
            client.streams.discard(symbol)
        elif kind == "subscribe" and len(client.streams | {symbol}) > SYMBOLS_MAX:
            self.violation(client, f"asked for more than {SYMBOLS_MAX} symbols")
            return [_error("Subscribing to too many symbols")]
        elif kind == "subscribe":
            client.streams.add(symbol)
        else:
            return [_error("Invalid message")]
        return ()

    def exceeded(self, client: Client) -> int:
        return 1008

    def idle(self, client: Client, idle_s: float) -> Sequence[Frame]:
        return [Frame("", '{"type":"ping"}')] if idle_s >= self.ping_after_s else ()

    def wants(self, client: Client, frame: Frame) -> bool:
        return any(trade.symbol in client.streams for trade in frame.trades)

    def carried(self, client: Client, frame: Frame) -> tuple[SentTrade, ...]:
        return tuple(trade for trade in frame.trades if trade.symbol in client.streams)

    def dress(self, client: Client, frame: Frame) -> str | bytes | None:
        """Without the trades that this client did not ask for."""
        if not frame.trades or all(trade.symbol in client.streams for trade in frame.trades):
            return frame.text
        told = json.loads(frame.text)
        told["data"] = [datum for datum in told["data"] if datum["s"] in client.streams]
        return json_text(told) if told["data"] else None

    def frames_of(self, trade: SentTrade) -> Sequence[Frame]:
        self._untold.append(trade)
        if trade.trade_id % TWIN_EVERY == 0:
            twin = replace(trade, trade_id=self.market.next_id(trade.symbol))
            self.market.trades[trade.symbol].append(twin)
            self._untold.append(twin)
        return ()

    def told_now(self, now_us: int, everything: bool = False) -> Sequence[Frame]:
        """Trades of several symbols in one frame."""
        if not self._untold or (not everything and now_us - self._told_us < STEPS_EVERY_S * 1e6):
            return ()
        self._told_us = now_us
        told, self._untold = self._untold, []
        return [trades_frame(told[at : at + 100]) for at in range(0, len(told), 100)]


def trades_frame(trades: Sequence[SentTrade]) -> Frame:
    data = ",".join(
        f'{{"c":{json.dumps(CONDITIONS[t.trade_id % len(CONDITIONS)])},"p":{t.price},"s":"{t.symbol}",'
        f'"t":{t.time_ms},"v":{t.quantity}}}'
        for t in trades
    )
    return Frame("trade", f'{{"data":[{data}],"type":"trade"}}', tuple(trades))


def _error(message: str) -> Frame:
    return Frame("", json_text({"msg": message, "type": "error"}))
