"""The bodies of the calls about paper orders. They check forms; what an account permits is decided in `orders.py`."""

import uuid
from decimal import Decimal
from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ingestion.serializers import StrictSerializer, SymbolField
from portfolio import matching, money
from portfolio.models import Order
from portfolio.orders import Wish
from portfolio.serializers.ledger import ExactField, PlainCharField, TimeField

FEE_MAX_BPS: Final = Decimal(1000)
# What each type states beside its quantity.
_STATES: Final = {
    matching.MARKET: set[str](),
    matching.LIMIT: {"price"},
    matching.STOP: {"stop_price"},
    matching.STOP_LIMIT: {"price", "stop_price"},
    matching.TRAILING_STOP: {"trail"},
}


class PositiveField(ExactField):
    """An exact number above zero."""

    def to_internal_value(self, data: object) -> Decimal:
        value = super().to_internal_value(data)
        if value <= 0:
            raise serializers.ValidationError("It must be above 0.")
        return value


@extend_schema_field(OpenApiTypes.STR)
class TrailField(serializers.Field):
    """How far a trailing stop stays behind the price: `"5"` in money, `"2.5%"` in percent of the price."""

    def to_internal_value(self, data: object) -> tuple[Decimal, bool]:
        percent = isinstance(data, str) and data.endswith("%")
        try:
            value = money.parse(data[:-1] if isinstance(data, str) and percent else data)
        except money.BadNumber as error:
            raise serializers.ValidationError(f'{error} A trail is an amount, "5", or a part, "2.5%".') from error
        if value <= 0:
            raise serializers.ValidationError("It must be above 0.")
        if percent and value >= 100:
            raise serializers.ValidationError("A trail in percent is below 100 %.")
        return value, percent


class NewOrder(StrictSerializer):
    """The body that places an order."""

    portfolio = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    symbol = SymbolField()
    side = serializers.ChoiceField(Order.Side.choices)
    type = serializers.ChoiceField(Order.Type.choices)
    quantity = PositiveField()
    price = PositiveField(required=False, allow_null=True)
    stop_price = PositiveField(required=False, allow_null=True)
    trail = TrailField(required=False, allow_null=True)
    time_in_force = serializers.ChoiceField(Order.TimeInForce.choices, default=matching.DAY)
    client_order_id = PlainCharField(max_length=64, required=False, help_text="without one, nothing is the same order")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Each type needs some fields and takes no others. Nothing is partly taken."""
        errors = {}
        for field in ("price", "stop_price", "trail"):
            needed, given = field in _STATES[attrs["type"]], attrs.get(field) is not None
            if needed and not given:
                errors[field] = f"A {attrs['type']} order needs one."
            elif given and not needed:
                errors[field] = f"A {attrs['type']} order has none."
        if attrs["type"] in matching.STOPS and attrs["time_in_force"] in matching.AT_ONCE:
            errors["time_in_force"] = f"A {attrs['type']} order waits: DAY or GTC."
        if errors:
            raise serializers.ValidationError(errors)
        return attrs

    def wish(self) -> Wish:
        given = self.validated_data
        trail, percent = given.get("trail") or (None, False)
        return Wish(
            client_order_id=given.get("client_order_id") or uuid.uuid4().hex,
            instrument=given["symbol"],
            side=given["side"],
            type=given["type"],
            quantity=given["quantity"],
            price=given.get("price"),
            stop_price=given.get("stop_price"),
            trail=trail,
            trail_percent=percent,
            time_in_force=given["time_in_force"],
        )


class OrderSerializer(serializers.Serializer):
    """An order as it is listed; numbers are exact decimal strings. `order_id` is what the sockets call its `id`.

    `current_stop_price` is where the stop stands: a trailing one moves. `reserved_…` is what it keeps back.
    """

    id = serializers.IntegerField(read_only=True)
    order_id = serializers.IntegerField(source="pk", read_only=True)
    client_order_id = serializers.CharField(read_only=True)
    portfolio = serializers.IntegerField(source="portfolio_id", read_only=True)
    epoch = serializers.IntegerField(source="epoch.number", read_only=True)
    symbol = SymbolField(source="instrument", read_only=True)
    side = serializers.CharField(read_only=True)
    type = serializers.CharField(read_only=True)
    quantity = ExactField(read_only=True)
    price = ExactField(read_only=True, allow_null=True)
    stop_price = ExactField(source="asked_stop_price", read_only=True, allow_null=True)
    current_stop_price = ExactField(source="stop_price", read_only=True, allow_null=True)
    trail = serializers.SerializerMethodField()
    time_in_force = serializers.CharField(read_only=True)
    status = serializers.CharField(read_only=True)
    reason = serializers.CharField(read_only=True)
    filled_quantity = ExactField(read_only=True)
    remaining_quantity = ExactField(source="remaining", read_only=True)
    average_price = ExactField(read_only=True, allow_null=True)
    fees = ExactField(read_only=True)
    currency = serializers.CharField(read_only=True)
    reserved_cash = ExactField(read_only=True)
    reserved_currency = serializers.CharField(read_only=True)
    reserved_units = ExactField(read_only=True)
    created_at = TimeField(read_only=True)
    updated_at = TimeField(read_only=True)
    expires_at = TimeField(read_only=True, allow_null=True)

    def get_trail(self, order: Order) -> str | None:
        if order.trail is None:
            return None
        return money.plain(order.trail) + ("%" if order.trail_percent else "")


class FillSerializer(serializers.Serializer):
    """A fill. `transaction` is its row in the ledger."""

    number = serializers.IntegerField(read_only=True)
    quantity = ExactField(read_only=True)
    price = ExactField(read_only=True)
    fee = ExactField(read_only=True)
    maker = serializers.BooleanField(read_only=True)
    at = TimeField(read_only=True)
    transaction = serializers.IntegerField(source="transaction_id", read_only=True)


class OrderEventSerializer(serializers.Serializer):
    """A step in the order's life, with its reason."""

    before = serializers.CharField(read_only=True)
    status = serializers.CharField(read_only=True)
    reason = serializers.CharField(read_only=True)
    filled_quantity = ExactField(read_only=True)
    average_price = ExactField(read_only=True, allow_null=True)
    at = TimeField(read_only=True)


class WholeOrderSerializer(OrderSerializer):
    """An order with its fills and all that became of it."""

    fills = FillSerializer(many=True, read_only=True)
    events = OrderEventSerializer(many=True, read_only=True)


class OrderFilter(serializers.Serializer):
    """Which orders: of a portfolio, an instrument, a side, a type; in one of several statuses, with commas between."""

    portfolio = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    symbol = SymbolField(required=False)
    side = serializers.ChoiceField(Order.Side.choices, required=False)
    type = serializers.ChoiceField(Order.Type.choices, required=False)
    status = PlainCharField(required=False)
    client_order_id = PlainCharField(required=False, max_length=64)

    def validate_status(self, value: str) -> list[str]:
        statuses = value.upper().split(",")
        if unknown := sorted(set(statuses) - set(Order.Status.values)):
            raise serializers.ValidationError(f"There is no status “{unknown[0]}”.")
        return statuses


class Resetting(StrictSerializer):
    """The body that starts an account anew: what it then has in its base currency, and a note."""

    deposit = PositiveField(required=False, allow_null=True)
    note = PlainCharField(max_length=500, required=False, allow_blank=True, default="")


class BpsField(ExactField):
    """A fee in hundredths of a percent, with up to four digits after the point."""

    def to_internal_value(self, data: object) -> Decimal:
        value = super().to_internal_value(data)
        if not 0 <= value <= FEE_MAX_BPS or value != round(value, 4):
            raise serializers.ValidationError(
                f"Hundredths of a percent: 0 to {FEE_MAX_BPS}, up to four digits after the point."
            )
        return value


class ChangedAccount(StrictSerializer):
    """The account's own fees; null: those of the settings."""

    maker_fee_bps = BpsField(required=False, allow_null=True)
    taker_fee_bps = BpsField(required=False, allow_null=True)


class EpochSerializer(serializers.Serializer):
    """One life of an account; `closing` is what it was when it was reset."""

    number = serializers.IntegerField(read_only=True)
    started_at = TimeField(read_only=True)
    ended_at = TimeField(read_only=True, allow_null=True)
    note = serializers.CharField(read_only=True)
    maker_fee_bps = ExactField(read_only=True, allow_null=True)
    taker_fee_bps = ExactField(read_only=True, allow_null=True)
    closing = serializers.JSONField(read_only=True)


class MoneySerializer(serializers.Serializer):
    """Cash of one currency, and how much of it is free."""

    currency = serializers.CharField()
    cash = ExactField()
    reserved = ExactField()
    available = ExactField()


class UnitsSerializer(serializers.Serializer):
    """Units of one instrument, and how many are free."""

    symbol = serializers.CharField()
    quantity = ExactField()
    reserved = ExactField()
    available = ExactField()


class AccountSerializer(serializers.Serializer):
    """What an account may spend and sell now. `reserved` cash includes what short positions lock."""

    epoch = EpochSerializer()
    cash = MoneySerializer(many=True)
    units = UnitsSerializer(many=True)
    open_orders = serializers.IntegerField()
