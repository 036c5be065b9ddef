"""Topics of the tests' own, one of each kind; their state is a dictionary that a test sets."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection

from streaming import events, topics
from streaming.protocol import Address, Message
from streaming.topics import Kind, NotYours, Topic, UnknownTopic

KNOWN = {"BTC": "BTC-USDT", "BTC-USDT": "BTC-USDT", "BRK.B": "BRK.B", "BTC-USD": "BTC-USD", "EURUSD=X": "EURUSD=X"}

# The present state of a topic, by its canonical name: what its snapshot says.
state: dict[str, list[Message]] = {}


def message(topic: str, at_us: int = 1_769_596_201_123_456, type: str = "test", **data: Any) -> Message:
    return Message(topic=topic, type=type, data=data, at_us=at_us)


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Blocking database work, on a connection that ends with it."""

    def run() -> Any:
        try:
            return function(*args)
        finally:
            connection.close()

    return await asyncio.to_thread(run)


async def append(messages: Sequence[Message]) -> list[Message]:
    appended: list[Message] = await in_thread(events.append, messages)
    return appended


class _Stated(Topic):
    def snapshot(self, address: Address, user: Any) -> Sequence[Message]:  # type: ignore[override]
        return state.get(address.topic, [])


class Quotes(_Stated):
    """`tquote:<SYM>`: public, conflated, symbols in any case."""

    prefix, kind, public = "tquote", Kind.CONFLATED, True

    def resolve(self, key: str, user: Any) -> Address:
        asked = key.upper()
        if asked not in KNOWN:
            raise UnknownTopic(f"{self.prefix}:{key}", f"There is no instrument “{key}”.")
        return Address(topic=f"{self.prefix}:{KNOWN[asked]}", name=f"{self.prefix}:{asked}", symbol=asked)


class Ticks(Quotes):
    prefix, kind = "ttick", Kind.BATCHED


class Diary(_Stated):
    """`tdiary`: each user's own, lossless."""

    prefix, kind = "tdiary", Kind.LOSSLESS

    def resolve(self, key: str, user: Any) -> Address:
        return Address(topic=f"tdiary:{user.pk}", name="tdiary")


class Log(_Stated):
    """`tlog:<anything>`: public, lossless."""

    prefix, kind, public = "tlog", Kind.LOSSLESS, True

    def resolve(self, key: str, user: Any) -> Address:
        return Address(topic=f"tlog:{key}", name=f"tlog:{key}")


class Boxes(_Stated):
    """`tbox:<user name>`: conflated, its owner's alone."""

    prefix, kind = "tbox", Kind.CONFLATED

    def resolve(self, key: str, user: Any) -> Address:
        if key != user.username:
            raise NotYours(f"tbox:{key}", f"You have no box “{key}”.")
        return Address(topic=f"tbox:{key}", name=f"tbox:{key}")

    def keys(self, user: Any) -> list[str]:
        return [get_user_model().objects.get(pk=user.pk).username]


class Readers(_Stated):
    """`treaders:<anything>`: for the members of the group "readers"."""

    prefix, kind = "treaders", Kind.CONFLATED

    def resolve(self, key: str, user: Any) -> Address:
        if not user.groups.filter(name="readers").exists():
            raise NotYours(f"treaders:{key}", "Only readers may follow this.")
        return Address(topic=f"treaders:{key}", name=f"treaders:{key}")


def register() -> None:
    for topic in (Quotes(), Ticks(), Diary(), Log(), Boxes(), Readers()):
        if topic.prefix not in topics.registry:
            topics.register(topic)
