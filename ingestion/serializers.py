"""The market's side as JSON, in and out, and the parameters of its lists."""

import datetime as dt
import re
from typing import Any, Final

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ingestion import control, sessions, symbols
from ingestion.candles import INTERVALS
from ingestion.models import Instrument, VenueSymbol, Watchlist
from ingestion.rest.quoted import MINOR_UNITS

ROWS_MAX: Final = 1000
BOOK_DEPTH_MAX: Final = 50
PLACE: Final = re.compile(r"(\d{1,18}):(\d{1,4}):(\d{1,18})")
# ASCII digits only: Decimal() also takes "1_000", Arabic digits and "Infinity".
PLAIN_NUMBER: Final = re.compile(r"-?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
CURRENCY: Final = re.compile(r"[A-Za-z0-9]{2,8}", re.ASCII)
EARLIEST_DAY: Final = dt.date(1900, 1, 1)


class StrictSerializer(serializers.Serializer):
    """Refuses fields that it doesn't know: ignoring one would be a silent loss."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(set(data) - set(self.fields))):
            raise serializers.ValidationError({name: ["There is no such field here."] for name in unknown})
        return super().to_internal_value(data)


@extend_schema_field(OpenApiTypes.STR)
class SymbolField(serializers.Field):
    """An instrument, by any of its names."""

    def to_internal_value(self, data: object) -> Instrument:
        if not isinstance(data, str):
            raise serializers.ValidationError("A symbol is a string.")
        try:
            return symbols.resolve(data)
        except symbols.UnknownSymbol as error:
            raise serializers.ValidationError(str(error)) from error

    def to_representation(self, value: Instrument) -> str:
        return value.symbol


class StepField(serializers.DecimalField):
    """An exact step or bound, as a plain decimal string without idle zeros."""

    def __init__(self, **more: Any) -> None:
        super().__init__(max_digits=38, decimal_places=18, **more)

    def to_representation(self, value: Any) -> Any:
        return None if value is None else f"{value.normalize():f}"


class VenueSymbolSerializer(serializers.ModelSerializer):
    """What a provider calls an instrument, from when until when, and what it allows."""

    tick_size = StepField(read_only=True, allow_null=True)
    lot_size = StepField(read_only=True, allow_null=True)
    min_notional = StepField(read_only=True, allow_null=True)

    class Meta:
        model = VenueSymbol
        fields = [
            "provider", "symbol", "status", "valid_from", "valid_until", "tick_size", "lot_size", "min_notional",
            "price_precision", "quantity_precision", "minor_units", "checked_at",
        ]  # fmt: skip
        read_only_fields = fields


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
        """GBp, GBX, ILA and ZAc, in which prices are quoted by the hundredth, stay as they are."""
        code = value if value in MINOR_UNITS else value.upper()
        if not CURRENCY.fullmatch(code):
            raise serializers.ValidationError("A currency is a code of two to eight letters and digits, such as USD.")
        return code


class InstrumentDetail(serializers.ModelSerializer):
    """An instrument with what the venues call it, those of the past too."""

    calendar = serializers.SerializerMethodField(help_text="when it trades: 24/7, 24/5, or an exchange's code")
    venue_symbols = VenueSymbolSerializer(many=True, read_only=True)

    class Meta:
        model = Instrument
        fields = ["symbol", "name", "kind", "currency", "exchange", "calendar", "followed", "venue_symbols"]
        read_only_fields = fields

    def get_calendar(self, instrument: Instrument) -> str:
        return sessions.name_of(instrument)


class InstrumentFilter(serializers.Serializer):
    """Which instruments: of a kind, on an exchange, known to a provider, or with this in a name."""

    kind = serializers.ChoiceField(choices=Instrument.Kind.choices, required=False)
    exchange = serializers.CharField(required=False, max_length=16)
    provider = serializers.CharField(required=False, max_length=16)
    search = serializers.CharField(required=False, max_length=64)


class PriceField(StepField):
    """A price above zero: a decimal string, or a number, of which the printed digits count."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            raise serializers.ValidationError("A number is expected.")
        text = repr(data) if isinstance(data, float) else str(data)
        if not PLAIN_NUMBER.fullmatch(text):
            raise serializers.ValidationError("A plain decimal number is expected.")
        value = super().to_internal_value(text)
        if value <= 0:
            raise serializers.ValidationError("It must be more than zero.")
        return value


class PastDateField(serializers.DateField):
    """A day from 1900 on that has come; the context tells `today`."""

    def to_internal_value(self, value: Any) -> dt.date:
        day: dt.date = super().to_internal_value(value)
        if day < EARLIEST_DAY:
            raise serializers.ValidationError(f"Not before {EARLIEST_DAY}.")
        if day > self.context["today"]:
            raise serializers.ValidationError("This day has not been yet.")
        return day


class ClosePrice(StrictSerializer):
    """The close of a day."""

    date = PastDateField()
    close = PriceField()


class DayRange(serializers.Serializer):
    """`start` ≤ date ≤ `end`, `limit` rows."""

    start = serializers.DateField(required=False, default=None)
    end = serializers.DateField(required=False, default=None)
    limit = serializers.IntegerField(required=False, default=500, min_value=1, max_value=ROWS_MAX)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start, end = attrs["start"], attrs["end"]
        if start is not None and end is not None and start > end:
            raise serializers.ValidationError({"end": "`end` must not be before `start`."})
        return attrs


class StoredPrices(serializers.Serializer):
    """How many of the closes are now on disk."""

    stored = serializers.IntegerField()


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
    """With the length of the candles.

    fill: `empty` puts a bar wherever nothing was traded while the market was open. adjust: for splits, for splits and
    dividends (`total`), or not at all.
    """

    interval = serializers.ChoiceField(choices=list(INTERVALS), required=False, default="1m")
    fill = serializers.ChoiceField(choices=["empty"], required=False, default=None)
    adjust = serializers.ChoiceField(choices=["split", "total", "none"], required=False, default="split")


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


class BookDepth(serializers.Serializer):
    """How many levels a side."""

    depth = serializers.IntegerField(required=False, default=10, min_value=1, max_value=BOOK_DEPTH_MAX)


# --- Watchlists -----------------------------------------------------------------------------------------------


class WatchlistItemSerializer(StrictSerializer):
    """An instrument on a list, by any of its names."""

    symbol = SymbolField(source="instrument")
    note = serializers.CharField(max_length=256, required=False, allow_blank=True, default="")


class WatchlistSerializer(StrictSerializer):
    """A list and what is on it, in its order. Given `items` replace those that were there."""

    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(max_length=64)
    order = serializers.IntegerField(min_value=0, max_value=10_000, required=False)
    items = WatchlistItemSerializer(many=True, required=False)

    def validate_items(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len(value) > settings.MAX_ITEMS_PER_WATCHLIST:
            raise serializers.ValidationError(f"A watchlist has at most {settings.MAX_ITEMS_PER_WATCHLIST} items.")
        named = [item["instrument"] for item in value]
        twice = {instrument.symbol for instrument in named if named.count(instrument) > 1}
        if twice:
            raise serializers.ValidationError(f"More than once: {', '.join(sorted(twice))}.")
        return value

    def validate_name(self, value: str) -> str:
        others = Watchlist.objects.filter(user=self.context["request"].user, name=value)
        if self.instance is not None:
            others = others.exclude(pk=self.instance.pk)
        if others.exists():
            raise serializers.ValidationError(f"You have a watchlist “{value}” already.")
        return value


# --- Feeds ----------------------------------------------------------------------------------------------------


class FeedAction(StrictSerializer):
    """What to do with a feed, why, and for a pause until when."""

    action = serializers.ChoiceField(choices=list(control.ACTIONS))
    reason = serializers.CharField(max_length=256, required=False, allow_blank=True, default="")
    until = TimeField(required=False, default=None, allow_null=True)
