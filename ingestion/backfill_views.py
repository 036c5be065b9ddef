"""Backfills and gaps over HTTP: whoever may read the market sees them, staff start, stop and retry."""

from typing import Any

import msgspec
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion import backfill, gaps
from ingestion.backfill_serializers import (
    BackfillDetailSerializer,
    BackfillFilter,
    BackfillSerializer,
    BackfillWish,
    CoverageFilter,
    CoverageSerializer,
    EstimateSchema,
    GapFilter,
    GapSerializer,
)
from ingestion.models import Backfill, Coverage, Gap
from ingestion.permissions import MarketData


def _asked(form: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    """The query's parameters; 400 names what is wrong with them."""
    query = form(data=request.query_params.dict())
    query.is_valid(raise_exception=True)
    return dict(query.validated_data)


class Backfills(generics.ListAPIView):
    """History that was asked for, newest first."""

    serializer_class = BackfillSerializer
    permission_classes = [MarketData]

    def get_queryset(self) -> QuerySet[Backfill]:
        asked = _asked(BackfillFilter, self.request)
        names = {"status": "job__status"}
        return Backfill.objects.select_related("job").filter(**{names.get(k, k): v for k, v in asked.items()})

    @extend_schema(parameters=[BackfillFilter])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Of all providers, unless one is named."""
        return self.list(request, *args, **kwargs)

    @extend_schema(
        request=BackfillWish,
        responses={200: OpenApiResponse(EstimateSchema, "`dry_run`: what it would take."), 202: BackfillSerializer},
    )
    def post(self, request: Request) -> Response:
        """Ask for history; with `dry_run` only for what it would take. Staff."""
        body = BackfillWish(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        try:
            wish = backfill.wish_of(
                given["provider"], given["interval"], given["symbols"], given["start"], given["end"] or timezone.now(),
                given["verify"],
            )  # fmt: skip
            if given["dry_run"]:
                return Response(_told(wish, backfill.planned(wish)))
            row = backfill.start(wish, request.user)
        except backfill.Impossible as impossible:
            raise ValidationError({impossible.field: [str(impossible)]}) from impossible
        return Response(BackfillSerializer(row).data, status.HTTP_202_ACCEPTED)


def _told(wish: backfill.Wish, plan: backfill.Plan) -> dict[str, Any]:
    estimate = msgspec.structs.asdict(plan.estimate)
    return {"provider": wish.provider, "interval": wish.kind, **estimate, "left_out": plan.left_out}


class OneBackfill(generics.RetrieveAPIView):
    """One of them, with what its chunks did."""

    serializer_class = BackfillDetailSerializer
    permission_classes = [MarketData]
    queryset = Backfill.objects.select_related("job")


class CancelBackfill(APIView):
    """The end of one before its time."""

    permission_classes = [MarketData]

    @extend_schema(request=None, responses={200: BackfillSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """What it has fetched stays. One that has ended stays as it is. Staff."""
        row = get_object_or_404(Backfill.objects.select_related("job"), pk=pk)
        backfill.cancel(row, str(request.user))
        return Response(BackfillSerializer(row).data)


class Coverages(generics.ListAPIView):
    """Which times were fetched whole, of which instrument, interval and provider."""

    serializer_class = CoverageSerializer
    permission_classes = [MarketData]
    ordering = ("start", "id")

    def get_queryset(self) -> QuerySet[Coverage]:
        asked = _asked(CoverageFilter, self.request)
        names = {"symbol": "instrument", "interval": "kind"}
        rows = Coverage.objects.select_related("instrument")
        return rows.filter(**{names.get(k, k): v for k, v in asked.items()})

    @extend_schema(parameters=[CoverageFilter])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Oldest first."""
        return self.list(request, *args, **kwargs)


class Gaps(generics.ListAPIView):
    """What is missing, newest first, and what became of it."""

    serializer_class = GapSerializer
    permission_classes = [MarketData]
    ordering = ("-started_at", "-id")

    def get_queryset(self) -> QuerySet[Gap]:
        asked = _asked(GapFilter, self.request)
        rows = Gap.objects.select_related("instrument")
        return rows.filter(**{"instrument" if k == "symbol" else k: v for k, v in asked.items()})

    @extend_schema(parameters=[GapFilter])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Of all feeds, unless one is named."""
        return self.list(request, *args, **kwargs)


class RetryGap(APIView):
    """Another try for a gap that was given up."""

    permission_classes = [MarketData]

    @extend_schema(request=None, responses={200: GapSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """It is open again; one that is open or filled stays as it is. Staff."""
        gap = get_object_or_404(Gap.objects.select_related("instrument"), pk=pk)
        gaps.reopen(gap)
        gap.refresh_from_db()
        return Response(GapSerializer(gap).data)
