"""Ledgers in the admin: to be read, and to be reversed; never to be edited."""

from typing import Any, Final

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from portfolio import ledger, matching, orders, proof, sharing
from portfolio.models import (
    AccountEpoch,
    Fill,
    Household,
    ImportBatch,
    Order,
    OrderEvent,
    Portfolio,
    Proof,
    Share,
    Transaction,
)
from worker.records import MadeByCode, Record

# A proof is waited for: so many portfolios at a time, and so many of the differences on the page; all are in the Proof.
PROVED_MAX: Final = 100
SHOWN_MAX: Final = 20


@admin.register(Portfolio)
class PortfolioAdmin(admin.ModelAdmin):
    list_display = ["name", "owner", "base_currency", "version", "created_at"]
    list_filter = ["base_currency"]
    search_fields = ["name", "owner__username"]
    actions = ["prove"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The rates in the ledger are into the base currency, and the ledger holds by its method: both stay."""
        fixed = ["owner", "base_currency", "cost_basis_method", "allow_short", "auto_convert", "version"]
        return ["version"] if obj is None else fixed

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description="Prove the positions of the selected portfolios")
    def prove(self, request: HttpRequest, rows: QuerySet[Portfolio]) -> None:
        """Add their ledgers up anew and compare that with what the follower holds; each difference is shown."""
        made = proof.prove(timezone.now(), list(rows.values_list("pk", flat=True)[:PROVED_MAX]))
        for one in made.mismatches[:SHOWN_MAX]:
            where = f"Portfolio {one['portfolio']}: " if one["portfolio"] is not None else ""
            self.message_user(
                request,
                f"{where}{one['figure']} is {one['held']}, and {one['true']} by the ledger.",
                messages.ERROR,
            )
        if not made.mismatches:
            self.message_user(request, f"{made.portfolios} portfolios are what their ledgers say, to the last digit.")


@admin.register(Transaction)
class TransactionAdmin(Record, admin.ModelAdmin):
    list_display = [
        "id", "portfolio", "type", "instrument", "to_instrument", "quantity", "price", "amount", "fee", "currency",
        "at", "reverses_id",
    ]  # fmt: skip
    list_filter = ["type", "currency"]
    search_fields = ["portfolio__name", "portfolio__owner__username", "instrument__symbol", "external_id", "note"]
    list_select_related = ["portfolio", "portfolio__owner", "instrument", "to_instrument"]
    date_hierarchy = "at"
    actions = ["reverse"]

    def has_reverse_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("portfolio.add_transaction")

    @admin.action(description="Reverse the selected rows", permissions=["reverse"])
    def reverse(self, request: HttpRequest, rows: QuerySet[Transaction]) -> None:
        """Newest first, so that a sale goes before the purchase that it was of."""
        for row in rows.order_by("-at", "-id"):
            try:
                ledger.reverse(row, note=f"reversed by {request.user}")
            except ledger.Refused as refused:
                self.message_user(request, f"{row}: {refused}", messages.ERROR)


@admin.register(Proof)
class ProofAdmin(MadeByCode, admin.ModelAdmin):
    """Whether what the follower told was true, night by night."""

    list_display = ["started_at", "finished_at", "portfolios", "figures_that_differ"]
    date_hierarchy = "started_at"

    @admin.display(description="figures that differ")
    def figures_that_differ(self, proof: Proof) -> int:
        return len(proof.mismatches)


class _ReadOnly(MadeByCode, admin.TabularInline):
    extra = 0
    can_delete = False


class FillInline(_ReadOnly):
    model = Fill
    fields = ["number", "quantity", "price", "fee", "maker", "at", "transaction"]


class OrderEventInline(_ReadOnly):
    model = OrderEvent
    fields = ["at", "before", "status", "reason", "filled_quantity", "average_price"]


@admin.register(Order)
class OrderAdmin(Record, admin.ModelAdmin):
    """Paper orders: to be read, and to be cancelled; what was filled is in the ledger."""

    list_display = [
        "id", "portfolio", "instrument", "side", "type", "quantity", "filled_quantity", "status", "reason", "created_at"
    ]  # fmt: skip
    list_filter = ["status", "type", "side", "time_in_force"]
    search_fields = ["portfolio__name", "portfolio__owner__username", "client_order_id", "instrument__symbol"]
    list_select_related = ["portfolio", "portfolio__owner", "instrument"]
    date_hierarchy = "created_at"
    inlines = [FillInline, OrderEventInline]
    actions = ["cancel"]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("portfolio.change_order")

    @admin.action(description="Cancel the selected orders", permissions=["cancel"])
    def cancel(self, request: HttpRequest, rows: QuerySet[Order]) -> None:
        """Those that are over already stay as they are, and are named."""
        for order in rows.order_by("id"):
            try:
                orders.cancel(order, f"Cancelled by {request.user}.", timezone.now())
            except matching.IllegalTransition as over:
                self.message_user(request, f"{order}: {over}", messages.ERROR)


@admin.register(AccountEpoch)
class AccountEpochAdmin(admin.ModelAdmin):
    """The lives of paper accounts. Fees may be changed; a reset is asked for over HTTP."""

    list_display = ["portfolio", "number", "started_at", "ended_at", "maker_fee_bps", "taker_fee_bps"]
    list_select_related = ["portfolio", "portfolio__owner"]
    readonly_fields = ["portfolio", "number", "started_at", "ended_at", "ended_after", "closing"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Share)
class ShareAdmin(MadeByCode, admin.ModelAdmin):
    """To be seen and taken back; owners give them, and a link's token is told to them alone."""

    list_display = ["portfolio", "user", "expires_at", "created_at"]
    search_fields = ["portfolio__name", "portfolio__owner__username", "user__username"]
    list_select_related = ["portfolio", "portfolio__owner", "user"]

    def delete_model(self, request: HttpRequest, obj: Share) -> None:
        sharing.revoke(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Share]) -> None:
        for share in queryset:
            sharing.revoke(share)


@admin.register(Household)
class HouseholdAdmin(MadeByCode, admin.ModelAdmin):
    """To be seen; which portfolios belong together is their owner's to say."""

    list_display = ["name", "owner", "base_currency", "created_at"]
    search_fields = ["name", "owner__username"]
    list_select_related = ["owner"]


@admin.register(ImportBatch)
class ImportBatchAdmin(Record, admin.ModelAdmin):
    """To be seen; who owns the portfolio imports and undoes."""

    list_display = [
        "id",
        "portfolio",
        "filename",
        "preset",
        "status",
        "rows",
        "added",
        "existing",
        "failed",
        "created_at",
    ]
    list_filter = ["status", "preset"]
    search_fields = ["portfolio__name", "filename", "sha256"]
    list_select_related = ["portfolio", "portfolio__owner"]
    exclude = ["content"]
