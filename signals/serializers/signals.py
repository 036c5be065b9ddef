"""The bodies of the signals' HTTP calls: the same shapes as on the wire."""

from typing import Any

from rest_framework import serializers

from ingestion.candles import INTERVALS
from ingestion.serializers import SymbolField, TimeField
from portfolio.serializers.ledger import PlainCharField
from signals.models import Signal
from signals.serializers.strategies import ScoreField
from signals.topics import signal_payload


class UpperChoiceField(serializers.ChoiceField):
    """In any case of letters."""

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value(data.upper() if isinstance(data, str) else data)


class SignalFilter(serializers.Serializer):
    """Which signals: on an instrument, of a type, a kind of strategy or exactly one, an interval; in one of several
    statuses, with commas between; made at bars that closed at `since` or later; at least as sure; of one's own."""

    symbol = SymbolField(required=False)
    signal_type = UpperChoiceField(Signal.Type.choices, required=False)
    strategy = PlainCharField(required=False, max_length=64)
    strategy_key = PlainCharField(required=False, max_length=200)
    interval = serializers.ChoiceField(list(INTERVALS), required=False)
    status = PlainCharField(required=False, max_length=100)
    since = TimeField(required=False)
    min_confidence = ScoreField(required=False)
    private = serializers.BooleanField(required=False, default=None, allow_null=True)

    def validate_status(self, value: str) -> list[str]:
        statuses = value.upper().split(",")
        if unknown := sorted(set(statuses) - set(Signal.Status.values)):
            raise serializers.ValidationError(f"There is no status “{unknown[0]}”.")
        return statuses

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in attrs.items() if value is not None}


class SignalSerializer(serializers.Serializer):
    signal_id = serializers.CharField()
    symbol = serializers.CharField()
    instrument = serializers.CharField()
    signal_type = serializers.ChoiceField(Signal.Type.choices)
    strength = serializers.ChoiceField(Signal.Strength.choices)
    confidence_score = serializers.FloatField(help_text="0–100; what it rests on: confidence_basis")
    confidence_basis = serializers.CharField()
    strategy = serializers.CharField()
    strategy_key = serializers.CharField(help_text="which of /api/strategies/ made it")
    private = serializers.BooleanField(help_text="of one's own strategy: nobody else sees it")
    interval = serializers.CharField()
    entry_price = serializers.FloatField()
    target_price = serializers.FloatField(allow_null=True)
    stop_loss = serializers.FloatField(allow_null=True)
    reason = serializers.CharField()
    time = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    status = serializers.ChoiceField(Signal.Status.choices)
    status_at = serializers.DateTimeField(allow_null=True)
    supersedes = serializers.CharField(allow_null=True)

    def to_representation(self, instance: Signal) -> dict[str, Any]:
        return signal_payload(instance, self.context["now"])
