"""Exchange rates, in and out."""

from typing import Any

from rest_framework import serializers

from ingestion.serializers import DayRange, PastDateField, PriceField, StrictSerializer
from portfolio import money
from portfolio.currencies import canonical, unit_of


class CurrencyField(serializers.CharField):
    """A currency known here, or the hundredth of one: GBp, GBX, ILA, ZAc."""

    def __init__(self, **more: Any) -> None:
        super().__init__(max_length=8, **more)

    def to_internal_value(self, data: Any) -> str:
        code: str = super().to_internal_value(data)
        if code not in money.CURRENCIES and (unit_of(code)[1] == 1 or unit_of(code)[0] not in money.CURRENCIES):
            raise serializers.ValidationError(f"“{code}” is no currency known here (codes are upper-case, as USD).")
        return code


class NewRate(StrictSerializer):
    """What one `base` cost in `quote` on a day."""

    base = CurrencyField()
    quote = CurrencyField()
    date = PastDateField()
    rate = PriceField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for side in ("base", "quote"):
            code = attrs[side]
            if unit_of(code)[1] != 1:
                raise serializers.ValidationError(
                    {side: f"{code} is a part of one: send the rate of {unit_of(code)[0]}."}
                )
            if canonical(code) != code:
                raise serializers.ValidationError({side: f"{code} counts as {canonical(code)} here: send its rate."})
        if attrs["base"] == attrs["quote"]:
            raise serializers.ValidationError({"quote": "It is the same currency."})
        return attrs


class RateQuery(DayRange):
    """Of one `base` in `quote`: on a `date` (by default today), or on each day from `start` to `end`."""

    base = CurrencyField()
    quote = CurrencyField()
    date = serializers.DateField(required=False, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if attrs["date"] is not None and (attrs["start"] is not None or attrs["end"] is not None):
            raise serializers.ValidationError({"date": "Ask for a `date`, or for `start` and `end`."})
        return attrs


class KnownRate(serializers.Serializer):
    """The rate that counts on `date`. day: the one it is of; `rate` null, with the reason, where nobody knows."""

    base = serializers.CharField()
    quote = serializers.CharField()
    date = serializers.DateField()
    rate = serializers.CharField(allow_null=True)
    day = serializers.DateField(allow_null=True)
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment]  # DRF's own attribute of that name
    reason = serializers.CharField(allow_null=True)


class DatedRate(serializers.Serializer):
    """A day's own rate."""

    date = serializers.DateField()
    rate = serializers.CharField()


class StoredRates(serializers.Serializer):
    """How many of the rates are now on disk."""

    stored = serializers.IntegerField()
