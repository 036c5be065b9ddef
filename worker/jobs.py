"""Progress of long work, for the people who wait for it: `GET /api/jobs/<id>/`."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from worker.models import Job


def start(kind: str, total: int | None, user: Any = None) -> Job:
    """A running job. total: how many units it will do, None when unknown; user: who asked, None for the system."""
    return Job.objects.create(kind=kind, total=total, user=user)


def abandon_silent(now: datetime) -> int:
    """Fail the running jobs that have said nothing for too long: their worker was killed. Returns how many."""
    silent_since = now - timedelta(seconds=settings.JOB_SILENCE_TIMEOUT_S)
    return Job.objects.filter(status=Job.Status.RUNNING, updated_at__lt=silent_since).update(
        status=Job.Status.FAILED, message="abandoned: no sign of life", finished_at=now, updated_at=now
    )


def forget_old(now: datetime) -> int:
    """Delete the jobs that ended long ago. Returns how many."""
    old = Job.objects.filter(finished_at__lt=now - timedelta(days=settings.JOB_KEEP_DAYS))
    return old.delete()[0]
