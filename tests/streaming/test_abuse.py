"""Clients that mean no good, or are broken: an error or the door for them, nothing for the others, bounded memory."""

import asyncio
import contextlib
import json
import os
import random
import socket
import string
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from ingestion.models import Instrument
from streaming import dialects
from streaming.publish import publish
from tests.streaming.topics import message

MIB = 1 << 20
FINAL = {4000, 4129, 1003, 1007, 1009, 4001, 4003, 4004}


@pytest.fixture
def instruments(transactional_db: None) -> None:
    Instrument.objects.create(symbol="BTC-USDT", name="Bitcoin", kind="crypto", currency="USDT")


@pytest.fixture
def call(instruments: None, dial: Any) -> Any:
    return dial


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def concrete(path: str) -> str:
    """A dialect's regular expression as one of the paths it matches."""
    return path.replace("(?P<symbol>[^/]+)", "BTC-USDT").replace("(?P<stream>price|orderbook|trades|ticker)", "price")


def rubbish(draw: random.Random) -> str | bytes:
    """Of every kind: no JSON, JSON of no shape, the right shape with wrong contents, deep, long, binary."""
    word = "".join(draw.choices(string.printable, k=draw.randrange(40)))
    value: Any = draw.choice([None, True, -1, 1e308, 2**70, word, [word], {word: word}, [], {}])
    key = draw.choice(["type", "action", "data", "symbols", "topics", "id", "since", "frequency"])
    said = draw.choice(["subscribe", "unsubscribe", "auth", "mark_read", "list", "ping", "set_depth", word])
    return draw.choice(
        [
            word,
            json.dumps(value),
            json.dumps({key: value}),
            json.dumps({"type": said, "data": value, "symbols": value, "topics": value}),
            json.dumps({"action": said, "symbols": value, "stream_type": value}),
            json.dumps({"type": said, "data": {"topics": value, "token": value, "since": {word: value}}}),
            json.dumps({"type": said, "data": {"symbol": value, "portfolio_id": value}}),
            "[" * draw.randrange(2000),
            '{"type":"ping","data":' + '{"a":' * 500,
            '{"type":"\\ud800"}',
            draw.randbytes(draw.randrange(200)),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("dialect", dialects.registry, ids=lambda dialect: dialect.path)
async def test_rubbish_is_answered_or_shown_the_door(call: Any, alice: Any, bob: Any, dialect: Any) -> None:
    neighbour = await call(user=bob)
    draw = random.Random(dialect.path)
    for _ in range(3):
        client = await call(concrete(dialect.path), user=alice, greeted=False)
        with contextlib.suppress(ConnectionClosed):
            for _ in range(30):
                await client.socket.send(rubbish(draw))
                with contextlib.suppress(TimeoutError):
                    while True:
                        json.loads(await asyncio.wait_for(client.socket.recv(), 0.01))
        if client.socket.close_code is not None:
            assert client.socket.close_code in FINAL, (client.socket.close_code, client.socket.close_reason)
        await client.socket.close()
    assert await neighbour.silent()


@pytest.mark.parametrize("size", [70_000, MIB])
async def test_a_message_too_long_names_the_limit_or_ends_the_connection(call: Any, size: int) -> None:
    client, neighbour = await call(), await call()
    with contextlib.suppress(ConnectionClosed):
        await client.socket.send('{"type":"ping","data":{"x":"' + "x" * size + '"}}')
        error = await client.hear()
        assert "the limit is 65536" in error["data"]["message"]
    assert client.socket.close_code in (None, 1009)
    assert await neighbour.silent()


async def test_ten_thousand_subscriptions_are_refused_by_their_number(call: Any) -> None:
    client, neighbour = await call(), await call()
    names = [f"tlog:{n}" for n in range(10_000)]
    await client.say("subscribe", {"topics": names}, id="all")
    with contextlib.suppress(ConnectionClosed):
        assert (await client.hear())["type"] == "error"
    other = await call()
    for start in range(0, 10_000, 1000):
        await other.say("subscribe", {"topics": names[start : start + 1000]}, id=start)
    answers = [await other.hear() for _ in range(12)]
    refused = [a["data"]["message"] for a in answers if a["type"] == "error" and a["data"]["code"] == 4029]
    assert refused
    assert all("At most 50 subscriptions per connection" in why for why in refused)
    await other.say("list", id="list")
    while (listed := await other.hear()).get("id") != "list":
        pass
    assert len(listed["data"]["topics"]) <= 50
    assert await neighbour.silent()


async def test_a_storm_of_subscribing_ends_with_4129(call: Any) -> None:
    client, neighbour = await call(), await call()

    async def storm() -> None:
        with contextlib.suppress(ConnectionClosed):
            for n in range(300):
                await client.say("unsubscribe" if n % 2 else "subscribe", {"topics": ["tquote:BTC"]})

    await storm()
    assert await client.closed() == 4129
    publish([message("tquote:BTC-USDT", symbol="BTC-USDT", price=1)])
    assert await neighbour.silent()


async def test_half_open_and_half_spoken_connections_do_no_harm(server: Any, dial: Any) -> None:
    """TCP without a handshake, half a handshake, half a frame, a reset: nobody waits for them."""
    raw = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(30)]
    for n, one in enumerate(raw):
        if n % 3 == 1:
            one.sendall(b"GET /ws/realtime/ HTTP/1.1\r\nHost: x\r\nUpgrade: webso")
        elif n % 3 == 2:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.close()
    client = await dial()
    client.socket.transport.write(b"\x81\xfe\x40\x00half a fr")
    client.socket.transport.abort()
    assert await (await dial()).silent()
    for one in raw:
        one.close()


async def test_readers_that_stop_reading_cost_bounded_memory(dial: Any, settings: Any) -> None:
    """Twenty of them, and 60 MB published to each: kept are a write buffer and the newest value of each topic."""
    settings.OUTBOX_WRITE_BUFFER_MAX_BYTES = 256 * 1024
    settings.OUTBOX_STALL_TIMEOUT_S = 60.0
    stuck = [await dial(max_queue=1, write_limit=1024) for _ in range(20)]
    for client in stuck:
        await client.say("subscribe", {"topics": ["tquote:BTC", "ttick:BTC"]})
        await client.hear_until("subscribed")
        client.socket.transport.pause_reading()
    healthy = await dial(max_size=MIB)
    await healthy.say("subscribe", {"topics": ["tquote:BTC"], "interval_ms": 50})
    await healthy.hear_until("subscribed")
    before = resident_bytes()
    for n in range(600):
        publish([message("tquote:BTC-USDT", symbol="BTC-USDT", price=n, filling="x" * 100_000)])
        await asyncio.sleep(0.002)
    while (await healthy.hear(10))["data"]["price"] != 599:
        pass
    grown = resident_bytes() - before
    for client in stuck:
        client.socket.transport.abort()  # a closing handshake would wait for what nobody reads
    assert grown < 20 * (settings.OUTBOX_WRITE_BUFFER_MAX_BYTES + MIB) + 40 * MIB, f"{grown / MIB:.0f} MiB"


async def test_somebody_elses_portfolio_is_refused_on_every_way(call: Any, alice: Any, bob: Any) -> None:
    client = await call(user=bob)
    foreign = ["portfolio:1000000000", "portfolio:x", "notifications:1"]
    await client.say("subscribe_portfolio", {"portfolio_id": 1_000_000_000})
    await client.say("subscribe", {"topics": foreign})
    answers = []
    while not answers or answers[-1]["type"] != "subscribed":
        answers.append(await client.hear())
    assert [answer["type"] for answer in answers[:-1]] == ["error"] * 4
    assert {answer["data"]["code"] for answer in answers[:-1]} <= {4003, 4004}
    assert answers[-1]["data"]["topics"] == {}
