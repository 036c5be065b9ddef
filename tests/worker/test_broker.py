"""A broker that goes away while messages are in hand."""

import logging
from typing import Any

import pytest
from kombu import Connection, Queue
from kombu.transport.redis import Channel

from worker import celery
from worker.broker import MendedQoS


@pytest.fixture
def held(own_redis: Any) -> Any:
    """A channel that has taken a message and not acknowledged it."""
    with Connection(own_redis.url) as connection:
        queue = Queue("held", channel=connection.default_channel)
        queue.declare()
        connection.Producer().publish({"n": 1}, routing_key="held")
        message = queue.get()
        assert message is not None
        yield connection, message


def test_the_application_uses_it() -> None:
    assert celery.app is not None
    assert Channel.QoS is MendedQoS


def test_a_lost_connection_gives_nothing_back_and_raises_nothing(held: Any, own_redis: Any, caplog: Any) -> None:
    connection, message = held
    channel = connection.default_channel
    channel._pool = channel._async_pool = None  # as a lost connection leaves them
    channel.connection.client = None
    with caplog.at_level(logging.WARNING):
        channel.qos.ack(message.delivery_tag)
        channel.qos.restore_unacked()
    assert "1 messages were in hand" in caplog.text
    assert not channel.qos._delivered


def test_a_living_connection_gives_back_what_it_holds(held: Any) -> None:
    connection, _ = held
    connection.default_channel.qos.restore_unacked()
    again = Queue("held", channel=connection.default_channel).get()
    assert again.payload == {"n": 1}
    again.ack()
