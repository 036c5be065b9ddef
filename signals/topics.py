"""The topics of signals and notifications, and how other Django code speaks on them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

import msgspec
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from ingestion.store import to_us
from ingestion.symbols import UnknownSymbol, normalize, resolve
from signals import news, notifications
from signals.events import SIGNAL_TYPES, NewsEvent, NotificationEvent, ReadEvent, SignalEvent
from signals.models import Notification, Signal
from signals.notifications import Telling
from streaming import events, topics
from streaming.protocol import Address, Message, timestamp

HOUSE_TOPIC: Final = "signals"


class SignalsTopic(topics.Topic):
    """The signals of the house's strategies, all or those on one instrument. For whoever is signed in."""

    prefix = "signals"
    kind = topics.Kind.LOSSLESS
    events: ClassVar[Mapping[str, type]] = {"signal": SignalEvent, "signal_update": SignalEvent}

    def resolve(self, key: str, user: Any) -> Address:
        return _address(self.prefix, key, user, HOUSE_TOPIC)

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        """The newest of those that are active, oldest first."""
        return _active(address, Signal.objects.filter(private=False))


class OwnSignalsTopic(topics.Topic):
    """The signals of the user's own strategies, which nobody else hears, all or those on one instrument."""

    prefix = "own-signals"
    kind = topics.Kind.LOSSLESS
    events: ClassVar[Mapping[str, type]] = {"signal": SignalEvent, "signal_update": SignalEvent}

    def resolve(self, key: str, user: Any) -> Address:
        return _address(self.prefix, key, user, own_topic_of(user.pk))

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        """The newest of those that are active, oldest first."""
        return _active(address, Signal.objects.filter(private=True, hearers__user_id=user.pk))


class TradingSignalsTopic(topics.Topic):
    """Either of the two as `/ws/trading-signals/` follows it: `house` or `own`, a symbol or none, a type or none.

    The name `trading-signals:own:BTC-USD:BUY` keeps the filter; the path leaves out what is of another type.
    """

    prefix = "trading-signals"
    kind = topics.Kind.LOSSLESS
    events: ClassVar[Mapping[str, type]] = {"signal": SignalEvent, "signal_update": SignalEvent}

    def resolve(self, key: str, user: Any) -> Address:
        name = f"{self.prefix}:{key}"
        whose, _, rest = key.partition(":")
        symbol, _, signal_type = rest.rpartition(":")
        if whose not in _WHOSE or signal_type not in ("", *SIGNAL_TYPES):
            raise topics.UnknownTopic(name, "There is no such filter.")
        return msgspec.structs.replace(_WHOSE[whose].resolve(symbol, user), name=name)

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        """As the one that it follows."""
        return _WHOSE[address.name.split(":")[1]].snapshot(address, user)


def _address(prefix: str, key: str, user: Any, topic: str) -> Address:
    name = f"{prefix}:{key.upper()}" if key else prefix
    if not user.is_authenticated:
        raise topics.SignInNeeded(name, "Sign in to see signals.")
    if not key:
        return Address(topic=topic, name=name)
    try:
        return Address(topic=f"{topic}:{resolve(key).symbol}", name=name, symbol=normalize(key))
    except UnknownSymbol as error:
        raise topics.UnknownTopic(name, str(error)) from error


def _active(address: Address, rows: QuerySet[Signal]) -> list[Message]:
    now = timezone.now()
    rows = rows.filter(status=Signal.Status.ACTIVE, expires_at__gt=now).select_related("instrument").order_by("-id")
    if address.symbol is not None:
        rows = rows.filter(instrument__symbol=address.topic.rpartition(":")[2])
    newest = list(rows[: settings.SIGNAL_SNAPSHOT_MAX])[::-1]
    return [Message(address.topic, "signal", signal_payload(row, now), to_us(row.time)) for row in newest]


class NewsTopic(topics.Topic):
    """The news of a category; `news` and `news:all`: every article once."""

    prefix = "news"
    kind = topics.Kind.LOSSLESS
    events: ClassVar[Mapping[str, type]] = {"news": NewsEvent}
    public = True

    def resolve(self, key: str, user: Any) -> Address:
        category = key.lower() or news.ALL
        if not news.is_category(category):
            known = ", ".join(news.categories())
            raise topics.UnknownTopic(f"news:{key}", f"There is no news category “{key[:64]}”. There are {known}.")
        return Address(topic=news.topic_of(category), name=f"news:{category}" if key else "news")

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        """The newest, oldest first."""
        category = address.topic.partition(":")[2]
        return [news.message(article, category) for article in news.newest(category)]


class NotificationsTopic(topics.Topic):
    """A user's own; `notifications` alone means those."""

    prefix = "notifications"
    kind = topics.Kind.LOSSLESS
    events: ClassVar[Mapping[str, type]] = {"notification": NotificationEvent, "read": ReadEvent}

    def resolve(self, key: str, user: Any) -> Address:
        if not user.is_authenticated:
            raise topics.SignInNeeded("notifications", "Sign in to see notifications.")
        if key not in ("", str(user.pk)):
            raise topics.NotYours(f"notifications:{key}", "Those are not your notifications.")
        return Address(topic=notifications.topic_of(user.pk), name="notifications")

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        """The newest unread ones, oldest first."""
        return [notifications.message(row) for row in notifications.unread_of(user.pk)]


_WHOSE: Final[dict[str, topics.Topic]] = {"house": SignalsTopic(), "own": OwnSignalsTopic()}
for _topic in (*_WHOSE.values(), TradingSignalsTopic(), NewsTopic(), NotificationsTopic()):
    topics.register(_topic)


def own_topic_of(user_id: int | None) -> str:
    """Where the signals of a user's own strategies are told, canonical."""
    return f"own-signals:{user_id}"


def signal_payload(signal: Signal, now: datetime) -> dict[str, Any]:
    """The `data` of a `signal`, and its shape over HTTP. now: tells whether it has expired."""
    over = signal.status == Signal.Status.ACTIVE and now >= signal.expires_at
    return {
        "signal_id": str(signal.pk),
        "symbol": signal.instrument.symbol,
        "instrument": signal.instrument.symbol,
        "signal_type": signal.signal_type,
        "strength": signal.strength,
        "confidence_score": signal.confidence_score,
        "confidence_basis": signal.confidence_basis,
        "strategy": signal.strategy,
        "strategy_key": signal.strategy_key,
        "private": signal.private,
        "interval": signal.interval,
        "entry_price": signal.entry_price,
        "target_price": signal.target_price,
        "stop_loss": signal.stop_loss,
        "reason": signal.reason,
        "time": timestamp(to_us(signal.time)),
        "expires_at": timestamp(to_us(signal.expires_at)),
        "status": Signal.Status.EXPIRED.value if over else str(signal.status),
        "status_at": None if signal.status_at is None else timestamp(to_us(signal.status_at)),
        "supersedes": None if signal.supersedes_id is None else str(signal.supersedes_id),
    }


def signal_messages(signal: Signal) -> list[Message]:
    """The events of a new one, on every topic that it belongs to."""
    return _messages(signal, "signal", signal.time)


def update_messages(signal: Signal, at: datetime) -> list[Message]:
    """The events of one that has changed: the same, as `signal_update`."""
    return _messages(signal, "signal_update", at)


def _messages(signal: Signal, type_: str, at: datetime) -> list[Message]:
    return _everywhere(_bases(signal), type_, signal_payload(signal, signal.time), to_us(at))


def _bases(signal: Signal) -> list[str]:
    if not signal.private:
        return [HOUSE_TOPIC]
    return [own_topic_of(user_id) for user_id in signal.hearers.values_list("user_id", flat=True).order_by("user_id")]


def _everywhere(bases: Iterable[str], type_: str, data: dict[str, Any], at_us: int) -> list[Message]:
    """Each on its own topic, and on that of the instrument."""
    return [
        Message(topic=topic, type=type_, data=data, at_us=at_us)
        for base in bases
        for topic in (base, f"{base}:{data['instrument']}")
    ]


# --- For other Django code --------------------------------------------------------------------------------------


def broadcast_buy_signal(
    *,
    signal_id: str,
    symbol: str,
    entry_price: float,
    target_price: float | None = None,
    stop_loss: float | None = None,
    confidence_score: float = 50.0,
) -> None:
    """Tell of a BUY signal that was made elsewhere, on `signals` and `signals:<SYM>`. Part of the caller's transaction.

    Raises UnknownSymbol.
    """
    _broadcast(Signal.Type.BUY, signal_id, symbol, entry_price, target_price, stop_loss, confidence_score)


def broadcast_sell_signal(
    *,
    signal_id: str,
    symbol: str,
    entry_price: float,
    target_price: float | None = None,
    stop_loss: float | None = None,
    confidence_score: float = 50.0,
) -> None:
    """As `broadcast_buy_signal`, for a SELL."""
    _broadcast(Signal.Type.SELL, signal_id, symbol, entry_price, target_price, stop_loss, confidence_score)


def broadcast_notification(
    *,
    notification_id: str,
    title: str,
    message: str,
    notification_type: str = "info",
    priority: str = Notification.Priority.NORMAL,
    data: dict[str, Any] | None = None,
    user: Any = None,
) -> int:
    """Tell `user`, or every active user, under an id of the caller's own; the same id tells only once.

    Returns how many were told. Raises ValueError for a priority that there isn't.
    """
    told = notifications.tell(
        [user.pk] if user is not None else _everybody(),
        Telling(
            title=title,
            message=message,
            notification_type=notification_type,
            dedupe_key=f"broadcast:{notification_id}",
            priority=Notification.Priority(priority),
            data=data or {},
            public_id=notification_id,
        ),
    )
    return len(told)


def _everybody() -> list[int]:
    return list(get_user_model().objects.filter(is_active=True).values_list("pk", flat=True))


def _broadcast(
    signal_type: str,
    signal_id: str,
    symbol: str,
    entry_price: float,
    target_price: float | None,
    stop_loss: float | None,
    confidence_score: float,
) -> None:
    own = resolve(symbol).symbol
    data = {
        "signal_id": str(signal_id),
        "symbol": own,
        "instrument": own,
        "signal_type": str(signal_type),
        "strength": _strength(confidence_score),
        "confidence_score": confidence_score,
        "confidence_basis": "the sender's",
        "strategy": "external",
        "entry_price": entry_price,
        "target_price": target_price,
        "stop_loss": stop_loss,
        "expires_at": None,
        "status": "ACTIVE",
    }
    with transaction.atomic():
        events.append(_everywhere([HOUSE_TOPIC], "signal", data, to_us(timezone.now())))


def _strength(confidence: float) -> str:
    """By the same steps as our own: half a range of gap is 75, a fifth is 60."""
    if confidence >= 75:
        return Signal.Strength.STRONG.value
    return Signal.Strength.MODERATE.value if confidence >= 60 else Signal.Strength.WEAK.value
