"""`/ws/market/<sym>/<stream>/` and `/ws/market-multi/`: one stream of one symbol, or many of many. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

import msgspec

from ingestion.dialects.saying import BOOK, PRICE, TICKER, TRADES, asked, held_names, parted, symbols_of, topic
from streaming.dialects import Dialect, Misunderstood, Opening
from streaming.effects import Effect, Send, Subscribe, Subscription, Unsubscribe
from streaming.protocol import Message, timestamp

# Which topic is behind each of these paths' stream types, and the other way round.
TOPICS: Final = {"price": PRICE, "orderbook": BOOK, "trades": TRADES, "ticker": TICKER}
STREAMS: Final = {prefix: stream for stream, prefix in TOPICS.items()}

PRICE_FIELDS: Final = ("price", "change", "change_percent", "volume", "source")
BOOK_FIELDS: Final = ("bids", "asks", "last_update_id", "source")
TRADE_FIELDS: Final = ("price", "quantity", "timestamp", "is_buyer_maker")


class Ping(msgspec.Struct):
    """Are you there? Answered with `pong`."""

    action: Literal["ping"]


class Choice(msgspec.Struct, omit_defaults=True):
    """Subscribe (by default to `price`), or unsubscribe (by default from everything)."""

    action: Literal["subscribe", "unsubscribe"]
    symbols: list[str]
    stream_type: Literal["price", "orderbook", "trades", "ticker"] | None = None


class Listing(msgspec.Struct):
    """What am I subscribed to?"""

    action: Literal["list"]


class Pong(msgspec.Struct):
    """The answer to a ping."""

    type: Literal["pong"]


class Connection(msgspec.Struct):
    """The first message."""

    type: Literal["connection"]
    status: Literal["connected"]
    symbol: str
    stream_type: str
    timestamp: str


class PriceData(msgspec.Struct):
    symbol: str
    price: float | None
    change: float | None
    change_percent: float | None
    volume: float | None
    source: str | None


class Price(msgspec.Struct):
    """A price, and how it has moved over 24 hours (equities: since the previous session's close)."""

    type: Literal["price"]
    data: PriceData
    source: str | None
    timestamp: str


class BookData(msgspec.Struct):
    symbol: str
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]
    last_update_id: int | None
    source: str | None


class OrderBook(msgspec.Struct):
    """The venue's order book, best levels first: (price, quantity)."""

    type: Literal["orderbook"]
    data: BookData
    timestamp: str


class TradeData(msgspec.Struct):
    symbol: str
    price: float
    quantity: float
    timestamp: str
    is_buyer_maker: bool | None
    source: str | None


class Trade(msgspec.Struct):
    """One trade."""

    type: Literal["trade"]
    data: TradeData


class TickerFrame(msgspec.Struct):
    """The venue's own last 24 hours; `data` as on the topic `ticker`."""

    type: Literal["ticker"]
    data: dict[str, Any]
    timestamp: str


class Chosen(msgspec.Struct):
    """What was granted, or left."""

    type: Literal["subscribed", "unsubscribed"]
    symbols: list[str]
    stream_type: str | None


class Subscriptions(msgspec.Struct):
    """The symbols by stream type."""

    type: Literal["subscriptions"]
    subscriptions: dict[str, list[str]]


EVENTS: Final[dict[str, type]] = {"price": Price, "orderbook": OrderBook, "trade": Trade, "ticker": TickerFrame}


def render(message: Message, subscription: Subscription) -> list[dict[str, Any]]:
    """A topic's event as these paths tell it: trades one by one."""
    symbol, told, at = asked(message, subscription), message.data, timestamp(message.at_us)
    match message.type:
        case "asset_update":
            data = {"symbol": symbol} | {name: told.get(name) for name in PRICE_FIELDS}
            return [{"type": "price", "data": data, "source": told.get("source"), "timestamp": at}]
        case "book":
            data = {"symbol": symbol} | {name: told.get(name) for name in BOOK_FIELDS}
            return [{"type": "orderbook", "data": data, "timestamp": at}]
        case "trades":
            return [_trade(symbol, told.get("source"), one) for one in told["trades"]]
        case "ticker":
            return [{"type": "ticker", "data": told | {"symbol": symbol}, "timestamp": at}]
    return []


def _trade(symbol: str, source: str | None, one: Mapping[str, Any]) -> dict[str, Any]:
    data = {"symbol": symbol} | {name: one[name] for name in TRADE_FIELDS} | {"source": source}
    return {"type": "trade", "data": data}


class MarketStream(Dialect):
    """One stream of one symbol: first `connection`, then its messages. `{"action": "ping"}` is answered."""

    path = r"market/(?P<symbol>[^/]+)/(?P<stream>price|orderbook|trades|ticker)"
    market = True
    hears: ClassVar[Mapping[str, type]] = {"ping": Ping}
    examples: ClassVar[Sequence[dict[str, Any]]] = ({"action": "ping"},)
    says: ClassVar[Mapping[str, type]] = {"connection": Connection, "pong": Pong, **EVENTS}

    def topics(self, params: Mapping[str, str]) -> list[str]:
        return [topic(TOPICS[params["stream"]], params["symbol"])]

    def greet(self, opening: Opening, at_us: int) -> list[dict[str, Any]]:
        return [
            {
                "type": "connection",
                "status": "connected",
                "symbol": opening.params["symbol"].upper(),
                "stream_type": opening.params["stream"],
                "timestamp": timestamp(at_us),
            }
        ]

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        if said.get("action") == "ping":
            return [Send({"type": "pong"})]
        raise Misunderstood('This path understands {"action": "ping"} only.')

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        return render(message, subscription)


class MarketMulti(Dialect):
    """Many streams of many symbols on one connection."""

    path = "market-multi"
    market = True
    counts_symbols = True
    examples: ClassVar[Sequence[dict[str, Any]]] = (
        {"action": "subscribe", "symbols": ["BTC-USDT", "ETH-USDT"], "stream_type": "price"},
        {"action": "unsubscribe", "symbols": ["ETH-USDT"]},
        {"action": "list"},
        {"action": "ping"},
    )
    hears: ClassVar[Mapping[str, type]] = {"choice": Choice, "list": Listing, "ping": Ping}
    says: ClassVar[Mapping[str, type]] = {
        "subscribed": Chosen, "unsubscribed": Chosen, "subscriptions": Subscriptions, "pong": Pong, **EVENTS,
    }  # fmt: skip

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        match said.get("action"):
            case "ping":
                return [Send({"type": "pong"})]
            case "list":
                return [Send({"type": "subscriptions", "subscriptions": self._by_stream(held)})]
            case "subscribe":
                stream = self._stream(said) or "price"
                names = tuple(topic(TOPICS[stream], symbol) for symbol in symbols_of(said, "symbols"))
                return [Subscribe(names, stream)]
            case "unsubscribe":
                return self._unsubscribe(said, held)
        raise Misunderstood("An `action` is subscribe, unsubscribe, list or ping.")

    def _unsubscribe(self, said: dict[str, Any], held: Mapping[str, Subscription]) -> Sequence[Effect]:
        stream = self._stream(said)
        prefixes = TOPICS.values() if stream is None else [TOPICS[stream]]
        names = held_names(prefixes, symbols_of(said, "symbols"), held)
        symbols = list(dict.fromkeys(parted(name)[1] for name in names))
        return [
            Unsubscribe(names),
            Send({"type": "unsubscribed", "symbols": symbols, "stream_type": stream}),
        ]

    def subscribed(
        self, positions: Mapping[str, dict[str, Any]], held: Mapping[str, Subscription], request: Any, at_us: int
    ) -> list[dict[str, Any]]:
        symbols = [parted(name)[1] for name in positions]
        return [{"type": "subscribed", "symbols": symbols, "stream_type": request}]

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        return render(message, subscription)

    @staticmethod
    def _stream(said: Mapping[str, Any]) -> str | None:
        stream = said.get("stream_type")
        if stream is not None and (not isinstance(stream, str) or stream not in TOPICS):
            raise Misunderstood(f"A `stream_type` is one of {', '.join(TOPICS)}.")
        return stream

    @staticmethod
    def _by_stream(held: Mapping[str, Subscription]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for prefix, symbol in map(parted, held):
            found.setdefault(STREAMS[prefix], []).append(symbol)
        return found
