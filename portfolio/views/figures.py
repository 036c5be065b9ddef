"""Positions and lots as they are listed: what they cost in the units in which their prices are quoted."""

from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

from ingestion.rest.quoted import MINOR_UNITS
from portfolio.lots import Disposal, Lot, held_long
from portfolio.money import EXACT, stored
from portfolio.valuation import Valued


def position_row(position: Valued) -> dict[str, Any]:
    """cost_basis and average_cost in the instrument's own currency: of shares priced in pence, in pence."""
    cost = _quoted(position.cost, position.currency)
    return {
        "symbol": position.symbol,
        "currency": position.currency,
        "quantity": position.quantity,
        "average_cost": _each(cost, position.quantity),
        "average_cost_base": _each(position.cost_base, position.quantity),
        "cost_basis": cost,
        "cost_basis_base": position.cost_base,
        "price": position.price,
        "price_time": position.price_time,
        "value": position.value,
        "market_value": position.value,
        "market_value_local": _times(position.quantity, position.price),
        "unrealized_pnl": position.unrealized,
        "realized_pnl": position.realized,
        "daily_change": position.daily_change,
        "stale": position.stale,
    }


def lot_row(lot: Lot, symbol: str, currency: str, position: Valued | None, now: datetime) -> dict[str, Any]:
    """currency: the instrument's. position: the whole of which the lot is a part, at its price."""
    cost = _quoted(lot.cost, currency)
    value = None if position is None else _part(position.value, lot.quantity, position.quantity)
    return {
        "lot_id": lot.id,
        "sub": lot.sub,
        "symbol": symbol,
        "currency": currency,
        "opened_at": lot.opened_at,
        "quantity": lot.quantity,
        "average_cost": _each(cost, lot.quantity),
        "cost_basis": cost,
        "average_cost_base": _each(lot.cost_base, lot.quantity),
        "cost_basis_base": lot.cost_base,
        "market_value": value,
        "unrealized_pnl": None if value is None else value - lot.cost_base,
        **_holding_period(lot.opened_at, now),
    }


def disposal_row(disposal: Disposal, symbol: str) -> dict[str, Any]:
    return {
        "transaction": disposal.entry_id,
        "lot_id": disposal.lot_id,
        "sub": disposal.lot_sub,
        "symbol": symbol,
        "currency": disposal.currency,
        "opened_at": disposal.opened_at,
        "closed_at": disposal.closed_at,
        "quantity": disposal.quantity,
        "proceeds": disposal.proceeds,
        "cost_basis": disposal.cost,
        "realized_pnl": disposal.gain,
        "proceeds_base": disposal.proceeds_base,
        "cost_basis_base": disposal.cost_base,
        "realized_pnl_base": disposal.gain_base,
        **_holding_period(disposal.opened_at, disposal.closed_at),
    }


def _holding_period(opened: datetime, closed: datetime) -> dict[str, Any]:
    return {"holding_days": (closed - opened).days, "term": "long" if held_long(opened, closed) else "short"}


def _quoted(amount: Decimal, currency: str) -> Decimal:
    """Money in the units that `currency` names: pounds as pence where that is GBp."""
    return stored(EXACT.multiply(amount, MINOR_UNITS.get(currency, (currency, 1))[1]))


def _each(cost: Decimal, quantity: Decimal) -> Decimal | None:
    return stored(EXACT.divide(cost, quantity)) if quantity else None


def _times(quantity: Decimal, price: Decimal | None) -> Decimal | None:
    return None if price is None else stored(EXACT.multiply(quantity, price))


def _part(whole: Decimal | None, quantity: Decimal, of: Decimal) -> Decimal | None:
    if whole is None or not of:
        return None
    with localcontext(EXACT):
        return stored(whole * quantity / of)
