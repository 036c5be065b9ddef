"""Writing to a ledger: the only file that adds rows. Each post is one transaction under the portfolio's lock."""

import functools
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from types import EllipsisType
from typing import Any, Final

import msgspec
from django.db import transaction
from django.db.models import F, Q
from django.dispatch import Signal

from ingestion.models import Instrument
from ingestion.rest.quoted import MINOR_UNITS
from portfolio import currencies, positions
from portfolio.currencies import same_money
from portfolio.drafts import Draft, at_par, mistakes, same_kind, stated, times
from portfolio.models import Portfolio, Transaction
from portfolio.money import EXACT, ZERO, plain, stored
from portfolio.positions import (
    BUY,
    DEPOSIT,
    DIVIDEND,
    FEE,
    FX_CONVERSION,
    INTEREST,
    RETURN_OF_CAPITAL,
    REVERSAL,
    SELL,
    TAX,
    TRANSFER_IN,
    TRANSFER_OUT,
    WITHDRAWAL,
    Entry,
)
from portfolio.prices import last_closes
from portfolio.topics import publish_on_commit

__all__ = ["Draft", "Refused", "RowsRefused", "change", "post", "post_all", "reverse", "reverse_all"]

TRADES: Final = {BUY, SELL}
# Rows of these types take no units away, nor does their reversal.
_OF_MONEY: Final = {DEPOSIT, WITHDRAWAL, DIVIDEND, INTEREST, FEE, TAX, FX_CONVERSION}
_ADDING: Final = {BUY, TRANSFER_IN}
# A transfer of cash is a payment in or out.
_OF_CASH: Final = {TRANSFER_IN: DEPOSIT, TRANSFER_OUT: WITHDRAWAL}
# What is filled in from the market: posted again, a row may have other ones by now.
_FILLED_IN: Final = {"fx_rate", "fee_rate", "fee_price", "fee_price_currency", "fee_instrument"}
_NOT_COPIED: Final = {"id", "portfolio", "type", "reverses", "note", "external_id", "created_at"}

RateOf = Callable[[str, date], Decimal | None]

# Sent inside the transaction that changed a ledger, with its `portfolio`: what leans on it may have to give way.
changed: Final = Signal()


class Refused(Exception):
    """The ledger doesn't take the row. errors: the field of the body → a sentence for whoever sent it."""

    def __init__(self, **errors: str) -> None:
        super().__init__("; ".join(f"{field}: {why}" for field, why in errors.items()))
        self.errors = errors


class RowsRefused(Exception):
    """The ledger takes none of the rows. rows: the place of each wrong one, from 0 → its errors by field."""

    def __init__(self, rows: dict[int, dict[str, str]]) -> None:
        super().__init__("; ".join(f"row {place}: {errors}" for place, errors in rows.items()))
        self.rows = rows


def post(portfolio: Portfolio, draft: Draft, now: datetime) -> tuple[Transaction, bool]:
    """Add a row; have the new value told on commit. Returns the row, and whether it is new.

    The same draft with the same `external_id` gives the row that is there already. Raises Refused, and then nothing
    was written.
    """
    try:
        return post_all(portfolio, [draft], now)[0]
    except RowsRefused as refused:
        raise Refused(**refused.rows[0]) from refused


def post_all(portfolio: Portfolio, drafts: Sequence[Draft], now: datetime) -> list[tuple[Transaction, bool]]:
    """Add all the rows, as `post` does, or none of them. Raises RowsRefused."""
    with transaction.atomic():
        writer = _Writer(_locked(portfolio), drafts, now)
        outcomes, refused = [], {}
        for place, draft in enumerate(drafts):
            try:
                outcomes.append(writer.take(draft))
            except Refused as wrong:
                refused[place] = wrong.errors
        if refused:
            raise RowsRefused(refused)
        writer.write()
        places = {row.pk: place for place, (row, new) in enumerate(outcomes) if new}
        if places:
            new_rows = [row for row, new in outcomes if new]
            _prove(writer.portfolio, new_rows, lambda row, errors: RowsRefused({places[row.pk]: errors}))
            _tell(writer.portfolio, len(places))
        return outcomes


def reverse(row: Transaction, note: str = "") -> Transaction:
    """Undo a row by a second one, so that both count for nothing and both are seen.

    Raises Refused if it is reversed already, is itself a reversal, or if later rows need its units.
    """
    return reverse_all([row], note)[0]


def reverse_all(rows: Sequence[Transaction], note: str = "") -> list[Transaction]:
    """Undo rows of one ledger, as `reverse` does, or none of them. Raises Refused."""
    if not rows:
        return []
    with transaction.atomic():
        portfolio = _locked(rows[0].portfolio)
        _reversible(portfolio, rows)
        copied = [field.attname for field in Transaction._meta.concrete_fields if field.name not in _NOT_COPIED]
        undoing = [
            Transaction(
                portfolio=portfolio,
                type=REVERSAL,
                reverses=row,
                note=note,
                **{name: getattr(row, name) for name in copied},
            )
            for row in rows
        ]
        Transaction.objects.bulk_create(undoing, batch_size=1_000)
        proved = [
            undone
            for row, undone in zip(rows, undoing, strict=True)
            if row.type not in _OF_MONEY or row.fee_instrument_id is not None
        ]
        _prove(portfolio, proved, lambda _, errors: Refused(id=next(iter(errors.values()))))
        _tell(portfolio, len(rows))
        return undoing


def _reversible(portfolio: Portfolio, rows: Sequence[Transaction]) -> None:
    """Raises Refused where a row is a reversal, is reversed already, or is of an epoch that is over."""
    ids = [row.pk for row in rows]
    done = set(Transaction.objects.filter(reverses__in=ids).values_list("reverses", flat=True))
    for row in rows:
        if row.type == REVERSAL:
            raise Refused(id="A reversal is not reversed; post the row again instead.")
        if row.pk <= portfolio.archived_until:
            raise Refused(id=f"Transaction {row.pk} is of an epoch of the account that is over.")
        if row.pk in done:
            raise Refused(id=f"Transaction {row.pk} is reversed already.")


def change(
    portfolio: Portfolio,
    now: datetime,
    *,
    name: str | None = None,
    cost_basis_method: str | None = None,
    effective_from: date | EllipsisType | None = ...,
    allow_short: bool | None = None,
    auto_convert: bool | None = None,
) -> Portfolio:
    """Change a portfolio's name, or how its ledger counts.

    effective_from: the day from which sales are by the method, in place of what was to come after it; None: the
    beginning; not given: today, or in an empty ledger the beginning. Raises Refused if the ledger doesn't hold so.
    """
    with transaction.atomic():
        portfolio = _locked(portfolio)
        for field, value in (("name", name), ("allow_short", allow_short), ("auto_convert", auto_convert)):
            if value is not None:
                setattr(portfolio, field, value)
        if cost_basis_method is not None:
            if effective_from is ...:
                effective_from = now.date() if portfolio.transactions.exists() else None
            _change_method(portfolio, cost_basis_method, effective_from)
        portfolio.save(update_fields=["name", "allow_short", "auto_convert", "cost_basis_method"])
        try:
            positions.fold(portfolio.transactions.entries(), portfolio.policy())
        except (positions.NotEnoughUnits, positions.UnknownLot) as lacking:
            field = "allow_short" if allow_short is False else "cost_basis_method"
            raise Refused(**{field: f"The ledger does not hold so: {lacking}."}) from lacking
        _tell(portfolio, 1)
        portfolio.refresh_from_db()
        return portfolio


def _change_method(portfolio: Portfolio, method: str, effective_from: Any) -> None:
    if effective_from is None:
        portfolio.cost_basis_changes.all().delete()
        portfolio.cost_basis_method = method
        return
    portfolio.cost_basis_changes.filter(effective_from__gte=effective_from).delete()
    portfolio.cost_basis_changes.create(effective_from=effective_from, method=method)


class _Writer:
    """Rows on their way into one ledger, in one transaction."""

    def __init__(self, portfolio: Portfolio, drafts: Sequence[Draft], now: datetime) -> None:
        self.portfolio, self.now = portfolio, now
        self.pending: list[Transaction] = []
        ids = {draft.external_id for draft in drafts} - {None}
        rows = portfolio.transactions.filter(external_id__in=ids).select_related(
            "instrument", "to_instrument", "reversed_by"
        )
        self.there: dict[str | None, Transaction] = {row.external_id: row for row in rows} if ids else {}
        self.rate = functools.cache(self._rate)

    def take(self, draft: Draft) -> tuple[Transaction, bool]:
        """The row for a draft, yet to be written, or the one that is there; and whether it is new. Raises Refused."""
        asked = {name for name, _ in stated(draft)}
        draft = complete(self.portfolio, draft, self.rate)
        draft = self._fee(draft)
        if draft.external_id in self.there:
            return _same(self.there[draft.external_id], draft, asked), False
        if errors := {**mistakes(self.portfolio, draft, self.now), **self._wrong_lots(draft)}:
            raise Refused(**errors)
        row = Transaction(portfolio=self.portfolio, **_columns(draft))
        self.pending.append(row)
        if draft.external_id is not None:
            self.there[draft.external_id] = row
        return row, True

    def write(self) -> None:
        rows, self.pending = self.pending, []
        Transaction.objects.bulk_create(rows, batch_size=1_000)

    def _rate(self, currency: str, day: date) -> Decimal | None:
        found = currencies.rate_on(currency, self.portfolio.base_currency, day)
        return None if found is None else found.value

    def _fee(self, draft: Draft) -> Draft:
        """The fee as cash of a currency, or as units of what is held."""
        code, currency = draft.fee_currency or str(draft.currency), str(draft.currency)
        if not draft.fee or draft.fee < 0 or code == currency:
            return msgspec.structs.replace(draft, fee_currency=code)
        major, units = MINOR_UNITS.get(code, (code, 1))
        if major == MINOR_UNITS.get(currency, (currency, 1))[0]:
            exchanged = stored(EXACT.divide(draft.fee * draft.unit, units))
            return msgspec.structs.replace(draft, fee=exchanged, fee_currency=currency)
        self.write()  # what is held may be of rows that came just before
        payer = _payer(self.portfolio, draft, code)
        if payer is not None:
            return _in_kind(draft, payer, code, self.rate)
        fee = stored(EXACT.divide(draft.fee, units))
        rate = draft.fee_rate if draft.fee_rate is not None else _known_rate(draft, major, self.rate)
        return msgspec.structs.replace(draft, fee=fee, fee_currency=major, fee_rate=rate)

    def _wrong_lots(self, draft: Draft) -> dict[str, str]:
        if not draft.lot_ids or self.portfolio.method_on(draft.at.date()) == Portfolio.CostBasis.SPECIFIC:
            return {}
        return {"lot_ids": "Lots are named only where the portfolio's `cost_basis_method` is `specific`."}


def complete(portfolio: Portfolio, draft: Draft, rate: RateOf) -> Draft:
    """The draft with its defaults: what is about an instrument is in its currency, all else in the portfolio's.

    rate: units of the portfolio's currency for one of a currency on a day, None where nobody knows. The fee's
    own currency is left as it is.
    """
    currency = draft.currency or (draft.instrument.currency if draft.instrument else portfolio.base_currency)
    draft = msgspec.structs.replace(
        draft,
        type=_OF_CASH.get(draft.type, draft.type) if draft.instrument is None else draft.type,
        currency=currency,
        unit=MINOR_UNITS.get(currency, (currency, 1))[1],
        amount=_amount(draft),
        to_amount=_received(draft),
        fee=draft.fee if draft.fee is not None else ZERO,
    )
    if draft.fx_rate is not None:
        return draft
    return msgspec.structs.replace(draft, fx_rate=_own_rate(portfolio, draft) or rate(currency, draft.at.date()))


def _amount(draft: Draft) -> Decimal | None:
    """A payment may be stated per unit."""
    if draft.amount is None and draft.type in {DIVIDEND, RETURN_OF_CAPITAL}:
        return times(draft.quantity, draft.price)
    return draft.amount


def _received(draft: Draft) -> Decimal | None:
    """What a conversion brings: stated, or by its price."""
    if draft.type != FX_CONVERSION or draft.to_amount is not None:
        return draft.to_amount
    price = draft.price if draft.price is not None else draft.ratio
    return draft.quantity if draft.quantity is not None else times(draft.amount, price)


def _own_rate(portfolio: Portfolio, draft: Draft) -> Decimal | None:
    """The rate that the row itself tells: of one money to itself, or of a conversion into the portfolio's currency."""
    currency, base = str(draft.currency), portfolio.base_currency
    if (parity := at_par(currency, base)) is not None:
        return parity
    converts = draft.type == FX_CONVERSION and draft.to_currency and same_money(draft.to_currency, base)
    if converts and draft.amount and draft.to_amount and draft.amount > 0 and draft.to_amount > 0:
        return stored(EXACT.divide(draft.to_amount, draft.amount)) or None
    return None


def _known_rate(draft: Draft, currency: str, rate: RateOf) -> Decimal | None:
    """The rate of the fee's currency: the row's own where that is the same money."""
    if same_kind(currency, str(draft.currency)) and draft.fx_rate is not None:
        return stored(EXACT.multiply(draft.fx_rate, draft.unit))
    return rate(currency, draft.at.date())


def _payer(portfolio: Portfolio, draft: Draft, code: str) -> Instrument | None:
    """The instrument whose units pay a fee in `code`: what is traded, or what is held, of that name or base asset."""
    names = Q(symbol=code) | Q(symbol__startswith=f"{code}-", kind=Instrument.Kind.CRYPTO)
    traded = draft.instrument if draft.type in TRADES else None
    if traded is not None and (traded.symbol == code or traded.symbol.startswith(f"{code}-")):
        return traded
    for found in Instrument.objects.filter(names).order_by("symbol"):
        entries = [entry for entry in _entries_about(portfolio, {found.id}) if entry.at <= draft.at]
        if entries and positions.fold(entries, portfolio.policy()).held.get(found.id):
            return found
    return None


def _in_kind(draft: Draft, payer: Instrument, code: str, rate: RateOf) -> Draft:
    """The fee as a disposal of units of `payer`, at the price given, the trade's own, or the last known."""
    major, units = MINOR_UNITS.get(payer.currency, (payer.currency, 1))
    price = draft.fee_price
    if price is None and payer == draft.instrument:
        price = draft.price
    if price is None:
        close = last_closes([payer.id], draft.at.date()).get(payer.id)
        price = None if close is None else close.price
    return msgspec.structs.replace(
        draft,
        fee_currency=code,
        fee_instrument=payer,
        fee_price=None if price is None else stored(EXACT.divide(price, units)),
        fee_price_currency=major,
        fee_rate=draft.fee_rate if draft.fee_rate is not None else _known_rate(draft, major, rate),
    )


def _columns(draft: Draft) -> dict[str, Any]:
    """A trade's amount follows from its quantity and price, and isn't kept beside them."""
    columns = msgspec.structs.asdict(draft) | {"withholding": draft.withholding or ZERO}
    return columns | {"amount": None} if draft.type in TRADES else columns


def _same(found: Transaction, draft: Draft, asked: set[str]) -> Transaction:
    """The row that was posted under this external_id before. Raises Refused when it says otherwise, or is undone."""
    if hasattr(found, "reversed_by"):
        raise Refused(external_id=f"Transaction {found.pk} had it and was reversed; post the row under another one.")
    different = [
        name
        for name, value in _columns(draft).items()
        if (name in asked or name not in _FILLED_IN) and getattr(found, name) != value
    ]
    if different:
        raise Refused(
            external_id=f"Transaction {found.pk} has it already, with another {', '.join(sorted(different))}."
        )
    return found


# --- Proof ------------------------------------------------------------------------------------------------------------


def _prove(
    portfolio: Portfolio, rows: Sequence[Transaction], refusal: Callable[[Transaction, dict[str, str]], Exception]
) -> None:
    """With `rows` in it, the ledger never gives away more than was held. Raises `refusal` of the row at fault.

    Only what the rows touch is folded: their instruments, and what these came from or became.
    """
    touched = [row for row in rows if _may_lack(row)]
    ids = {pk for row in touched for pk in (row.instrument_id, row.fee_instrument_id) if pk is not None}
    if not ids:
        return
    try:
        positions.fold(_entries_about(portfolio, ids), portfolio.policy())
    except positions.NotEnoughUnits as lacking:
        row = _at_fault(touched, lacking.instrument, lacking.at)
        raise refusal(row, _lacking(row, lacking)) from lacking
    except positions.UnknownLot as unknown:
        row = _at_fault(touched, unknown.instrument, unknown.at)
        why = f"Transaction {unknown.lot_id} opened no lot that is open on {unknown.at:%Y-%m-%d %H:%M:%S} UTC."
        raise refusal(row, {"lot_ids": why}) from unknown


def _may_lack(row: Transaction) -> bool:
    if row.fee_instrument_id is not None:
        return True
    return row.type not in _OF_MONEY and (row.type not in _ADDING or bool(row.lot_ids))


def _at_fault(rows: Sequence[Transaction], instrument: int, at: datetime) -> Transaction:
    """The row itself that lacks units, or the new one that takes them from an older one."""
    of_it = [row for row in rows if instrument in (row.instrument_id, row.to_instrument_id, row.fee_instrument_id)]
    return next((row for row in of_it if row.at == at), (of_it or rows)[-1])


def _lacking(row: Transaction, lacking: positions.NotEnoughUnits) -> dict[str, str]:
    pays_fee = row.fee_instrument_id == lacking.instrument != row.instrument_id
    field = "fee" if pays_fee else "quantity" if row.quantity is not None else "symbol"
    symbol = Instrument.objects.get(pk=lacking.instrument).symbol
    held = "in the lots named" if isinstance(lacking, positions.NotEnoughInLots) else "held"
    return {
        field: (
            f"{plain(lacking.held)} {symbol} {held} on {lacking.at:%Y-%m-%d %H:%M:%S} UTC,"
            f" too few to {'pay' if pays_fee else 'sell'} {plain(lacking.wanted)}."
        )
    }


def _entries_about(portfolio: Portfolio, instruments: Iterable[int]) -> list[Entry]:
    """All that ever happened to the units of `instruments`, and of those that they came from or became."""
    ids: set[int | None] = set()
    ahead: set[int | None] = set(instruments)
    entries: list[Entry] = []
    while ahead:
        ids |= ahead
        rows = portfolio.transactions.filter(
            Q(instrument__in=ids) | Q(to_instrument__in=ids) | Q(fee_instrument__in=ids)
        )
        entries = rows.entries()
        ahead = {one for e in entries if e.to_instrument for one in (e.instrument, e.to_instrument)} - ids
    return [_apart(entry, ids) for entry in entries]


def _apart(entry: Entry, ids: set[int | None]) -> Entry:
    """The part of a row that is about `ids`: a fee in units of another instrument is not, or it is all there is."""
    if entry.fee_instrument is None or (entry.instrument in ids and entry.fee_instrument in ids):
        return entry
    if entry.instrument in ids:
        return msgspec.structs.replace(entry, fee=ZERO, fee_instrument=None, fee_currency=None)
    # A payment of nothing, with the fee.
    nothing: dict[str, Any] = {"instrument": None, "to_instrument": None, "quantity": ZERO, "amount": ZERO}
    return msgspec.structs.replace(entry, type=DEPOSIT if entry.reverses is None else REVERSAL, **nothing)


def _locked(portfolio: Portfolio) -> Portfolio:
    """Two posts to one ledger take turns, so that they can't both sell the same units."""
    return Portfolio.objects.select_for_update().get(pk=portfolio.pk)


def _tell(portfolio: Portfolio, rows: int) -> None:
    Portfolio.objects.filter(pk=portfolio.pk).update(version=F("version") + rows)
    changed.send(Portfolio, portfolio=portfolio)
    publish_on_commit(portfolio)
