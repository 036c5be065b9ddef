"""Asking for news: each list when it is due, within its provider's budget, and later where it fails."""

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from ingestion import asking, http, polling
from ingestion.asking import Name
from ingestion.http import OverBudget, Refused, Unreachable
from ingestion.models import Instrument
from ingestion.store import to_us
from signals import news, news_store, pages
from signals.models import NewsFeed
from signals.news_formats import Read, Unreadable, finnhub, rss, simulated
from signals.news_formats.simulated import Subject
from signals.news_store import Kept, Origin
from signals.pages import Unfetched
from worker import lease, metrics
from worker.redis import client, key

logger = logging.getLogger(__name__)

RSS: Final = NewsFeed.Provider.RSS.value
FINNHUB: Final = NewsFeed.Provider.FINNHUB.value
SIMULATED: Final = NewsFeed.Provider.SIMULATED.value
# Who polls renews this with each list.
LEASE_TTL_S: Final = 300.0
ERROR_MAX_CHARS: Final = 300
ASKED_KEPT_S: Final = 7 * 24 * 3600
# What a simulated list begins with.
SIMULATED_PAST: Final = 12


class Round(msgspec.Struct):
    """What one round did: lists that were due, and what they brought."""

    provider: str
    due: int = 0
    new: int = 0
    changed: int = 0
    failed: list[str] = []
    stopped: str = ""  # why it ended before its time: another round runs, or the budget


def poll(provider: str) -> Round:
    """Ask for every list of the provider that is due. Two at once are one: the second does nothing."""
    done = Round(provider)
    if not usable(provider):
        done.stopped = "not configured"
        return done
    held = lease.acquire(f"news:{provider}", LEASE_TTL_S)
    if held is None:
        done.stopped = "another round runs"
        return done
    try:
        make_rows(provider)
        _poll_all(done, held)
    finally:
        held.release()
    metrics.count(f"signals.news.{provider}", done.new)
    return done


def usable(provider: str) -> bool:
    """Whether this installation may ask it: it has the key; and what is made up never stands beside what is real."""
    if provider == FINNHUB:
        return bool(settings.FINNHUB_API_KEY)
    if provider == SIMULATED:
        return SIMULATED in settings.FEEDS and not _has_real()
    return provider == RSS


def due(provider: str, now: dt.datetime) -> list[NewsFeed]:
    """The lists that are to be asked for now, the longest unasked first."""
    rows = NewsFeed.objects.filter(Q(next_due=None) | Q(next_due__lte=now), provider=provider, enabled=True)
    named = set(news.named_feeds())
    found = rows.order_by(F("polled_at").asc(nulls_first=True), "pk")
    return [row for row in found if not row.of_settings or provider != RSS or (row.category, row.url) in named]


def make_rows(provider: str) -> None:
    """The rows of what the settings name and of a provider's own lists, where they are missing."""
    if provider == RSS:
        wanted = news.named_feeds()
        if len(wanted) < len(settings.NEWS_FEEDS):
            logger.error("NEWS_FEEDS: each entry is `category=url`, the category of a-z, 0-9, - and _, not “all”")
    else:
        lists = (*finnhub.CATEGORIES, finnhub.COMPANY) if provider == FINNHUB else tuple(simulated.CATEGORIES)
        wanted = [(category, "") for category in lists]
    known = set(NewsFeed.objects.filter(provider=provider).values_list("category", "url"))
    NewsFeed.objects.bulk_create(
        [NewsFeed(provider=provider, category=c, url=u, of_settings=True) for c, u in wanted if (c, u) not in known],
        ignore_conflicts=True,
    )


def _has_real() -> bool:
    feeds = NewsFeed.objects.filter(provider=RSS, enabled=True, of_settings=False).exists()
    return feeds or bool(settings.FINNHUB_API_KEY) or bool(settings.NEWS_FEEDS)


def _poll_all(done: Round, held: lease.Lease) -> None:
    feeds = due(done.provider, timezone.now())
    done.due = len(feeds)
    for feed in feeds:
        if not held.renew():
            done.stopped = "the lease is lost"
            return
        try:
            kept = _ASK[done.provider](feed)
        except OverBudget as error:
            _postpone(feed, dt.datetime.fromtimestamp(error.retry_at_s, dt.UTC), str(error))
            done.stopped = str(error)
            return
        except (Refused, Unreachable, Unreadable, Unfetched) as error:
            done.failed.append(f"{feed}: {error}")
            _note_failure(feed, error)
        else:
            done.new += kept.new
            done.changed += kept.changed


# --- Each provider's way -----------------------------------------------------------------------------------------


def _ask_rss(feed: NewsFeed) -> Kept:
    now = timezone.now()
    page = pages.get(feed.url, now, feed.etag, feed.last_modified)
    if page.status == pages.UNCHANGED:
        _note_answer(feed, pages.UNCHANGED)
        return Kept()
    read = rss.read(page.body, page.url, page.headers, settings.NEWS_ITEMS_MAX)
    kept = news_store.keep(Origin.of(feed), read.items, timezone.now(), {})
    feed.etag = _header(page.headers, "etag", 256)
    feed.last_modified = _header(page.headers, "last-modified", 64)
    _note_answer(feed, page.status, read)
    return kept


def _ask_finnhub(feed: NewsFeed) -> Kept:
    if feed.category == finnhub.COMPANY:
        return _ask_finnhub_companies(feed)
    read = finnhub.read(_finnhub(finnhub.market_call(feed.category, feed.cursor)), settings.NEWS_ITEMS_MAX)
    kept = news_store.keep(Origin.of(feed), read.items, timezone.now(), _ids(asking.names(FINNHUB)))
    feed.cursor = finnhub.newest_id(read.items, feed.cursor)
    _note_answer(feed, 200, read)
    return kept


def _ask_finnhub_companies(feed: NewsFeed) -> Kept:
    """Some of the companies that somebody watches, holds or has an alert on, the longest unasked first.

    One that is refused keeps no other waiting; raises why where all of them are.
    """
    names, total, refused = asking.names(FINNHUB), Kept(), None
    ids, read, answered = _ids(names), Read([]), 0
    for name in _companies_due(names, timezone.now().timestamp()):
        try:
            read = _ask_company(name)
        except (Refused, Unreadable) as error:
            logger.warning("no news of %s: %s", name.symbol, error)
            refused = error
            _note_asked(name)
            continue
        answered += 1
        items = [msgspec.structs.replace(item, related=(*item.related, name.symbol)) for item in read.items]
        total = _sum(total, news_store.keep(Origin.of(feed), items, timezone.now(), ids))
        _note_asked(name)
    if refused is not None and not answered:
        raise refused
    _note_answer(feed, 200, read)
    return total


def _ask_company(name: Name) -> Read:
    today = timezone.now().date()
    first = today - dt.timedelta(days=settings.NEWS_COMPANY_LOOK_BACK_DAYS)
    return finnhub.read(_finnhub(finnhub.company_call(name.symbol, first, today)), settings.NEWS_ITEMS_MAX)


def _finnhub(call: http.Call) -> bytes:
    return http.get(call, deadline_s=settings.NEWS_BUDGET_WAIT_S, background=True)


def _ids(names: Iterable[Name]) -> dict[str, int]:
    return {name.symbol.upper(): name.instrument.pk for name in names}


def _companies_due(names: Iterable[Name], now_s: float) -> list[Name]:
    wanted = polling.wanted()
    stocks = [n for n in names if n.instrument.pk in wanted and n.instrument.kind == Instrument.Kind.EQUITY]
    asked: Mapping[bytes, bytes] = client().hgetall(_asked_key()) or {}  # type: ignore[assignment]
    at = {int(instrument): float(when) for instrument, when in asked.items()}
    waiting = [n for n in stocks if at.get(n.instrument.pk, 0.0) <= now_s - settings.NEWS_COMPANY_INTERVAL_S]
    waiting.sort(key=lambda n: (at.get(n.instrument.pk, 0.0), n.instrument.pk))
    return waiting[: settings.NEWS_COMPANIES_PER_ROUND]


def _note_asked(name: Name) -> None:
    client().hset(_asked_key(), str(name.instrument.pk), timezone.now().timestamp())
    client().expire(_asked_key(), ASKED_KEPT_S)


def _asked_key() -> str:
    return key("news", "companies_asked")


def _sum(one: Kept, other: Kept) -> Kept:
    return Kept(*(a + b for a, b in zip(one, other, strict=True)))


def _ask_simulated(feed: NewsFeed) -> Kept:
    now = timezone.now()
    every_us = int(settings.NEWS_SIMULATED_INTERVAL_S * 1e6)
    last = to_us(now) // every_us
    first = max(feed.cursor + 1, last - SIMULATED_PAST + 1)
    rows = list(Instrument.objects.order_by("pk"))
    subjects = [Subject(row.symbol, row.name, row.kind) for row in rows]
    items = simulated.items(settings.SIMULATED_SEED, feed.category, subjects, first, last, every_us)
    kept = news_store.keep(Origin.of(feed), items, now, {row.symbol: row.pk for row in rows})
    feed.cursor = last
    _note_answer(feed, None)
    return kept


_ASK: Final[Mapping[str, Callable[[NewsFeed], Kept]]] = {
    RSS: _ask_rss,
    FINNHUB: _ask_finnhub,
    SIMULATED: _ask_simulated,
}


# --- What became of it --------------------------------------------------------------------------------------------


def _note_answer(feed: NewsFeed, status: int | None, read: Read | None = None) -> None:
    """It answered: it is due again after its interval."""
    now = timezone.now()
    feed.last_status, feed.failures, feed.polled_at = status, 0, now
    feed.last_error = f"{read.broken} items could not be read" if read is not None and read.broken else ""
    feed.next_due = now + dt.timedelta(seconds=_interval_s(feed))
    _save(feed, "last_status", "last_error", "failures", "polled_at", "next_due", "cursor", "etag", "last_modified")


def _note_failure(feed: NewsFeed, error: Exception) -> None:
    """It did not: later, each time later still, or when the server says. What is gone for good is not asked again."""
    now = timezone.now()
    status, asked_s = (error.status, error.retry_after_s) if isinstance(error, Unfetched) else (0, None)
    if isinstance(error, Refused):
        status = error.status
    feed.failures += 1
    wait_s = min(_interval_s(feed) * 2.0 ** min(feed.failures, 16), settings.NEWS_RETRY_MAX_S)
    if asked_s is not None:
        wait_s = max(wait_s, min(asked_s, settings.NEWS_RETRY_AFTER_MAX_S))
    feed.last_status, feed.polled_at = status or None, now
    feed.last_error = _said(error)
    feed.next_due = now + dt.timedelta(seconds=wait_s)
    fields = ["last_status", "last_error", "failures", "polled_at", "next_due"]
    if status == pages.GONE:
        feed.enabled = False
        fields.append("enabled")
    logger.warning("no news from %s: %s", feed, feed.last_error)
    _save(feed, *fields)


def _postpone(feed: NewsFeed, until: dt.datetime, why: str) -> None:
    feed.next_due, feed.last_error = until, why[:ERROR_MAX_CHARS]
    _save(feed, "next_due", "last_error")


def _save(feed: NewsFeed, *fields: str) -> None:
    """Only what polling knows: staff may have edited the rest meanwhile, or deleted it."""
    NewsFeed.objects.filter(pk=feed.pk).update(**{field: getattr(feed, field) for field in fields})


def _interval_s(feed: NewsFeed) -> float:
    usual = {RSS: settings.NEWS_FEED_INTERVAL_S, SIMULATED: settings.NEWS_SIMULATED_INTERVAL_S}
    return float(feed.interval_s or usual.get(feed.provider, settings.NEWS_INTERVAL_S))


def _header(headers: Mapping[str, str], name: str, most: int) -> str:
    """A header that can be sent back as it is; what is too long or odd is not kept."""
    value: Any = headers.get(name, "")
    return value if len(value) <= most and value.isascii() and value.isprintable() else ""


def _said(error: Exception) -> str:
    return str(error).replace("\0", "")[:ERROR_MAX_CHARS]
