"""Feeds from the addresses that staff entered: only what changed, within bounds, and no way into our network."""

import datetime as dt
import ipaddress
import socket
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple
from urllib.parse import urljoin, urlsplit

from django.conf import settings

from ingestion import http
from signals import guard
from signals.channels.addresses import ForbiddenAddress, check_address

REDIRECTS: Final = {301, 302, 303, 307, 308}
UNCHANGED: Final = 304
GONE: Final = 410
ACCEPT: Final = "application/rss+xml, application/atom+xml, application/xml;q=0.9, */*;q=0.5"


class Page(NamedTuple):
    """What an address answered. status: 200, or 304 where nothing has changed; headers: with lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


class Unfetched(Exception):
    """No page. status: the answer's, 0 where there was none; retry_after_s: as the server wishes."""

    def __init__(self, detail: str, status: int = 0, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail, self.status, self.retry_after_s = detail, status, retry_after_s


def get(url: str, now: dt.datetime, etag: str = "", last_modified: str = "") -> Page:
    """The page, if it is another than the one with this ETag or of this time. Blocking. Raises Unfetched."""
    asked = {
        name: value
        for name, value in (
            ("If-None-Match", etag),
            ("If-Modified-Since", last_modified),
        )
        if value
    }
    at = url
    for _ in range(settings.NEWS_REDIRECTS_MAX + 1):
        _check(at, came_from=url)
        headers = {**http.HEADERS, "Accept": ACCEPT, **asked}
        status, said, body, failure = http.ask(at, {}, headers, settings.NEWS_ANSWER_MAX_BYTES)
        if failure:
            raise Unfetched(failure, status)
        if status in REDIRECTS and said.get("location"):
            at = urljoin(at, said["location"])
            continue
        if status == UNCHANGED or 200 <= status < 300:
            return Page(status, said, body, at)
        raise Unfetched(f"HTTP {status}", status, retry_after_s(said.get("retry-after", ""), now))
    raise Unfetched(f"more than {settings.NEWS_REDIRECTS_MAX} redirects")


def retry_after_s(value: str, now: dt.datetime) -> float | None:
    """Seconds, from a number of them or from a date; None where it is neither.

    >>> retry_after_s("120", dt.datetime(2026, 1, 1, tzinfo=dt.UTC)), retry_after_s("soon", dt.datetime.min)
    (120.0, None)
    """
    value = value.strip()
    if value.isdecimal() and value.isascii():
        return float(value[:9])
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def _check(url: str, came_from: str) -> None:
    """Staff may name a machine of their own; where another server sends us, we do not look behind our own door."""
    try:
        parts = urlsplit(url)
        host, original = parts.hostname, urlsplit(came_from).hostname
    except ValueError:
        raise Unfetched("no address") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Unfetched("only addresses of http and https are fetched")
    if host != original and not _is_public(host):
        raise Unfetched(f"redirected to {host[:100]}, which is not on the public network")


def _is_public(host: str) -> bool:
    try:
        for found in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP):
            check_address(ipaddress.ip_address(str(found[4][0]).partition("%")[0]), guard.house())
    except (OSError, ValueError, ForbiddenAddress):
        return False
    return True
