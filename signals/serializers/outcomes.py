"""The scorecards' HTTP calls: what they take and what they give."""

from typing import Any

from rest_framework import serializers

from ingestion.candles import INTERVALS
from ingestion.payloads import iso
from ingestion.serializers import SymbolField
from ingestion.store import to_us
from signals.models import Signal, SignalOutcome


class ScorecardQuery(serializers.Serializer):
    """Of which signals. by_symbol: a row for each instrument."""

    strategy = serializers.CharField(required=False, max_length=64)
    key = serializers.CharField(required=False, max_length=200)
    interval = serializers.ChoiceField(choices=list(INTERVALS), required=False)
    symbol = SymbolField(required=False)
    by_symbol = serializers.BooleanField(required=False, default=False)


class _Counts(serializers.Serializer):
    """n: signals scored. Rates from 0 to 1, with their 95 % interval by Wilson; null where there is nothing to tell."""

    n = serializers.IntegerField()
    hits = serializers.IntegerField(help_text="target reached before stop and expiry")
    stops = serializers.IntegerField()
    expired = serializers.IntegerField()
    skipped = serializers.IntegerField(help_text="not scored: across a split, without bars, or superseded")
    undecided = serializers.IntegerField(help_text="target and stop within one bar: counted as stops")
    hit_rate = serializers.FloatField(allow_null=True)
    hit_rate_low = serializers.FloatField(allow_null=True)
    hit_rate_high = serializers.FloatField(allow_null=True)
    is_calibrated = serializers.BooleanField(help_text="whether these are enough for the hit rate to be a confidence")
    mean_r = serializers.FloatField(allow_null=True, help_text="what a signal returned, in multiples of its risk")
    expectancy_percent = serializers.FloatField(allow_null=True, help_text="what a signal returned on average")
    mean_gain_percent = serializers.FloatField(allow_null=True)
    mean_loss_percent = serializers.FloatField(allow_null=True)
    median_bars = serializers.FloatField(allow_null=True)
    mfe_percent = serializers.FloatField(allow_null=True)
    mae_percent = serializers.FloatField(allow_null=True)
    mfe_r = serializers.FloatField(allow_null=True)
    mae_r = serializers.FloatField(allow_null=True)
    since = serializers.DateTimeField(help_text="the first signal")
    until = serializers.DateTimeField(help_text="the last one")


class StrengthCardSchema(_Counts):
    """The same for one strength."""

    strength = serializers.ChoiceField(choices=Signal.Strength.choices)


class ScorecardSchema(_Counts):
    """How the signals of one strategy with its parameters, at one interval, have done."""

    strategy = serializers.CharField()
    key = serializers.CharField()
    interval = serializers.CharField()
    symbol = serializers.CharField(allow_null=True)
    by_strength = StrengthCardSchema(many=True)


class OutcomeSchema(serializers.Serializer):
    """What became of a signal; `result` is null while it is open."""

    signal_id = serializers.CharField()
    result = serializers.ChoiceField(choices=SignalOutcome.Result.choices, allow_null=True)
    reason = serializers.CharField(allow_null=True, help_text="why it was skipped")
    at = serializers.DateTimeField(allow_null=True, help_text="the close of the bar that decided it")
    exit_price = serializers.FloatField(allow_null=True)
    return_percent = serializers.FloatField(allow_null=True)
    return_r = serializers.FloatField(allow_null=True)
    mfe_percent = serializers.FloatField(allow_null=True)
    mfe_r = serializers.FloatField(allow_null=True)
    mae_percent = serializers.FloatField(allow_null=True)
    mae_r = serializers.FloatField(allow_null=True)
    bars_held = serializers.IntegerField(allow_null=True)
    gapped = serializers.BooleanField(allow_null=True, help_text="opened beyond the stop, and so left at the open")
    undecided = serializers.BooleanField(allow_null=True)
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment]  # shadowed on the class alone
    scored_at = serializers.DateTimeField(allow_null=True)


_PLAIN = (
    "result", "exit_price", "return_percent", "return_r", "mfe_percent", "mfe_r", "mae_percent", "mae_r", "bars_held",
    "gapped", "undecided",
)  # fmt: skip


def outcome(signal: Signal, row: SignalOutcome | None) -> dict[str, Any]:
    """What became of the signal, as JSON."""
    return {
        "signal_id": str(signal.pk),
        **{name: getattr(row, name, None) for name in _PLAIN},
        "reason": (row.reason or None) if row else None,
        "at": iso(to_us(row.at)) if row else None,
        "source": (row.source or None) if row else None,
        "scored_at": iso(to_us(row.scored_at)) if row else None,
    }


def scorecard(card: dict[str, Any]) -> dict[str, Any]:
    """A row of `scorecards.cards` as JSON."""
    told = {**card, "since": iso(to_us(card["since"])), "until": iso(to_us(card["until"]))}
    if "by_strength" in told:
        told["by_strength"] = [scorecard(one) for one in card["by_strength"]]
    return told
