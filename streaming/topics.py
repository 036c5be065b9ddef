"""What can be subscribed to. Each package registers its topics here, in its own `topics.py`.

A topic's name is split at its first `:` into prefix and key, as in `price:BTC-USDT`.
"""

import enum
from collections.abc import Mapping
from typing import Any, ClassVar

from streaming.protocol import Address, Message

__all__ = [
    "Address", "Kind", "NotYours", "SignInNeeded", "Topic", "TopicRefused", "UnknownTopic", "find", "register",
    "registry",
]  # fmt: skip


class Kind(enum.Enum):
    CONFLATED = "conflated"  # the newest value replaces one not yet sent; rebuilt by snapshot
    BATCHED = "batched"  # bounded; the oldest fall out and are counted
    LOSSLESS = "lossless"  # rows first (`streaming.events.append`), in order, replayable


class TopicRefused(Exception):
    """A subscription that is not to be had. `code` is the close code that goes with it (protocol.py)."""

    code = 4004

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name, self.why = name, why


class UnknownTopic(TopicRefused):
    code = 4004


class NotYours(TopicRefused):
    code = 4003


class SignInNeeded(TopicRefused):
    code = 4001


class Topic:
    """One kind of topic. Subclass, set the class attributes, register an instance.

    Its methods are synchronous and may use the ORM; the engine calls them in threads, with Django's `user`
    (an `AnonymousUser` when not signed in).
    """

    prefix: ClassVar[str]
    kind: ClassVar[Kind]
    # Its events' `data` by event type: structs or typed dictionaries, for the AsyncAPI document and its tests.
    events: ClassVar[Mapping[str, type]] = {}
    public: ClassVar[bool] = False  # open to anonymous clients where ANONYMOUS_MARKET_DATA allows it

    def resolve(self, key: str, user: Any) -> Address:
        """The one door to a group name. Raises TopicRefused; does not reveal whether a forbidden thing exists."""
        raise NotImplementedError

    def keys(self, user: Any) -> list[str]:
        """The keys that `prefix:*` stands for: all of this user's own. Only some topics have such."""
        return []

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        """The present state as the same messages the topic publishes, canonical symbols in them; may be empty."""
        return []


registry: dict[str, Topic] = {}


def register(topic: Topic) -> None:
    assert topic.prefix not in registry, f"topic {topic.prefix} is registered twice"
    registry[topic.prefix] = topic


def find(name: str) -> tuple[Topic, str]:
    """The topic and the key of a name such as `price:BTC-USDT`. Raises UnknownTopic."""
    prefix, _, topic_key = name.partition(":")
    if prefix not in registry:
        raise UnknownTopic(name, f"There is no topic “{prefix}”.")
    return registry[prefix], topic_key
