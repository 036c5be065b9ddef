"""Without our uvicorn protocol everything works too, by plain ASGI messages."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from streaming import hub, routing, threads
from streaming.publish import apublish
from tests.streaming import topics
from tests.streaming.topics import message
from worker.redis import close_async_client

pytestmark = pytest.mark.django_db(transaction=True)
topics.register()


@pytest.fixture
async def application() -> AsyncIterator[Any]:
    yield routing.application()
    await hub.current().close()
    await close_async_client()
    threads.close()


async def test_a_subscription_over_plain_asgi(application: Any) -> None:
    client = WebsocketCommunicator(application, "/ws/realtime/")
    assert (await client.connect())[0]
    assert (await client.receive_json_from())["type"] == "connection"

    await client.send_json_to({"type": "subscribe", "data": {"topics": ["tquote:BTC"]}})
    assert (await client.receive_json_from(5))["type"] == "subscribed"
    await apublish([message("tquote:BTC-USDT", symbol="BTC-USDT", price=2)])

    assert (await client.receive_json_from(5))["data"] == {"symbol": "BTC", "price": 2}
    await client.disconnect()


async def test_a_refusal_is_accepted_first_and_then_closed_with_its_code(application: Any) -> None:
    client = WebsocketCommunicator(application, "/ws/notifications/")
    assert (await client.connect())[0]
    assert await client.receive_output(5) == {"type": "websocket.close", "code": 4001, "reason": "Sign in first"}
    await client.disconnect()
