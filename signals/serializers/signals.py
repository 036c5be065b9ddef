"""The bodies of the signals' HTTP calls: the same shapes as on the wire."""

from typing import Any

from rest_framework import serializers

from signals.models import Signal
from signals.topics import signal_payload


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
