"""Where news comes from, what was told, and which instruments it is about."""

from django.db import models

from ingestion.models import Instrument


class NewsFeed(models.Model):
    """One list of news that is asked for again and again: an RSS or Atom feed, or a category of a provider's API.

    Rows of providers and of NEWS_FEEDS make themselves; staff add feeds of their own.
    """

    class Provider(models.TextChoices):
        RSS = "rss", "RSS or Atom"
        FINNHUB = "finnhub"
        SIMULATED = "simulated"

    provider = models.CharField(max_length=16, choices=Provider.choices, default=Provider.RSS)
    category = models.CharField(max_length=32, help_text="the topic that its news goes to: news:<category>")
    url = models.CharField(max_length=1000, blank=True, help_text="of an RSS or Atom feed: http or https")
    enabled = models.BooleanField(default=True)
    of_settings = models.BooleanField(default=False, help_text="named by NEWS_FEEDS; polled for as long as it is")
    interval_s = models.PositiveIntegerField(
        null=True, blank=True, help_text="seconds between two looks; empty: as NEWS_FEED_INTERVAL_S"
    )
    cursor = models.BigIntegerField(default=0, help_text="the newest that was seen, where the provider counts")
    etag = models.CharField(max_length=256, blank=True)
    last_modified = models.CharField(max_length=64, blank=True)
    last_status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="of HTTP; 304: nothing new")
    last_error = models.CharField(max_length=300, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="in a row")
    polled_at = models.DateTimeField(null=True, blank=True)
    next_due = models.DateTimeField(null=True, blank=True, help_text="empty: now")

    class Meta:
        ordering = ["provider", "category", "url"]
        constraints = [models.UniqueConstraint(fields=["provider", "category", "url"], name="one_news_feed_each")]

    def __str__(self) -> str:
        return f"{self.provider} {self.category} {self.url}".rstrip()


class NewsArticle(models.Model):
    """A story, however many sources tell it. provider, provider_id: who told it first; only they revise it."""

    origin = models.CharField(max_length=64, help_text="the list that it first stood on")
    provider = models.CharField(max_length=16)
    provider_id = models.CharField(max_length=200, help_text="what they call it")
    category = models.CharField(max_length=32, help_text="the first that it was told in")
    kind = models.CharField(max_length=64, blank=True, help_text="the source's own category")
    headline = models.CharField(max_length=500)
    summary = models.TextField(blank=True)
    source = models.CharField(max_length=100, help_text="who wrote it, as the provider says")
    url = models.CharField(max_length=2000, blank=True, help_text="canonical: without what only counts clicks")
    url_hash = models.CharField(max_length=32, blank=True, help_text="empty where the address names no one story")
    dedupe_hash = models.CharField(max_length=32, help_text="of the headline's words")
    published_at = models.DateTimeField(help_text="theirs, or ours where it is missing or absurd")
    received_at = models.DateTimeField()
    revision = models.PositiveIntegerField(default=0, help_text="how often its text has changed")
    revised_at = models.DateTimeField(null=True, blank=True)
    sentiment_score = models.FloatField(help_text="-1 to 1")
    sentiment_label = models.CharField(max_length=8)
    sentiment_model = models.CharField(max_length=100, help_text="what scored it")

    class Meta:
        ordering = ["-published_at", "-id"]
        indexes = [
            models.Index(fields=["-published_at", "-id"], name="news_newest"),
            models.Index(fields=["url_hash", "-id"], name="news_by_url"),
            models.Index(fields=["dedupe_hash", "-id"], name="news_by_headline"),
            models.Index(fields=["received_at"], name="news_by_age"),
        ]

    def __str__(self) -> str:
        return self.headline


class NewsItem(models.Model):
    """One source's telling of a story: what was read once is known again. article: none once that was forgotten."""

    article = models.ForeignKey(NewsArticle, on_delete=models.SET_NULL, null=True, related_name="items")
    origin = models.CharField(max_length=64, help_text="the list that it stands on")
    provider_id = models.CharField(max_length=200)
    category = models.CharField(max_length=32)
    digest = models.CharField(max_length=32, help_text="of its text: another one is a revision")
    received_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["origin", "provider_id"], name="one_news_item_an_id")]
        indexes = [
            models.Index(fields=["category", "article"], name="news_item_by_category"),
            models.Index(fields=["received_at"], name="news_item_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.origin} {self.provider_id}"


class ArticleInstrument(models.Model):
    """That a story is about an instrument."""

    class How(models.TextChoices):
        RELATED = "related", "the provider says so"
        CASHTAG = "cashtag", "as $AAPL"
        EXCHANGE = "exchange", "as NASDAQ:AAPL"
        SYMBOL = "symbol", "by its symbol"
        NAME = "name", "by its name"

    article = models.ForeignKey(NewsArticle, on_delete=models.CASCADE, related_name="links")
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="news")
    how = models.CharField(max_length=8, choices=How.choices)
    confidence = models.FloatField(help_text="0 to 1")

    class Meta:
        ordering = ["-confidence", "id"]
        constraints = [models.UniqueConstraint(fields=["article", "instrument"], name="one_link_each")]
        indexes = [models.Index(fields=["instrument", "article"], name="news_of_instrument")]

    def __str__(self) -> str:
        return f"{self.instrument} {self.how} {self.confidence:g}"
