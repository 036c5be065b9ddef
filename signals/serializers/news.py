"""The shapes of the calls on news: the same as on the wire."""

import datetime as dt
from typing import Any

from django.conf import settings
from rest_framework import serializers

from ingestion.models import Instrument
from ingestion.serializers import StrictSerializer, TimeField
from ingestion.symbols import UnknownSymbol, resolve
from signals import news
from signals.models import NewsArticle
from signals.sentiment import label_of


class SentimentField(serializers.Serializer):
    score = serializers.FloatField(help_text="-1 to 1, heuristic")
    label = serializers.ChoiceField(["positive", "neutral", "negative"])  # type: ignore[assignment]


class ArticleSerializer(serializers.Serializer):
    """context["category"]: the one that was asked for."""

    id = serializers.CharField()
    category = serializers.CharField()
    headline = serializers.CharField()
    summary = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    url = serializers.CharField()
    published_at = serializers.DateTimeField()
    symbols = serializers.ListField(child=serializers.CharField())
    sentiment = SentimentField()

    def to_representation(self, instance: NewsArticle) -> dict[str, Any]:
        return news.payload(instance, self.context["category"])


class NewsQuery(StrictSerializer):
    """Which news: of a category (without one: of all), about an instrument, published since a time."""

    category = serializers.CharField(required=False, default=news.ALL, max_length=32)
    symbol = serializers.CharField(required=False, default=None, max_length=64)
    since = TimeField(required=False, default=None, help_text="published at this time or later")
    limit = serializers.IntegerField(required=False, min_value=1, help_text="rows a page")
    cursor = serializers.CharField(required=False, help_text="of the page, as `next` gives it")

    def validate_category(self, value: str) -> str:
        if not news.is_category(value.lower()):
            raise serializers.ValidationError(f"There is no news category “{value}”.")
        return value.lower()

    def validate_symbol(self, value: str | None) -> Instrument | None:
        try:
            return None if value is None else resolve(value)
        except UnknownSymbol as error:
            raise serializers.ValidationError(str(error)) from error


class SentimentQuery(StrictSerializer):
    """Over how many hours."""

    hours = serializers.FloatField(required=False, default=24.0, min_value=1.0)

    def validate_hours(self, value: float) -> float:
        # `not <=` catches NaN as well.
        if not value <= settings.NEWS_SENTIMENT_MAX_HOURS:
            raise serializers.ValidationError(f"At most {settings.NEWS_SENTIMENT_MAX_HOURS:g} hours.")
        return value


class SentimentSchema(serializers.Serializer):
    """score, label: null where there was no news."""

    symbol = serializers.CharField()
    instrument = serializers.CharField()
    hours = serializers.FloatField()
    score = serializers.FloatField(allow_null=True)
    label = serializers.ChoiceField(["positive", "neutral", "negative"], allow_null=True)  # type: ignore[assignment]
    count = serializers.IntegerField(help_text="articles")
    basis = serializers.CharField(help_text="what the score rests on")
    as_of = serializers.DateTimeField()


def sentiment_answer(
    symbol: str, instrument: Instrument, hours: float, found: news.Sentiment | None, now: dt.datetime
) -> dict[str, Any]:
    """As SentimentSchema."""
    return {
        "symbol": symbol.upper(),
        "instrument": instrument.symbol,
        "hours": hours,
        "score": None if found is None else round(found.score, 4),
        "label": None if found is None else label_of(found.score),
        "count": 0 if found is None else found.count,
        "basis": "heuristic",
        "as_of": news.iso(now),
    }
