"""Signals, who hears of them, and who wants to be told."""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q

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


class SignalQuerySet(models.QuerySet["Signal"]):
    """Whose signals are whose."""

    def visible_to(self, user: Any) -> Self:
        """Those of the house, and those of the user's own strategies."""
        heard = SignalHearer.objects.filter(signal=OuterRef("pk"), user_id=user.pk)
        return self.filter(Q(private=False) | Exists(heard))


class Signal(models.Model):
    """What a strategy said at the close of a bar. Never edited but for its `status`: the past is not repainted.

    Where the bars that it was made of turn out to have been others, it is superseded, by the one that names it, if
    there is anything left to say. Its status changes by `signals.lifecycle` alone.
    """

    class Type(models.TextChoices):
        BUY = strategy.BUY
        SELL = strategy.SELL

    class Strength(models.TextChoices):
        WEAK = strategy.WEAK
        MODERATE = strategy.MODERATE
        STRONG = strategy.STRONG

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE"
        EXPIRED = "EXPIRED"
        SUPERSEDED = "SUPERSEDED"
        TARGET = "TARGET"
        STOP = "STOP"

    strategy = models.CharField(max_length=64, help_text="its kind")
    strategy_key = models.CharField(
        max_length=200, blank=True, default="", help_text="kind, parameters and interval, as `strategies.key_of` has it"
    )
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="signals")
    interval = models.CharField(max_length=4)
    time = models.DateTimeField(help_text="the close of the bar that it was made of")
    candle_rev = models.IntegerField(help_text="the bar's revision at that time")
    source = models.SmallIntegerField(null=True, help_text="whose bars they were")
    bars_digest = models.CharField(
        max_length=32, blank=True, default="", help_text="of the bars that the strategy saw: others supersede it"
    )
    signal_type = models.CharField(max_length=4, choices=Type.choices)
    strength = models.CharField(max_length=8, choices=Strength.choices)
    confidence_score = models.FloatField(help_text="0–100")
    confidence_basis = models.CharField(max_length=64, default="heuristic", help_text="what the score rests on")
    entry_price = models.FloatField()
    target_price = models.FloatField(null=True)
    stop_loss = models.FloatField(null=True)
    expires_at = models.DateTimeField()
    reason = models.CharField(max_length=200)
    private = models.BooleanField(default=False, help_text="only for the users among its hearers")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    status_at = models.DateTimeField(null=True, help_text="since when it is not active any more")
    supersedes = models.OneToOneField(
        "self", on_delete=models.SET_NULL, null=True, related_name="superseded_by", help_text="what it stands for now"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SignalQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["strategy", "strategy_key", "instrument", "interval", "time"],
                condition=~Q(status="SUPERSEDED"),
                name="one_signal_a_bar",
            )
        ]
        indexes = [
            models.Index(
                fields=["interval", "instrument", "expires_at"], condition=Q(status="ACTIVE"), name="active_signals"
            ),
            models.Index(fields=["instrument", "-id"], name="signals_of_instrument"),
            models.Index(fields=["interval", "status_at"], condition=Q(status="SUPERSEDED"), name="superseded_signals"),
            models.Index(fields=["strategy_key"], name="signals_by_key"),
        ]

    def __str__(self) -> str:
        return f"{self.signal_type} {self.instrument} at {self.entry_price:g}"


class SignalHearer(models.Model):
    """A user whose own strategy made a private signal."""

    signal = models.ForeignKey(Signal, on_delete=models.CASCADE, related_name="hearers")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["signal", "user"], name="one_hearer_a_signal")]

    def __str__(self) -> str:
        return f"{self.user}: {self.signal}"


class SignalSubscription(models.Model):
    """A user who wants to be told of a house strategy's signals, on one instrument or on all."""

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
