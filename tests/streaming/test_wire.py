"""Our own writing into uvicorn's protocol: whole frames, whatever else goes over the same socket meanwhile."""

import asyncio
import json
import os
from typing import Any

import pytest

from streaming.publish import publish
from tests.streaming.topics import message


async def subscribed(client: Any) -> Any:
    await client.say("subscribe", {"topics": ["tlog:wire", "tquote:BTC"], "interval_ms": 50})
    await client.hear_until("subscribed")
    return client


@pytest.fixture
def live(server: Any, dial: Any) -> Any:
    return dial


def quotes(count: int, size: int) -> list[Any]:
    return [message("tquote:BTC-USDT", symbol="BTC-USDT", n=n, filling="x" * size) for n in range(count)]


@pytest.mark.parametrize("size", [1, 125, 126, 65_535, 65_536, 300_000])
async def test_messages_of_every_length_arrive_whole(live: Any, settings: Any, size: int) -> None:
    client = await subscribed(await live(max_size=1 << 22))
    publish(quotes(1, size))
    assert len((await client.hear())["data"]["filling"]) == size


async def test_pings_and_their_pongs_lie_between_whole_frames(live: Any) -> None:
    """A hundred pings of the client's while frames of 100 kB stream to it: a torn frame would be a protocol error."""
    client = await subscribed(await live(max_size=1 << 22))

    async def flood() -> None:
        for _ in range(20):
            publish(quotes(1, 100_000))
            await asyncio.sleep(0.01)

    flooding = asyncio.create_task(flood())
    pongs = [await client.socket.ping(os.urandom(100)) for _ in range(100)]
    async with asyncio.timeout(10):
        await asyncio.gather(*pongs, flooding)
    await client.say("ping", id="last")
    while (heard := await client.hear()).get("id") != "last":
        assert heard["type"] == "test"


async def test_a_fragmented_message_of_the_clients_is_one_message(live: Any) -> None:
    client = await live()
    text = json.dumps({"type": "ping", "id": "in parts"})
    await client.socket.send([text[:5], text[5:10], text[10:]])
    assert (await client.hear())["id"] == "in parts"


async def test_what_was_said_before_a_close_arrives_before_it(live: Any, settings: Any) -> None:
    settings.MAX_BROKEN_MESSAGES = 0
    client = await live()
    await client.socket.send("{")
    assert (await client.hear())["type"] == "error"
    assert await client.closed() == 4000


async def test_compression_is_off_unless_it_was_asked_for(live: Any) -> None:
    client = await subscribed(await live())
    assert client.socket.protocol.extensions == []


@pytest.fixture
def deflating(settings: Any) -> None:
    """Asked for before the server starts."""
    settings.WEBSOCKET_DEFLATE = True


async def test_with_compression_large_messages_are_compressed_and_small_ones_are_not(
    deflating: None, live: Any
) -> None:
    client = await subscribed(await live(max_size=1 << 22))
    plain = await subscribed(await live(compression=None))
    (extension,) = client.socket.protocol.extensions
    inflated: list[int] = []
    decode = extension.decode

    def counting(frame: Any, **more: Any) -> Any:
        if frame.rsv1:
            inflated.append(len(frame.data))
        return decode(frame, **more)

    extension.decode = counting
    for size in (10, 20_000, 30, 40_000):
        publish(quotes(1, size))
        assert len((await client.hear())["data"]["filling"]) == size
        assert len((await plain.hear())["data"]["filling"]) == size
    assert len(inflated) == 2
    assert sum(inflated) < 1000
