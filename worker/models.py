"""What the engine keeps on record: long work that people wait for."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F
from django.utils import timezone


class JobQuerySet(models.QuerySet["Job"]):
    """The only door to a job's row for people."""

    def visible_to(self, user: Any) -> "JobQuerySet":
        """Those that the user may see: staff everybody's, the others their own."""
        return self if user.is_staff else self.of(user)

    def of(self, user: Any) -> "JobQuerySet":
        """Those that the user asked for."""
        return self.filter(user_id=user.pk)


class Job(models.Model):
    """A piece of long work and how far it is. Only its own steps change it, and none after it has ended."""

    class Status(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    kind = models.CharField(max_length=64, help_text="What is done, such as `ingestion.force_update`.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="jobs", help_text="Who asked."
    )
    status = models.CharField(max_length=16, choices=Status, default=Status.RUNNING)
    total = models.PositiveBigIntegerField(null=True, help_text="Units to do; unknown while null.")
    done = models.PositiveBigIntegerField(default=0, help_text="Units done.")
    message = models.TextField(blank=True, help_text="What it is at, or why it failed.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now_add=True, help_text="Its last sign of life.")
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["user", "-id"], name="job_of_user"),
            models.Index(fields=["status", "updated_at"], name="job_by_status"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk} ({self.status})"

    def advance(self, done: int, message: str = "") -> bool:
        """Say that `done` units are done by now; false when the job was cancelled or ended: stop working then."""
        return self._change(done=done, message=message)

    def finish(self, message: str = "") -> bool:
        """Say that all is done; false when it had ended already."""
        return self._change(done=F("done") if self.total is None else self.total, **self._ended("done", message))

    def fail(self, reason: str) -> bool:
        """Say that it cannot be done and why, in words for whoever asked; false when it had ended already."""
        return self._change(**self._ended("failed", reason))

    def cancel(self, message: str = "") -> bool:
        """Ask it to stop: its next `advance` returns false. False when it had ended already."""
        return self._change(**self._ended("cancelled", message))

    @staticmethod
    def _ended(status: str, message: str) -> dict[str, Any]:
        return {"status": status, "message": message, "finished_at": timezone.now()}

    def _change(self, **changes: Any) -> bool:
        # One conditional update: of two workers, and of a worker and a canceller, one is first.
        hit = Job.objects.filter(pk=self.pk, status=Job.Status.RUNNING).update(updated_at=timezone.now(), **changes)
        self.refresh_from_db(fields=["status", "done", "message", "updated_at", "finished_at"])
        return hit == 1
