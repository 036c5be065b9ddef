"""Where users want to be told, and what was sent there. `signals/attempts.py` sends."""

import uuid
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, JSONObject

from signals.models.notifications import Notification
from signals.sealing import seal, unseal

REASON_MAX: Final = 500
RANKS: Final = {priority.value: rank for rank, priority in enumerate(Notification.Priority)}


class DestinationQuerySet(models.QuerySet["Destination"]):
    def visible_to(self, user: Any) -> "DestinationQuerySet":
        """The user's own."""
        return self.filter(user_id=user.pk) if user.is_authenticated and user.is_active else self.none()

    def with_newest(self) -> "DestinationQuerySet":
        """Each with `newest`: `{"id", "status", "at", "error", "test"}` of the newest delivery to it, or None."""
        newest = Delivery.objects.filter(destination=OuterRef("pk")).order_by("-id")
        told = JSONObject(
            id="id",
            status="status",
            at=Coalesce("sent_at", "attempted_at", "created_at"),
            error="last_error",
            test=Q(notification=None),
        )
        return self.annotate(newest=Subquery(newest.values(told=told)[:1]))


class Destination(models.Model):
    """A place where one user wants to be told.

    config: what may be shown of it; sealed: the rest of it, encrypted (`signals/sealing.py`). types: which
    notifications (none named: all), of `min_priority` or above. verified: something has arrived there since it was
    last changed. failures: deliveries given up in a row. disabled_reason: why we switched it off, not its owner.
    paused_until: it asked for a pause, or does not answer.
    """

    class Kind(models.TextChoices):
        EMAIL = "email"
        TELEGRAM = "telegram"
        NTFY = "ntfy"
        DISCORD = "discord"
        SLACK = "slack"
        WEBHOOK = "webhook"
        WEBPUSH = "webpush"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="destinations")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    name = models.CharField(max_length=64)
    config = models.JSONField(default=dict)
    sealed = models.TextField(default="")
    address = models.CharField(max_length=255, help_text="what people know it by, without its secrets")
    min_priority = models.CharField(
        max_length=8, choices=Notification.Priority.choices, default=Notification.Priority.LOW
    )
    types = models.JSONField(default=list)
    enabled = models.BooleanField(default=True)
    verified = models.BooleanField(default=False)
    disabled_reason = models.CharField(max_length=REASON_MAX, default="")
    failures = models.PositiveIntegerField(default=0)
    paused_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DestinationQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="one_destination_a_name")]

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"

    @property
    def secrets(self) -> dict[str, Any]:
        """What is never shown. Raises `sealing.Unreadable`."""
        return unseal(self.sealed) if self.sealed else {}

    @secrets.setter
    def secrets(self, value: dict[str, Any]) -> None:
        self.sealed = seal(value) if value else ""

    def wants(self, notification: Notification) -> bool:
        """Whether its owner wants this one there."""
        urgent = RANKS[notification.priority] >= RANKS[self.min_priority]
        about_itself = notification.data.get("destination_id") == self.pk
        return urgent and not about_itself and (not self.types or notification.notification_type in self.types)


def new_key() -> str:
    return uuid.uuid4().hex


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def visible_to(self, user: Any) -> "DeliveryQuerySet":
        """Those to the user's own destinations."""
        own = self.filter(destination__user_id=user.pk)
        return own if user.is_authenticated and user.is_active else self.none()

    def due(self, now: datetime) -> "DeliveryQuerySet":
        """Those that somebody should try, the longest due first."""
        return self.filter(status=Delivery.Status.PENDING, next_attempt_at__lte=now).order_by("next_attempt_at", "id")


class Delivery(models.Model):
    """One notification on its way to one destination. notification: none for a test.

    key: the same at each attempt, so that a receiver knows a second one. next_attempt_at: nobody touches it before; to
    try it is to move this ahead, so that whoever dies meanwhile is followed by another.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        SENT = "sent"
        FAILED = "failed"
        DROPPED = "dropped"

    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, null=True, related_name="deliveries")
    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="deliveries")
    key = models.CharField(max_length=32, default=new_key, unique=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.PENDING)
    due_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    attempted_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=REASON_MAX, default="")
    response = models.CharField(max_length=REASON_MAX, default="", help_text="how the last answer began")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["notification", "destination"], name="one_delivery_a_destination")
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(status="pending"), name="deliveries_due"),
            models.Index(fields=["destination", "attempted_at"], name="deliveries_of_late"),
            models.Index(fields=["created_at"], condition=~Q(status="pending"), name="deliveries_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.notification or 'Test'} to {self.destination}"


class PushKey(models.Model):
    """The key that our web pushes are signed with, where the settings name none. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    sealed = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_push_key")]

    def __str__(self) -> str:
        return "Key of our web pushes"
