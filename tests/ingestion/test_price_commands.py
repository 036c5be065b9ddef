"""`update_asset_prices` and `start_price_feed`, as people call them."""

import io
import sys
import time

import pytest
from django.core.management import CommandError, call_command

from ingestion import http, latest
from ingestion.models import FxRate, Instrument, PriceUpdate, VenueSymbol
from tests.processes import started, wait_for
from tests.venues.polled import FinnhubQuotes, Rates

pytestmark = pytest.mark.usefixtures("own_prefix")

KEY = "KEY"


@pytest.fixture
def finnhub(settings):
    settings.FINNHUB_API_KEY = KEY
    settings.FEEDS = []
    with FinnhubQuotes(KEY, {"AAPL": {"c": 190.0, "pc": 189.0, "t": int(time.time())}}) as venue:
        settings.FINNHUB_REST_URL = venue.url
        yield venue
    http.close()


@pytest.fixture
def apple(db):
    return Instrument.objects.create(symbol="AAPL", name="Apple", kind="equity", currency="USD", exchange="NASDAQ")


def said(*arguments, **options):
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=out, **options)
    return out.getvalue()


def test_prices_are_asked_for_once_with_progress(apple, finnhub):
    told = said("update_asset_prices", "--symbols", "aapl")
    assert "[1/1] AAPL: 190.0 from finnhub" in told
    assert "1 updated" in told
    assert latest.get([apple.pk])[apple.pk].price == 190.0
    assert PriceUpdate.objects.get().asked_by is None


def test_a_dry_run_asks_nobody(apple, finnhub):
    assert "AAPL: finnhub" in said("update_asset_prices", "--symbols", "AAPL", "--dry-run")
    assert finnhub.calls == []


def test_what_cannot_be_updated_is_an_error(apple, settings):
    settings.FEEDS = []
    with pytest.raises(CommandError, match="1 failed: AAPL"):
        said("update_asset_prices", "--symbols", "AAPL")


def test_unknown_symbols_are_named(apple):
    with pytest.raises(CommandError, match="“NOPE”"):
        said("update_asset_prices", "--symbols", "NOPE")


def test_rates_of_the_past_come_with_historical(db, settings):
    Instrument.objects.create(symbol="EURUSD=X", name="Euro", kind="fx", currency="USD")
    settings.FX_REQUEST_SPACING_S = 0.0
    with Rates([("2020-01-02", "USD", "1.1193")]) as venue:
        settings.FX_URL = settings.ECB_URL = venue.url
        today = time.strftime("%Y-%m-%d", time.gmtime())
        venue.rates.append((today, "USD", "1.1684"))
        told = said("update_asset_prices", "--symbols", "EURUSD=X", "--historical", "--days", "7")
    http.close()
    assert "1 rates of the ECB, 1 new" in told
    assert str(FxRate.objects.get().rate).startswith("1.1684")


def test_days_go_with_historical(apple):
    with pytest.raises(CommandError, match="--historical"):
        said("update_asset_prices", "--days", "3")


def test_detached_the_workers_are_asked(db, settings, finnhub):
    settings.POLLERS = ["finnhub"]
    assert "asked the workers to poll finnhub" in said("start_price_feed", "--detach")


@pytest.mark.flow
@pytest.mark.django_db(transaction=True)
def test_the_feed_polls_until_it_is_told_to_stop(settings, tmp_path, finnhub):
    """A process of its own: it asks for what is wanted again and again, and ends by itself on SIGTERM."""
    from django.db import connection

    apple = Instrument.objects.create(symbol="AAPL", name="Apple", kind="equity", currency="USD", calendar="24/7")
    VenueSymbol.objects.create(instrument=apple, provider="finnhub", symbol="AAPL")
    database = connection.settings_dict
    environment = {
        "DATABASE_URL": "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database),
        "REDIS_PREFIX": settings.REDIS_PREFIX,
        "FINNHUB_API_KEY": KEY,
        "FINNHUB_REST_URL": finnhub.url,
        "SYMBOLS": "AAPL",
        "FEEDS": "simulated",
    }
    command = [sys.executable, "manage.py", "start_price_feed", "--interval", "1", "--verbose"]
    with started(command, tmp_path / "log", **environment) as process:
        wait_for(lambda: process.says("1 asked") and len(finnhub.calls) >= 2, 30, "two rounds")
        assert process.terminate() == 0
    assert "finnhub: 1 due, 1 asked" in process.output()
    assert process.output().endswith("stopped\n")
    assert KEY not in process.output()
    assert latest.get([apple.pk])[apple.pk].price == 190.0
