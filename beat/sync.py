"""Bringing schedule.py into django-celery-beat's table without undoing what an admin changed there.

`CELERY_BEAT_SCHEDULE` would do that at each start of beat, and would drop the expiry.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from beat.models import Synced
from beat.schedule import At, Entry

# Any number, as long as nobody else locks it: two containers that start together take turns.
_LOCK = 7_240_117
UTC = ZoneInfo("UTC")


def sync(entries: Sequence[Entry]) -> dict[str, str]:
    """Create missing rows, update those that nobody edited since, disable those that left the schedule.

    Returns what was done to each entry that changed: created, updated, kept (an admin's edit), disabled.
    """
    names = [entry.name for entry in entries]
    assert len(names) == len(set(names)), "two entries of one name"
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        done = {entry.name: _sync_entry(entry) for entry in entries} | _disable_all_but(names)
        PeriodicTasks.update_changed()
    return {name: what for name, what in done.items() if what}


def digest(row: PeriodicTask) -> str:
    """Of what an entry decides about its row, and whether it is enabled."""
    facts = [row.task, row.args, row.kwargs, row.queue, row.expire_seconds, row.enabled, str(row.schedule)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _sync_entry(entry: Entry) -> str:
    row = PeriodicTask.objects.filter(name=entry.name).first()
    if row is None:
        _save(_filled(PeriodicTask(name=entry.name), entry))
        return "created"
    synced = Synced.objects.filter(name=entry.name).first()
    if synced is None or digest(row) != synced.digest:
        return "kept"
    if digest(_filled(row, entry)) == synced.digest:
        return ""
    _save(row)
    return "updated"


def _filled(row: PeriodicTask, entry: Entry) -> PeriodicTask:
    row.task = entry.task
    row.args = json.dumps(entry.args)
    row.kwargs = "{}"
    row.queue = entry.queue
    row.expire_seconds = entry.expire_s
    row.enabled = True
    row.interval = _interval(entry.every_s) if entry.every_s is not None else None
    row.crontab = _crontab(entry.at) if entry.at is not None else None
    return row


def _save(row: PeriodicTask) -> None:
    row.save()
    Synced.objects.update_or_create(name=row.name, defaults={"digest": digest(row), "removed": False})


def _disable_all_but(names: Sequence[str]) -> dict[str, str]:
    left = Synced.objects.filter(removed=False).exclude(name__in=names)
    return {synced.name: _disable(synced) for synced in left}


def _disable(synced: Synced) -> str:
    # Once: who enables it again afterwards knows why.
    synced.removed = True
    row = PeriodicTask.objects.filter(name=synced.name).first()
    if row is not None:
        row.enabled = False
        row.save()
        synced.digest = digest(row)
    synced.save()
    return "disabled"


def _interval(seconds: float) -> IntervalSchedule:
    if seconds == int(seconds):
        every, period = int(seconds), IntervalSchedule.SECONDS
    else:
        every, period = round(seconds * 1_000_000), IntervalSchedule.MICROSECONDS
    found = IntervalSchedule.objects.filter(every=every, period=period).first()
    return found or IntervalSchedule.objects.create(every=every, period=period)


def _crontab(at: At) -> CrontabSchedule:
    found = CrontabSchedule.objects.filter(**asdict(at), timezone=UTC).first()
    return found or CrontabSchedule.objects.create(**asdict(at), timezone=UTC)
