"""Who is on the other end: the address behind proxies, the session, and its end."""

import asyncio
from typing import Any

import pytest
from django.test import Client as Browser

from streaming.auth import OriginGuard, client_address
from tests.streaming.topics import in_thread


def scope(client: str, forwarded: str = "") -> dict[str, Any]:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    return {"client": (client, 1), "headers": headers}


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # no proxy of ours: anybody can write a header
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_the_address_is_the_nearest_that_is_no_proxy_of_ours(
    settings: Any, client: str, forwarded: str, address: str
) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert client_address(scope(client, forwarded)) == address


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("", "app.example", True),
        ("https://app.example", "app.example", True),
        ("http://APP.example:8000", "app.example:8000", True),
        ("https://app.example:8443", "app.example", False),
        ("https://evil.example", "app.example", False),
        ("https://evil.example", "evil.example", False),  # a name that an attacker points at us
        ("https://other.example", "app.example", True),  # ALLOWED_ORIGINS
        ("http://other.example", "app.example", False),
        ("null", "app.example", False),
        ("http://[", "app.example", False),
        ("http://x:port", "app.example", False),
    ],
)
def test_origins(settings: Any, origin: str, host: str, allowed: bool) -> None:
    settings.ALLOWED_HOSTS = ["app.example"]
    settings.ALLOWED_ORIGINS = ["https://other.example"]
    assert OriginGuard(None).allows(origin, host) is allowed


async def test_signing_out_closes_that_sessions_sockets_and_no_others(dial: Any, alice: Any) -> None:
    def signed_in() -> Browser:
        browser = Browser()
        browser.force_login(alice)
        return browser

    browser = await in_thread(signed_in)
    cookie = {"Cookie": f"sessionid={browser.cookies['sessionid'].value}"}
    here, elsewhere = await dial(additional_headers=cookie), await dial(user=alice)

    await in_thread(browser.logout)

    async with asyncio.timeout(1):
        assert await here.closed() == 4001
    assert await elsewhere.silent()
    again = await dial(additional_headers=cookie, greeted=False)
    assert (await again.hear())["data"]["authenticated"] is False
