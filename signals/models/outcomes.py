"""What became of each signal."""

from django.db import models

from signals.models.signals import Signal


class SignalOutcome(models.Model):
    """A signal scored, once it is over, by the bars after it. Prices as they were traded, in no way adjusted.

    return_percent, mfe_percent, mae_percent: of the entry price, in the signal's own direction; the most favourable and
    the most adverse while it was held. The same in R: multiples of what was at risk, the way from entry to stop; null
    without a stop.
    """

    class Result(models.TextChoices):
        TARGET = "target"
        STOP = "stop"
        EXPIRED = "expired"
        SKIPPED = "skipped"

    signal = models.OneToOneField(Signal, on_delete=models.CASCADE, related_name="outcome")
    result = models.CharField(max_length=8, choices=Result.choices)
    reason = models.CharField(max_length=16, blank=True, help_text="why it was skipped: split, no bars, superseded")
    at = models.DateTimeField(help_text="the close of the bar that decided it")
    exit_price = models.FloatField(null=True)
    return_percent = models.FloatField(null=True)
    return_r = models.FloatField(null=True)
    mfe_percent = models.FloatField(null=True)
    mfe_r = models.FloatField(null=True)
    mae_percent = models.FloatField(null=True)
    mae_r = models.FloatField(null=True)
    bars_held = models.PositiveIntegerField(default=0, help_text="of the signal's interval, the deciding one included")
    gapped = models.BooleanField(default=False, help_text="opened beyond the stop, and so left at the open")
    undecided = models.BooleanField(default=False, help_text="target and stop lay in one bar: counted as the stop")
    source = models.CharField(max_length=16, blank=True, help_text="whose bars it was scored by")
    scored_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.signal_id}: {self.result}"
