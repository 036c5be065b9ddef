"""Which topics somebody follows."""

import pytest
from channels.layers import get_channel_layer

from streaming.interest import Interest
from streaming.publish import group_of
from worker.redis import close_async_client

LONG = "price:" + "X" * 100

pytestmark = pytest.mark.usefixtures("own_prefix")


@pytest.fixture
async def layer(settings):
    from copy import deepcopy

    from channels.layers import channel_layers

    layers = deepcopy(settings.CHANNEL_LAYERS)
    layers["default"]["CONFIG"]["prefix"] = settings.REDIS_PREFIX
    settings.CHANNEL_LAYERS = layers
    channel_layers.backends = {}
    made = get_channel_layer()
    yield made
    await made.flush()
    channel_layers.backends = {}
    await close_async_client()


async def test_before_it_was_asked_everything_is_watched():
    assert "price:BTC-USDT" in Interest()


async def test_what_has_a_subscriber_is_watched(layer):
    name = await layer.new_channel()
    for topic in ("price:BTC-USDT", LONG):
        await layer.group_add(group_of(topic), name)
    interest = Interest()
    await interest.refresh()
    assert "price:BTC-USDT" in interest
    assert LONG in interest
    assert "price:ETH-USDT" not in interest


async def test_what_loses_its_subscriber_is_watched_a_moment_longer(layer, monkeypatch):
    name = await layer.new_channel()
    await layer.group_add(group_of("price:BTC-USDT"), name)
    interest = Interest()
    await interest.refresh()
    await layer.group_discard(group_of("price:BTC-USDT"), name)
    await interest.refresh()
    assert "price:BTC-USDT" in interest
    monkeypatch.setattr("streaming.interest.LINGER_S", 0.0)
    await interest.refresh()
    await interest.refresh()
    assert "price:ETH-USDT" not in interest


async def test_while_redis_is_away_everything_is_watched(settings):
    interest = Interest()
    await interest.refresh()
    assert "price:BTC-USDT" not in interest
    await close_async_client()
    good, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:9/0"
    await interest.refresh()
    settings.REDIS_URL = good
    assert "price:BTC-USDT" in interest
    await close_async_client()
