"""The bodies of the signals' HTTP calls: the same shapes as on the wire."""

from typing import Any

from rest_framework import serializers

from signals.models import Notification, Signal
from signals.notifications import payload
from signals.topics import signal_payload


class NotificationSerializer(serializers.Serializer):
    notification_id = serializers.CharField()
    title = serializers.CharField()
    message = serializers.CharField()
    notification_type = serializers.CharField()
    priority = serializers.ChoiceField(Notification.Priority.choices)
    data = serializers.DictField()  # type: ignore[assignment]  # DRF shadows it on the class, not on a declared field
    read = serializers.BooleanField()
    created_at = serializers.DateTimeField()

    def to_representation(self, instance: Notification) -> dict[str, Any]:
        return payload(instance)


class ReadOne(serializers.Serializer):
    """Only true: what was read stays read."""

    read = serializers.BooleanField()

    def validate_read(self, value: bool) -> bool:
        if not value:
            raise serializers.ValidationError("What was read stays read.")
        return value


class ReadMany(serializers.Serializer):
    notification_ids = serializers.ListField(child=serializers.CharField(max_length=64), max_length=1000)


class SignalSerializer(serializers.Serializer):
    signal_id = serializers.CharField()
    symbol = serializers.CharField()
    instrument = serializers.CharField()
    signal_type = serializers.ChoiceField(Signal.Type.choices)
    strength = serializers.ChoiceField(Signal.Strength.choices)
    confidence_score = serializers.FloatField(help_text="0–100; what it rests on: confidence_basis")
    confidence_basis = serializers.CharField()
    strategy = serializers.CharField()
    interval = serializers.CharField()
    entry_price = serializers.FloatField()
    target_price = serializers.FloatField(allow_null=True)
    stop_loss = serializers.FloatField(allow_null=True)
    reason = serializers.CharField()
    time = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    status = serializers.ChoiceField(["ACTIVE", "EXPIRED"])

    def to_representation(self, instance: Signal) -> dict[str, Any]:
        return signal_payload(instance, self.context["now"])
