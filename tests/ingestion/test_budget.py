"""One account per venue, whoever asks: threads, processes, after a restart, after the loss of Redis."""

import datetime as dt
import multiprocessing
import threading
import time

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion import budget
from ingestion.budget import OverBudget
from ingestion.models import DailyBudget
from ingestion.rest import daily
from ingestion.rest.daily import Daily
from worker.redis import client, key

pytestmark = pytest.mark.usefixtures("own_prefix")


def _take_all(counts):
    taken = 0
    try:
        while True:
            budget.take("binance")
            taken += 1
    except OverBudget:
        counts.put(taken)


def at(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


class TestAMinute:
    def test_what_does_not_fit_any_more_is_refused_with_the_time_when_it_will(self, settings):
        settings.BINANCE_WEIGHT_PER_MINUTE = 100
        budget.take("binance", 60)
        budget.take("binance", 40)
        with pytest.raises(OverBudget) as caught:
            budget.take("binance", 1)
        assert 59 < caught.value.retry_at_s - time.time() <= 60.1
        assert budget.spent("binance") == 100

    def test_a_call_waits_for_as_much_as_it_needs_and_no_longer(self, settings):
        settings.COINBASE_REQUESTS_PER_S = 3
        began = time.monotonic()
        for _ in range(7):
            budget.take("coinbase", deadline_s=5)
        assert 2.0 <= time.monotonic() - began < 2.6

    def test_a_call_heavier_than_the_whole_limit_still_goes_alone(self, settings):
        settings.BINANCE_WEIGHT_PER_MINUTE = 100
        budget.take("binance", 250)
        with pytest.raises(OverBudget):
            budget.take("binance", 1)

    def test_what_others_spend_counts(self, settings):
        settings.BINANCE_WEIGHT_PER_MINUTE = 100
        budget.take("binance", 10)
        budget.told("binance", {"x-mbx-used-weight-1m": "95"})
        budget.take("binance", 5)
        with pytest.raises(OverBudget):
            budget.take("binance", 1)

    def test_what_we_spent_ourselves_is_not_counted_twice(self, settings):
        settings.BINANCE_WEIGHT_PER_MINUTE = 100
        budget.take("binance", 40)
        budget.told("binance", {"x-mbx-used-weight-1m": "40"})
        budget.told("binance", {"x-mbx-used-weight-1m": "20"})  # a new minute began at the venue
        assert budget.spent("binance") == 40

    def test_work_in_the_background_leaves_some_for_the_hurried(self, settings):
        settings.BINANCE_WEIGHT_PER_MINUTE = 100
        budget.take("binance", 80, background=True)
        with pytest.raises(OverBudget):
            budget.take("binance", 1, background=True)
        budget.take("binance", 20)

    def test_calls_keep_their_distance(self, settings):
        settings.KRAKEN_REQUEST_SPACING_S = 0.2
        began = time.monotonic()
        for _ in range(3):
            budget.take("kraken", deadline_s=5)
        assert 0.4 <= time.monotonic() - began < 0.8

    def test_many_threads_share_one_account(self, settings):
        settings.BINANCE_WEIGHT_PER_MINUTE = 50
        taken = []

        def ask():
            for _ in range(20):
                try:
                    budget.take("binance", 1)
                except OverBudget:
                    return
                taken.append(1)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == 50

    def test_many_processes_share_one_account(self, settings):
        settings.BINANCE_WEIGHT_PER_MINUTE = 300
        fork = multiprocessing.get_context("fork")
        counts = fork.Queue()
        running = [fork.Process(target=_take_all, args=(counts,)) for _ in range(3)]
        for process in running:
            process.start()
        assert sum(counts.get(timeout=30) for _ in running) == 300
        for process in running:
            process.join()

    def test_a_ban_holds_for_all_and_is_never_shortened(self):
        budget.ban("kraken", 60)
        budget.ban("kraken", 5)
        with pytest.raises(OverBudget, match="pause"):
            budget.take("kraken", deadline_s=1)
        assert 55 < budget.banned_until("kraken") - time.time() <= 60
        assert budget.banned_until("binance") is None

    def test_without_redis_nothing_is_asked(self, settings):
        redis_url = settings.REDIS_URL
        settings.REDIS_URL = "redis://127.0.0.1:9/0"
        with pytest.raises(OverBudget, match="cannot be reached"):
            budget.take("binance")
        settings.REDIS_URL = redis_url

    def test_an_account_is_that_of_a_key_and_does_not_show_it(self, settings):
        settings.FINNHUB_API_KEY = "SECRET"
        first = budget.account_of("finnhub")
        settings.FINNHUB_API_KEY = "OTHER"
        assert budget.account_of("finnhub") != first
        assert "SECRET" not in first
        assert budget.account_of("binance") == "binance"


@pytest.mark.django_db
class TestADay:
    @pytest.fixture(autouse=True)
    def _paced(self, settings):
        settings.ALPHAVANTAGE_REQUEST_SPACING_S = 0.0
        settings.ALPHAVANTAGE_REQUESTS_PER_MINUTE = 1000
        settings.ALPHAVANTAGE_API_KEY = "KEY"

    def spend(self, calls):
        for _ in range(calls):
            budget.take("alphavantage")

    def test_the_days_quota_ends(self):
        self.spend(25)
        with pytest.raises(OverBudget, match="day"):
            self.spend(1)

    def test_it_is_remembered_over_a_restart_and_the_loss_of_redis(self):
        self.spend(20)
        for found in client().scan_iter(key("*")):
            client().delete(found)
        self.spend(5)
        with pytest.raises(OverBudget, match="day"):
            self.spend(1)

    def test_another_key_has_a_day_of_its_own(self, settings):
        self.spend(25)
        settings.ALPHAVANTAGE_API_KEY = "ANOTHER"
        self.spend(1)
        assert DailyBudget.objects.count() == 2

    def test_what_the_venue_says_counts_more_than_what_we_counted(self):
        self.spend(3)
        until = budget.day_is_used("alphavantage")
        with pytest.raises(OverBudget) as caught:
            self.spend(1)
        assert caught.value.retry_at_s == until == budget.banned_until("alphavantage")


@pytest.mark.django_db(transaction=True)
def test_threads_share_the_day(settings):
    settings.ALPHAVANTAGE_REQUEST_SPACING_S = 0.0
    settings.ALPHAVANTAGE_REQUESTS_PER_MINUTE = 1000
    taken = []

    def ask():
        from django.db import connection

        try:
            for _ in range(10):
                budget.take("alphavantage")
                taken.append(1)
        except OverBudget:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 25


class TestWhichMidnight:
    """25 a day; the venue's day may begin at midnight in Greenwich or in New York (05:00 UTC in winter)."""

    evening = at("2026-01-05T22:00")

    def full(self):
        return daily.take(Daily(), 25, 25, self.evening)[0]

    def test_until_the_first_midnight_nothing_goes(self):
        assert daily.take(self.full(), 1, 25, at("2026-01-05T23:59"))[1] == at("2026-01-06T00:00")

    def test_after_it_one_call_tries(self):
        tried, refused = daily.take(self.full(), 1, 25, at("2026-01-06T00:01"))
        assert refused is None
        assert daily.take(tried, 1, 25, at("2026-01-06T00:02"))[1] == at("2026-01-06T05:00")

    def test_is_it_answered_the_venues_day_is_that_of_utc(self):
        tried, _ = daily.take(self.full(), 1, 25, at("2026-01-06T00:01"))
        begun = daily.answered(tried, 25, at("2026-01-06T00:01"))
        assert begun.used == 1
        assert daily.take(begun, 24, 25, at("2026-01-06T01:00"))[1] is None

    def test_is_it_refused_new_yorks_midnight_is_waited_for(self):
        tried, _ = daily.take(self.full(), 1, 25, at("2026-01-06T00:01"))
        told = daily.refused(tried, at("2026-01-06T00:01"))
        assert daily.take(told, 1, 25, at("2026-01-06T04:59"))[1] == at("2026-01-06T05:00")
        begun, refused = daily.take(told, 1, 25, at("2026-01-06T05:01"))
        assert refused is None
        assert daily.answered(begun, 25, at("2026-01-06T05:01")).blocked_until is None

    def test_in_summer_new_yorks_midnight_is_an_hour_earlier(self):
        told = daily.refused(Daily(), at("2026-07-06T00:01"))
        assert told.blocked_until == at("2026-07-06T04:00")

    @hypothesis.settings(deadline=None)  # a busy machine is no bug
    @given(st.sampled_from([dt.UTC, daily.EASTERN]), st.lists(st.integers(0, 240), max_size=150))
    def test_whichever_it_is_at_most_one_call_a_day_goes_beyond(self, zone, minutes_between):
        """A venue that counts honestly by either midnight refuses no more than the one call that tries."""
        state, now = Daily(), at("2026-03-05T09:00")
        counted, refusals = {}, {}
        for minutes in minutes_between:
            now += dt.timedelta(minutes=minutes)
            state, until = daily.take(state, 1, 25, now)
            if until is not None:
                assert until > now
                continue
            day = now.astimezone(zone).date()
            counted[day] = counted.get(day, 0) + 1
            if counted[day] > 25:
                refusals[day] = refusals.get(day, 0) + 1
                state = daily.refused(state, now)
            else:
                state = daily.answered(state, 25, now)
        assert all(count <= 1 for count in refusals.values())
