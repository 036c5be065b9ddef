"""Which moneys count as one, and what one is worth in another: now, and on any day."""

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext

import msgspec
from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from ingestion import latest
from ingestion.models import FxRate, Instrument
from ingestion.rest.quoted import MINOR_UNITS
from ingestion.store import to_us
from portfolio.money import EXACT, ONE, stored
from portfolio.rates import ALWAYS, PARITY, Published, Rate, as_of, fresh, pairs_needed, series


def canonical(currency: str) -> str:
    """What a currency counts as: USDT as USD, by the setting STABLE_EQUIVALENTS."""
    return str(settings.STABLE_EQUIVALENTS.get(currency, currency))


def unit_of(currency: str) -> tuple[str, int]:
    """The currency that is reckoned in, and how many of the named unit make one of it.

    >>> unit_of("GBp"), unit_of("ZAc"), unit_of("USDT")
    (('GBP', 100), ('ZAR', 100), ('USD', 1))
    """
    code, units = MINOR_UNITS.get(currency, (currency, 1))
    return canonical(code), units


def same_money(one: str, other: str) -> bool:
    """Whether they are exchanged one to one here."""
    return unit_of(one) == unit_of(other)


# --- Now ------------------------------------------------------------------------------------------------------------


def fx_instruments(base: str, currencies: Iterable[str]) -> dict[int, tuple[str, bool]]:
    """The instruments that price `currencies` in `base`: id → (currency, whether its price is the other way round).

    `EURUSD=X` is how many USD one EUR is; it prices EUR where USDT is asked for in EUR, and GBPUSD=X a GBp.
    """
    base = unit_of(base)[0]
    wanted = {unit_of(currency)[0] for currency in currencies} - {base}
    if not wanted:
        return {}
    ways = {f"{c}{base}=X": (c, False) for c in wanted} | {f"{base}{c}=X": (c, True) for c in wanted}
    found = Instrument.objects.filter(kind=Instrument.Kind.FX, symbol__in=ways)
    return {row.id: ways[row.symbol] for row in found}


def rates(base: str, currencies: Iterable[str], now: dt.datetime | None = None) -> dict[str, Decimal]:
    """Units of `base` for one of each currency; those without a rate are missing. now: as `present_rates`."""
    return {currency: rate.value for currency, rate in present_rates(base, currencies, now).items()}


def present_rates(base: str, currencies: Iterable[str], now: dt.datetime | None = None) -> dict[str, Rate]:
    """The same with what each is made of: the FX instrument's latest price, else the newest dated rate, then stale.

    Of a live price that is stale and a dated rate the newer counts. now: None is this moment.
    """
    now = now or timezone.now()
    wanted = {*currencies, base}
    live = _live(base, wanted, now)
    lacking = [c for c in wanted if unit_of(c)[0] not in live or live[unit_of(c)[0]].stale]
    dated = _newest(base, lacking, now)
    found: dict[str, Rate] = {}
    for currency in wanted:
        known = [rate for rate in (live.get(unit_of(currency)[0]), dated.get(unit_of(currency)[0])) if rate]
        if known:
            found[currency] = _in_units(max(known, key=_rank), currency, base)
    return found


def _rank(rate: Rate) -> tuple[bool, dt.date]:
    return not rate.stale, rate.day


def _live(base: str, currencies: Iterable[str], now: dt.datetime) -> dict[str, Rate]:
    """By the currencies that are reckoned in."""
    own = unit_of(base)[0]
    known = {own: Rate(ONE, ALWAYS, PARITY)}
    pairs = fx_instruments(base, currencies)
    if not pairs:
        return known
    with localcontext(EXACT):
        for instrument, found in latest.get(pairs, to_us(now)).items():
            currency, inverse = pairs[instrument]
            price = Decimal(str(found.price))
            if price > 0:
                value = stored(ONE / price) if inverse else price
                stale = found.quality in (latest.STALE, latest.SUSPECT)
                day = dt.datetime.fromtimestamp(found.time_us / 1e6, dt.UTC).date()
                known[currency] = Rate(value, day, found.source, stale)
    return known


def _newest(base: str, currencies: Sequence[str], now: dt.datetime) -> dict[str, Rate]:
    """The dated rates that still count, all of them stale."""
    today = now.astimezone(dt.UTC).date()
    known = _series(base, {unit_of(c)[0] for c in currencies}, today, today)
    found = {currency: as_of(dated, today, settings.FX_MAX_AGE_DAYS) for currency, dated in known.items()}
    return {currency: msgspec.structs.replace(rate, stale=True) for currency, rate in found.items() if rate}


def _in_units(rate: Rate, currency: str, base: str) -> Rate:
    """A rate of the currencies that are reckoned in as one of the named units: of pence, or into pence."""
    units, units_of_base = unit_of(currency)[1], unit_of(base)[1]
    if units == units_of_base:
        return rate
    with localcontext(EXACT):
        return msgspec.structs.replace(rate, value=stored(rate.value * units_of_base / units))


# --- On a day -------------------------------------------------------------------------------------------------------


def rates_between(
    base: str, currencies: Iterable[str], start: dt.date, end: dt.date
) -> dict[str, list[tuple[dt.date, Decimal]]]:
    """Units of `base` for one of each currency, by day, oldest first: those of [start, end], and of the FX_MAX_AGE_DAYS
    before. Read it with `at`. A rate that holds always is of the day `rates.ALWAYS`; without a rate the list is empty.
    """
    wanted = sorted(set(currencies))
    known = _series(base, {unit_of(c)[0] for c in wanted}, start, end)
    return {
        currency: [(rate.day, _in_units(rate, currency, base).value) for rate in known[unit_of(currency)[0]]]
        for currency in wanted
    }


def at(dated: Sequence[tuple[dt.date, Decimal]], day: dt.date) -> Decimal | None:
    """The rate that counts on `day`: its own, or the newest before that is at most FX_MAX_AGE_DAYS older."""
    place = bisect_right(dated, day, key=_date)
    if not place or not fresh(dated[place - 1][0], day, settings.FX_MAX_AGE_DAYS):
        return None
    return dated[place - 1][1]


def rate_on(currency: str, base: str, day: dt.date) -> Rate | None:
    """Units of `base` for one `currency` on a day, or on the newest day before it, at most FX_MAX_AGE_DAYS earlier.

    None where nobody knows: `no_rate` says why.
    """
    known = _series(base, [unit_of(currency)[0]], day, day)[unit_of(currency)[0]]
    found = as_of(known, day, settings.FX_MAX_AGE_DAYS)
    return None if found is None else _in_units(found, currency, base)


def no_rate(currency: str, base: str, day: dt.date) -> str:
    """Why `rate_on` knows none, as a sentence."""
    return f"There is no rate of {currency} in {base} of {day} or of the {settings.FX_MAX_AGE_DAYS} days before."


def _series(base: str, currencies: Iterable[str], start: dt.date, end: dt.date) -> dict[str, list[Rate]]:
    """By the currencies that are reckoned in; what is the base's own holds always."""
    own = unit_of(base)[0]
    wanted = set(currencies)
    found = {own: [Rate(ONE, ALWAYS, PARITY)]} if own in wanted else {}
    others = wanted - {own}
    if not others:
        return found
    # A rate may count for so long after its day; `start` is not before the calendar's first one.
    days = min(settings.FX_MAX_AGE_DAYS, (start - dt.date.min).days)
    rows = FxRate.objects.filter(date__gte=start - dt.timedelta(days=days), date__lte=end)
    pairs = _pairs(rows, own, others)
    published = {
        pair: [Published(*pair, *row) for row in rows.filter(base=pair[0], quote=pair[1]).values_list(*_TOLD)]
        for pair in {pair for needed in pairs.values() for pair in needed}
    }
    for currency in others:
        found[currency] = series([row for pair in pairs[currency] for row in published[pair]], currency, own)
    return found


_TOLD = ("date", "rate", "source")


def _pairs(rows: QuerySet[FxRate], base: str, currencies: Iterable[str]) -> dict[str, set[tuple[str, str]]]:
    """What is published that leads from each currency to `base`."""
    moneys = [base, *currencies]
    touching = rows.filter(Q(base__in=moneys) | Q(quote__in=moneys)).order_by()
    known = set(touching.values_list("base", "quote").distinct())
    return {currency: pairs_needed(known, currency, base) for currency in currencies}


def _date(dated: tuple[dt.date, Decimal]) -> dt.date:
    return dated[0]
