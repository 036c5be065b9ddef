"""Figures and anomalies, as they were found at the close of a bar."""

from django.db import models

from ingestion.models import Instrument


class Finding(models.Model):
    """One of them, once for each bar. Never edited but for its `status`: the past is not repainted.

    Where its bars turn out to have been others, it is withdrawn; or superseded by the one that names it, where the same
    is there still and measures otherwise.
    """

    class Kind(models.TextChoices):
        CANDLESTICK = "candlestick"
        FIGURE = "figure"
        PRICE_SPIKE = "price_spike"
        VOLUME_SURGE = "volume_surge"

    class Status(models.TextChoices):
        STANDING = "standing"
        WITHDRAWN = "withdrawn"
        SUPERSEDED = "superseded"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    name = models.CharField(max_length=32)
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="findings")
    interval = models.CharField(max_length=4)
    time = models.DateTimeField(help_text="the close of the bar that confirmed it")
    direction = models.CharField(max_length=8, help_text="bullish or bearish; empty where it has none")
    confidence = models.FloatField(help_text="0–100, a heuristic")
    parameters = models.JSONField(default=dict, help_text="what it was found with, and what it measured")
    source = models.CharField(max_length=16, help_text="whose bars they were")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.STANDING)
    status_at = models.DateTimeField(null=True, help_text="since when it does not stand any more")
    # Both are of one bar, and go together when they are old.
    supersedes = models.OneToOneField(
        "self", on_delete=models.DO_NOTHING, null=True, related_name="superseded_by", help_text="what it stands for now"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["instrument", "interval", "time", "kind", "name"],
                condition=models.Q(status="standing"),
                name="one_finding_a_bar",
            )
        ]
        indexes = [models.Index(fields=["interval", "time"], name="findings_by_age")]

    def __str__(self) -> str:
        return f"{self.name} {self.instrument} {self.interval}"


class Examined(models.Model):
    """How far an instrument's bars have been looked through for them: the last bar that was, and what they were."""

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+")
    interval = models.CharField(max_length=4)
    time = models.DateTimeField(help_text="when the bar began")
    since = models.DateTimeField(null=True, help_text="the first of the bars that `bars_digest` is of")
    bars_digest = models.CharField(
        max_length=32, blank=True, default="", help_text="of the bars from `since` on to `time`"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["interval", "instrument"], name="one_examination_each")]

    def __str__(self) -> str:
        return f"{self.instrument} {self.interval} up to {self.time:%Y-%m-%d %H:%M}"
