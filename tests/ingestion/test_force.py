"""Forced price updates: who may, what merges, who is asked, and what is kept of it."""

import base64
import json
import threading
import time

import pytest
from rest_framework.test import APIClient

from ingestion import force, http, latest
from ingestion.models import Instrument, PriceUpdate, VenueSymbol
from tests.venues.polled import Anything, FinnhubQuotes
from worker.models import Job
from worker.redis import client

pytestmark = [pytest.mark.usefixtures("own_prefix"), pytest.mark.django_db]

PATH = "/api/realtime/force_price_update/"
KEY = "KEY"


class Binance(Anything):
    """Its 24-hour ticker of any symbol; two of them are unknown."""

    def answer(self, path, arguments, headers):
        if arguments["symbol"] == "NOPE":
            return 400, {"code": -1121, "msg": "Invalid symbol."}, {}
        ms = int(time.time() * 1000)
        body = {"symbol": arguments["symbol"], "lastPrice": "61686.01", "bidPrice": "61686.00", "closeTime": ms}
        return 200, body, {"X-MBX-USED-WEIGHT-1M": "4"}


@pytest.fixture(autouse=True)
def _settings(settings):
    settings.FEEDS = []
    settings.SOURCE_ORDER = ["binance", "finnhub"]
    settings.REST_RETRY_S = 0.0
    settings.FORCE_UPDATE_WAIT_S = 0.5
    yield
    http.close()


@pytest.fixture
def binance(settings):
    with Binance() as venue:
        settings.BINANCE_REST_URL = venue.url
        yield venue


@pytest.fixture
def finnhub(settings):
    settings.FINNHUB_API_KEY = KEY
    with FinnhubQuotes(KEY, {"AAPL": {"c": 190.0, "pc": 189.0, "t": int(time.time())}}) as venue:
        settings.FINNHUB_REST_URL = venue.url
        yield venue


@pytest.fixture
def btc(db):
    found = Instrument.objects.create(symbol="BTC-USDT", name="Bitcoin", kind="crypto", currency="USDT")
    VenueSymbol.objects.create(instrument=found, provider="binance", symbol="BTCUSDT")
    return found


@pytest.fixture
def apple(db):
    return Instrument.objects.create(symbol="AAPL", name="Apple", kind="equity", currency="USD", exchange="NASDAQ")


def post(user, body):
    api = APIClient()
    if user is not None:
        api.force_authenticate(user)
    return api.post(PATH, body, format="json")


class TestAsking:
    def test_staff_alone_may(self, admin, bob, btc):
        assert post(None, {"symbols": ["BTC-USDT"]}).status_code in (401, 403)
        assert post(bob, {"symbols": ["BTC-USDT"]}).status_code == 403
        assert post(admin, {"symbols": ["BTC-USDT"]}).status_code == 202

    @pytest.mark.parametrize("body", [{}, {"symbols": []}, {"symbols": "BTC-USDT"}, {"symbols": [""]}])
    def test_no_symbols_is_a_mistake(self, admin, body):
        assert post(admin, body).status_code == 400

    def test_unknown_symbols_are_named(self, admin, btc):
        answer = post(admin, {"symbols": ["BTCUSDT", "NOPE", "NADA"]})
        assert answer.status_code == 400
        assert answer.json()["unknown"] == ["NOPE", "NADA"]
        assert not Job.objects.exists()

    def test_it_answers_with_a_job_whose_progress_is_shown(self, admin, btc, binance):
        job_id = post(admin, {"symbols": ["BTC-USDT", "btcusdt"]}).json()["job_id"]
        api = APIClient()
        api.force_authenticate(admin)
        assert api.get(f"/api/jobs/{job_id}/").json()["total"] == 1
        force.run(job_id)
        told = api.get(f"/api/jobs/{job_id}/").json()
        assert (told["status"], told["done"], told["message"]) == ("done", 1, "1 updated")


class TestUpdating:
    def test_the_best_source_that_can_be_asked_is(self, admin, btc, apple, binance, finnhub):
        job = force.request([btc, apple], admin)
        force.run(job.pk)
        found = latest.get([btc.pk, apple.pk])
        assert (found[btc.pk].price, found[btc.pk].source) == (61686.01, "binance")
        assert (found[apple.pk].price, found[apple.pk].source) == (190.0, "finnhub")

    def test_it_is_kept_who_asked_when_for_what_and_what_came_of_it(self, admin, btc, binance):
        job = force.request([btc], admin)
        force.run(job.pk)
        row = PriceUpdate.objects.get()
        assert (row.asked_by, row.instrument, row.status, row.source) == (admin, btc, "updated", "binance")
        assert row.price == 61686.01
        assert row.asked_at <= row.finished_at

    def test_where_one_source_fails_the_next_is_asked(self, admin, apple, binance, finnhub):
        VenueSymbol.objects.create(instrument=apple, provider="binance", symbol="NOPE")
        force.run(force.request([apple], admin).pk)
        row = PriceUpdate.objects.get()
        assert (row.source, row.status) == ("finnhub", "updated")
        assert "Invalid symbol" in row.detail

    def test_what_nobody_can_be_asked_for_fails_and_says_so(self, admin, apple):
        job = force.request([apple], admin)
        force.run(job.pk)
        job.refresh_from_db()
        assert (job.status, job.message) == ("failed", "0 updated, 1 failed: AAPL")
        assert PriceUpdate.objects.get().detail == "no source can be asked for it"

    def test_budgets_hold(self, admin, btc, binance, settings):
        settings.BINANCE_WEIGHT_PER_MINUTE = 2
        force.run(force.request([btc], admin).pk)
        force.run(force.request([btc], admin).pk)
        assert len(binance.calls) == 1
        assert "budget is used up" in PriceUpdate.objects.first().detail

    def test_the_simulated_market_tells_its_price_now(self, admin, settings):
        settings.FEEDS = ["simulated"]
        sim = Instrument.objects.create(symbol="SIM-USD", name="Simulated", kind="crypto", currency="USD")
        force.run(force.request([sim], admin).pk)
        assert latest.get([sim.pk])[sim.pk].source == "simulated"

    def test_delivered_twice_it_is_done_once(self, admin, btc, binance):
        job = force.request([btc], admin)
        force.run(job.pk)
        force.run(job.pk)
        assert len(binance.calls) == 1

    def test_a_cancelled_job_stops(self, admin, btc, binance):
        job = force.request([btc], admin)
        job.cancel()
        force.run(job.pk)
        assert binance.calls == []


class TestMerging:
    def test_the_same_symbols_are_the_running_jobs(self, admin, bob, btc, apple, binance, finnhub):
        first = force.request([btc, apple], admin)
        assert force.request([apple], bob).pk == first.pk
        assert force.request([btc, apple], admin).pk == first.pk
        force.run(first.pk)
        assert len(binance.calls) == len(finnhub.calls) == 1
        assert {(row.asked_by, row.instrument) for row in PriceUpdate.objects.all()} == {
            (admin, btc),
            (admin, apple),
            (bob, apple),
        }

    def test_a_job_that_has_ended_takes_nobody_in(self, admin, btc, binance):
        first = force.request([btc], admin)
        force.run(first.pk)
        assert force.request([btc], admin).pk != first.pk

    def test_two_jobs_with_an_instrument_in_common_ask_for_it_once(self, admin, btc, apple, binance, finnhub):
        second = None
        first = force.request([btc], admin)
        second = force.request([btc, apple], admin)
        assert second.pk != first.pk
        force.run(first.pk)
        force.run(second.pk)
        assert len(binance.calls) == 1
        assert PriceUpdate.objects.get(job=second, instrument=btc).status == "updated"


@pytest.mark.django_db(transaction=True)
def test_two_that_ask_at_the_same_time_get_one_job(admin, btc):
    found = []

    def ask():
        from django.db import connection

        found.append(force.request([btc], admin).pk)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1


def test_who_asked_is_notified_by_name(admin, btc, binance, settings):
    job = force.request([btc], admin)
    force.run(job.pk)
    queue = settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"] + "notifications"
    raw = next(found for found in client().lrange(queue, 0, -1) if f"price-update:{job.pk}" in bodies(found))
    client().lrem(queue, 1, raw)
    users, telling = json.loads(bodies(raw))[0]
    assert (users, telling["notification_type"]) == ([admin.pk], "price_update")


def bodies(raw):
    """The task's arguments in a message of the broker's."""
    return base64.b64decode(json.loads(raw)["body"]).decode()
