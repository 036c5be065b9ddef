"""Publishing reaches members of the layer's groups, in one round trip, and shrugs off an outage."""

import asyncio
import time

import pytest
from channels.layers import get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer

from streaming import publish as publishing
from streaming.protocol import Message
from streaming.publish import HINT, apublish, channel_of, group_of, publish
from tests.services import OwnServices
from worker import metrics
from worker.redis import close_async_client


def message(topic: str) -> Message:
    return Message(topic=topic, type="test", data={"price": 50000.5}, at_us=1)


@pytest.mark.parametrize("topic", ["price:BTC-USDT", "price:EURUSD=X", "news:café " + "x" * 200])
async def test_members_of_the_topics_group_receive_it(topic: str) -> None:
    layer = get_channel_layer()
    assert isinstance(layer, RedisPubSubChannelLayer)
    channel = await layer.new_channel("test")
    await layer.group_add(group_of(topic), channel)

    assert await apublish([message(topic)]) == 1
    assert await asyncio.to_thread(publish, [message(topic)]) == 1

    body = b'{"topic":"%b","type":"test","data":{"price":50000.5},"at_us":1}' % topic.encode()
    assert [await layer.receive(channel) for _ in range(2)] == [{"type": HINT, "body": body}] * 2
    await layer.flush()
    await close_async_client()


async def test_different_topics_have_different_groups_of_names_that_the_layer_allows() -> None:
    topics = ["price:A", "price:B", "price:A=X", "price:A=Y", "ä", "ö", "p" * 300, "p" * 301]

    groups = {group_of(topic) for topic in topics}

    assert len(groups) == len(topics)
    layer = get_channel_layer()
    channel = await layer.new_channel("test")
    for group in groups:
        await layer.group_add(group, channel)
    await layer.flush()


def test_nothing_to_say_costs_nothing() -> None:
    assert publish([]) == 0


def test_an_outage_is_counted_and_over_when_redis_is_back(
    own_services: OwnServices, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = settings.REDIS_URL
    before = metrics.totals().get("streaming.unpublished", 0)
    settings.REDIS_URL = own_services.redis.url
    settings.PUBLISH_TIMEOUT_S = 1.25  # a client of its own
    settings.PUBLISH_RETRY_INTERVAL_S = 0.1
    try:
        assert publish([message("t")]) == 1

        own_services.kill_redis()
        assert publish([message("t")] * 3) == 0
        assert publish([message("t")] * 4) == 0

        own_services.start_redis()
        deadline = time.monotonic() + 5
        while publish([message("t")]) == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        settings.REDIS_URL = shared
    assert metrics.totals()["streaming.unpublished"] - before >= 7
    assert not publishing._outage.lasts()
    assert channel_of("t").endswith("__group__topic.t")
