"""A venue's frames to the disk and to a subscriber, and a subscriber that was away while the web died."""

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.flows.installation import Installation
from tests.processes import wait_for
from tests.venues.binance import BinanceVenue

pytestmark = [pytest.mark.flow, pytest.mark.timeout(240)]


@pytest.fixture
def venue() -> Iterator[BinanceVenue]:
    with BinanceVenue(("BTCUSDT", "ETHUSDT")) as venue:
        venue.live(per_s=50)
        yield venue


def signed_in(installation: Installation, username: str) -> str:
    """The Cookie header of a session, through the sign-in page."""
    jar = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    page = f"{installation.address}/accounts/login/"
    browser.open(page, timeout=20).close()
    token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
    form = {"username": username, "password": username, "csrfmiddlewaretoken": token}
    request = urllib.request.Request(page, urllib.parse.urlencode(form).encode(), {"Referer": page})
    browser.open(request, timeout=20).close()
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


def opened(installation: Installation, cookie: str) -> ClientConnection:
    return connect(f"{installation.websocket_address}/ws/realtime/", additional_headers={"Cookie": cookie})


def say(socket: ClientConnection, type_: str, **data: Any) -> None:
    socket.send(json.dumps({"type": type_, "data": data, "id": type_}))


def hear(socket: ClientConnection, wanted: Callable[[dict[str, Any]], bool], timeout_s: float = 20.0) -> dict[str, Any]:
    """The next message that is wanted; others are passed over."""
    deadline = time.monotonic() + timeout_s
    while True:
        message = json.loads(socket.recv(timeout=max(0.0, deadline - time.monotonic())))
        if wanted(message):
            return dict(message)


def of_type(type_: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: message["type"] == type_


def notify(installation: Installation, title: str) -> None:
    """A notification for the demo user, from other Django code."""
    installation.manage(
        "shell",
        "-c",
        "from django.contrib.auth import get_user_model; from signals.topics import broadcast_notification; "
        f"broadcast_notification(notification_id={title!r}, user=get_user_model().objects.get(username='demo'), "
        f"title={title!r}, message='…', notification_type='system')",
    )


def test_from_the_venue_to_the_disk_and_to_a_subscriber(
    venue: BinanceVenue, install: Callable[..., Installation]
) -> None:
    installation = install(FEEDS="binance", SYMBOLS="BTC-USDT,ETH-USDT", BINANCE_WS_URL=venue.ws_url)
    installation.start()
    installation.wait_ready(120)
    with opened(installation, signed_in(installation, "demo")) as socket:
        assert hear(socket, of_type("connection"))["data"]["authenticated"]
        say(socket, "subscribe", topics=["price:btcusdt", "trades:BTC-USDT", "candles:BTC-USDT:1m"], interval_ms=50)
        hear(socket, of_type("subscribed"))
        price = hear(socket, of_type("asset_update"))["data"]
        assert (price["symbol"], price["instrument"], price["source"]) == ("BTCUSDT", "BTC-USDT", "binance")
        assert hear(socket, of_type("candle"))["data"]["final"] is False
        trade = hear(socket, of_type("trades"))["data"]["trades"][-1]
        told = venue.sent["BTCUSDT", int(trade["trade_id"])]
        assert (trade["price"], trade["quantity"]) == (float(told.price), float(told.quantity))
    on_disk = "SELECT price, quantity FROM trade WHERE source = 2 AND trade_id = %s AND price = %s"
    rows = wait_for(lambda: installation.sql(on_disk, told.trade_id, float(told.price)), 20, "the trade on disk")
    assert rows == [(float(told.price), float(told.quantity))]


def test_a_subscriber_misses_nothing_over_a_killed_web(installation: Installation) -> None:
    """Notifications that came while the web was dead are replayed, in order and once."""
    installation.start("web")
    cookie = wait_for(lambda: installation.readiness() and signed_in(installation, "demo"), 60, "a sign-in")
    with opened(installation, cookie) as socket:
        say(socket, "subscribe", topics=["notifications"])
        position = hear(socket, of_type("subscribed"))["data"]["topics"]["notifications"]
        notify(installation, "one")
        seen = hear(socket, lambda message: message.get("data", {}).get("title") == "one")
        assert seen["seq"] == position["seq"] + 1
        installation.kill9("web")
        with pytest.raises(ConnectionClosed):
            hear(socket, lambda message: False)
    notify(installation, "two")
    notify(installation, "three")
    installation.start("web")
    wait_for(installation.readiness, 60, "the web")
    with opened(installation, cookie) as socket:
        say(
            socket, "subscribe", topics=["notifications"],
            since={"notifications": {"epoch": seen["epoch"], "seq": seen["seq"]}},
        )  # fmt: skip
        assert hear(socket, of_type("subscribed"))["data"]["topics"]["notifications"]["recovered"] is True
        replayed = [hear(socket, of_type("notification")) for _ in range(2)]
        assert [message["data"]["title"] for message in replayed] == ["two", "three"]
        assert [message["seq"] for message in replayed] == [seen["seq"] + 1, seen["seq"] + 2]
        notify(installation, "four")
        assert hear(socket, of_type("notification"))["data"]["title"] == "four"
