"""Signals, and who wants to hear of them."""

from django.conf import settings
from django.db import models

from ingestion.models import Instrument
from signals.strategies import strategy


class Evaluated(models.Model):
    """How far the strategies have read an instrument's candles: the last bar that they were asked about."""

    interval = models.CharField(max_length=4)
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+")
    time = models.DateTimeField(help_text="when the bar began")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["interval", "instrument"], name="one_place_an_instrument")]

    def __str__(self) -> str:
        return f"{self.instrument} {self.interval} up to {self.time:%Y-%m-%d %H:%M}"


class Signal(models.Model):
    """What a strategy said at the close of a bar. Never edited: the past is not repainted."""

    class Type(models.TextChoices):
        BUY = strategy.BUY
        SELL = strategy.SELL

    class Strength(models.TextChoices):
        WEAK = strategy.WEAK
        MODERATE = strategy.MODERATE
        STRONG = strategy.STRONG

    strategy = models.CharField(max_length=32)
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="signals")
    interval = models.CharField(max_length=4)
    time = models.DateTimeField(help_text="the close of the bar that it was made of")
    candle_rev = models.IntegerField(help_text="the bar's revision at that time")
    signal_type = models.CharField(max_length=4, choices=Type.choices)
    strength = models.CharField(max_length=8, choices=Strength.choices)
    confidence_score = models.FloatField(help_text="0–100, heuristic")
    entry_price = models.FloatField()
    target_price = models.FloatField(null=True)
    stop_loss = models.FloatField(null=True)
    expires_at = models.DateTimeField()
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["strategy", "instrument", "interval", "time"], name="one_signal_a_bar")
        ]

    def __str__(self) -> str:
        return f"{self.signal_type} {self.instrument} at {self.entry_price:g}"


class SignalSubscription(models.Model):
    """A user who wants to be told of a strategy's signals, on one instrument or on all."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="signal_subscriptions")
    strategy = models.CharField(max_length=32)
    instrument = models.ForeignKey(
        Instrument, on_delete=models.CASCADE, null=True, blank=True, help_text="none: every instrument"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "strategy", "instrument"], nulls_distinct=False, name="one_subscription_each"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.strategy} on {self.instrument or 'everything'}"
