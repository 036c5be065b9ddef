"""Which moneys count as one, and what one is worth in another, from the latest prices of FX instruments."""

from collections.abc import Iterable
from decimal import Decimal, localcontext

from django.conf import settings

from ingestion import latest
from ingestion.models import Instrument
from portfolio.money import EXACT, ONE, stored


def canonical(currency: str) -> str:
    """What a currency counts as: USDT as USD, by the setting STABLE_EQUIVALENTS."""
    return str(settings.STABLE_EQUIVALENTS.get(currency, currency))


def same_money(one: str, other: str) -> bool:
    """Whether they are exchanged one to one here."""
    return canonical(one) == canonical(other)


def fx_instruments(base: str, currencies: Iterable[str]) -> dict[int, tuple[str, bool]]:
    """The instruments that price `currencies` in `base`: id → (currency, whether its price is the other way round).

    `EURUSD=X` is how many USD one EUR is.
    """
    base = canonical(base)
    wanted = {currency for currency in currencies if canonical(currency) != base}
    if not wanted:
        return {}
    ways = {f"{canonical(c)}{base}=X": (c, False) for c in wanted} | {
        f"{base}{canonical(c)}=X": (c, True) for c in wanted
    }
    found = Instrument.objects.filter(kind=Instrument.Kind.FX, symbol__in=ways)
    return {row.id: ways[row.symbol] for row in found}


def rates(base: str, currencies: Iterable[str]) -> dict[str, Decimal]:
    """Units of `base` for one of each currency; those without a rate are missing."""
    currencies = set(currencies) | {base}
    known = {currency: ONE for currency in currencies if same_money(currency, base)}
    pairs = fx_instruments(base, currencies)
    if not pairs:
        return known
    with localcontext(EXACT):
        for instrument, found in latest.get(pairs).items():
            currency, inverse = pairs[instrument]
            price = Decimal(str(found.price))
            known[currency] = stored(ONE / price) if inverse else price
    return known
