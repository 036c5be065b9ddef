from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from worker.models import Job
from worker.records import MadeByCode


@admin.register(Job)
class JobAdmin(MadeByCode, admin.ModelAdmin):
    """For looking: only the work itself moves a job on. A running one can be cancelled."""

    list_display = ["id", "kind", "user", "status", "done", "total", "message", "updated_at"]
    list_filter = ["status", "kind"]
    list_select_related = ["user"]
    actions = ["cancel"]

    @admin.action(description="Cancel", permissions=["view"])
    def cancel(self, request: HttpRequest, queryset: Any) -> None:
        hit = sum(job.cancel(f"cancelled by {request.user}") for job in queryset)
        self.message_user(request, f"{hit} cancelled")
