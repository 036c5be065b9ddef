"""The paths of this platform with their real topics, over real sockets: what their users hear, and others don't."""

import asyncio
from typing import Any

import pytest

from ingestion.models import Instrument
from portfolio import sharing
from portfolio.models import Portfolio
from signals.notifications import Telling, mark_all_read, tell
from streaming.publish import publish
from tests.streaming.topics import in_thread, message


@pytest.fixture
def instruments(transactional_db: None) -> None:
    for symbol, kind in (("BTC-USDT", "crypto"), ("BRK.B", "equity"), ("EURUSD=X", "fx"), ("BTC-USD", "crypto")):
        Instrument.objects.create(symbol=symbol, name=symbol, kind=kind, currency="USD")


@pytest.fixture
def portfolio(transactional_db: None, alice: Any) -> Portfolio:
    return Portfolio.objects.create(owner=alice, name="Savings")


def telling(title: str) -> Telling:
    return Telling(title=title, message="M", notification_type="signal", dedupe_key=title)


@pytest.mark.parametrize(
    ("path", "asked", "symbol"),
    [
        ("market/brk.b/price", "BRK.B", "BRK.B"),
        ("market/EURUSD=X/price/", "EURUSD=X", "EURUSD=X"),
        ("market/BTC-USD/price/", "BTC-USD", "BTC-USD"),
        ("market/btc/price/", "BTC", "BTC-USDT"),
    ],
)
async def test_a_symbols_price(instruments: None, dial: Any, path: str, asked: str, symbol: str) -> None:
    client = await dial(path)
    hello = await client.hear()
    assert hello | {"timestamp": ""} == {
        "type": "connection", "status": "connected", "symbol": asked, "stream_type": "price", "timestamp": "",
    }  # fmt: skip
    await client.socket.send('{"action": "ping"}')
    while (heard := await client.hear()) != {"type": "pong"}:
        assert heard["type"] == "price"

    publish([message(f"price:{symbol}", type="asset_update", symbol=symbol, instrument=symbol, price=5.5, source="x")])

    while (heard := await client.hear())["data"]["price"] != 5.5:
        pass
    assert (heard["type"], heard["data"]["symbol"], heard["source"]) == ("price", asked, "x")


async def test_an_unknown_symbol_closes_with_4004(instruments: None, dial: Any) -> None:
    client = await dial("market/NOPE/price/")
    assert await client.closed() == 4004


async def test_a_broken_message_on_an_older_path(instruments: None, dial: Any) -> None:
    client = await dial("market/BTC/price/")
    await client.socket.send("{")
    error = await client.hear_until("error")
    assert error["message"] == "Invalid JSON format"


async def test_each_hears_of_the_own_portfolios_only(portfolio: Portfolio, dial: Any, alice: Any, bob: Any) -> None:
    hers, his = await dial("portfolio/", user=alice), await dial("portfolio", user=bob)
    update = await hers.hear()
    assert (update["type"], update["data"]["portfolio_id"]) == ("portfolio_update", portfolio.pk)

    publish([message(f"portfolio:{portfolio.pk}", type="portfolio_update", portfolio_id=portfolio.pk, name="New")])

    assert (await hers.hear())["data"]["name"] == "New"
    await his.say("ping", id="silent")
    assert (await his.hear())["type"] == "pong", "and nothing before it"


async def test_a_ping_takes_up_a_portfolio_made_since(portfolio: Portfolio, dial: Any, alice: Any) -> None:
    client = await dial("portfolio/", user=alice)
    await client.hear()
    made = await in_thread(lambda: Portfolio.objects.create(owner=alice, name="Later"))

    await client.say("ping")

    assert (await client.hear())["type"] == "pong"
    assert (await client.hear())["data"]["portfolio_id"] == made.pk


async def test_a_foreign_portfolio_is_refused_like_one_that_is_not_there(
    portfolio: Portfolio, dial: Any, bob: Any
) -> None:
    client = await dial(user=bob)
    answers = []
    for one in (portfolio.pk, 999_999):
        await client.say("subscribe_portfolio", {"portfolio_id": one})
        answers.append((await client.hear())["data"])

    assert [answer["code"] for answer in answers] == [4003, 4003]
    assert answers[0]["message"].replace(str(portfolio.pk), "999999") == answers[1]["message"]


async def test_a_portfolio_that_is_shared_no_more_leaves_the_readers_live_connection(
    portfolio: Portfolio, dial: Any, bob: Any
) -> None:
    share, _ = await in_thread(lambda: sharing.with_user(portfolio, bob))
    topic = f"portfolio:{portfolio.pk}"
    client = await dial(user=bob)
    await client.say("subscribe", {"topics": [topic]})
    assert topic in (await client.hear_until("subscribed"))["data"]["topics"]

    await in_thread(lambda: sharing.revoke(share))

    async with asyncio.timeout(1):
        error = await client.hear_until("error")
    assert (error["topic"], error["data"]["code"]) == (topic, 4003)
    assert (await client.hear_until("unsubscribed"))["data"] == {"topics": [topic]}


async def test_notifications_flat_and_read_everywhere(dial: Any, alice: Any, bob: Any) -> None:
    (row,) = await in_thread(tell, [alice.pk], telling("early"))
    flat, core = await dial("notifications/", user=alice), await dial(user=alice)
    his = await dial("realtime/", user=bob)
    await core.say("subscribe", {"topics": ["notifications"]})
    await his.say("subscribe", {"topics": ["notifications"]})
    await his.hear_until("subscribed")
    await core.hear_until("notification")

    unread = await flat.hear()
    await in_thread(tell, [alice.pk], telling("late"))
    late = await flat.hear()

    assert (unread["type"], unread["title"], late["title"]) == ("new_notification", "early", "late")
    assert set(unread) == {
        "type", "notification_id", "title", "message", "notification_type", "priority", "timestamp",
    }  # fmt: skip
    await flat.socket.send(f'{{"type": "mark_read", "notification_id": "{unread["notification_id"]}"}}')
    assert (await core.hear_until("read"))["data"]["notification_ids"] == [unread["notification_id"]]
    assert await his.silent()
    assert row.user_id == alice.pk


async def test_who_was_away_gets_what_was_told_meanwhile_once_and_reads_it_on_every_tab(dial: Any, alice: Any) -> None:
    early = await dial(user=alice)
    await early.say("subscribe", {"topics": ["notifications"]})
    since = (await early.hear_until("subscribed"))["data"]["topics"]["notifications"]
    await early.socket.close()
    for title in ("one", "two", "two", "three"):
        await in_thread(tell, [alice.pk], telling(title))

    flat, core, other = await dial("notifications/", user=alice), await dial(user=alice), await dial(user=alice)
    asked = {"topics": ["notifications"], "since": {"notifications": {k: since[k] for k in ("epoch", "seq")}}}
    for tab in (core, other):
        await tab.say("subscribe", asked)
        assert (await tab.hear())["data"]["topics"]["notifications"]["recovered"] is True
        assert [(await tab.hear())["data"]["title"] for _ in range(3)] == ["one", "two", "three"]
    assert [(await flat.hear())["title"] for _ in range(3)] == ["one", "two", "three"]

    ids = await in_thread(mark_all_read, alice.pk)

    for tab in (core, other):
        assert (await tab.hear())["data"] == {"notification_ids": ids}
        assert await tab.silent()
    assert len(ids) == 3
    late = await dial("notifications/", user=alice)
    await in_thread(tell, [alice.pk], telling("four"))
    assert (await late.hear())["title"] == "four", "what was read on another tab does not come again"


async def test_marking_as_read_needs_a_user_and_marks_only_ones_own(dial: Any, alice: Any, bob: Any) -> None:
    await in_thread(tell, [alice.pk], telling("hers"))
    hers, his, nobody = await dial(user=alice), await dial(user=bob), await dial()
    await hers.say("subscribe", {"topics": ["notifications"]})
    its = (await hers.hear_until("notification"))["data"]["notification_id"]

    await his.say("mark_read", {"notification_ids": [its]}, id=1)
    await nobody.say("mark_read", {"notification_ids": [its]}, id=2)

    assert (await his.hear())["data"] == {"notification_ids": []}
    assert (await nobody.hear())["data"]["code"] == 4001
    assert await hers.silent()
