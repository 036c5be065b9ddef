"""Which feeds should run, and who said so."""

import datetime as dt

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from ingestion import control, residents
from ingestion.models import Feed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _feeds(settings):
    settings.FEEDS = ["simulated", "binance"]


def test_what_feeds_names_runs():
    assert control.running() == ["simulated", "binance"]
    assert list(residents.listeners()) == list(residents.writers()) == ["simulated:0", "binance:0"]


def test_a_stopped_feed_keeps_its_writer(admin):
    control.change("binance", control.STOP, admin, "maintenance")
    assert control.running() == ["simulated"]
    assert list(residents.writers()) == ["simulated:0", "binance:0"]
    control.change("binance", control.START, admin)
    assert control.running() == ["simulated", "binance"]


def test_a_pause_ends_by_itself(admin):
    until = timezone.now() + dt.timedelta(minutes=5)
    control.change("binance", control.PAUSE, admin, until=until)
    assert control.running() == ["simulated"]
    assert control.configured() == ["simulated", "binance"]
    with time_machine.travel(until + dt.timedelta(seconds=1)):
        assert control.running() == ["simulated", "binance"]
    control.change("binance", control.RESUME, admin)
    assert control.running() == ["simulated", "binance"]


def test_a_feed_beyond_the_settings_may_be_started_and_stopped(admin, settings):
    settings.FEEDS = ["simulated"]
    control.change("binance", control.START, admin)
    assert control.running() == control.configured() == ["simulated", "binance"]
    control.change("binance", control.STOP, admin)
    assert (control.running(), control.configured()) == (["simulated"], ["simulated"])
    assert control.stored() == ["simulated", "binance"]


def test_who_did_it_and_why_is_noted(admin):
    control.change("binance", control.STOP, admin, "maintenance")
    feed = Feed.objects.get()
    assert (feed.changed_by, feed.reason) == (admin, "maintenance")
    noted = LogEntry.objects.get()
    assert (noted.user, noted.object_id, noted.change_message) == (admin, str(feed.pk), "stop: maintenance")


@pytest.mark.parametrize(
    ("provider", "action", "until", "field"),
    [
        ("nosuch", "stop", None, "provider"),
        ("binance", "restart", None, "action"),
        ("binance", "pause", None, "until"),
        ("binance", "pause", dt.datetime(2020, 1, 1, tzinfo=dt.UTC), "until"),
    ],
)
def test_what_makes_no_sense_is_refused(admin, provider, action, until, field):
    with pytest.raises(control.Refused) as refused:
        control.change(provider, action, admin, until=until)
    assert refused.value.field == field
    assert not Feed.objects.exists()


def test_what_does_not_run_cannot_be_paused(admin, settings):
    settings.FEEDS = ["simulated"]
    with pytest.raises(control.Refused):
        control.change("binance", control.PAUSE, admin, until=timezone.now() + dt.timedelta(hours=1))


def test_a_pause_may_be_made_longer_and_a_stopped_feed_not_paused(admin):
    now = timezone.now()
    for hours in (1, 2):
        feed = control.change("binance", control.PAUSE, admin, until=now + dt.timedelta(hours=hours))
        assert feed.paused_until == now + dt.timedelta(hours=hours)
    control.change("binance", control.STOP, admin)
    with pytest.raises(control.Refused):
        control.change("binance", control.PAUSE, admin, until=now + dt.timedelta(hours=1))


def test_a_feed_that_left_the_settings_ends_although_it_was_paused_and_resumed(admin, settings):
    control.change("binance", control.PAUSE, admin, until=timezone.now() + dt.timedelta(hours=1))
    control.change("binance", control.RESUME, admin)
    settings.FEEDS = ["simulated"]
    assert control.running() == control.stored() == ["simulated"]


def test_rows_for_the_admin_change_nothing():
    control.rows()
    control.rows()
    assert [feed.provider for feed in Feed.objects.all()] == ["binance", "simulated"]
    assert control.running() == ["simulated", "binance"]
