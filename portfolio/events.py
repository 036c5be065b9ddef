"""The `data` of portfolios and paper orders on the wire, as types: for the AsyncAPI document, and for tests. Pure."""

from typing import Any, Literal

import msgspec

Status = Literal["PENDING", "PARTIAL", "FILLED", "CANCELLED", "REJECTED", "EXPIRED"]
OrderType = Literal["MARKET", "LIMIT", "STOP", "STOP_LIMIT", "TRAILING_STOP"]
Side = Literal["BUY", "SELL"]


class Position(msgspec.Struct):
    """A holding. Null where it has no price."""

    symbol: str
    quantity: float
    price: float | None
    value: float | None
    unrealized_pnl: float | None


class PortfolioUpdate(msgspec.Struct):
    """What a portfolio is worth. Numbers for people; `exact` repeats the money figures as decimal strings."""

    portfolio_id: int
    name: str
    total_value: float | None
    daily_change: float | None
    daily_change_percent: float | None
    cash: float | None
    unrealized_pnl: float | None
    realized_pnl: float | None
    net_invested: float | None
    as_of: str
    stale: list[str]
    stale_reasons: dict[str, str]
    unpriced: list[str]
    unpriced_reasons: dict[str, str]
    overdrawn: list[str]
    positions: list[Position]
    exact: dict[str, Any]


class OrderUpdate(msgspec.Struct):
    """A step in the life of one of the user's orders. Decimals are strings."""

    order_id: int
    client_order_id: str
    portfolio_id: int
    symbol: str
    side: Side
    type: OrderType
    status: Status
    quantity: str
    filled_quantity: str
    average_price: str | None
    reason: str


class OpenOrder(msgspec.Struct):
    """An order that may still be filled. Decimals are strings; `price` is the limit, null where there is none."""

    id: int
    symbol: str
    type: OrderType
    side: Side
    quantity: str
    price: str | None
    filled: str
    status: Literal["PENDING", "PARTIAL"]
    created_at: str


class UserOrders(msgspec.Struct):
    """All of the user's orders that may still be filled, oldest first."""

    orders: list[OpenOrder]


class OwnLevel(msgspec.Struct):
    """What remains of the paper orders at one price, as decimal strings."""

    price: str
    quantity: str


class OwnBook(msgspec.Struct):
    """Resting paper orders of this installation by price level, best first. Not the venue's book."""

    symbol: str
    bids: list[OwnLevel]
    asks: list[OwnLevel]
