"""The `data` of signals and notifications on the wire, as types: for the AsyncAPI document, and for tests. Pure."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

SIGNAL_TYPES: Final = ("BUY", "SELL", "HOLD")


class SignalEvent(msgspec.Struct):
    """What a strategy says of an instrument."""

    signal_id: str
    symbol: str
    signal_type: Literal["BUY", "SELL", "HOLD"]
    strength: Literal["WEAK", "MODERATE", "STRONG"]
    confidence_score: Annotated[float, Meta(ge=0, le=100)]
    strategy: str
    entry_price: float | None
    target_price: float | None
    stop_loss: float | None
    expires_at: str | None
    status: str


class Sentiment(msgspec.Struct):
    """How a piece of news sounds: a heuristic."""

    score: Annotated[float, Meta(ge=-1, le=1)]
    label: Literal["positive", "neutral", "negative"]


class NewsEvent(msgspec.Struct):
    """A story, when it is new, and again under the same `id` when its text, its symbols or its categories change."""

    id: str
    category: str
    headline: str
    summary: str
    source: str
    url: str
    published_at: str
    symbols: list[str]
    sentiment: Sentiment


class NotificationEvent(msgspec.Struct):
    """Something that a user is told."""

    notification_id: str
    title: str
    message: str
    notification_type: str
    priority: Literal["low", "normal", "high", "critical"]
    data: dict[str, Any]
    read: bool
    created_at: str


class ReadEvent(msgspec.Struct):
    """Notifications that were read, here or on another of the user's connections."""

    notification_ids: list[str]
