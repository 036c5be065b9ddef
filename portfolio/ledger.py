"""Writing to a ledger: the only file that adds rows. Each post is one transaction under the portfolio's lock."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import F

from ingestion.models import Instrument
from portfolio import positions
from portfolio.currencies import same_money
from portfolio.models import Portfolio, Transaction
from portfolio.money import CURRENCIES, EXACT, ONE, ZERO, plain, stored
from portfolio.positions import BUY, DEPOSIT, DIVIDEND, FEE, REVERSAL, SELL, WITHDRAWAL
from portfolio.topics import publish_on_commit

TRADES: Final = {BUY, SELL}
FLOWS: Final = {DEPOSIT, WITHDRAWAL}
# A row that is not stored yet comes after those of its own instant.
_NEWEST_ID: Final = 2**63 - 1


class Refused(Exception):
    """The ledger doesn't take the row. errors: the field of the body → a sentence for whoever sent it."""

    def __init__(self, **errors: str) -> None:
        super().__init__("; ".join(f"{field}: {why}" for field, why in errors.items()))
        self.errors = errors


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A row as it was asked for. What is None is filled in, or refused where the type needs it."""

    type: str
    at: datetime
    instrument: Instrument | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    amount: Decimal | None = None
    fee: Decimal | None = None
    fee_currency: str | None = None
    currency: str | None = None
    fx_rate: Decimal | None = None
    note: str = ""
    external_id: str | None = None


def post(portfolio: Portfolio, draft: Draft, now: datetime) -> tuple[Transaction, bool]:
    """Add a row; publish the new value on commit. Returns the row, and whether it is new.

    The same draft with the same `external_id` gives the row that is there already. Raises Refused, and then nothing
    was written.
    """
    with transaction.atomic():
        portfolio = _locked(portfolio)
        draft = complete(portfolio, draft)
        if draft.external_id is not None:
            found = portfolio.transactions.filter(external_id=draft.external_id).first()
            if found is not None:
                return _same(found, draft), False
        if errors := check(portfolio, draft, now):
            raise Refused(**errors)
        row = Transaction(portfolio=portfolio, **_columns(draft))
        if row.type == SELL:
            _prove(portfolio, row)
        return _add(portfolio, row), True


def reverse(row: Transaction, note: str = "") -> Transaction:
    """Undo a row by a second one, so that both count for nothing and both are seen.

    Raises Refused if it is reversed already, is itself a reversal, or if later sales need its units.
    """
    with transaction.atomic():
        portfolio = _locked(row.portfolio)
        if row.type == REVERSAL:
            raise Refused(id="A reversal is not reversed; post the row again instead.")
        if Transaction.objects.filter(reverses=row).exists():
            raise Refused(id=f"Transaction {row.pk} is reversed already.")
        copied = ("instrument", "quantity", "price", "amount", "fee", "fee_currency", "currency", "fx_rate", "at")
        undoing = Transaction(
            portfolio=portfolio, type=REVERSAL, reverses=row, note=note, **{name: getattr(row, name) for name in copied}
        )
        if row.type == BUY:
            _prove(portfolio, undoing)
        return _add(portfolio, undoing)


def complete(portfolio: Portfolio, draft: Draft) -> Draft:
    """The draft with its defaults: a trade is in the instrument's currency, all else in the portfolio's."""
    about = draft.instrument if draft.type in {BUY, SELL, DIVIDEND} else None
    currency = draft.currency or (about.currency if about else portfolio.base_currency)
    at_par = same_money(currency, portfolio.base_currency)
    amount = draft.amount
    if amount is None and draft.type == DIVIDEND and draft.quantity is not None and draft.price is not None:
        amount = stored(EXACT.multiply(draft.quantity, draft.price))
    return msgspec.structs.replace(
        draft,
        currency=currency,
        amount=amount,
        fee=draft.fee if draft.fee is not None else ZERO,
        fee_currency=draft.fee_currency or currency,
        fx_rate=ONE if draft.fx_rate is None and at_par else draft.fx_rate,
    )


def check(portfolio: Portfolio, draft: Draft, now: datetime) -> dict[str, str]:
    """What is wrong with a completed draft, by field; empty when nothing is."""
    checks = (*_time(draft, now), *_currencies(portfolio, draft), *_numbers(draft))
    errors: dict[str, str] = {}
    for field, wrong in checks:
        errors.setdefault(field, wrong)
    return errors


def _time(draft: Draft, now: datetime) -> Iterable[tuple[str, str]]:
    if draft.at > now:
        yield "at", "This is in the future."
    if draft.at < datetime.fromisoformat(settings.LEDGER_EARLIEST):
        yield "at", f"A ledger starts no earlier than {settings.LEDGER_EARLIEST[:10]}."


def _currencies(portfolio: Portfolio, draft: Draft) -> Iterable[tuple[str, str]]:
    currency, fee_currency, base = str(draft.currency), str(draft.fee_currency), portfolio.base_currency
    if currency not in CURRENCIES:
        yield "currency", f"“{currency}” is no currency known here (codes are upper-case, as USD)."
    elif draft.type in {BUY, SELL} and draft.instrument and not same_money(currency, draft.instrument.currency):
        yield "currency", f"{draft.instrument} is priced in {draft.instrument.currency}, not in {currency}."
    if not same_money(fee_currency, currency):
        yield "fee_currency", f"The fee must be in the row's own currency, {currency}; post another one as a FEE."
    if draft.fx_rate is None:
        yield "fx_rate", f"Needed: how many {base} one {currency} was on that day."
    elif draft.fx_rate <= 0:
        yield "fx_rate", "It must be above 0."
    elif same_money(currency, base) and draft.fx_rate != ONE:
        yield "fx_rate", f"{currency} in a {base} portfolio counts one to one."


def _numbers(draft: Draft) -> Iterable[tuple[str, str]]:
    yield from _trade(draft) if draft.type in TRADES else _payment(draft)
    if draft.fee is not None and draft.fee < 0:
        yield "fee", "It can't be negative."
    if draft.type == FEE and draft.fee:
        yield "fee", "A FEE row states its fee as `amount`."


def _trade(draft: Draft) -> Iterable[tuple[str, str]]:
    if draft.instrument is None:
        yield "symbol", f"A {draft.type} needs one."
    if draft.quantity is None:
        yield "quantity", f"A {draft.type} needs one."
    elif draft.quantity <= 0:
        yield "quantity", "It must be above 0."
    if draft.price is None:
        yield "price", f"A {draft.type} needs one: the price of one unit."
    elif draft.price < 0:
        yield "price", "It can't be negative."
    if draft.amount is not None:
        yield "amount", f"A {draft.type} has none: it follows from quantity and price."


def _payment(draft: Draft) -> Iterable[tuple[str, str]]:
    if draft.amount is None:
        yield "amount", f"A {draft.type} needs one."
    elif draft.amount <= 0:
        yield "amount", "It must be above 0."
    if draft.type == DIVIDEND and draft.instrument is None:
        yield "symbol", "A DIVIDEND needs one."
    if draft.type in FLOWS and draft.instrument is not None:
        yield "symbol", f"A {draft.type} is of cash and has none."
    yield from _per_unit(draft)


def _per_unit(draft: Draft) -> Iterable[tuple[str, str]]:
    """A dividend may be stated per unit; nothing else that is paid has a quantity or a price."""
    if draft.type != DIVIDEND:
        for name in ("quantity", "price"):
            if getattr(draft, name) is not None:
                yield name, f"A {draft.type} has none."
    elif draft.quantity is not None and draft.price is not None:
        if draft.quantity < 0 or draft.price < 0:
            yield "quantity" if draft.quantity < 0 else "price", "It can't be negative."
        elif draft.amount != stored(EXACT.multiply(draft.quantity, draft.price)):
            yield "amount", "It differs from quantity × price."


def _columns(draft: Draft) -> dict[str, Any]:
    return msgspec.structs.asdict(draft)


def _same(found: Transaction, draft: Draft) -> Transaction:
    """The row that was posted under this external_id before. Raises Refused when it says something else."""
    different = [name for name, value in _columns(draft).items() if getattr(found, name) != value]
    if different:
        raise Refused(
            external_id=f"Transaction {found.pk} has it already, with another {', '.join(sorted(different))}."
        )
    return found


def _prove(portfolio: Portfolio, row: Transaction) -> None:
    """With `row`, no sale of its instrument, at whatever time, is of more than was held then. Raises Refused."""
    rows = portfolio.transactions.filter(instrument=row.instrument)
    candidate = msgspec.structs.replace(row.entry(), id=_NEWEST_ID)
    try:
        positions.fold([*rows.entries(), candidate])
    except positions.NotEnoughUnits as lacking:
        symbol = row.instrument.symbol if row.instrument else ""
        raise Refused(
            **{
                "id" if row.type == REVERSAL else "quantity": (
                    f"{plain(lacking.held)} {symbol} held on {lacking.at:%Y-%m-%d %H:%M:%S} UTC,"
                    f" too few to sell {plain(lacking.wanted)}."
                )
            }
        ) from lacking


def _locked(portfolio: Portfolio) -> Portfolio:
    """Two posts to one ledger take turns, so that they can't both sell the same units."""
    return Portfolio.objects.select_for_update().get(pk=portfolio.pk)


def _add(portfolio: Portfolio, row: Transaction) -> Transaction:
    row.save()
    Portfolio.objects.filter(pk=portfolio.pk).update(version=F("version") + 1)
    publish_on_commit(portfolio.pk)
    return row
