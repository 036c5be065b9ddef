"""Finnhub's news: of a market, newest first, and of a US company. Pure.

https://finnhub.io/docs/api/market-news, https://finnhub.io/docs/api/company-news
"""

import datetime as dt
from typing import Final

import msgspec

from ingestion.rest.call import Call
from signals.news_formats.item import (
    HEADLINE_MAX_CHARS,
    SOURCE_MAX_CHARS,
    SUMMARY_MAX_CHARS,
    Item,
    Read,
    Unreadable,
    named,
    plain,
)  # fmt: skip

NAME: Final = "finnhub"
CATEGORIES: Final = ("general", "forex", "crypto", "merger")
COMPANY: Final = "company"
RELATED_MAX: Final = 20
_KIND_MAX_CHARS: Final = 64


class _Item(msgspec.Struct):
    id: int
    headline: str | None = None
    summary: str | None = None
    source: str | None = None
    url: str | None = None
    category: str | None = None
    datetime: int | None = None
    related: str | None = None


_decode: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_item: Final = msgspec.json.Decoder(_Item, strict=False).decode
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)


def market_call(category: str, after_id: int) -> Call:
    """What is newer than `after_id`; 0: the newest that there are."""
    return Call(
        NAME,
        "/news",
        {"category": category, **({"minId": str(after_id)} if after_id > 0 else {})},
    )


def company_call(symbol: str, first: dt.date, last: dt.date) -> Call:
    """What was told of a US stock on these days, both of them included."""
    return Call(
        NAME,
        "/company-news",
        {"symbol": symbol, "from": first.isoformat(), "to": last.isoformat()},
    )


def read(body: bytes, most: int) -> Read:
    """The first `most` items. The item's own `category` is not the one that was asked for. Raises Unreadable.

    [{"category": "technology", "datetime": 1596589501, "headline": "Square surges after reporting 64% jump in revenue",
      "id": 5085164, "image": "https://…", "related": "", "source": "CNBC", "summary": "Shares of Square soared on …",
      "url": "https://www.cnbc.com/2020/08/04/square-sq-earnings-q2-2020.html"}]
    """
    try:
        rows = _decode(body)
    except _UNREADABLE as error:
        raise Unreadable(body, f"not a list of news: {error}") from None
    found = [_read_one(bytes(row)) for row in rows[:most]]
    return Read([item for item in found if item is not None], found.count(None))


def newest_id(items: list[Item], before: int) -> int:
    """The cursor after these."""
    return max([before, *(int(item.provider_id) for item in items)])


def _read_one(row: bytes) -> Item | None:
    try:
        said = _decode_item(row)
    except _UNREADABLE:
        return None
    headline = plain(said.headline, HEADLINE_MAX_CHARS)
    # A cursor of 64 bits is all that can be kept, and all that a venue counts with.
    if not headline or not 0 < said.id < 2**63:
        return None
    return Item(
        provider_id=named(str(said.id)),
        headline=headline,
        summary=plain(said.summary, SUMMARY_MAX_CHARS),
        source=plain(said.source, SOURCE_MAX_CHARS),
        url=(said.url or "").strip(),
        kind=plain(said.category, _KIND_MAX_CHARS),
        published_us=said.datetime * 1_000_000 if said.datetime else None,
        related=_symbols(said.related or ""),
    )


def _symbols(related: str) -> tuple[str, ...]:
    """
    >>> _symbols("AAPL, MSFT,,AAPL")
    ('AAPL', 'MSFT')
    """
    names = (name.strip().upper() for name in related.split(","))
    return tuple(dict.fromkeys(name for name in names if 0 < len(name) <= 64))[:RELATED_MAX]
