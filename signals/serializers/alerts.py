"""The bodies of the alerts' HTTP calls. They check forms; what a condition may say is decided in `conditions.py`."""

import datetime as dt
from typing import Any, Final

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ingestion.candles import INTERVALS
from ingestion.serializers import StrictSerializer, SymbolField
from portfolio.serializers.ledger import PlainCharField, TimeField
from signals import alerts, conditions
from signals.models import Alert, Notification

_MINUTE: Final = dt.timedelta(minutes=1)


class LaterField(TimeField):
    """A time that is still to come."""

    def to_internal_value(self, data: object) -> dt.datetime:
        at = super().to_internal_value(data)
        if at <= timezone.now():
            raise serializers.ValidationError("It must be in the future.")
        return at


class ConditionField(serializers.JSONField):
    """The tree of what is to be true: docs/alerts.md."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError('condition: an object is expected, such as {"kind": "price", …}.')
        return data


class BoundedField(serializers.FloatField):
    """A number of seconds from 0 to a limit of the settings, read when it is needed."""

    def __init__(self, limit: str, **more: Any) -> None:
        super().__init__(**more)
        self.limit = limit

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool):
            self.fail("invalid")
        value = float(super().to_internal_value(data))
        most = getattr(settings, self.limit)
        if not 0 <= value <= most:
            raise serializers.ValidationError(f"From 0 to {most:g}.")
        return value


class NewAlert(StrictSerializer):
    """The body that makes an alert. symbol: what the parts of the condition are about that name none."""

    name = PlainCharField(max_length=120, required=False, allow_blank=True)
    symbol = SymbolField(required=False, allow_null=True)
    condition = ConditionField()
    mode = serializers.ChoiceField(Alert.Mode.choices, required=False)
    interval = serializers.ChoiceField(
        list(INTERVALS), required=False, allow_null=True, help_text="whose bars once_per_bar counts"
    )
    confirmations = serializers.IntegerField(required=False, min_value=1, help_text="looks in a row that must agree")
    cooldown_s = BoundedField("ALERT_MAX_COOLDOWN_S", required=False)
    escalating = serializers.BooleanField(required=False, help_text="whether a cooldown soon again is twice as long")
    at_once = serializers.BooleanField(required=False, help_text="whether what is true from the start is told")
    expires_at = LaterField(required=False, allow_null=True)
    session = serializers.ChoiceField(Alert.Session.choices, required=False)
    priority = serializers.ChoiceField(Notification.Priority.choices, required=False)
    note = PlainCharField(max_length=500, required=False, allow_blank=True)
    enabled = serializers.BooleanField(required=False)

    def validate_confirmations(self, value: int) -> int:
        most = settings.ALERT_MAX_CONFIRMATIONS
        if value > most:
            raise serializers.ValidationError(f"At most {most}.")
        return value

    def wish(self) -> dict[str, Any]:
        """What was given, by the names of `alerts.Wish`."""
        given = dict(self.validated_data)
        given.pop("enabled", None)
        renamed = {"symbol": "instrument", "interval": "bar_interval"}
        asked: dict[str, Any] = {renamed.get(str(name), str(name)): value for name, value in given.items()}
        if asked.get("bar_interval", "") is None:
            asked["bar_interval"] = ""
        return asked


class ChangedAlert(NewAlert):
    """The body that changes an alert: what is not named stays."""

    condition = ConditionField(required=False)


class Snoozing(StrictSerializer):
    """Until when nothing is told: a time, or minutes from now."""

    until = LaterField(required=False)
    minutes = serializers.FloatField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError({"until": ["Either `until` or `minutes` is expected."]})
        most_s = settings.ALERT_MAX_SNOOZE_S
        if (minutes := attrs.get("minutes")) is not None:
            if not 0 < minutes <= most_s / 60:
                raise serializers.ValidationError({"minutes": [f"Above 0, up to {most_s / 60:g}."]})
            attrs["until"] = timezone.now() + minutes * _MINUTE
        elif attrs["until"] > timezone.now() + dt.timedelta(seconds=most_s):
            raise serializers.ValidationError({"until": [f"At most {most_s / 86_400:g} days from now."]})
        return attrs


class AlertSerializer(serializers.Serializer):
    """An alert as it is listed. armed: whether the next look may fire it. currency: of its thresholds, where it is one.

    generation: of its newest firing; edits and re-arming go on counting.
    """

    id = serializers.IntegerField()
    name = serializers.CharField()
    symbol = SymbolField(source="instrument", allow_null=True)
    condition = serializers.JSONField()
    description = serializers.SerializerMethodField(help_text="the condition in words")
    mode = serializers.CharField()
    interval = serializers.CharField(source="bar_interval")
    confirmations = serializers.IntegerField()
    cooldown_s = serializers.FloatField()
    escalating = serializers.BooleanField()
    at_once = serializers.BooleanField()
    expires_at = TimeField(allow_null=True)
    snoozed_until = TimeField(allow_null=True)
    session = serializers.CharField()
    priority = serializers.CharField()
    note = serializers.CharField()
    status = serializers.SerializerMethodField()
    reason = serializers.CharField()
    armed = serializers.SerializerMethodField()
    cooling_until = serializers.SerializerMethodField(help_text="when what fires again is told again; null: at once")
    generation = serializers.IntegerField()
    firings = serializers.IntegerField(source="generation", help_text="how often it has fired")
    last_fired_at = TimeField(allow_null=True)
    currency = serializers.SerializerMethodField()
    currencies = serializers.DictField(child=serializers.CharField())
    created_at = TimeField()
    updated_at = TimeField()

    def get_description(self, alert: Alert) -> str:
        return conditions.in_words(alert, self.context["names"])

    @extend_schema_field(serializers.ChoiceField(Alert.Status.choices))
    def get_status(self, alert: Alert) -> str:
        return str(alert.status_at(self.context["now"]))

    def get_armed(self, alert: Alert) -> bool:
        return alert.status_at(self.context["now"]) == Alert.Status.ARMED and alerts.is_ready(alert)

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_cooling_until(self, alert: Alert) -> str | None:
        until = alerts.cooling_until(alert)
        return None if until is None else TimeField().to_representation(until)

    def get_currency(self, alert: Alert) -> str | None:
        found = set(alert.currencies.values())
        return found.pop() if len(found) == 1 else None


class FiringSerializer(serializers.Serializer):
    """One time that it fired. fired_at: by the market's clock; recorded_at: by ours, `late_s` later."""

    generation = serializers.IntegerField()
    fired_at = TimeField(source="at")
    recorded_at = TimeField()
    late_s = serializers.FloatField()
    observed = serializers.DictField()
    reason = serializers.CharField()
    gapped = serializers.BooleanField()
    condition = serializers.JSONField()


class AlertFilter(serializers.Serializer):
    """Which alerts: in one of several statuses, with commas between; those that look at an instrument."""

    status = PlainCharField(required=False)
    symbol = SymbolField(required=False)

    def validate_status(self, value: str) -> list[str]:
        statuses = value.lower().split(",")
        if unknown := sorted(set(statuses) - set(Alert.Status.values)):
            raise serializers.ValidationError(f"There is no status “{unknown[0]}”.")
        return statuses
