"""Summaries that are being gathered."""

from django.conf import settings
from django.db import models


class Digest(models.Model):
    """What one user is to be told in one piece: the notifications that name it, once it is due.

    key: what it gathers, such as `storm:alert:BTC-USD`; there is one open digest a user and key. sent_at: when it was
    closed, whether anything was left to tell or not.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="digests")
    key = models.CharField(max_length=160)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], condition=models.Q(sent_at=None), name="one_open_digest")
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(sent_at=None), name="digests_due"),
            models.Index(fields=["sent_at"], condition=~models.Q(sent_at=None), name="digests_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.key} for {self.user_id}"
