"""The `data` of a `portfolio_update`, as types: for the AsyncAPI document, and for tests to hold it to. Pure."""

from typing import Any

import msgspec


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
    as_of: str
    stale: list[str]
    unpriced: list[str]
    positions: list[Position]
    exact: dict[str, Any]
