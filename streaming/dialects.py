"""The older paths. Each turns its path's messages into subscriptions and renders topic events in its path's shapes.

A package brings its dialects in its own `dialects.py` and registers them here. Pure: values in, values out; the
engine (`session.py`, `connection.py`) is the same for all, the core protocol of `core.py` included.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from streaming import protocol
from streaming.effects import Act, Effect, Subscription
from streaming.protocol import Code, Message


class Misunderstood(Exception):
    """A message that is not in this path's language. `why` is a sentence for its author."""

    def __init__(self, why: str, code: int = Code.BROKEN) -> None:
        super().__init__(why)
        self.why, self.code = why, code


class Opening(msgspec.Struct, frozen=True):
    """A connection at its start. params: the path's, such as `{"symbol": "BTC-USD"}`; user_id: None if anonymous."""

    connection_id: str
    user_id: int | None
    params: Mapping[str, str]


class Dialect:
    """One path's manner of speaking. Subclass, set the class attributes, register an instance."""

    path: ClassVar[str]  # a regular expression for what follows `/ws/`, without the trailing slash
    needs_user: ClassVar[bool] = False  # else 4001
    market: ClassVar[bool] = False  # market data only: open to anonymous clients under ANONYMOUS_MARKET_DATA
    reports_dropped: ClassVar[bool] = False
    # Its limit is MAX_SYMBOLS_PER_CONNECTION, and order books are not counted.
    counts_symbols: ClassVar[bool] = False
    # Whole messages by name, as structs or typed dictionaries: what clients may say, and what they hear.
    hears: ClassVar[Mapping[str, type]] = {}
    says: ClassVar[Mapping[str, type]] = {}
    # What one may say, to try it out.
    examples: ClassVar[Sequence[dict[str, Any]]] = ()

    def topics(self, params: Mapping[str, str]) -> list[str]:
        """What is subscribed at once. One that is refused closes the connection. `portfolio:*`: all of the user's."""
        return []

    def greet(self, opening: Opening, at_us: int) -> list[dict[str, Any]]:
        """The first messages, when the topics above are granted and before their snapshots."""
        return []

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        """What a client's message asks for. held: the subscriptions by name. Raises Misunderstood."""
        raise Misunderstood("This path takes no messages.")

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        """A topic's event as this path tells it: none, one or several messages."""
        raise NotImplementedError

    def begin(self, messages: Sequence[Message], subscription: Subscription, at_us: int) -> list[dict[str, Any]]:
        """What a subscription starts with: its snapshot, which may be empty, or the replay."""
        return [said for message in messages for said in self.render(message, subscription)]

    def subscribed(
        self, positions: Mapping[str, dict[str, Any]], held: Mapping[str, Subscription], request: Any, at_us: int
    ) -> list[dict[str, Any]]:
        """The answer to a subscription: each granted name with `epoch`, `seq`, `recovered` where it has them.

        held: all that is subscribed by now.
        """
        return []

    def authenticated(self, user_id: int, expires_at: float | None, request: Any, at_us: int) -> list[dict[str, Any]]:
        """The answer to a token. expires_at: seconds since 1970."""
        return []

    def left(self, names: Sequence[str], at_us: int) -> list[dict[str, Any]]:
        """What the client no longer gets, since it may not any more; each was refused before with its reason."""
        return []

    def acted(self, act: Act, answer: dict[str, Any], at_us: int) -> list[dict[str, Any]]:
        """The answer when an action was done."""
        return []

    def error(self, code: int, why: str, at_us: int, request: Any = None, topic: str | None = None) -> dict[str, Any]:
        """A refusal. request: the `id` of what is refused; topic: the name that it is about."""
        said: dict[str, Any] = {"type": "error", "code": int(code), "message": why, "retry": protocol.may_retry(code)}
        return said | {"timestamp": protocol.timestamp(at_us)}


registry: list[Dialect] = []


def register(dialect: Dialect) -> None:
    assert dialect.path not in [other.path for other in registry], f"path {dialect.path} is registered twice"
    registry.append(dialect)
