"""The older path `/ws/portfolio/`: all of the user's portfolios, in the core protocol's shapes. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from streaming import dialects
from streaming.dialects import Dialect, Misunderstood
from streaming.effects import Effect, Send, Subscribe, Subscription
from streaming.protocol import Message, envelope

ALL = "portfolio:*"


class Portfolios(Dialect):
    """`portfolio_update` for each portfolio on connect and on change.

    A ping also takes up portfolios that were made since.
    """

    path = "portfolio"
    needs_user = True

    def topics(self, params: Mapping[str, str]) -> list[str]:
        return [ALL]

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        if said.get("type") != "ping":
            raise Misunderstood('This path understands {"type": "ping"} only.')
        return [Send(envelope("pong", {}, at_us, id=said.get("id"))), Subscribe((ALL,), quiet=True, only_new=True)]

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        return [envelope(message.type, message.data, message.at_us, topic=subscription.address.name)]


dialects.register(Portfolios())
