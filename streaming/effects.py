"""What a session decides and its connection carries out. Pure."""

from typing import Any

import msgspec

from streaming.outbox import NORMAL
from streaming.protocol import Address, Position


class Subscription(msgspec.Struct, frozen=True):
    """One topic as one client follows it.

    depth: the levels wanted of a book, None for all that there are. priority: one of `outbox.PRIORITIES`.
    """

    address: Address
    depth: int | None = None
    priority: int = NORMAL


class Send(msgspec.Struct, frozen=True):
    """Say this now."""

    message: dict[str, Any]


class Subscribe(msgspec.Struct, frozen=True):
    """Follow these topics.

    since: positions from which to replay. essential: a refused name ends the connection with its code.
    quiet: no `subscribed` answer; only_new: names already followed stay as they are. instead_of: names that are left
    once all of these are granted.
    """

    names: tuple[str, ...]
    request: Any = None
    since: dict[str, Position] = {}
    depth: int | None = None
    priority: int = NORMAL
    essential: bool = False
    quiet: bool = False
    only_new: bool = False
    instead_of: tuple[str, ...] = ()


class Unsubscribe(msgspec.Struct, frozen=True):
    """Leave these topics, named as they were granted."""

    names: tuple[str, ...]


class SetPace(msgspec.Struct, frozen=True):
    """None leaves it as it is."""

    interval_ms: int | None = None
    batch: bool | None = None


class Act(msgspec.Struct, frozen=True):
    """Have a registered action (`actions.py`) done for the user."""

    name: str
    data: dict[str, Any]
    request: Any = None


class Authenticate(msgspec.Struct, frozen=True):
    """Take the bearer of this token for whoever it says; also before the present one expires."""

    token: str
    request: Any = None


class Close(msgspec.Struct, frozen=True):
    code: int
    reason: str


Effect = Send | Subscribe | Unsubscribe | SetPace | Act | Authenticate | Close
