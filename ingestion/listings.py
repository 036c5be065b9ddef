"""The venues' own lists of what they trade, brought into our instruments.

A list is read whole and compared with what is known: an instrument gains the venue's name, a status or a step that
changed is noted, and a name that is gone from the list is closed. Nothing is ever deleted. Reading the same list again
changes nothing.
"""

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, Final

import msgspec
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from ingestion import http, symbols
from ingestion.models import Instrument, VenueSymbol
from ingestion.renames import Spell
from ingestion.rest import binance_listing, coinbase_listing, finnhub_listing, kraken_listing
from ingestion.rest.listing import Listing

logger = logging.getLogger(__name__)

READERS: Final[dict[str, ModuleType]] = {
    module.NAME: module for module in (binance_listing, coinbase_listing, kraken_listing, finnhub_listing)
}
# What a list tells of a name, beside the name itself.
FACTS: Final = (
    "rest_symbol", "status", "tick_size", "lot_size", "min_notional", "price_precision", "quantity_precision",
    "minor_units",
)  # fmt: skip
# A list that lacks more than half of what is known, and more than a few, is a broken one.
CLOSED_AT_ONCE: Final = 5
NOT_LISTED: Final = "not on the venue's list"
_LOCK: Final = 7_103_002
_BATCH: Final = 1000


class Suspicious(Exception):
    """The list lacks too much of what is known: it is not believed, and nothing was changed."""


class Change(msgspec.Struct, frozen=True):
    """Something about a venue's name that is new: `what` of it, from `before` to `after`."""

    symbol: str
    what: str
    before: Any
    after: Any


class Import(msgspec.Struct):
    """What a list brings.

    instruments: new ones. names: venue symbols that are new, of these and of known ones. changes: of known names.
    closed: names that the list no longer has. skipped: entries that cannot be taken, and why. unchanged: how many.
    seen: the known names that are on the list.
    """

    provider: str
    instruments: list[Instrument] = []
    names: list[VenueSymbol] = []
    updated: list[VenueSymbol] = []
    changes: list[Change] = []
    closed: list[VenueSymbol] = []
    skipped: list[tuple[str, str]] = []
    unchanged: int = 0
    seen: list[VenueSymbol] = []


def fetch(provider: str) -> list[Listing]:
    """The venue's whole list. Raises ListingError, or what `http.get` raises."""
    reader = READERS[provider]
    return [row for call in reader.calls() for row in reader.read(http.get(call))]


def refresh(provider: str) -> Import:
    """Bring what is known of a provider's names up to date, adding no instrument. Raises as `fetch`, and Suspicious."""
    return bring(provider, fetch(provider), new_instruments=False)


def bring(
    provider: str,
    listings: list[Listing],
    only: Iterable[str] | None = None,
    *,
    new_instruments: bool = True,
    dry_run: bool = False,
) -> Import:
    """Compare the list with what is known and store the difference.

    only: names, ours or the venue's; without them the whole list counts, and what is not on it is closed.
    new_instruments: whether instruments are made for entries that fit none. They are not followed until somebody wants
    them; those named in `only` are. Raises Suspicious.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        found = _compared(provider, listings, only, new_instruments)
        if not dry_run:
            _store(found, only is not None, timezone.now())
    return found


def named(listings: Iterable[Listing], names: Iterable[str]) -> tuple[list[Listing], list[str]]:
    """The entries that are called so, by us or by the venue, and the names that nothing is called."""
    by_name: dict[str, Listing] = {}
    for row in listings:
        for name in (row.rest_symbol, row.own, row.symbol):
            by_name[symbols.normalize(name)] = row
    wanted = {symbols.normalize(name): name for name in names}
    found = {row.symbol: row for key, row in by_name.items() if key in wanted}
    return list(found.values()), [name for key, name in wanted.items() if key not in by_name]


# --- Comparing ------------------------------------------------------------------------------------------------


def _compared(provider: str, listings: list[Listing], only: Iterable[str] | None, new_instruments: bool) -> Import:
    found = Import(provider)
    rows = VenueSymbol.objects.filter(Q(valid_until=None) | Q(valid_until__gt=timezone.now()), provider=provider)
    known = {row.symbol: row for row in rows.select_related("instrument")}
    if only is None:
        found.closed = list(_gone(provider, listings, known))
    else:
        listings, missing = named(listings, only)
        found.skipped = [(name, NOT_LISTED) for name in missing]
    fresh = []
    for listing in _once(listings):
        row = known.get(listing.symbol)
        if row is None:
            fresh.append(listing)
        else:
            _note(found, row, listing)
    _add(found, fresh, new_instruments, followed=only is not None)
    return found


def _once(listings: list[Listing]) -> Iterator[Listing]:
    """Each venue symbol once, should a list repeat one."""
    return iter({listing.symbol: listing for listing in listings}.values())


def _gone(provider: str, listings: list[Listing], known: dict[str, VenueSymbol]) -> Iterator[VenueSymbol]:
    listed = {row.symbol for row in listings if row.status != VenueSymbol.Status.DELISTED}
    covers = READERS[provider].covers
    gone = [row for symbol, row in known.items() if symbol not in listed and covers(symbol)]
    if not listed or len(gone) > max(CLOSED_AT_ONCE, len(known) / 2):
        raise Suspicious(f"{provider}: of {len(known)} known names the list of {len(listed)} lacks {len(gone)}")
    return iter(gone)


def _note(found: Import, row: VenueSymbol, listing: Listing) -> None:
    found.seen.append(row)
    changes = [
        Change(row.symbol, fact, getattr(row, fact), getattr(listing, fact))
        for fact in FACTS
        if getattr(row, fact) != getattr(listing, fact)
    ]
    if listing.status == VenueSymbol.Status.DELISTED or not changes:
        found.unchanged += not changes
        return
    for change in changes:
        setattr(row, change.what, change.after)
    found.updated.append(row)
    found.changes.extend(changes)


def _add(found: Import, fresh: list[Listing], new_instruments: bool, followed: bool) -> None:
    own = {row.symbol: row for row in Instrument.objects.filter(symbol__in={row.own for row in fresh})}
    ended = _ended(found.provider, fresh)
    for listing in fresh:
        if listing.status == VenueSymbol.Status.DELISTED:
            continue
        if reason := _unfit(listing, own.get(listing.own)):
            found.skipped.append((listing.symbol, reason))
            continue
        if listing.own not in own:
            if not new_instruments:
                continue
            own[listing.own] = _instrument(listing, followed)
            found.instruments.append(own[listing.own])
        # A name that was another's, or this one's before, begins now; else it always was.
        begins = timezone.now() if listing.symbol in ended else None
        found.names.append(_row(found.provider, listing, own[listing.own], begins))


def _ended(provider: str, fresh: list[Listing]) -> set[str]:
    rows = VenueSymbol.objects.filter(provider=provider, symbol__in=[row.symbol for row in fresh])
    return set(rows.values_list("symbol", flat=True))


def _unfit(listing: Listing, instrument: Instrument | None) -> str:
    if not symbols.SYMBOL.fullmatch(listing.own):
        return f"{listing.own} cannot be a symbol here"
    if len(listing.symbol) > 64 or len(listing.currency) > 8:
        return "longer than any name"
    if instrument is not None and instrument.kind != listing.kind:
        return f"{listing.own} is another thing here: {instrument.kind}, not {listing.kind}"
    return ""


def _instrument(listing: Listing, followed: bool) -> Instrument:
    return Instrument(
        symbol=listing.own,
        name=listing.name[:128],
        kind=listing.kind,
        currency=listing.currency,
        exchange=listing.exchange[:16],
        followed=followed,
    )


def _row(provider: str, listing: Listing, instrument: Instrument, begins: dt.datetime | None) -> VenueSymbol:
    facts = {fact: getattr(listing, fact) for fact in FACTS}
    return VenueSymbol(provider=provider, symbol=listing.symbol, instrument=instrument, valid_from=begins, **facts)


# --- Names over the years -------------------------------------------------------------------------------------


def rename(provider: str, instrument: Instrument, spells: Iterable[Spell]) -> list[VenueSymbol]:
    """Give the provider's names of the instrument their times; what else is known of a name stays.

    Returns the names, oldest first. Raises ValidationError, changing nothing, where one was another instrument's then.
    """
    rows = []
    with transaction.atomic():
        had = defaultdict(list)
        for row in VenueSymbol.objects.filter(provider=provider, instrument=instrument).order_by("valid_from"):
            had[row.symbol].append(row)
        for spell in spells:
            # Of a name that comes back each spell is a row of its own.
            known = had[spell.symbol]
            new = VenueSymbol(provider=provider, instrument=instrument, symbol=spell.symbol)
            row = known.pop(0) if known else new
            row.valid_from, row.valid_until = spell.start, spell.until
            row.full_clean(exclude=["instrument"])
            row.save()
            rows.append(row)
    return rows


# --- Storing --------------------------------------------------------------------------------------------------


def _store(found: Import, follow: bool, now: dt.datetime) -> None:
    Instrument.objects.bulk_create(found.instruments, batch_size=_BATCH)
    for row in found.names:
        row.checked_at = now
    VenueSymbol.objects.bulk_create(found.names, batch_size=_BATCH)
    VenueSymbol.objects.bulk_update(found.updated, FACTS, batch_size=_BATCH)
    VenueSymbol.objects.filter(pk__in=[row.pk for row in found.seen]).update(checked_at=now)
    if follow:
        named_here = {row.instrument_id for row in (*found.names, *found.seen)}
        Instrument.objects.filter(pk__in=named_here).update(followed=True)
    for row in found.closed:
        row.status, row.valid_until = VenueSymbol.Status.DELISTED, now
    VenueSymbol.objects.bulk_update(found.closed, ["status", "valid_until"], batch_size=_BATCH)
    # Writing in bulk tells nobody.
    transaction.on_commit(symbols.forget)
    for change in found.changes:
        if change.what == "status":
            logger.warning("%s: %s is %s, was %s", found.provider, change.symbol, change.after, change.before)
    for row in found.closed:
        logger.warning("%s: %s is delisted", found.provider, row.symbol)
