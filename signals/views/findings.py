"""Figures and anomalies over HTTP: those that were kept, and those of any instrument on demand."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion.permissions import MarketData
from ingestion.views import instrument_called
from signals import findings
from signals.models import Finding
from signals.serializers.findings import FindingQuery, FindingSerializer, PatternQuery, PatternsSchema, pattern
from worker.paging import results


@extend_schema_view(get=extend_schema(parameters=[FindingQuery]))
class Findings(generics.ListAPIView):
    """What was found at the close of bars of what somebody watches, newest first."""

    permission_classes = [MarketData]
    serializer_class = FindingSerializer
    queryset = Finding.objects.none()  # for the OpenAPI document

    def get_queryset(self) -> QuerySet[Finding]:
        query = FindingQuery(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        rows = Finding.objects.select_related("instrument")
        if "symbol" in asked:
            rows = rows.filter(instrument=asked["symbol"])
        if "since" in asked:
            rows = rows.filter(time__gte=asked["since"])
        return rows.filter(**{name: asked[name] for name in ("kind", "name", "interval", "status") if name in asked})


class Patterns(APIView):
    """Those of one instrument, worked out when they are asked for."""

    permission_classes = [MarketData]

    @extend_schema(parameters=[PatternQuery], responses=PatternsSchema)
    def get(self, request: Request, symbol: str) -> Response:
        """Candlesticks, chart patterns, price spikes and volume surges in closed bars, oldest first."""
        instrument = instrument_called(symbol)
        wanted = _wanted(request.query_params.getlist("name"))
        query = PatternQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        found = findings.on_demand(instrument, asked["interval"], wanted, asked["bars"], asked["end"])
        answer = results([pattern(one) for one in found[-asked["limit"] :]])
        answer.data |= {"symbol": symbol.upper(), "instrument": instrument.symbol, "interval": asked["interval"]}
        return answer


def _wanted(given: list[str]) -> frozenset[str] | None:
    names = {part.strip().lower() for text in given for part in text.split(",") if part.strip()}
    unknown = sorted(names.difference(findings.names()))
    if unknown:
        raise serializers.ValidationError({"name": [f"There is no pattern “{unknown[0][:50]}”."]})
    return frozenset(names) if names else None
