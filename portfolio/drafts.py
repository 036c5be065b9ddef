"""What each type of transaction states, and what is wrong with a row as it was asked for."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from django.conf import settings

from ingestion.models import Instrument
from portfolio.currencies import canonical, unit_of
from portfolio.models import Portfolio
from portfolio.models.ledger import MONEYLESS
from portfolio.money import CURRENCIES, EXACT, ONE, ZERO, stored
from portfolio.positions import (
    BUY,
    DEPOSIT,
    DIVIDEND,
    FEE,
    FX_CONVERSION,
    INTEREST,
    MERGER,
    RENAME,
    RETURN_OF_CAPITAL,
    SELL,
    SPINOFF,
    SPLIT,
    STOCK_DIVIDEND,
    TAX,
    TRANSFER_IN,
    TRANSFER_OUT,
    WITHDRAWAL,
)


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A row as it was asked for. What is None is filled in, or refused where the type needs it.

    quantity: of a conversion, the units received, as `to_amount`. fee_instrument, fee_price_currency and unit are
    always filled in.
    """

    type: str
    at: datetime
    instrument: Instrument | None = None
    to_instrument: Instrument | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    unit: int = 1
    amount: Decimal | None = None
    ratio: Decimal | None = None
    basis_fraction: Decimal | None = None
    basis: Decimal | None = None
    opened_at: datetime | None = None
    cash_in_lieu: Decimal | None = None
    withholding: Decimal | None = None
    fee: Decimal | None = None
    fee_currency: str | None = None
    fee_rate: Decimal | None = None
    fee_instrument: Instrument | None = None
    fee_price: Decimal | None = None
    fee_price_currency: str = ""
    currency: str | None = None
    fx_rate: Decimal | None = None
    to_currency: str = ""
    to_amount: Decimal | None = None
    lot_ids: list[int] = []
    note: str = ""
    external_id: str | None = None


class Form(msgspec.Struct, frozen=True):
    """needs: what a type must state; takes: what it may state besides. All may have a fee, a note and the like."""

    needs: tuple[str, ...]
    takes: tuple[str, ...] = ()


FORMS: Final = {
    DEPOSIT: Form(("amount",)),
    WITHDRAWAL: Form(("amount",)),
    BUY: Form(("instrument", "quantity", "price"), ("amount", "lot_ids")),
    SELL: Form(("instrument", "quantity", "price"), ("amount", "lot_ids")),
    DIVIDEND: Form(("instrument", "amount"), ("quantity", "price", "withholding")),
    INTEREST: Form(("amount",), ("instrument", "withholding")),
    FEE: Form(("amount",), ("instrument",)),
    TAX: Form(("amount",), ("instrument",)),
    SPLIT: Form(("instrument", "ratio"), ("cash_in_lieu",)),
    STOCK_DIVIDEND: Form(("instrument", "quantity"), ("cash_in_lieu",)),
    SPINOFF: Form(("instrument", "to_instrument", "ratio", "basis_fraction"), ("cash_in_lieu",)),
    MERGER: Form(("instrument", "to_instrument", "ratio"), ("cash_in_lieu",)),
    RENAME: Form(("instrument", "to_instrument")),
    TRANSFER_IN: Form(("instrument", "quantity"), ("price", "basis", "opened_at")),
    TRANSFER_OUT: Form(("instrument", "quantity"), ("lot_ids",)),
    RETURN_OF_CAPITAL: Form(("instrument", "amount"), ("quantity", "price")),
    FX_CONVERSION: Form(("amount", "to_currency", "to_amount"), ("quantity", "price", "ratio")),
}  # fmt: skip
# Rows about an instrument whose money must be the instrument's own: it is in the cost of lots.
AT_COST: Final = set(FORMS) - {DEPOSIT, WITHDRAWAL, DIVIDEND, INTEREST, FEE, TAX, FX_CONVERSION}
_STATED: Final = tuple(dict.fromkeys(name for form in FORMS.values() for name in (*form.needs, *form.takes)))
# A row is asked for by other names than it is kept under.
_ASKED: Final = {
    "instrument": "symbol",
    "to_instrument": "to_symbol",
    "to_currency": "to_symbol",
    "to_amount": "quantity",
}
_ABOVE_ZERO: Final = ("quantity", "ratio", "to_amount", "fx_rate", "fee_rate")
_NOT_NEGATIVE: Final = ("price", "cash_in_lieu", "withholding", "basis", "fee", "fee_price")
# Brokers give interest and taxes back, and take interest for debts.
_SIGNED: Final = {INTEREST, TAX}
_HINTS: Final = {
    (BUY, "price"): "A BUY needs one: the price of one unit.",
    (SELL, "price"): "A SELL needs one: the price of one unit.",
    (SPLIT, "ratio"): "A SPLIT needs one: new units for an old one.",
    (SPINOFF, "basis_fraction"): "A SPINOFF needs one: the part of the cost that goes along, such as 0.2.",
    (FX_CONVERSION, "to_amount"): "A FX_CONVERSION needs one, the units received, or a `price` per unit given.",
    (FX_CONVERSION, "to_currency"): "A FX_CONVERSION needs one: the currency received.",
}  # fmt: skip


def mistakes(portfolio: Portfolio, draft: Draft, now: datetime) -> dict[str, str]:
    """What is wrong with a completed draft, by field of the body; empty when nothing is."""
    errors: dict[str, str] = {}
    for field, wrong in (
        *_time(draft, now),
        *_form(draft),
        *_sizes(draft),
        *_sums(draft),
        *_currencies(portfolio, draft),
    ):
        errors.setdefault(_ASKED.get(field, field), wrong)
    return errors


def _time(draft: Draft, now: datetime) -> Iterator[tuple[str, str]]:
    earliest = datetime.fromisoformat(settings.LEDGER_EARLIEST)
    if draft.at > now:
        yield "at", "This is in the future."
    if draft.at < earliest:
        yield "at", f"A ledger starts no earlier than {settings.LEDGER_EARLIEST[:10]}."
    if draft.opened_at is not None and not earliest <= draft.opened_at <= draft.at:
        yield "opened_at", "It must be a time before the transfer's own."


def _form(draft: Draft) -> Iterator[tuple[str, str]]:
    """What is missing, and what doesn't belong there."""
    form = FORMS[draft.type]
    for name in form.needs:
        if getattr(draft, name) in (None, ""):
            yield name, _HINTS.get((draft.type, name), f"A {draft.type} needs one.")
    for name in _STATED:
        if name not in form.needs + form.takes and getattr(draft, name) not in (None, "", []):
            yield name, f"A {draft.type} has none."
    if draft.type == TRANSFER_IN and draft.price is None and draft.basis is None:
        yield "basis", "A TRANSFER_IN needs one, or a `price`: what the units have cost, in all or each."
    if draft.to_instrument is not None and draft.to_instrument == draft.instrument:
        yield "to_instrument", "It must be another one than `symbol`."
    if len(set(draft.lot_ids)) < len(draft.lot_ids):
        yield "lot_ids", "Each only once."


def _sizes(draft: Draft) -> Iterator[tuple[str, str]]:
    for name in _ABOVE_ZERO:
        if (value := getattr(draft, name)) is not None and value <= 0:
            yield name, "It must be above 0."
    for name in _NOT_NEGATIVE:
        if (value := getattr(draft, name)) is not None and value < 0:
            yield name, "It can't be negative."
    if draft.amount is not None and (not draft.amount if draft.type in _SIGNED else draft.amount <= 0):
        yield "amount", "It must not be 0." if draft.type in _SIGNED else "It must be above 0."
    if draft.basis_fraction is not None and not ZERO <= draft.basis_fraction <= ONE:
        yield "basis_fraction", "It is a part of the whole, from 0 to 1."


def _sums(draft: Draft) -> Iterator[tuple[str, str]]:
    """Where a figure is stated twice, both are the same."""
    product = times(draft.quantity, draft.price)
    if product is not None and draft.type != FX_CONVERSION:
        if draft.amount is not None and draft.amount != product:
            yield "amount", "It differs from quantity × price."
        if draft.basis is not None and draft.basis != product:
            yield "basis", "It differs from quantity × price."
    if draft.type == FX_CONVERSION and sum(x is not None for x in (draft.quantity, draft.price, draft.ratio)) > 1:
        yield "quantity", "State one of quantity, price and ratio."
    if draft.withholding and draft.amount is not None and draft.withholding > abs(draft.amount):
        yield "withholding", "It can't be more than the amount."
    if draft.type == FEE and draft.fee:
        yield "fee", "A FEE row states its fee as `amount`."


def _currencies(portfolio: Portfolio, draft: Draft) -> Iterator[tuple[str, str]]:
    currency, base = str(draft.currency), portfolio.base_currency
    if not known(currency):
        yield "currency", _unknown(currency)
    elif draft.type in AT_COST and draft.instrument and not same_kind(currency, draft.instrument.currency):
        yield "currency", f"{draft.instrument} is priced in {draft.instrument.currency}, not in {currency}."
    if draft.to_currency and draft.to_currency not in CURRENCIES:
        yield "to_currency", _unknown(draft.to_currency)
    elif draft.to_currency == currency:
        yield "to_currency", "It must be another currency than `currency`."
    if draft.fee_instrument is None and draft.fee_currency != currency and not known(str(draft.fee_currency)):
        yield "fee_currency", f"“{draft.fee_currency}” is neither a currency known here nor an instrument held."
    yield from _rates(draft, currency, base)


def _rates(draft: Draft, currency: str, base: str) -> Iterator[tuple[str, str]]:
    parity = at_par(currency, base)
    if draft.fx_rate is None:
        if known(currency) and counts_money(draft):
            yield "fx_rate", f"There is none of {draft.at:%Y-%m-%d} here: say how many {base} one {currency} was."
    elif parity is not None and draft.fx_rate != parity:
        yield "fx_rate", f"{currency} in a {base} portfolio counts {'one to one' if parity == ONE else parity}."
    yield from _fee_rates(draft, currency, base)


def _fee_rates(draft: Draft, currency: str, base: str) -> Iterator[tuple[str, str]]:
    day, paid_in = f"{draft.at:%Y-%m-%d}", draft.fee_price_currency or str(draft.fee_currency)
    if draft.fee_instrument is not None and draft.fee_price is None:
        yield "fee_currency", f"There is no price here of {draft.fee_instrument} on {day}: say it as `fee_price`."
    if draft.fee and paid_in != currency and draft.fee_rate is None and known(paid_in):
        yield "fee_currency", f"There is no rate here of {paid_in} in {base} on {day}: say it as `fee_rate`."


def counts_money(draft: Draft) -> bool:
    """Whether the row needs a rate: a split, say, moves no money unless fractions are paid for."""
    return draft.type not in MONEYLESS or bool(draft.cash_in_lieu or draft.fee)


def times(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else stored(EXACT.multiply(one, other))


def known(currency: str) -> bool:
    """Whether it is a currency, or a minor unit of one."""
    return currency in CURRENCIES or (unit_of(currency)[1] != 1 and unit_of(currency)[0] in CURRENCIES)


def same_kind(one: str, other: str) -> bool:
    """Whether both are one money, if in other units: GBp and GBP."""
    return unit_of(one)[0] == unit_of(other)[0]


def at_par(currency: str, base: str) -> Decimal | None:
    """The rate between a money and itself: 1, or 0.01 from pence to pounds. None between others."""
    if canonical(unit_of(currency)[0]) != canonical(base):
        return None
    return stored(ONE / unit_of(currency)[1])


def _unknown(currency: str) -> str:
    return f"“{currency}” is no currency known here (codes are upper-case, as USD)."


def stated(draft: Draft) -> Iterable[tuple[str, Any]]:
    """What whoever asked has said himself, apart from the type's own defaults."""
    return ((name, value) for name, value in msgspec.structs.asdict(draft).items() if value not in (None, "", []))
