"""News into rows: known again, linked, scored, and told. Reading the same again changes nothing."""

import datetime as dt
import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string

from ingestion.models import Instrument
from ingestion.store import to_datetime, to_us
from ingestion.symbols import UnknownSymbol, resolve
from signals import linking, news, stories
from signals.linking import Link
from signals.models import ArticleInstrument, NewsArticle, NewsFeed, NewsItem
from signals.news_formats import Item
from signals.news_formats.item import believed
from signals.sentiment import Lexicon, Model, Score
from signals.sentiment import believed as believed_score
from signals.stories import Stories
from streaming import events

logger = logging.getLogger(__name__)

CRYPTO: Final = "crypto"


class Kept(NamedTuple):
    """What one answer brought: stories that are new, those that say something else now, and all other items."""

    new: int = 0
    changed: int = 0
    known: int = 0


class Origin(NamedTuple):
    """The list that items stand on."""

    name: str
    provider: str
    category: str

    @classmethod
    def of(cls, feed: NewsFeed) -> "Origin":
        """A feed's. Two feeds of one provider may use the same ids."""
        listed = str(feed.pk) if feed.provider == NewsFeed.Provider.RSS else feed.category
        return cls(f"{feed.provider}/{listed}", feed.provider, feed.category)


def keep(
    origin: Origin,
    items: Sequence[Item],
    received_at: dt.datetime,
    related: Mapping[str, int],
) -> Kept:
    """Store what is new, revise what has changed, and tell of both. One transaction, its own or the caller's, of which
    this is the last act.

    related: the instruments by the provider's symbols.
    """
    with transaction.atomic():
        _take_turns()
        keeping = _Keeping(origin, received_at, related)
        keeping.look_up(items)
        for item in sorted(items, key=lambda item: believed(item.published_us, keeping.received_us)):
            keeping.take(item)
        events.append(keeping.messages())
    return keeping.kept()


def forget_old(now: dt.datetime) -> int:
    """Delete what was received NEWS_KEEP_DAYS ago; its items stay as long again, so that it doesn't come anew.

    Returns how many articles went.
    """
    age = dt.timedelta(days=settings.NEWS_KEEP_DAYS)
    NewsItem.objects.filter(received_at__lt=now - 2 * age, article=None).delete()
    return NewsArticle.objects.filter(received_at__lt=now - age).delete()[1].get("signals.NewsArticle", 0)


def _take_turns() -> None:
    """Whoever brings the same story at the same time waits, and then finds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('news', 0))")


class _Keeping:
    """One answer on its way into the rows."""

    def __init__(self, origin: Origin, received_at: dt.datetime, related: Mapping[str, int]) -> None:
        self.origin, self.received_at, self.related = origin, received_at, related
        self.received_us = to_us(received_at)
        self._made_up = origin.provider == NewsFeed.Provider.SIMULATED
        self._known: dict[str, NewsItem] = {}
        self._stories: Stories | None = None
        # Article → the categories to tell of it in.
        self._told: dict[int, set[str]] = {}
        self._new: set[int] = set()
        self._items = 0

    def look_up(self, items: Iterable[Item]) -> None:
        ids = [item.provider_id for item in items]
        rows = NewsItem.objects.filter(origin=self.origin.name, provider_id__in=ids).select_related("article")
        rows = rows.prefetch_related("article__links")
        self._known = {row.provider_id: row for row in rows}

    def take(self, item: Item) -> None:
        """One item: new, another telling of a known story, changed, or known."""
        self._items += 1
        url = stories.canonical_url(item.url)
        digest = stories.digest(item.headline, item.summary, url)
        row = self._known.get(item.provider_id)
        if row is None:
            self._take_new(item, url, digest)
        elif row.article is not None:
            if row.digest != digest:
                self._take_changed(row, item, url, digest)
                self._link(row.article, self._links(item))
            elif new := self._related(item) - {link.instrument_id for link in row.article.links.all()}:
                self._link(row.article, [_related_link(one) for one in sorted(new)])

    def kept(self) -> Kept:
        changed = len(self._told.keys() - self._new)
        return Kept(len(self._new), changed, self._items - len(self._new) - changed)

    def messages(self) -> list[Any]:
        """The events of what is new and what has changed, in the order in which it was taken."""
        rows = {row.pk: row for row in news.articles().filter(pk__in=self._told)}
        return [told for pk, told_in in self._told.items() for told in news.messages(rows[pk], told_in)]

    # --- New ------------------------------------------------------------------------------------------------------

    def _take_new(self, item: Item, url: str, digest: str) -> None:
        article = self._same_story(item, url)
        if article is None:
            article = self._create(item, url)
        elif not article.items.filter(category=self.origin.category).exists():
            self._tell(article, [self.origin.category])
        self._known[item.provider_id] = NewsItem.objects.create(
            article=article,
            origin=self.origin.name,
            provider_id=item.provider_id,
            category=self.origin.category,
            digest=digest,
            received_at=self.received_at,
        )
        self._link(article, self._links(item))

    def _create(self, item: Item, url: str) -> NewsArticle:
        article = NewsArticle(
            origin=self.origin.name,
            provider=self.origin.provider,
            provider_id=item.provider_id,
            category=self.origin.category,
            kind=item.kind,
            source=item.source,
            published_at=to_datetime(believed(item.published_us, self.received_us)),
            received_at=self.received_at,
        )
        _write(article, item, url)
        article.save()
        self._new.add(article.pk)
        self._tell(article, [self.origin.category, news.ALL])
        if self._stories is not None:
            self._stories.add(
                article.pk,
                to_us(article.published_at),
                article.headline,
                article.summary,
            )
        return article

    def _same_story(self, item: Item, url: str) -> NewsArticle | None:
        """What somebody told before: at the same address, or in the same words within NEWS_STORY_WINDOW_S."""
        if self._made_up:
            return None
        real = NewsArticle.objects.exclude(provider=NewsFeed.Provider.SIMULATED)
        if (hashed := stories.url_hash(url)) and (found := real.filter(url_hash=hashed).order_by("-id").first()):
            return found
        if self._stories is None:
            self._stories = self._recent(real)
        at_us = believed(item.published_us, self.received_us)
        same = self._stories.find(at_us, item.headline, item.summary)
        return real.filter(pk=same).first() if same is not None else None

    def _recent(self, real: Any) -> Stories:
        window = dt.timedelta(seconds=settings.NEWS_STORY_WINDOW_S)
        known = Stories(int(window.total_seconds() * 1e6))
        rows = real.filter(received_at__gt=self.received_at - 2 * window).order_by("-id")
        for row in rows.values_list("pk", "published_at", "headline", "summary")[: settings.NEWS_STORIES_MAX]:
            known.add(row[0], to_us(row[1]), row[2], row[3])
        return known

    # --- Changed --------------------------------------------------------------------------------------------------

    def _take_changed(self, row: NewsItem, item: Item, url: str, digest: str) -> None:
        """Only who told a story first revises it: else two tellings of it would replace each other for ever."""
        row.digest = digest
        row.save(update_fields=["digest"])
        article = row.article
        assert article is not None
        if (article.origin, article.provider_id) != (
            self.origin.name,
            item.provider_id,
        ):
            return
        _write(article, item, url)
        article.revision += 1
        article.revised_at = self.received_at
        article.save()
        # What its text no longer names it is no longer about; what a provider says stays said.
        article.links.exclude(how=ArticleInstrument.How.RELATED).delete()
        self._tell_everywhere(article)

    # --- Links and telling ----------------------------------------------------------------------------------------

    def _links(self, item: Item) -> list[Link]:
        ids = sorted(self._related(item))
        if self._made_up:
            return [_related_link(one) for one in ids]
        is_crypto = self.origin.category == CRYPTO
        return index().links(item.headline, item.summary, related=ids, is_crypto=is_crypto)

    def _related(self, item: Item) -> set[int]:
        return {self.related[name] for name in item.related if name in self.related}

    def _link(self, article: NewsArticle, links: Sequence[Link]) -> None:
        """Add what is not linked yet, and tell of it. A surer word replaces a less sure one."""
        known = {link.instrument_id: link for link in ArticleInstrument.objects.filter(article=article)}
        new = [link for link in links if link.instrument not in known]
        surer = [
            link for link in links if link.instrument in known and known[link.instrument].confidence < link.confidence
        ]
        ArticleInstrument.objects.bulk_create(
            [ArticleInstrument(article=article, instrument_id=i, how=how, confidence=c) for i, how, c in new],
            ignore_conflicts=True,
        )
        for instrument, how, confidence in surer:
            article.links.filter(instrument_id=instrument).update(how=how, confidence=confidence)
        if new and article.pk not in self._new:
            self._tell_everywhere(article)

    def _tell_everywhere(self, article: NewsArticle) -> None:
        self._tell(article, [*article.items.values_list("category", flat=True), news.ALL])

    def _tell(self, article: NewsArticle, told_in: Iterable[str]) -> None:
        self._told.setdefault(article.pk, set()).update(told_in)


def _related_link(instrument: int) -> Link:
    return Link(instrument, linking.RELATED, linking.WORTH[linking.RELATED])


def _write(article: NewsArticle, item: Item, url: str) -> None:
    """The text, and what follows from it."""
    score, model = scored(item.headline, item.summary)
    article.headline, article.summary, article.url = item.headline, item.summary, url
    article.url_hash, article.dedupe_hash = (
        stories.url_hash(url),
        stories.headline_hash(item.headline),
    )
    article.sentiment_score, article.sentiment_label, article.sentiment_model = (
        score.score,
        score.label,
        model,
    )


# --- Sentiment --------------------------------------------------------------------------------------------------


def scored(headline: str, summary: str) -> tuple[Score, str]:
    """The score, and the name of what gave it: NEWS_SENTIMENT_MODEL, or the lexicon where that gives none."""
    for model in (_model(settings.NEWS_SENTIMENT_MODEL), _lexicon()):
        try:
            score = believed_score(model.score(headline, summary))
        except Exception:  # somebody else's code; news goes on without it
            logger.exception("%s could not score “%s”", model.name, headline)
            continue
        if score is not None:
            return score, model.name[:100]
        logger.error("%s gave “%s” a score that is none", model.name, headline)
    raise AssertionError("the lexicon scores everything")


@cache
def _model(path: str) -> Model:
    model: Model = import_string(path)()
    return model


@cache
def _lexicon() -> Model:
    return Lexicon()


# --- Names ------------------------------------------------------------------------------------------------------

_index: tuple[float, linking.Index] | None = None
_index_lock = threading.Lock()


def index() -> linking.Index:
    """The names of all instruments, made once in NEWS_NAMES_KEPT_S."""
    global _index
    with _index_lock:
        if _index is None or _index[0] <= time.monotonic():
            _index = (
                time.monotonic() + settings.NEWS_NAMES_KEPT_S,
                linking.Index(_known(), settings.ASSET_ALIASES),
            )
        return _index[1]


def forget_names() -> None:
    """Read them again."""
    global _index
    with _index_lock:
        _index = None


def _known() -> list[linking.Known]:
    aliases = _aliases()
    return [
        linking.Known(
            row.pk,
            row.symbol,
            row.name,
            row.kind,
            row.exchange,
            tuple(aliases.get(row.pk, ())),
            followed=row.followed,
        )
        for row in Instrument.objects.all()
    ]


def _aliases() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name, symbol in settings.NEWS_ALIASES.items():
        try:
            found.setdefault(resolve(symbol).pk, []).append(name)
        except UnknownSymbol:
            continue  # the defaults name companies that an installation need not have
    return found
