"""Figures and anomalies, as they were found at the close of a bar."""

from django.db import models

from ingestion.models import Instrument


class Finding(models.Model):
    """One of them, once for each bar. Never edited: a revised candle changes nothing that was found."""

    class Kind(models.TextChoices):
        CANDLESTICK = "candlestick"
        FIGURE = "figure"
        PRICE_SPIKE = "price_spike"
        VOLUME_SURGE = "volume_surge"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    name = models.CharField(max_length=32)
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="findings")
    interval = models.CharField(max_length=4)
    time = models.DateTimeField(help_text="the close of the bar that confirmed it")
    direction = models.CharField(max_length=8, help_text="bullish or bearish; empty where it has none")
    confidence = models.FloatField(help_text="0–100, a heuristic")
    parameters = models.JSONField(default=dict, help_text="what it was found with, and what it measured")
    source = models.CharField(max_length=16, help_text="whose bars they were")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["instrument", "interval", "time", "kind", "name"], name="one_finding_a_bar")
        ]
        indexes = [models.Index(fields=["interval", "time"], name="findings_by_age")]

    def __str__(self) -> str:
        return f"{self.name} {self.instrument} {self.interval}"


class Examined(models.Model):
    """How far an instrument's bars have been looked through for them: the last bar that was."""

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+")
    interval = models.CharField(max_length=4)
    time = models.DateTimeField(help_text="when the bar began")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["interval", "instrument"], name="one_examination_each")]

    def __str__(self) -> str:
        return f"{self.instrument} {self.interval} up to {self.time:%Y-%m-%d %H:%M}"
