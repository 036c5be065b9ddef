"""The older paths `/ws/portfolio/`, `/ws/user-orders/` and `/ws/order-book/<sym>/`. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from portfolio.events import OpenOrder, OwnLevel, PortfolioUpdate, Status
from streaming import dialects
from streaming.dialects import Dialect, Misunderstood
from streaming.effects import Effect, Send, Subscribe, Subscription
from streaming.protocol import Message, envelope, timestamp

ALL = "portfolio:*"
OPEN_ORDERS = "open-orders"
DEPTH_DEFAULT, DEPTH_LEAST, DEPTH_MOST = 10, 1, 50


class Ping(msgspec.Struct):
    """Are you there? Also takes up portfolios that were made since."""

    type: Literal["ping"]


class Pong(msgspec.Struct):
    """The answer to a ping."""

    type: Literal["pong"]
    timestamp: str


class Update(msgspec.Struct):
    """What one of the portfolios is worth."""

    type: Literal["portfolio_update"]
    data: PortfolioUpdate
    timestamp: str
    topic: str


class Portfolios(Dialect):
    """`portfolio_update` for each portfolio on connect and on change.

    A ping also takes up portfolios that were made since.
    """

    path = "portfolio"
    needs_user = True
    hears: ClassVar[Mapping[str, type]] = {"ping": Ping}
    says: ClassVar[Mapping[str, type]] = {"portfolio_update": Update, "pong": Pong}
    examples: ClassVar[Sequence[dict[str, Any]]] = ({"type": "ping"},)

    def topics(self, params: Mapping[str, str]) -> list[str]:
        return [ALL]

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        if said.get("type") != "ping":
            raise Misunderstood('This path understands {"type": "ping"} only.')
        return [Send(envelope("pong", {}, at_us, id=said.get("id"))), Subscribe((ALL,), quiet=True, only_new=True)]

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        return [envelope(message.type, message.data, message.at_us, topic=subscription.address.name)]


# --- Orders ---------------------------------------------------------------------------------------------------------


class UserOrdersList(msgspec.Struct):
    """All orders that may still be filled."""

    type: Literal["user_orders"]
    orders: list[OpenOrder]
    timestamp: str


class FlatOrderUpdate(msgspec.Struct):
    """What became of an order."""

    type: Literal["order_update"]
    order_id: int
    status: Status
    filled_quantity: str
    timestamp: str


class UserOrdersPath(Dialect):
    """The open orders on connect, then `order_update` for each step of any of the user's orders."""

    path = "user-orders"
    needs_user = True
    says: ClassVar[Mapping[str, type]] = {"user_orders": UserOrdersList, "order_update": FlatOrderUpdate}

    def topics(self, params: Mapping[str, str]) -> list[str]:
        return [OPEN_ORDERS]

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        at, told = timestamp(message.at_us), message.data
        if message.type == "user_orders":
            return [{"type": "user_orders", "orders": told["orders"], "timestamp": at}]
        flat = {name: told.get(name) for name in ("order_id", "status", "filled_quantity")}
        return [{"type": "order_update", **flat, "timestamp": at}]

    def begin(self, messages: Sequence[Message], subscription: Subscription, at_us: int) -> list[dict[str, Any]]:
        """The list is as of now, however old its newest order is."""
        listed = [order for message in messages for order in message.data["orders"]]
        return [{"type": "user_orders", "orders": listed, "timestamp": timestamp(at_us)}]


class SetDepth(msgspec.Struct):
    """How many levels a side are told, brought to between 1 and 50; 10 at first."""

    type: Literal["set_depth"]
    depth: int


class OwnBookMessage(msgspec.Struct):
    """Paper orders that rest here, by price level: `order_book_snapshot` at first, then each change."""

    type: Literal["order_book_snapshot", "order_book_update"]
    symbol: str
    bids: list[OwnLevel]
    asks: list[OwnLevel]
    timestamp: str


class OrderBookPath(Dialect):
    """The installation's own book of one symbol; any symbol is accepted. Not the venue's depth."""

    path = r"order-book/(?P<symbol>[^/]+)"
    market = True
    hears: ClassVar[Mapping[str, type]] = {"set_depth": SetDepth}
    says: ClassVar[Mapping[str, type]] = {
        "order_book_snapshot": OwnBookMessage, "order_book_update": OwnBookMessage,
    }  # fmt: skip
    examples: ClassVar[Sequence[dict[str, Any]]] = ({"type": "set_depth", "depth": 20},)

    def topics(self, params: Mapping[str, str]) -> list[str]:
        return [f"ownbook:{params['symbol']}"]

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        depth = said.get("depth")
        if said.get("type") != "set_depth" or isinstance(depth, bool) or not isinstance(depth, int):
            raise Misunderstood('This path understands {"type": "set_depth", "depth": <a whole number>} only.')
        return [Subscribe(tuple(held), depth=min(max(depth, DEPTH_LEAST), DEPTH_MOST), quiet=True)]

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        return [_own_book("order_book_update", message, subscription)]

    def begin(self, messages: Sequence[Message], subscription: Subscription, at_us: int) -> list[dict[str, Any]]:
        return [_own_book("order_book_snapshot", message, subscription) for message in messages]


def _own_book(type_: str, message: Message, subscription: Subscription) -> dict[str, Any]:
    depth = subscription.depth or DEPTH_DEFAULT
    sides = {side: message.data[side][:depth] for side in ("bids", "asks")}
    return {"type": type_, "symbol": subscription.address.symbol, **sides, "timestamp": timestamp(message.at_us)}


dialects.register(Portfolios())
dialects.register(UserOrdersPath())
dialects.register(OrderBookPath())
