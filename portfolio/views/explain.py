"""The working of a figure, over HTTP."""

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portfolio import returns
from portfolio.serializers.performance import ExplainQuery, explanation_json
from portfolio.views.access import own_portfolio
from portfolio.views.performance import asked, read


class Explain(APIView):
    """How a figure is worked out."""

    @extend_schema(
        operation_id="portfolio_explain",
        parameters=[ExplainQuery],
        responses={
            200: OpenApiResponse(
                OpenApiTypes.OBJECT,
                "`{figure, symbol, value, formula, terms, …}` with the lots, prices, rates, payments, links or returns"
                " that the value can be worked out of again; `value` is `{value: null, reason}` where there is none.",
            )
        },
    )
    def get(self, request: Request, portfolio_id: int) -> Response:
        """The formula of one figure, and every number in it."""
        portfolio = own_portfolio(request, portfolio_id)
        now = timezone.now()
        query = read(ExplainQuery, request, now)
        measured = returns.measure(portfolio, asked(query), now)
        return Response(explanation_json(measured, query["figure"], query["symbol"], portfolio.base_currency, now))
