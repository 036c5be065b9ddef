"""What people own, over HTTP. A foreign portfolio is one that doesn't exist."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, inline_serializer
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portfolio import ledger, valuation
from portfolio.models import Portfolio
from portfolio.serializers.ledger import (
    ChangedPortfolio,
    NewPortfolio,
    PortfolioSerializer,
    PositionSerializer,
    as_errors,
)
from portfolio.topics import publish_on_commit, revalue
from portfolio.views.access import own_portfolio, writable_portfolio
from portfolio.views.figures import position_row


class Portfolios(generics.ListAPIView):
    """The user's portfolios."""

    serializer_class = PortfolioSerializer
    ordering = "id"

    def get_queryset(self) -> QuerySet[Portfolio]:
        return Portfolio.objects.visible_to(self.request.user).prefetch_related("cost_basis_changes")

    @extend_schema(request=NewPortfolio, responses={201: PortfolioSerializer})
    def post(self, request: Request) -> Response:
        """Make a portfolio."""
        body = NewPortfolio(data=request.data)
        body.is_valid(raise_exception=True)
        assert request.user.is_authenticated, "the permission class sees to it"
        portfolio = Portfolio.objects.create(owner=request.user, **body.validated_data)
        publish_on_commit(portfolio)
        return Response(PortfolioSerializer(portfolio).data, status=status.HTTP_201_CREATED)


class OnePortfolio(APIView):
    """A portfolio and what it is worth now."""

    @extend_schema(responses={200: OpenApiResponse(OpenApiTypes.OBJECT, "The portfolio, with a `portfolio_update`.")})
    def get(self, request: Request, portfolio_id: int) -> Response:
        """The portfolio with the figures of a `portfolio_update`."""
        portfolio = own_portfolio(request, portfolio_id)
        worth = revalue(portfolio, timezone.now()).worth
        return Response(
            {**PortfolioSerializer(portfolio).data, **valuation.payload(portfolio.pk, portfolio.name, worth)}
        )

    @extend_schema(request=ChangedPortfolio, responses=PortfolioSerializer)
    def patch(self, request: Request, portfolio_id: int) -> Response:
        """Change its name, or how it counts. Its currency stays: the rates in its ledger are into that."""
        portfolio = writable_portfolio(request, portfolio_id)
        body = ChangedPortfolio(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            changed = ledger.change(portfolio, timezone.now(), **body.validated_data)
        except ledger.Refused as refused:
            raise as_errors(refused.errors) from refused
        return Response(PortfolioSerializer(changed).data)


PositionsSerializer = inline_serializer(
    "Positions",
    {
        "results": PositionSerializer(many=True),
        "next": serializers.URLField(allow_null=True),
        "as_of": serializers.DateTimeField(),
        "stale": serializers.ListField(child=serializers.CharField()),
        "unpriced": serializers.ListField(child=serializers.CharField()),
        "unpriced_reasons": serializers.DictField(child=serializers.CharField()),
        "overdrawn": serializers.ListField(child=serializers.CharField()),
    },
)


class Positions(APIView):
    """What is held now, at the latest prices."""

    @extend_schema(responses=PositionsSerializer)
    def get(self, request: Request, portfolio_id: int) -> Response:
        """All positions in one page, with what the whole leaves out."""
        portfolio = own_portfolio(request, portfolio_id)
        return Response(positions_json(revalue(portfolio, timezone.now()).worth))


def positions_json(worth: valuation.Valuation) -> dict[str, Any]:
    """One page of positions, and of what the whole says what it leaves out."""
    whole = valuation.payload(0, "", worth)
    about = {name: whole[name] for name in ("as_of", "stale", "unpriced", "unpriced_reasons", "overdrawn")}
    rows = PositionSerializer([position_row(position) for position in worth.positions], many=True).data
    return {"results": rows, "next": None, **about}
