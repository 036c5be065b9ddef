"""Where a subscription begins: who may have it, where its topic stands, and what it says just now. Blocking."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import redis
from django.conf import settings
from django.db import Error as DatabaseError

from streaming import events, topics
from streaming.protocol import Address, Message, Position
from streaming.topics import Kind, SignInNeeded, Topic, TopicRefused

logger = logging.getLogger(__name__)


class Grant(msgspec.Struct, frozen=True):
    """A topic that the user may follow."""

    topic: Topic
    address: Address


class Beginning(msgspec.Struct, frozen=True):
    """What a subscription gets first.

    at: the topic's position, on lossless topics: what follows is later than this.
    recovered: whether `messages` are all that came since the position asked for; None if none was asked for.
    messages: the replay, or the snapshot.
    """

    at: Position | None
    recovered: bool | None
    messages: Sequence[Message]


def resolve(name: str, user: Any) -> Grant:
    """The one way from a name to a topic. Raises TopicRefused."""
    topic, key = topics.find(name)
    if not user.is_authenticated and not (topic.public and settings.ANONYMOUS_MARKET_DATA):
        raise SignInNeeded(name, f"{name} needs a sign-in.")
    return Grant(topic, topic.resolve(key, user))


def resolve_all(names: Iterable[str], user: Any) -> tuple[list[Grant], list[TopicRefused]]:
    """Each name's grant or refusal; `prefix:*` is put in the place of all of the user's."""
    granted: dict[str, Grant] = {}
    refused = []
    for name in names:
        try:
            for one in _expand(name, user):
                grant = resolve(one, user)
                granted[grant.address.name] = grant
        except TopicRefused as refusal:
            refused.append(refusal)
    return list(granted.values()), refused


def begin(grants: Sequence[Grant], since: Mapping[str, Position], user: Any) -> list[Beginning]:
    """Each grant's beginning. since: positions asked for, by the subscription's name.

    The positions are read before the states, so that what is later than the position may already be in the state,
    but nothing is missing between them.
    """
    at = events.positions(grant.address.topic for grant in grants if grant.topic.kind is Kind.LOSSLESS)
    return [_begin(grant, at.get(grant.address.topic), since.get(grant.address.name), user) for grant in grants]


def snapshot(grant: Grant, user: Any) -> Sequence[Message]:
    """The topic's present state; empty where it can't be read just now (a later resync brings it)."""
    try:
        return grant.topic.snapshot(grant.address, user)
    except (redis.RedisError, DatabaseError) as error:
        logger.warning("no snapshot of %s: %s", grant.address.topic, error)
    except Exception:  # another package's snapshot must not end this connection
        logger.exception("no snapshot of %s", grant.address.topic)
    return []


def _begin(grant: Grant, at: Position | None, since: Position | None, user: Any) -> Beginning:
    if at is None or since is None:
        return Beginning(at, None, snapshot(grant, user))
    missed = events.replay(grant.address.topic, since, at)
    if missed is None:
        return Beginning(at, False, snapshot(grant, user))
    return Beginning(at, True, missed)


def _expand(name: str, user: Any) -> list[str]:
    prefix, _, key = name.partition(":")
    if key != "*":
        return [name]
    topic, _ = topics.find(name)
    return [f"{prefix}:{key}" for key in topic.keys(user)]
