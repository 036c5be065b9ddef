"""The core protocol's words: envelopes, errors, close codes. Pure."""

import enum
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event of a topic, on its way from where it happened to the browsers.

    topic: canonical name (`streaming.topics.Address.topic`).
    type: the event's type on the wire, e.g. `asset_update`.
    data: its payload, JSON-ready (numbers, strings, lists, dicts); market symbols canonical.
    at_us: when it was made, microseconds since 1970.
    epoch, seq: the position, on lossless topics only.
    """

    topic: str
    type: str
    data: dict[str, Any]
    at_us: int
    epoch: str | None = None
    seq: int | None = None


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a lossless topic has come. Numbers of different epochs don't compare."""

    epoch: str
    seq: int


class Address(msgspec.Struct, frozen=True):
    """Where a subscription leads.

    topic: canonical, e.g. `price:BTC-USDT` or `notifications:7`; groups, events and positions go by it.
    name: as the client asked, symbols upper-cased, e.g. `price:BTC`; goes back out as the envelope's `topic`.
    symbol: what to echo as `data["symbol"]`, where the topic is about one instrument.
    """

    topic: str
    name: str
    symbol: str | None = None


class Code(enum.IntEnum):
    """What goes wrong, as `code` of an `error` and as close code. 40xx: don't come back; 41xx: do, with backoff."""

    BROKEN = 4000  # a message that is not understood; as close code: too many of them
    SIGN_IN_NEEDED = 4001
    NOT_YOURS = 4003
    UNKNOWN = 4004  # symbol or topic
    OVER_LIMIT = 4029  # connections or subscriptions
    UNAVAILABLE = 4101  # restarting, or the database is away
    TOO_SLOW = 4108  # what waits for this client outgrew its bound, or it was silent for too long
    TOO_FAST = 4129  # messages a minute


def may_retry(code: int) -> bool:
    """Whether coming back later can help."""
    return code >= 4100


def timestamp(at_us: int) -> str:
    """Microseconds since 1970 as on the wire.

    >>> timestamp(1_769_596_201_123_456)
    '2026-01-28T10:30:01.123456Z'
    """
    at = _EPOCH + timedelta(microseconds=at_us)
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def envelope(type_: str, data: dict[str, Any], at_us: int, **more: Any) -> dict[str, Any]:
    """One message of the core protocol. more: `id` of an answer, `topic`, `epoch`, `seq`; None is left out."""
    said = {"type": type_, "data": data, "timestamp": timestamp(at_us)}
    return said | {name: value for name, value in more.items() if value is not None}


def error(code: int, message: str, at_us: int, **more: Any) -> dict[str, Any]:
    """A refusal that leaves the connection alive."""
    return envelope("error", {"code": int(code), "message": message, "retry": may_retry(code)}, at_us, **more)
