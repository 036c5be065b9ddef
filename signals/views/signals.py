"""Signals over HTTP. One of somebody else's own strategy doesn't exist."""

from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from signals.models import Signal
from signals.serializers.signals import SignalFilter, SignalSerializer


class Signals(generics.ListAPIView):
    """The signals of the house's strategies and of the user's own, newest first."""

    serializer_class = SignalSerializer

    def get_serializer_context(self) -> dict[str, Any]:
        """`now` tells which have expired."""
        return {**super().get_serializer_context(), "now": timezone.now()}

    def get_queryset(self) -> QuerySet[Signal]:
        query = SignalFilter(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        rows = Signal.objects.visible_to(self.request.user).select_related("instrument")
        return rows.filter(_condition(query.validated_data, timezone.now()))

    @extend_schema(parameters=[SignalFilter])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Of every status, unless some are named."""
        return self.list(request, *args, **kwargs)


class OneSignal(generics.RetrieveAPIView):
    """One signal."""

    serializer_class = SignalSerializer
    lookup_url_kwarg = "signal_id"

    def get_serializer_context(self) -> dict[str, Any]:
        """`now` tells whether it has expired."""
        return {**super().get_serializer_context(), "now": timezone.now()}

    def get_queryset(self) -> QuerySet[Signal]:
        return Signal.objects.visible_to(self.request.user).select_related("instrument")


_COLUMNS = {
    "symbol": "instrument",
    "signal_type": "signal_type",
    "strategy": "strategy",
    "strategy_key": "strategy_key",
    "interval": "interval",
    "since": "time__gte",
    "min_confidence": "confidence_score__gte",
    "private": "private",
}


def _condition(asked: dict[str, Any], now: datetime) -> Q:
    wanted = Q(**{column: asked[name] for name, column in _COLUMNS.items() if name in asked})
    if "status" not in asked:
        return wanted
    of_status = Q()
    for status in asked["status"]:
        of_status |= _in_status(status, now)
    return wanted & of_status


def _in_status(status: str, now: datetime) -> Q:
    """What is over has expired, though nobody has looked at it since."""
    if status == Signal.Status.ACTIVE:
        return Q(status=status, expires_at__gt=now)
    if status == Signal.Status.EXPIRED:
        return Q(status=status) | Q(status=Signal.Status.ACTIVE, expires_at__lte=now)
    return Q(status=status)
