"""Each update by itself, at once, to those for whom nothing waits; and to everybody else at their common beat."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from streaming.publish import publish
from tests.streaming.topics import append, message

NAMES = ["tquote:BTC", "tlog:x"]


@pytest.fixture
def unpaced(settings: Any) -> None:
    settings.STREAM_INTERVAL_MS = 0


def quotes(numbers: range, filling: int = 0) -> list[Any]:
    return [message("tquote:BTC-USDT", symbol="BTC-USDT", n=n, filling="x" * filling) for n in numbers]


async def subscribed(client: Any, **more: Any) -> Any:
    await client.say("subscribe", {"topics": NAMES, **more})
    await client.hear_until("subscribed")
    return client


async def until(server: Any, condition: Callable[[Any], Any]) -> None:
    """Until it holds of the hub."""
    async with asyncio.timeout(10):
        while not server.run(lambda: condition(server.hub)):
            await asyncio.sleep(0.01)


def flowing(hub: Any) -> int:
    return sum(len(lane.flowing) for channel in hub.channels.values() for lane in channel.lanes.values())


async def test_without_an_interval_each_update_comes_by_itself(unpaced: None, server: Any, dial: Any) -> None:
    clients = [await subscribed(await dial()) for _ in range(3)]
    await until(server, lambda hub: flowing(hub) == 3)
    publish(quotes(range(100)))
    for client in clients:
        assert [(await client.hear())["data"]["n"] for _ in range(100)] == list(range(100))


async def test_what_is_in_order_and_answers_lie_between_updates(unpaced: None, server: Any, dial: Any) -> None:
    client = await subscribed(await dial())
    for n in range(5):
        publish(quotes(range(n, n + 1)))
        assert (await client.hear())["data"]["n"] == n
        await append([message("tlog:x", n=n)])
        assert (await client.hear())["seq"] == n + 1
        await client.say("ping", id=n)
        assert (await client.hear())["id"] == n
    await until(server, lambda hub: flowing(hub) == 1)


async def test_who_does_not_read_stops_flowing_and_hears_the_newest_and_what_was_dropped(
    unpaced: None, server: Any, dial: Any, settings: Any
) -> None:
    settings.DROPPED_REPORT_INTERVAL_S = 0.1
    stuck, other = await subscribed(await dial(max_size=1 << 22, max_queue=1)), await subscribed(await dial())
    await until(server, lambda hub: flowing(hub) == 2)
    stuck.socket.transport.pause_reading()
    for n in range(200):
        publish(quotes(range(n, n + 1), 100_000))
        assert (await other.hear())["data"]["n"] == n
    await until(server, lambda hub: flowing(hub) == 1)

    stuck.socket.transport.resume_reading()
    heard = [await stuck.hear(10)]
    while heard[-1]["type"] == "dropped" or heard[-1]["data"]["n"] < 199:
        heard.append(await stuck.hear(10))
    numbers = [one["data"]["n"] for one in heard if one["type"] == "test"]
    assert numbers == sorted(set(numbers))
    await until(server, lambda hub: publish(quotes(range(200, 201))) and flowing(hub) == 2)
    await stuck.say("ping", id="last")
    while heard[-1].get("id") != "last":
        heard.append(await stuck.hear())
    assert sum(one["data"]["tquote:BTC"] for one in heard if one["type"] == "dropped") >= 200 - len(numbers)


async def test_another_pace_is_another_lane(unpaced: None, server: Any, dial: Any) -> None:
    fast, slow = await subscribed(await dial()), await subscribed(await dial(), interval_ms=200)
    await until(server, lambda hub: flowing(hub) == 1 and sorted(hub.paces) == [0.0, 0.2])
    publish(quotes(range(50)))
    assert [(await fast.hear())["data"]["n"] for _ in range(50)] == list(range(50))
    assert (await slow.hear())["data"]["n"] == 49

    await fast.say("set_interval", {"interval_ms": 200})
    await fast.hear_until("interval")
    publish(quotes(range(50)))
    assert (await fast.hear())["data"]["n"] == 49
    assert await fast.silent()

    for client in (fast, slow):
        await client.socket.close()
    await until(server, lambda hub: not hub.paces and not any(channel.lanes for channel in hub.channels.values()))


async def test_after_a_close_frame_comes_nothing_more(unpaced: None, server: Any, dial: Any) -> None:
    leaving, other = await subscribed(await dial()), await subscribed(await dial())
    await until(server, lambda hub: flowing(hub) == 2)
    await leaving.socket.close()
    publish(quotes(range(10)))
    assert [(await other.hear())["data"]["n"] for _ in range(10)] == list(range(10))
    assert leaving.socket.close_code == 1000
