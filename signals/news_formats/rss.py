"""RSS and Atom, as they are found in the wild: with a broken end, a wrong encoding, markup, and no dates. Pure."""

import calendar
import io
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit
from xml.sax import SAXException

import feedparser

from signals.news_formats.item import (
    HEADLINE_MAX_CHARS,
    SOURCE_MAX_CHARS,
    SUMMARY_MAX_CHARS,
    Item,
    Read,
    Unreadable,
    named,
    plain,
    shortened,
)  # fmt: skip

_KIND_MAX_CHARS: Final = 64
_TITLE_OF_SUMMARY_CHARS: Final = 120


def read(body: bytes, url: str, headers: Mapping[str, str], most: int) -> Read:
    """The first `most` entries of a feed that was found at `url`. headers: with lower-case names.

    Raises Unreadable where it is no feed; of one that breaks off, what comes before.
    """
    told = {"content-location": url} | {name: headers[name] for name in ("content-type",) if name in headers}
    try:
        # A stream: given bytes or a name, feedparser might open what it names.
        found = feedparser.parse(io.BytesIO(body), response_headers=told, sanitize_html=False)
    except Exception as error:  # a parser of anything meets anything; what it did not expect is no feed
        raise Unreadable(body, f"not a feed: {type(error).__name__}") from error
    # feedparser also calls a feed broken whose type or encoding is told wrongly; only what cannot be parsed is.
    is_broken = isinstance(found.get("bozo_exception"), SAXException)
    if not found.entries and (is_broken or not found.get("version")):
        raise Unreadable(body, "not a feed")
    title = plain(_text(found.feed.get("title")), SOURCE_MAX_CHARS) or (urlsplit(url).hostname or "")
    entries = [_read_one(entry, title) for entry in found.entries[:most]]
    return Read([item for item in entries if item is not None], entries.count(None))


def _read_one(entry: Any, feed_title: str) -> Item | None:
    summary = plain(_text(entry.get("summary")) or _content(entry), SUMMARY_MAX_CHARS)
    headline = plain(_text(entry.get("title")), HEADLINE_MAX_CHARS) or shortened(summary, _TITLE_OF_SUMMARY_CHARS)
    if not headline:
        return None
    url = _text(entry.get("link")).strip()
    tags = entry.get("tags") or [{}]
    source = entry.get("source") or {}
    return Item(
        provider_id=named(_text(entry.get("id")) or url or headline),
        headline=headline,
        summary="" if summary == headline else summary,
        source=plain(_text(source.get("title")), SOURCE_MAX_CHARS) or feed_title,
        url=url,
        kind=plain(_text(tags[0].get("term")), _KIND_MAX_CHARS),
        published_us=_time_us(entry),
    )


def _content(entry: Any) -> str:
    parts = entry.get("content") or []
    return _text(parts[0].get("value")) if parts else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _time_us(entry: Any) -> int | None:
    # By the dictionary's own `get`: feedparser's gives one for the other, and warns of it.
    parsed = dict.get(entry, "published_parsed") or dict.get(entry, "updated_parsed")
    try:
        return calendar.timegm(parsed) * 1_000_000 if parsed else None
    except (ValueError, OverflowError, TypeError):
        return None
