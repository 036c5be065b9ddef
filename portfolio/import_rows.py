"""The rows of a file on their way into a ledger: their instruments, and the identity by which each is posted once."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db.models import Q

from ingestion import symbols
from ingestion.models import Instrument
from portfolio.import_formats.postings import Identities, Posting
from portfolio.ledger import Draft
from portfolio.models import Portfolio, Transaction
from portfolio.money import BadNumber, parse, stored
from portfolio.positions import REVERSAL

NEW, EXISTS, FAILED = "new", "exists", "error"
# What two rows agree in that say the same of one event, whoever typed them in.
_ESSENCE: Final = (
    "type",
    "at",
    "instrument_id",
    "to_instrument_id",
    "quantity",
    "price",
    "amount",
    "ratio",
    "to_amount",
)
_COPIED: Final = (
    "quantity", "price", "amount", "ratio", "basis_fraction", "basis", "opened_at", "cash_in_lieu", "withholding",
    "fee", "fee_currency", "fee_rate", "fee_price", "currency", "fx_rate", "to_amount", "note",
)  # fmt: skip


class Row(msgspec.Struct, kw_only=True):
    """A posting on its way. found: the row that is in the ledger already; errors: the file's column → a sentence."""

    posting: Posting
    draft: Draft | None = None
    found: int | None = None
    posted: Transaction | None = None
    errors: dict[str, str] = {}

    @property
    def status(self) -> str:
        if self.errors:
            return FAILED
        return EXISTS if self.found is not None else NEW


class Resolver:
    """The instruments of one file's symbols."""

    def __init__(self, portfolio: Portfolio, ours: Mapping[str, str]) -> None:
        self._ours = {symbols.normalize(theirs): name for theirs, name in ours.items()}
        self._found: dict[tuple[str, ...], Instrument | None] = {}
        self._missing: dict[str, None] = {}
        used = portfolio.transactions.filter(instrument__isnull=False).order_by()
        self._used = set(used.values_list("instrument_id", flat=True).distinct())

    def row(self, posting: Posting) -> Row:
        """The row, with its draft where its symbols are known."""
        instruments: dict[str, Instrument] = {}
        errors: dict[str, str] = {}
        for field, (symbol, names) in posting.symbols.items():
            found = self._instrument(symbol, names)
            if found is None:
                self._missing.setdefault(symbol)
                errors[posting.columns.get(field, field)] = f"There is no instrument “{symbol[:40]}”: say `symbols`."
            else:
                instruments[field] = found
        errors |= _too_large(posting)
        return Row(posting=posting, errors=errors, draft=None if errors else _draft(posting, instruments))

    def _instrument(self, symbol: str, names: tuple[str, ...]) -> Instrument | None:
        wanted = (symbol, *names)
        if wanted not in self._found:
            self._found[wanted] = self._look_up(symbol, names)
        found = self._found[wanted]
        if found is not None:
            self._used.add(found.pk)
        return found

    def _look_up(self, symbol: str, names: tuple[str, ...]) -> Instrument | None:
        """What the sender says it is; else by its names, best what the portfolio or the file has already."""
        if (ours := self._ours.get(symbols.normalize(symbol))) is not None:
            return _resolved(ours)
        # A coin's bare name is only the default pair: its pair in the row's money comes before.
        candidates = [found for name in (names or (symbol,)) if (found := _resolved(name)) is not None]
        if not candidates and names:
            candidates = [found for found in [_resolved(symbol)] if found is not None]
        return next((found for found in candidates if found.pk in self._used), candidates[0] if candidates else None)

    def unknown(self) -> dict[str, list[str]]:
        """The symbols without an instrument, and what is called alike."""
        return {symbol: similar(symbol) for symbol in list(self._missing)[: settings.IMPORT_ERRORS_MAX]}


def _resolved(name: str) -> Instrument | None:
    try:
        return symbols.resolve(name)
    except symbols.UnknownSymbol:
        return None


def similar(symbol: str) -> list[str]:
    """Up to five of our symbols that begin alike, or whose names hold it."""
    wanted = symbols.normalize(symbol).replace("\0", "")[: symbols.NAME_MAX_LENGTH]
    stem = wanted.partition("-")[0].partition(".")[0]
    if not stem:
        return []
    alike = Q(symbol__istartswith=stem) | Q(name__icontains=wanted)
    if len(stem) > 2:
        alike |= Q(symbol__istartswith=stem[:-1])
    return list(Instrument.objects.filter(alike).order_by("symbol").values_list("symbol", flat=True)[:5])


def _too_large(posting: Posting) -> dict[str, str]:
    """What two cells come to may be more than a column keeps."""
    errors: dict[str, str] = {}
    for name in _COPIED:
        value = getattr(posting, name)
        try:
            if isinstance(value, Decimal):
                parse(stored(value))
        except (BadNumber, InvalidOperation) as error:
            errors[posting.columns.get(name, name)] = str(error) or "The number is too large."
    return errors


def _draft(posting: Posting, instruments: dict[str, Instrument]) -> Draft:
    given = {name: _kept(value) for name in _COPIED if (value := getattr(posting, name)) is not None}
    return Draft(
        type=posting.type,
        at=posting.at,
        instrument=instruments.get("symbol"),
        to_instrument=instruments.get("to_symbol"),
        to_currency=posting.to_currency or "",
        **{**given, "note": posting.note.replace("\0", "")[:500]},
    )


def _kept(value: Any) -> Any:
    return stored(value) if isinstance(value, Decimal) else value


# --- Identity ---------------------------------------------------------------------------------------------------------


class _Present(msgspec.Struct, frozen=True):
    """A row of the ledger as identities look at it. stands: it counts, being neither reversed nor archived."""

    pk: int
    stands: bool
    essence: tuple[Any, ...]


def identify(portfolio: Portfolio, source: str, rows: Sequence[Row]) -> None:
    """Give each draft its external id, and find those that are in the ledger already.

    A row that was undone leaves its id behind, so that the next import of it carries a count: `import:…~1`.
    """
    by_id, by_hand = _present(portfolio)
    identities = Identities(source)
    reversed_here = {row.posting.reverses for row in rows} - {None}
    for row in rows:
        if row.draft is None or row.posting.type == REVERSAL:
            continue
        name = row.posting.external_id or identities.of(row.posting)
        undone = row.posting.id is not None and row.posting.id in reversed_here
        external_id, found = _generation(by_id, name, undone)
        if found is None and (alike := by_hand.get((not undone, *_essence(row.draft)))):
            found = alike.pop()
        row.draft = msgspec.structs.replace(row.draft, external_id=external_id)
        row.found = None if found is None else found.pk
        if found is not None and row.posting.reference and found.essence != _essence(row.draft):
            row.errors = {row.posting.columns.get("type", "type"): _CHANGED.format(found.pk)}


_CHANGED: Final = "Transaction {} is of this row, with other figures: reverse it to import the row anew."


def _present(portfolio: Portfolio) -> tuple[dict[str, _Present], dict[tuple[Any, ...], list[_Present]]]:
    """The ledger's rows by external id, and those without one by whether they stand and what they say."""
    by_id: dict[str, _Present] = {}
    by_hand: dict[tuple[Any, ...], list[_Present]] = {}
    columns = ("pk", "external_id", "reversed_by__pk", *_ESSENCE)
    rows = portfolio.transactions.exclude(type=REVERSAL).order_by("-at", "-id").values_list(*columns)
    for pk, external_id, reversal, *essence in rows.iterator(chunk_size=5_000):
        present = _Present(pk, reversal is None and pk > portfolio.archived_until, tuple(essence))
        if external_id is not None:
            by_id[external_id] = present
        else:
            by_hand.setdefault((present.stands, *present.essence), []).append(present)
    return by_id, by_hand


def _generation(by_id: dict[str, _Present], name: str, undone: bool) -> tuple[str, _Present | None]:
    """The id under which a row stands, or the first free one."""
    count, external_id = 0, name
    while (found := by_id.get(external_id)) is not None:
        if found.stands or undone:
            return external_id, found
        count += 1
        external_id = f"{name[:120]}~{count}"
    return external_id, None


def _essence(draft: Draft) -> tuple[Any, ...]:
    instrument, to_instrument = draft.instrument, draft.to_instrument
    return (
        draft.type, draft.at, instrument and instrument.pk, to_instrument and to_instrument.pk, draft.quantity,
        draft.price, draft.amount, draft.ratio, draft.to_amount,
    )  # fmt: skip
