"""One piece of news as a source tells it, in plain text. Pure."""

import hashlib
import html
import re
from typing import Final

import msgspec

HEADLINE_MAX_CHARS: Final = 300
SUMMARY_MAX_CHARS: Final = 2_000
SOURCE_MAX_CHARS: Final = 100
ID_MAX_CHARS: Final = 200
# Of what is longer the rest is not looked at.
RAW_MAX_CHARS: Final = 50_000
# A time before this, or later than we received it by more than this, is not one that news can have.
EARLIEST_US: Final = 946_684_800_000_000  # 2000-01-01
FUTURE_MAX_US: Final = 600_000_000
SHOWN_BYTES: Final = 200

_DROPPED: Final = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|$)|<!--.*?(?:-->|$)", re.IGNORECASE | re.DOTALL)
# Between these there is no space: <b>A</b>pple.
_INLINE: Final = re.compile(
    r"</?(?:a|b|i|u|em|strong|span|font|mark|sub|sup|small)\b[^<>]*(?:>|$)",
    re.IGNORECASE,
)
_TAG: Final = re.compile(r"<[a-z/!?][^<>]*(?:>|$)", re.IGNORECASE)
# What is not seen but does things: controls, marks of direction, halves of surrogate pairs.
_UNSEEN: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_UNESCAPED_TIMES: Final = 3


class Unreadable(Exception):
    """What came is no list of news. body: its first bytes."""

    def __init__(self, body: bytes, detail: str) -> None:
        super().__init__(body[:SHOWN_BYTES], detail)
        self.body, self.detail = body[:SHOWN_BYTES], detail

    def __str__(self) -> str:
        return f"{self.detail}: {self.body!r}"


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of news.

    provider_id: what the source calls it, unique on its list. kind: the source's own category, where it has one.
    published_us: None where the source doesn't say. related: symbols, as the provider writes them.
    """

    provider_id: str
    headline: str
    summary: str = ""
    source: str = ""
    url: str = ""
    kind: str = ""
    published_us: int | None = None
    related: tuple[str, ...] = ()


class Read(msgspec.Struct, frozen=True):
    """What one answer holds, newest first as far as the source keeps to that; broken: items that could not be read."""

    items: list[Item]
    broken: int = 0


def plain(text: str | None, most: int) -> str:
    """Text without markup, on one line, at most so many characters; a cut shows as `…`.

    >>> plain("<p>AT&amp;T <b>r</b>aises</p><script>x()</script>&lt;i&gt;guidance&lt;/i&gt;", 100)
    'AT&T raises guidance'
    """
    # What is not seen goes first: it could hide in the middle of a tag.
    text = _UNSEEN.sub("", (text or "")[:RAW_MAX_CHARS])
    for _ in range(_UNESCAPED_TIMES):
        bare = html.unescape(_TAG.sub(" ", _INLINE.sub("", _DROPPED.sub(" ", text))))
        if bare == text:
            break
        text = bare
    # What was unescaped once too often to be markup is still none.
    text = _TAG.sub(" ", text)
    return shortened(" ".join(_UNSEEN.sub("", text).split()), most)


def shortened(text: str, most: int) -> str:
    """
    >>> shortened("one two three", 9)
    'one two…'
    """
    if len(text) <= most:
        return text
    cut = text[: most - 1]
    return (cut[: cut.rfind(" ")] if " " in cut else cut).rstrip(" ,;:-") + "…"


def named(provider_id: str) -> str:
    """An id that can be stored: as it is, or a digest of one that is too long or odd."""
    clean = _UNSEEN.sub("", provider_id)
    if clean == provider_id and 0 < len(clean) <= ID_MAX_CHARS:
        return clean
    return hashlib.blake2b(provider_id.encode("utf-8", "replace"), digest_size=16).hexdigest()


def believed(published_us: int | None, received_us: int) -> int:
    """When it was published; when we received it, where that is missing or absurd.

    >>> believed(None, 1_700_000_000_000_000), believed(5, 1_700_000_000_000_000)
    (1700000000000000, 1700000000000000)
    """
    if published_us is None or not EARLIEST_US <= published_us <= received_us + FUTURE_MAX_US:
        return received_us
    return min(published_us, received_us)
