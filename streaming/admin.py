from typing import Any

from django.contrib import admin

from streaming import events
from streaming.models import Event, TopicCounter


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
