"""Strategies over HTTP: the house's, and a user's own. Somebody else's is one that doesn't exist."""

from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from signals import own_strategies, strategy_files
from signals.models import SignalSubscription, StrategyRun, UserStrategy
from signals.own_strategies import Refused
from signals.serializers.strategies import (
    StrategiesSchema,
    StrategyBody,
    StrategySchema,
    SubscribeBody,
    SubscriptionSchema,
    house_shown,
    kind_shown,
    own_shown,
    subscription_shown,
)
from signals.strategies import HOUSE, KINDS
from signals.views.access import user_id
from worker.paging import results

_SYMBOL = OpenApiParameter("symbol", str, description="the subscription to this one; without it, that to all")


class Strategies(APIView):
    """What is asked at the close of bars."""

    @extend_schema(operation_id="strategies_list", responses=StrategiesSchema)
    def get(self, request: Request) -> Response:
        """The house's strategies, those of the user, and the kinds that one's own can be made of."""
        rows = _own(request).prefetch_related("instruments")
        answer = results([*_house(request), *map(own_shown, rows)])
        answer.data["kinds"] = [*map(kind_shown, KINDS), *_kinds_of_files()]
        return answer

    @extend_schema(request=StrategyBody, responses={201: StrategySchema})
    def post(self, request: Request) -> Response:
        """Make one's own. An error names the field, and then nothing was written."""
        body = StrategyBody(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            made = own_strategies.create(request.user, body.wish())
        except Refused as refused:
            raise serializers.ValidationError(refused.errors) from refused
        return Response(own_shown(made), status=status.HTTP_201_CREATED)


class OneStrategy(APIView):
    """A strategy: by its number one of the user's own, by its name one of the house's."""

    @extend_schema(responses=StrategySchema)
    def get(self, request: Request, strategy_id: str) -> Response:
        """As it is now."""
        if strategy_id in HOUSE:
            return Response(next(one for one in _house(request) if one["id"] == strategy_id))
        return Response(own_shown(_one(request, strategy_id)))

    @extend_schema(request=StrategyBody, responses=StrategySchema)
    def patch(self, request: Request, strategy_id: str) -> Response:
        """Change what is named. Signals that were given stay what they were."""
        strategy = _one(request, strategy_id)
        body = StrategyBody(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        try:
            changed = own_strategies.change(strategy, body.wish(own_strategies.wish_of(strategy)))
        except Refused as refused:
            raise serializers.ValidationError(refused.errors) from refused
        return Response(own_shown(changed))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, strategy_id: str) -> Response:
        """Its signals stay."""
        _one(request, strategy_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class Subscribe(APIView):
    """Being told of a strategy's signals, beside seeing them. Of one's own it is `notify`."""

    @extend_schema(request=SubscribeBody, responses=SubscriptionSchema)
    def post(self, request: Request, strategy_id: str) -> Response:
        """On one instrument, or on all. The same again changes nothing."""
        body = SubscribeBody(data=request.data)
        body.is_valid(raise_exception=True)
        instrument = body.validated_data["symbol"]
        if strategy_id not in HOUSE:
            strategy = _one(request, strategy_id)
            _refuse_symbol(instrument)
            UserStrategy.objects.filter(pk=strategy.pk).update(notify=True)
            return Response({"strategy": strategy_id, "symbol": None})
        row, _ = SignalSubscription.objects.get_or_create(
            user_id=user_id(request), strategy=strategy_id, instrument=instrument
        )
        return Response(subscription_shown(row))

    @extend_schema(parameters=[_SYMBOL], responses={204: None})
    def delete(self, request: Request, strategy_id: str) -> Response:
        """Not to be told any more; without a subscription nothing changes."""
        body = SubscribeBody(data=request.query_params.dict())
        body.is_valid(raise_exception=True)
        instrument = body.validated_data["symbol"]
        if strategy_id in HOUSE:
            rows = SignalSubscription.objects.filter(user_id=user_id(request), strategy=strategy_id)
            rows.filter(instrument=instrument).delete()
        else:
            strategy = _one(request, strategy_id)
            _refuse_symbol(instrument)
            UserStrategy.objects.filter(pk=strategy.pk).update(notify=False)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _refuse_symbol(instrument: Any) -> None:
    if instrument is not None:
        raise serializers.ValidationError({"symbol": ["Your own strategy tells of what is in its `instruments`."]})


def _own(request: Request) -> Any:
    return UserStrategy.objects.filter(user_id=user_id(request)).select_related("run").order_by("id")


def _one(request: Request, strategy_id: str) -> UserStrategy:
    if strategy_id in HOUSE:
        raise PermissionDenied("This strategy is the house's: nobody changes it. Make one of your own of its kind.")
    if not (strategy_id.isascii() and strategy_id.isdigit() and len(strategy_id) <= 18):
        raise Http404
    found: UserStrategy | None = _own(request).filter(pk=int(strategy_id)).first()
    if found is None:
        raise Http404
    return found


def _house(request: Request) -> list[dict[str, Any]]:
    rows = SignalSubscription.objects.filter(user_id=user_id(request)).select_related("instrument").order_by("id")
    mine: dict[str, list[SignalSubscription]] = {}
    for row in rows:
        mine.setdefault(row.strategy, []).append(row)
    shown = [house_shown(name, mine.get(name, [])) for name in HOUSE]
    failed = StrategyRun.objects.filter(key__in=[one["key"] for one in shown]).exclude(last_error="")
    errors = dict(failed.values_list("key", "last_error"))
    return [one | {"last_error": errors.get(one["key"], "")} for one in shown]


def _kinds_of_files() -> list[dict[str, Any]]:
    return [
        {
            "kind": name,
            "origin": "file",
            "description": found.described.summary,
            "warmup": found.warmup,
            "parameters": [
                {
                    "name": parameter,
                    "default": described.default,
                    "min": None,
                    "max": None,
                    "whole": described.whole,
                    "description": "",
                }
                for parameter, described in found.described.parameters.items()
            ],
        }
        for name, found in strategy_files.available().items()
        if isinstance(found, strategy_files.FileStrategy)
    ]
