"""The older path `/ws/portfolio/`: all of the user's portfolios, in the core protocol's shapes. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from portfolio.events import PortfolioUpdate
from streaming import dialects
from streaming.dialects import Dialect, Misunderstood
from streaming.effects import Effect, Send, Subscribe, Subscription
from streaming.protocol import Message, envelope

ALL = "portfolio:*"


class Ping(msgspec.Struct):
    """Are you there? Also takes up portfolios that were made since."""

    type: Literal["ping"]


class Pong(msgspec.Struct):
    """The answer to a ping."""

    type: Literal["pong"]
    timestamp: str


class Update(msgspec.Struct):
    """What one of the portfolios is worth."""

    type: Literal["portfolio_update"]
    data: PortfolioUpdate
    timestamp: str
    topic: str


class Portfolios(Dialect):
    """`portfolio_update` for each portfolio on connect and on change.

    A ping also takes up portfolios that were made since.
    """

    path = "portfolio"
    needs_user = True
    hears: ClassVar[Mapping[str, type]] = {"ping": Ping}
    says: ClassVar[Mapping[str, type]] = {"portfolio_update": Update, "pong": Pong}
    examples: ClassVar[Sequence[dict[str, Any]]] = ({"type": "ping"},)

    def topics(self, params: Mapping[str, str]) -> list[str]:
        return [ALL]

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        if said.get("type") != "ping":
            raise Misunderstood('This path understands {"type": "ping"} only.')
        return [Send(envelope("pong", {}, at_us, id=said.get("id"))), Subscribe((ALL,), quiet=True, only_new=True)]

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        return [envelope(message.type, message.data, message.at_us, topic=subscription.address.name)]


dialects.register(Portfolios())
