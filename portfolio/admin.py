"""Ledgers in the admin: to be read, and to be reversed; never to be edited."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from portfolio import ledger
from portfolio.models import Portfolio, Transaction


@admin.register(Portfolio)
class PortfolioAdmin(admin.ModelAdmin):
    list_display = ["name", "owner", "base_currency", "version", "created_at"]
    list_filter = ["base_currency"]
    search_fields = ["name", "owner__username"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The rates in the ledger are into the base currency: it stays as it was made."""
        return [] if obj is None else ["owner", "base_currency"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Transaction)
class TransactionAdmin(admin.ModelAdmin):
    list_display = ["id", "portfolio", "type", "instrument", "quantity", "price", "amount", "fee", "currency", "at"]
    list_filter = ["type", "currency"]
    search_fields = ["portfolio__name", "external_id", "note"]
    list_select_related = ["portfolio", "portfolio__owner", "instrument"]
    date_hierarchy = "at"
    actions = ["reverse"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

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
