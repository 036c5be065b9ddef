"""The market over HTTP: what the topics say, as a fallback for clients that poll."""

import time
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from ingestion import latest, payloads, store, symbols
from ingestion.candles import INTERVALS, Bar
from ingestion.models import Instrument
from ingestion.permissions import MarketData
from ingestion.providers import SOURCE_NAMES
from ingestion.schemas import BookSchema, CandleSchema, PriceSchema, TradeSchema, page
from ingestion.serializers import BookDepth, CandleRange, TradeRange
from ingestion.topics import book_payload, newest_bar
from worker.paging import results


def instrument_called(name: str) -> Instrument:
    """By any of its names; else 404."""
    try:
        return symbols.resolve(name)
    except symbols.UnknownSymbol as unknown:
        raise NotFound(str(unknown)) from unknown


class LatestPrice(APIView):
    """The newest price of an instrument."""

    permission_classes = [MarketData]

    @extend_schema(responses=PriceSchema)
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

    @extend_schema(operation_id="market_candles_list", parameters=[CandleRange], responses=page(CandleSchema))
    def get(self, request: Request, symbol: str) -> Response:
        """The first `limit` from `start`, or without it the newest, which include the bar in progress."""
        instrument = instrument_called(symbol)
        asked = _asked(CandleRange, request)
        interval, adjust = asked["interval"], None if asked["adjust"] == "none" else asked["adjust"]
        bars = store.candles(
            instrument.id,
            interval,
            asked["start"],
            asked["end"],
            asked["limit"],
            fill=asked["fill"],
            adjust=adjust,
        )
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

    @extend_schema(operation_id="market_trades_list", parameters=[TradeRange], responses=page(TradeSchema))
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


class Book(APIView):
    """The venue's order book of an instrument."""

    permission_classes = [MarketData]

    @extend_schema(parameters=[BookDepth], responses=BookSchema)
    def get(self, request: Request, symbol: str) -> Response:
        """The best `depth` levels a side; `status` tells whether they are live."""
        instrument = instrument_called(symbol)
        depth = _asked(BookDepth, request)["depth"]
        found = book_payload(instrument, time.time_ns() // 1000)
        sides = {side: list(found[side])[:depth] for side in ("bids", "asks")}
        shown = sides | {"depth": max(len(levels) for levels in sides.values())}
        return Response(_echoed(found | shown, symbol))


def _asked(serializer: type[serializers.Serializer], request: Request) -> dict[str, Any]:
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
