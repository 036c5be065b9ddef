"""What a portfolio was worth over time."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portfolio import history
from portfolio.serializers.history import HistoryQuery, PointSerializer
from portfolio.serializers.ledger import as_errors
from portfolio.views.access import own_portfolio


class History(APIView):
    """A portfolio's value, by the minute, the hour or the day."""

    @extend_schema(
        parameters=[HistoryQuery],
        responses=inline_serializer(
            "History",
            {
                "results": PointSerializer(many=True),
                "next": serializers.URLField(allow_null=True),
                "interval": serializers.CharField(),
            },
        ),
    )
    def get(self, request: Request, portfolio_id: int) -> Response:
        """A point for each stretch in [start, end), oldest first; where nobody knows, it says that it is a gap."""
        portfolio = own_portfolio(request, portfolio_id)
        query = HistoryQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        try:
            found = history.points(portfolio, asked["interval"], asked.get("start"), asked.get("end"), timezone.now())
        except history.TooMany as error:
            raise as_errors({"interval": str(error)}) from error
        return Response(
            {"results": PointSerializer(found, many=True).data, "next": None, "interval": asked["interval"]}
        )
