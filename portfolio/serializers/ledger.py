"""The bodies of the portfolio's HTTP calls. They check forms; what a ledger accepts is decided in `ledger.py`."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ingestion.serializers import EARLIEST_DAY, StrictSerializer, SymbolField
from portfolio import money
from portfolio.ledger import Draft
from portfolio.models import Portfolio, Transaction
from portfolio.valuation import timestamp

_POSTED_TYPES: Final = [choice for choice in Transaction.Type.choices if choice[0] != Transaction.Type.REVERSAL]
_ALIASES: Final = {"FX": Transaction.Type.FX_CONVERSION}
_LOTS_MAX: Final = 1_000


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


class TypeField(serializers.ChoiceField):
    """A type of transaction; FX is short for FX_CONVERSION."""

    def __init__(self, **more: Any) -> None:
        super().__init__([*_POSTED_TYPES, *((alias, alias) for alias in _ALIASES)], **more)

    def to_internal_value(self, data: Any) -> str:
        given = str(super().to_internal_value(data))
        return str(_ALIASES.get(given, given))


class CurrencyField(PlainCharField):
    """A code of ISO 4217, or one that crypto venues quote in."""

    def __init__(self, **more: Any) -> None:
        super().__init__(max_length=8, **more)

    def to_internal_value(self, data: Any) -> str:
        code = super().to_internal_value(data)
        if code not in money.CURRENCIES:
            raise serializers.ValidationError(f"“{code}” is no currency known here (codes are upper-case, as USD).")
        return code


class CostBasisChangeSerializer(serializers.Serializer):
    """From when on which method is in force; null is from the beginning."""

    method = serializers.CharField(read_only=True)
    effective_from = serializers.DateField(read_only=True, allow_null=True)


class PortfolioSerializer(serializers.Serializer):
    """A portfolio as it is listed. cost_basis_method: from the beginning, until the first of the changes."""

    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(read_only=True)
    base_currency = serializers.CharField(read_only=True)
    cost_basis_method = serializers.SerializerMethodField(help_text="the one in force today")
    cost_basis_changes = serializers.SerializerMethodField(help_text="which method is in force from when")
    allow_short = serializers.BooleanField(read_only=True)
    auto_convert = serializers.BooleanField(read_only=True)
    created_at = TimeField(read_only=True)

    def get_cost_basis_method(self, portfolio: Portfolio) -> str:
        return portfolio.method_on(timezone.now().date())

    @extend_schema_field(CostBasisChangeSerializer(many=True))
    def get_cost_basis_changes(self, portfolio: Portfolio) -> list[dict[str, Any]]:
        first = {"method": portfolio.cost_basis_method, "effective_from": None}
        changes = [
            {"method": change.method, "effective_from": change.effective_from.isoformat()}
            for change in portfolio.cost_basis_changes.all()
        ]
        return [first, *changes]


class NewPortfolio(StrictSerializer):
    """The body that makes a portfolio."""

    name = PlainCharField(max_length=64)
    base_currency = CurrencyField(default="USD")
    cost_basis_method = serializers.ChoiceField(Portfolio.CostBasis.choices, default=Portfolio.CostBasis.AVERAGE)
    allow_short = serializers.BooleanField(default=False)
    auto_convert = serializers.BooleanField(default=False)


class ChangedPortfolio(StrictSerializer):
    """The body that changes a portfolio. What is not in it stays.

    effective_from: the day from which sales are by the new method; without it today, or in a portfolio without rows the
    beginning; null is the beginning, whatever there is.
    """

    name = PlainCharField(max_length=64, required=False)
    cost_basis_method = serializers.ChoiceField(Portfolio.CostBasis.choices, required=False)
    effective_from = serializers.DateField(required=False, allow_null=True)
    allow_short = serializers.BooleanField(required=False)
    auto_convert = serializers.BooleanField(required=False)

    def validate_effective_from(self, value: date | None) -> date | None:
        if value is not None and not EARLIEST_DAY <= value < date.max:
            raise serializers.ValidationError(f"Not before {EARLIEST_DAY}.")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "effective_from" in attrs and "cost_basis_method" not in attrs:
            raise serializers.ValidationError({"effective_from": ["It goes with a `cost_basis_method`."]})
        return attrs


class TransactionSerializer(serializers.Serializer):
    """A row of the ledger as it is listed; numbers are exact decimal strings, in the units that were posted."""

    id = serializers.IntegerField(read_only=True)
    type = serializers.CharField(read_only=True)
    symbol = SymbolField(source="instrument", read_only=True, allow_null=True)
    to_symbol = serializers.SerializerMethodField(help_text="the instrument or the currency received")
    quantity = ExactField(read_only=True, allow_null=True)
    price = ExactField(read_only=True, allow_null=True)
    amount = ExactField(read_only=True, allow_null=True)
    to_amount = ExactField(read_only=True, allow_null=True)
    ratio = ExactField(read_only=True, allow_null=True)
    basis_fraction = ExactField(read_only=True, allow_null=True)
    basis = ExactField(read_only=True, allow_null=True)
    opened_at = TimeField(read_only=True, allow_null=True)
    cash_in_lieu = ExactField(read_only=True, allow_null=True)
    withholding = ExactField(read_only=True)
    fee = ExactField(read_only=True)
    fee_currency = serializers.CharField(read_only=True)
    fee_rate = ExactField(read_only=True, allow_null=True)
    fee_symbol = SymbolField(source="fee_instrument", read_only=True, allow_null=True)
    fee_price = ExactField(read_only=True, allow_null=True)
    currency = serializers.CharField(read_only=True)
    fx_rate = ExactField(read_only=True, allow_null=True)
    at = TimeField(read_only=True)
    lot_ids = serializers.ListField(child=serializers.IntegerField(), read_only=True)
    note = serializers.CharField(read_only=True)
    external_id = serializers.CharField(read_only=True, allow_null=True)
    reverses = serializers.IntegerField(source="reverses_id", read_only=True, allow_null=True)
    created_at = TimeField(read_only=True)

    def get_to_symbol(self, row: Transaction) -> str | None:
        return row.to_instrument.symbol if row.to_instrument else row.to_currency or None


class NewTransaction(StrictSerializer):
    """The body that adds a row. Which fields a type needs and takes: docs/accounting.md."""

    type = TypeField()
    at = TimeField()
    symbol = SymbolField(required=False, allow_null=True)
    to_symbol = PlainCharField(
        max_length=64, required=False, allow_null=True, help_text="an instrument, or the currency that is received"
    )
    quantity = ExactField(required=False, allow_null=True)
    price = ExactField(required=False, allow_null=True)
    amount = ExactField(required=False, allow_null=True)
    ratio = ExactField(required=False, allow_null=True)
    basis_fraction = ExactField(required=False, allow_null=True)
    basis = ExactField(required=False, allow_null=True)
    opened_at = TimeField(required=False, allow_null=True)
    cash_in_lieu = ExactField(required=False, allow_null=True)
    withholding = ExactField(required=False, allow_null=True)
    fee = ExactField(required=False, allow_null=True)
    fee_currency = PlainCharField(max_length=8, required=False, allow_null=True)
    fee_rate = ExactField(required=False, allow_null=True)
    fee_price = ExactField(required=False, allow_null=True)
    currency = PlainCharField(max_length=8, required=False, allow_null=True)
    fx_rate = ExactField(required=False, allow_null=True)
    lot_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), required=False, max_length=_LOTS_MAX
    )
    note = PlainCharField(max_length=500, required=False, allow_blank=True)
    external_id = PlainCharField(max_length=128, required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs["instrument"] = attrs.pop("symbol", None)
        to_symbol = attrs.pop("to_symbol", None)
        if attrs["type"] == Transaction.Type.FX_CONVERSION:
            attrs["to_currency"] = to_symbol or ""
        elif to_symbol is not None:
            try:
                attrs["to_instrument"] = SymbolField().to_internal_value(to_symbol)
            except serializers.ValidationError as error:
                raise serializers.ValidationError({"to_symbol": error.detail}) from error
        return attrs

    def draft(self) -> Draft:
        return Draft(**self.validated_data)


class Reversing(StrictSerializer):
    """The body that undoes a row."""

    note = PlainCharField(max_length=500, required=False, allow_blank=True, default="")


class LedgerFilter(serializers.Serializer):
    """Which rows: of a type, about an instrument, `start` ≤ at < `end` (a date alone counts with its whole day)."""

    type = serializers.ChoiceField([*Transaction.Type.choices, *((alias, alias) for alias in _ALIASES)], required=False)
    symbol = SymbolField(required=False)
    start = TimeField(required=False)
    end = TimeField(required=False)

    def validate_type(self, value: str) -> str:
        return str(_ALIASES.get(value, value))

    def validate_end(self, value: datetime) -> datetime:
        given = self.initial_data["end"]
        return value + timedelta(days=1) if len(given) == 10 and value.year < 9999 else value


class LotFilter(serializers.Serializer):
    """Which lots: of an instrument; closed=1: the parts that were closed instead of those that are open."""

    symbol = SymbolField(required=False)
    closed = serializers.BooleanField(required=False, default=False)
    limit = serializers.IntegerField(required=False, default=500, min_value=1, max_value=5_000)
    offset = serializers.IntegerField(required=False, default=0, min_value=0, max_value=10**9)


class LotSerializer(serializers.Serializer):
    """An open lot. Figures without `_base` are in `currency`; what needs a price that is missing is null."""

    lot_id = serializers.IntegerField(help_text="the row that opened it, as in a sale's `lot_ids`")
    sub = serializers.IntegerField(help_text="0, 1, … where one row opened several")
    symbol = serializers.CharField()
    currency = serializers.CharField()
    opened_at = TimeField()
    quantity = ExactField()
    average_cost = ExactField()
    cost_basis = ExactField()
    average_cost_base = ExactField()
    cost_basis_base = ExactField()
    market_value = ExactField(allow_null=True)
    unrealized_pnl = ExactField(allow_null=True)
    holding_days = serializers.IntegerField()
    term = serializers.ChoiceField(["short", "long"])


class DisposalSerializer(serializers.Serializer):
    """A lot, or a part of one, that was closed. Figures without `_base` are in `currency`."""

    transaction = serializers.IntegerField(help_text="the row that closed it")
    lot_id = serializers.IntegerField()
    sub = serializers.IntegerField()
    symbol = serializers.CharField()
    currency = serializers.CharField()
    opened_at = TimeField()
    closed_at = TimeField()
    quantity = ExactField()
    proceeds = ExactField()
    cost_basis = ExactField()
    realized_pnl = ExactField()
    proceeds_base = ExactField()
    cost_basis_base = ExactField()
    realized_pnl_base = ExactField()
    holding_days = serializers.IntegerField()
    term = serializers.ChoiceField(["short", "long"])


class PositionSerializer(serializers.Serializer):
    """A position with its present value; what can't be known is null.

    cost_basis and average_cost are in the instrument's currency (in pence where it is priced in pence), as price and
    `…_local`; all else is in the portfolio's.
    """

    symbol = serializers.CharField()
    currency = serializers.CharField()
    quantity = ExactField()
    average_cost = ExactField(allow_null=True)
    average_cost_base = ExactField(allow_null=True)
    cost_basis = ExactField()
    cost_basis_base = ExactField()
    price = ExactField(allow_null=True)
    price_time = TimeField(allow_null=True)
    value = ExactField(allow_null=True)
    market_value = ExactField(allow_null=True)
    market_value_local = ExactField(allow_null=True)
    unrealized_pnl = ExactField(allow_null=True)
    realized_pnl = ExactField()
    daily_change = ExactField(allow_null=True)
    stale = serializers.BooleanField()


def as_errors(errors: dict[str, str]) -> serializers.ValidationError:
    """The ledger's refusal in the shape of the forms' own errors."""
    return serializers.ValidationError({field: [why] for field, why in errors.items()})


def as_row_errors(rows: dict[int, Any]) -> serializers.ValidationError:
    """Those of several rows, numbered from 1: `{"rows": {"3": {"quantity": ["…"]}}}`. rows: by place, from 0."""
    return serializers.ValidationError({"rows": {str(place + 1): errors for place, errors in sorted(rows.items())}})
