"""What a portfolio was worth over time, over HTTP."""

from rest_framework import serializers

from ingestion.serializers import StrictSerializer
from portfolio.history import STEPS
from portfolio.serializers.ledger import ExactField, TimeField


class HistoryQuery(StrictSerializer):
    """Which stretch of time, and how far apart its points are."""

    interval = serializers.ChoiceField(list(STEPS), default="1d")
    start = TimeField(required=False)
    end = TimeField(required=False)

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        start, end = attrs.get("start"), attrs.get("end")
        if start is not None and end is not None and not start < end:  # type: ignore[operator]
            raise serializers.ValidationError({"end": ["It must be after `start`."]})
        return attrs


class PointSerializer(serializers.Serializer):
    """The last value in the stretch that begins at `time`; in a gap every figure is null."""

    time = TimeField(read_only=True)
    total_value = ExactField(read_only=True, allow_null=True)
    market_value = ExactField(read_only=True, allow_null=True)
    cash = ExactField(read_only=True, allow_null=True)
    net_invested = ExactField(read_only=True, allow_null=True)
    realized_pnl = ExactField(read_only=True, allow_null=True)
    unrealized_pnl = ExactField(read_only=True, allow_null=True)
    pnl = ExactField(read_only=True, allow_null=True)
    flow = ExactField(read_only=True, allow_null=True)
    stale = serializers.BooleanField(read_only=True, allow_null=True)
    carried = serializers.BooleanField(read_only=True)
    gap = serializers.BooleanField(read_only=True)
    source: serializers.CharField = serializers.CharField(read_only=True, allow_null=True)  # type: ignore[assignment]
