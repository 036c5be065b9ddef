"""Backfills and gaps as JSON, in and out."""

from typing import Any, Final

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ingestion import backfill, plan
from ingestion.candles import INTERVALS
from ingestion.models import Backfill, Coverage, Gap
from ingestion.serializers import StrictSerializer, SymbolField, TimeField

KINDS: Final = (*INTERVALS, plan.TRADES, plan.FX)
SYMBOLS_MAX: Final = 500


class BackfillWish(StrictSerializer):
    """What to fetch. Without a provider: the best that has the first of the symbols. Without an end: until now."""

    provider = serializers.CharField(max_length=16, required=False, default="")
    symbols = serializers.ListField(child=SymbolField(), max_length=SYMBOLS_MAX, required=False, default=list)
    interval = serializers.ChoiceField(choices=KINDS)
    start = TimeField()
    end = TimeField(required=False, default=None, allow_null=True)
    verify = serializers.BooleanField(required=False, default=False, help_text="compare what is stored, change nothing")
    dry_run = serializers.BooleanField(required=False, default=False, help_text="only say what it would take")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs["symbols"] and attrs["interval"] != plan.FX:
            raise serializers.ValidationError({"symbols": ["Name at least one."]})
        return attrs


class EstimateSchema(serializers.Serializer):
    """What a backfill would take."""

    provider = serializers.CharField()
    interval = serializers.CharField()
    chunks = serializers.IntegerField()
    calls = serializers.IntegerField(help_text="at least: trades may need several a chunk")
    weight = serializers.IntegerField(help_text="of the provider's budget, in its own unit")
    seconds = serializers.FloatField(help_text="of the budget, if nobody else uses it")
    left_out = serializers.ListField(child=serializers.CharField(), help_text="who, and why")


class BackfillSerializer(serializers.ModelSerializer):
    """A backfill and how far it is."""

    job_id = serializers.IntegerField(read_only=True)
    interval = serializers.CharField(source="kind")
    status = serializers.CharField(source="job.status")
    chunks = serializers.IntegerField(source="job.total")
    done = serializers.IntegerField(source="job.done")
    message = serializers.CharField(source="job.message")
    created_at = serializers.DateTimeField(source="job.created_at")
    finished_at = serializers.DateTimeField(source="job.finished_at", allow_null=True)

    class Meta:
        model = Backfill
        fields = [
            "id", "job_id", "provider", "interval", "symbols", "start", "end", "verify", "cause", "status", "chunks",
            "done", "message", "created_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields


class ProblemSchema(serializers.Serializer):
    """A chunk that failed, waits, or found differences."""

    symbol = serializers.CharField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    status = serializers.CharField()
    differences = serializers.IntegerField()
    attempts = serializers.IntegerField()
    detail = serializers.CharField()


class BackfillDetailSerializer(BackfillSerializer):
    """With what its chunks did."""

    rows = serializers.SerializerMethodField(help_text="new on disk")
    calls = serializers.SerializerMethodField()
    differences = serializers.SerializerMethodField(help_text="rows that the venue tells otherwise (verify)")
    problems = serializers.SerializerMethodField(help_text="the first chunks that did not go smoothly")

    class Meta(BackfillSerializer.Meta):
        fields = [*BackfillSerializer.Meta.fields, "rows", "calls", "differences", "problems"]
        read_only_fields = fields

    def get_rows(self, row: Backfill) -> int:
        return backfill.totals(row)["rows"]

    def get_calls(self, row: Backfill) -> int:
        return backfill.totals(row)["calls"]

    def get_differences(self, row: Backfill) -> int:
        return backfill.totals(row)["differences"]

    @extend_schema_field(ProblemSchema(many=True))
    def get_problems(self, row: Backfill) -> Any:
        return ProblemSchema(backfill.problems(row), many=True).data


class GapSerializer(serializers.ModelSerializer):
    """What is missing, why, and what became of it."""

    symbol = serializers.CharField(
        source="instrument.symbol", allow_null=True, default=None, help_text="null: everything that the feed follows"
    )

    class Meta:
        model = Gap
        fields = [
            "id", "provider", "symbol", "kind", "cause", "started_at", "ended_at", "from_id", "to_id", "ticks",
            "status", "repaired", "attempts", "next_attempt_at", "detail",
        ]  # fmt: skip
        read_only_fields = fields


class GapFilter(serializers.Serializer):
    """Which gaps."""

    provider = serializers.CharField(required=False)
    status = serializers.ChoiceField(choices=Gap.Status.choices, required=False)
    kind = serializers.ChoiceField(choices=Gap.Kind.choices, required=False)
    symbol = SymbolField(required=False)


class BackfillFilter(serializers.Serializer):
    """Which backfills."""

    provider = serializers.CharField(required=False)
    cause = serializers.ChoiceField(choices=Backfill.Cause.choices, required=False)
    status = serializers.CharField(required=False, help_text="running, done, failed or cancelled")


class CoverageSerializer(serializers.ModelSerializer):
    """A time whose history was fetched whole."""

    symbol = serializers.CharField(source="instrument.symbol", allow_null=True, default=None, help_text="null: rates")
    interval = serializers.CharField(source="kind")

    class Meta:
        model = Coverage
        fields = ["symbol", "provider", "interval", "start", "end"]
        read_only_fields = fields


class CoverageFilter(serializers.Serializer):
    """Coverage of what."""

    provider = serializers.CharField(required=False)
    interval = serializers.ChoiceField(choices=KINDS, required=False)
    symbol = SymbolField(required=False)
