"""The AsyncAPI document: whole, and true of what is said."""

import json
import re
from typing import Any

import msgspec
import pytest

from streaming import asyncapi, dialects
from streaming.messages import SAID


@pytest.fixture
def document() -> dict[str, Any]:
    return asyncapi.document("Tapehouse", "1", "localhost:8000", "ws")


def test_every_path_is_a_channel(document: dict[str, Any]) -> None:
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert "/ws/realtime/" in addresses
    assert "/ws/market/{symbol}/{stream}/" in addresses
    assert len(addresses) == len(dialects.registry)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        found: Any = document
        for step in reference.split("/"):
            found = found[step]


def test_every_operation_is_named_for_its_side(document: dict[str, Any]) -> None:
    operations = document["operations"]
    assert operations["receive_realtime"]["action"] == "receive"
    heard = {reference["$ref"].rpartition("/")[2] for reference in operations["receive_realtime"]["messages"]}
    assert {"client_ping", "client_subscribe", "client_auth"} <= heard


def test_the_topics_are_listed_each_with_its_events(document: dict[str, Any]) -> None:
    core = document["channels"]["realtime"]
    own = core["x-topics"]["own-signals"]
    assert (own["kind"], own["public"], own["events"]) == ("lossless", False, ["signal", "signal_update"])
    assert own["description"].startswith("The signals of the user's own strategies")
    told = core["messages"]["server_signal"]["payload"]["properties"]["topic"]["description"]
    assert told == "Of own-signals, signals, trading-signals."


def test_it_is_served(client: Any) -> None:
    served = client.get("/docs/asyncapi.json").json()
    assert served["asyncapi"] == "3.0.0"
    assert served["servers"]["here"] == {"host": "testserver", "protocol": "ws"}


async def test_what_the_server_says_has_the_declared_types(dial: Any, alice: Any) -> None:
    client = await dial(user=alice, greeted=False)
    await client.say("ping")
    await client.say("subscribe", {"topics": ["tquote:BTC", "tdiary", "nothing"]})
    await client.say("set_interval", {"interval_ms": 50, "batch": False})
    await client.say("list")
    await client.say("unsubscribe", {"topics": ["tquote:BTC"]})
    heard = []
    while "unsubscribed" not in heard:
        message = await client.hear()
        msgspec.convert(message["data"], SAID[message["type"]])
        heard.append(message["type"])
    assert {"connection", "pong", "subscribed", "error", "interval", "subscriptions"} <= set(heard)
