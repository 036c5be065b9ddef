"""The database scheduler of django-celery-beat, of which only one ticks at a time, however many are started.

Two beats would send everything twice. The others wait for the lease, and go on from what the one before has noted.
"""

import logging
from typing import Any

import redis as redis_py
from django.conf import settings
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from worker import lease

logger = logging.getLogger(__name__)
LEASE = "beat"


class NotedEntry(ModelEntry):
    """An entry that writes down its runs alone: saving the whole row could undo an edit made this very moment."""

    def save(self) -> None:
        PeriodicTask.objects.filter(pk=self.model.pk).update(
            last_run_at=self.model.last_run_at, total_run_count=self.model.total_run_count
        )


class SoleScheduler(DatabaseScheduler):
    """Ticks only while it holds the lease `beat`."""

    Entry = NotedEntry

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lease: lease.Lease | None = None
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, if this is the one that sends. Returns the seconds until the next look."""
        look_s: float = settings.BEAT_LEASE_TTL_S / 3
        if not self._holds():
            return look_s
        wait_s: float = super().tick(*args, **kwargs)
        return min(wait_s, look_s)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send one. Looks again first: connecting to a broker that came back may have taken longer than the lease."""
        if self._lease is None or self._lease.lost:
            logger.warning("%s is not sent: another beat may have sent it", entry.name)
            self._dirty.discard(entry.name)
            return
        super().apply_entry(entry, producer)

    def close(self) -> None:
        """At a clean end a waiting beat need not wait for the lease to run out."""
        super().close()
        if self._lease is not None and not self._lease.lost:
            try:
                self._lease.release()
            except redis_py.RedisError as error:
                logger.warning("the lease of beat runs out by itself: %s", error)

    def _holds(self) -> bool:
        try:
            if self._lease is not None and self._lease.renew():
                return True
            return self._take()
        except redis_py.RedisError as error:
            logger.warning("the lease of beat could not be asked for: %s", error)
            return self._lease is not None and not self._lease.lost

    def _take(self) -> bool:
        if self._lease is not None:
            logger.warning("this beat has lost its lease")
        self._lease = lease.acquire(LEASE, settings.BEAT_LEASE_TTL_S)
        if self._lease is None:
            return False
        logger.info("this beat sends from now on")
        # The one before has sent since we read the table.
        self._dirty.clear()
        self._initial_read = True
        self._heap = None
        return True
