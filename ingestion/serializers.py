"""The market's side as JSON, in and out, and the parameters of its lists."""

import datetime as dt
import re
from typing import Any, Final

from rest_framework import serializers

from ingestion import symbols
from ingestion.candles import INTERVALS
from ingestion.models import Instrument

ROWS_MAX: Final = 1000
PLACE: Final = re.compile(r"(\d{1,18}):(\d{1,4}):(\d{1,18})")


class InstrumentSerializer(serializers.ModelSerializer):
    """`symbol` is upper-cased, with `-` for `/`."""

    class Meta:
        model = Instrument
        fields = ["symbol", "name", "kind", "currency", "exchange"]
        extra_kwargs = {"symbol": {"validators": []}, "exchange": {"required": False}}

    def validate_symbol(self, value: str) -> str:
        symbol = symbols.normalize(value)
        if not symbols.SYMBOL.fullmatch(symbol):
            raise serializers.ValidationError(
                "A symbol has up to 32 characters, without spaces and none of : ? # % * \\"
            )
        if Instrument.objects.filter(symbol=symbol).exists():
            raise serializers.ValidationError(f"There is an instrument {symbol} already.")
        return symbol

    def validate_currency(self, value: str) -> str:
        return value.upper()


class TimeField(serializers.DateTimeField):
    """An ISO 8601 time; without an offset it is UTC."""

    def __init__(self, **more: Any) -> None:
        super().__init__(default_timezone=dt.UTC, **more)

    def to_internal_value(self, value: Any) -> dt.datetime:
        # A `+` that was not percent-encoded arrives as a blank.
        found: dt.datetime = super().to_internal_value(value.replace(" ", "+") if "T" in str(value) else value)
        return found


class Range(serializers.Serializer):
    """`start` ≤ time < `end`, `limit` rows."""

    start = TimeField(required=False, default=None)
    end = TimeField(required=False, default=None)
    limit = serializers.IntegerField(required=False, default=500, min_value=1, max_value=ROWS_MAX)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start, end = attrs["start"], attrs["end"]
        if start is not None and end is not None and start >= end:
            raise serializers.ValidationError({"end": "`end` must be later than `start`."})
        return attrs


class CandleRange(Range):
    """With the length of the candles."""

    interval = serializers.ChoiceField(choices=list(INTERVALS), required=False, default="1m")


class TradeRange(Range):
    """With the place after which to go on, as `next` gives it."""

    after = serializers.RegexField(PLACE, required=False, default=None)

    def validate_after(self, value: str | None) -> tuple[int, int, int] | None:
        if value is None:
            return None
        place = PLACE.fullmatch(value)
        if place is None:
            raise serializers.ValidationError("Take `after` from the address in `next`.")
        time_us, source, trade_id = (int(part) for part in place.groups())
        return time_us, source, trade_id
