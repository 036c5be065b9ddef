"""The bodies of the calls about strategies."""

import inspect
import math
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ingestion import payloads
from ingestion.candles import INTERVALS
from ingestion.models import Instrument
from ingestion.serializers import StrictSerializer, SymbolField
from ingestion.store import to_us
from portfolio.serializers.ledger import PlainCharField
from signals import strategies
from signals.models import SignalSubscription, UserStrategy
from signals.own_strategies import Wish
from signals.strategies import HOUSE, KINDS

WATCHED = "watched"


@extend_schema_field({"oneOf": [{"type": "string", "enum": [WATCHED]}, {"type": "array", "items": {"type": "string"}}]})
class InstrumentsField(serializers.Field):
    """`"watched"`, what is on the user's watchlists, or a list of symbols."""

    def to_internal_value(self, data: object) -> list[Instrument] | None:
        if data == WATCHED:
            return None
        most = settings.USER_STRATEGY_INSTRUMENTS_MAX
        if not isinstance(data, list) or not 1 <= len(data) <= most:
            raise serializers.ValidationError(f"“{WATCHED}”, or a list of 1 to {most} symbols.")
        symbol = SymbolField()
        return list({found.pk: found for found in map(symbol.to_internal_value, data)}.values())

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(OpenApiTypes.OBJECT)
class ParametersField(serializers.Field):
    """Numbers by name: those that differ from the defaults."""

    def to_internal_value(self, data: object) -> dict[str, Any]:
        if not isinstance(data, dict) or len(data) > 64 or not all(isinstance(name, str) for name in data):
            raise serializers.ValidationError("An object with a number for each parameter.")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class ScoreField(serializers.FloatField):
    """0 to 100."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool):
            raise serializers.ValidationError("A number is expected.")
        value = super().to_internal_value(data)
        if not (math.isfinite(value) and 0 <= value <= 100):
            raise serializers.ValidationError("It lies between 0 and 100.")
        return value


class TrulyBooleanField(serializers.BooleanField):
    """true or false, and nothing that is taken for one."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("true or false is expected.")
        return data


class StrategyBody(StrictSerializer):
    """A user's own strategy, to be made or changed. Given `parameters` replace all: what is not named is by default."""

    name = PlainCharField(max_length=64)
    kind = PlainCharField(max_length=64)
    parameters = ParametersField(required=False)
    interval = serializers.ChoiceField(choices=list(INTERVALS), required=False)
    instruments = InstrumentsField(required=False)
    enabled = TrulyBooleanField(required=False)
    min_confidence = ScoreField(required=False)
    notify = TrulyBooleanField(required=False)

    def wish(self, before: Wish | None = None) -> Wish:
        """before: what it is now. Another kind begins with its own defaults."""
        given = self.validated_data
        if before is None:
            return Wish(**given)
        kept = {name: getattr(before, name) for name in before.__struct_fields__}
        if given.get("kind", before.kind) != before.kind:
            kept["parameters"] = {}
        return Wish(**{**kept, **given})


class SubscribeBody(StrictSerializer):
    """To signals on one instrument; without it, on all."""

    symbol = SymbolField(required=False, allow_null=True, default=None)


# --- Shapes ---------------------------------------------------------------------------------------------------------


class ParameterSchema(serializers.Serializer):
    """One parameter of a kind; null where nothing is said."""

    name = serializers.CharField()
    default = serializers.FloatField()
    min = serializers.FloatField(allow_null=True)
    max = serializers.FloatField(allow_null=True)
    whole = serializers.BooleanField()
    description = serializers.CharField()


class KindSchema(serializers.Serializer):
    """A kind of strategy. origin: built-in, or a file of the installation's. warmup: bars, by default."""

    kind = serializers.CharField()
    origin = serializers.ChoiceField(["built-in", "file"])
    description = serializers.CharField()
    warmup = serializers.IntegerField()
    parameters = ParameterSchema(many=True)


class SubscriptionSchema(serializers.Serializer):
    """symbol: null for every instrument."""

    strategy = serializers.CharField()
    symbol = serializers.CharField(allow_null=True)


class StrategySchema(serializers.Serializer):
    """A strategy that is asked. `id` is a number for one's own, a name for one of the house's, which all share.

    key: signals carry it as `strategy_key`. instruments: `all`, `watched`, or a list of symbols. subscribed: whether
    the user is told of its signals, and on which symbols (null: all). last_error: why it failed when it was asked last.
    """

    id = serializers.CharField()
    house = serializers.BooleanField()
    name = serializers.CharField()
    kind = serializers.CharField()
    key = serializers.CharField()
    parameters = serializers.DictField(child=serializers.FloatField())
    interval = serializers.ChoiceField(list(INTERVALS))
    instruments = InstrumentsField()
    enabled = serializers.BooleanField()
    min_confidence = serializers.FloatField()
    notify = serializers.BooleanField()
    subscriptions = SubscriptionSchema(many=True)
    last_error = serializers.CharField()
    last_error_at = serializers.DateTimeField(allow_null=True)


class StrategiesSchema(serializers.Serializer):
    """results: the house's strategies and one's own; kinds: what one's own can be made of."""

    results = StrategySchema(many=True)
    next = serializers.URLField(allow_null=True)
    kinds = KindSchema(many=True)


def kind_shown(kind: str) -> dict[str, Any]:
    """One of the built-in kinds, with all that its parameters may be."""
    limits = strategies.limits_of(kind)
    return {
        "kind": kind,
        "origin": "built-in",
        "description": " ".join(inspect.cleandoc(KINDS[kind].__doc__ or "").split()),
        "warmup": strategies.make(kind, {}).warmup,
        "parameters": [
            {
                "name": name,
                "default": default,
                "min": limits[name]["least"],
                "max": limits[name]["most"],
                "whole": isinstance(default, int),
                "description": limits[name]["about"],
            }
            for name, default in strategies.defaults(kind).items()
        ],
    }


def house_shown(name: str, subscriptions: list[SignalSubscription], last_error: str = "") -> dict[str, Any]:
    """One of the house's. subscriptions: the user's to it."""
    strategy, interval = HOUSE[name]
    parameters = strategies.parameters_of(strategy)
    return {
        "id": name,
        "house": True,
        "name": name,
        "kind": name,
        "key": strategies.key_of(name, parameters, interval),
        "parameters": parameters,
        "interval": interval,
        "instruments": "all",
        "enabled": True,
        "min_confidence": 0.0,
        "notify": bool(subscriptions),
        "subscriptions": [subscription_shown(one) for one in subscriptions],
        "last_error": last_error,
        "last_error_at": None,
    }


def own_shown(strategy: UserStrategy) -> dict[str, Any]:
    """One of the user's."""
    told = strategy.run.last_error_at
    return {
        "id": strategy.pk,
        "house": False,
        "name": strategy.name,
        "kind": strategy.kind,
        "key": strategy.run.key,
        "parameters": strategy.parameters,
        "interval": strategy.interval,
        "instruments": WATCHED if strategy.watched else sorted(one.symbol for one in strategy.instruments.all()),
        "enabled": strategy.enabled,
        "min_confidence": strategy.min_confidence,
        "notify": strategy.notify,
        "subscriptions": [],
        "last_error": strategy.run.last_error,
        "last_error_at": payloads.iso(to_us(told)) if told and strategy.run.last_error else None,
    }


def subscription_shown(one: SignalSubscription) -> dict[str, Any]:
    return {"strategy": one.strategy, "symbol": one.instrument.symbol if one.instrument else None}
