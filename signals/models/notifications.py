"""What each user was told."""

import uuid

from django.conf import settings
from django.db import models


def new_public_id() -> str:
    return uuid.uuid4().hex


class Notification(models.Model):
    """One thing that one user was told.

    public_id: its name outside. dedupe_key: telling again under the same key tells nothing new. group_key: what it is
    counted with, such as `alert:BTC-USD`. digest: the summary that it waits for instead of being delivered by itself.
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
    archived = models.BooleanField(default=False, help_text="put away by its user; always read as well")
    group_key = models.CharField(max_length=128, default="", blank=True)
    digest = models.ForeignKey(
        "signals.Digest", on_delete=models.SET_NULL, null=True, related_name="gathered", db_index=False
    )
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
            models.Index(fields=["user", "notification_type", "created_at"], name="notifications_of_late"),
            models.Index(fields=["created_at"], name="notifications_by_age"),
            models.Index(fields=["digest"], name="gathered_for", condition=models.Q(digest__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.title
