"""Imports, exports and reconciliation over HTTP."""

import json
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, PolymorphicProxySerializer, extend_schema, inline_serializer
from rest_framework import generics, serializers, status
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portfolio import exports, imports, ledger, reconciliation
from portfolio.import_formats.postings import Fault
from portfolio.models import ImportBatch
from portfolio.serializers.imports import (
    BatchDetailSerializer,
    BatchSerializer,
    ExportFilter,
    ImportPreview,
    NewImport,
    Reconciliation,
    StatedBalances,
    told,
)
from portfolio.serializers.ledger import as_errors
from portfolio.tasks import import_file
from portfolio.views.access import own_portfolio, writable_portfolio


def _refused(report: dict[str, Any]) -> Response:
    return Response(report, status=status.HTTP_400_BAD_REQUEST)


class Imports(generics.ListAPIView):
    """The files that were read into a portfolio, newest first."""

    serializer_class = BatchSerializer
    parser_classes = [JSONParser, MultiPartParser]
    ordering = "-id"

    def get_queryset(self) -> QuerySet[ImportBatch]:
        return own_portfolio(self.request, self.kwargs["portfolio_id"]).imports.all()

    @extend_schema(
        request={
            "application/json": NewImport,
            "multipart/form-data": inline_serializer(
                "ImportForm",
                {
                    "file": serializers.FileField(),
                    "preset": serializers.CharField(required=False),
                    "mapping": serializers.CharField(required=False, help_text="JSON"),
                    "options": serializers.CharField(required=False, help_text="JSON"),
                    "dry_run": serializers.BooleanField(required=False),
                },
            ),
        },
        responses={
            200: OpenApiResponse(ImportPreview, "`dry_run`: what would be posted."),
            201: OpenApiResponse(
                PolymorphicProxySerializer(
                    "Imported", [BatchDetailSerializer, ImportPreview], resource_type_field_name=None
                ),
                "Posted; the batch, with the same report under `report`.",
            ),
            202: OpenApiResponse(
                BatchSerializer, "A large file: a worker posts it, `/api/jobs/<job_id>/` tells how far."
            ),
            400: OpenApiResponse(OpenApiTypes.OBJECT, "Nothing was posted; `errors` by row and column."),
        },
    )
    def post(self, request: Request, portfolio_id: int) -> Response:
        """Import a file, or with `dry_run` say what it would post. All rows, or none and the errors of each."""
        portfolio = writable_portfolio(request, portfolio_id)
        content, filename, body = _asked(request)
        wish, now = body.wish(), timezone.now()
        if body.validated_data["dry_run"]:
            try:
                return Response(told(imports.preview(portfolio, content, wish, now)))
            except Fault as fault:
                return _refused({"errors": [{"row": fault.row, "column": fault.column, "message": fault.message}]})
        if len(content) > settings.IMPORT_MAX_BYTES:
            return _refused({"errors": [{"row": None, "column": None, "message": _too_large(len(content))}]})
        batch = imports.begin(portfolio, request.user, content, filename, wish)
        if batch.job is not None:
            transaction.on_commit(lambda: import_file.delay(batch.pk))
            return Response(BatchSerializer(batch).data, status=status.HTTP_202_ACCEPTED)
        report = told(imports.commit(batch, content, wish, now))
        answer = {**BatchDetailSerializer(batch).data, "report": report}
        return (
            Response(answer, 201)
            if batch.status == ImportBatch.Status.DONE
            else _refused(answer | {"errors": report["errors"]})
        )


def _too_large(size: int) -> str:
    return f"The file has {size} bytes, more than {settings.IMPORT_MAX_BYTES}."


def _asked(request: Request) -> tuple[bytes, str, NewImport]:
    """The file, its name and the body. A form's objects are JSON in it."""
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    # In JSON a file takes up to twice its bytes: escaped, or in base64.
    if length > 2 * settings.IMPORT_MAX_BYTES + 65_536:
        raise serializers.ValidationError({"file": [_too_large(length)]})
    upload = request.FILES.get("file")
    if upload is None:
        body = NewImport(data=request.data)
        body.is_valid(raise_exception=True)
        return body.content(), body.validated_data["filename"], body
    if upload.size > settings.IMPORT_MAX_BYTES:
        raise serializers.ValidationError({"file": [_too_large(upload.size)]})
    assert isinstance(request.data, dict), "a form is one"
    given = {name: _object(name, value) for name, value in request.data.items() if name != "file"}
    body = NewImport(data={**given, "text": ""})
    body.is_valid(raise_exception=True)
    return upload.read(), upload.name or "", body


def _object(name: str, value: Any) -> Any:
    if name not in ("mapping", "options"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise serializers.ValidationError({name: ["In a form this is JSON."]}) from error


def _batch(portfolio: Any, batch_id: int) -> ImportBatch:
    return get_object_or_404(ImportBatch, portfolio=portfolio, pk=batch_id)


class OneImport(APIView):
    """An import, with its errors and rows."""

    @extend_schema(responses=BatchDetailSerializer)
    def get(self, request: Request, portfolio_id: int, batch_id: int) -> Response:
        """What became of the file."""
        return Response(BatchDetailSerializer(_batch(own_portfolio(request, portfolio_id), batch_id)).data)


class UndoImport(APIView):
    """Undoing an import."""

    @extend_schema(request=None, responses=BatchDetailSerializer)
    def post(self, request: Request, portfolio_id: int, batch_id: int) -> Response:
        """Reverse the rows that it added; all, or none where later rows need one of them."""
        batch = _batch(writable_portfolio(request, portfolio_id), batch_id)
        try:
            imports.undo(batch, timezone.now())
        except ledger.Refused as refused:
            raise as_errors(refused.errors) from refused
        batch.refresh_from_db()
        return Response(BatchDetailSerializer(batch).data)


class Reconcile(APIView):
    """A statement's balances beside the ledger's."""

    @extend_schema(request=StatedBalances, responses=Reconciliation)
    def post(self, request: Request, portfolio_id: int) -> Response:
        """What differs, and with `explain` the rows that it may be of. Nothing is written."""
        portfolio = own_portfolio(request, portfolio_id)
        body = StatedBalances(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        try:
            found = reconciliation.reconcile(
                portfolio, given["balances"], given.get("at") or timezone.now(), given["explain"]
            )
        except reconciliation.UnknownName as unknown:
            raise serializers.ValidationError({"balances": {unknown.name: [str(unknown)]}}) from unknown
        return Response(Reconciliation(reconciliation.payload(found)).data)


class _AnyFormat(BaseContentNegotiation):
    """`?format=` is ours here, and what is sent is a file."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class Export(APIView):
    """The ledger as a file."""

    content_negotiation_class = _AnyFormat

    @extend_schema(
        parameters=[ExportFilter],
        responses={(200, media): OpenApiTypes.BYTE for media in ("text/csv", "application/json", "text/plain")},
    )
    def get(self, request: Request, portfolio_id: int) -> StreamingHttpResponse:
        """CSV and JSON import back to the same ledger; beancount is for other tools."""
        portfolio = own_portfolio(request, portfolio_id)
        asked = ExportFilter(data=request.query_params)
        asked.is_valid(raise_exception=True)
        write, media_type, suffix = exports.FORMATS[asked.validated_data["format"]]
        answer = StreamingHttpResponse(write(portfolio), content_type=media_type)
        answer["Content-Disposition"] = f'attachment; filename="portfolio-{portfolio.pk}.{suffix}"'
        return answer
