"""What an account may still spend and sell, and what an order takes of it. Pure.

A reservation is by currency, and units by instrument. A short position locks what its sale brought and a margin more.
"""

from collections.abc import Mapping
from decimal import Decimal, localcontext

import msgspec

from portfolio.matching import BUY, Working
from portfolio.money import EXACT, ONE, ZERO, stored

_BPS = Decimal(10_000)


class Reserved(msgspec.Struct, frozen=True, kw_only=True):
    """What an open order keeps back."""

    currency: str
    cash: Decimal = ZERO
    instrument: int
    units: Decimal = ZERO
    buying: Decimal = ZERO


class Short(msgspec.Struct, frozen=True):
    """A short position. units: above 0; proceeds: what its sale brought, in `currency`."""

    units: Decimal
    proceeds: Decimal
    currency: str


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """bps: the higher of the fees. margin: what an order without a limit reserves above the price, as a fraction.
    short_margin: what a short sale needs beyond its proceeds, as a fraction of them. units: of the price's unit, how
    many make one of the currency. rate: of the currency that is reserved in, for one of the instrument's.
    """

    bps: Decimal = ZERO
    margin: Decimal = ZERO
    short_margin: Decimal = ZERO
    units: int = 1
    rate: Decimal = ONE


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What is there, and what open orders keep back of it. held: units by instrument, of those that are not short."""

    cash: Mapping[str, Decimal]
    held: Mapping[int, Decimal]
    shorts: Mapping[int, Short] = {}
    reserved: tuple[Reserved, ...] = ()
    short_margin: Decimal = ZERO

    def available_cash(self, currency: str) -> Decimal:
        """Below zero when more was spent past the orders than they left."""
        with localcontext(EXACT):
            locked = sum((self.locked(i) for i, short in self.shorts.items() if short.currency == currency), ZERO)
            kept = sum((one.cash for one in self.reserved if one.currency == currency), ZERO)
            return self.cash.get(currency, ZERO) - locked - kept

    def available_units(self, instrument: int) -> Decimal:
        """Below zero when more was sold past the orders than they left."""
        with localcontext(EXACT):
            kept = sum((one.units for one in self.reserved if one.instrument == instrument), ZERO)
            return self.held.get(instrument, ZERO) - kept

    def locked(self, instrument: int) -> Decimal:
        """What a short position locks, in its currency."""
        short = self.shorts.get(instrument)
        return ZERO if short is None else stored(short.proceeds * (ONE + self.short_margin))

    def released(self, instrument: int, quantity: Decimal) -> Decimal:
        """Of what a short position locks, the part that buying `quantity` back sets free, after other such orders."""
        short = self.shorts.get(instrument)
        if short is None:
            return ZERO
        with localcontext(EXACT):
            buying = sum((one.buying for one in self.reserved if one.instrument == instrument), ZERO)
            covered = min(quantity, max(short.units - buying, ZERO))
            return stored(self.locked(instrument) * covered / short.units)


class Need(msgspec.Struct, frozen=True):
    """What an order is to reserve, and how much of it is not there (`lacking_…`)."""

    cash: Decimal
    units: Decimal
    lacking_cash: Decimal = ZERO
    lacking_units: Decimal = ZERO


def worst_price(order: Working, last: Decimal | None, terms: Terms) -> Decimal | None:
    """The price that an order reserves by: its limit, else its stop or the market's with the margin; None: unknown."""
    with localcontext(EXACT):
        if order.limit is not None and order.side == BUY:
            return order.limit
        known = [price for price in (order.limit, order.stop_price or last) if price is not None]
        return stored(max(known) * (ONE + terms.margin)) if known else None


def need(
    order: Working, account: Account, instrument: int, currency: str, price: Decimal, terms: Terms, short: bool
) -> Need:
    """What a new order reserves at `price` a unit. short: whether it may sell more than there is."""
    with localcontext(EXACT):
        if order.side == BUY:
            released = account.released(instrument, order.quantity)
            cash = max(_cost(order.quantity, price, terms) - released, ZERO)
            return Need(cash, ZERO, lacking_cash=_lacking(cash, account.available_cash(currency)))
        units = min(order.quantity, max(account.available_units(instrument), ZERO))
        beyond = order.quantity - units
        if not short or not beyond:
            return Need(ZERO, order.quantity, lacking_units=beyond)
        fee = terms.bps / _BPS
        cash = stored(beyond * price / terms.units * terms.rate * (terms.short_margin + fee))
        return Need(cash, units, lacking_cash=_lacking(cash, account.available_cash(currency)))


def _cost(quantity: Decimal, price: Decimal, terms: Terms) -> Decimal:
    whole = quantity * price / terms.units
    return stored((whole + whole * terms.bps / _BPS) * terms.rate)


def _lacking(wanted: Decimal, available: Decimal) -> Decimal:
    return max(wanted - max(available, ZERO), ZERO)


def rest(reserved: Decimal, before: Decimal, after: Decimal) -> Decimal:
    """What stays reserved when of `before` units `after` remain."""
    with localcontext(EXACT):
        return stored(reserved * after / before) if after else ZERO
