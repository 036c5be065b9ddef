"""The core protocol's words: envelopes, errors, close codes. Pure."""

from typing import Any

import msgspec


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


class Position(msgspec.Struct, frozen=True):
    """How far a lossless topic has come. Numbers of different epochs don't compare."""

    epoch: str
    seq: int
