"""News as it is told: its categories, its shape on the wire, and what it says of instruments."""

import datetime as dt
import re
from collections.abc import Collection, Iterable
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from ingestion.store import to_us
from signals.models import ArticleInstrument, NewsArticle, NewsFeed, NewsItem
from signals.moods import Scored
from signals.news_formats import finnhub
from streaming.protocol import Message, timestamp

# Everything, whatever its category: each article once.
ALL: Final = "all"
# What there always is, whoever brings it.
CATEGORIES: Final = (*finnhub.CATEGORIES, finnhub.COMPANY)
# Between two looks at a feed, whatever staff enter.
FEED_INTERVAL_MIN_S: Final = 30
CATEGORY: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")

# An article counts half as much when so much of the window has passed since it was published.
HALF_LIFE: Final = 0.25


class Sentiment(msgspec.Struct, frozen=True):
    """What the news says of an instrument. score: -1 to 1; count: of the articles that it is the weighted mean of."""

    score: float
    count: int


def sentiment(instrument_ids: Collection[int], now: dt.datetime, hours: float) -> dict[int, Sentiment]:
    """Of each instrument that was in the news in the `hours` before `now`; the others are left out.

    The mean of its articles' scores, each weighted by the confidence of its link and by 2^(-age / (hours / 4)).
    An article counts from when it was received: asked of the past, this says what could be known then. Made-up
    (simulated) articles count only where there are no others.
    """
    sql = """
        WITH told AS (
            SELECT link.instrument_id, article.provider = 'simulated' AS made_up, article.sentiment_score AS score,
                link.confidence * power(0.5, extract(epoch FROM %(now)s - article.published_at) / %(half_life_s)s)
                    AS weight
            FROM signals_articleinstrument link JOIN signals_newsarticle article ON article.id = link.article_id
            WHERE link.instrument_id = ANY(%(ids)s) AND link.confidence > 0
                AND article.published_at > %(since)s AND article.published_at <= %(now)s
                AND article.received_at <= %(now)s
        )
        SELECT DISTINCT ON (instrument_id) instrument_id, sum(weight * score) / sum(weight), count(*)
        FROM told GROUP BY instrument_id, made_up ORDER BY instrument_id, made_up
    """
    window = dt.timedelta(hours=hours)
    values: dict[str, Any] = {
        "now": now,
        "since": now - window,
        "half_life_s": window.total_seconds() * HALF_LIFE,
        "ids": list(instrument_ids),
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return {instrument: Sentiment(float(score), count) for instrument, score, count in cursor.fetchall()}


def scored(instrument_id: int, since: dt.datetime, until: dt.datetime, limit: int) -> list[Scored]:
    """What `sentiment` is made of: the instrument's articles of (since, until] that were known by `until`, the first
    `limit` of them."""
    links = ArticleInstrument.objects.filter(
        instrument_id=instrument_id, confidence__gt=0, article__published_at__gt=since,
        article__published_at__lte=until, article__received_at__lte=until,
    ).order_by("article__published_at")  # fmt: skip
    rows = links.values_list(
        "article__published_at", "article__received_at", "confidence", "article__sentiment_score", "article__provider"
    )
    return [
        Scored(to_us(published), to_us(received), confidence, score, provider == NewsFeed.Provider.SIMULATED)
        for published, received, confidence, score, provider in rows[:limit]
    ]


def categories() -> list[str]:
    """The categories that there are: the usual ones, and those of feeds; `all` first."""
    found = {*CATEGORIES, *(category for category, _ in named_feeds())}
    found.update(NewsFeed.objects.filter(of_settings=False).values_list("category", flat=True))
    return [ALL, *sorted(found)]


def is_category(name: str) -> bool:
    """Whether there is such a category; one whose feed is gone is there for as long as its news."""
    if not CATEGORY.fullmatch(name):
        return False
    return name in categories() or NewsItem.objects.filter(category=name).exists()


def named_feeds() -> list[tuple[str, str]]:
    """The entries of NEWS_FEEDS, as category and address; what is neither is left out (the poller tells)."""
    found = (entry.strip().partition("=") for entry in settings.NEWS_FEEDS)
    pairs = ((category.strip().lower(), url.strip()) for category, _, url in found)
    return [(category, url) for category, url in pairs if CATEGORY.fullmatch(category) and category != ALL and url]


def articles(category: str = ALL) -> QuerySet[NewsArticle]:
    """Those that were told in a category, newest first, with what their shape needs."""
    rows = NewsArticle.objects.prefetch_related("links__instrument")
    if category == ALL:
        return rows
    return rows.filter(Exists(NewsItem.objects.filter(article=OuterRef("pk"), category=category)))


def newest(category: str) -> list[NewsArticle]:
    """The newest NEWS_SNAPSHOT_MAX of a category, oldest first, as they would have come."""
    return list(articles(category)[: settings.NEWS_SNAPSHOT_MAX])[::-1]


def topic_of(category: str) -> str:
    """A category's topic, canonical."""
    return f"news:{category}"


def message(article: NewsArticle, category: str) -> Message:
    """The event that tells of it in a category; in `all` under the category that it was told in first."""
    told_us = to_us(article.revised_at or article.received_at)
    return Message(
        topic=topic_of(category),
        type="news",
        data=payload(article, category),
        at_us=told_us,
    )


def messages(article: NewsArticle, told_in: Iterable[str]) -> list[Message]:
    """Its events in these categories."""
    return [message(article, category) for category in sorted(set(told_in))]


def iso(at: dt.datetime) -> str:
    """A time as on the wire."""
    return timestamp(to_us(at))


def payload(article: NewsArticle, category: str = ALL) -> dict[str, Any]:
    """The `data` of a `news`, and its shape over HTTP. symbols: the surest first."""
    return {
        "id": str(article.pk),
        "category": article.category if category == ALL else category,
        "headline": article.headline,
        "summary": article.summary,
        "source": article.source,
        "url": article.url,
        "published_at": iso(article.published_at),
        "symbols": [link.instrument.symbol for link in article.links.all()],
        "sentiment": {
            "score": article.sentiment_score,
            "label": article.sentiment_label,
        },
    }
