"""The findings' HTTP calls: what they take and what they give."""

from typing import Any, Final

from rest_framework import serializers

from ingestion.candles import INTERVALS
from ingestion.payloads import iso
from ingestion.serializers import SymbolField, TimeField
from ingestion.store import to_us
from signals.findings import Found
from signals.models import Finding

BARS_MAX: Final = 1_000
ROWS_MAX: Final = 500


class FindingQuery(serializers.Serializer):
    """Which of those that are kept; `since`: confirmed at that time or later."""

    symbol = SymbolField(required=False)
    kind = serializers.ChoiceField(choices=Finding.Kind.choices, required=False)
    name = serializers.CharField(required=False, max_length=32)
    interval = serializers.ChoiceField(choices=list(INTERVALS), required=False)
    status = serializers.ChoiceField(choices=Finding.Status.choices, required=False)
    since = TimeField(required=False)


class PatternQuery(serializers.Serializer):
    """Which are looked for, in the last `bars` closed bars before `end`; the last `limit` of them are told."""

    name = serializers.CharField(required=False, help_text="several by comma, or repeated; all without it")
    interval = serializers.ChoiceField(choices=list(INTERVALS), required=False, default="1h")
    end = TimeField(required=False, default=None)
    bars = serializers.IntegerField(required=False, default=300, min_value=1, max_value=BARS_MAX)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=ROWS_MAX)


class PatternSchema(serializers.Serializer):
    """One that was found."""

    kind = serializers.ChoiceField(choices=Finding.Kind.choices)
    name = serializers.CharField()
    time = serializers.DateTimeField(help_text="the close of the bar that confirmed it")
    direction = serializers.ChoiceField(choices=["bullish", "bearish"], allow_null=True)
    confidence = serializers.FloatField(help_text="0–100")
    confidence_basis = serializers.CharField(help_text="always `heuristic`: it is no probability")
    parameters = serializers.DictField()


class PatternsSchema(serializers.Serializer):
    """Those of one instrument, oldest first."""

    results = PatternSchema(many=True)
    next = serializers.URLField(allow_null=True)
    symbol = serializers.CharField()
    instrument = serializers.CharField()
    interval = serializers.CharField()


class FindingSerializer(PatternSchema):
    """One that was kept. status: `withdrawn` or `superseded` where its bars were revised, since `status_at`."""

    finding_id = serializers.CharField()
    symbol = serializers.CharField()
    interval = serializers.CharField()
    status = serializers.ChoiceField(choices=Finding.Status.choices)
    status_at = serializers.DateTimeField(allow_null=True)
    supersedes = serializers.CharField(allow_null=True, help_text="the finding_id that it stands for")
    source = serializers.CharField()  # type: ignore[assignment]  # DRF shadows it on the class, not on a declared field

    def to_representation(self, instance: Finding) -> dict[str, Any]:
        return {
            "finding_id": str(instance.pk),
            "symbol": instance.instrument.symbol,
            "interval": instance.interval,
            "source": instance.source,
            "status": instance.status,
            "status_at": None if instance.status_at is None else iso(to_us(instance.status_at)),
            "supersedes": None if instance.supersedes_id is None else str(instance.supersedes_id),
            **_told(instance, to_us(instance.time)),
        }


def pattern(found: Found) -> dict[str, Any]:
    """One that was found on demand, as JSON."""
    return _told(found, found.time_us)


def _told(one: Finding | Found, time_us: int) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "name": one.name,
        "time": iso(time_us),
        "direction": one.direction or None,
        "confidence": one.confidence,
        "confidence_basis": "heuristic",
        "parameters": one.parameters,
    }
