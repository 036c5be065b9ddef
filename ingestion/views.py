"""The market over HTTP: instruments, and what the topics say as a fallback for polling clients."""

import time
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from ingestion import latest, payloads, status, store, symbols
from ingestion.candles import INTERVALS, Bar
from ingestion.models import Instrument
from ingestion.permissions import MarketData
from ingestion.providers import SOURCE_NAMES
from ingestion.serializers import CandleRange, InstrumentSerializer, TradeRange
from ingestion.topics import newest_bar
from worker.paging import results

ROWS = OpenApiResponse(OpenApiTypes.OBJECT, "`{results, next}`, oldest first.")


def instrument_called(name: str) -> Instrument:
    """By any of its names; else 404."""
    try:
        return symbols.resolve(name)
    except symbols.UnknownSymbol as unknown:
        raise NotFound(str(unknown)) from unknown


class Instruments(generics.ListCreateAPIView):
    """Everything that has a price here. Staff may add to it."""

    serializer_class = InstrumentSerializer
    permission_classes = [MarketData]
    ordering = "symbol"

    def get_queryset(self) -> QuerySet[Instrument]:
        return Instrument.objects.all()


class LatestPrice(APIView):
    """The newest price of an instrument."""

    permission_classes = [MarketData]

    @extend_schema(responses={200: OpenApiResponse(OpenApiTypes.OBJECT, "As the topic's `asset_update`.")})
    def get(self, request: Request, symbol: str) -> Response:
        """As the `price` topic tells it."""
        instrument = instrument_called(symbol)
        found = latest.get([instrument.id]).get(instrument.id)
        if found is None:
            raise NotFound(f"There is no price of {instrument.symbol} yet.")
        return Response(_echoed(payloads.price(instrument.symbol, found), symbol))


class Candles(APIView):
    """The candles of an instrument."""

    permission_classes = [MarketData]

    @extend_schema(parameters=[CandleRange], responses={200: ROWS})
    def get(self, request: Request, symbol: str) -> Response:
        """The first `limit` from `start`, or without it the newest, which include the bar in progress."""
        instrument = instrument_called(symbol)
        asked = _asked(CandleRange, request)
        interval = asked["interval"]
        bars = store.candles(instrument.id, interval, asked["start"], asked["end"], asked["limit"])
        if asked["end"] is None:
            bars = _with_newest(bars, newest_bar(instrument.id, interval), asked["limit"], asked["start"] is None)
        rows = [
            _echoed(payloads.candle(instrument.symbol, interval, bar, SOURCE_NAMES[bar.source]), symbol) for bar in bars
        ]
        return results(rows, self._next(request, asked, bars))

    def _next(self, request: Request, asked: dict[str, Any], bars: list[Bar]) -> str | None:
        """The page after a full one that began at `start`."""
        if asked["start"] is None or len(bars) < asked["limit"]:
            return None
        following = bars[-1].time_us + INTERVALS[asked["interval"]]
        return str(replace_query_param(request.build_absolute_uri(), "start", payloads.iso(following)))


class Trades(APIView):
    """The trades of an instrument."""

    permission_classes = [MarketData]

    @extend_schema(parameters=[TradeRange], responses={200: ROWS})
    def get(self, request: Request, symbol: str) -> Response:
        """The first `limit` from `start` (or after the place `after`), or with neither the newest."""
        instrument = instrument_called(symbol)
        asked = _asked(TradeRange, request)
        rows = store.trades(instrument.id, asked["start"], asked["end"], asked["limit"], asked["after"])
        told = [payloads.trade(row) | {"source": SOURCE_NAMES[row.source]} for row in rows]
        return results(told, self._next(request, asked, rows))

    def _next(self, request: Request, asked: dict[str, Any], rows: list[store.StoredTrade]) -> str | None:
        if len(rows) < asked["limit"] or (asked["start"] is None and asked["after"] is None):
            return None
        place = ":".join(map(str, rows[-1].place))
        return str(replace_query_param(request.build_absolute_uri(), "after", place))


class Feeds(APIView):
    """How the feeds are doing."""

    permission_classes = [MarketData]

    @extend_schema(responses={200: ROWS})
    def get(self, request: Request) -> Response:
        """As each listener last told."""
        now_us = time.time_ns() // 1000
        return results([_feed(feed, now_us) for feed in status.feeds(now_us)])


def _asked(serializer: type[CandleRange] | type[TradeRange], request: Request) -> dict[str, Any]:
    """The query's parameters; 400 names what is wrong with them."""
    query = serializer(data=request.query_params.dict())
    query.is_valid(raise_exception=True)
    return dict(query.validated_data)


def _echoed(data: payloads.Payload, asked: str) -> payloads.Payload:
    return data | {"symbol": asked.upper()}


def _with_newest(bars: list[Bar], newest: Bar | None, limit: int, from_the_end: bool) -> list[Bar]:
    """The stored bars with the one in progress in its place: it is ahead of the disk by a moment."""
    if newest is None or (bars and bars[-1].source != newest.source):
        return bars
    if bars and bars[-1].time_us == newest.time_us:
        return [*bars[:-1], newest]
    if bars and bars[-1].time_us < newest.time_us and (from_the_end or len(bars) < limit):
        return [*bars, newest][-limit:]
    return bars or ([newest] if from_the_end else [])


def _feed(feed: status.FeedStatus, now_us: int) -> dict[str, Any]:
    return {
        "provider": feed.provider,
        "state": feed.state,
        "last_tick_age_s": feed.last_tick_age_s(now_us),
        "ticks_per_s": feed.ticks_per_s,
        "reconnects": feed.reconnects,
        "gaps_open": feed.gaps_open,
        "latency_ms": feed.latency_ms,
        "symbols": feed.symbols,
        "malformed": feed.malformed,
        "quarantined": feed.quarantined,
        "dropped": feed.dropped,
        "journal_full": feed.journal_full,
    }
