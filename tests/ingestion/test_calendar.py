"""Sessions, holidays, half days, lunch breaks and clock changes; against an independent market-hours database."""

import datetime as dt
import gzip
import json
from zoneinfo import ZoneInfo

import pytest

from ingestion import sessions
from ingestion.calendar import (
    ALWAYS,
    FX_WEEK,
    NAIROBI,
    Calendars,
    Session,
    Table,
    calendar_of,
    pack,
    unpack,
)
from tests.ingestion.recordings import recording

NEW_YORK = ZoneInfo("America/New_York")


def us(text, zone="UTC"):
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


@pytest.fixture(scope="module")
def exchanges():
    return Calendars({name: sessions.table(name) for name in ("XNYS", "XHKG", "XTKS", "XLON")})


class TestWeekly:
    known = Calendars()

    @pytest.mark.parametrize(
        ("at", "is_open"),
        [
            ("2026-03-08T16:59", False),  # the Sunday on which New York's clocks change
            ("2026-03-08T17:00", True),
            ("2026-03-11T03:00", True),
            ("2026-03-13T16:59", True),
            ("2026-03-13T17:00", False),
            ("2026-03-14T12:00", False),
        ],
    )
    def test_the_fx_week_is_from_sunday_to_friday_17_00_in_new_york(self, at, is_open):
        assert self.known.is_open(FX_WEEK, us(at, "America/New_York")) is is_open

    def test_the_fx_week_follows_new_yorks_clock(self):
        assert self.known.next_open_us(FX_WEEK, us("2026-03-07T12:00")) == us("2026-03-08T21:00")  # EDT
        assert self.known.next_open_us(FX_WEEK, us("2026-11-07T12:00")) == us("2026-11-08T22:00")  # EST

    def test_a_previous_close_of_fx_on_monday_is_fridays(self):
        assert self.known.previous_close_us(FX_WEEK, us("2026-01-12T12:00")) == us("2026-01-09T22:00")

    @pytest.mark.parametrize(
        ("at", "is_open"),
        [
            ("2026-01-05T08:59", False),
            ("2026-01-05T09:00", True),
            ("2026-01-05T14:59", True),
            ("2026-01-05T15:00", False),
            ("2026-01-10T12:00", False),
        ],
    )
    def test_nairobi_trades_from_nine_to_three_on_weekdays(self, at, is_open):
        assert self.known.is_open(NAIROBI, us(at, "Africa/Nairobi")) is is_open

    def test_crypto_never_closes_and_its_day_is_that_of_utc(self):
        at = us("2026-12-25T13:00")
        assert self.known.is_open(ALWAYS, at)
        assert self.known.previous_close_us(ALWAYS, at) == us("2026-12-25T00:00")
        assert self.known.next_open_us(ALWAYS, at) == at


class TestExchanges:
    def test_a_day_in_new_york(self, exchanges):
        opened, closed = us("2026-07-01T13:30"), us("2026-07-01T20:00")
        assert exchanges.session_at("XNYS", us("2026-07-01T15:00")) == Session(opened, closed)
        assert not exchanges.is_open("XNYS", opened - 1)
        assert exchanges.is_open("XNYS", opened)
        assert not exchanges.is_open("XNYS", closed)
        assert exchanges.last_close_us("XNYS", us("2026-07-01T23:00")) == closed

    def test_in_winter_the_same_hours_are_an_hour_later_in_utc(self, exchanges):
        assert exchanges.is_open("XNYS", us("2026-01-07T14:30"))
        assert not exchanges.is_open("XNYS", us("2026-01-07T14:29"))

    def test_after_a_holiday_the_previous_close_is_that_of_the_session_before(self, exchanges):
        monday_after_independence_day = us("2026-07-06T15:00")
        # The 4th is a Saturday: the exchange rests on Friday the 3rd.
        assert exchanges.previous_close_us("XNYS", monday_after_independence_day) == us("2026-07-02T20:00")
        assert not exchanges.is_open("XNYS", us("2026-07-03T15:00"))

    def test_on_a_weekend_the_price_is_fridays_and_is_compared_with_thursdays(self, exchanges):
        assert exchanges.previous_close_us("XNYS", us("2026-01-10T12:00")) == us("2026-01-08T21:00")
        assert exchanges.last_close_us("XNYS", us("2026-01-10T12:00")) == us("2026-01-09T21:00")

    def test_a_half_day_closes_at_one(self, exchanges):
        assert exchanges.is_open("XNYS", us("2026-11-27T12:59", "America/New_York"))
        assert not exchanges.is_open("XNYS", us("2026-11-27T13:00", "America/New_York"))

    @pytest.mark.parametrize("name", ["XHKG", "XTKS"])
    def test_lunch_is_closed_but_within_the_session(self, exchanges, name):
        zone = {"XHKG": "Asia/Hong_Kong", "XTKS": "Asia/Tokyo"}[name]
        at_lunch, again = us("2026-06-03T12:10", zone), {"XHKG": "13:00", "XTKS": "12:30"}[name]
        assert not exchanges.is_open(name, at_lunch)
        assert exchanges.session_at(name, at_lunch) is not None
        assert exchanges.next_open_us(name, at_lunch) == us(f"2026-06-03T{again}", zone)

    def test_between_the_clock_changes_london_and_new_york_are_an_hour_closer(self, exchanges):
        gap = [
            exchanges.next_open_us("XNYS", us(day)) - exchanges.next_open_us("XLON", us(day))
            for day in ("2026-03-04T00:00", "2026-03-18T00:00", "2026-04-01T00:00")
        ]
        assert [round(between / 3_600_000_000, 1) for between in gap] == [6.5, 5.5, 6.5]

    def test_nothing_is_claimed_of_what_is_not_known(self, exchanges):
        at = us("2026-01-10T12:00")
        assert exchanges.is_open("XXXX", at)
        assert exchanges.session_at("XXXX", at) is None
        assert exchanges.previous_close_us("XXXX", at) is None
        assert exchanges.is_open("XNYS", us("2099-01-03T12:00"))  # beyond the table

    def test_a_table_survives_packing(self):
        given = [Session(1, 5), Session(10, 20, 12, 15)]
        assert unpack(pack(given)).before(30) == tuple(given)
        assert len(Table(given)) == 2


def test_the_oracle_agrees_on_every_new_york_session(exchanges):
    """Holidays and half days of an independent database, over each day of 2005–2026."""
    with gzip.open(recording("lean/meta/market-hours-database.json.gz")) as file:
        hours = json.load(file)["entries"]["Equity-usa-[*]"]
    holidays = {_date(text) for text in hours["holidays"]}
    early = {_date(day): dt.time.fromisoformat(time) for day, time in hours["earlyCloses"].items()}
    differences = []
    day = dt.date(2005, 1, 3)
    while day < dt.date(2026, 12, 31):
        found = exchanges.session_at("XNYS", us(f"{day}T12:00", "America/New_York"))
        expected = None
        if day.weekday() < 5 and day not in holidays:
            close = early.get(day, dt.time(16))
            expected = Session(us(f"{day}T09:30", "America/New_York"), us(f"{day}T{close}", "America/New_York"))
        if found != expected:
            differences.append((day, found, expected))
        day += dt.timedelta(days=1)
    assert not differences


def _date(text):
    return dt.datetime.strptime(text, "%m/%d/%Y").date()  # noqa: DTZ007 - a day has no zone


@pytest.mark.parametrize(
    ("kind", "exchange", "expected"),
    [
        ("crypto", "", ALWAYS),
        ("fx", "", FX_WEEK),
        ("equity", "NSE", NAIROBI),
        ("equity", "nasdaq", "XNYS"),
        ("equity", "XHKG", "XHKG"),
        ("equity", "", "XNYS"),
    ],
)
def test_calendars_are_found_by_kind_and_exchange(kind, exchange, expected):
    assert calendar_of(kind, exchange) == expected
