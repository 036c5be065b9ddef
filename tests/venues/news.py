"""Those who bring news, on loopback: Finnhub's calls, and feeds that know what was read before."""

import hashlib
from typing import Any

from tests.venues.polled import PAGE, Answer, FinnhubQuotes, Polled


def finnhub_item(id_: int, headline: str, at: int, **more: Any) -> dict[str, Any]:
    """One piece of news as Finnhub writes it. at: seconds since 1970."""
    return {
        "category": "top news", "datetime": at, "headline": headline, "id": id_, "image": "https://img.example/1.png",
        "related": "", "source": "Reuters", "summary": "", "url": f"https://news.example/{id_}",
    } | more  # fmt: skip


class FinnhubNews(FinnhubQuotes):
    """`/news` by category, newest first, after `minId`; `/company-news` by symbol and days. Its key, 60 a minute."""

    CATEGORIES = ("general", "forex", "crypto", "merger")

    def __init__(self, key: str) -> None:
        super().__init__(key, {})
        self.news: dict[str, list[dict[str, Any]]] = {}
        self.company: dict[str, list[dict[str, Any]]] = {}

    def data(self, path: str, arguments: dict[str, str]) -> Answer:
        if path == "/news":
            if arguments.get("category") not in self.CATEGORIES:
                return 422, {"error": "Invalid category"}, {}
            after = int(arguments.get("minId", "0"))
            rows = [row for row in self.news.get(arguments["category"], []) if row["id"] > after]
            return 200, sorted(rows, key=lambda row: -row["id"]), {}
        if path == "/company-news":
            if not {"symbol", "from", "to"} <= arguments.keys():
                return 422, {"error": "Missing parameters"}, {}
            return 200, self.company.get(arguments["symbol"], []), {}
        return super().data(path, arguments)


class Feeds(Polled):
    """Files by path. What was read before is not sent again: 304, by ETag."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}

    def answer(self, path: str, arguments: dict[str, str], headers: dict[str, str]) -> Answer:
        body = self.files.get(path)
        if body is None:
            return 404, PAGE, {"Content-Type": "text/html"}
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if headers.get("if-none-match") == etag:
            return 304, b"", {"ETag": etag}
        told = {"Content-Type": "application/rss+xml", "ETag": etag, "Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"}
        return 200, body, told | self.headers.get(path, {})


def feed(*items: tuple[str, str, str], title: str = "The Wire", encoding: str = "utf-8") -> bytes:
    """An RSS file of (guid, headline, more XML) items."""
    rows = "".join(
        f"<item><guid isPermaLink='false'>{guid}</guid><title>{title}</title>{more}</item>"
        for guid, title, more in items
    )
    text = f'<?xml version="1.0" encoding="{encoding}"?><rss version="2.0"><channel><title>{title}</title>{rows}'
    return f"{text}</channel></rss>".encode(encoding)
