"""Several portfolios as one, over HTTP. A foreign household is one that doesn't exist."""

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portfolio import households, returns, valuation
from portfolio.marking import Unpriced
from portfolio.models import Household
from portfolio.serializers.performance import PerformanceQuery, performance_json
from portfolio.serializers.sharing import HouseholdBody, HouseholdSerializer
from portfolio.views import performance
from portfolio.views.portfolios import PositionsSerializer, positions_json


def own_household(request: Request, household_id: int) -> Household:
    """The household, if it is the user's; else 404, whether it exists or not."""
    found = Household.objects.visible_to(request.user).filter(pk=household_id).first()
    if found is None:
        raise NotFound
    return found


class Households(generics.ListAPIView):
    """The user's households."""

    serializer_class = HouseholdSerializer
    ordering = "id"

    def get_queryset(self) -> QuerySet[Household]:
        return Household.objects.visible_to(self.request.user).select_related("owner")

    @extend_schema(request=HouseholdBody, responses={201: HouseholdSerializer})
    def post(self, request: Request) -> Response:
        """Put portfolios together."""
        body = HouseholdBody(data=request.data, context={"user": request.user})
        body.is_valid(raise_exception=True)
        assert request.user.is_authenticated, "the permission class sees to it"
        household = Household(owner=request.user)
        _change(household, dict(body.validated_data))
        return Response(HouseholdSerializer(household).data, status=status.HTTP_201_CREATED)


class OneHousehold(APIView):
    """A household and what it is worth now."""

    @extend_schema(
        operation_id="household", responses={200: OpenApiResponse(OpenApiTypes.OBJECT, "With a portfolio's figures.")}
    )
    def get(self, request: Request, household_id: int) -> Response:
        """The household with the figures of a `portfolio_update`, of all its members together."""
        household = own_household(request, household_id)
        figures = valuation.payload(household.pk, household.name, _worth(household, timezone.now()))
        del figures["portfolio_id"]
        return Response({**HouseholdSerializer(household).data, **figures})

    @extend_schema(request=HouseholdBody(partial=True), responses=HouseholdSerializer)
    def patch(self, request: Request, household_id: int) -> Response:
        """Change its name, its currency or its members; `portfolios` replaces those that were there."""
        household = own_household(request, household_id)
        body = HouseholdBody(household, data=request.data, partial=True, context={"user": request.user})
        body.is_valid(raise_exception=True)
        _change(household, dict(body.validated_data))
        return Response(HouseholdSerializer(household).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, household_id: int) -> Response:
        """Its portfolios stay as they are."""
        own_household(request, household_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class HouseholdPositions(APIView):
    """What all members hold, summed by instrument."""

    @extend_schema(operation_id="household_positions", responses=PositionsSerializer)
    def get(self, request: Request, household_id: int) -> Response:
        """All positions in one page, costs in the household's currency."""
        household = own_household(request, household_id)
        return Response(positions_json(_worth(household, timezone.now())))


class HouseholdPerformance(APIView):
    """How the members have done as one."""

    @extend_schema(
        operation_id="household_performance",
        parameters=[PerformanceQuery],
        responses={200: OpenApiResponse(OpenApiTypes.OBJECT, "As a portfolio's performance.")},
    )
    def get(self, request: Request, household_id: int) -> Response:
        """What went from one member to another is no flow."""
        household = own_household(request, household_id)
        now = timezone.now()
        query = performance.read(PerformanceQuery, request, now)
        base = household.base_currency
        try:
            measured = returns.measure_household(household.portfolios(), base, performance.asked(query), now)
        except Unpriced as error:
            raise _unrated(error) from error
        return Response(performance_json(measured, base, now, query))


def _change(household: Household, given: dict[str, Any]) -> None:
    """Raises ValidationError where another household took the name a moment ago."""
    members = given.pop("portfolios", None)
    for name, value in given.items():
        setattr(household, name, value)
    try:
        with transaction.atomic():
            household.save()
            if members is not None:
                household.members.set(members)
    except IntegrityError as error:
        raise serializers.ValidationError({"name": ["You have a household of this name already."]}) from error


def _worth(household: Household, now: datetime) -> valuation.Valuation:
    try:
        return households.value(household, now)
    except Unpriced as error:
        raise _unrated(error) from error


def _unrated(error: Unpriced) -> serializers.ValidationError:
    """A member whose own currency can't be told in the household's."""
    return serializers.ValidationError({"base_currency": [f"{error} Enter one: PUT /api/fx/."]})
