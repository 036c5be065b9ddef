"""The topics of paper trading: `orders`, a user's own, and `ownbook:<SYM>`, what rests here of everybody's."""

from collections.abc import Mapping
from typing import Any, ClassVar

from ingestion import symbols
from ingestion.store import to_us
from portfolio import ownbook
from portfolio.events import OrderUpdate, OwnBook, UserOrders
from portfolio.models import Order, OrderEvent
from portfolio.money import plain
from streaming import topics
from streaming.protocol import Address, Message, timestamp

UPDATE = "order_update"


class OrdersTopic(topics.Topic):
    """What becomes of the user's own orders; `orders` alone means those. Its snapshot is the open ones."""

    prefix = "orders"
    kind = topics.Kind.LOSSLESS
    events: ClassVar[Mapping[str, type]] = {UPDATE: OrderUpdate}

    def resolve(self, key: str, user: Any) -> Address:
        if not user.is_authenticated:
            raise topics.SignInNeeded(self.prefix, "Sign in to see your orders.")
        if key not in ("", str(user.pk)):
            raise topics.NotYours(f"{self.prefix}:{key}", "Those are not your orders.")
        return Address(topic=topic_of(user.pk), name=self.prefix)

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        return [_message(order, order.status, order.reason) for order in _open_of(user)]


class OpenOrdersTopic(OrdersTopic):
    """The same events, begun with one list of the open orders: what `/ws/user-orders/` starts with."""

    prefix = "open-orders"
    events: ClassVar[Mapping[str, type]] = {"user_orders": UserOrders, UPDATE: OrderUpdate}

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        rows = list(_open_of(user))
        at_us = max((to_us(order.updated_at) for order in rows), default=0)
        return [Message(address.topic, "user_orders", {"orders": [_listed(order) for order in rows]}, at_us)]


class OwnBookTopic(topics.Topic):
    """Resting paper orders by price level, decimals as strings; never mixed with the venue's book.

    Any symbol is accepted: where nothing rests, and where there is no such instrument, both sides are empty.
    """

    prefix = "ownbook"
    kind = topics.Kind.CONFLATED
    events: ClassVar[Mapping[str, type]] = {"ownbook": OwnBook}
    public = True

    def resolve(self, key: str, user: Any) -> Address:
        asked = symbols.normalize(key)
        if not asked:
            raise topics.UnknownTopic(self.prefix, "An own book is of a symbol, as in ownbook:BTC-USDT.")
        return Address(ownbook.topic_of(_canonical(asked)), f"{self.prefix}:{key.upper()}", key.upper())

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        return [ownbook.message(address.topic.partition(":")[2])]


topics.register(OrdersTopic())
topics.register(OpenOrdersTopic())
topics.register(OwnBookTopic())


def topic_of(user_id: int) -> str:
    """The user's own topic, canonical."""
    return f"orders:{user_id}"


def update(order: Order, event: OrderEvent) -> Message:
    """The event that tells of one step of an order."""
    return _message(order, event.status, event.reason, event)


def _message(order: Order, status: str, reason: str, at: Any = None) -> Message:
    """at: whose figures count, the order's own or those of one of its steps."""
    step = at or order
    data = {
        "order_id": order.pk,
        "client_order_id": order.client_order_id,
        "portfolio_id": order.portfolio_id,
        "symbol": order.instrument.symbol,
        "side": order.side,
        "type": order.type,
        "status": status,
        "quantity": plain(order.quantity),
        "filled_quantity": plain(step.filled_quantity),
        "average_price": None if step.average_price is None else plain(step.average_price),
        "reason": reason,
    }
    at_us = to_us(order.updated_at if at is None else at.at)
    return Message(topic_of(order.portfolio.owner_id), UPDATE, data, at_us)


def _listed(order: Order) -> dict[str, Any]:
    """An open order as `/ws/user-orders/` lists it."""
    return {
        "id": order.pk,
        "symbol": order.instrument.symbol,
        "type": order.type,
        "side": order.side,
        "quantity": plain(order.quantity),
        "price": None if order.price is None else plain(order.price),
        "filled": plain(order.filled_quantity),
        "status": order.status,
        "created_at": timestamp(to_us(order.created_at)),
    }


def _open_of(user: Any) -> Any:
    """Oldest first."""
    own = Order.objects.filter(portfolio__owner=user).open()
    return own.select_related("instrument", "portfolio").order_by("id")


def _canonical(asked: str) -> str:
    try:
        return symbols.resolve(asked).symbol
    except symbols.UnknownSymbol:
        return asked
