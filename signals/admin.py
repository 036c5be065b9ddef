"""Signals and notifications to look at; subscriptions to edit."""

from django.contrib import admin

from signals.models import Notification, Signal, SignalSubscription
from worker.records import MadeByCode


class ReadOnly(MadeByCode, admin.ModelAdmin):
    """Made by the platform, not by hand."""


@admin.register(Signal)
class SignalAdmin(ReadOnly):
    list_display = ["id", "signal_type", "instrument", "strategy", "interval", "time", "entry_price", "strength"]
    list_filter = ["signal_type", "strategy", "strength"]
    list_select_related = ["instrument"]
    search_fields = ["instrument__symbol"]


@admin.register(Notification)
class NotificationAdmin(ReadOnly):
    list_display = ["id", "user", "title", "notification_type", "priority", "read", "created_at"]
    list_filter = ["notification_type", "priority", "read"]
    list_select_related = ["user"]
    search_fields = ["title", "user__username"]


@admin.register(SignalSubscription)
class SignalSubscriptionAdmin(admin.ModelAdmin):
    list_display = ["user", "strategy", "instrument"]
    list_filter = ["strategy"]
    list_select_related = ["user", "instrument"]
