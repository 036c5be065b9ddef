"""The conversations of docs/streaming.md, held with a running server that has the demo data and a price or two."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.core.management import call_command

from ingestion import symbols
from ingestion.models import Instrument
from ingestion.providers import SOURCES
from streaming.publish import publish
from tests.processes import ROOT
from tests.streaming.conftest import dial, server  # noqa: F401 - fixtures go by name
from tests.streaming.topics import in_thread, message
from worker.redis import client as redis
from worker.redis import key

BLOCK = re.compile(r"^```ws (\S+)(?: as (\w+))?\n(.*?)^```", re.M | re.S)
ANYTHING = "…"


class Conversation(NamedTuple):
    path: str
    user: str | None
    lines: list[tuple[str, Any]]


def conversations() -> Iterator[Conversation]:
    for path, user, text in BLOCK.findall((ROOT / "docs" / "streaming.md").read_text()):
        lines = [(line[0], json.loads(line[1:])) for line in text.strip().splitlines()]
        yield Conversation(path.removeprefix("/ws/"), user or None, lines)


def fits(said: Any, shown: Any) -> bool:
    """Whether all that is shown was said so; `…` stands for anything."""
    if shown == ANYTHING:
        return True
    if isinstance(shown, dict):
        return isinstance(said, dict) and all(name in said and fits(said[name], shown[name]) for name in shown)
    return bool(said == shown)


@pytest.fixture
def demo(transactional_db: None, django_user_model: Any) -> Any:
    call_command("load_demo", verbosity=0)
    symbols.forget()
    now_us = time.time_ns() // 1000
    for instrument in Instrument.objects.filter(symbol__in=["BTC-USDT", "AAPL"]):
        told = {"source": "simulated", "price": 5.0, "time_us": now_us, "received_us": now_us}
        redis().hset(key("latest", "simulated"), str(instrument.pk), json.dumps(told))
    assert "simulated" in SOURCES
    yield django_user_model.objects.get(username="demo")
    redis().delete(key("latest", "simulated"))


def price_now() -> None:
    told = {"symbol": "BTC-USDT", "instrument": "BTC-USDT", "price": 5.0, "change_percent": 1.0, "source": "simulated"}
    publish([message("price:BTC-USDT", type="asset_update", **told)])


async def test_the_documents_conversations_are_true(demo: Any, dial: Any) -> None:  # noqa: F811
    """All of them on one server: loading the demo data takes longer than talking."""
    for held in conversations():
        await hold(held, await dial(held.path, user=demo if held.user else None, greeted=False))


async def hold(held: Conversation, call: Any) -> None:
    for direction, shown in held.lines:
        if direction == "→":
            await call.socket.send(json.dumps(shown))
            continue
        async with asyncio.timeout(10):
            while not fits(said := await hear(call), shown):
                assert said["type"] not in ("error", "connection"), f"{held.path}: {said} instead of {shown}"
    await call.socket.close()


async def hear(call: Any) -> Any:
    """The next message; where none comes, the market moves."""
    while True:
        try:
            return await call.hear(0.5)
        except TimeoutError:
            await in_thread(price_now)


def test_there_are_conversations_for_what_matters() -> None:
    paths = [held.path for held in conversations()]
    assert len(paths) >= 9
    assert {"realtime/", "market/", "market-multi/", "portfolio/"} <= set(paths)
