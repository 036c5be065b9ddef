"""The strategies that somebody dropped into STRATEGY_DIR, and what came of looking at them."""

from django.db import models


class StrategyFile(models.Model):
    """One file, as it was when it was last looked at.

    strategies: what it holds, `[{"name", "warmup", "summary", "parameters": {name: {"default", "whole"}}}]`;
    empty where it was refused.
    """

    class Status(models.TextChoices):
        OK = "ok"
        REFUSED = "refused", "Refused: it does not keep the rules"
        FAILING = "failing", "Failing: switched off until the file changes"

    path = models.CharField(max_length=200, unique=True, help_text="its name in STRATEGY_DIR")
    digest = models.CharField(max_length=64, help_text="SHA-256 of what was looked at")
    status = models.CharField(max_length=8, choices=Status.choices)
    message = models.TextField(blank=True, help_text="why it was refused or failed, or what it was checked on")
    strategies = models.JSONField(default=list)
    failures = models.PositiveIntegerField(default=0, help_text="in a row")
    failed_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField()

    class Meta:
        ordering = ["path"]

    def __str__(self) -> str:
        return self.path
