"""The feeds over HTTP, and their switches."""

import asyncio
import datetime as dt

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from ingestion import control, status
from ingestion.models import Feed
from ingestion.schemas import FeedSchema
from ingestion.status import FeedStatus
from tests.ingestion.market import now_us

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]

FEEDS = "/api/feeds/"


@pytest.fixture(autouse=True)
def _feeds(settings):
    settings.FEEDS = ["simulated", "binance"]


def post(client, provider, **body):
    return client.post(f"{FEEDS}{provider}/", body, content_type="application/json")


def test_they_tell_how_they_are(client, bob):
    told = FeedStatus("binance", "binance:0", "live", at_us=now_us(), last_tick_us=now_us(), symbols=3, gaps_open=1)
    asyncio.run(status.tell(told))
    client.force_login(bob)
    simulated, binance = client.get(FEEDS).json()["results"]
    assert (simulated["state"], simulated["wanted"], simulated["last_tick_age_s"]) == ("stopped", "running", None)
    assert (binance["state"], binance["symbols"], binance["gaps_open"], binance["delay_s"]) == ("live", 3, 1, 0)
    assert "consent" in binance["terms"]
    assert client.get(f"{FEEDS}simulated/").json() == simulated
    assert set(simulated) == set(FeedSchema().fields)


def test_the_words_of_its_errors_are_for_staff(client, bob, admin):
    asyncio.run(status.tell(FeedStatus("binance", "binance:0", "live", at_us=now_us(), last_error="oh")))
    for user, told in ((bob, ""), (admin, "oh")):
        client.force_login(user)
        assert client.get(f"{FEEDS}binance/").json()["last_error"] == told


def test_staff_stop_pause_and_start_a_feed(client, admin):
    client.force_login(admin)
    stopped = post(client, "binance", action="stop", reason="maintenance").json()
    assert (stopped["wanted"], stopped["reason"], stopped["changed_by"]) == ("stopped", "maintenance", "admin")
    assert control.running() == ["simulated"]
    until = timezone.now() + dt.timedelta(hours=1)
    paused = post(client, "simulated", action="pause", until=until.isoformat()).json()
    assert paused["wanted"] == "paused"
    assert dt.datetime.fromisoformat(paused["paused_until"]) == until
    assert control.running() == []
    for provider in ("binance", "simulated"):
        assert post(client, provider, action="resume").json()["wanted"] == "running"
    assert [entry.user for entry in LogEntry.objects.all()] == [admin] * 4


def test_a_feed_that_the_settings_lack_may_be_started(client, admin):
    client.force_login(admin)
    assert client.get(f"{FEEDS}kraken/").status_code == 404
    assert post(client, "kraken", action="start").json()["wanted"] == "running"
    assert [row["provider"] for row in client.get(FEEDS).json()["results"]] == ["simulated", "binance", "kraken"]


def test_only_staff_may_change_and_only_the_signed_in_may_read(client, bob):
    assert client.get(FEEDS).status_code == 403
    assert post(client, "binance", action="stop").status_code == 403
    client.force_login(bob)
    assert client.get(FEEDS).status_code == 200
    assert post(client, "binance", action="stop").status_code == 403
    assert not Feed.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"), ({"action": "restart"}, "action"), ({"action": "pause"}, "until"),
        ({"action": "pause", "until": "2020-01-01T00:00:00Z"}, "until"), ({"action": "pause", "until": "x"}, "until"),
        ({"action": "stop", "why": "x"}, "why"), ({"action": "stop", "reason": "x" * 257}, "reason"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_names_the_field(client, admin, body, field):
    client.force_login(admin)
    answer = post(client, "binance", **body)
    assert (answer.status_code, list(answer.json())) == (400, [field])
    assert not Feed.objects.exists()


def test_an_unknown_provider_is_404(client, admin):
    client.force_login(admin)
    assert post(client, "nosuch", action="stop").status_code == 404
