"""The shapes of what the signals' HTTP calls answer, for the OpenAPI document."""

from rest_framework import serializers


class IndicatorSchema(serializers.Serializer):
    """One that there is. parameters: `{name, default, min, max, whole}` each."""

    name = serializers.CharField()
    variant = serializers.CharField()
    outputs = serializers.ListField(child=serializers.CharField())
    parameters = serializers.ListField(child=serializers.DictField())


class AskedIndicatorSchema(serializers.Serializer):
    """One that was asked for. lookback: bars before its first value. warmup: bars that a value needs in all."""

    label = serializers.CharField()  # type: ignore[assignment]
    name = serializers.CharField()
    variant = serializers.CharField()
    outputs = serializers.ListField(child=serializers.CharField())
    lookback = serializers.IntegerField()
    warmup = serializers.IntegerField()


class IndicatorRowSchema(serializers.Serializer):
    """A bar. values: label → output → number, null while the window isn't full."""

    time = serializers.DateTimeField()
    close = serializers.FloatField()
    values = serializers.DictField(child=serializers.DictField(child=serializers.FloatField(allow_null=True)))


class IndicatorReadingsSchema(serializers.Serializer):
    """live: what the forming bar would say if it closed now."""

    symbol = serializers.CharField()
    instrument = serializers.CharField()
    interval = serializers.CharField()
    indicators = AskedIndicatorSchema(many=True)
    results = IndicatorRowSchema(many=True)
    next = serializers.URLField(allow_null=True)
    live = IndicatorRowSchema(allow_null=True)
