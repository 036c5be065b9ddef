"""`/ws/market-data/<sym>/`: one symbol's day as strings; `/ws/market-data/`: flat updates of everything. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

import msgspec

from ingestion.dialects.saying import BOOK, CANDLES, PRICE, asked, held_names, plain, symbols_of, topic
from streaming.dialects import Dialect, Misunderstood
from streaming.effects import Effect, SetPace, Subscribe, Subscription, Unsubscribe
from streaming.protocol import Message, timestamp

DAY: Final = "1d"
FIGURES: Final = ("open", "high", "low", "close", "volume")
# What was told by `broadcast_market_update` of symbols outside the default ones.
BROADCASTS: Final = "broadcasts"
SHORTEST_MS, LONGEST_MS = 50, 5000


class Level2(msgspec.Struct):
    """The venue's order book too, or no more."""

    type: Literal["subscribe_level2", "unsubscribe_level2"]


class Frequency(msgspec.Struct):
    """The pace in milliseconds, brought to between 50 and 5,000."""

    type: Literal["set_frequency"]
    frequency: float


class Day(msgspec.Struct):
    """Decimals as strings; null where nothing is known."""

    open: str | None
    high: str | None
    low: str | None
    close: str | None
    volume: str | None
    price: str | None
    timestamp: str


class DayMessage(msgspec.Struct):
    """Today's bar: `market_data` at once, `market_data_update` at each change."""

    type: Literal["market_data", "market_data_update"]
    symbol: str
    data: Day
    timestamp: str


class Level(msgspec.Struct):
    price: str
    quantity: str


class BookUpdate(msgspec.Struct):
    """The venue's order book, best levels first, decimals as strings."""

    type: Literal["order_book_update"]
    symbol: str
    bids: list[Level]
    asks: list[Level]
    timestamp: str


class MarketDataOf(Dialect):
    """Today's bar of one symbol, and its order book on request."""

    path = r"market-data/(?P<symbol>[^/]+)"
    market = True
    examples: ClassVar[Sequence[dict[str, Any]]] = (
        {"type": "subscribe_level2"},
        {"type": "unsubscribe_level2"},
        {"type": "set_frequency", "frequency": 1000},
    )
    hears: ClassVar[Mapping[str, type]] = {"level2": Level2, "set_frequency": Frequency}
    says: ClassVar[Mapping[str, type]] = {
        "market_data": DayMessage, "market_data_update": DayMessage, "order_book_update": BookUpdate,
    }  # fmt: skip

    def topics(self, params: Mapping[str, str]) -> list[str]:
        return [f"{topic(CANDLES, params['symbol'])}:{DAY}"]

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        match said.get("type"):
            case "subscribe_level2":
                return [Subscribe((topic(BOOK, self._symbol(held)),), quiet=True, only_new=True)]
            case "unsubscribe_level2":
                return [Unsubscribe(tuple(name for name in held if name.startswith(BOOK + ":")))]
            case "set_frequency":
                return [SetPace(interval_ms(said.get("frequency")))]
        raise Misunderstood("A `type` is subscribe_level2, unsubscribe_level2 or set_frequency.")

    @staticmethod
    def _symbol(held: Mapping[str, Subscription]) -> str:
        """The path's own: the bar's subscription knows it."""
        return next(s.address.symbol for s in held.values() if s.address.symbol is not None)

    def begin(self, messages: Sequence[Message], subscription: Subscription, at_us: int) -> list[dict[str, Any]]:
        """`market_data` at once, whether or not anything is known of today."""
        if subscription.address.name.startswith(BOOK + ":"):
            return super().begin(messages, subscription, at_us)
        symbol = subscription.address.symbol or ""
        if not messages:
            nothing = dict.fromkeys((*FIGURES, "price")) | {"timestamp": timestamp(at_us)}
            return [{"type": "market_data", "symbol": symbol, "data": nothing, "timestamp": timestamp(at_us)}]
        return [day("market_data", symbol, message) for message in messages]

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        symbol = asked(message, subscription)
        if message.type == "candle":
            return [day("market_data_update", symbol, message)]
        if message.type == "book":
            return [book_update(symbol, message)]
        return []


def day(type_: str, symbol: str, message: Message) -> dict[str, Any]:
    told, at = message.data, timestamp(message.at_us)
    data = {name: plain(told.get(name)) for name in FIGURES} | {"price": plain(told.get("close")), "timestamp": at}
    return {"type": type_, "symbol": symbol, "data": data, "timestamp": at}


def book_update(symbol: str, message: Message) -> dict[str, Any]:
    sides = {
        side: [{"price": plain(price), "quantity": plain(quantity)} for price, quantity in message.data[side]]
        for side in ("bids", "asks")
    }
    return {"type": "order_book_update", "symbol": symbol, **sides, "timestamp": timestamp(message.at_us)}


def interval_ms(frequency: Any) -> int:
    """What was asked for, within bounds. Raises Misunderstood."""
    if isinstance(frequency, bool) or not isinstance(frequency, int | float) or not frequency > 0:
        raise Misunderstood("`frequency` is a number of milliseconds.")
    return int(min(max(frequency, SHORTEST_MS), LONGEST_MS))


# --- Everything -----------------------------------------------------------------------------------------------------


class Choice(msgspec.Struct, omit_defaults=True):
    """Only these from now on, and what was chosen before; or no more of these."""

    type: Literal["subscribe", "unsubscribe"]
    symbol: str | None = None
    symbols: list[str] | None = None


class Update(msgspec.Struct):
    """A price."""

    type: Literal["market_update"]
    symbol: str
    price: float | None
    change: float | None
    volume: float | None
    timestamp: str


class MarketData(Dialect):
    """Before its first `subscribe` a client hears of everything: SYMBOLS, the demo instruments and each broadcast."""

    path = "market-data"
    needs_user = True
    counts_symbols = True
    examples: ClassVar[Sequence[dict[str, Any]]] = (
        {"type": "subscribe", "symbols": ["BTC-USDT"]},
        {"type": "unsubscribe", "symbol": "BTC-USDT"},
    )
    hears: ClassVar[Mapping[str, type]] = {"choice": Choice}
    says: ClassVar[Mapping[str, type]] = {"market_update": Update}

    def topics(self, params: Mapping[str, str]) -> list[str]:
        return [f"{PRICE}:*", BROADCASTS]

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        symbols = symbols_of(said, "symbols", "symbol")
        if said.get("type") == "unsubscribe":
            return [Unsubscribe(held_names((PRICE,), symbols, held))]
        if said.get("type") != "subscribe":
            raise Misunderstood("A `type` is subscribe or unsubscribe.")
        everything = tuple(held) if BROADCASTS in held else ()
        return [Unsubscribe(everything), Subscribe(tuple(topic(PRICE, symbol) for symbol in symbols), quiet=True)]

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        if message.type != "asset_update":
            return []
        told = message.data
        flat: dict[str, Any] = {"type": "market_update", "symbol": asked(message, subscription)}
        flat |= {name: told.get(name) for name in ("price", "change", "volume")}
        return [flat | {"timestamp": timestamp(message.at_us)}]
