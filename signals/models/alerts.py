"""What users want to be told of, and when they were. `signals/alerts.py` writes both."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Func, Q, Value, When
from django.utils import timezone

from ingestion.models import Instrument
from signals.models.notifications import Notification

REASON_MAX: Final = 1000


class AlertQuerySet(models.QuerySet["Alert"]):
    def visible_to(self, user: Any) -> "AlertQuerySet":
        """The user's own."""
        return self.filter(user_id=user.pk) if user.is_authenticated and user.is_active else self.none()

    def in_status(self, statuses: Sequence[str], now: datetime) -> "AlertQuerySet":
        """Those whose status as of now is one of these. A snooze and an expiry need nobody to note them."""
        armed = Q(status=Alert.Status.ARMED)
        standing = Case(
            When(armed & Q(expires_at__lte=now), then=Value(Alert.Status.EXPIRED)),
            When(armed & Q(snoozed_until__gt=now), then=Value(Alert.Status.SNOOZED)),
            default=F("status"),
            output_field=models.CharField(),
        )
        return self.annotate(standing=standing).filter(standing__in=statuses)

    def about(self, instrument_id: int) -> "AlertQuerySet":
        """Those in which some name means the instrument."""
        means = Func(
            F("names"),
            Value(f"$.* ? (@ == {int(instrument_id)})"),
            function="jsonb_path_exists",
            template="%(function)s(%(expressions)s::jsonpath)",
            output_field=models.BooleanField(),
        )
        return self.filter(means)

    def judged(self) -> "AlertQuerySet":
        """Those that the follower judges: snoozed ones too, which only are not told."""
        return self.filter(status=Alert.Status.ARMED, user__is_active=True)


class Alert(models.Model):
    """A condition that one user wants to be told of.

    condition: the tree as it was asked for (docs/alerts.md). names: what the symbols in it meant when it was asked, so
    that none of them comes to mean another instrument; currencies: what each one's prices were in.
    generation: how often it has fired; each number fires once. version: of everything that was asked; whoever judged
    another one judged something else. state: how far it has got (`signals/arming.py`).
    """

    class Mode(models.TextChoices):
        ONCE = "once"
        EVERY = "every"
        ONCE_PER_BAR = "once_per_bar"

    class Session(models.TextChoices):
        ANY = "any"
        REGULAR = "regular"

    class Status(models.TextChoices):
        ARMED = "armed"
        FIRED = "fired"
        SNOOZED = "snoozed"
        EXPIRED = "expired"
        DISABLED = "disabled"
        BROKEN = "broken"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="alerts")
    name = models.CharField(max_length=120)
    instrument = models.ForeignKey(
        Instrument,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="where a part names none",
    )
    condition = models.JSONField()
    names = models.JSONField(default=dict, help_text="name in the condition → instrument id")
    currencies = models.JSONField(default=dict, help_text="symbol, or portfolio:<id> → currency of its thresholds")
    mode = models.CharField(max_length=12, choices=Mode.choices, default=Mode.ONCE)
    bar_interval = models.CharField(max_length=4, blank=True, help_text="whose bars once_per_bar counts")
    confirmations = models.PositiveSmallIntegerField(default=1, help_text="looks in a row that must agree")
    cooldown_s = models.FloatField(default=0.0, help_text="seconds of silence after a firing")
    escalating = models.BooleanField(default=False, help_text="whether each cooldown in a row doubles")
    at_once = models.BooleanField(default=True, help_text="whether what is true from the start is told")
    expires_at = models.DateTimeField(null=True, blank=True)
    snoozed_until = models.DateTimeField(null=True, blank=True)
    session = models.CharField(max_length=8, choices=Session.choices, default=Session.ANY)
    priority = models.CharField(
        max_length=8, choices=Notification.Priority.choices, default=Notification.Priority.NORMAL
    )
    note = models.CharField(max_length=500, blank=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ARMED)
    reason = models.CharField(max_length=REASON_MAX, blank=True, help_text="why it is in this status")
    state = models.JSONField(default=dict)
    generation = models.PositiveIntegerField(default=0)
    version = models.PositiveIntegerField(default=1)
    last_fired_at = models.DateTimeField(null=True, blank=True)
    asked_at = models.DateTimeField(
        default=timezone.now, help_text="when its thresholds were asked for: a split that comes later re-scales them"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["user", "-id"], name="alerts_newest"),
            models.Index(fields=["id"], condition=Q(status="armed"), name="armed_alerts"),
        ]
        constraints = [
            models.CheckConstraint(
                name="alerts_confirm_and_cool",
                condition=Q(confirmations__gte=1, cooldown_s__gte=0),
            )
        ]

    def __str__(self) -> str:
        return self.name

    def status_at(self, now: datetime) -> str:
        """As `in_status` counts it."""
        if self.status != Alert.Status.ARMED:
            return self.status
        if self.expires_at is not None and self.expires_at <= now:
            return str(Alert.Status.EXPIRED)
        snoozed = self.snoozed_until is not None and self.snoozed_until > now
        return str(Alert.Status.SNOOZED if snoozed else Alert.Status.ARMED)


class Firing(models.Model):
    """One time that an alert was told. What it was told of is kept as it was then.

    at: when it was so, by the market's clock. recorded_at: when we knew. observed: by what the condition calls it.
    """

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="firings")
    generation = models.PositiveIntegerField(help_text="1 is the first")
    at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    late_s = models.FloatField(help_text="seconds between the two")
    observed = models.JSONField(default=dict)
    reason = models.CharField(max_length=REASON_MAX)
    gapped = models.BooleanField(default=False, help_text="whether the price jumped over the threshold")
    condition = models.JSONField(help_text="as it was then")

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["alert", "generation"], name="one_firing_a_generation")]

    def __str__(self) -> str:
        return self.reason


class Rescaling(models.Model):
    """That a split has re-scaled an alert's thresholds, or found none: once. before: the condition as it was."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="rescalings")
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+")
    ex_date = models.DateField()
    ratio = models.FloatField(help_text="new units for an old one")
    before = models.JSONField(default=dict)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["alert", "instrument", "ex_date"], name="rescaled_once_a_split")]

    def __str__(self) -> str:
        return f"{self.alert} by {self.ratio:g} on {self.ex_date}"
