"""News over HTTP, and what it says of an instrument."""

from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion.permissions import MarketData
from ingestion.views import instrument_called
from signals import news
from signals.models import ArticleInstrument, NewsArticle
from signals.serializers.news import ArticleSerializer, NewsQuery, SentimentQuery, SentimentSchema, sentiment_answer


@extend_schema_view(get=extend_schema(parameters=[NewsQuery]))
class News(generics.ListAPIView):
    """News, the newest first; the same shape as on the topic `news:<category>`."""

    serializer_class = ArticleSerializer
    permission_classes = [MarketData]
    ordering = ("-published_at", "-id")

    @cached_property
    def asked(self) -> dict[str, Any]:
        query = NewsQuery(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked: dict[str, Any] = query.validated_data
        return asked

    def get_serializer_context(self) -> dict[str, Any]:
        """The category that each article is shown in."""
        return {**super().get_serializer_context(), "category": self.asked["category"]}

    def get_queryset(self) -> QuerySet[NewsArticle]:
        if getattr(self, "swagger_fake_view", False):
            return NewsArticle.objects.none()
        rows = news.articles(self.asked["category"])
        if self.asked["symbol"] is not None:
            links = ArticleInstrument.objects.filter(instrument=self.asked["symbol"])
            rows = rows.filter(pk__in=links.values("article"))
        if self.asked["since"] is not None:
            rows = rows.filter(published_at__gte=self.asked["since"])
        return rows


class InstrumentSentiment(APIView):
    """How the news about an instrument sounds."""

    permission_classes = [MarketData]

    @extend_schema(parameters=[SentimentQuery], responses=SentimentSchema)
    def get(self, request: Request, symbol: str) -> Response:
        """The mean of its articles' scores, each weighted by its age and by how surely it is about the instrument."""
        instrument = instrument_called(symbol)
        query = SentimentQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        hours, now = query.validated_data["hours"], timezone.now()
        found = news.sentiment([instrument.pk], now, hours).get(instrument.pk)
        return Response(sentiment_answer(symbol, instrument, hours, found, now))
