"""What people are told, as tables: one file for each noun, all of them named here."""

from signals.models.alerts import Alert, Firing
from signals.models.news import ArticleInstrument, NewsArticle, NewsFeed, NewsItem
from signals.models.notifications import Notification, new_public_id
from signals.models.signals import Evaluated, Signal, SignalSubscription

__all__ = [
    "Alert",
    "ArticleInstrument",
    "Evaluated",
    "Firing",
    "NewsArticle",
    "NewsFeed",
    "NewsItem",
    "Notification",
    "Signal",
    "SignalSubscription",
    "new_public_id",
]
