"""The hub, over kills and gaps: what was lost on the way comes all the same, in order and once."""

import asyncio
from typing import Any

import pytest
import redis

from streaming import events
from streaming.models import Event
from streaming.protocol import Message
from streaming.publish import publish
from tests.services import OwnServices
from tests.streaming import topics
from tests.streaming.topics import append, in_thread, message


@pytest.fixture
def own_redis(own_services: OwnServices, settings: Any) -> OwnServices:
    """All that this test does goes through a Redis that it may kill. Ask for it before `server`.

    To be started from the test's own thread: it ends with the thread that started it.
    """
    own_services.stop_postgres()
    settings.REDIS_URL = own_services.redis.url
    settings.PUBLISH_TIMEOUT_S = 1.5  # clients of its own
    settings.PUBLISH_RETRY_INTERVAL_S = 0.05
    layer = settings.CHANNEL_LAYERS["default"]
    host = layer["CONFIG"]["hosts"][0] | {"address": own_services.redis.url}
    settings.CHANNEL_LAYERS = {"default": layer | {"CONFIG": layer["CONFIG"] | {"hosts": [host]}}}
    return own_services


async def following(client: Any, *names: str) -> None:
    await client.say("subscribe", {"topics": list(names), "interval_ms": 50})
    await client.hear_until("subscribed")


async def wait_for_price(client: Any, price: int) -> list[Any]:
    """What comes up to the event with this price."""
    heard = [await client.hear(15)]
    while heard[-1]["data"].get("price") != price:
        heard.append(await client.hear(15))
    return heard


async def test_a_killed_redis_costs_nothing_when_it_is_back(own_redis: OwnServices, server: Any, dial: Any) -> None:
    client = await dial()
    await following(client, "tlog:x", "tquote:BTC")
    await append([message("tlog:x", n=1)])
    assert (await client.hear())["seq"] == 1

    own_redis.kill_redis()
    await append([message("tlog:x", n=2), message("tlog:x", n=3)])
    topics.state["tquote:BTC-USDT"] = [message("tquote:BTC-USDT", price=7)]
    own_redis.start_redis()

    heard = await wait_for_price(client, 7)
    await append([message("tlog:x", n=4)])
    while len([one for one in heard if "seq" in one]) < 3:
        heard.append(await client.hear())
    assert [one["seq"] for one in heard if "seq" in one] == [2, 3, 4]
    publish([message("tquote:BTC-USDT", price=8)])
    await wait_for_price(client, 8)


async def test_numbered_events_come_even_while_redis_is_away(own_redis: OwnServices, server: Any, dial: Any) -> None:
    client = await dial()
    await following(client, "tlog:x")
    own_redis.kill_redis()

    await append([message("tlog:x", n=1)])

    assert (await client.hear())["seq"] == 1


async def test_a_client_that_subscribes_while_redis_is_away_hears_when_it_is_back(
    own_redis: OwnServices, server: Any, dial: Any
) -> None:
    client = await dial()
    own_redis.kill_redis()
    await following(client, "tquote:BTC")
    topics.state["tquote:BTC-USDT"] = [message("tquote:BTC-USDT", price=7)]

    own_redis.start_redis()

    await wait_for_price(client, 7)


async def test_a_reconnect_too_short_for_the_heartbeat_is_noticed(
    own_redis: OwnServices, server: Any, dial: Any
) -> None:
    client = await dial()
    await following(client, "tquote:BTC")
    topics.state["tquote:BTC-USDT"] = [message("tquote:BTC-USDT", price=7)]

    with redis.Redis.from_url(own_redis.redis.url) as other:
        other.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    await wait_for_price(client, 7)


async def test_a_deaf_hub_listens_anew(server: Any, dial: Any) -> None:
    client = await dial()
    await following(client, "tquote:BTC")
    server.run(lambda: server.hub._subscriber._line._transport.pause_reading())
    topics.state["tquote:BTC-USDT"] = [message("tquote:BTC-USDT", price=7)]

    await wait_for_price(client, 7)

    publish([message("tquote:BTC-USDT", price=8)])
    await wait_for_price(client, 8)


async def test_events_published_out_of_order_or_twice_are_told_in_order_and_once(server: Any, dial: Any) -> None:
    client = await dial()
    await following(client, "tlog:x")
    with pytest.MonkeyPatch.context() as unpublished:
        unpublished.setattr(events, "publish", lambda _messages: 0)
        first, second, third = await append([message("tlog:x", n=n) for n in range(3)])

    publish([third, first, second, third])

    assert [(await client.hear())["seq"] for _ in range(3)] == [1, 2, 3]
    assert await client.silent()


async def test_a_new_epoch_begins_with_the_state(server: Any, dial: Any) -> None:
    client = await dial()
    await following(client, "tlog:x")
    await append([message("tlog:x", n=1)])
    await client.hear()
    topics.state["tlog:x"] = [message("tlog:x", type="state")]

    await in_thread(events.start_new_epoch)

    again = await client.hear()
    assert (again["type"], again["data"]["topics"]["tlog:x"]["recovered"]) == ("subscribed", False)
    assert (await client.hear())["type"] == "state"
    await append([message("tlog:x", n=2)])
    assert (await client.hear())["seq"] == 1


async def test_a_gap_that_cannot_be_filled_is_told(server: Any, dial: Any) -> None:
    client = await dial()
    await following(client, "tlog:x")
    with pytest.MonkeyPatch.context() as unpublished:
        unpublished.setattr(events, "publish", lambda _messages: 0)
        unpublished.setattr(events, "replay", lambda *_: None)
        await append([message("tlog:x", n=n) for n in range(3)])
        assert (await client.hear())["data"]["topics"]["tlog:x"] | {"epoch": ""} == {
            "epoch": "", "seq": 3, "recovered": False,
        }  # fmt: skip
    assert await in_thread(Event.objects.count) == 3


async def test_the_group_is_left_a_while_after_the_last_follower(server: Any, dial: Any) -> None:
    client = await dial()
    await following(client, "tquote:BTC")
    await client.say("unsubscribe", {"topics": ["tquote:BTC"]})
    await client.hear_until("unsubscribed")

    async with asyncio.timeout(5):
        while server.run(lambda: dict(server.hub.channels)):
            await asyncio.sleep(0.02)


async def test_a_message_that_breaks_its_topic_stops_no_other(server: Any, dial: Any) -> None:
    client = await dial()
    await following(client, "tquote:BTC")
    publish([Message(topic="tquote:BTC-USDT", type="test", data=[1], at_us=1)])  # type: ignore[arg-type]
    publish([message("tquote:BTC-USDT", price=8)])
    await wait_for_price(client, 8)
