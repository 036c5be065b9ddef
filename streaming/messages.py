"""What the server says on `/ws/realtime/`, as types: the `data` of each message but the topics' own events. Pure.

Clients' messages are typed in `core.py`, events beside their topics. The AsyncAPI document is made of all of them, and
tests hold what is really sent against them.
"""

from typing import Any, Literal

import msgspec

from streaming.core import Nothing


class Connected(msgspec.Struct):
    """The first message on a connection."""

    status: Literal["connected"]
    connection_id: str
    authenticated: bool
    user_id: int | None


class Pong(Nothing):
    """The answer to `ping`."""


class Authenticated(msgspec.Struct):
    """A token was accepted; `expires_at` is null where the sign-in does not run out."""

    user_id: int
    expires_at: str | None


class At(msgspec.Struct, omit_defaults=True):
    """Where a subscription begins: the position, on lossless topics; whether a replay was complete, where one was asked
    for."""

    epoch: str | None = None
    seq: int | None = None
    recovered: bool | None = None


class Subscribed(msgspec.Struct):
    """What was granted, by the name it goes by from now on. Snapshots or the replay follow."""

    topics: dict[str, At]


class Names(msgspec.Struct):
    """Topics by name."""

    topics: list[str]


class Interval(msgspec.Struct, omit_defaults=True):
    """The pace that holds from now on."""

    interval_ms: int
    batch: bool | None = None


class Read(msgspec.Struct):
    """Notifications that are read by now, here or on another of the user's connections."""

    notification_ids: list[str]


class Error(msgspec.Struct):
    """Something was refused; the connection lives. `retry`: whether coming back later can help."""

    code: int
    message: str
    retry: bool


class Batch(msgspec.Struct):
    """Several waiting messages at once, each whole; only after `"batch": true`."""

    events: list[dict[str, Any]]


# By `type`.
SAID: dict[str, type] = {
    "connection": Connected,
    "pong": Pong,
    "authenticated": Authenticated,
    "subscribed": Subscribed,
    "unsubscribed": Names,
    "subscriptions": Names,
    "interval": Interval,
    "read": Read,
    "dropped": dict[str, int],
    "error": Error,
    "batch": Batch,
}
