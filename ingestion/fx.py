"""Daily exchange rates: the European Central Bank's, as dated rows, and as daily bars of the FX instruments.

Asked of Frankfurter, which serves them as JSON, and of the bank itself where that fails or has nothing: an empty
answer is a failure until somebody else says the same. Each run looks back some days, so that what was missed comes in.
"""

import datetime as dt
import logging
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from ingestion import http, latest, store, terms
from ingestion.latest import Latest
from ingestion.models import FxRate, Instrument
from ingestion.providers import SOURCES
from ingestion.rest import ecb
from ingestion.rest.ecb import ECB, EURO, Rate
from ingestion.rest.quoted import Unreadable
from ingestion.ticks import VenueBar

logger = logging.getLogger(__name__)

# When the bank publishes a day's rates, by its clock.
PUBLISHED: Final = dt.time(16, 0)
FRANKFURT: Final = ZoneInfo("Europe/Berlin")
_PAIR: Final = re.compile(r"^([A-Z]{3})[-/]?([A-Z]{3})(?:=X)?$")


class Update(msgspec.Struct):
    """What a run brought. gaps: parts of the time asked for that have no rates, and no holiday explains."""

    source: str = ""
    rates: int = 0
    new: int = 0
    changed: int = 0
    bars: int = 0
    gaps: list[tuple[dt.date, dt.date]] = []


def update(first: dt.date, last: dt.date, *, wait_s: float | None = None) -> Update:
    """Bring in the rates of [first, last]. Re-running changes nothing.

    Raises what `http.get` raises, or Unreadable, when neither source can tell.
    """
    done = Update()
    for begin, end in ecb.pages(first, last):
        rates = _fetch(begin, end, done, wait_s)
        with transaction.atomic():
            _keep(rates, done)
            done.bars += _keep_bars(rates)
        _tell(rates)
    days = {rate.date for rate in FxRate.objects.filter(source=ECB, date__range=(first, last)).only("date")}
    done.gaps = ecb.gaps(days, first, min(last, timezone.now().date()))
    if done.gaps:
        logger.warning("no exchange rates for %s", ", ".join(f"{a} to {b}" for a, b in done.gaps))
    return done


def update_recent() -> Update:
    """The last FX_LOOK_BACK_DAYS."""
    today = timezone.now().date()
    return update(today - dt.timedelta(days=settings.FX_LOOK_BACK_DAYS), today)


def _fetch(first: dt.date, last: dt.date, done: Update, wait_s: float | None) -> list[Rate]:
    quotes: Sequence[str] = settings.FX_CURRENCIES
    try:
        rates = ecb.read_frankfurter(http.get(ecb.frankfurter_call(first, last, quotes), deadline_s=wait_s))
        done.source = ecb.FRANKFURTER
        if rates:
            return rates
        logger.warning("%s has no rates from %s to %s: the bank is asked itself", ecb.FRANKFURTER, first, last)
    except (http.Unreachable, http.Refused, http.OverBudget, Unreadable) as error:
        logger.warning("%s; the bank is asked itself", error)
    rates = ecb.read_ecb(http.get(ecb.ecb_call(first, last, quotes), deadline_s=wait_s))
    done.source = ECB
    return rates


def _keep(rates: Sequence[Rate], done: Update) -> None:
    dates = [rate.date for rate in rates]
    if not dates:
        return
    held = {
        (row.base, row.quote, row.date): row
        for row in FxRate.objects.filter(source=ECB, date__range=(min(dates), max(dates)))
    }
    now = timezone.now()
    known = {place: row.rate for place, row in held.items()}
    news = [rate for rate in rates if known.get((rate.base, rate.quote, rate.date)) != rate.rate]
    changed = [rate for rate in news if (rate.base, rate.quote, rate.date) in known]
    for rate in changed:
        old = known[rate.base, rate.quote, rate.date]
        logger.warning("the %s rate of %s/%s was %s and is now %s", rate.date, rate.base, rate.quote, old, rate.rate)
    FxRate.objects.bulk_create(
        [FxRate(**msgspec.structs.asdict(rate), source=ECB, received_at=now) for rate in news],
        update_conflicts=True,
        unique_fields=["base", "quote", "date", "source"],
        update_fields=["rate", "received_at"],
    )
    done.rates += len(rates)
    done.new += len(news) - len(changed)
    done.changed += len(changed)


# --- The FX instruments' bars and prices -----------------------------------------------------------------------


def pair_of(symbol: str) -> tuple[str, str] | None:
    """
    >>> pair_of("EURUSD=X"), pair_of("GBP-USD"), pair_of("DX-Y.NYB")
    (('EUR', 'USD'), ('GBP', 'USD'), None)
    """
    found = _PAIR.match(symbol.upper())
    return (found.group(1), found.group(2)) if found else None


def _instruments() -> list[tuple[Instrument, tuple[str, str]]]:
    rows = Instrument.objects.filter(kind=Instrument.Kind.FX)
    pairs = [(row, pair_of(row.symbol)) for row in rows]
    return [(row, pair) for row, pair in pairs if pair is not None]


def _keep_bars(rates: Sequence[Rate]) -> int:
    """A daily bar of one price, the day's: nobody tells more, and no volume."""
    received_us = store.to_us(timezone.now())
    bars, ids = [], {}
    for instrument, (base, quote) in _instruments():
        ids[instrument.symbol] = instrument.pk
        for day, rate in ecb.cross(rates, base, quote):
            price = float(rate)
            day_us = _midnight_us(day)
            bars.append(
                VenueBar(instrument.symbol, "1d", day_us, received_us, price, price, price, price, None, final=True)
            )
    return store.write_venue_bars(SOURCES[ECB], bars, ids) if bars else 0


def _tell(rates: Sequence[Rate]) -> None:
    """The newest of each as its instrument's price, where nothing better is known."""
    now_us = store.to_us(timezone.now())
    found = {}
    for instrument, (base, quote) in _instruments():
        days = ecb.cross(rates, base, quote)
        if days:
            found[instrument.pk] = _price(days, now_us)
    if found:
        latest.put(ECB, found)


def _price(days: Sequence[tuple[dt.date, Decimal]], now_us: int) -> Latest:
    day, rate = days[-1]
    before = days[-2][1] if len(days) > 1 else None
    change = None if before is None else float(rate - before)
    return Latest(
        ECB,
        float(rate),
        time_us=store.to_us(dt.datetime.combine(day, PUBLISHED, tzinfo=FRANKFURT)),
        received_us=now_us,
        change=change,
        change_percent=None if before is None else float(100 * (rate - before) / before),
        delay_s=terms.of(ECB).delay_s or 0.0,
    )


def _midnight_us(day: dt.date) -> int:
    return store.to_us(dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC))


def as_of(base: str, quote: str, day: dt.date, max_age_days: int) -> tuple[dt.date, Decimal] | None:
    """What one `base` cost in `quote` on a day, or on the newest day before that is no older; None where nobody knows.

    Made of the two currencies' own rates of that one day, never of an inverse that was rounded.
    """
    if base == quote:
        return day, Decimal(1)
    legs = {base, quote} - {EURO}
    rows = FxRate.objects.filter(
        source=ECB, base=EURO, quote__in=legs, date__lte=day, date__gte=day - dt.timedelta(days=max_age_days)
    )
    known = ecb.cross(_rates(rows), base, quote)
    return known[-1] if known else None


def _rates(rows: Iterable[FxRate]) -> list[Rate]:
    return [Rate(row.base, row.quote, row.date, row.rate) for row in rows]
