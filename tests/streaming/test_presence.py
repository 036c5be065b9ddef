"""What a real hub reports of its connections, and the page from which they are sent away."""

import asyncio
from typing import Any

import pytest

from streaming import presence
from streaming.presence import Seen
from tests.streaming.topics import in_thread


@pytest.fixture(autouse=True)
def _told_soon(settings: Any) -> None:
    settings.PRESENCE_INTERVAL_S = 0.1


async def connections(count: int) -> list[Seen]:
    """Once the hub has told of so many."""
    async with asyncio.timeout(5):
        while True:
            found = [seen for report in await in_thread(presence.reports) for seen in report.connections]
            if len(found) == count:
                return found
            await asyncio.sleep(0.05)


async def test_a_hub_tells_who_is_connected_and_what_they_follow(dial: Any, alice: Any) -> None:
    signed_in, anonymous = await dial(user=alice), await dial()
    await signed_in.say("subscribe", {"topics": ["tquote:BTC"]})
    await anonymous.say("subscribe", {"topics": ["tquote:BTC"]})
    await signed_in.hear(), await anonymous.hear()

    async with asyncio.timeout(5):
        while not all(seen.subscriptions for seen in await connections(2)):
            await asyncio.sleep(0.05)
    by_name = {seen.username: seen for seen in await connections(2)}
    assert (by_name["alice"].user_id, by_name["alice"].topics) == (alice.pk, ["tquote:BTC-USDT"])
    assert (by_name[""].user_id, by_name[""].topics, by_name[""].address) == (None, [], "127.0.0.1")
    assert presence.followers(await in_thread(presence.reports)) == {"tquote:BTC-USDT": 2}
    await anonymous.socket.close()
    assert [seen.username for seen in await connections(1)] == ["alice"]


async def test_staff_see_the_connections_and_send_one_away(dial: Any, alice: Any, admin: Any, client: Any) -> None:
    one, other = await dial(user=alice), await dial(user=alice)
    first, second = await connections(2)

    def page() -> Any:
        client.force_login(admin)
        return client.get("/admin/streaming/liveconnection/")

    shown = (await in_thread(page)).content.decode()
    assert first.connection_id in shown
    assert second.connection_id in shown

    def send_away() -> Any:
        return client.post("/admin/streaming/liveconnection/", {"disconnect": [first.connection_id]})

    assert (await in_thread(send_away)).status_code == 302
    closed, pending = await asyncio.wait(
        [asyncio.create_task(c.socket.wait_closed()) for c in (one, other)],
        timeout=2, return_when=asyncio.FIRST_COMPLETED,
    )  # fmt: skip
    assert (len(closed), len(pending)) == (1, 1)
    for task in pending:
        task.cancel()
    assert 4101 in (one.socket.close_code, other.socket.close_code)


async def test_others_do_not_see_the_page(dial: Any, alice: Any, client: Any) -> None:
    def page() -> Any:
        client.force_login(alice)
        return client.get("/admin/streaming/liveconnection/")

    assert (await in_thread(page)).status_code == 302
