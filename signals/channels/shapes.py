"""What a channel is given, what it makes of it, and what it says of the answer."""

import json
from collections.abc import Callable, Collection, Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

PRIORITIES: Final = ("low", "normal", "high", "critical")
JSON: Final = {"Content-Type": "application/json; charset=utf-8"}

Config = Mapping[str, Any]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said. key: the same each time that it is tried. link: where to read more, or empty;
    path: the same within the application.

    created_at: ISO 8601; at_s: when this attempt is made, in seconds since 1970. test: nothing has happened.
    """

    key: str
    title: str
    text: str
    created_at: str
    at_s: int
    priority: str = "normal"
    notification_type: str = "test"
    notification_id: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    link: str = ""
    path: str = ""
    test: bool = False


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP POST. ours: the address is the installation's own choice, so it may lie in its own network."""

    url: str
    body: bytes
    headers: dict[str, str]
    ours: bool = False


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """A web push, not yet encrypted: for whom (`PushSubscription.toJSON()`), and what."""

    subscription: dict[str, Any]
    body: bytes
    headers: dict[str, str]


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A letter in two forms."""

    to: str
    subject: str
    text: str
    html: str
    headers: dict[str, str]


class Answer(msgspec.Struct, frozen=True):
    """What came back: headers' names in lower case, the body cut off at a bound."""

    status: int
    headers: dict[str, str]
    body: bytes


class Verdict(StrEnum):
    """What follows from an attempt: done, try again later, give this one up, or give the destination up."""

    SENT = "sent"
    RETRY = "retry"
    REFUSED = "refused"
    GONE = "gone"


class Outcome(msgspec.Struct, frozen=True):
    """A verdict, its reason, how long the receiver wants to be left alone, and how its answer began."""

    verdict: Verdict
    reason: str = ""
    retry_after_s: float | None = None
    response: str = ""


class Channel(msgspec.Struct, frozen=True):
    """A kind of destination. secrets: the fields that are sealed; bound_to: who changes these gives the secrets anew,
    so that nobody sends them elsewhere. address: what people know a destination by.
    """

    build: Callable[[Config, Message], "Request | Push | Mail"]
    judge: Callable[[Answer], Outcome]
    address: Callable[[Config], str]
    secrets: tuple[str, ...] = ()
    bound_to: tuple[str, ...] = ()


def clip(text: str, size: int) -> str:
    """At most `size` characters, and a sign that some are missing."""
    return text if len(text) <= size else text[: size - 1] + "…"


def clip_bytes(text: str, size: int) -> str:
    """At most `size` bytes of UTF-8, no character cut in two."""
    raw = text.encode()
    return text if len(raw) <= size else raw[: size - 3].decode(errors="ignore") + "…"


def line(text: str) -> str:
    """In one line: headers and subjects end where a line does. Other control characters go as well."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def plain(text: str) -> str:
    """Without the characters that neither JSON readers nor mail like: all control characters but line breaks."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")


def judge_by_status(
    answer: Answer, gone: Collection[int], refused: Collection[int] = (400, 405, 413, 415, 422)
) -> Outcome:
    """gone: statuses that say the destination is no more, or not ours; refused: that this message will never do."""
    response = shown(answer)
    if 200 <= answer.status < 300:
        return Outcome(Verdict.SENT, response=response)
    reason = f"HTTP {answer.status}"
    if 300 <= answer.status < 400:
        return Outcome(Verdict.REFUSED, f"{reason}: redirects are not followed", response=response)
    if answer.status in gone:
        return Outcome(Verdict.GONE, reason, response=response)
    if answer.status in refused:
        return Outcome(Verdict.REFUSED, reason, response=response)
    return Outcome(Verdict.RETRY, reason, retry_after(answer), response)


def retry_after(answer: Answer) -> float | None:
    """`Retry-After` in seconds; a date counts from the answer's own `Date`, whose clock it is."""
    value = answer.headers.get("retry-after", "")
    if value.isascii() and value.isdigit() and len(value) < 9:
        return float(value)
    return _until(value, answer.headers.get("date", ""))


def _until(value: str, date: str) -> float | None:
    try:
        return max(0.0, (parsedate_to_datetime(value) - parsedate_to_datetime(date)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def shown(answer: Answer) -> str:
    """How the answer began, for the log."""
    return clip(line(answer.body[:600].decode(errors="replace")), 300)


def body_of(answer: Answer) -> dict[str, Any]:
    """The JSON object in the answer, or an empty one."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def number(value: object) -> float | None:
    """A finite number of seconds, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        return None
    return float(value)


def encode(value: Any) -> bytes:
    """As JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
