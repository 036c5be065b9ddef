"""What the topics say is what they declare: each registered type of event, in a message that was really made."""

from typing import Any

import msgspec
import pytest
from django.core.management import call_command

from ingestion import symbols
from streaming import asyncapi, snapshots, topics

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]


@pytest.fixture
def demo(django_user_model: Any) -> Any:
    call_command("load_demo", verbosity=0)
    symbols.forget()
    return django_user_model.objects.get(username="demo")


def test_every_topic_declares_its_events() -> None:
    ours = [topic for topic in topics.registry.values() if not type(topic).__module__.startswith("tests.")]
    assert {topic.prefix for topic in ours if not topic.events} == {"broadcasts"}, "which are those of `price`"


def test_snapshots_are_as_declared(demo: Any) -> None:
    names = [
        "price:BTC-USDT", "trades:BTC-USDT", "ticker:BTC-USDT", "book:BTC-USDT", "candles:AAPL:1m", "candles:BTC:1d",
        "portfolio:*", "signals", "notifications",
    ]  # fmt: skip
    grants, refused = snapshots.resolve_all(names, demo)
    assert refused == []
    types = asyncapi.events()
    said = [message for grant in grants for message in grant.topic.snapshot(grant.address, demo)]
    for message in said:
        msgspec.convert(message.data, types[message.type])
    assert {"book", "candle", "portfolio_update"} <= {message.type for message in said}
