"""What an answer really says, whatever its status: several venues refuse with HTTP 200. Pure.

Alpha Vantage says `{"Note": …}`, `{"Information": …}` or `{"Error Message": …}`, as JSON even where CSV was asked
for; Kraken says `{"error": ["EQuery:…"], …}`; anything may be an HTML page of some gateway.
"""

import enum
import re
from collections.abc import Mapping
from typing import Final

import msgspec

SHOWN_BYTES: Final = 300
KRAKEN_LOCKOUT_S: Final = 900.0


class Kind(enum.Enum):
    PACE = "too fast"  # later: after `retry_after_s`, or some time where the venue does not say
    DAY = "the day's share is used"
    TRANSIENT = "a passing failure"  # the same call may succeed in a moment
    REFUSED = "refused"  # and will be again


class Trouble(msgspec.Struct, frozen=True):
    """Why an answer is none. retry_after_s: as the venue says it; None where it does not."""

    kind: Kind
    detail: str
    retry_after_s: float | None = None


class _AlphaVantage(msgspec.Struct):
    note: str | None = msgspec.field(default=None, name="Note")
    information: str | None = msgspec.field(default=None, name="Information")
    error: str | None = msgspec.field(default=None, name="Error Message")


class _Kraken(msgspec.Struct):
    error: list[str] = []


class _BinanceError(msgspec.Struct):
    code: int = 0
    msg: str = ""


_alpha_vantage: Final = msgspec.json.Decoder(_AlphaVantage)
_kraken: Final = msgspec.json.Decoder(_Kraken)
_binance: Final = msgspec.json.Decoder(_BinanceError)

_BANNED_UNTIL: Final = re.compile(r"until (\d{13})")
_TOO_FAST: Final = ("per second", "per minute", "sparingly")
_DAY_USED: Final = ("per day", "daily", "rate limit", "call frequency")


def find(provider: str, status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> Trouble | None:
    """What is wrong with an answer; None when it is one.

    headers: with lower-case names. now_ms: the clock, for venues that name an instant.
    """
    if status in (418, 429):
        return Trouble(Kind.PACE, f"HTTP {status}", _retry_after_s(provider, headers, body, now_ms))
    if status >= 500 or status in (408, 425):
        return Trouble(Kind.TRANSIENT, f"HTTP {status}", _seconds(headers.get("retry-after")))
    if not 200 <= status < 300:
        return Trouble(Kind.REFUSED, f"HTTP {status}")
    if _too_many_as_text(body):
        return Trouble(Kind.PACE, _shown(body))
    if _is_page(headers, body):
        return Trouble(Kind.TRANSIENT, "an HTML page in place of data")
    said_otherwise = _IN_BODY.get(provider)
    return said_otherwise(body) if said_otherwise else None


def _retry_after_s(provider: str, headers: Mapping[str, str], body: bytes, now_ms: int) -> float | None:
    """As the header says it, or as Binance writes it into its message (`… banned until 1700000000000`)."""
    asked = _seconds(headers.get("retry-after"))
    if provider == "binance":
        try:
            found = _BANNED_UNTIL.search(_binance.decode(body).msg)
        except msgspec.MsgspecError:
            found = None
        if found:
            return max(asked or 0.0, (int(found.group(1)) - now_ms) / 1000)
    return asked


def _seconds(value: str | None) -> float | None:
    """
    >>> _seconds("12"), _seconds("soon"), _seconds(None)
    (12.0, None, None)
    """
    if value is None or not value.strip().isdecimal():
        return None
    return float(value)


def _too_many_as_text(body: bytes) -> bool:
    # Yahoo: the words alone, with whatever status.
    return len(body) < SHOWN_BYTES and body.strip().lower().startswith(b"too many requests")


def _is_page(headers: Mapping[str, str], body: bytes) -> bool:
    if "html" in headers.get("content-type", ""):
        return True
    start = body[:64].lstrip().lower()
    return start.startswith((b"<!doctype", b"<html"))


def _of_alpha_vantage(body: bytes) -> Trouble | None:
    if not body.lstrip().startswith(b"{"):
        return None  # CSV, as asked
    try:
        said = _alpha_vantage.decode(body)
    except msgspec.MsgspecError:
        return Trouble(Kind.TRANSIENT, "unreadable JSON")
    if said.error is not None:
        return Trouble(Kind.REFUSED, said.error)
    words = said.note if said.note is not None else said.information
    if words is None:
        return None
    lower = words.lower()
    # The message of the pace names the day's limit as well, so it is looked at first.
    if any(word in lower for word in _TOO_FAST):
        return Trouble(Kind.PACE, words)
    if any(word in lower for word in _DAY_USED):
        return Trouble(Kind.DAY, words)
    return Trouble(Kind.REFUSED, words)


def _of_kraken(body: bytes) -> Trouble | None:
    try:
        said = _kraken.decode(body)
    except msgspec.MsgspecError:
        return Trouble(Kind.TRANSIENT, "unreadable JSON")
    errors = [error for error in said.error if not error.startswith("W")]  # W…: only a warning
    if not errors:
        return None
    text = ", ".join(errors)
    if "Temporary lockout" in text:
        return Trouble(Kind.PACE, text, KRAKEN_LOCKOUT_S)
    if "Rate limit" in text or "Too many requests" in text:
        return Trouble(Kind.PACE, text)
    if "EService:Unavailable" in text or "EService:Busy" in text or "EGeneral:Internal" in text:
        return Trouble(Kind.TRANSIENT, text)
    return Trouble(Kind.REFUSED, text)


_IN_BODY: Final = {"alphavantage": _of_alpha_vantage, "kraken": _of_kraken}


def _shown(body: bytes) -> str:
    return body[:SHOWN_BYTES].decode(errors="replace").strip()
