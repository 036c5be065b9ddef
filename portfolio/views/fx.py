"""Exchange rates by day, over HTTP: what counts on a day, and what staff enter."""

import datetime as dt
from operator import itemgetter
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, PolymorphicProxySerializer, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion.models import FxRate
from ingestion.permissions import MarketData
from ingestion.rows import checked
from portfolio import currencies
from portfolio.money import plain
from portfolio.rates import ALWAYS, MANUAL
from portfolio.serializers.fx import DatedRate, KnownRate, NewRate, RateQuery, StoredRates


class Rates(APIView):
    """What one currency is in another, by day."""

    permission_classes = [MarketData]

    @extend_schema(
        parameters=[RateQuery],
        responses=OpenApiResponse(
            PolymorphicProxySerializer(
                component_name="FxRates",
                serializers=[
                    KnownRate,
                    inline_serializer(
                        "FxRange",
                        {"results": DatedRate(many=True), "next": serializers.URLField(allow_null=True)},
                    ),
                ],
                resource_type_field_name=None,
                many=False,
            ),
            "One rate; with `start` or `end` those of each day.",
        ),
    )
    def get(self, request: Request) -> Response:
        """The rate that counts on `date`, at most FX_MAX_AGE_DAYS old; or each day's own from `start` to `end`."""
        query = RateQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        if asked["start"] is None and asked["end"] is None:
            return Response(_on(asked["base"], asked["quote"], asked["date"] or timezone.now().date()))
        return Response(_between(request, asked))

    @extend_schema(request=NewRate(many=True), responses=StoredRates)
    def put(self, request: Request) -> Response:
        """Store rates; a pair and day that was entered before takes the new one. They count before a source's own.

        All of them or none: an error names the row, by its number from 1, and then nothing was written.
        """
        key = itemgetter("base", "quote", "date")
        rows = checked(
            request.data, NewRate, "rates", settings.FX_MAX_ROWS, key, {"today": timezone.now().date()}
        )  # fmt: skip
        now = timezone.now()
        # In one order, so that two who enter the same days wait for each other instead of locking up.
        FxRate.objects.bulk_create(
            [FxRate(**row, source=MANUAL, received_at=now) for row in sorted(rows, key=key)],
            update_conflicts=True,
            unique_fields=["base", "quote", "date", "source"],
            update_fields=["rate", "received_at"],
        )
        return Response({"stored": len(rows)})


def _on(base: str, quote: str, day: dt.date) -> dict[str, Any]:
    found = currencies.rate_on(base, quote, day)
    return {
        "base": base,
        "quote": quote,
        "date": day,
        "rate": None if found is None else plain(found.value),
        "day": None if found is None else day if found.day == ALWAYS else found.day,
        "source": None if found is None else found.source,
        "reason": currencies.no_rate(base, quote, day) if found is None else None,
    }


def _between(request: Request, asked: dict[str, Any]) -> dict[str, Any]:
    start, end = asked["start"] or dt.date.min, asked["end"] or timezone.now().date()
    known = currencies.rates_between(asked["quote"], [asked["base"]], start, end)[asked["base"]]
    found = [(day, rate) for day, rate in known if day >= start]
    page, more = found[: asked["limit"]], found[asked["limit"] :]
    following = None
    if more:
        query = {**request.query_params.dict(), "start": more[0][0].isoformat()}
        following = request.build_absolute_uri("?" + urlencode(query))
    return {"results": [{"date": day, "rate": plain(rate)} for day, rate in page], "next": following}
