"""The bodies of dry runs."""

from typing import Any

from rest_framework import serializers

from ingestion.serializers import StrictSerializer
from portfolio.serializers.ledger import TimeField
from signals.serializers.alerts import NewAlert


def _check_order(attrs: dict[str, Any]) -> dict[str, Any]:
    start, end = attrs.get("start"), attrs.get("end")
    if start is not None and end is not None and not start < end:
        raise serializers.ValidationError({"end": ["It must be after `start`."]})
    return attrs


class DryRunQuery(StrictSerializer):
    """Over which time: by default the last week. format: `svg` for the chart alone."""

    start = TimeField(required=False)
    end = TimeField(required=False)
    format = serializers.ChoiceField(["json", "svg"], required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return _check_order(attrs)


class DryRunOfNew(NewAlert):
    """An alert as it would be made, and the time, where the address does not say it."""

    start = TimeField(required=False)
    end = TimeField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return _check_order(super().validate(attrs))

    def wish(self) -> dict[str, Any]:
        """Without the time."""
        return {name: value for name, value in super().wish().items() if name not in ("start", "end")}


class DryFiringSchema(serializers.Serializer):
    """price: the charted price at that time. spiked: it was beyond the threshold within a bar, not at its close."""

    generation = serializers.IntegerField()
    at = TimeField()
    price = serializers.FloatField(allow_null=True)
    reason = serializers.CharField()
    observed = serializers.DictField(child=serializers.FloatField())
    gapped = serializers.BooleanField()
    spiked = serializers.BooleanField()


class DryThresholdSchema(serializers.Serializer):
    """One that is in the chart."""

    kind = serializers.CharField()
    op = serializers.CharField()
    value = serializers.FloatField()
    clear = serializers.FloatField(allow_null=True)
    label = serializers.CharField()  # type: ignore[assignment]  # DRF shadows it on the class, not on a declared field


class UnsupportedSchema(serializers.Serializer):
    """A figure that can't be replayed: unknown throughout."""

    kind = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # as above
    reason = serializers.CharField()


class DryRunSchema(serializers.Serializer):
    """count: of all firings, of which `firings` lists the first. series: `[time, open, high, low, close]`, thinned."""

    description = serializers.CharField()
    symbol = serializers.CharField()
    interval = serializers.CharField()
    to = TimeField()
    bars = serializers.IntegerField()
    count = serializers.IntegerField()
    firings = DryFiringSchema(many=True)
    series = serializers.ListField(child=serializers.ListField())
    thresholds = DryThresholdSchema(many=True)
    unsupported = UnsupportedSchema(many=True)
    chart_url = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        # `from` is no name that a class could have.
        return {**super().get_fields(), "from": TimeField()}
