"""The event log of lossless topics. Written by `events.append` alone."""

import uuid

from django.db import models


def new_epoch() -> str:
    return uuid.uuid4().hex[:12]


class TopicCounter(models.Model):
    """Where a lossless topic stands. Its row is the lock that makes `seq` gapless in commit order."""

    topic = models.CharField(max_length=200, primary_key=True)
    # A new one says that the numbers before it mean nothing any more: after a restore, or when events were cut off.
    epoch = models.CharField(max_length=32, default=new_epoch)
    seq = models.BigIntegerField(default=0, help_text="of the newest event; 0 before the first")

    def __str__(self) -> str:
        return f"{self.topic} {self.epoch}/{self.seq}"


class Event(models.Model):
    """One event of a lossless topic, as it was published."""

    topic = models.CharField(max_length=200)
    epoch = models.CharField(max_length=32)
    seq = models.BigIntegerField()
    type = models.CharField(max_length=64)
    data = models.JSONField()
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["topic", "epoch", "seq"], name="one_event_a_position")]
        indexes = [models.Index(fields=["at"], name="event_by_age")]

    def __str__(self) -> str:
        return f"{self.topic} {self.epoch}/{self.seq} {self.type}"


class LiveConnection(models.Model):
    """No table: the admin's page of live connections, which are told by `presence.py`."""

    class Meta:
        managed = False
        default_permissions = ("view", "delete")
        verbose_name = "live connection"
