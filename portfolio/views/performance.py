"""How a portfolio has done, over HTTP, and the working of each figure."""

from datetime import UTC, date, datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portfolio import returns
from portfolio.returns import Asked
from portfolio.serializers.performance import PerformanceQuery, benchmark_json, performance_json
from portfolio.views.access import own_portfolio


class PerformanceView(APIView):
    """How a portfolio has done."""

    @extend_schema(
        operation_id="portfolio_performance",
        parameters=[PerformanceQuery],
        responses={
            200: OpenApiResponse(
                OpenApiTypes.OBJECT,
                "Each figure a decimal string, or `{value: null, reason}`; ratios are 0.1 for 10 %. With"
                " `contributions` (by holding and by month, summing to the gain), `attribution`, `benchmark` and, with"
                " `chain=1`, `chain`.",
            )
        },
    )
    def get(self, request: Request, portfolio_id: int) -> Response:
        """Returns, risk and where the gain came from, over a window of days."""
        portfolio = own_portfolio(request, portfolio_id)
        now = timezone.now()
        query = read(PerformanceQuery, request, now)
        measured = returns.measure(portfolio, asked(query), now)
        body = performance_json(measured, portfolio.base_currency, now, query)
        if query["benchmark"] is not None:
            compared = returns.benchmark(query["benchmark"], measured, portfolio.base_currency, now)
            body["benchmark"] = benchmark_json(compared, query["benchmark"].symbol)
        return Response(body)


def read(form: type[serializers.Serializer], request: Request, now: datetime) -> dict[str, Any]:
    """The query's parameters; 400 names what is wrong with them."""
    context = {"today": now.astimezone(UTC).date(), "earliest": date.fromisoformat(settings.LEDGER_EARLIEST[:10])}
    query = form(data=request.query_params.dict(), context=context)
    query.is_valid(raise_exception=True)
    return dict(query.validated_data)


def asked(query: dict[str, Any]) -> Asked:
    risk_free = query["risk_free"] if query["risk_free"] is not None else settings.RISK_FREE_RATE
    return Asked(start=query["start"], end=query["end"], risk_free=risk_free)
