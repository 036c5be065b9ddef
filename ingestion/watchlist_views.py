"""A user's own watchlists over HTTP. Somebody else's is one that doesn't exist."""

import logging
from typing import Any

import redis
from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion import symbols, watchlists
from ingestion.models import Watchlist, WatchlistItem
from ingestion.serializers import WatchlistItemSerializer, WatchlistSerializer

logger = logging.getLogger(__name__)


def of(request: Request) -> QuerySet[Watchlist]:
    """The asker's own lists: the only door to them."""
    return Watchlist.objects.filter(user_id=_asker(request))


def _asker(request: Request) -> int:
    assert request.user.is_authenticated, "the permission class sees to it"
    return request.user.pk


class Watchlists(generics.ListAPIView):
    """The user's watchlists, in their order."""

    serializer_class = WatchlistSerializer
    ordering = ("order", "id")

    def get_queryset(self) -> QuerySet[Watchlist]:
        return of(self.request).prefetch_related("items__instrument")

    @extend_schema(request=WatchlistSerializer, responses={201: WatchlistSerializer})
    def post(self, request: Request) -> Response:
        """Make a list, with items or without."""
        body = WatchlistSerializer(data=request.data, context={"request": request})
        body.is_valid(raise_exception=True)
        given = body.validated_data
        with transaction.atomic():
            place = _place_at_the_end(request)
            made = Watchlist.objects.create(
                user_id=_asker(request), name=given["name"], order=given.get("order", place)
            )
            _fill(made, given.get("items", []))
        return _told(request, made.pk, status.HTTP_201_CREATED)


class OneWatchlist(APIView):
    """One of the user's watchlists."""

    @extend_schema(responses=WatchlistSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """The list with its items."""
        return Response(WatchlistSerializer(get_object_or_404(of(request), pk=pk)).data)

    @extend_schema(request=WatchlistSerializer, responses=WatchlistSerializer)
    def put(self, request: Request, pk: int) -> Response:
        """Replace the list: its name, its place, and what is on it."""
        return self._change(request, pk, partial=False)

    @extend_schema(request=WatchlistSerializer, responses=WatchlistSerializer)
    def patch(self, request: Request, pk: int) -> Response:
        """Change what is named; the rest stays."""
        return self._change(request, pk, partial=True)

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Delete the list. The feeds forget what nobody else wants."""
        get_object_or_404(of(request), pk=pk).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _change(self, request: Request, pk: int, partial: bool) -> Response:
        with transaction.atomic():
            found = get_object_or_404(of(request).select_for_update(), pk=pk)
            body = WatchlistSerializer(found, data=request.data, partial=partial, context={"request": request})
            body.is_valid(raise_exception=True)
            given: dict[str, Any] = body.validated_data
            found.name, found.order = given.get("name", found.name), given.get("order", found.order)
            found.save(update_fields=["name", "order"])
            if "items" in given or not partial:
                found.items.all().delete()
                _fill(found, given.get("items", []))
        return _told(request, pk)


class WatchlistItems(APIView):
    """What is on one of the user's watchlists."""

    @extend_schema(request=WatchlistItemSerializer, responses={201: WatchlistSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Put an instrument at the end of the list; one that is on it keeps its place and takes the note."""
        body = WatchlistItemSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        instrument, note = body.validated_data["instrument"], body.validated_data["note"]
        with transaction.atomic():
            found = get_object_or_404(of(request).select_for_update(), pk=pk)
            if not found.items.filter(instrument=instrument).update(note=note):
                _refuse_too_many(found)
                last = found.items.aggregate(last=Max("order"))["last"]
                found.items.create(instrument=instrument, note=note, order=0 if last is None else last + 1)
        return _told(request, pk, status.HTTP_201_CREATED)


class OneWatchlistItem(APIView):
    """One instrument on one of the user's watchlists."""

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, pk: int, symbol: str) -> Response:
        """Take it off the list."""
        found = get_object_or_404(of(request), pk=pk)
        try:
            instrument = symbols.resolve(symbol)
        except symbols.UnknownSymbol:
            instrument = None
        get_object_or_404(found.items, instrument=instrument).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


def _place_at_the_end(request: Request) -> int:
    """Where a new list goes. 400 where the user has as many as one may have."""
    mine = of(request)
    if mine.count() >= settings.MAX_WATCHLISTS_PER_USER:
        raise serializers.ValidationError(
            {"name": [f"You have {settings.MAX_WATCHLISTS_PER_USER} watchlists already."]}
        )
    last = mine.aggregate(last=Max("order"))["last"]
    return 0 if last is None else last + 1


def _refuse_too_many(watchlist: Watchlist) -> None:
    if watchlist.items.count() >= settings.MAX_ITEMS_PER_WATCHLIST:
        most = settings.MAX_ITEMS_PER_WATCHLIST
        raise serializers.ValidationError({"symbol": [f"A watchlist has at most {most} items."]})


def _fill(watchlist: Watchlist, items: list[dict[str, Any]]) -> None:
    WatchlistItem.objects.bulk_create(
        WatchlistItem(watchlist=watchlist, instrument=item["instrument"], note=item["note"], order=place)
        for place, item in enumerate(items)
    )


def _told(request: Request, pk: int, code: int = status.HTTP_200_OK) -> Response:
    """The list as it is now; the feeds hear of it."""
    found = of(request).prefetch_related("items__instrument").get(pk=pk)
    try:
        watchlists.want(found)
    except redis.RedisError as error:
        # The scheduled task tells them within WATCHLIST_INTERVAL_S.
        logger.warning("the feeds were not told of a watchlist: %s", error)
    return Response(WatchlistSerializer(found).data, status=code)
