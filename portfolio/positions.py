"""From the ledger's rows to what is held: units, average cost, cash, realised profit.

Conventions, with worked examples: docs/accounting.md. All sums are exact decimals, rounded to 18 places once a row
(half to even), so that in each currency, to the last digit:

    cash + cost of holdings = net invested + transferred + realised + income − taxes − charges + converted
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Final

import msgspec

from portfolio.corporate_actions import Returned, fraction_of, moved, returned, scaled, spun_off, times
from portfolio.entries import (
    BUY,
    DEFAULT_POLICY,
    DEPOSIT,
    DIVIDEND,
    FEE,
    FX_CONVERSION,
    INTEREST,
    MERGER,
    RENAME,
    RETURN_OF_CAPITAL,
    REVERSAL,
    SELL,
    SPINOFF,
    SPLIT,
    STOCK_DIVIDEND,
    TAX,
    TRANSFER_IN,
    TRANSFER_OUT,
    WITHDRAWAL,
    Entry,
    Kind,
    Movement,
    Policy,
    connected,
    standing,
)
from portfolio.lots import SPECIFIC, Disposal, Holding, Lot, divided, shares
from portfolio.money import EXACT, ONE, ZERO, stored

# The whole vocabulary of a ledger, from one place.
__all__ = [
    "BUY",
    "DEFAULT_POLICY",
    "DEPOSIT",
    "DIVIDEND",
    "FEE",
    "FX_CONVERSION",
    "INTEREST",
    "MERGER",
    "RENAME",
    "RETURN_OF_CAPITAL",
    "REVERSAL",
    "SELL",
    "SPINOFF",
    "SPLIT",
    "STOCK_DIVIDEND",
    "TAX",
    "TRANSFER_IN",
    "TRANSFER_OUT",
    "WITHDRAWAL",
    "Book",
    "Entry",
    "Movement",
    "NotEnoughInLots",
    "NotEnoughUnits",
    "OutOfOrder",
    "Policy",
    "Position",
    "UnknownLot",
    "connected",
    "fold",
    "standing",
]


class NotEnoughUnits(Exception):
    """A sale of more than was held at its time."""

    def __init__(self, instrument: int, held: Decimal, wanted: Decimal, at: datetime) -> None:
        super().__init__(f"{wanted} wanted of instrument {instrument}, {held} held on {at:%Y-%m-%d %H:%M}")
        self.instrument, self.held, self.wanted, self.at = instrument, held, wanted, at


class NotEnoughInLots(NotEnoughUnits):
    """A sale of more than the lots held that it names. `held` is what they held."""


class UnknownLot(Exception):
    """A sale names a row that opened no lot which was open at its time."""

    def __init__(self, instrument: int, lot_id: int, at: datetime) -> None:
        super().__init__(f"row {lot_id} opened no lot of instrument {instrument} that is open on {at:%Y-%m-%d %H:%M}")
        self.instrument, self.lot_id, self.at = instrument, lot_id, at


class OutOfOrder(Exception):
    """A book goes on by newer rows only; an earlier one, or a reversal, needs the ledger folded anew."""


class Position(msgspec.Struct, frozen=True, gc=False):
    """What is held of one instrument. Costs hold the buying fees; `…_base` is at the rates of the trades' days."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    cost_base: Decimal = ZERO
    realized: Decimal = ZERO
    realized_base: Decimal = ZERO

    @property
    def average_cost(self) -> Decimal | None:
        """Per unit, fees included; None when nothing is held."""
        with localcontext(EXACT):
            return stored(self.cost / self.quantity) if self.quantity else None


NOTHING: Final = Position()


class Book:
    """What a ledger adds up to. Sums by currency, except `…_base`, which are in the portfolio's own."""

    def __init__(self, policy: Policy = DEFAULT_POLICY) -> None:
        self.policy = policy
        self.last: tuple[datetime, int] | None = None  # (at, id) of the newest row
        self.positions: dict[int, Position] = {}
        self.holdings: dict[int, Holding] = {}
        self.disposals: list[Disposal] = []
        self.movements: list[Movement] = []
        self.cash: dict[str, Decimal] = {}
        self.net_invested: dict[str, Decimal] = {}  # cash alone
        self.transferred: dict[str, Decimal] = {}  # the cost of what came in kind, less of what left so
        self.realized: dict[str, Decimal] = {}
        self.income: dict[str, Decimal] = {}  # before the tax kept back
        self.taxes: dict[str, Decimal] = {}
        self.charges: dict[str, Decimal] = {}  # fees that belong to no trade
        self.fees: dict[str, Decimal] = {}  # all of them, those in a basis or a sale's proceeds included
        self.converted: dict[str, Decimal] = {}  # what came out of other currencies, less what went into them
        self.net_invested_base = ZERO
        self.transferred_base = ZERO
        self.realized_base = ZERO
        self.income_base = ZERO
        self.taxes_base = ZERO
        self.charges_base = ZERO
        self.fees_base = ZERO

    @property
    def lots(self) -> dict[int, list[Lot]]:
        """The open lots of each instrument, in the order in which they go (LIFO: from the last). Made when asked."""
        with localcontext(EXACT):
            return {instrument: own.lots() for instrument, own in self.holdings.items() if own.quantity}

    @property
    def held(self) -> dict[int, Position]:
        """The positions of which there is something."""
        return {instrument: p for instrument, p in self.positions.items() if p.quantity}

    @property
    def overdrawn(self) -> list[str]:
        """Currencies of which more was spent than there was."""
        return sorted(currency for currency, cash in self.cash.items() if cash < 0)

    def apply(self, entry: Entry) -> None:
        """Go on by one row, newer than those before it, without folding them again.

        Raises OutOfOrder where it isn't, and what `fold` raises; after that a part of the row may have been counted, so
        that a row which may be refused is tried on a copy.
        """
        if entry.reverses is not None or (self.last is not None and (entry.at, entry.id) <= self.last):
            raise OutOfOrder(entry.id)
        with localcontext(EXACT):
            _count(self, entry)

    def copy(self) -> "Book":
        """One that goes its own way from here."""
        twin = Book(self.policy)
        for name, figure in vars(self).items():
            setattr(twin, name, figure.copy() if isinstance(figure, dict | list) else figure)
        twin.holdings = {instrument: own.copy() for instrument, own in self.holdings.items()}
        return twin


def fold(entries: Iterable[Entry], policy: Policy = DEFAULT_POLICY) -> Book:
    """Add up the ledger in the order of `at`, then of `id`. A reversed row and its reversal both count for nothing.

    Raises NotEnoughUnits at the first sale of more than was held at that time, UnknownLot at the first that names
    a lot which isn't there.
    """
    book = Book(policy)
    with localcontext(EXACT):
        for entry in standing(entries):
            _count(book, entry)
    return book


def _count(book: Book, entry: Entry) -> None:
    _APPLY[entry.type](book, entry)
    book.last = (entry.at, entry.id)


# --- Trades -----------------------------------------------------------------------------------------------------


def _buy(book: Book, entry: Entry) -> None:
    """The fee is part of the cost."""
    _trade(book, entry, entry.quantity)


def _sell(book: Book, entry: Entry) -> None:
    """The fee lowers the proceeds. More than is held opens a short, where the policy has shorts."""
    holding = _holding(book, _instrument(entry), entry.at)
    if entry.quantity > holding.quantity and not book.policy.allow_short:
        raise NotEnoughUnits(_instrument(entry), holding.quantity, entry.quantity, entry.at)
    _trade(book, entry, -entry.quantity)


def _trade(book: Book, entry: Entry, quantity: Decimal) -> None:
    """A purchase brings a lot at its cost, a sale a negative one at what it earns; each closes the other's lots."""
    gross = stored(quantity * entry.price / entry.unit)
    if _pays_own_fee(entry):
        paid = cost = gross + entry.fee
        cost_base = stored(cost * entry.fx_rate)
        _fee(book, entry.currency, entry.fee, entry.fx_rate)
    else:
        fee_base = stored(_fee_value(entry) * _fee_rate(entry))
        paid, cost = gross, gross + stored(fee_base / entry.fx_rate)
        cost_base = stored(gross * entry.fx_rate) + fee_base
    _receive(book, entry, _lot(entry, _instrument(entry), quantity, cost, cost_base), _lot_ids(book, entry))
    currency, cash = _pay(book, entry, -paid)
    _move(book, entry, "trade", quantity=quantity, currency=currency, cash=cash)
    if not _pays_own_fee(entry):
        _pay_fee_elsewhere(book, entry, "trade")
        _add(book.converted, _fee_currency(entry), -_fee_value(entry))
        _add(book.converted, entry.currency, cost - gross)


def _lot(entry: Entry, instrument: int, quantity: Decimal, cost: Decimal, cost_base: Decimal) -> Lot:
    """What the row opens, or closes where there are lots of the other sign."""
    return Lot(
        id=entry.id,
        instrument=instrument,
        opened_at=entry.opened_at or entry.at,
        quantity=quantity,
        cost=cost,
        cost_base=cost_base,
        currency=entry.currency,
    )


def _lot_ids(book: Book, entry: Entry) -> tuple[int, ...]:
    """The lots that the row names. Only the method "specific" listens to it."""
    return entry.lot_ids if entry.lot_ids and book.policy.method_at(entry.at) == SPECIFIC else ()


def _receive(book: Book, entry: Entry, lot: Lot, lot_ids: tuple[int, ...] = ()) -> None:
    """Units come, or go where they are negative. They close what they meet of the other sign; the rest is a lot."""
    holding = _holding(book, lot.instrument, entry.at)
    if not lot.quantity:  # too few to be written down; their cost must not be lost
        _gain(book, entry, lot, -lot.cost, -lot.cost_base)
        return
    lot = _of_one_currency(book, entry, holding, lot)
    against = min(abs(lot.quantity), abs(holding.quantity)) if holding.quantity * lot.quantity < 0 else ZERO
    if against:
        _check_lots(entry, holding, lot.instrument, against, lot_ids)
        closing, rest = (lot, None) if against == abs(lot.quantity) else divided(lot, against)
        _close(book, entry, holding, closing, lot_ids)
        if rest:
            holding.add(rest)
    else:
        holding.add(lot)
    _sum_up(book, lot.instrument, holding)


def _check_lots(entry: Entry, holding: Holding, instrument: int, units: Decimal, lot_ids: tuple[int, ...]) -> None:
    """Whether the lots named are there and enough. Raises UnknownLot, NotEnoughInLots."""
    if not lot_ids:
        return
    try:
        there = sum((abs(lot.quantity) for lot in holding.chosen(lot_ids)), ZERO)
    except KeyError as unknown:
        raise UnknownLot(instrument, unknown.args[0], entry.at) from unknown
    if there < units:
        raise NotEnoughInLots(instrument, there, units, entry.at)


def _close(book: Book, entry: Entry, holding: Holding, closing: Lot, lot_ids: tuple[int, ...] = ()) -> None:
    """Units of the other sign meet those held: what they are worth, less what those have cost, is realised."""
    taken = holding.take(abs(closing.quantity), lot_ids)
    sizes = [lot.quantity for lot in taken]
    values, values_base = shares(-closing.cost, sizes), shares(-closing.cost_base, sizes)
    for lot, value, value_base in zip(taken, values, values_base, strict=True):
        _dispose(book, entry, _in_currency(book, entry, lot, closing.currency), value, value_base)


def _dispose(book: Book, entry: Entry, lot: Lot, value: Decimal, value_base: Decimal) -> None:
    """Write down that `lot` is closed for `value`: what was got for it, or paid (negative) where it was short."""
    short = lot.quantity < 0
    book.disposals.append(
        Disposal(
            entry_id=entry.id,
            instrument=lot.instrument,
            lot_id=lot.id,
            lot_sub=lot.sub,
            quantity=lot.quantity,
            opened_at=lot.opened_at,
            closed_at=entry.at,
            currency=lot.currency,
            proceeds=-lot.cost if short else value,
            cost=-value if short else lot.cost,
            proceeds_base=-lot.cost_base if short else value_base,
            cost_base=-value_base if short else lot.cost_base,
        )
    )
    gain, gain_base = value - lot.cost, value_base - lot.cost_base
    held = book.positions.get(lot.instrument, NOTHING)
    book.positions[lot.instrument] = Position(
        held.quantity, held.cost, held.cost_base, held.realized + gain, held.realized_base + gain_base
    )
    _add(book.realized, lot.currency, gain)
    book.realized_base += gain_base


def _gain(book: Book, entry: Entry, lot: Lot, gain: Decimal, gain_base: Decimal) -> None:
    """Money for which no unit of the lot went (or, negative, a cost that is lost)."""
    nothing = msgspec.structs.replace(lot, quantity=ZERO, cost=ZERO, cost_base=ZERO)
    _dispose(book, entry, nothing, gain, gain_base)


def _of_one_currency(book: Book, entry: Entry, holding: Holding, lot: Lot) -> Lot:
    """The lot, so that all that is held of an instrument has its cost in one currency.

    A trade has a rate, by which it takes what is held over into its own currency. Lots that come with an action have
    none, and take that of the costs which they join.
    """
    held = holding.currency
    if held is None or held == lot.currency:
        return lot
    if book.policy.at_par(held, lot.currency):
        return _in_currency(book, entry, lot, held)
    if entry.to_instrument is not None:
        rate = holding.cost_base / holding.cost if holding.cost else ONE
        return _requoted(book, lot, held, stored(lot.cost_base / rate) if rate else lot.cost)
    if holding.quantity * lot.quantity > 0:
        holding.put(_in_currency(book, entry, own, lot.currency) for own in holding.lots())
    return lot


def _in_currency(book: Book, entry: Entry, lot: Lot, currency: str) -> Lot:
    """The lot with its cost in another currency: at par, or what its cost in the portfolio's is at the row's rate."""
    if lot.currency == currency:
        return lot
    at_par = book.policy.at_par(lot.currency, currency)
    return _requoted(book, lot, currency, lot.cost if at_par else stored(lot.cost_base / entry.fx_rate))


def _requoted(book: Book, lot: Lot, currency: str, cost: Decimal) -> Lot:
    _add(book.converted, lot.currency, -lot.cost)
    _add(book.converted, currency, cost)
    return msgspec.structs.replace(lot, currency=currency, cost=cost)


def _holding(book: Book, instrument: int, at: datetime) -> Holding:
    """The lots of an instrument, by the method in force at that time."""
    method = book.policy.method_at(at)
    holding = book.holdings.get(instrument)
    if holding is None:
        holding = book.holdings[instrument] = Holding(method)
    holding.follow(method)
    return holding


def _sum_up(book: Book, instrument: int, holding: Holding) -> None:
    held = book.positions.get(instrument, NOTHING)
    book.positions[instrument] = Position(
        holding.quantity, holding.cost, holding.cost_base, held.realized, held.realized_base
    )


# --- Cash -------------------------------------------------------------------------------------------------------


def _pay(book: Book, entry: Entry, amount: Decimal) -> tuple[str, Decimal]:
    """Cash changes by `amount` of the row's currency. Returns the currency that it is paid in, and how much of it.

    Where the portfolio converts by itself, a row about an instrument is paid from and into its own currency.
    """
    policy, currency = book.policy, entry.currency
    if policy.auto_convert and entry.instrument is not None and not policy.at_par(currency, policy.base_currency):
        _add(book.converted, currency, -amount)
        currency, amount = policy.base_currency, stored(amount * entry.fx_rate)
        _add(book.converted, currency, amount)
    _add(book.cash, currency, amount)
    return currency, amount


def _deposit(book: Book, entry: Entry) -> None:
    _flow(book, entry, entry.amount)


def _withdrawal(book: Book, entry: Entry) -> None:
    _flow(book, entry, -entry.amount)


def _flow(book: Book, entry: Entry, amount: Decimal) -> None:
    _add(book.cash, entry.currency, amount)
    _add(book.net_invested, entry.currency, amount)
    book.net_invested_base += stored(amount * entry.fx_rate)
    _move(book, entry, "flow", currency=entry.currency, cash=amount, external=True)
    _charge(book, entry)


def _income(book: Book, entry: Entry) -> None:
    """Counted before the tax that was kept back of it. What is held of the instrument doesn't matter."""
    amount = _amount(entry)
    currency, cash = _pay(book, entry, amount)
    _add(book.income, entry.currency, amount)
    book.income_base += stored(amount * entry.fx_rate)
    _move(book, entry, "income", currency=currency, cash=cash)
    if entry.withholding:
        _pay_tax(book, entry, entry.withholding)
    _charge(book, entry)


def _tax(book: Book, entry: Entry) -> None:
    _pay_tax(book, entry, entry.amount)
    _charge(book, entry)


def _pay_tax(book: Book, entry: Entry, amount: Decimal) -> None:
    currency, cash = _pay(book, entry, -amount)
    _add(book.taxes, entry.currency, amount)
    book.taxes_base += stored(amount * entry.fx_rate)
    _move(book, entry, "tax", currency=currency, cash=cash)


def _convert(book: Book, entry: Entry) -> None:
    """One currency into another, within the portfolio; the rate that was got is that of the money received."""
    received = entry.to_currency
    assert received is not None, "a conversion into nothing"
    rate = stored(entry.amount * entry.fx_rate / entry.to_amount) if entry.to_amount else None
    for currency, cash, its_rate in ((entry.currency, -entry.amount, entry.fx_rate), (received, entry.to_amount, rate)):
        _add(book.cash, currency, cash)
        _add(book.converted, currency, cash)
        _move(book, entry, "fx", currency=currency, cash=cash, rate=its_rate)
    _charge(book, entry)


# --- Fees -------------------------------------------------------------------------------------------------------


def _pays_own_fee(entry: Entry) -> bool:
    """Whether the fee is money of the row's currency."""
    return entry.fee_instrument is None and entry.fee_currency in (None, entry.currency)


def _fee_currency(entry: Entry) -> str:
    return entry.fee_currency or entry.currency


def _fee_rate(entry: Entry) -> Decimal:
    return entry.fx_rate if entry.fee_currency in (None, entry.currency) else entry.fee_rate


def _fee_value(entry: Entry) -> Decimal:
    """In the fee's currency."""
    return entry.fee if entry.fee_instrument is None else stored(entry.fee * entry.fee_price)


def _fee(book: Book, currency: str, fee: Decimal, rate: Decimal) -> None:
    _add(book.fees, currency, fee)
    book.fees_base += stored(fee * rate)


def _fee_row(book: Book, entry: Entry) -> None:
    _charge_own(book, entry, entry.amount)
    _charge(book, entry)


def _charge(book: Book, entry: Entry) -> None:
    """The fee of a row that is no trade."""
    if _pays_own_fee(entry):
        _charge_own(book, entry, entry.fee)
    else:
        _pay_fee_elsewhere(book, entry, "fee")
        _add(book.charges, _fee_currency(entry), _fee_value(entry))
        book.charges_base += stored(_fee_value(entry) * _fee_rate(entry))


def _charge_own(book: Book, entry: Entry, amount: Decimal) -> None:
    if amount:
        currency, cash = _pay(book, entry, -amount)
        _fee(book, entry.currency, amount, entry.fx_rate)
        _add(book.charges, entry.currency, amount)
        book.charges_base += stored(amount * entry.fx_rate)
        _move(book, entry, "fee", currency=currency, cash=cash)


def _pay_fee_elsewhere(book: Book, entry: Entry, kind: Kind) -> None:
    """Out of another currency's cash; or with units, which are sold for what they are worth, and that pays."""
    currency, value, rate = _fee_currency(entry), _fee_value(entry), _fee_rate(entry)
    if entry.fee_instrument is not None and entry.fee:
        _sell_for_fee(book, entry, entry.fee_instrument)
    _add(book.cash, currency, -value)
    _fee(book, currency, value, rate)
    _move(book, entry, kind, currency=currency, cash=-value, rate=rate)


def _sell_for_fee(book: Book, entry: Entry, instrument: int) -> None:
    held = _holding(book, instrument, entry.at).quantity
    if entry.fee > held:
        raise NotEnoughUnits(instrument, held, entry.fee, entry.at)
    currency, value, rate = _fee_currency(entry), _fee_value(entry), _fee_rate(entry)
    sold = msgspec.structs.replace(entry, instrument=instrument, currency=currency, fx_rate=rate, opened_at=None)
    _receive(book, sold, _lot(sold, instrument, -entry.fee, -value, -stored(value * rate)))
    _add(book.cash, currency, value)
    _move(book, sold, "trade", quantity=-entry.fee, currency=currency, cash=value)


# --- Transfers in kind ------------------------------------------------------------------------------------------


def _transfer_in(book: Book, entry: Entry) -> None:
    """Units come with what they have cost before."""
    cost = stored(entry.quantity * entry.price / entry.unit) if entry.basis is None else entry.basis
    cost_base = stored(cost * entry.fx_rate)
    _receive(book, entry, _lot(entry, _instrument(entry), entry.quantity, cost, cost_base))
    _transfer(book, entry, entry.quantity, cost, cost_base)


def _transfer_out(book: Book, entry: Entry) -> None:
    """Lots leave at their cost, and nothing is realised."""
    instrument = _instrument(entry)
    holding, lot_ids = _holding(book, instrument, entry.at), _lot_ids(book, entry)
    if entry.quantity > holding.quantity:
        raise NotEnoughUnits(instrument, holding.quantity, entry.quantity, entry.at)
    _check_lots(entry, holding, instrument, entry.quantity, lot_ids)
    taken = [_in_currency(book, entry, lot, entry.currency) for lot in holding.take(entry.quantity, lot_ids)]
    _sum_up(book, instrument, holding)
    cost, cost_base = sum((lot.cost for lot in taken), ZERO), sum((lot.cost_base for lot in taken), ZERO)
    _transfer(book, entry, -entry.quantity, -cost, -cost_base)


def _transfer(book: Book, entry: Entry, quantity: Decimal, cost: Decimal, cost_base: Decimal) -> None:
    _add(book.transferred, entry.currency, cost)
    book.transferred_base += cost_base
    _move(book, entry, "transfer", quantity=quantity, currency=entry.currency, external=True, basis=cost)
    _charge(book, entry)


# --- Corporate actions ------------------------------------------------------------------------------------------


def _split(book: Book, entry: Entry) -> None:
    held = _holding(book, _instrument(entry), entry.at).quantity
    _scale(book, entry, times(held, entry.ratio), entry.ratio)


def _stock_dividend(book: Book, entry: Entry) -> None:
    """More units at the same cost, spread over the lots. After the last sale they are a lot that cost nothing."""
    held = _holding(book, _instrument(entry), entry.at).quantity
    if held:
        units = held + entry.quantity.copy_sign(held)
        _scale(book, entry, units, stored(units / held))
    else:
        _move(book, entry, "action", quantity=entry.quantity, currency=entry.currency)
        _arrive(book, entry, [_lot(entry, _instrument(entry), entry.quantity, ZERO, ZERO)])


def _scale(book: Book, entry: Entry, units: Decimal, ratio: Decimal) -> None:
    """The lots become `units` in all."""
    holding = _holding(book, _instrument(entry), entry.at)
    change, lots = units - holding.quantity, scaled(holding.lots(), units)
    holding.put([])
    _sum_up(book, _instrument(entry), holding)
    _move(book, entry, "action", quantity=change, currency=entry.currency, split_ratio=ratio)
    _arrive(book, entry, lots)


def _spin_off(book: Book, entry: Entry) -> None:
    holding = _holding(book, _instrument(entry), entry.at)
    kept, new = spun_off(holding.lots(), _target(entry), entry.ratio, entry.basis_fraction, entry.id)
    holding.put(kept)
    _sum_up(book, _instrument(entry), holding)
    units = sum((lot.quantity for lot in new), ZERO)
    _move(book, entry, "action", instrument=_target(entry), quantity=units, currency=entry.currency)
    _arrive(book, entry, new)


def _merge(book: Book, entry: Entry) -> None:
    """All units become those of another instrument. A new name is a merger, one for one."""
    holding = _holding(book, _instrument(entry), entry.at)
    held, units = holding.quantity, times(holding.quantity, entry.ratio)
    new = moved(scaled(holding.lots(), units), _target(entry))
    holding.put([])
    _sum_up(book, _instrument(entry), holding)
    _move(book, entry, "action", quantity=-held, currency=entry.currency)
    _move(book, entry, "action", instrument=_target(entry), quantity=units, currency=entry.currency)
    _arrive(book, entry, new)


def _arrive(book: Book, entry: Entry, lots: list[Lot]) -> None:
    """What an action made of the lots is held from now on, but for the fraction that was paid for in cash."""
    for lot in _without_fraction(book, entry, lots) if entry.cash_in_lieu else lots:
        _receive(book, entry, lot)
    _charge(book, entry)


def _without_fraction(book: Book, entry: Entry, lots: list[Lot]) -> list[Lot]:
    """What is left after cash was paid for the fraction of a unit: its share of the cost is realised with it.

    Where there is no fraction the cash is a gain.
    """
    new = Holding(book.policy.method_at(entry.at), [lot for lot in lots if lot.quantity])
    fraction = fraction_of(entry.quantity if entry.type == STOCK_DIVIDEND else new.quantity).copy_sign(new.quantity)
    cash = entry.cash_in_lieu.copy_sign(new.quantity)
    cash_base = stored(cash * entry.fx_rate)
    instrument = _instrument(entry) if entry.to_instrument is None else entry.to_instrument
    paid_for = _lot(entry, instrument, -fraction, -cash, -cash_base)
    if fraction:
        _close(book, entry, new, paid_for)
    else:
        _gain(book, entry, paid_for, cash, cash_base)
    currency, paid = _pay(book, entry, cash)
    _move(book, entry, "action", instrument=instrument, quantity=-fraction, currency=currency, cash=paid)
    return new.lots() + [lot for lot in lots if not lot.quantity]


def _return_capital(book: Book, entry: Entry) -> None:
    """Money back for units that stay. It lowers their cost down to 0; the rest is a gain, all where none is held."""
    amount, holding = _amount(entry), _holding(book, _instrument(entry), entry.at)
    amount_base = stored(amount * entry.fx_rate)
    currency, cash = _pay(book, entry, amount)
    _move(book, entry, "action", currency=currency, cash=cash)
    if holding.quantity > 0:
        back = returned([_in_currency(book, entry, lot, entry.currency) for lot in holding.lots()], amount, amount_base)
        holding.put(part.lot for part in back)
        _sum_up(book, _instrument(entry), holding)
    else:
        back = [Returned(_lot(entry, _instrument(entry), ZERO, ZERO, ZERO), amount, amount_base)]
    for part in back:
        if part.gain or part.gain_base:
            _gain(book, entry, part.lot, part.gain, part.gain_base)
    _charge(book, entry)


# --- Rows -------------------------------------------------------------------------------------------------------


def _move(
    book: Book,
    entry: Entry,
    kind: Kind,
    *,
    currency: str,
    cash: Decimal = ZERO,
    quantity: Decimal = ZERO,
    instrument: int | None = None,
    external: bool = False,
    rate: Decimal | None = None,
    split_ratio: Decimal | None = None,
    basis: Decimal = ZERO,
) -> None:
    """Write down what moved. What is paid in another currency than the row's is paid in the portfolio's own.

    An action that moves no cash knows of no rate.
    """
    if rate is None and (cash or kind != "action"):
        rate = entry.fx_rate if currency == entry.currency else ONE
    book.movements.append(
        Movement(
            at=entry.at,
            entry_id=entry.id,
            kind=kind,
            instrument=entry.instrument if instrument is None else instrument,
            quantity=quantity,
            currency=currency,
            cash=cash,
            external=external,
            rate=rate,
            split_ratio=split_ratio,
            basis=basis,
        )
    )


def _add(sums: dict[str, Decimal], currency: str, amount: Decimal) -> None:
    if amount or currency in sums:
        sums[currency] = sums.get(currency, ZERO) + amount


def _amount(entry: Entry) -> Decimal:
    """Stated as a whole, or by unit."""
    return entry.amount or stored(entry.quantity * entry.price / entry.unit)


def _instrument(entry: Entry) -> int:
    assert entry.instrument is not None, f"a {entry.type} without an instrument"
    return entry.instrument


def _target(entry: Entry) -> int:
    assert entry.to_instrument is not None, f"a {entry.type} into nothing"
    return entry.to_instrument


_APPLY: Final[dict[str, Callable[[Book, Entry], None]]] = {
    DEPOSIT: _deposit,
    WITHDRAWAL: _withdrawal,
    BUY: _buy,
    SELL: _sell,
    DIVIDEND: _income,
    INTEREST: _income,
    FEE: _fee_row,
    TAX: _tax,
    SPLIT: _split,
    STOCK_DIVIDEND: _stock_dividend,
    SPINOFF: _spin_off,
    MERGER: _merge,
    RENAME: _merge,
    TRANSFER_IN: _transfer_in,
    TRANSFER_OUT: _transfer_out,
    RETURN_OF_CAPITAL: _return_capital,
    FX_CONVERSION: _convert,
}
