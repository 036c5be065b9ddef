"""Exchanges' sessions are worked out once, kept in the database, and read by everyone."""

import datetime as dt

import pytest

from ingestion import sessions
from ingestion.models import Instrument, MarketCalendar

pytestmark = pytest.mark.usefixtures("own_prefix")

NOW = dt.datetime(2026, 3, 4, 15, tzinfo=dt.UTC)
CLOSED_US = int(dt.datetime(2026, 3, 7, 15, tzinfo=dt.UTC).timestamp()) * 1_000_000


@pytest.fixture(autouse=True)
def _read_anew():
    sessions.forget()
    yield
    sessions.forget()


@pytest.fixture
def apple(db):
    return Instrument.objects.create(symbol="AAPL", name="Apple", kind="equity", currency="USD", exchange="NASDAQ")


@pytest.mark.usefixtures("apple")
def test_until_it_is_worked_out_a_market_counts_as_open():
    assert sessions.calendars().is_open("XNYS", CLOSED_US)


@pytest.mark.usefixtures("apple")
def test_what_instruments_need_is_worked_out_once():
    assert sessions.keep(dt.datetime.now(dt.UTC)) == ["XNYS"]
    assert sessions.keep(dt.datetime.now(dt.UTC)) == []
    assert not sessions.calendars().is_open("XNYS", CLOSED_US)


@pytest.mark.usefixtures("apple")
def test_a_table_that_runs_out_or_of_an_older_version_is_worked_out_anew():
    sessions.keep(dt.datetime.now(dt.UTC))
    MarketCalendar.objects.update(made_by="an older one")
    assert sessions.keep(dt.datetime.now(dt.UTC)) == ["XNYS"]
    MarketCalendar.objects.update(until=dt.datetime.now(dt.UTC) + dt.timedelta(days=10))
    assert sessions.keep(dt.datetime.now(dt.UTC)) == ["XNYS"]


def test_an_exchange_that_nobody_knows_counts_as_open(db, caplog):
    Instrument.objects.create(symbol="ODD", name="Odd", kind="equity", currency="USD", exchange="NOWHERE")
    assert sessions.keep(NOW) == []
    assert "NOWHERE" in caplog.text
    assert sessions.calendars().is_open("NOWHERE", CLOSED_US)


def test_an_instruments_own_calendar_comes_first(apple):
    assert sessions.name_of(apple) == "XNYS"
    apple.calendar = "XLON"
    assert sessions.name_of(apple) == "XLON"


def test_nairobi_needs_no_table(db):
    Instrument.objects.create(symbol="SCOM", name="Safaricom", kind="equity", currency="KES", exchange="NSE")
    assert sessions.keep(NOW) == []
    assert not sessions.calendars().is_open("XNAI", CLOSED_US)
