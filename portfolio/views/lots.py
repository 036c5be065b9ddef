"""What each sale was of, and what there is left: the lots of a portfolio."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from portfolio import marks, positions
from portfolio.models import Portfolio
from portfolio.serializers.ledger import DisposalSerializer, LotFilter, LotSerializer
from portfolio.valuation import Holding
from portfolio.views.access import own_portfolio
from portfolio.views.figures import disposal_row, lot_row
from worker.paging import results


class Lots(APIView):
    """The lots of a portfolio."""

    @extend_schema(
        parameters=[LotFilter],
        responses=inline_serializer(
            "Lots",
            {
                "results": PolymorphicProxySerializer(
                    "OpenOrClosedLot", [LotSerializer, DisposalSerializer], resource_type_field_name=None, many=True
                ),
                "next": serializers.URLField(allow_null=True),
            },
        ),
    )
    def get(self, request: Request, portfolio_id: int) -> Response:
        """The open lots, oldest first, at the latest prices; with closed=1 the closed ones, in the order of closing."""
        portfolio = own_portfolio(request, portfolio_id)
        asked = LotFilter(data=request.query_params)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        book = positions.fold(portfolio.transactions.entries(), portfolio.policy())
        rows = _closed(book) if wanted["closed"] else _open(book, portfolio)
        if "symbol" in wanted:
            rows = [row for row in rows if row["symbol"] == wanted["symbol"].symbol]
        end = wanted["offset"] + wanted["limit"]
        show = DisposalSerializer if wanted["closed"] else LotSerializer
        following = replace_query_param(request.build_absolute_uri(), "offset", end) if end < len(rows) else None
        return results(list(show(rows[wanted["offset"] : end], many=True).data), following)


def _open(book: positions.Book, portfolio: Portfolio) -> list[dict[str, Any]]:
    now = timezone.now()
    known = marks.holdings(book.lots)
    worth = {p.symbol: p for p in marks.value_book(book, portfolio.base_currency, now).positions}
    return [
        lot_row(lot, known[instrument].symbol, known[instrument].currency, worth.get(known[instrument].symbol), now)
        for instrument, lots in sorted(book.lots.items(), key=lambda item: _symbol(known, item[0]))
        for lot in lots
    ]


def _closed(book: positions.Book) -> list[dict[str, Any]]:
    known = marks.holdings({disposal.instrument for disposal in book.disposals})
    return [disposal_row(disposal, known[disposal.instrument].symbol) for disposal in book.disposals]


def _symbol(known: dict[int, Holding], instrument: int) -> str:
    return known[instrument].symbol
