"""The topics `signals`, `signals:<SYM>` and `notifications`, and how other Django code speaks on them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from ingestion.store import to_us
from ingestion.symbols import UnknownSymbol, normalize, resolve
from signals import notifications
from signals.events import NotificationEvent, ReadEvent, SignalEvent
from signals.models import Notification, Signal
from signals.notifications import Telling
from streaming import events, topics
from streaming.protocol import Address, Message, timestamp


class SignalsTopic(topics.Topic):
    """All signals, or those on one instrument. For whoever is signed in."""

    prefix = "signals"
    kind = topics.Kind.LOSSLESS
    events: ClassVar[Mapping[str, type]] = {"signal": SignalEvent}

    def resolve(self, key: str, user: Any) -> Address:
        name = f"signals:{key.upper()}" if key else "signals"
        if not user.is_authenticated:
            raise topics.SignInNeeded(name, "Sign in to see signals.")
        if not key:
            return Address(topic="signals", name=name)
        try:
            return Address(topic=f"signals:{resolve(key).symbol}", name=name, symbol=normalize(key))
        except UnknownSymbol as error:
            raise topics.UnknownTopic(name, str(error)) from error

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        """The newest of those that have not expired, oldest first."""
        now = timezone.now()
        rows = Signal.objects.filter(expires_at__gt=now).select_related("instrument").order_by("-id")
        symbol = address.topic.partition(":")[2]
        if symbol:
            rows = rows.filter(instrument__symbol=symbol)
        newest = list(rows[: settings.SIGNAL_SNAPSHOT_MAX])[::-1]
        return [_message(address.topic, signal_payload(row, now), to_us(row.time)) for row in newest]


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


topics.register(SignalsTopic())
topics.register(NotificationsTopic())


def signal_payload(signal: Signal, now: datetime) -> dict[str, Any]:
    """The `data` of a `signal`, and its shape over HTTP. now: tells whether it has expired."""
    return {
        "signal_id": str(signal.pk),
        "symbol": signal.instrument.symbol,
        "instrument": signal.instrument.symbol,
        "signal_type": signal.signal_type,
        "strength": signal.strength,
        "confidence_score": signal.confidence_score,
        "confidence_basis": "heuristic",
        "strategy": signal.strategy,
        "interval": signal.interval,
        "entry_price": signal.entry_price,
        "target_price": signal.target_price,
        "stop_loss": signal.stop_loss,
        "reason": signal.reason,
        "time": timestamp(to_us(signal.time)),
        "expires_at": timestamp(to_us(signal.expires_at)),
        "status": "ACTIVE" if now < signal.expires_at else "EXPIRED",
    }


def signal_messages(signal: Signal) -> list[Message]:
    """Its events, on both topics."""
    return _on_both(signal_payload(signal, signal.time), to_us(signal.time))


def _on_both(data: dict[str, Any], at_us: int) -> list[Message]:
    return [_message(topic, data, at_us) for topic in ("signals", f"signals:{data['instrument']}")]


def _message(topic: str, data: dict[str, Any], at_us: int) -> Message:
    return Message(topic=topic, type="signal", data=data, at_us=at_us)


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
        events.append(_on_both(data, to_us(timezone.now())))


def _strength(confidence: float) -> str:
    """By the same steps as our own: half a range of gap is 75, a fifth is 60."""
    if confidence >= 75:
        return Signal.Strength.STRONG.value
    return Signal.Strength.MODERATE.value if confidence >= 60 else Signal.Strength.WEAK.value
