import datetime as dt
from typing import Any

import redis
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from streaming import control, events, presence
from streaming.models import Event, LiveConnection, TopicCounter


@admin.register(TopicCounter)
class TopicCounterAdmin(admin.ModelAdmin):
    """Where each lossless topic stands; read, or told that its numbers are void."""

    list_display = ["topic", "epoch", "seq"]
    search_fields = ["topic"]
    readonly_fields = ["topic", "epoch", "seq"]
    actions = ["start_new_epoch"]

    @admin.action(description="Start a new epoch (after a restore): clients begin with a snapshot")
    def start_new_epoch(self, request: Any, queryset: Any) -> None:
        topics = events.start_new_epoch(queryset.values_list("topic", flat=True))
        self.message_user(request, f"{topics} topics begin anew.")

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(Event)
class EventAdmin(admin.ModelAdmin):
    """What was published on lossless topics; read only."""

    list_display = ["topic", "seq", "type", "at", "epoch"]
    list_filter = ["type"]
    search_fields = ["topic"]
    ordering = ["-id"]
    show_full_result_count = False

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(LiveConnection)
class LiveConnectionAdmin(admin.ModelAdmin):
    """Who is connected just now, over all web processes; and a way to send somebody away."""

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._disconnect(request)
        context = {
            **self.admin_site.each_context(request),
            "title": "Live connections",
            "opts": self.opts,
            "rows": self._rows(request),
            "may_disconnect": self.has_delete_permission(request),
        }
        return TemplateResponse(request, "streaming/live_connections.html", context)

    def _disconnect(self, request: HttpRequest) -> HttpResponse:
        if not self.has_delete_permission(request):
            raise PermissionDenied
        if chosen := request.POST.getlist("disconnect"):
            control.disconnect(chosen, "Disconnected by an administrator")
            messages.success(request, f"{len(chosen)} connections are told to go.")
        else:
            messages.warning(request, "No connection was chosen.")
        return redirect(request.get_full_path())

    def _rows(self, request: HttpRequest) -> list[dict[str, Any]]:
        try:
            found = presence.reports()
        except redis.RedisError as error:
            messages.error(request, f"Redis cannot be asked: {error}")
            return []
        rows = [{"seen": seen, "process": report.process} for report in found for seen in report.connections]
        rows.sort(key=lambda row: row["seen"].since, reverse=True)  # type: ignore[attr-defined]
        for row in rows:
            row["since"] = dt.datetime.fromtimestamp(row["seen"].since, dt.UTC)  # type: ignore[attr-defined]
        return rows
