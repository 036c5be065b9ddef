"""The bodies of the portfolio's HTTP calls. They check forms; what a ledger accepts is decided in `ledger.py`."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ingestion.serializers import StrictSerializer, SymbolField
from portfolio import money
from portfolio.ledger import Draft
from portfolio.models import Portfolio, Transaction
from portfolio.valuation import timestamp

_POSTED_TYPES = [choice for choice in Transaction.Type.choices if choice[0] != Transaction.Type.REVERSAL]


@extend_schema_field(OpenApiTypes.STR)
class ExactField(serializers.Field):
    """A number as a decimal string; integers are taken too, floats only where they are exact."""

    def to_internal_value(self, data: object) -> Decimal:
        try:
            return money.parse(data)
        except money.BadNumber as error:
            raise serializers.ValidationError(str(error)) from error

    def to_representation(self, value: Decimal) -> str:
        return money.plain(value)


@extend_schema_field(OpenApiTypes.DATETIME)
class TimeField(serializers.Field):
    """ISO 8601. A date is its midnight, a time without a zone is UTC."""

    def to_internal_value(self, data: object) -> datetime:
        try:
            if not isinstance(data, str):
                raise ValueError
            if len(data) == 10:
                return datetime.combine(date.fromisoformat(data), time(), UTC)
            at = datetime.fromisoformat(data)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise serializers.ValidationError("A time is expected, such as 2026-01-28T10:30:00Z.") from error

    def to_representation(self, value: datetime) -> str:
        return timestamp(value)


class PlainCharField(serializers.CharField):
    """A string that PostgreSQL can keep."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("A string is expected.")
        return super().to_internal_value(data)


class PortfolioSerializer(serializers.Serializer):
    """A portfolio as it is listed."""

    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(read_only=True)
    base_currency = serializers.CharField(read_only=True)
    cost_basis_method = serializers.CharField(read_only=True)
    created_at = TimeField(read_only=True)


class NewPortfolio(StrictSerializer):
    """The body that makes a portfolio."""

    name = PlainCharField(max_length=64)
    base_currency = PlainCharField(max_length=8, default="USD")
    cost_basis_method = serializers.ChoiceField(Portfolio.CostBasis.choices, default=Portfolio.CostBasis.AVERAGE)

    def validate_base_currency(self, value: str) -> str:
        if value not in money.CURRENCIES:
            raise serializers.ValidationError(f"“{value}” is no currency known here (codes are upper-case, as USD).")
        return value


class TransactionSerializer(serializers.Serializer):
    """A row of the ledger as it is listed; numbers are exact decimal strings."""

    id = serializers.IntegerField(read_only=True)
    type = serializers.CharField(read_only=True)
    symbol = SymbolField(source="instrument", read_only=True, allow_null=True)
    quantity = ExactField(read_only=True)
    price = ExactField(read_only=True)
    amount = ExactField(read_only=True)
    fee = ExactField(read_only=True)
    fee_currency = serializers.CharField(read_only=True)
    currency = serializers.CharField(read_only=True)
    fx_rate = ExactField(read_only=True)
    at = TimeField(read_only=True)
    note = serializers.CharField(read_only=True)
    external_id = serializers.CharField(read_only=True, allow_null=True)
    reverses = serializers.IntegerField(source="reverses_id", read_only=True, allow_null=True)
    created_at = TimeField(read_only=True)


class NewTransaction(StrictSerializer):
    """The body that adds a row."""

    type = serializers.ChoiceField(_POSTED_TYPES)
    at = TimeField()
    symbol = SymbolField(required=False, allow_null=True)
    quantity = ExactField(required=False, allow_null=True)
    price = ExactField(required=False, allow_null=True)
    amount = ExactField(required=False, allow_null=True)
    fee = ExactField(required=False, allow_null=True)
    fee_currency = PlainCharField(max_length=8, required=False, allow_null=True)
    currency = PlainCharField(max_length=8, required=False, allow_null=True)
    fx_rate = ExactField(required=False, allow_null=True)
    note = PlainCharField(max_length=500, required=False, allow_blank=True)
    external_id = PlainCharField(max_length=128, required=False, allow_null=True)

    def draft(self) -> Draft:
        given = dict(self.validated_data)
        return Draft(instrument=given.pop("symbol", None), **given)


class Reversing(StrictSerializer):
    """The body that undoes a row."""

    note = PlainCharField(max_length=500, required=False, allow_blank=True, default="")


class PositionSerializer(serializers.Serializer):
    """A position with its present value. What can't be known is null."""

    symbol = serializers.CharField()
    currency = serializers.CharField()
    quantity = ExactField()
    average_cost = ExactField(allow_null=True)
    cost_basis = ExactField(source="cost")
    cost_basis_base = ExactField(source="cost_base")
    price = ExactField(allow_null=True)
    price_time = TimeField(allow_null=True)
    value = ExactField(allow_null=True)
    unrealized_pnl = ExactField(source="unrealized", allow_null=True)
    realized_pnl = ExactField(source="realized")
    daily_change = ExactField(allow_null=True)
    stale = serializers.BooleanField()


def as_errors(errors: dict[str, str]) -> serializers.ValidationError:
    """The ledger's refusal in the shape of the forms' own errors."""
    return serializers.ValidationError({field: [why] for field, why in errors.items()})
