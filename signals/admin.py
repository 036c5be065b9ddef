"""Signals and notifications to look at; subscriptions to edit."""

from functools import partial
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.core.validators import URLValidator
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from signals import attempts, news
from signals.models import (
    Alert,
    ArticleInstrument,
    Delivery,
    Destination,
    Digest,
    Finding,
    Firing,
    NewsArticle,
    NewsFeed,
    Notification,
    NotificationPreferences,
    Signal,
    SignalOutcome,
    SignalSubscription,
    StrategyFile,
    StrategyRun,
    UserStrategy,
)
from signals.tasks import check_strategy_files, poll_news
from worker.records import MadeByCode, Record

# A test is waited for.
TESTED_MAX: Final = 3
_LEVELS: Final = {str(Delivery.Status.SENT): messages.SUCCESS, str(Delivery.Status.PENDING): messages.INFO}


class ReadOnly(MadeByCode, admin.ModelAdmin):
    """Made by the platform, not by hand."""


@admin.register(Signal)
class SignalAdmin(ReadOnly):
    list_display = [
        "id", "signal_type", "instrument", "strategy", "interval", "time", "entry_price", "strength", "status",
        "private",
    ]  # fmt: skip
    list_filter = ["status", "signal_type", "strategy", "interval", "strength", "private"]
    list_select_related = ["instrument"]
    search_fields = ["instrument__symbol"]


@admin.register(Notification)
class NotificationAdmin(ReadOnly):
    list_display = ["id", "user", "title", "notification_type", "priority", "read", "archived", "created_at"]
    list_filter = ["notification_type", "priority", "read", "archived"]
    list_select_related = ["user"]
    search_fields = ["title", "user__username"]


@admin.register(NotificationPreferences)
class NotificationPreferencesAdmin(ReadOnly):
    """Users write them; the HTTP call checks what they write."""

    list_display = ["user", "time_zone", "critical_breaks_through", "updated_at"]
    list_select_related = ["user"]
    search_fields = ["user__username"]


@admin.register(Digest)
class DigestAdmin(ReadOnly):
    list_display = ["id", "user", "key", "opened_at", "due_at", "sent_at"]
    list_select_related = ["user"]
    search_fields = ["key", "user__username"]


@admin.register(SignalSubscription)
class SignalSubscriptionAdmin(admin.ModelAdmin):
    list_display = ["user", "strategy", "instrument"]
    list_filter = ["strategy"]
    list_select_related = ["user", "instrument"]


class NewsFeedForm(forms.ModelForm):
    """A feed that staff enter: an address of http(s) and a category. The lists of providers make themselves."""

    url = forms.CharField(
        max_length=1000,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text="of an RSS or Atom feed",
    )

    class Meta:
        model = NewsFeed
        fields = ["category", "url", "enabled", "interval_s"]

    def clean_category(self) -> str:
        """Lower case, and none that stands for all."""
        category = str(self.cleaned_data["category"]).lower()
        if not news.CATEGORY.fullmatch(category) or category == news.ALL:
            raise forms.ValidationError("Of a-z, 0-9, - and _, at most 32; not “all”.")
        return category

    def clean_interval_s(self) -> int | None:
        """Not more often than a server likes to be asked."""
        interval: int | None = self.cleaned_data["interval_s"]
        if interval is not None and interval < news.FEED_INTERVAL_MIN_S:
            raise forms.ValidationError(f"At least {news.FEED_INTERVAL_MIN_S} seconds.")
        return interval

    def clean_url(self) -> str:
        """Once a category."""
        url: str = self.cleaned_data["url"]
        category = self.cleaned_data.get("category")
        same = NewsFeed.objects.filter(provider=NewsFeed.Provider.RSS, category=category, url=url)
        if same.exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("This category has that feed.")
        return url


class ProviderListForm(forms.ModelForm):
    """Of a provider's own list only whether it is asked for, and how often."""

    class Meta:
        model = NewsFeed
        fields = ["enabled", "interval_s"]


@admin.register(NewsFeed)
class NewsFeedAdmin(admin.ModelAdmin):
    list_display = [
        "__str__", "enabled", "of_settings", "polled_at", "next_due", "last_status", "last_error", "failures",
    ]  # fmt: skip
    list_filter = ["provider", "category", "enabled"]
    search_fields = ["url"]
    readonly_fields = ["last_status", "last_error", "failures", "polled_at", "next_due", "etag", "last_modified"]
    actions = ["poll_now"]

    def get_form(self, request: HttpRequest, obj: NewsFeed | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = NewsFeedForm if self._is_own(obj) else ProviderListForm
        return super().get_form(request, obj, change, form=form, **kwargs)

    def get_fields(self, request: HttpRequest, obj: NewsFeed | None = None) -> Any:
        form = NewsFeedForm if self._is_own(obj) else ProviderListForm
        return [*form.Meta.fields, *(self.readonly_fields if obj is not None else ())]

    @staticmethod
    def _is_own(feed: NewsFeed | None) -> bool:
        """Whether staff entered it, or are about to."""
        return feed is None or (feed.provider == NewsFeed.Provider.RSS and not feed.of_settings)

    def save_model(self, request: HttpRequest, obj: NewsFeed, form: Any, change: bool) -> None:
        """Another address is another feed: what was remembered of the old one does not count."""
        if "url" in form.changed_data:
            obj.etag = obj.last_modified = ""
            obj.next_due = None
        super().save_model(request, obj, form, change)

    @admin.action(description="Poll now", permissions=["change"])
    def poll_now(self, request: HttpRequest, queryset: QuerySet[NewsFeed]) -> None:
        providers = sorted(set(queryset.values_list("provider", flat=True)))
        count = queryset.update(next_due=timezone.now())
        for provider in providers:
            transaction.on_commit(partial(poll_news.delay, provider))
        self.message_user(request, f"{count} lists are asked for.")


class ArticleInstrumentInline(MadeByCode, admin.TabularInline):
    model = ArticleInstrument
    fields = ["instrument", "how", "confidence"]
    extra = 0


@admin.register(NewsArticle)
class NewsArticleAdmin(ReadOnly):
    list_display = ["headline", "source", "category", "published_at", "sentiment_label", "sentiment_score", "revision"]
    list_filter = ["provider", "category", "sentiment_label"]
    search_fields = ["headline", "source"]
    inlines = [ArticleInstrumentInline]


@admin.register(Destination)
class DestinationAdmin(ReadOnly):
    """To be seen, tested and taken away; its owner writes it, and its secrets are shown to nobody."""

    list_display = ["id", "user", "name", "kind", "address", "enabled", "verified", "failures", "disabled_reason"]
    list_filter = ["kind", "enabled", "verified"]
    list_select_related = ["user"]
    search_fields = ["name", "user__username"]
    exclude = ["sealed"]
    actions = ["send_test"]

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("signals.change_destination")

    @admin.action(description="Send a test", permissions=["send"])
    def send_test(self, request: HttpRequest, rows: QuerySet[Destination]) -> None:
        """Now, by the way that all deliveries go, and say what came of each."""
        for row in rows[:TESTED_MAX]:
            try:
                made = attempts.test(row, timezone.now())
            except attempts.TooMany as error:
                self.message_user(request, f"{row}: again in {error.retry_after_s:.0f} s", messages.ERROR)
                continue
            said = f"{row}: {made.status} {made.last_error}"
            self.message_user(request, said, _LEVELS.get(made.status, messages.ERROR))


@admin.register(Delivery)
class DeliveryAdmin(Record, admin.ModelAdmin):
    """The log. What was given up can be sent again."""

    list_display = ["id", "destination", "notification", "status", "attempts", "due_at", "sent_at", "last_error"]
    list_filter = ["status", "destination__kind"]
    list_select_related = ["destination", "notification"]
    search_fields = ["key", "destination__name", "destination__user__username"]
    date_hierarchy = "created_at"
    actions = ["retry"]

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("signals.change_delivery")

    @admin.action(description="Send again", permissions=["retry"])
    def retry(self, request: HttpRequest, rows: QuerySet[Delivery]) -> None:
        """Those that were given up; others stay as they are."""
        hits = sum(attempts.again(row, timezone.now()) for row in rows)
        self.message_user(request, f"{hits} deliveries are sent again.")


@admin.register(StrategyFile)
class StrategyFileAdmin(Record, admin.ModelAdmin):
    """What came of looking at the files; they are written in STRATEGY_DIR."""

    list_display = ["path", "status", "message", "failures", "failed_at", "checked_at"]
    list_filter = ["status"]
    search_fields = ["path", "message"]
    actions = ["check_again"]

    def has_check_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("signals.change_strategyfile")

    @admin.action(description="Check again", permissions=["check"])
    def check_again(self, request: HttpRequest, rows: QuerySet[StrategyFile]) -> None:
        """As if they had changed; nobody asks them meanwhile."""
        count = rows.update(digest="")
        transaction.on_commit(check_strategy_files.delay)
        self.message_user(request, f"{count} files are looked at.")


@admin.register(SignalOutcome)
class SignalOutcomeAdmin(ReadOnly):
    list_display = ["signal", "result", "reason", "at", "return_percent", "return_r", "bars_held"]
    list_filter = ["result", "signal__strategy"]
    list_select_related = ["signal__instrument"]
    search_fields = ["signal__instrument__symbol"]


@admin.register(Finding)
class FindingAdmin(ReadOnly):
    list_display = ["instrument", "interval", "time", "kind", "name", "direction", "confidence", "status"]
    list_filter = ["kind", "interval", "direction", "status"]
    list_select_related = ["instrument"]
    search_fields = ["instrument__symbol", "name"]


@admin.register(Alert)
class AlertAdmin(ReadOnly):
    list_display = ["id", "user", "name", "instrument", "mode", "status", "generation", "last_fired_at"]
    list_filter = ["status", "mode", "priority"]
    list_select_related = ["user", "instrument"]
    search_fields = ["name", "user__username", "instrument__symbol"]


@admin.register(Firing)
class FiringAdmin(ReadOnly):
    list_display = ["id", "alert", "generation", "reason", "at", "recorded_at", "late_s", "gapped"]
    list_filter = ["gapped"]
    list_select_related = ["alert"]
    search_fields = ["alert__name", "reason"]


@admin.register(UserStrategy)
class UserStrategyAdmin(ReadOnly):
    """Users make them; the HTTP call checks what they ask for."""

    list_display = ["name", "user", "kind", "interval", "watched", "enabled", "min_confidence", "notify", "updated_at"]
    list_filter = ["kind", "interval", "enabled"]
    list_select_related = ["user"]
    search_fields = ["name", "user__username"]


@admin.register(StrategyRun)
class StrategyRunAdmin(ReadOnly):
    """Each strategy that is or was asked, and what it ran into."""

    list_display = ["key", "interval", "failures", "last_error_at", "last_error"]
    list_filter = ["kind", "interval"]
    search_fields = ["key"]
