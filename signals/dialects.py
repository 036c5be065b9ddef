"""The older path `/ws/notifications/`. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from streaming import dialects
from streaming.dialects import Dialect, Misunderstood
from streaming.effects import Act, Effect, Subscription
from streaming.protocol import Message, timestamp


class MarkRead(msgspec.Struct):
    """It was read."""

    type: Literal["mark_read"]
    notification_id: str | int


class NewNotification(msgspec.Struct):
    """Something that the user is told."""

    type: Literal["new_notification"]
    notification_id: str
    title: str
    message: str
    notification_type: str
    priority: Literal["low", "normal", "high", "critical"]
    timestamp: str


class Notifications(Dialect):
    """Unread notifications on connect, then each new one, flat. `{"type": "mark_read", "notification_id"}`."""

    path = "notifications"
    needs_user = True
    hears: ClassVar[Mapping[str, type]] = {"mark_read": MarkRead}
    says: ClassVar[Mapping[str, type]] = {"new_notification": NewNotification}
    examples: ClassVar[Sequence[dict[str, Any]]] = ({"type": "mark_read", "notification_id": "1"},)

    def topics(self, params: Mapping[str, str]) -> list[str]:
        return ["notifications"]

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        one = said.get("notification_id")
        if said.get("type") != "mark_read" or not isinstance(one, str | int) or isinstance(one, bool):
            raise Misunderstood('This path understands {"type": "mark_read", "notification_id"} only.')
        return [Act("mark_read", {"notification_ids": [str(one)[:64]]}, said.get("id"))]

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        """`{type, notification_id, title, message, notification_type, priority, timestamp}`."""
        if message.type != "notification":
            return []
        flat: dict[str, Any] = {"type": "new_notification"}
        for name in ("notification_id", "title", "message", "notification_type", "priority"):
            flat[name] = message.data.get(name)
        return [flat | {"timestamp": message.data.get("created_at") or timestamp(message.at_us)}]


dialects.register(Notifications())
