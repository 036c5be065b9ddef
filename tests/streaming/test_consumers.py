"""Clients over real sockets: who comes in, what they hear, how it ends."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streaming import actions, events
from streaming.publish import publish
from streaming.snapshots import begin
from tests.streaming import topics
from tests.streaming.topics import append, message


async def test_the_first_message_says_who_is_connected(dial: Any, alice: Any) -> None:
    anonymous = await dial(greeted=False)
    signed_in = await dial(user=alice, greeted=False)

    hello, known = await anonymous.hear(), await signed_in.hear()

    assert hello["type"] == "connection"
    assert hello["data"] | {"connection_id": "x"} == {
        "status": "connected", "connection_id": "x", "authenticated": False, "user_id": None,
    }  # fmt: skip
    assert (known["data"]["authenticated"], known["data"]["user_id"]) == (True, alice.pk)


async def test_a_subscription_begins_with_the_snapshot_and_goes_on_with_events(dial: Any) -> None:
    topics.state["tquote:BTC-USDT"] = [message("tquote:BTC-USDT", symbol="BTC-USDT", instrument="BTC-USDT", price=1)]
    client = await dial("realtime")

    await client.say("subscribe", {"topics": ["tquote:btc"]}, id=7)
    answer, snapshot = await client.hear(), await client.hear()
    publish([message("tquote:BTC-USDT", symbol="BTC-USDT", instrument="BTC-USDT", price=2)])
    event = await client.hear()

    assert (answer["type"], answer["id"], answer["data"]) == ("subscribed", 7, {"topics": {"tquote:BTC": {}}})
    assert snapshot == {
        "type": "test",
        "topic": "tquote:BTC",
        "data": {"symbol": "BTC", "instrument": "BTC-USDT", "price": 1},
        "timestamp": "2026-01-28T10:30:01.123456Z",
    }
    assert event["data"] == {"symbol": "BTC", "instrument": "BTC-USDT", "price": 2}


async def test_each_client_hears_the_symbol_that_it_asked_for(dial: Any) -> None:
    first, second = await dial(), await dial()
    await first.say("subscribe", {"topics": ["tquote:BTC"]})
    await second.say("subscribe", {"topics": ["tquote:btc-usdt", "tquote:BTC"]})
    await first.hear(), await second.hear()

    publish([message("tquote:BTC-USDT", symbol="BTC-USDT", price=2)])

    assert (await first.hear())["data"]["symbol"] == "BTC"
    assert {(await second.hear())["data"]["symbol"] for _ in range(2)} == {"BTC", "BTC-USDT"}


async def test_an_unknown_symbol_in_a_list_is_named_and_the_rest_is_granted(dial: Any) -> None:
    client = await dial()

    await client.say("subscribe", {"topics": ["tquote:NOPE", "tquote:BTC", "nothing:1"]}, id="a")
    first, second, answer = [await client.hear() for _ in range(3)]

    assert (first["data"]["code"], first["topic"], first["id"]) == (4004, "tquote:NOPE", "a")
    assert (second["data"]["code"], second["topic"]) == (4004, "nothing:1")
    assert answer["data"]["topics"] == {"tquote:BTC": {}}


async def test_after_unsubscribing_nothing_comes(dial: Any) -> None:
    client = await dial()
    await client.say("subscribe", {"topics": ["tquote:BTC"]})
    await client.hear()
    await client.say("unsubscribe", {"topics": ["tquote:btc"]}, id=1)
    assert (await client.hear())["data"] == {"topics": ["tquote:BTC"]}

    publish([message("tquote:BTC-USDT", symbol="BTC-USDT", price=2)])

    assert await client.silent()


async def test_several_waiting_events_come_as_one_batch_where_asked_for(dial: Any) -> None:
    client = await dial()
    wanted = ["tquote:BTC", "tquote:BRK.B", "tquote:EURUSD=X"]
    await client.say("subscribe", {"topics": wanted, "batch": True, "interval_ms": 200})
    await client.hear_until("subscribed")

    publish([message(f"tquote:{topics.KNOWN[name.partition(':')[2]]}", n=n) for n, name in enumerate(wanted)])
    publish([message("tquote:BTC-USDT", n=9)])
    heard: list[Any] = []
    while {event["data"]["n"] for event in heard} < {1, 2, 9}:
        frame = await client.hear()
        heard += frame["data"]["events"] if frame["type"] == "batch" else [frame]

    assert frame["type"] == "batch"
    assert {event["topic"] for event in heard} == set(wanted)


async def test_lossless_events_come_in_order_with_their_position(dial: Any, alice: Any) -> None:
    client = await dial(user=alice)
    await client.say("subscribe", {"topics": ["tdiary"]})
    start = (await client.hear())["data"]["topics"]["tdiary"]

    await append([message(f"tdiary:{alice.pk}", n=n) for n in range(3)])

    heard = [await client.hear() for _ in range(3)]
    assert [(e["topic"], e["data"]["n"], e["epoch"], e["seq"]) for e in heard] == [
        ("tdiary", n, start["epoch"], start["seq"] + n + 1) for n in range(3)
    ]


async def test_coming_back_with_a_position_replays_what_was_missed(dial: Any) -> None:
    stamped = await append([message("tlog:x", n=n) for n in range(5)])
    client = await dial()
    since = {"epoch": stamped[0].epoch, "seq": 2}

    await client.say("subscribe", {"topics": ["tlog:x"], "since": {"tlog:x": since}})

    answer = await client.hear()
    assert answer["data"]["topics"]["tlog:x"] == {"epoch": stamped[0].epoch, "seq": 5, "recovered": True}
    assert [(await client.hear())["seq"] for _ in range(3)] == [3, 4, 5]


async def test_a_position_too_old_gets_a_snapshot_and_never_a_part(dial: Any, settings: Any) -> None:
    settings.EVENT_REPLAY_MAX = 3
    stamped = await append([message("tlog:x", n=n) for n in range(5)])
    topics.state["tlog:x"] = [message("tlog:x", type="state", n=4)]
    client = await dial()

    await client.say("subscribe", {"topics": ["tlog:x"], "since": {"tlog:x": {"epoch": stamped[0].epoch, "seq": 1}}})

    answer, snapshot = await client.hear(), await client.hear()
    assert answer["data"]["topics"]["tlog:x"] == {"epoch": stamped[0].epoch, "seq": 5, "recovered": False}
    assert (snapshot["type"], "seq" in snapshot) == ("state", False)
    assert await client.silent()


async def test_what_happens_while_the_snapshot_is_read_comes_after_it_and_once(
    dial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published after the position was taken and before the snapshot is out: neither lost nor doubled."""
    await append([message("tlog:race", n=0)])

    def racing(*args: Any) -> Any:
        before = events.append([message("tlog:race", n=1)])
        beginning = begin(*args)
        events.append([message("tlog:race", n=2)])
        assert before
        return beginning

    monkeypatch.setattr("streaming.snapshots.begin", racing)
    topics.state["tlog:race"] = [message("tlog:race", type="state")]
    client = await dial()
    await client.say("subscribe", {"topics": ["tlog:race"]})

    answer, snapshot, event = [await client.hear() for _ in range(3)]

    assert (answer["data"]["topics"]["tlog:race"]["seq"], snapshot["type"], event["seq"]) == (2, "state", 3)
    assert await client.silent()


async def test_a_foreign_thing_is_refused_without_telling_whether_it_exists(dial: Any, alice: Any, bob: Any) -> None:
    client = await dial(user=bob)
    topics.state["tbox:alice"] = [message("tbox:alice", secret=1)]

    await client.say("subscribe", {"topics": ["tbox:alice", "tbox:nobody", "tbox:bob"]})
    foreign, absent, answer = [await client.hear() for _ in range(3)]
    publish([message("tbox:alice", secret=2)])

    assert foreign["data"]["message"].replace("alice", "nobody") == absent["data"]["message"]
    assert (foreign["data"]["code"], absent["data"]["code"], foreign["data"]["retry"]) == (4003, 4003, False)
    assert answer["data"]["topics"] == {"tbox:bob": {}}
    assert await client.silent()


async def test_anonymous_clients_get_public_topics_only(dial: Any, settings: Any) -> None:
    client = await dial()
    await client.say("subscribe", {"topics": ["tdiary", "tquote:BTC"]})
    error, answer = await client.hear(), await client.hear()
    settings.ANONYMOUS_MARKET_DATA = False
    await client.say("subscribe", {"topics": ["tquote:BRK.B"]})
    closed = await client.hear()

    assert (error["data"]["code"], answer["data"]["topics"]) == (4001, {"tquote:BTC": {}})
    assert closed["data"]["code"] == 4001


@pytest.mark.parametrize("path", ["portfolio/", "notifications"])
async def test_paths_that_need_a_user_close_with_4001_after_accepting(dial: Any, path: str) -> None:
    assert await (await dial(path)).closed() == 4001


async def test_market_paths_follow_anonymous_market_data(dial: Any, settings: Any) -> None:
    settings.ANONYMOUS_MARKET_DATA = False
    assert await (await dial("market/BTC/price/")).closed() == 4001


async def test_a_foreign_origin_is_forbidden_and_a_missing_one_is_not(dial: Any, server: Any) -> None:
    for foreign in ("https://evil.example", "null", f"http://127.0.0.1.evil.example:{server.port}", "http://["):
        with pytest.raises(InvalidStatus) as refused:
            await dial(additional_headers={"Origin": foreign})
        assert refused.value.response.status_code == 403
    await dial(additional_headers={"Origin": f"http://127.0.0.1:{server.port}"})
    await dial()


async def test_a_path_that_nobody_serves_is_forbidden(dial: Any) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await dial("nowhere/")
    assert refused.value.response.status_code == 403


async def test_broken_messages_get_errors_and_the_connection_lives(dial: Any) -> None:
    client = await dial()
    for broken in ("{", "[]", "null", '{"type": 1}', '{"type": "nonsense"}', '{"type":"subscribe","data":{"topic":1}}'):
        await client.socket.send(broken)
        answer = await client.hear()
        assert (answer["type"], answer["data"]["code"], answer["data"]["retry"]) == ("error", 4000, False)
    await client.socket.send(b"\x00\xff")
    assert (await client.hear())["data"]["code"] == 4000
    await client.socket.send(json.dumps({"type": "ping", "data": {}, "filler": "x" * 70_000}))
    assert "65536" in (await client.hear())["data"]["message"]
    await client.say("ping", id=[1, {"a": None}])
    assert (await client.hear())["id"] == [1, {"a": None}]


async def test_too_many_broken_messages_close_with_4000(dial: Any, settings: Any) -> None:
    client = await dial()
    for _ in range(settings.MAX_BROKEN_MESSAGES + 1):
        await client.socket.send("{")
    assert await client.closed() == 4000


async def test_too_many_messages_close_with_4129(dial: Any, settings: Any) -> None:
    client = await dial()
    for _ in range(settings.MAX_MESSAGES_PER_MINUTE + 1):
        await client.say("ping")
    assert await client.closed() == 4129


async def test_subscriptions_are_limited_and_the_refusal_names_the_limit(dial: Any, settings: Any) -> None:
    client = await dial()
    await client.say(
        "subscribe", {"topics": [f"tlog:{n}" for n in range(settings.MAX_SUBSCRIPTIONS_PER_CONNECTION + 2)]}
    )

    error, answer = await client.hear(), await client.hear()

    assert error["data"]["code"] == 4029
    assert "50" in error["data"]["message"]
    assert len(answer["data"]["topics"]) == 50


async def test_one_connection_too_many_closes_with_4029(dial: Any, alice: Any, bob: Any, settings: Any) -> None:
    settings.MAX_CONNECTIONS_PER_USER = 2
    first = await dial(user=alice)
    await dial(user=alice)
    refused = await dial(user=alice, greeted=False)
    assert await refused.closed() == 4029
    assert "2 connections" in str(refused.socket.close_reason)
    await dial(user=bob)
    await first.socket.close()
    async with asyncio.timeout(5):
        while await _refused(dial, alice):
            pass


async def _refused(dial: Any, user: Any) -> bool:
    client = await dial(user=user, greeted=False)
    try:
        return bool((await client.hear())["type"] != "connection")
    except Exception:
        return True


async def test_a_reader_that_takes_nothing_is_closed_and_others_go_on(dial: Any, server: Any, settings: Any) -> None:
    settings.OUTBOX_QUEUE_MAX = 50
    settings.OUTBOX_WRITE_BUFFER_MAX_BYTES = 100_000
    stuck, alive = await dial(max_queue=1), await dial()
    for client in (stuck, alive):
        await client.say("subscribe", {"topics": ["tlog:big"], "interval_ms": 50})
        await client.hear()
    stuck.socket.transport.pause_reading()

    for _ in range(300):
        await append([message("tlog:big", filler="x" * 100_000)])
        assert (await alive.hear())["type"] == "test"
        if server.run(lambda: len(server.hub.connections)) == 1:
            break

    assert server.run(lambda: len(server.hub.connections)) == 1
    stuck.socket.transport.abort()


async def test_a_restart_closes_with_4101(dial: Any, server: Any) -> None:
    client = await dial()
    server.uvicorn.should_exit = True
    assert await client.closed() == 4101


async def test_a_silent_client_is_closed_but_pongs_are_life(dial: Any, server: Any, settings: Any) -> None:
    client = await dial(ping_interval=0.1)
    settings.WEBSOCKET_TIMEOUT_S = 0.5
    await asyncio.sleep(1)
    assert await client.silent()

    deaf = await dial(ping_interval=None)
    assert await deaf.closed() == 4108


async def test_a_huge_frame_ends_its_own_connection_only(dial: Any) -> None:
    huge, other = await dial(), await dial()
    with contextlib.suppress(ConnectionClosed):
        await huge.socket.send("x" * 20_000_000)
    assert await huge.closed() == 1009
    assert await other.silent()


async def test_text_that_is_no_utf8_ends_its_own_connection_only(dial: Any) -> None:
    broken, other = await dial(), await dial()
    broken.socket.transport.write(b"\x81\x82\0\0\0\0\xff\xfe")
    assert await broken.closed() == 1007
    assert await other.silent()


async def test_a_failing_action_is_our_fault_and_others_go_on(
    dial: Any, server: Any, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_user: Any, _data: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setitem(actions.registry, "mark_read", fail)
    client, other = await dial(user=alice), await dial()
    await client.say("mark_read", {"notification_ids": []})

    assert await client.closed() == 4101
    assert await other.silent()
    assert server.run(lambda: len(server.hub.connections)) == 1


async def test_what_a_client_did_not_see_is_reported(dial: Any, settings: Any) -> None:
    settings.DROPPED_REPORT_INTERVAL_S = 0.0
    client = await dial()
    await client.say("subscribe", {"topics": ["tquote:BTC"], "interval_ms": 300})
    await client.hear()
    publish([message("tquote:BTC-USDT", n=n) for n in range(20)])
    publish([message("tquote:BTC-USDT", n=20)])

    seen, dropped = set(), 0
    while 20 not in seen or len(seen) + dropped < 21:
        heard = await client.hear()
        if heard["type"] == "dropped":
            dropped += heard["data"]["tquote:BTC"]
        else:
            seen.add(heard["data"]["n"])
    assert len(seen) + dropped == 21
