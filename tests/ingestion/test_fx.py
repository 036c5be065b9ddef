"""Daily rates: kept as dated rows, as bars of the FX instruments, and asked for again where they are missing."""

import datetime as dt
from decimal import Decimal

import pytest

from ingestion import fx, http, latest, store
from ingestion.models import FxRate, Instrument
from tests.venues.polled import PAGE, Rates

pytestmark = [pytest.mark.usefixtures("own_prefix"), pytest.mark.django_db]

FIRST, LAST = dt.date(2026, 3, 2), dt.date(2026, 3, 13)
# Working days, and how much of the currency a euro bought.
DAYS = [FIRST + dt.timedelta(days=i) for i in range(12) if (FIRST + dt.timedelta(days=i)).weekday() < 5]
GIVEN = [
    (day.isoformat(), currency, rate)
    for i, day in enumerate(DAYS)
    for currency, rate in (("USD", f"1.16{i}0"), ("GBP", "0.87058"), ("IDR", "20082.05"))
]


@pytest.fixture
def bank(settings):
    settings.FX_REQUEST_SPACING_S = 0.0
    settings.REST_RETRY_S = 0.0
    with Rates(GIVEN) as venue:
        settings.FX_URL = settings.ECB_URL = venue.url
        yield venue
    http.close()
    assert venue.violations == []


def rate(quote, day):
    return FxRate.objects.get(base="EUR", quote=quote, date=day).rate


def test_rates_are_kept_to_the_digit(bank):
    done = fx.update(FIRST, LAST)
    assert (done.source, done.new, done.changed, done.gaps) == ("frankfurter", 30, 0, [])
    assert rate("USD", FIRST) == Decimal("1.1600")
    assert rate("IDR", LAST) == Decimal("20082.05")


def test_again_changes_nothing(bank):
    fx.update(FIRST, LAST)
    before = list(FxRate.objects.values_list("id", "rate", "received_at"))
    done = fx.update(FIRST, LAST)
    assert (done.new, done.changed) == (0, 0)
    assert list(FxRate.objects.values_list("id", "rate", "received_at")) == before


def test_a_corrected_rate_is_corrected_and_said(bank, caplog):
    fx.update(FIRST, LAST)
    bank.rates[1] = (bank.rates[1][0], bank.rates[1][1], "9.9")
    assert fx.update(FIRST, LAST).changed == 1
    assert "and is now 9.9" in caplog.text


@pytest.mark.parametrize("failure", ["page", "empty"])
def test_where_frankfurter_fails_the_bank_is_asked(bank, failure):
    if failure == "page":
        bank.say_next(200, PAGE, {"Content-Type": "text/html"}, times=3)
    else:
        bank.say_next(200, [])
    done = fx.update(FIRST, LAST)
    assert (done.source, done.new) == ("ecb", 30)


def test_an_empty_answer_is_no_holiday(bank, caplog):
    bank.rates = [(day, currency, value) for day, currency, value in bank.rates if day < "2026-03-03"]
    assert fx.update(FIRST, LAST).gaps == [(dt.date(2026, 3, 3), LAST)]
    assert "no exchange rates for 2026-03-03 to 2026-03-13" in caplog.text
    bank.rates = sorted(GIVEN)
    assert fx.update(FIRST, LAST).gaps == []  # the next look back makes it good


def test_many_years_come_in_pieces(bank):
    fx.update(dt.date(2010, 1, 1), LAST)
    assert len(bank.calls) >= 4


def test_fx_instruments_have_daily_bars_of_one_price(bank):
    pound = Instrument.objects.create(symbol="GBPUSD=X", name="Pound", kind="fx", currency="USD")
    fx.update(FIRST, LAST)
    bars = store.candles(pound.pk, "1d", start=dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    assert len(bars) == len(DAYS)
    assert bars[0].close == pytest.approx(1.16 / 0.87058)
    assert bars[0].open == bars[0].high == bars[0].low == bars[0].close
    assert bars[0].volume is None


def test_they_have_a_price_that_says_that_it_is_late(bank):
    euro = Instrument.objects.create(symbol="EURUSD=X", name="Euro", kind="fx", currency="USD")
    fx.update(FIRST, LAST)
    at_us = store.to_us(dt.datetime(2026, 3, 13, 18, tzinfo=dt.UTC))
    found = latest.get([euro.pk], at_us)[euro.pk]
    assert (found.price, found.source, found.quality) == (1.169, "ecb", "delayed")
    monday = store.to_us(dt.datetime(2026, 3, 16, 9, tzinfo=dt.UTC))
    assert latest.get([euro.pk], monday)[euro.pk].quality == "delayed"
    assert latest.get([euro.pk], monday - 2 * 86_400_000_000)[euro.pk].quality == "closed"


def test_a_rate_of_a_weekend_is_fridays_within_an_age(bank):
    fx.update(FIRST, LAST)
    sunday = dt.date(2026, 3, 8)
    assert fx.as_of("EUR", "USD", sunday, 5) == (dt.date(2026, 3, 6), Decimal("1.1640"))
    assert fx.as_of("EUR", "USD", sunday, 1) is None
    day, cross = fx.as_of("GBP", "USD", LAST, 5)
    assert (day, round(cross, 9)) == (LAST, round(Decimal("1.1690") / Decimal("0.87058"), 9))
    assert fx.as_of("EUR", "EUR", sunday, 0) == (sunday, Decimal(1))
