"""The bodies of the calls on imports, exports and reconciliation."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import available_timezones

import msgspec
from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ingestion.serializers import StrictSerializer
from portfolio import exports
from portfolio.import_formats import FORMATS
from portfolio.import_formats.cells import DATE_FORMATS
from portfolio.import_formats.files import DELIMITERS, ENCODINGS
from portfolio.import_formats.generic import FIELDS, KNOWN_TYPES
from portfolio.import_rows import Row
from portfolio.imports import Report, Wish
from portfolio.models import ImportBatch
from portfolio.money import plain
from portfolio.serializers.ledger import ExactField, PlainCharField, TimeField
from portfolio.valuation import timestamp

_WORDS_MAX: Final = 200


class Words(serializers.DictField):
    """A small object of strings."""

    child = PlainCharField(max_length=200)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and len(data) > _WORDS_MAX:
            raise serializers.ValidationError(f"More than {_WORDS_MAX} entries.")
        return super().to_internal_value(data)


class TypesField(Words):
    """The file's word for a type → ours."""

    def to_internal_value(self, data: Any) -> Any:
        given = super().to_internal_value(data)
        if unknown := sorted(set(given.values()) - KNOWN_TYPES):
            raise serializers.ValidationError({name: ["There is no such type here."] for name in unknown})
        return given


class ImportOptions(StrictSerializer):
    """How a file is to be read, where that can't be found out."""

    date_format = serializers.ChoiceField(DATE_FORMATS, required=False)
    timezone = PlainCharField(required=False, max_length=64)
    decimal = serializers.ChoiceField([".", ","], required=False)
    delimiter = serializers.ChoiceField(DELIMITERS, required=False)
    encoding = serializers.ChoiceField(ENCODINGS, required=False)
    currency = PlainCharField(required=False, max_length=8)
    account = PlainCharField(required=False, max_length=64)
    types = TypesField(required=False)
    symbols = Words(required=False, help_text="the file's name → ours")
    skip_errors = serializers.BooleanField(default=False)

    def validate_timezone(self, value: str) -> str:
        if value not in available_timezones():
            raise serializers.ValidationError(f"“{value}” is no time zone (one is written like Europe/Berlin).")
        return value


class NewImport(StrictSerializer):
    """The body that imports a file, as JSON: the file as `text` or, in base64, as `file`. A form sends `file` itself,
    and the objects as JSON."""

    text = serializers.CharField(required=False, trim_whitespace=False, allow_blank=True)
    file = serializers.CharField(required=False, help_text="base64; in a form, the file")
    filename = PlainCharField(required=False, max_length=255, default="", allow_blank=True)
    preset = serializers.ChoiceField(list(FORMATS), required=False, help_text="found out where it isn't said")
    mapping = Words(required=False, help_text=f"our field → the file's column; fields: {', '.join(FIELDS)}, time")
    options = ImportOptions(required=False)
    dry_run = serializers.BooleanField(default=False, help_text="say what would be posted, and write nothing")

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if ("text" in given) == ("file" in given):
            raise serializers.ValidationError({"file": "One of `file` and `text` is needed."})
        return given

    def content(self) -> bytes:
        """The file's bytes."""
        given = self.validated_data
        if "text" in given:
            return str(given["text"]).encode("utf-8", "surrogatepass")
        try:
            return base64.b64decode(given["file"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise serializers.ValidationError({"file": ["In JSON a file is base64; send text as `text`."]}) from error

    def wish(self) -> Wish:
        """How it is to be read."""
        given = self.validated_data
        named = {name: given[name] for name in ("preset", "mapping") if name in given}
        return msgspec.convert({**given.get("options", {}), **named}, Wish)


class BatchSerializer(serializers.ModelSerializer):
    """An import as it is listed."""

    job_id = serializers.IntegerField(read_only=True, allow_null=True, help_text="how far a large one is: /api/jobs/")
    created_at = TimeField(read_only=True)
    undone_at = TimeField(read_only=True, allow_null=True)

    class Meta:
        model = ImportBatch
        fields = [
            "id", "status", "preset", "filename", "sha256", "rows", "added", "existing", "failed", "job_id",
            "created_at", "undone_at",
        ]  # fmt: skip
        read_only_fields = fields


class BatchDetailSerializer(BatchSerializer):
    """An import with how it was read, its errors and the rows that it added."""

    transactions = serializers.SerializerMethodField()

    class Meta(BatchSerializer.Meta):
        fields = [*BatchSerializer.Meta.fields, "options", "errors", "transactions"]
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_transactions(self, batch: ImportBatch) -> list[dict[str, int]]:
        """The first IMPORT_PREVIEW_ROWS_MAX rows that it added: the file's line and the transaction."""
        rows = batch.lines.values_list("line", "transaction_id")[: settings.IMPORT_PREVIEW_ROWS_MAX]
        return [{"row": line, "transaction": pk} for line, pk in rows]


class ImportFault(serializers.Serializer):
    """What is wrong, and where in the file."""

    row = serializers.IntegerField(allow_null=True, help_text="the file's line, from 1; null: the whole file")
    column = serializers.CharField(allow_null=True, help_text="by the file's name")
    message = serializers.CharField()


class ImportPreview(serializers.Serializer):
    """What a file says and what becomes of it."""

    preset = serializers.CharField()
    encoding = serializers.CharField()
    delimiter = serializers.CharField(allow_null=True)
    in_ledger = serializers.BooleanField(
        help_text="whether the rows were tried in the ledger: not those of large files"
    )
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="rows: new, exists, error")
    unknown_symbols = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))
    errors = ImportFault(many=True)  # type: ignore[assignment]
    rows = serializers.ListField(child=serializers.DictField(), help_text="the first IMPORT_PREVIEW_ROWS_MAX")


class StatedBalances(StrictSerializer):
    """The body that reconciles: what a statement says is held at a time."""

    balances = serializers.DictField(child=ExactField(), help_text="symbol or currency → quantity")
    at = TimeField(required=False)
    explain = serializers.BooleanField(default=False, help_text="name the rows that made what differs")

    def validate_balances(self, value: dict[str, Any]) -> dict[str, Any]:
        if len(value) > settings.IMPORT_ERRORS_MAX:
            raise serializers.ValidationError(f"More than {settings.IMPORT_ERRORS_MAX} balances.")
        return value

    def validate_at(self, value: datetime) -> datetime:
        if value.date() == value.astimezone(UTC).date() and value.time() == datetime.min.time():
            # A day alone is its end: what a statement of that day says.
            return value.replace(hour=23, minute=59, second=59, microsecond=999_999)
        return value


class MovedSerializer(serializers.Serializer):
    """A row that changed a balance."""

    transaction = serializers.IntegerField()
    at = TimeField()
    change = ExactField()
    balance = ExactField()
    suspect = serializers.BooleanField(help_text="the difference is this row, or this row turned round")


class BalanceSerializer(serializers.Serializer):
    """A balance, as it is stated and as it is here."""

    name = serializers.CharField()
    symbol = serializers.CharField(allow_null=True)
    currency = serializers.CharField(allow_null=True)
    stated = ExactField(allow_null=True)
    here = ExactField()
    difference = ExactField(help_text="stated − here, at the digits that were stated")
    rows = MovedSerializer(many=True, allow_null=True)


class Reconciliation(serializers.Serializer):
    """All balances, those that were stated first."""

    agrees = serializers.BooleanField()
    balances = BalanceSerializer(many=True)


class ExportFilter(serializers.Serializer):
    """The query of an export."""

    format = serializers.ChoiceField(sorted(exports.FORMATS), default="csv")


def told(report: Report) -> dict[str, Any]:
    """A report as `ImportPreview`."""
    return {
        "preset": report.preset,
        "encoding": report.encoding,
        "delimiter": report.delimiter,
        "in_ledger": report.in_ledger,
        "counts": {"new": report.count("new"), "exists": report.count("exists"), "error": report.failed},
        "unknown_symbols": report.unknown,
        "errors": report.errors()[: settings.IMPORT_ERRORS_MAX],
        "rows": [_told_row(row) for row in report.rows[: settings.IMPORT_PREVIEW_ROWS_MAX]],
    }


def _told_row(row: Row) -> dict[str, Any]:
    """A row as it would be posted; what it doesn't state is left out."""
    posting = row.posting
    shown: dict[str, Any] = {
        "row": posting.line,
        "status": row.status,
        "type": posting.type,
        "at": timestamp(posting.at),
    }
    if row.draft is not None and row.draft.instrument is not None:
        shown["symbol"] = row.draft.instrument.symbol
    elif posting.symbol:
        shown["symbol"] = posting.symbol
    for name in _SHOWN:
        value = getattr(row.posted, name, None) if row.posted is not None else getattr(posting, name)
        if value not in (None, "", ()) and (value or name != "withholding"):
            shown[name] = plain(value) if hasattr(value, "as_tuple") else value
    if row.found is not None:
        shown["transaction"] = row.found
    if row.errors:
        shown["errors"] = row.errors
    return shown


_SHOWN: Final = (
    "quantity", "price", "amount", "currency", "fx_rate", "fee", "fee_currency", "ratio", "basis_fraction", "basis",
    "cash_in_lieu", "withholding", "to_currency", "to_amount", "note",
)  # fmt: skip
