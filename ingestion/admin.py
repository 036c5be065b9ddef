"""The market's side in the admin: instruments and their names, feeds and their switches, what is doubtful or missing,
backfills, and what is stored."""

import datetime as dt
import time
from typing import Any

import redis
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html

from ingestion import backfill, control, force, gaps, sessions, status, storage_views, terms
from ingestion.models import (
    AdjustmentFactor,
    Backfill,
    BackfillChunk,
    Coverage,
    Feed,
    FxRate,
    Gap,
    Instrument,
    MarketCalendar,
    PriceUpdate,
    Quarantined,
    VenueSymbol,
    Watchlist,
    WatchlistItem,
)
from worker.records import Record

HISTORY_DAYS = 30
PAUSE_HOURS = 1


class RecordAdmin(Record, admin.ModelAdmin):
    """A record: read, never written, never deleted by hand."""

    show_full_result_count = False


# --- Instruments ----------------------------------------------------------------------------------------------


class VenueSymbolInline(admin.TabularInline):
    model = VenueSymbol
    extra = 0
    fields = ["provider", "symbol", "rest_symbol", "status", "valid_from", "valid_until", "tick_size", "lot_size"]


@admin.register(Instrument)
class InstrumentAdmin(admin.ModelAdmin):
    """What has a price here."""

    list_display = ["symbol", "name", "kind", "currency", "exchange", "trades_by", "followed", "venues"]
    list_filter = ["kind", "followed", "venue_symbols__provider", "exchange", "currency"]
    search_fields = ["symbol", "name", "venue_symbols__symbol"]
    inlines = [VenueSymbolInline]
    actions = ["follow", "follow_no_more", "request_history", "force_price_update"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Instrument]:
        return super().get_queryset(request).prefetch_related("venue_symbols")

    @admin.display(description="calendar")
    def trades_by(self, instrument: Instrument) -> str:
        return sessions.name_of(instrument)

    @admin.display
    def venues(self, instrument: Instrument) -> str:
        """Where it can be had now; a venue where it does not trade says so."""
        open_ = [row for row in instrument.venue_symbols.all() if row.valid_until is None]
        trading = VenueSymbol.Status.TRADING
        return ", ".join(row.provider if row.status == trading else f"{row.provider} ({row.status})" for row in open_)

    @admin.action(description="Follow always")
    def follow(self, request: HttpRequest, queryset: QuerySet[Instrument]) -> None:
        self.message_user(request, f"{queryset.update(followed=True)} are followed.")

    @admin.action(description="Follow only while somebody wants it")
    def follow_no_more(self, request: HttpRequest, queryset: QuerySet[Instrument]) -> None:
        self.message_user(request, f"{queryset.update(followed=False)} are followed while they are wanted.")

    @admin.action(description=f"Request {HISTORY_DAYS} days of 1-minute candles")
    def request_history(self, request: HttpRequest, queryset: QuerySet[Instrument]) -> None:
        now = timezone.now()
        for instrument in queryset:
            try:
                wish = backfill.wish_of("", "1m", [instrument], now - dt.timedelta(days=HISTORY_DAYS), now)
                row = backfill.start(wish, request.user)
            except backfill.Impossible as error:
                self.message_user(request, f"{instrument}: {error}", messages.ERROR)
            else:
                self.message_user(request, f"{instrument}: backfill {row.pk} of {row.provider}, job {row.job_id}")

    @admin.action(description="Force price update")
    def force_price_update(self, request: HttpRequest, queryset: QuerySet[Instrument]) -> None:
        instruments = list(queryset[: settings.FORCE_UPDATE_MAX_SYMBOLS])
        job = force.request(instruments, request.user)
        self.message_user(request, f"Prices of {len(instruments)} instruments are asked for: job {job.pk}.")


@admin.register(VenueSymbol)
class VenueSymbolAdmin(admin.ModelAdmin):
    """What the venues call them, and since when."""

    list_display = [
        "symbol", "provider", "instrument", "status", "valid_from", "valid_until", "tick_size", "lot_size",
        "min_notional", "checked_at",
    ]  # fmt: skip
    list_filter = ["provider", "status"]
    list_select_related = ["instrument"]
    search_fields = ["symbol", "rest_symbol", "instrument__symbol"]
    autocomplete_fields = ["instrument"]
    readonly_fields = ["checked_at"]


class WatchlistItemInline(admin.TabularInline):
    model = WatchlistItem
    extra = 0
    autocomplete_fields = ["instrument"]


@admin.register(Watchlist)
class WatchlistAdmin(admin.ModelAdmin):
    """What people keep an eye on."""

    list_display = ["name", "user", "count", "order", "created_at"]
    list_select_related = ["user"]
    search_fields = ["name", "user__username"]
    raw_id_fields = ["user"]
    inlines = [WatchlistItemInline]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(count=Count("items"))

    @admin.display(description="instruments", ordering="count")
    def count(self, watchlist: Any) -> int:
        return int(watchlist.count)


# --- Feeds ----------------------------------------------------------------------------------------------------


@admin.register(Feed)
class FeedAdmin(RecordAdmin):
    """The feeds: how they are, and their switches. Who used one is in each feed's history."""

    list_display = [
        "provider", "state", "wanted", "paused_until", "symbols", "last_tick", "ticks_per_s", "gaps_open", "latency",
        "delay", "reason", "changed_by", "changed_at",
    ]  # fmt: skip
    list_select_related = ["changed_by"]
    actions = ["start", "stop", "pause", "resume"]
    readonly_fields = ["licence"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Feed]:
        control.rows()
        return super().get_queryset(request)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With what the listeners last told, read once a page."""
        page = super().get_changelist_instance(request)
        told = self._told(request, [feed.provider for feed in page.result_list])
        for feed in page.result_list:
            feed.told = told.get(feed.provider) or status.FeedStatus(feed.provider, f"{feed.provider}:0")
        return page

    def _told(self, request: HttpRequest, providers: list[str]) -> dict[str, status.FeedStatus]:
        try:
            return {feed.provider: feed for feed in status.feeds(providers=providers)}
        except redis.RedisError as error:
            self.message_user(request, f"Redis cannot be reached: {error}", messages.ERROR)
            return {}

    @admin.display
    def state(self, feed: Any) -> str:
        return str(feed.told.state)

    @admin.display
    def symbols(self, feed: Any) -> int:
        return int(feed.told.symbols)

    @admin.display(description="last tick")
    def last_tick(self, feed: Any) -> str:
        age_s = feed.told.last_tick_age_s(time.time_ns() // 1000)
        return "never" if age_s is None else f"{age_s:.1f} s ago"

    @admin.display(description="ticks/s")
    def ticks_per_s(self, feed: Any) -> float:
        return float(feed.told.ticks_per_s)

    @admin.display(description="open gaps")
    def gaps_open(self, feed: Any) -> int:
        return int(feed.told.gaps_open)

    @admin.display(description="latency, ms")
    def latency(self, feed: Any) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in feed.told.latency_ms.items())

    @admin.display(description="delay, s")
    def delay(self, feed: Feed) -> float | None:
        return terms.of(feed.provider).delay_s

    @admin.display(description="terms")
    def licence(self, feed: Feed) -> str:
        return terms.of(feed.provider).note

    def has_switch_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("ingestion.change_feed"))

    @admin.action(description="Start", permissions=["switch"])
    def start(self, request: HttpRequest, queryset: QuerySet[Feed]) -> None:
        self._change(request, queryset, control.START)

    @admin.action(description="Stop", permissions=["switch"])
    def stop(self, request: HttpRequest, queryset: QuerySet[Feed]) -> None:
        self._change(request, queryset, control.STOP)

    @admin.action(description="Pause for an hour", permissions=["switch"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Feed]) -> None:
        self._change(request, queryset, control.PAUSE, timezone.now() + dt.timedelta(hours=PAUSE_HOURS))

    @admin.action(description="Resume", permissions=["switch"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Feed]) -> None:
        self._change(request, queryset, control.RESUME)

    def _change(
        self, request: HttpRequest, queryset: QuerySet[Feed], action: str, until: dt.datetime | None = None
    ) -> None:
        for feed in queryset:
            try:
                control.change(feed.provider, action, request.user, "in the admin", until)
            except control.Refused as refused:
                self.message_user(request, str(refused), messages.ERROR)
            else:
                self.message_user(request, f"{feed.provider}: {action}")

    # --- What is stored ---------------------------------------------------------------------------------------

    change_list_template = "ingestion/feeds.html"

    def get_urls(self) -> list[URLPattern]:
        page = path("storage/", self.admin_site.admin_view(self.storage), name="ingestion_storage")
        return [page, *super().get_urls()]

    def storage(self, request: HttpRequest) -> HttpResponse:
        """Sizes of the tables, and what becomes of what is in them."""
        context = self.admin_site.each_context(request) | {"title": "Storage"} | storage_views.report()
        return TemplateResponse(request, "ingestion/storage.html", context)


# --- What is doubtful or missing ------------------------------------------------------------------------------


@admin.register(Quarantined)
class QuarantinedAdmin(RecordAdmin):
    """Ticks that were not believed, as they came."""

    list_display = ["received_at", "provider", "symbol", "reason", "time", "beginning"]
    list_filter = ["provider", "reason", "received_at"]
    search_fields = ["symbol", "reason"]
    fields = ["received_at", "provider", "symbol", "reason", "time", "text"]
    readonly_fields = ["text"]

    @admin.display(description="raw")
    def text(self, tick: Quarantined) -> str:
        """The frame's first bytes; those that are no text as escapes."""
        return format_html("<pre>{}</pre>", bytes(tick.raw).decode("utf-8", "backslashreplace"))

    @admin.display(description="raw")
    def beginning(self, tick: Quarantined) -> str:
        return bytes(tick.raw[:80]).decode("utf-8", "backslashreplace")


@admin.register(Gap)
class GapAdmin(RecordAdmin):
    """Ticks that are missing, and what became of it."""

    list_display = [
        "started_at", "ended_at", "provider", "instrument", "kind", "cause", "status", "ticks", "repaired", "attempts",
        "detail",
    ]  # fmt: skip
    list_filter = ["status", "provider", "kind", "cause"]
    list_select_related = ["instrument"]
    search_fields = ["instrument__symbol", "shard", "detail"]
    actions = ["retry"]

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("ingestion.change_gap"))

    @admin.action(description="Try to repair again", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Gap]) -> None:
        reopened = sum(gaps.reopen(gap) for gap in queryset)
        self.message_user(request, f"{reopened} are open again; the next repair tries them.")


# --- Backfills ------------------------------------------------------------------------------------------------


@admin.register(Backfill)
class BackfillAdmin(RecordAdmin):
    """History that was asked for, and how far it is."""

    list_display = ["id", "provider", "kind", "wanted", "start", "end", "cause", "progress", "asked_by", "job_status"]
    list_filter = ["provider", "kind", "cause", "job__status"]
    list_select_related = ["job", "job__user"]
    actions = ["cancel"]

    @admin.display(description="instruments")
    def wanted(self, row: Backfill) -> str:
        more = f" and {len(row.symbols) - 3} more" if len(row.symbols) > 3 else ""
        return ", ".join(row.symbols[:3]) + more

    @admin.display
    def progress(self, row: Backfill) -> str:
        return f"{row.job.done} of {row.job.total} chunks"

    @admin.display(description="asked by", empty_value="the system")
    def asked_by(self, row: Backfill) -> Any:
        return row.job.user

    @admin.display(description="status", ordering="job__status")
    def job_status(self, row: Backfill) -> str:
        return f"{row.job.status} {row.job.message}".strip()

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("ingestion.change_backfill"))

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Backfill]) -> None:
        hit = sum(backfill.cancel(row, request.user.get_username()) for row in queryset.select_related("job"))
        self.message_user(request, f"{hit} cancelled.")


@admin.register(BackfillChunk)
class BackfillChunkAdmin(RecordAdmin):
    list_display = ["backfill_id", "number", "symbol", "start", "end", "status", "rows", "calls", "attempts", "detail"]
    list_filter = ["status"]
    search_fields = ["symbol", "=backfill__id"]


@admin.register(Coverage)
class CoverageAdmin(RecordAdmin):
    list_display = ["instrument", "provider", "kind", "start", "end"]
    list_filter = ["provider", "kind"]
    list_select_related = ["instrument"]
    search_fields = ["instrument__symbol"]


# --- Prices beside the feeds ----------------------------------------------------------------------------------


@admin.register(PriceUpdate)
class PriceUpdateAdmin(RecordAdmin):
    """Who forced a price update, and what came of it."""

    list_display = ["asked_at", "instrument", "asked_by", "status", "source", "price", "finished_at", "detail"]
    list_filter = ["status", "source"]
    list_select_related = ["instrument", "asked_by"]
    search_fields = ["instrument__symbol"]


@admin.register(FxRate)
class FxRateAdmin(RecordAdmin):
    list_display = ["date", "base", "quote", "rate", "source", "received_at"]
    list_filter = ["source", "quote"]
    search_fields = ["=base", "=quote"]


@admin.register(MarketCalendar)
class MarketCalendarAdmin(RecordAdmin):
    list_display = ["name", "until", "made_by", "made_at"]
    fields = ["name", "until", "made_by", "made_at"]


@admin.register(AdjustmentFactor)
class AdjustmentFactorAdmin(admin.ModelAdmin):
    """Splits and dividends."""

    list_display = ["instrument", "ex_date", "split_factor", "dividend", "source"]
    list_filter = ["source"]
    list_select_related = ["instrument"]
    search_fields = ["instrument__symbol"]
    autocomplete_fields = ["instrument"]
