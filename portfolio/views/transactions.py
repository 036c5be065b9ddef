"""The ledger over HTTP: its rows, adding one or several, and undoing one."""

from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portfolio import ledger
from portfolio.models import Portfolio, Transaction
from portfolio.serializers.ledger import (
    LedgerFilter,
    NewTransaction,
    Reversing,
    TransactionSerializer,
    as_errors,
    as_row_errors,
)
from portfolio.views.access import own_portfolio, writable_portfolio
from worker.paging import results

_NAMED = ("instrument", "to_instrument", "fee_instrument")
_POSTED = OpenApiResponse(TransactionSerializer, "The row. Of a list of rows: `results`, in the order of the list.")


class Transactions(generics.ListAPIView):
    """The ledger of a portfolio, newest first."""

    serializer_class = TransactionSerializer
    ordering = ("-at", "-id")

    def get_queryset(self) -> QuerySet[Transaction]:
        rows = own_portfolio(self.request, self.kwargs["portfolio_id"]).transactions.select_related(*_NAMED)
        asked = LedgerFilter(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        return _filtered(rows, **asked.validated_data)

    @extend_schema(parameters=[LedgerFilter])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The rows, newest first."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        request=PolymorphicProxySerializer(
            "OneOrSeveralTransactions",
            [NewTransaction, NewTransaction(many=True)],
            resource_type_field_name=None,
            many=False,
        ),
        responses={
            201: _POSTED,
            200: OpenApiResponse(TransactionSerializer, "It was there already, under the same `external_id`."),
        },
    )
    def post(self, request: Request, portfolio_id: int) -> Response:
        """Add a row to the ledger, or all rows of a list or none of them.

        An error names the field (of a list: `{"rows": {"3": {field: …}}}`, from 1), and then nothing was written.
        """
        portfolio = writable_portfolio(request, portfolio_id)
        if isinstance(request.data, list):
            return _post_all(portfolio, request.data)
        body = NewTransaction(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            row, new = ledger.post(portfolio, body.draft(), timezone.now())
        except ledger.Refused as refused:
            raise as_errors(refused.errors) from refused
        return Response(TransactionSerializer(row).data, status=201 if new else 200)


def _filtered(
    rows: QuerySet[Transaction], type: str | None = None, symbol: Any = None, start: Any = None, end: Any = None
) -> QuerySet[Transaction]:
    if type is not None:
        rows = rows.filter(type=type)
    if symbol is not None:
        rows = rows.filter(Q(instrument=symbol) | Q(to_instrument=symbol))
    if start is not None:
        rows = rows.filter(at__gte=start)
    return rows if end is None else rows.filter(at__lt=end)


def _post_all(portfolio: Portfolio, rows: list[Any]) -> Response:
    if not 0 < len(rows) <= settings.LEDGER_ROWS_MAX_PER_POST:
        raise serializers.ValidationError({"rows": [f"From 1 to {settings.LEDGER_ROWS_MAX_PER_POST} rows."]})
    bodies = [NewTransaction(data=row) for row in rows]
    if wrong := {place: body.errors for place, body in enumerate(bodies) if not body.is_valid()}:
        raise as_row_errors(wrong)
    try:
        posted = ledger.post_all(portfolio, [body.draft() for body in bodies], timezone.now())
    except ledger.RowsRefused as refused:
        raise as_row_errors({place: as_errors(errors).detail for place, errors in refused.rows.items()}) from refused
    shown = TransactionSerializer([row for row, _ in posted], many=True).data
    answer = results(list(shown))
    answer.status_code = status.HTTP_201_CREATED if any(new for _, new in posted) else status.HTTP_200_OK
    return answer


class OneTransaction(APIView):
    """One row of the ledger."""

    @extend_schema(responses=TransactionSerializer)
    def get(self, request: Request, portfolio_id: int, transaction_id: int) -> Response:
        """The row. It is never changed nor removed: see `reverse`."""
        rows = own_portfolio(request, portfolio_id).transactions.select_related(*_NAMED)
        return Response(TransactionSerializer(get_object_or_404(rows, pk=transaction_id)).data)


class Reversal(APIView):
    """Undoing a row of the ledger."""

    @extend_schema(request=Reversing, responses={201: TransactionSerializer})
    def post(self, request: Request, portfolio_id: int, transaction_id: int) -> Response:
        """Add the row that undoes this one; both stay visible."""
        row = get_object_or_404(writable_portfolio(request, portfolio_id).transactions, pk=transaction_id)
        body = Reversing(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            undoing = ledger.reverse(row, body.validated_data["note"])
        except ledger.Refused as refused:
            raise as_errors(refused.errors) from refused
        return Response(TransactionSerializer(undoing).data, status=status.HTTP_201_CREATED)
