"""The older paths `/ws/notifications/`, `/ws/news/<category>/` and `/ws/trading-signals/`. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from signals.events import SIGNAL_TYPES, NewsEvent
from streaming import dialects
from streaming.dialects import Dialect, Misunderstood, Opening
from streaming.effects import Act, Effect, Send, Subscribe, Subscription
from streaming.protocol import Message, timestamp


class MarkRead(msgspec.Struct):
    """It was read."""

    type: Literal["mark_read"]
    notification_id: str | int


class NewNotification(msgspec.Struct):
    """Something that the user is told."""

    type: Literal["new_notification"]
    notification_id: str
    title: str
    message: str
    notification_type: str
    priority: Literal["low", "normal", "high", "critical"]
    timestamp: str


class Notifications(Dialect):
    """Unread notifications on connect, then each new one, flat. `{"type": "mark_read", "notification_id"}`."""

    path = "notifications"
    needs_user = True
    hears: ClassVar[Mapping[str, type]] = {"mark_read": MarkRead}
    says: ClassVar[Mapping[str, type]] = {"new_notification": NewNotification}
    examples: ClassVar[Sequence[dict[str, Any]]] = ({"type": "mark_read", "notification_id": "1"},)

    def topics(self, params: Mapping[str, str]) -> list[str]:
        return ["notifications"]

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        one = said.get("notification_id")
        if said.get("type") != "mark_read" or not isinstance(one, str | int) or isinstance(one, bool):
            raise Misunderstood('This path understands {"type": "mark_read", "notification_id"} only.')
        return [Act("mark_read", {"notification_ids": [str(one)[:64]]}, said.get("id"))]

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        """`{type, notification_id, title, message, notification_type, priority, timestamp}`."""
        if message.type != "notification":
            return []
        flat: dict[str, Any] = {"type": "new_notification"}
        for name in ("notification_id", "title", "message", "notification_type", "priority"):
            flat[name] = message.data.get(name)
        return [flat | {"timestamp": message.data.get("created_at") or timestamp(message.at_us)}]


# --- Signals --------------------------------------------------------------------------------------------------------


class Filter(msgspec.Struct):
    """Only signals on this symbol, of this type; without both, all again."""

    type: Literal["filter"]
    symbol: str | None = None
    signal_type: Literal["BUY", "SELL", "HOLD"] | None = None


class FlatSignal(msgspec.Struct):
    """What a strategy says of a symbol: new, or changed since."""

    type: Literal["new_signal", "signal_update"]
    signal_id: str
    symbol: str
    signal_type: Literal["BUY", "SELL", "HOLD"]
    strength: Literal["WEAK", "MODERATE", "STRONG"]
    confidence_score: float
    entry_price: float | None
    target_price: float | None
    stop_loss: float | None
    timestamp: str


class TradingSignals(Dialect):
    """Active signals on connect, then each new one and each change, flat: the house's, and those of one's own
    strategies. `{"type": "filter", "symbol"?, "signal_type"?}` starts anew with what fits."""

    path = "trading-signals"
    needs_user = True
    hears: ClassVar[Mapping[str, type]] = {"filter": Filter}
    says: ClassVar[Mapping[str, type]] = {"new_signal": FlatSignal, "signal_update": FlatSignal}
    examples: ClassVar[Sequence[dict[str, Any]]] = (
        {"type": "filter", "symbol": "BTC-USD", "signal_type": "BUY"},
        {"type": "filter"},
    )
    _TYPES: ClassVar[Mapping[str, str]] = {"signal": "new_signal", "signal_update": "signal_update"}

    def topics(self, params: Mapping[str, str]) -> list[str]:
        return _filtered("", "")

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        if said.get("type") != "filter":
            raise Misunderstood('This path understands {"type": "filter", "symbol", "signal_type"} only.')
        names = _filtered(_text(said, "symbol"), _text(said, "signal_type").upper())
        rest = tuple(name for name in held if name not in names)
        return [Subscribe(tuple(names), said.get("id"), quiet=True, instead_of=rest)]

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        """`{type, signal_id, symbol, signal_type, strength, confidence_score, entry_price, target_price, stop_loss,
        timestamp}`."""
        wanted = subscription.address.name.rpartition(":")[2]
        if message.type not in self._TYPES or wanted not in ("", message.data.get("signal_type")):
            return []
        flat: dict[str, Any] = {"type": self._TYPES[message.type]}
        for name in (
            "signal_id", "symbol", "signal_type", "strength", "confidence_score", "entry_price", "target_price",
            "stop_loss",
        ):  # fmt: skip
            flat[name] = message.data.get(name)
        flat["symbol"] = subscription.address.symbol or flat["symbol"]
        return [flat | {"timestamp": timestamp(message.at_us)}]


def _filtered(symbol: str, signal_type: str) -> list[str]:
    return [f"trading-signals:{whose}:{symbol}:{signal_type}" for whose in ("house", "own")]


def _text(said: dict[str, Any], name: str) -> str:
    """A field that may be left out; null and empty stand for that too."""
    value = said.get(name)
    if value is not None and not isinstance(value, str):
        raise Misunderstood(f"`{name}` is a string.")
    if value and name == "signal_type" and value.upper() not in SIGNAL_TYPES:
        raise Misunderstood(f"`signal_type` is one of {', '.join(SIGNAL_TYPES)}.")
    return (value or "").strip()


class Ping(msgspec.Struct):
    """Are you there? Answered with `pong`."""

    action: Literal["ping"]


class Pong(msgspec.Struct):
    """The answer to a ping."""

    type: Literal["pong"]


class NewsConnection(msgspec.Struct):
    """The first message."""

    type: Literal["connection"]
    status: Literal["connected"]
    category: str
    stream_type: Literal["news"]
    timestamp: str


class NewsFrame(msgspec.Struct):
    """A story."""

    type: Literal["news"]
    data: NewsEvent
    timestamp: str


class News(Dialect):
    """The news of one category: first `connection`, then the newest there are, then each that comes."""

    path = r"news/(?P<category>[^/]+)"
    market = True
    hears: ClassVar[Mapping[str, type]] = {"ping": Ping}
    says: ClassVar[Mapping[str, type]] = {"connection": NewsConnection, "news": NewsFrame, "pong": Pong}
    examples: ClassVar[Sequence[dict[str, Any]]] = ({"action": "ping"},)

    def topics(self, params: Mapping[str, str]) -> list[str]:
        return [f"news:{params['category']}"]

    def greet(self, opening: Opening, at_us: int) -> list[dict[str, Any]]:
        return [
            {
                "type": "connection",
                "status": "connected",
                "category": opening.params["category"].lower(),
                "stream_type": "news",
                "timestamp": timestamp(at_us),
            }
        ]

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        if said.get("action") == "ping":
            return [Send({"type": "pong"})]
        raise Misunderstood('This path understands {"action": "ping"} only.')

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        """`{type, data, timestamp}`."""
        return [{"type": "news", "data": message.data, "timestamp": timestamp(message.at_us)}]


dialects.register(TradingSignals())
dialects.register(Notifications())
dialects.register(News())
