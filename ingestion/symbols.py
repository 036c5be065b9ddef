"""From any name to one instrument, and from a provider's names to our ids.

A name is our own symbol (`BTC-USDT`), a venue's (`BTCUSDT`, `XBT/USD`) or an alias (`BTC`), in any case of letters,
with `/` written as `-` wherever it stands in a path.

A venue's name has a time: FB was Meta Platforms until June 2022, and may be somebody else's since. `resolve(name)` asks
who has the name now; where nobody has, who had it last. `resolve(name, at)` asks who had it then.
"""

import datetime as dt
import re
import threading
import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db.models import Q, QuerySet
from django.db.models.signals import post_delete, post_save
from django.utils import timezone

from ingestion.models import Instrument, VenueSymbol, spelled
from ingestion.providers import PROVIDERS
from ingestion.providers.ccxt_values import PREFIX

CACHE_TTL_S: Final = 5.0
CACHE_MAX_NAMES: Final = 10_000
NAME_MAX_LENGTH: Final = 64
# A symbol of ours stands in addresses and in topics: neither spaces nor what either reads as its own.
SYMBOL: Final = re.compile(r"[^\s:?#/%*\\]{1,32}")


_NEVER: Final = dt.datetime(1, 1, 1, tzinfo=dt.UTC)


class UnknownSymbol(Exception):
    """Nothing here is called so."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no instrument “{name}”.")
        self.name = name


class Known(msgspec.Struct, frozen=True):
    """What the hot paths need of an instrument."""

    id: int
    symbol: str
    kind: str


_cache: dict[str, tuple[float, Instrument | None]] = {}
_cache_lock = threading.Lock()


def normalize(name: str) -> str:
    """The one spelling that names are compared in: `btc/usdt` → `BTC-USDT`."""
    return name.strip().upper().replace("/", "-")


def resolve(name: str, at: dt.datetime | None = None) -> Instrument:
    """The instrument called `name`, now or at a time. Raises UnknownSymbol."""
    wanted = normalize(name)
    instrument = _cached(wanted) if at is None else _look_up(wanted, at)
    if instrument is None:
        raise UnknownSymbol(name)
    return instrument


def forget(**_: object) -> None:
    """Look everything up again."""
    with _cache_lock:
        _cache.clear()


for _model in (Instrument, VenueSymbol):
    post_save.connect(forget, sender=_model, dispatch_uid=f"symbols.forget.save.{_model.__name__}")
    post_delete.connect(forget, sender=_model, dispatch_uid=f"symbols.forget.delete.{_model.__name__}")


def _cached(name: str) -> Instrument | None:
    now = time.monotonic()
    found = _cache.get(name)
    if found is not None and found[0] > now:
        return found[1]
    instrument = _look_up(name)
    with _cache_lock:
        if len(_cache) >= CACHE_MAX_NAMES:
            _cache.clear()
        _cache[name] = (now + CACHE_TTL_S, instrument)
    return instrument


def _look_up(name: str, at: dt.datetime | None = None) -> Instrument | None:
    # PostgreSQL refuses a NUL in text; no name has one, nor is one this long.
    if not name or len(name) > NAME_MAX_LENGTH or "\0" in name:
        return None
    rows = _venue_rows(name)
    if at is None:
        return _by_own_symbol(name) or _by_alias(name) or _of(_valid(rows, timezone.now())) or _last(rows)
    # A row with an end or a beginning knows better than a symbol of ours, which has neither.
    dated = [row for row in rows if row.valid_from is not None or row.valid_until is not None]
    if found := _of(_valid(dated, at)):
        return found
    own = _by_own_symbol(name) or _by_alias(name)
    if own is not None and all(row.instrument_id != own.id for row in dated):
        return own
    return _of(_valid(rows, at))


def _by_own_symbol(name: str) -> Instrument | None:
    found: Instrument | None = _spelled(Instrument.objects.all()).filter(spelled=name).first()
    return found


def _by_alias(name: str) -> Instrument | None:
    """By an alias, or with an asset's other name in it: `XBT-USD` → BTC-USD."""
    aliases = {normalize(alias): normalize(symbol) for alias, symbol in settings.SYMBOL_ALIASES.items()}
    if name in aliases:
        return _by_own_symbol(aliases[name])
    usual = "-".join(settings.ASSET_ALIASES.get(part, part) for part in name.split("-"))
    return _by_own_symbol(usual) if usual != name else None


def _venue_rows(name: str) -> list[VenueSymbol]:
    """Everything that a venue calls or called so, the better sources first."""
    rows = _spelled(VenueSymbol.objects.select_related("instrument")).annotate(rest=spelled("rest_symbol"))
    found = list(rows.filter(Q(spelled=name) | Q(rest=name)))
    return sorted(found, key=lambda row: (source_rank(row.provider), row.instrument_id))


def _valid(rows: Iterable[VenueSymbol], at: dt.datetime) -> list[VenueSymbol]:
    """Those whose time includes `at`."""
    return [
        row
        for row in rows
        if (row.valid_from is None or row.valid_from <= at) and (row.valid_until is None or at < row.valid_until)
    ]


def _of(rows: list[VenueSymbol]) -> Instrument | None:
    """Where two venues give the name to different instruments, the better source's counts."""
    return rows[0].instrument if rows else None


def _last(rows: list[VenueSymbol]) -> Instrument | None:
    """Whoever gave the name up last."""
    ended = [row for row in rows if row.valid_until is not None]
    return max(ended, key=lambda row: row.valid_until or _NEVER).instrument if ended else None


def _spelled(rows: QuerySet) -> Any:
    return rows.annotate(spelled=spelled("symbol"))


def source_rank(provider: str) -> int:
    """Its place in SOURCE_ORDER, best first; after all of them where it has none."""
    order = settings.SOURCE_ORDER
    return order.index(provider) if provider in order else len(order)


def current(provider: str) -> QuerySet[VenueSymbol]:
    """The names that a provider uses now, halted ones too, each with its instrument."""
    now = timezone.now()
    rows = VenueSymbol.objects.filter(provider=provider).exclude(status=VenueSymbol.Status.DELISTED)
    rows = rows.filter(Q(valid_from=None) | Q(valid_from__lte=now), Q(valid_until=None) | Q(valid_until__gt=now))
    return rows.select_related("instrument")


def provider_map(provider: str) -> dict[str, Known]:
    """What a provider calls each instrument that it has now: its symbol → the instrument.

    The simulated provider knows every instrument, by our own symbol, but those whose prices people enter.
    """
    return {name: _known(instrument) for name, instrument in _names(provider)}


def followed(provider: str, wanted: Iterable[int]) -> dict[str, Known]:
    """The part of `provider_map` that a feed follows: SYMBOLS (empty: every instrument marked so), and the `wanted`."""
    ids = set(wanted)
    for name in settings.SYMBOLS:
        try:
            ids.add(resolve(name).id)
        except UnknownSymbol:
            continue  # `unknown_settings` tells of it, once
    unasked = not settings.SYMBOLS
    return {
        name: _known(instrument)
        for name, instrument in _names(provider)
        if instrument.id in ids or (unasked and instrument.followed)
    }


def _names(provider: str) -> list[tuple[str, Instrument]]:
    if provider == "simulated":
        # Beside prices that people enter, made-up ones would pass for real.
        return [(row.symbol, row) for row in Instrument.objects.filter(posted_prices=None)]
    if provider.startswith(PREFIX):
        return _through_ccxt(provider)
    return [(row.symbol, row.instrument) for row in current(provider)]


def _through_ccxt(provider: str) -> list[tuple[str, Instrument]]:
    """ccxt calls BTC-USDT `BTC/USDT` on every exchange; rows of our own come first."""
    rows = {row.instrument_id: (row.symbol, row.instrument) for row in current(provider)}
    pairs = Instrument.objects.filter(kind=Instrument.Kind.CRYPTO, symbol__contains="-")
    return [rows.get(pair.pk) or (pair.symbol.replace("-", "/", 1), pair) for pair in pairs]


def _known(instrument: Instrument) -> Known:
    return Known(instrument.id, instrument.symbol, instrument.kind)


def shown_by_default() -> list[str]:
    """The instruments that a client hears of before it has chosen any: those of SYMBOLS and DEMO_SYMBOLS that exist."""
    names = [*settings.SYMBOLS, *settings.DEMO_SYMBOLS]
    found = (_cached(normalize(name)) for name in names)
    return list(dict.fromkeys(instrument.symbol for instrument in found if instrument is not None))


def unknown_settings() -> list[str]:
    """The entries of SYMBOLS that name nothing: a slip of the installation's, to be said aloud."""

    def known(name: str) -> bool:
        try:
            resolve(name)
        except UnknownSymbol:
            return False
        return True

    return [name for name in settings.SYMBOLS if not known(name)]


def adopt(provider: str, symbol: str) -> Known:
    """The instrument that `provider` calls (or last called) `symbol`, made if there is none yet (for replays)."""
    rows = list(VenueSymbol.objects.filter(provider=provider, symbol=symbol).select_related("instrument"))
    found = _of(_valid(rows, timezone.now())) or _last(rows)
    if found is not None:
        return _known(found)
    own, currency = _own_name(provider, symbol)
    venue = PROVIDERS.get(provider)
    kind = venue.instrument_kind(symbol) if venue is not None else Instrument.Kind.CRYPTO
    instrument, _ = Instrument.objects.get_or_create(
        symbol=own, defaults={"name": own, "kind": kind, "currency": currency}
    )
    row, _ = VenueSymbol.objects.get_or_create(
        provider=provider, symbol=symbol, valid_until=None, defaults={"instrument": instrument}
    )
    return _known(row.instrument)


def _own_name(provider: str, symbol: str) -> tuple[str, str]:
    """Our symbol and the currency for a venue's: `BTCUSDT` → (`BTC-USDT`, `USDT`); as it is where nothing tells."""
    venue = PROVIDERS.get(provider)
    pair = venue.base_quote(symbol) if venue is not None else None
    if pair is None:
        return normalize(symbol), ""
    return f"{pair[0]}-{pair[1]}", pair[1]
