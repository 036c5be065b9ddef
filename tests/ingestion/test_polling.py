"""Pollers ask for what is wanted, while it can change, within their budgets; and what they are told is no trade."""

import datetime as dt
import time

import pytest

from ingestion import asking, budget, calendar, demand, http, latest, polling, sessions, store
from ingestion.calendar import Session
from ingestion.models import Instrument, MarketCalendar, Quarantined, VenueSymbol
from tests.venues.polled import AlphaVantage, FinnhubQuotes, Yahoo, quote
from worker import lease
from worker.redis import client, key

pytestmark = [pytest.mark.usefixtures("own_prefix", "_venues_of_our_own"), pytest.mark.django_db]

KEY = "KEY"
HOUR_US = 3_600_000_000


def now_us():
    return time.time_ns() // 1000


@pytest.fixture
def _venues_of_our_own(settings):
    settings.FEEDS = []
    settings.SOURCE_ORDER = ["binance", "finnhub", "yahoo", "alphavantage", "simulated"]
    settings.ALPHAVANTAGE_REQUEST_SPACING_S = 0.0
    settings.YAHOO_REQUEST_SPACING_S = 0.0
    settings.REST_RETRY_S = 0.0
    settings.YAHOO_ENABLED = True
    yield
    http.close()


def sessions_of_new_york(*given):
    """New York trades [open, close), in hours from now."""
    hours = [(-10_000, -9_999), *given, (900, 901)]
    table = [Session(now_us() + int(a * HOUR_US), now_us() + int(b * HOUR_US)) for a, b in hours]
    MarketCalendar.objects.update_or_create(
        name="XNYS",
        defaults={
            "sessions": calendar.pack(
                [Session(1, 2), *table, Session(now_us() + 900 * HOUR_US, now_us() + 901 * HOUR_US)]
            ),
            "until": dt.datetime.now(dt.UTC) + dt.timedelta(days=30),
            "made_by": "the test",
        },
    )
    sessions.forget()


@pytest.fixture
def _open(db):
    sessions_of_new_york((-26, -20), (-2, 4))


@pytest.fixture
def _closed(db):
    sessions_of_new_york((-26, -20), (-8, -2))


@pytest.fixture
def stocks(db):
    """Ten US stocks that somebody wants."""
    found = [
        Instrument.objects.create(symbol=f"S{i}", name=f"S{i}", kind="equity", currency="USD", exchange="NYSE")
        for i in range(10)
    ]
    demand.want("alice", [row.pk for row in found], 60)
    return found


@pytest.fixture
def finnhub(settings):
    settings.FINNHUB_API_KEY = KEY
    second = int(time.time()) - 5
    quotes = {f"S{i}": {"c": 10.0 + i, "h": 20.0, "l": 5.0, "o": 9.0, "pc": 10.0, "t": second} for i in range(10)}
    with FinnhubQuotes(KEY, quotes) as venue:
        settings.FINNHUB_REST_URL = venue.url
        yield venue
    assert venue.violations == []


@pytest.fixture
def alpha_vantage(settings):
    settings.ALPHAVANTAGE_API_KEY = KEY
    settings.ALPHAVANTAGE_REQUESTS_PER_MINUTE = 4
    yesterday = dt.datetime.now(dt.UTC).date().isoformat()
    with AlphaVantage(KEY, {f"S{i}": quote(f"{10 + i}.5", yesterday, previous="10.0") for i in range(10)}) as venue:
        settings.ALPHAVANTAGE_URL = venue.url
        yield venue
    assert venue.violations == []


def price_of(instrument):
    return latest.get([instrument.pk]).get(instrument.pk)


def asked(venue):
    return [arguments.get("symbol") for _, arguments, _ in venue.calls]


@pytest.mark.usefixtures("_open")
class TestAnOpenMarket:
    def test_what_is_wanted_is_asked_for_and_nothing_else(self, stocks, finnhub):
        Instrument.objects.create(symbol="OTHER", name="Other", kind="equity", currency="USD", exchange="NYSE")
        done = polling.poll("finnhub")
        assert (done.due, done.asked, done.moved, done.failed) == (10, 10, 10, [])
        assert sorted(asked(finnhub)) == [f"S{i}" for i in range(10)]

    def test_a_price_says_where_it_comes_from(self, stocks, finnhub):
        polling.poll("finnhub")
        found = price_of(stocks[3])
        assert (found.price, found.source, found.quality, found.change) == (13.0, "finnhub", "live", 3.0)
        assert found.time_us == finnhub.quotes["S3"]["t"] * 1_000_000
        assert found.received_us > found.time_us

    def test_it_invents_no_trade_and_no_volume(self, stocks, finnhub):
        _, cursor, _ = latest.changes(None)
        polling.poll("finnhub")
        moved, _, _ = latest.changes(cursor)
        assert {(change.count, change.volume) for change in moved} == {(0, 0.0)}
        bars = store.candles(stocks[0].pk, "1m")
        assert [(bar.close, bar.volume, bar.made_by) for bar in bars] == [(10.0, None, "ticker")]

    def test_not_again_before_the_interval_is_over(self, stocks, finnhub):
        polling.poll("finnhub")
        assert polling.poll("finnhub").due == 0

    def test_the_longest_unasked_come_first(self, stocks, finnhub):
        polling.poll("finnhub", batch=4)
        polling.poll("finnhub", batch=4)
        assert asked(finnhub) == [f"S{i}" for i in range(8)]

    def test_what_a_better_feed_tells_is_not_asked_for(self, stocks, finnhub):
        told = latest.Latest("binance", 1.0, time_us=now_us())
        client().hset(key("latest", "binance"), str(stocks[0].pk), latest.encode(told))
        assert polling.poll("finnhub").due == 9

    def test_an_unknown_symbol_is_left_alone_for_a_while(self, stocks, finnhub):
        del finnhub.quotes["S0"]
        done = polling.poll("finnhub")
        assert (done.asked, len(done.failed)) == (9, 1)
        assert price_of(stocks[0]) is None
        assert polling.due("finnhub", [stocks[0].pk], now_us() + 60_000_000, 30) == []

    def test_the_budget_ends_a_round_and_the_next_goes_on(self, stocks, finnhub, settings):
        settings.FINNHUB_REQUESTS_PER_MINUTE = 4
        done = polling.poll("finnhub", interval_s=0.5)
        assert (done.asked, "used up" in done.stopped) == (4, True)

    def test_two_rounds_at_once_are_one(self, stocks, finnhub):
        held = lease.acquire("poll:finnhub", 10)
        assert polling.poll("finnhub").stopped == "another round runs"
        held.release()
        assert finnhub.calls == []

    def test_without_a_key_nothing_is_asked(self, stocks, finnhub, settings):
        settings.FINNHUB_API_KEY = ""
        assert polling.poll("finnhub").stopped == "not configured"

    def test_what_tells_of_closes_alone_is_asked_once_a_session(self, stocks, alpha_vantage):
        done = polling.poll("alphavantage", interval_s=5)
        assert done.asked == 4  # a minute's budget
        rest = polling.due("alphavantage", [row.pk for row in stocks], now_us() + HOUR_US, 30)
        assert [name.symbol for name in rest] == ["S4", "S5", "S6", "S7", "S8", "S9"]


@pytest.mark.usefixtures("_closed")
class TestAClosedMarket:
    def test_it_is_asked_once_after_the_close_and_then_rests(self, stocks, finnhub):
        assert polling.poll("finnhub").asked == 10
        later = now_us() + HOUR_US
        assert polling.due("finnhub", [row.pk for row in stocks], later, 30) == []

    def test_its_price_is_the_closed_sessions(self, stocks, finnhub):
        for told in finnhub.quotes.values():
            told["t"] = int(time.time()) - 3 * 3600  # within the session that closed two hours ago
        polling.poll("finnhub")
        assert price_of(stocks[0]).quality == "closed"


@pytest.mark.usefixtures("_closed")
class TestADateInPlaceOfATime:
    def test_its_time_is_the_close_of_that_day(self, stocks, alpha_vantage):
        day = dt.datetime(2026, 3, 4, tzinfo=dt.UTC)
        close_us = int((day + dt.timedelta(hours=21)).timestamp()) * 1_000_000
        row = MarketCalendar.objects.get(name="XNYS")
        row.sessions = calendar.pack([Session(close_us - 6 * HOUR_US, close_us), Session(now_us() + HOUR_US, 2**62)])
        row.save()
        sessions.forget()
        alpha_vantage.quotes["S0"] = quote("12.0", "2026-03-04", previous="11.0")
        found = asking.ask("alphavantage", asking.Name("S0", stocks[0]), 1)
        assert (found.time_us, found.delay_s) == (close_us, 86_400)

    def test_the_same_day_price_and_volume_again_is_no_news(self, stocks, alpha_vantage):
        alpha_vantage.quotes["S0"] = quote("12.0", "2026-03-04", previous="11.0")
        name = asking.Name("S0", stocks[0])
        assert asking.tell("alphavantage", {stocks[0].pk: asking.ask("alphavantage", name, 1)}) == 1
        assert asking.tell("alphavantage", {stocks[0].pk: asking.ask("alphavantage", name, 1)}) == 0


@pytest.mark.usefixtures("_open")
class TestYahoo:
    @pytest.fixture
    def yahoo(self, settings):
        with Yahoo({}) as venue:
            venue.PER_S = 1000.0
            settings.YAHOO_URL = venue.url
            yield venue

    def chart(self, price, currency="USD", previous=100.0):
        meta = {
            "currency": currency, "regularMarketPrice": price, "regularMarketTime": int(time.time()) - 60,
            "previousClose": previous, "exchangeTimezoneName": "America/New_York",
        }  # fmt: skip
        return {"chart": {"result": [{"meta": meta, "timestamp": [], "indicators": {"quote": [{}]}}], "error": None}}

    def test_pence_become_pounds(self, yahoo):
        vodafone = Instrument.objects.create(
            symbol="VOD", name="Vodafone", kind="equity", currency="GBP", calendar="24/7"
        )
        VenueSymbol.objects.create(instrument=vodafone, provider="yahoo", symbol="VOD.L", minor_units=100)
        yahoo.charts["VOD.L"] = self.chart(7250.0, "GBp", 7200.0)
        demand.want("alice", [vodafone.pk], 60)
        polling.poll("yahoo")
        found = price_of(vodafone)
        assert (found.price, found.change, found.quality) == (72.5, 0.5, "delayed")

    def test_another_currency_than_the_instruments_is_no_price(self, yahoo, stocks):
        yahoo.charts["S0"] = self.chart(90.0, "EUR")
        done = polling.poll("yahoo")
        assert any("quoted in EUR" in failure for failure in done.failed)
        assert price_of(stocks[0]) is None

    def test_a_price_a_hundred_times_too_high_is_suspect_and_kept_for_a_person(self, yahoo, stocks):
        yahoo.charts["S0"] = self.chart(9_050.0, previous=90.0)
        _, cursor, _ = latest.changes(None)
        polling.poll("yahoo")
        assert price_of(stocks[0]).quality == "suspect"
        assert latest.changes(cursor)[0] == []  # no alert fires on it
        assert store.candles(stocks[0].pk, "1m") == []
        assert Quarantined.objects.get().reason == "bad_print"

    def test_too_many_requests_end_the_round(self, yahoo, stocks):
        yahoo.say_next(429, "Too Many Requests\r\n", {"Content-Type": "text/html"})
        done = polling.poll("yahoo", interval_s=1)
        assert "again from" in done.stopped
        assert len(yahoo.calls) == 1
        assert budget.banned_until("yahoo") is not None

    def test_it_is_off_unless_switched_on(self, yahoo, stocks, settings):
        settings.YAHOO_ENABLED = False
        assert polling.poll("yahoo").stopped == "not configured"
