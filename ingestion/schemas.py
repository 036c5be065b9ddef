"""The shapes of what the market's HTTP calls answer, for the OpenAPI document. The payloads themselves are made in
`payloads.py` and shared with the topics; a test holds the two together."""

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers


def page(row: type[serializers.Serializer]) -> Any:
    """A list of these rows as every list comes: `{results, next}`."""
    return inline_serializer(
        f"PageOf{row.__name__.removesuffix('Schema')}",
        {"results": row(many=True), "next": serializers.URLField(allow_null=True)},
    )


class PriceSchema(serializers.Serializer):
    """As the topic's `asset_update`. Unknown is null."""

    symbol = serializers.CharField()
    instrument = serializers.CharField()
    price = serializers.FloatField(allow_null=True)
    change = serializers.FloatField(allow_null=True)
    change_percent = serializers.FloatField(allow_null=True)
    volume = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    bid = serializers.FloatField(allow_null=True)
    ask = serializers.FloatField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment]
    quality = serializers.CharField()
    venue_time = serializers.DateTimeField(allow_null=True)
    received_at = serializers.DateTimeField(allow_null=True)
    delay_s = serializers.FloatField(help_text="how much later than the market its source tells")


class CandleSchema(serializers.Serializer):
    """As the topic's `candle`."""

    symbol = serializers.CharField()
    instrument = serializers.CharField()
    interval = serializers.CharField()
    time = serializers.DateTimeField(help_text="its beginning")
    open = serializers.FloatField()
    high = serializers.FloatField()
    low = serializers.FloatField()
    close = serializers.FloatField()
    volume = serializers.FloatField(allow_null=True)
    trades = serializers.IntegerField(allow_null=True)
    vwap = serializers.FloatField(allow_null=True)
    final = serializers.BooleanField()
    rev = serializers.IntegerField()
    made_by = serializers.CharField(help_text="trades, the venue, or a ticker that was polled")
    empty = serializers.BooleanField(help_text="nothing was traded")
    source = serializers.CharField()  # type: ignore[assignment]


class TradeSchema(serializers.Serializer):
    """One of the topic's `trades`. `side` is the taker's."""

    price = serializers.FloatField()
    quantity = serializers.FloatField()
    side = serializers.CharField(allow_null=True)
    trade_id = serializers.IntegerField()
    timestamp = serializers.DateTimeField()
    is_buyer_maker = serializers.BooleanField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment]


class BookSchema(serializers.Serializer):
    """As the topic's `book`: levels of [price, quantity], best first."""

    symbol = serializers.CharField()
    instrument = serializers.CharField()
    status = serializers.ChoiceField(choices=["syncing", "live", "stale"])
    bids = serializers.ListField(child=serializers.ListField(child=serializers.FloatField()))
    asks = serializers.ListField(child=serializers.ListField(child=serializers.FloatField()))
    spread = serializers.FloatField(allow_null=True)
    last_update_id = serializers.IntegerField(allow_null=True)
    depth = serializers.IntegerField()
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment]
    quality = serializers.CharField()
    venue_time = serializers.DateTimeField(allow_null=True)
    received_at = serializers.DateTimeField(allow_null=True)


class ConnectionSchema(serializers.Serializer):
    """One of a feed's sockets."""

    state = serializers.CharField()
    symbols = serializers.IntegerField()
    reconnects = serializers.IntegerField()
    age_s = serializers.FloatField(allow_null=True)
    subscribed = serializers.IntegerField()
    asked = serializers.IntegerField()
    last_error = serializers.CharField()


class FeedSchema(serializers.Serializer):
    """How a feed is doing, what staff want of it, and what its terms are."""

    provider = serializers.CharField()
    state = serializers.CharField(help_text="refused, connecting, subscribing, live, stale, idle, draining or stopped")
    wanted = serializers.ChoiceField(choices=["running", "paused", "stopped"])
    paused_until = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField()
    changed_by = serializers.CharField(allow_null=True)
    changed_at = serializers.DateTimeField(allow_null=True)
    last_tick_age_s = serializers.FloatField(allow_null=True)
    ticks_per_s = serializers.FloatField()
    reconnects = serializers.IntegerField()
    gaps_open = serializers.IntegerField()
    latency_ms = serializers.DictField(child=serializers.FloatField(), help_text="p50 and p99")
    clock_skew_ms = serializers.FloatField()
    symbols = serializers.IntegerField()
    malformed = serializers.IntegerField()
    quarantined = serializers.IntegerField()
    dropped = serializers.IntegerField()
    journal_full = serializers.BooleanField()
    closed = serializers.BooleanField(help_text="all its markets are: silence is no trouble")
    silent = serializers.ListField(child=serializers.CharField(), help_text="symbols that never said anything")
    mute = serializers.ListField(child=serializers.CharField(), help_text="streams that said something and do not now")
    refused = serializers.ListField(child=serializers.CharField(), help_text="what the venue does not give")
    books = serializers.DictField(child=serializers.IntegerField(), help_text="how many are in which state")
    snapshots_waiting = serializers.IntegerField()
    last_error = serializers.CharField(help_text="for staff")
    connections = ConnectionSchema(many=True, help_text="for staff")
    delay_s = serializers.FloatField(allow_null=True, help_text="how late its prices may be")
    terms = serializers.CharField()
