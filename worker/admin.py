from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from worker.models import Job


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):
    """For looking: only the work itself moves a job on. A running one can be cancelled."""

    list_display = ["id", "kind", "user", "status", "done", "total", "message", "updated_at"]
    list_filter = ["status", "kind"]
    list_select_related = ["user"]
    actions = ["cancel"]

    @admin.action(description="Cancel", permissions=["view"])
    def cancel(self, request: HttpRequest, queryset: Any) -> None:
        hit = sum(job.cancel(f"cancelled by {request.user}") for job in queryset)
        self.message_user(request, f"{hit} cancelled")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
