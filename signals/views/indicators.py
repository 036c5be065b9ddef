"""Indicators over HTTP: which there are, and what they say of an instrument."""

import math
import re
from typing import Any, Final

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion import payloads
from ingestion.candles import INTERVALS
from ingestion.permissions import MarketData
from ingestion.schemas import page
from ingestion.serializers import TimeField
from ingestion.views import instrument_called
from signals import readings
from signals.indicators import INDICATORS, Asked, Indicator, InvalidParameters, UnknownIndicator, asked
from signals.serializers.indicators import IndicatorReadingsSchema, IndicatorSchema
from worker.paging import results

AT_ONCE_MAX: Final = 10
ROWS_MAX: Final = 1_000
# Commas between parentheses are between parameters.
_BETWEEN: Final = re.compile(r",(?![^()]*\))")


class IndicatorRange(serializers.Serializer):
    """Which indicators, over which bars: the last `limit` closed ones before `end`."""

    name = serializers.CharField(help_text="as `rsi`, or `macd(12,26,9)`; several by comma, or repeated")
    interval = serializers.ChoiceField(choices=list(INTERVALS), required=False, default="1m")
    end = TimeField(required=False, default=None)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=ROWS_MAX)


class Readings(APIView):
    """What indicators say of an instrument."""

    permission_classes = [MarketData]

    @extend_schema(parameters=[IndicatorRange], responses=IndicatorReadingsSchema)
    def get(self, request: Request, symbol: str) -> Response:
        """Values by bar, oldest first, null while the window isn't full. Only closed bars; `live` is what the forming
        one would say if it closed now."""
        instrument = instrument_called(symbol)
        wanted = _wanted(request.query_params.getlist("name"))
        given = IndicatorRange(data=request.query_params)
        given.is_valid(raise_exception=True)
        interval = given.validated_data["interval"]
        found = readings.read(instrument, interval, wanted, given.validated_data["limit"], given.validated_data["end"])
        rows = [
            _row(bar, {label: {n: v[at] for n, v in named.items()} for label, named in found.columns.items()})
            for at, bar in enumerate(found.bars)
        ]
        answer = results(rows, None)
        answer.data |= {
            "symbol": symbol.upper(),
            "instrument": instrument.symbol,
            "interval": interval,
            "indicators": [_about(one) for one in wanted],
            "live": None if found.forming is None else _row(found.forming, found.live),
        }
        return answer


class Indicators(APIView):
    """The indicators that there are."""

    permission_classes = [MarketData]

    @extend_schema(responses=page(IndicatorSchema))
    def get(self, request: Request) -> Response:
        """All of them, with their parameters and variants."""
        return results([_described(indicator) for indicator in INDICATORS.values()], None)


def _wanted(names: list[str]) -> list[Asked]:
    parts = [part for name in names for part in _BETWEEN.split(name) if part.strip()]
    if not 1 <= len(parts) <= AT_ONCE_MAX:
        raise serializers.ValidationError({"name": [f"Name 1 to {AT_ONCE_MAX} indicators."]})
    try:
        return list({one.label: one for one in map(asked, parts)}.values())
    except (UnknownIndicator, InvalidParameters) as error:
        raise serializers.ValidationError({"name": [str(error)]}) from error


def _about(one: Asked) -> dict[str, Any]:
    indicator = one.indicator
    return {
        "label": one.label,
        "name": indicator.name,
        "variant": indicator.variant,
        "outputs": indicator.outputs,
        "lookback": one.lookback,
        "warmup": one.warmup,
    }


def _described(indicator: Indicator) -> dict[str, Any]:
    return {
        "name": indicator.name,
        "variant": indicator.variant,
        "outputs": indicator.outputs,
        "parameters": [
            {"name": p.name, "default": p.default, "min": p.least, "max": p.most, "whole": p.whole}
            for p in indicator.parameters
        ],
    }


def _row(bar: Any, values: dict[str, dict[str, float]]) -> dict[str, Any]:
    shown = {
        label: {name: value if math.isfinite(value) else None for name, value in named.items()}
        for label, named in values.items()
    }
    return {"time": payloads.iso(bar.time_us), "close": bar.close, "values": shown}
