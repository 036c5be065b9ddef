"""Instruments over HTTP: what there is, under which names, and prices that staff enter by hand."""

import datetime as dt
import time
from operator import itemgetter
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view, inline_serializer
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion import markets, store
from ingestion.models import Instrument, PostedPrice
from ingestion.permissions import MarketData
from ingestion.providers import SOURCES
from ingestion.rows import checked
from ingestion.serializers import (
    ClosePrice,
    DayRange,
    InstrumentDetail,
    InstrumentFilter,
    InstrumentSerializer,
    StoredPrices,
)
from ingestion.ticks import VenueBar
from ingestion.views import instrument_called

DAY: str = "1d"


@extend_schema_view(get=extend_schema(parameters=[InstrumentFilter]))
class Instruments(generics.ListCreateAPIView):
    """Everything that has a price here. Staff may add to it."""

    serializer_class = InstrumentSerializer
    permission_classes = [MarketData]
    ordering = "symbol"

    def get_queryset(self) -> QuerySet[Instrument]:
        query = InstrumentFilter(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        rows = Instrument.objects.all()
        if "kind" in asked:
            rows = rows.filter(kind=asked["kind"])
        if "exchange" in asked:
            rows = rows.filter(exchange__iexact=asked["exchange"])
        if "provider" in asked:
            rows = rows.filter(venue_symbols__provider=asked["provider"], venue_symbols__valid_until=None).distinct()
        if "search" in asked:
            rows = _named(rows, asked["search"])
        return rows


class OneInstrument(generics.RetrieveAPIView):
    """An instrument, by any of its names, with what the venues call it and what they allow."""

    serializer_class = InstrumentDetail
    permission_classes = [MarketData]

    def get_object(self) -> Instrument:
        return instrument_called(self.kwargs["symbol"])


class Prices(APIView):
    """Closing prices that no provider tells, such as a fund's: raw, in what the instrument is priced in."""

    permission_classes = [MarketData]

    @extend_schema(
        parameters=[DayRange],
        responses=inline_serializer(
            "PostedPrices",
            {"results": ClosePrice(many=True), "next": serializers.URLField(allow_null=True)},
        ),
    )
    def get(self, request: Request, symbol: str) -> Response:
        """The closes that were entered, oldest first."""
        query = DayRange(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        rows = PostedPrice.objects.filter(instrument=instrument_called(symbol)).order_by("date")
        if asked["start"] is not None:
            rows = rows.filter(date__gte=asked["start"])
        if asked["end"] is not None:
            rows = rows.filter(date__lte=asked["end"])
        found = list(rows[: asked["limit"] + 1])
        page, more = found[: asked["limit"]], found[asked["limit"] :]
        following = None if not more else _from(request, more[0].date)
        return Response({"results": ClosePrice(page, many=True).data, "next": following})

    @extend_schema(request=ClosePrice(many=True), responses=StoredPrices)
    def put(self, request: Request, symbol: str) -> Response:
        """Store the closes; a day that was there takes the new price. They are daily bars of the source `manual` too.

        All of them or none: an error names the row, by its number from 1, and then nothing was written.
        """
        instrument = instrument_called(symbol)
        rows = checked(
            request.data, ClosePrice, "prices", settings.PRICES_MAX_ROWS, itemgetter("date"),
            {"today": timezone.now().date()},
        )  # fmt: skip
        _store(instrument, rows, request.user)
        return Response({"stored": len(rows)})


def _from(request: Request, day: dt.date) -> str:
    """The same question, from a later day on."""
    query = {**request.query_params.dict(), "start": day.isoformat()}
    return request.build_absolute_uri("?" + urlencode(query))


def _store(instrument: Instrument, rows: list[dict[str, Any]], who: Any) -> None:
    """Sorted by date, so that two who enter the same days wait for each other instead of locking up."""
    now = timezone.now()
    ordered = sorted(rows, key=lambda row: row["date"])
    bars = [_bar(instrument.symbol, row["date"], float(row["close"])) for row in ordered]
    with transaction.atomic():
        PostedPrice.objects.bulk_create(
            [PostedPrice(instrument=instrument, posted_by=who, posted_at=now, **row) for row in ordered],
            update_conflicts=True,
            unique_fields=["instrument", "date"],
            update_fields=["close", "posted_by", "posted_at"],
        )
        store.write_venue_bars(SOURCES["manual"], bars, {instrument.symbol: instrument.pk})
    markets.forget()


def _named(rows: QuerySet[Instrument], search: str) -> QuerySet[Instrument]:
    spelled = search.replace("/", "-")
    hit = Q(symbol__icontains=spelled) | Q(name__icontains=search)
    return rows.filter(hit | Q(venue_symbols__symbol__icontains=search)).distinct()


def _bar(symbol: str, day: dt.date, close: float) -> VenueBar:
    """A day of which only the close is known."""
    begins_us = store.to_us(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC))
    return VenueBar(symbol, DAY, begins_us, time.time_ns() // 1000, close, close, close, close, None, final=True)
