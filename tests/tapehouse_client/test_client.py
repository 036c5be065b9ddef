"""The Python client before the real server, through a proxy that cuts, stalls and slows."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from rest_framework_simplejwt.tokens import AccessToken

import tapehouse_client.client as module
from streaming.publish import publish
from tapehouse_client import Client, ConnectionRefused, Refused, events
from tapehouse_client.conversation import Conversation, Event
from tests.proxy import Proxy
from tests.streaming import topics
from tests.streaming.conftest import dial, server  # noqa: F401 - fixtures go by name
from tests.streaming.topics import append, message

Server = Any


@pytest.fixture
def proxy(server: Server, monkeypatch: Any) -> Iterator[Proxy]:  # noqa: F811
    """With a heart that beats fast enough for a test."""
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(module, "PONG_TIMEOUT_S", 0.3)
    monkeypatch.setattr(module, "OPEN_TIMEOUT_S", 1.0)
    monkeypatch.setattr(module, "BACKOFF_BASE_S", 0.05)
    monkeypatch.setattr(module, "BACKOFF_CAP_S", 0.2)
    with Proxy(server.port) as made:
        yield made


def url(proxy: Proxy) -> str:
    return f"ws://127.0.0.1:{proxy.port}"


async def connected(client: Client, yes: bool = True) -> None:
    async with asyncio.timeout(10):
        while client.connected is not yes:
            await asyncio.sleep(0.01)


async def next_of(subscription: Any, **data: Any) -> Event:
    """The next event with this data."""
    async with asyncio.timeout(10):
        async for event in subscription:
            if data.items() <= event.data.items():
                return event
    raise AssertionError


def quote(price: float) -> Any:
    return message("tquote:BTC-USDT", symbol="BTC-USDT", instrument="BTC-USDT", price=price)


async def until_heard(subscription: Any, price: float) -> Event:
    """Publish until it comes through: a hint that nobody listens to yet is gone."""
    while True:
        publish([quote(price)])
        try:
            async with asyncio.timeout(0.5):
                return await next_of(subscription, price=price)
        except TimeoutError:
            continue


async def test_snapshot_and_events_by_the_name_asked_for(proxy: Proxy) -> None:
    topics.state["tquote:BTC-USDT"] = [quote(1)]
    async with Client(url(proxy)) as client:
        subscription = client.subscribe("tquote:btc")
        first = await next_of(subscription)
        assert (first.topic, first.type, first.data["symbol"], first.data["price"]) == ("tquote:BTC", "test", "BTC", 1)
        assert (await until_heard(subscription, 2)).seq is None


@pytest.mark.parametrize("trouble", ["drop", "stall"])
async def test_after_a_loss_lossless_topics_go_on_where_they_stopped(proxy: Proxy, trouble: str) -> None:
    async with Client(url(proxy)) as client:
        subscription = client.subscribe("tlog:x")
        await connected(client)
        async with asyncio.timeout(5):
            while "tlog:x" not in client._conversation.positions:
                await asyncio.sleep(0.01)
        await append([message("tlog:x", n=1)])
        await next_of(subscription, n=1)
        getattr(proxy, "cut" if trouble == "drop" else "stall")()
        await connected(client, False)
        await append([message("tlog:x", n=n) for n in (2, 3)])
        proxy.resume()
        heard = [await next_of(subscription) for _ in range(2)]
        assert [(event.data["n"], event.reset) for event in heard] == [(2, False), (3, False)]


async def test_what_cannot_be_replayed_is_said(proxy: Proxy, settings: Any) -> None:
    settings.EVENT_REPLAY_MAX = 2
    async with Client(url(proxy)) as client:
        subscription = client.subscribe("tlog:x")
        async with asyncio.timeout(5):
            while "tlog:x" not in client._conversation.positions:
                await asyncio.sleep(0.01)
        proxy.cut()
        await connected(client, False)
        await append([message("tlog:x", n=n) for n in range(5)])
        topics.state["tlog:x"] = [message("tlog:x", state=True)]
        proxy.resume()
        event = await next_of(subscription)
        assert (event.data, event.reset) == ({"state": True}, True)


async def test_through_a_slow_line_the_newest_still_comes(proxy: Proxy) -> None:
    async with Client(url(proxy), interval_ms=50) as client:
        subscription = client.subscribe("tquote:BTC")
        await until_heard(subscription, 1)
        proxy.slow(bytes_per_s=100_000, delay_s=0.02)
        for price in range(2, 100):
            publish([quote(price)])
        assert await next_of(subscription, price=99)


async def test_a_refusal_is_raised_where_it_belongs(proxy: Proxy) -> None:
    async with Client(url(proxy)) as client:
        good, bad = client.subscribe("tquote:BTC"), client.subscribe("tquote:NOPE")
        with pytest.raises(Refused) as refused:
            await next_of(bad)
        assert (refused.value.code, refused.value.topic) == (4004, "tquote:NOPE")
        assert await until_heard(good, 5)


async def test_a_wrong_token_is_final(proxy: Proxy) -> None:
    async with Client(url(proxy), token="a.b.c") as client:
        subscription = client.subscribe("tquote:BTC")
        with pytest.raises(ConnectionRefused) as refused:
            await next_of(subscription)
        assert refused.value.code == 4001
        with pytest.raises(ConnectionRefused):
            await next_of(client.subscribe("tquote:BTC"))


async def test_a_token_that_ran_out_is_replaced(proxy: Proxy, alice: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "SETTLED_S", 0.2)
    asked = []

    def token() -> str:
        made = AccessToken.for_user(alice)
        made.set_exp(lifetime=timedelta(seconds=1.2 if not asked else 60))
        asked.append(str(made))
        return asked[-1]

    async with Client(url(proxy), token=token) as client:
        subscription = client.subscribe("tdiary")
        async with asyncio.timeout(10):
            while len(asked) < 2:
                await asyncio.sleep(0.01)
        await connected(client)
        await append([message(f"tdiary:{alice.pk}", n=7)])
        assert await next_of(subscription, n=7)
        assert len(asked) == 2


async def test_a_reader_that_sleeps_loses_prices_and_no_lossless_event(proxy: Proxy, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "BUFFER_MAX", 5)
    async with Client(url(proxy), interval_ms=50) as client:
        subscription = client.subscribe("tlog:x", "tquote:BTC")
        await until_heard(subscription, 1)
        for n in range(20):
            publish([quote(n)])
            await append([message("tlog:x", n=n)])
        await asyncio.sleep(0.5)
        heard = []
        async with asyncio.timeout(10):
            async for event in subscription:
                if event.topic == "tlog:x":
                    heard.append(event.data["n"])
                if heard and heard[-1] == 19:
                    break
        assert heard == list(range(20))


async def test_leaving_ends_what_nobody_else_has(proxy: Proxy) -> None:
    async with Client(url(proxy)) as client:
        one, two = client.subscribe("tquote:BTC"), client.subscribe("tquote:BTC", "tlog:x")
        await until_heard(one, 1)
        await two.close()
        assert set(client._conversation.wanted) == {"tquote:BTC"}
        assert await until_heard(one, 2)


async def test_by_a_plain_loop(proxy: Proxy) -> None:
    topics.state["tquote:BTC-USDT"] = [quote(3)]

    def read() -> float:
        for event in events(url(proxy), "tquote:BTC"):
            return float(event.data["price"])
        raise AssertionError

    assert await asyncio.to_thread(read) == 3
    assert "tapehouse" not in {thread.name for thread in threading.enumerate()}


async def test_a_plain_loop_raises_what_was_refused(proxy: Proxy) -> None:
    def read() -> None:
        for _ in events(url(proxy), "tquote:NOPE"):
            pass

    with pytest.raises(Refused):
        await asyncio.to_thread(read)


# --- What is said, without a socket ---------------------------------------------------------------------------------


def test_many_topics_go_in_several_messages() -> None:
    assert len(Conversation().want(f"t:{n}" for n in range(120))) == 3


@pytest.mark.parametrize(
    "text", ["{", "[]", "5", "null", '{"type": "x"}', '{"type":"batch","data":{"events":[]}}', b"\xff"]
)
def test_nonsense_says_nothing(text: str | bytes) -> None:
    assert Conversation().hear(text) == []
