"""What people are told, as tables: one file for each noun, all of them named here."""

from signals.models.alerts import Alert, Firing, Rescaling
from signals.models.deliveries import Delivery, Destination, PushKey
from signals.models.digests import Digest
from signals.models.findings import Examined, Finding
from signals.models.news import ArticleInstrument, NewsArticle, NewsFeed, NewsItem
from signals.models.notifications import Notification, new_public_id
from signals.models.outcomes import SignalOutcome
from signals.models.preferences import NotificationPreferences
from signals.models.signals import Evaluated, Signal, SignalHearer, SignalSubscription
from signals.models.strategies import StrategyRun, UserStrategy
from signals.models.strategy_files import StrategyFile

__all__ = [
    "Alert",
    "ArticleInstrument",
    "Delivery",
    "Destination",
    "Digest",
    "Evaluated",
    "Examined",
    "Finding",
    "Firing",
    "NewsArticle",
    "NewsFeed",
    "NewsItem",
    "Notification",
    "NotificationPreferences",
    "PushKey",
    "Rescaling",
    "Signal",
    "SignalHearer",
    "SignalOutcome",
    "SignalSubscription",
    "StrategyFile",
    "StrategyRun",
    "UserStrategy",
    "new_public_id",
]
