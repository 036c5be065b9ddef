"""What each user was told."""

import uuid

from django.conf import settings
from django.db import models


def new_public_id() -> str:
    return uuid.uuid4().hex


class Notification(models.Model):
    """One thing that one user was told.

    public_id: its name outside. dedupe_key: telling again under the same key tells nothing new.
    """

    class Priority(models.TextChoices):
        LOW = "low"
        NORMAL = "normal"
        HIGH = "high"
        CRITICAL = "critical"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications")
    public_id = models.CharField(max_length=64, default=new_public_id)
    dedupe_key = models.CharField(max_length=128)
    title = models.CharField(max_length=200)
    message = models.TextField()
    notification_type = models.CharField(max_length=32)
    priority = models.CharField(max_length=8, choices=Priority.choices, default=Priority.NORMAL)
    data = models.JSONField(default=dict)
    read = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "public_id"], name="one_notification_an_id"),
            models.UniqueConstraint(fields=["user", "dedupe_key"], name="one_notification_a_key"),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="unread_newest_first", condition=models.Q(read=False)),
            models.Index(fields=["user", "-id"], name="notifications_newest"),
        ]

    def __str__(self) -> str:
        return self.title
