"""`/ws/market/`: prices of many symbols in camel case, order books on request. Pure."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, ClassVar, Literal

import msgspec

from ingestion.dialects.saying import BOOK, PRICE, asked, held_names, symbols_held, symbols_of, topic
from streaming.dialects import Dialect, Misunderstood
from streaming.effects import Effect, Send, Subscribe, Subscription, Unsubscribe
from streaming.protocol import Message


class Choice(msgspec.Struct, omit_defaults=True):
    """Follow these symbols, with their order books if asked for; or leave them."""

    type: Literal["subscribe", "unsubscribe"]
    symbols: list[str]
    order_book: bool = False


class Ping(msgspec.Struct):
    """Are you there? Answered with `pong`."""

    type: Literal["ping"]


class Pong(msgspec.Struct):
    """The answer to a ping."""

    type: Literal["pong"]


class Symbols(msgspec.Struct):
    symbols: list[str]


class Confirmed(msgspec.Struct):
    """All symbols that are subscribed by now."""

    type: Literal["subscription_confirmed"]
    data: Symbols


class PriceData(msgspec.Struct, rename={"change_percent": "changePercent"}):
    symbol: str
    price: float | None
    volume: float | None
    high: float | None
    low: float | None
    change: float | None
    change_percent: float | None
    timestamp: int


class MarketDataMessage(msgspec.Struct):
    """A price. `timestamp`: milliseconds since 1970."""

    type: Literal["market_data"]
    data: PriceData


class Level(msgspec.Struct):
    price: float
    quantity: float
    total: float


class BookData(msgspec.Struct):
    symbol: str
    bids: list[Level]
    asks: list[Level]
    spread: float | None
    timestamp: int


class OrderBook(msgspec.Struct):
    """The venue's order book, best levels first. `total`: the quantity up to and with the level."""

    type: Literal["order_book"]
    data: BookData


class Market(Dialect):
    """Nothing at first; `subscribe` names the symbols."""

    path = "market"
    market = True
    counts_symbols = True
    examples: ClassVar[Sequence[dict[str, Any]]] = (
        {"type": "subscribe", "symbols": ["BTC-USDT"], "order_book": True},
        {"type": "unsubscribe", "symbols": ["BTC-USDT"]},
        {"type": "ping"},
    )
    hears: ClassVar[Mapping[str, type]] = {"choice": Choice, "ping": Ping}
    says: ClassVar[Mapping[str, type]] = {
        "subscription_confirmed": Confirmed, "market_data": MarketDataMessage, "order_book": OrderBook, "pong": Pong,
    }  # fmt: skip

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        match said.get("type"):
            case "ping":
                return [Send({"type": "pong"})]
            case "subscribe":
                return [Subscribe(self._names(said))]
            case "unsubscribe":
                names = held_names((PRICE, BOOK), symbols_of(said, "symbols"), held)
                return [Unsubscribe(names), Send(confirmed(name for name in held if name not in names))]
        raise Misunderstood("A `type` is subscribe, unsubscribe or ping.")

    @staticmethod
    def _names(said: Mapping[str, Any]) -> tuple[str, ...]:
        with_book = said.get("order_book", False)
        if not isinstance(with_book, bool):
            raise Misunderstood("`order_book` is true or false.")
        prefixes = (PRICE, BOOK) if with_book else (PRICE,)
        return tuple(topic(prefix, symbol) for symbol in symbols_of(said, "symbols") for prefix in prefixes)

    def subscribed(
        self, positions: Mapping[str, dict[str, Any]], held: Mapping[str, Subscription], request: Any, at_us: int
    ) -> list[dict[str, Any]]:
        return [confirmed(held)]

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        symbol, told, at_ms = asked(message, subscription), message.data, message.at_us // 1000
        if message.type == "asset_update":
            data = {"symbol": symbol} | {name: told.get(name) for name in ("price", "volume", "high", "low", "change")}
            data |= {"changePercent": told.get("change_percent"), "timestamp": at_ms}
            return [{"type": "market_data", "data": data}]
        if message.type == "book":
            data = {"symbol": symbol, "bids": levels(told["bids"]), "asks": levels(told["asks"])}
            return [{"type": "order_book", "data": data | {"spread": told.get("spread"), "timestamp": at_ms}}]
        return []


def confirmed(held: Any) -> dict[str, Any]:
    return {"type": "subscription_confirmed", "data": {"symbols": symbols_held(PRICE, held)}}


def levels(side: Sequence[Sequence[float]]) -> list[dict[str, float]]:
    """(price, quantity) with the running total of the quantities, best first."""
    totals = accumulate(quantity for _, quantity in side)
    return [{"price": p, "quantity": q, "total": total} for (p, q), total in zip(side, totals, strict=True)]
