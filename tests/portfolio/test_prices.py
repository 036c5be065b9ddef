"""Closing prices by day: what was entered, what sources say, and what a day's change counts from."""

import datetime as dt
from decimal import Decimal

import pytest

from ingestion import calendar, store
from ingestion.models import AdjustmentFactor, Instrument, MarketCalendar, PostedPrice
from ingestion.providers import SOURCES
from ingestion.ticks import VenueBar
from portfolio import marks, prices
from portfolio.prices import Close

pytestmark = pytest.mark.django_db

JAN = [dt.date(2026, 1, day) for day in range(32)[1:]]


@pytest.fixture
def fund():
    return Instrument.objects.create(symbol="FUND", name="A fund", kind="equity", currency="USD", exchange="NYSE")


def posted(instrument, *rows):
    for day, close in rows:
        PostedPrice.objects.create(
            instrument=instrument, date=day, close=Decimal(close), posted_at=dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
        )


def told(instrument, source, *rows, interval="1d", final=True):
    hour = 15 if interval == "1m" else 0
    bars = [
        VenueBar(instrument.symbol, interval, _us(day) + hour * 3_600_000_000, 1, *[price] * 4, None, final=final)
        for day, price in rows
    ]
    store.write_venue_bars(SOURCES[source], bars, {instrument.symbol: instrument.pk})


def test_entered_closes_are_exact_and_the_last_one_before_comes_along(fund):
    posted(fund, (JAN[0], "1"), (JAN[4], "0.000000000000000001"), (JAN[5], "12345678901234567890.5"))
    found = prices.closes([fund.pk], JAN[5], JAN[9])[fund.pk]
    assert found == [
        Close(JAN[4], Decimal("1E-18"), "manual"),
        Close(JAN[5], Decimal("12345678901234567890.5"), "manual"),
    ]
    assert prices.last_closes([fund.pk], JAN[3]) == {fund.pk: Close(JAN[0], Decimal(1), "manual")}
    assert prices.last_closes([fund.pk], dt.date(2025, 12, 31)) == {}
    assert prices.closes([], JAN[0], JAN[9]) == {}
    assert prices.closes([fund.pk], dt.date.min, dt.date.max)[fund.pk][0].date == JAN[0]


def test_of_one_day_the_entered_one_counts_then_the_better_source(fund):
    told(fund, "simulated", (JAN[0], 1.0), (JAN[1], 1.0), (JAN[2], 1.0), (JAN[3], 1.0))
    told(fund, "alphavantage", (JAN[1], 2.0), (JAN[2], 2.5))
    posted(fund, (JAN[2], "3"))
    found = prices.closes([fund.pk], JAN[0], JAN[5])[fund.pk]
    assert [(str(close.price), close.source) for close in found] == [
        ("1", "simulated"), ("2", "alphavantage"), ("3", "manual"), ("1", "simulated"),
    ]  # fmt: skip


def test_minutes_make_a_day_too(btc):
    told(btc, "binance", (JAN[2], 90.5), (JAN[3], 91.5), interval="1m")
    told(btc, "simulated", (JAN[4], 1.0))
    found = prices.closes([btc.pk], JAN[3], JAN[9])[btc.pk]
    assert [(close.date, float(close.price), close.source) for close in found] == [
        (JAN[2], 90.5, "binance"), (JAN[3], 91.5, "binance"), (JAN[4], 1.0, "simulated"),
    ]  # fmt: skip


def test_a_day_that_is_not_over_has_no_close(btc):
    today = dt.datetime.now(dt.UTC).date()
    told(btc, "binance", (today, 7.0), final=False)
    assert prices.closes([btc.pk], today, today) == {}


def test_prices_of_a_source_that_adjusts_them_are_told_as_they_were_traded(fund):
    told(fund, "yahoo", (JAN[4], 25.0), (JAN[5], 26.0))
    AdjustmentFactor.objects.create(instrument=fund, ex_date=JAN[5], split_factor=4.0)
    found = prices.closes([fund.pk], JAN[4], JAN[5])[fund.pk]
    assert [close.price for close in found] == [100, 26]


@pytest.fixture
def new_york():
    """Thursday and Friday, and the Monday after; Friday is a half day."""
    days = [(JAN[7], 14.5, 21), (JAN[8], 14.5, 18), (JAN[11], 14.5, 21)]
    sessions = [calendar.Session(*(int(_us(day) + hour * 3.6e9) for hour in hours)) for day, *hours in days]
    MarketCalendar.objects.create(
        name="XNYS", sessions=calendar.pack(sessions), until=dt.datetime(2026, 2, 1, tzinfo=dt.UTC), made_by="test"
    )


def _us(day):
    return store.to_us(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC))


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize(
    ("day", "hour", "close"),
    [
        (JAN[8], 15, "7"), (JAN[9], 12, "7"), (JAN[11], 12, "7"), (JAN[11], 15, "8"),
    ],
)  # fmt: skip
def test_a_day_counts_from_the_session_before_the_newest(fund, btc, day, hour, close):
    posted(fund, (JAN[7], "7"), (JAN[8], "8"), (JAN[11], "9"))
    posted(btc, (JAN[7], "7"))
    found = prices.previous_closes([fund.pk, btc.pk], int(_us(day) + hour * 3.6e9))
    assert {i: str(known.price) for i, known in found.items()} == {fund.pk: close}


@pytest.mark.usefixtures("new_york")
def test_an_older_close_than_the_previous_sessions_is_none(fund):
    posted(fund, (JAN[5], "5"))
    assert prices.previous_closes([fund.pk], int(_us(JAN[11]) + 15 * 3.6e9)) == {}


@pytest.mark.usefixtures("new_york")
def test_a_close_is_of_the_end_of_its_session(fund, btc):
    assert prices.closed_at(fund.pk, JAN[8]) == dt.datetime(2026, 1, 9, 18, tzinfo=dt.UTC)
    assert prices.closed_at(fund.pk, JAN[9]) == dt.datetime(2026, 1, 10, 23, 59, 59, 999999, tzinfo=dt.UTC)
    assert prices.closed_at(btc.pk, JAN[8]) == dt.datetime(2026, 1, 9, 23, 59, 59, 999999, tzinfo=dt.UTC)


class TestMarks:
    """What is shown as the present price where no feed tells one."""

    NOW = dt.datetime(2026, 1, 12, 16, tzinfo=dt.UTC)

    def test_the_last_close_stands_in_and_is_stale(self, fund, new_york):
        posted(fund, (JAN[7], "7"), (JAN[8], "8"))
        mark = marks.marks([fund.pk], self.NOW)[fund.pk]
        assert (mark.price, mark.stale, mark.previous) == (8, True, 8)
        assert mark.time == dt.datetime(2026, 1, 9, 18, tzinfo=dt.UTC)

    def test_todays_counts_from_the_previous_sessions(self, fund, new_york):
        posted(fund, (JAN[8], "8"), (JAN[11], "9"), (JAN[12], "10"))
        mark = marks.marks([fund.pk], self.NOW)[fund.pk]
        assert (mark.price, mark.previous, mark.time) == (9, 8, self.NOW)

    def test_a_live_price_counts_before_and_a_stale_one_after_it(self, btc, say):
        today = dt.datetime.now(dt.UTC)
        posted(btc, (today.date() - dt.timedelta(days=1), "90"))
        say(btc, 100.0, age_s=86_400 * 3)
        assert marks.marks([btc.pk], today)[btc.pk].price == 90
        say(btc, 110.0)
        assert (marks.marks([btc.pk], today)[btc.pk].price, marks.marks([btc.pk], today)[btc.pk].stale) == (110, False)

    def test_what_has_neither_is_missing(self, fund):
        assert marks.marks([fund.pk], self.NOW) == {}
