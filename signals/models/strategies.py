"""The strategies that are asked: users' own, and what each distinct one of them has run into."""

from django.conf import settings
from django.db import models

from ingestion.candles import INTERVALS
from ingestion.models import Instrument


class StrategyRun(models.Model):
    """A strategy as it is asked: one kind with its parameters at one interval, whoever wants it.

    Users with equal ones share it: it is asked once. last_error: why it failed at last; empty since it went well again.
    """

    key = models.CharField(max_length=200, unique=True, help_text="as `strategies.key_of` has it")
    kind = models.CharField(max_length=64)
    parameters = models.JSONField(default=dict)
    interval = models.CharField(max_length=4)
    last_error = models.CharField(max_length=500, blank=True)
    last_error_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0, help_text="in all")

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return self.key


class UserStrategy(models.Model):
    """A user's own strategy. Its signals are for this user alone.

    parameters: all of them, those left to their defaults too, so that a later default changes nothing. Where
    `watched`, it follows what is on the user's watchlists, else `instruments`.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="strategies")
    name = models.CharField(max_length=64)
    kind = models.CharField(max_length=64)
    parameters = models.JSONField(default=dict)
    interval = models.CharField(max_length=4, choices=[(name, name) for name in INTERVALS])
    run = models.ForeignKey(StrategyRun, on_delete=models.PROTECT, related_name="wanted_by")
    watched = models.BooleanField(default=True, help_text="what is on the user's watchlists")
    instruments = models.ManyToManyField(Instrument, blank=True, related_name="+")
    enabled = models.BooleanField(default=True)
    min_confidence = models.FloatField(default=0, help_text="0–100: of what is less sure nothing is said")
    notify = models.BooleanField(default=True, help_text="tell of each signal, beside showing it")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "user strategies"
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="one_strategy_a_name")]
        indexes = [
            models.Index(fields=["interval"], condition=models.Q(enabled=True), name="strategies_to_ask"),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.name}"
