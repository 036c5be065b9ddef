"""News on sockets: the path `/ws/news/<category>/` and the topic, over a real server."""

import asyncio
import datetime as dt
import json
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection

from signals import news_store
from signals.dialects import News
from signals.news_formats import Item
from signals.news_store import Origin, keep
from signals.topics import NewsTopic
from streaming.dialects import Misunderstood
from streaming.topics import UnknownTopic
from tests.streaming.conftest import dial, server  # noqa: F401 - fixtures go by name

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
COINS = Origin("rss/1", "rss", "crypto")


def tell(id_: str, headline: str) -> None:
    keep(COINS, [Item(provider_id=id_, headline=headline, source="Wire")], NOW, {})
    connection.close()


async def test_a_page_gets_what_there_is_and_then_what_comes(dial: Any) -> None:  # noqa: F811
    news_store.forget_names()
    await asyncio.to_thread(tell, "1", "Bitcoin plunges 12% in a day")
    client = await dial("news/Crypto/")
    assert await client.hear() | {"timestamp": ""} == {
        "type": "connection", "status": "connected", "category": "crypto", "stream_type": "news", "timestamp": "",
    }  # fmt: skip
    first = await client.hear()
    assert first | {"data": 0} == {"type": "news", "data": 0, "timestamp": "2026-11-21T12:00:00.000000Z"}
    assert first["data"] | {"id": "", "sentiment": 0} == {
        "id": "", "category": "crypto", "headline": "Bitcoin plunges 12% in a day", "summary": "", "source": "Wire",
        "url": "", "published_at": "2026-11-21T12:00:00.000000Z", "symbols": [], "sentiment": 0,
    }  # fmt: skip
    await client.socket.send(json.dumps({"action": "ping"}))
    assert await client.hear() == {"type": "pong"}
    await asyncio.to_thread(tell, "2", "Miners sell as prices of power double")
    assert (await client.hear())["data"]["headline"] == "Miners sell as prices of power double"
    await client.socket.send("nonsense")
    assert (await client.hear())["type"] == "error"


async def test_the_topic_is_replayed_from_where_a_client_was(dial: Any) -> None:  # noqa: F811
    news_store.forget_names()
    client = await dial()
    await client.say("subscribe", {"topics": ["news:crypto", "news", "news:nope"]})
    refused = await client.hear_until("error")
    assert (refused["data"]["code"], refused["topic"]) == (4004, "news:nope")
    granted = (await client.hear_until("subscribed"))["data"]
    assert "news:crypto" in json.dumps(granted)
    await asyncio.to_thread(tell, "1", "Bitcoin plunges 12% in a day")
    heard = [await client.hear_until("news") for _ in range(2)]
    assert {message["topic"] for message in heard} == {"news:crypto", "news"}
    crypto = next(message for message in heard if message["topic"] == "news:crypto")
    await asyncio.to_thread(tell, "2", "Miners sell as prices of power double")
    later = await dial()
    since = {"news:crypto": {"epoch": crypto["epoch"], "seq": crypto["seq"]}}
    await later.say("subscribe", {"topics": ["news:crypto"], "since": since})
    missed = await later.hear_until("news")
    assert (missed["seq"], missed["data"]["headline"]) == (crypto["seq"] + 1, "Miners sell as prices of power double")


async def test_a_category_that_there_is_not_closes_with_4004(dial: Any) -> None:  # noqa: F811
    for path in ("news/nope/", "news/%00/", f"news/{'x' * 500}/"):
        client = await dial(path)
        assert await client.closed() == 4004


async def test_strangers_hear_news_where_they_hear_the_market(dial: Any, settings: Any, alice: Any) -> None:  # noqa: F811
    settings.ANONYMOUS_MARKET_DATA = False
    assert await (await dial("news/general/")).closed() == 4001
    assert (await (await dial("news/general", user=alice)).hear())["type"] == "connection"


@pytest.mark.parametrize(
    "said", [{}, {"action": "subscribe"}, {"type": "ping"}, {"action": ["ping"]}, {"action": None}]
)
def test_a_page_that_says_something_else_is_told_so(said: dict[str, Any]) -> None:
    with pytest.raises(Misunderstood):
        News().interpret(said, {}, 0)


@pytest.mark.django_db
def test_a_topic_s_name_in_any_case_of_letters(settings: Any) -> None:
    settings.NEWS_FEEDS = ["energy=http://a.example/feed"]
    topic, nobody = NewsTopic(), AnonymousUser()
    assert topic.resolve("ENERGY", nobody).topic == "news:energy"
    assert topic.resolve("", nobody).topic == topic.resolve("All", nobody).topic == "news:all"
    for key in ("nope", "a:b", "\0", "*", "x" * 1000):
        with pytest.raises(UnknownTopic):
            topic.resolve(key, nobody)
