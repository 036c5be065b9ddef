"""The schedule reaches the table, and what an admin changed there stays."""

import io
import json

import pytest
from celery import current_app
from django.core.management import call_command
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from beat.models import Synced
from beat.schedule import At, Entry, entries, every
from beat.sync import sync

pytestmark = pytest.mark.django_db

HOURLY = Entry("tidy", "worker.tidy", expire_s=3000, at=At(minute="23"))


def row(name):
    return PeriodicTask.objects.get(name=name)


def test_missing_rows_are_created():
    assert sync([every(2.0, "worker.ensure_residents"), HOURLY]) == {
        "worker.ensure_residents": "created",
        "tidy": "created",
    }
    ensure, tidy = row("worker.ensure_residents"), row("tidy")
    assert (ensure.interval.every, ensure.interval.period, ensure.expire_seconds) == (2, "seconds", 2)
    assert (tidy.crontab.minute, tidy.crontab.hour, str(tidy.crontab.timezone)) == ("23", "*", "UTC")
    assert (tidy.task, tidy.expire_seconds, tidy.enabled) == ("worker.tidy", 3000, True)


def test_a_second_time_changes_nothing():
    sync([every(2.0, "worker.ensure_residents"), HOURLY])
    before = row("tidy").date_changed
    assert sync([every(2.0, "worker.ensure_residents"), HOURLY]) == {}
    assert row("tidy").date_changed == before


def test_a_changed_entry_changes_its_untouched_row():
    sync([every(5.0, "signals.run_strategies", "1m")])
    assert sync([every(0.5, "signals.run_strategies", "5m", queue="signals")]) == {"signals.run_strategies": "updated"}
    changed = row("signals.run_strategies")
    assert (changed.interval.every, changed.interval.period) == (500_000, "microseconds")
    assert (json.loads(changed.args), changed.queue, changed.expire_seconds) == (["5m"], "signals", 1)


@pytest.mark.parametrize("edit", [{"enabled": False}, {"args": '["15m"]'}, {"expire_seconds": 60}])
def test_an_admins_edit_is_kept(edit):
    sync([every(5.0, "signals.run_strategies", "1m")])
    PeriodicTask.objects.update(**edit)
    assert sync([every(10.0, "signals.run_strategies", "1m")]) == {"signals.run_strategies": "kept"}
    kept = PeriodicTask.objects.filter(name="signals.run_strategies", interval__every=5, **edit)
    assert kept.exists()


def test_what_beat_notes_is_no_edit():
    sync([HOURLY])
    PeriodicTask.objects.update(total_run_count=7, last_run_at="2026-11-21T00:00:00Z")
    assert sync([HOURLY]) == {}
    sync([Entry("tidy", "worker.tidy", expire_s=60, at=At(minute="5"))])
    assert (row("tidy").crontab.minute, row("tidy").total_run_count) == ("5", 7)


def test_a_row_of_somebody_elses_is_left_alone():
    sync([HOURLY])
    Synced.objects.all().delete()
    assert sync([every(5.0, "worker.tidy", name="tidy")]) == {"tidy": "kept"}
    assert row("tidy").crontab is not None


def test_an_entry_that_left_is_disabled_once_and_comes_back():
    sync([HOURLY])
    assert sync([]) == {"tidy": "disabled"}
    assert not row("tidy").enabled
    PeriodicTask.objects.update(enabled=True)
    assert sync([]) == {}
    assert row("tidy").enabled
    PeriodicTask.objects.update(enabled=False)
    assert sync([HOURLY]) == {"tidy": "updated"}
    assert row("tidy").enabled


def test_beat_is_told_to_read_again():
    sync([HOURLY])
    before = PeriodicTasks.last_change()
    sync([HOURLY])
    assert PeriodicTasks.last_change() > before


def test_the_command_says_what_it_did():
    said = io.StringIO()
    call_command("sync_schedule", stdout=said)
    assert "created: worker.ensure_residents" in said.getvalue()
    assert set(PeriodicTask.objects.values_list("name", flat=True)) == {entry.name for entry in entries()}


def test_every_entry_expires_and_names_a_task_that_workers_know():
    current_app.loader.import_default_modules()
    for entry in entries():
        assert entry.task in current_app.tasks, entry.task
        assert entry.expire_s >= 1
    assert current_app.conf.beat_schedule == {}
    assert str(current_app.timezone) == "UTC"
