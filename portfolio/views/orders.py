"""Paper trading over HTTP. A foreign order is one that doesn't exist."""

from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion.models import Instrument
from portfolio import accounts, ledger, matching, orders
from portfolio.models import AccountEpoch, Order, Portfolio
from portfolio.money import EXACT, ZERO
from portfolio.serializers.ledger import as_errors
from portfolio.serializers.orders import (
    AccountSerializer,
    ChangedAccount,
    EpochSerializer,
    NewOrder,
    OrderFilter,
    OrderSerializer,
    Resetting,
    WholeOrderSerializer,
)
from portfolio.views.access import own_portfolio, writable_portfolio

_COLUMNS = {"symbol": "instrument", "status": "status__in"}


class Orders(generics.ListAPIView):
    """The orders of all portfolios that the user may see, newest first."""

    serializer_class = OrderSerializer
    ordering = "-id"

    def get_queryset(self) -> QuerySet[Order]:
        query = OrderFilter(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        wanted = {_COLUMNS.get(name, name): value for name, value in query.validated_data.items()}
        return Order.objects.visible_to(self.request.user).filter(**wanted).select_related("instrument", "epoch")

    @extend_schema(parameters=[OrderFilter])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Of every status, unless some are named."""
        return self.list(request, *args, **kwargs)

    @extend_schema(
        request=NewOrder,
        responses={
            201: OpenApiResponse(WholeOrderSerializer, "Taken; or stored as REJECTED, with the reason."),
            200: OpenApiResponse(WholeOrderSerializer, "It was there already, under the same `client_order_id`."),
        },
    )
    def post(self, request: Request) -> Response:
        """Place an order. An error names the field, and then nothing was written."""
        body = NewOrder(data=request.data)
        body.is_valid(raise_exception=True)
        portfolio = _portfolio_of(request, body.validated_data["portfolio"])
        try:
            order, new = orders.place(portfolio, body.wish(), timezone.now())
        except ledger.Refused as refused:
            raise as_errors(refused.errors) from refused
        return Response(_whole(order), status=status.HTTP_201_CREATED if new else status.HTTP_200_OK)


class OneOrder(APIView):
    """One order, with its fills and all that became of it."""

    @extend_schema(responses=WholeOrderSerializer)
    def get(self, request: Request, order_id: int) -> Response:
        """As it is now."""
        return Response(_whole(_visible(request, order_id)))

    @extend_schema(
        responses={
            200: OpenApiResponse(WholeOrderSerializer, "What was not filled is cancelled."),
            409: OpenApiResponse(WholeOrderSerializer, "It is over already."),
        }
    )
    def delete(self, request: Request, order_id: int) -> Response:
        """Cancel what is not filled."""
        order = _visible(request, order_id)
        writable_portfolio(request, order.portfolio_id)
        try:
            orders.cancel(order, f"Cancelled by {request.user}.", timezone.now())
        except matching.IllegalTransition as over:
            return Response({"status": [str(over)]}, status=status.HTTP_409_CONFLICT)
        return Response(_whole(order))


class Account(APIView):
    """A portfolio as a paper account: its epoch, its fees, and what open orders leave of it."""

    @extend_schema(responses=AccountSerializer)
    def get(self, request: Request, portfolio_id: int) -> Response:
        """What may be spent and sold now."""
        return Response(_account(own_portfolio(request, portfolio_id)))

    @extend_schema(request=ChangedAccount, responses=AccountSerializer)
    def patch(self, request: Request, portfolio_id: int) -> Response:
        """Change its fees; orders that are open keep what they have reserved."""
        portfolio = writable_portfolio(request, portfolio_id)
        body = ChangedAccount(data=request.data)
        body.is_valid(raise_exception=True)
        AccountEpoch.objects.filter(pk=accounts.epoch_of(portfolio).pk).update(**body.validated_data)
        return Response(_account(portfolio))


class Epochs(generics.ListAPIView):
    """The lives of an account, newest first."""

    serializer_class = EpochSerializer
    ordering = "-number"

    def get_queryset(self) -> QuerySet[AccountEpoch]:
        portfolio = own_portfolio(self.request, self.kwargs["portfolio_id"])
        accounts.epoch_of(portfolio)
        return AccountEpoch.objects.filter(portfolio=portfolio)


class Reset(APIView):
    """A fresh start of a paper account."""

    @extend_schema(request=Resetting, responses={201: AccountSerializer})
    def post(self, request: Request, portfolio_id: int) -> Response:
        """Archive what was, cancel what is open, and begin with `deposit` or nothing."""
        portfolio = writable_portfolio(request, portfolio_id)
        body = Resetting(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        try:
            orders.reset(portfolio, timezone.now(), asked["note"], asked.get("deposit"))
        except ledger.Refused as refused:
            raise as_errors(refused.errors) from refused
        return Response(_account(Portfolio.objects.get(pk=portfolio.pk)), status=status.HTTP_201_CREATED)


def _portfolio_of(request: Request, portfolio_id: int) -> Portfolio:
    """The body's portfolio, as `writable_portfolio`; the field is named."""
    try:
        return writable_portfolio(request, portfolio_id)
    except (NotFound, Http404) as missing:
        raise NotFound({"portfolio": [f"There is no portfolio {portfolio_id}."]}) from missing


def _visible(request: Request, order_id: int) -> Order:
    found: Order = get_object_or_404(Order.objects.visible_to(request.user), pk=order_id)
    return found


def _whole(order: Order) -> Any:
    rows = Order.objects.select_related("instrument", "epoch").prefetch_related("fills", "events")
    return WholeOrderSerializer(rows.get(pk=order.pk)).data


def _account(portfolio: Portfolio) -> Any:
    book, waiting = accounts.book_of(portfolio), accounts.open_orders(portfolio)
    account = accounts.account_of(portfolio, book, waiting)
    moneys = sorted({portfolio.base_currency, *account.cash, *(one.currency for one in account.reserved)})
    symbols = dict(Instrument.objects.filter(id__in=account.held).values_list("id", "symbol"))
    cash = [
        {"currency": c, "cash": there, **_free(there, account.available_cash(c))}
        for c, there in ((c, account.cash.get(c, ZERO)) for c in moneys)
    ]
    units = [
        {"symbol": symbols[i], "quantity": there, **_free(there, account.available_units(i))}
        for i, there in account.held.items()
    ]
    told = {"epoch": accounts.epoch_of(portfolio), "cash": cash, "units": units, "open_orders": len(waiting)}
    return AccountSerializer(told).data


def _free(there: Decimal, free: Decimal) -> dict[str, Decimal]:
    return {"reserved": EXACT.subtract(there, free), "available": free}
