"""From any name to one instrument, and from a provider's names to our ids.

A name is our own symbol (`BTC-USDT`), a venue's (`BTCUSDT`, `XBT/USD`) or an alias (`BTC`), in any case of letters,
with `/` written as `-` wherever it stands in a path.
"""

import threading
import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Replace, Upper
from django.db.models.signals import post_delete, post_save

from ingestion.models import Instrument, VenueSymbol
from ingestion.providers import PROVIDERS

CACHE_TTL_S: Final = 5.0
CACHE_MAX_NAMES: Final = 10_000
NAME_MAX_LENGTH: Final = 64


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


def resolve(name: str) -> Instrument:
    """The instrument called `name`. Raises UnknownSymbol."""
    wanted = normalize(name)
    instrument = _cached(wanted)
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


def _look_up(name: str) -> Instrument | None:
    # PostgreSQL refuses a NUL in text; no name has one, nor is one this long.
    if not name or len(name) > NAME_MAX_LENGTH or "\0" in name:
        return None
    return _by_own_symbol(name) or _by_alias(name) or _by_venue_symbol(name)


def _by_own_symbol(name: str) -> Instrument | None:
    found: Instrument | None = _spelled(Instrument.objects.all()).filter(spelled=name).first()
    return found


def _by_alias(name: str) -> Instrument | None:
    aliases = {normalize(alias): normalize(symbol) for alias, symbol in settings.SYMBOL_ALIASES.items()}
    return _by_own_symbol(aliases[name]) if name in aliases else None


def _by_venue_symbol(name: str) -> Instrument | None:
    """Where two venues give the name to different instruments, the better source's counts."""
    found = list(_spelled(VenueSymbol.objects.select_related("instrument")).filter(spelled=name))
    found.sort(key=lambda row: (source_rank(row.provider), row.instrument_id))
    return found[0].instrument if found else None


def _spelled(rows: QuerySet) -> Any:
    return rows.annotate(spelled=Replace(Upper(F("symbol")), Value("/"), Value("-")))


def source_rank(provider: str) -> int:
    """Its place in SOURCE_ORDER, best first; after all of them where it has none."""
    order = settings.SOURCE_ORDER
    return order.index(provider) if provider in order else len(order)


def provider_map(provider: str) -> dict[str, Known]:
    """What a provider calls each instrument that it knows: its symbol → the instrument.

    The simulated provider knows every instrument, by our own symbol.
    """
    if provider == "simulated":
        return {row.symbol: Known(row.id, row.symbol, row.kind) for row in Instrument.objects.all()}
    rows = VenueSymbol.objects.filter(provider=provider).select_related("instrument")
    return {row.symbol: Known(row.instrument_id, row.instrument.symbol, row.instrument.kind) for row in rows}


def followed(provider: str, wanted: Iterable[int]) -> dict[str, Known]:
    """The part of `provider_map` that a feed follows: SYMBOLS (empty: everything), and the `wanted` instruments."""
    known = provider_map(provider)
    if not settings.SYMBOLS:
        return known
    ids = set(wanted)
    for name in settings.SYMBOLS:
        try:
            ids.add(resolve(name).id)
        except UnknownSymbol:
            continue  # `unknown_settings` tells of it, once
    return {symbol: instrument for symbol, instrument in known.items() if instrument.id in ids}


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
    """The instrument that `provider` calls `symbol`, made if there is none yet (for replays)."""
    row = VenueSymbol.objects.filter(provider=provider, symbol=symbol).select_related("instrument").first()
    if row is None:
        own, currency = _own_name(provider, symbol)
        instrument, _ = Instrument.objects.get_or_create(
            symbol=own, defaults={"name": own, "kind": Instrument.Kind.CRYPTO, "currency": currency}
        )
        row, _ = VenueSymbol.objects.get_or_create(
            provider=provider, symbol=symbol, defaults={"instrument": instrument}
        )
    return Known(row.instrument_id, row.instrument.symbol, row.instrument.kind)


def _own_name(provider: str, symbol: str) -> tuple[str, str]:
    """Our symbol and the currency for a venue's: `BTCUSDT` → (`BTC-USDT`, `USDT`); as it is where nothing tells."""
    venue = PROVIDERS.get(provider)
    pair = venue.base_quote(symbol) if venue is not None else None
    if pair is None:
        return normalize(symbol), ""
    return f"{pair[0]}-{pair[1]}", pair[1]
