"""Signals over HTTP."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import generics, serializers

from ingestion.symbols import UnknownSymbol, resolve
from signals.models import Signal
from signals.serializers.signals import SignalSerializer


@extend_schema_view(
    get=extend_schema(parameters=[OpenApiParameter("symbol", str), OpenApiParameter("signal_type", str)])
)
class Signals(generics.ListAPIView):
    """The strategies' signals, newest first."""

    serializer_class = SignalSerializer

    def get_serializer_context(self) -> dict[str, Any]:
        """`now` tells which have expired."""
        return {**super().get_serializer_context(), "now": timezone.now()}

    def get_queryset(self) -> QuerySet[Signal]:
        rows = Signal.objects.select_related("instrument")
        if symbol := self.request.query_params.get("symbol"):
            try:
                rows = rows.filter(instrument=resolve(symbol))
            except UnknownSymbol as error:
                raise serializers.ValidationError({"symbol": [str(error)]}) from error
        if wanted := self.request.query_params.get("signal_type"):
            rows = rows.filter(signal_type=wanted.upper())
        return rows
