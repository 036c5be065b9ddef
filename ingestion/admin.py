"""The market's side in the admin: instruments and their names; what is doubtful or missing, to read."""

from django.contrib import admin
from django.http import HttpRequest

from ingestion.models import Gap, Instrument, Quarantined, VenueSymbol


class VenueSymbolInline(admin.TabularInline):
    model = VenueSymbol
    extra = 0


@admin.register(Instrument)
class InstrumentAdmin(admin.ModelAdmin):
    list_display = ["symbol", "name", "kind", "currency", "exchange"]
    list_filter = ["kind", "currency"]
    search_fields = ["symbol", "name", "venue_symbols__symbol"]
    inlines = [VenueSymbolInline]


class RecordAdmin(admin.ModelAdmin):
    """A record: read, never written."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Quarantined)
class QuarantinedAdmin(RecordAdmin):
    list_display = ["received_at", "provider", "symbol", "reason", "time"]
    list_filter = ["provider", "reason"]


@admin.register(Gap)
class GapAdmin(RecordAdmin):
    list_display = [
        "started_at",
        "ended_at",
        "provider",
        "instrument",
        "cause",
        "status",
        "repaired",
        "ticks",
        "detail",
    ]
    list_filter = ["status", "provider", "kind", "cause"]
    list_select_related = ["instrument"]
