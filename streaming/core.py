"""The core protocol of `/ws/realtime/`, as one dialect among the others. Pure."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from streaming import dialects
from streaming.dialects import Dialect, Misunderstood, Opening
from streaming.effects import Act, Authenticate, Effect, Send, SetPace, Subscribe, Subscription, Unsubscribe
from streaming.outbox import PRIORITIES
from streaming.protocol import Message, Position, envelope, error, timestamp

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
IntervalMs = Annotated[int, Meta(ge=50, le=5000)]
Depth = Annotated[int, Meta(ge=1, le=50)]


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    """The `data` of a client's message: closed, so that a misspelt field is an error and not a silence."""


class Nothing(_Said):
    pass


class Topics(_Said):
    topics: Annotated[list[Name], Meta(max_length=1000)]


class Wanted(_Said):
    topics: Annotated[list[Name], Meta(max_length=1000)]
    since: dict[str, Position] | None = None
    interval_ms: IntervalMs | None = None
    depth: Depth | None = None
    batch: bool | None = None
    priority: Literal["low", "normal", "high"] = "normal"


class Pace(_Said):
    interval_ms: IntervalMs
    batch: bool | None = None


class Token(_Said):
    token: str


class Read(_Said):
    notification_ids: Annotated[list[int | Annotated[str, Meta(max_length=64)]], Meta(max_length=1000)]


class Asset(_Said):
    symbol: Name


class PortfolioOf(_Said):
    portfolio_id: int | Annotated[str, Meta(max_length=64)]


class Core(Dialect):
    """Everything on one connection: any topic, replay after a gap, sign-in by message, the client's own pace."""

    path = "realtime"
    reports_dropped = True
    examples: ClassVar[Sequence[dict[str, Any]]] = (
        {"type": "ping", "id": 1},
        {"type": "subscribe", "data": {"topics": ["price:BTC-USDT"]}, "id": 2},
        {"type": "unsubscribe", "data": {"topics": ["price:BTC-USDT"]}},
        {"type": "list"},
        {"type": "set_interval", "data": {"interval_ms": 1000, "batch": True}},
    )

    def greet(self, opening: Opening, at_us: int) -> list[dict[str, Any]]:
        data = {
            "status": "connected",
            "connection_id": opening.connection_id,
            "authenticated": opening.user_id is not None,
            "user_id": opening.user_id,
        }
        return [envelope("connection", data, at_us)]

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        type_, data, request = said.get("type"), said.get("data", {}), said.get("id")
        if not isinstance(type_, str):
            raise Misunderstood("A message needs a `type`.")
        if type_ not in MEANINGS:
            raise Misunderstood(f"There is no message “{type_[:64]}”.")
        shape, meaning = MEANINGS[type_]
        try:
            effects: Sequence[Effect] = meaning(msgspec.convert(data, shape), request, held, at_us)
        except msgspec.ValidationError as wrong:
            raise Misunderstood(f"{type_}: {wrong}") from wrong
        return effects

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        address, data = subscription.address, message.data
        if address.symbol is not None and data.get("symbol") != address.symbol:
            data = data | {"symbol": address.symbol}
        if subscription.depth is not None and "bids" in data:
            depth = subscription.depth
            data = data | {"bids": data["bids"][:depth], "asks": data["asks"][:depth], "depth": depth}
        event: dict[str, Any] = {"type": message.type, "topic": address.name, "data": data}
        event["timestamp"] = timestamp(message.at_us)
        if message.seq is not None:
            event |= {"epoch": message.epoch, "seq": message.seq}
        return [event]

    def subscribed(
        self, positions: Mapping[str, dict[str, Any]], held: Mapping[str, Subscription], request: Any, at_us: int
    ) -> list[dict[str, Any]]:
        """`{"topics": {"price:BTC": {}, "notifications": {"epoch": "a1", "seq": 7, "recovered": true}}}`."""
        return [envelope("subscribed", {"topics": dict(positions)}, at_us, id=request)]

    def authenticated(self, user_id: int, expires_at: float | None, request: Any, at_us: int) -> list[dict[str, Any]]:
        """`{"user_id": 7, "expires_at": "2026-01-28T10:45:00.000000Z"}`; null for one that does not expire."""
        expires = None if expires_at is None else timestamp(int(expires_at * 1e6))
        return [envelope("authenticated", {"user_id": user_id, "expires_at": expires}, at_us, id=request)]

    def left(self, names: Sequence[str], at_us: int) -> list[dict[str, Any]]:
        return [envelope("unsubscribed", {"topics": list(names)}, at_us)]

    def acted(self, act: Act, answer: dict[str, Any], at_us: int) -> list[dict[str, Any]]:
        return [envelope(_ANSWERS[act.name], answer, at_us, id=act.request)]

    def error(self, code: int, why: str, at_us: int, request: Any = None, topic: str | None = None) -> dict[str, Any]:
        return error(code, why, at_us, id=request, topic=topic)


def _ping(_said: Nothing, request: Any, _held: Mapping[str, Subscription], at_us: int) -> list[Effect]:
    return [Send(envelope("pong", {}, at_us, id=request))]


def _auth(said: Token, request: Any, _held: Mapping[str, Subscription], at_us: int) -> list[Effect]:
    return [Authenticate(said.token, request)]


def _subscribe(said: Wanted, request: Any, _held: Mapping[str, Subscription], at_us: int) -> list[Effect]:
    names = tuple(dict.fromkeys(said.topics))
    subscribe = Subscribe(names, request, since=said.since or {}, depth=said.depth, priority=PRIORITIES[said.priority])
    return [SetPace(said.interval_ms, said.batch), subscribe]


def _unsubscribe(said: Topics, request: Any, held: Mapping[str, Subscription], at_us: int) -> list[Effect]:
    names = _held_names(said.topics, held)
    return [Unsubscribe(names), Send(envelope("unsubscribed", {"topics": list(names)}, at_us, id=request))]


def _list(_said: Nothing, request: Any, held: Mapping[str, Subscription], at_us: int) -> list[Effect]:
    return [Send(envelope("subscriptions", {"topics": list(held)}, at_us, id=request))]


def _set_interval(said: Pace, request: Any, _held: Mapping[str, Subscription], at_us: int) -> list[Effect]:
    data: dict[str, Any] = {"interval_ms": said.interval_ms}
    if said.batch is not None:
        data["batch"] = said.batch
    return [SetPace(said.interval_ms, said.batch), Send(envelope("interval", data, at_us, id=request))]


def _mark_read(said: Read, request: Any, _held: Mapping[str, Subscription], at_us: int) -> list[Effect]:
    return [Act("mark_read", {"notification_ids": [str(one) for one in said.notification_ids]}, request)]


def _subscribe_asset(said: Asset, request: Any, _held: Mapping[str, Subscription], at_us: int) -> list[Effect]:
    return [Subscribe((f"price:{said.symbol}",), request, quiet=True)]


def _unsubscribe_asset(said: Asset, request: Any, held: Mapping[str, Subscription], at_us: int) -> list[Effect]:
    return [Unsubscribe(_held_names([f"price:{said.symbol}"], held))]


def _subscribe_portfolio(
    said: PortfolioOf, request: Any, _held: Mapping[str, Subscription], at_us: int
) -> list[Effect]:
    return [Subscribe((f"portfolio:{said.portfolio_id}",), request, quiet=True)]


def _unsubscribe_portfolio(
    said: PortfolioOf, request: Any, held: Mapping[str, Subscription], at_us: int
) -> list[Effect]:
    return [Unsubscribe(_held_names([f"portfolio:{said.portfolio_id}"], held))]


def _held_names(asked: Sequence[str], held: Mapping[str, Subscription]) -> tuple[str, ...]:
    """The held names among those asked for, in any case of letters: symbols were upper-cased when granted."""
    by_upper = {name.upper(): name for name in held}
    return tuple(dict.fromkeys(by_upper[name.upper()] for name in asked if name.upper() in by_upper))


MEANINGS: dict[str, tuple[type[_Said], Any]] = {
    "ping": (Nothing, _ping),
    "auth": (Token, _auth),
    "subscribe": (Wanted, _subscribe),
    "unsubscribe": (Topics, _unsubscribe),
    "list": (Nothing, _list),
    "set_interval": (Pace, _set_interval),
    "mark_read": (Read, _mark_read),
    "subscribe_asset": (Asset, _subscribe_asset),
    "unsubscribe_asset": (Asset, _unsubscribe_asset),
    "subscribe_portfolio": (PortfolioOf, _subscribe_portfolio),
    "unsubscribe_portfolio": (PortfolioOf, _unsubscribe_portfolio),
}
_ANSWERS = {"mark_read": "read"}

dialects.register(Core())
