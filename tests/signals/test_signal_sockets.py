"""Signals over real sockets: the core topics, and `/ws/trading-signals/` in its own shapes."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.db import transaction
from django.utils import timezone

from ingestion.models import Instrument
from signals import lifecycle
from signals.dialects import FlatSignal
from signals.models import Signal, SignalHearer
from signals.topics import broadcast_buy_signal, broadcast_sell_signal, signal_messages
from streaming import events
from tests.streaming.conftest import dial, server  # noqa: F401 - fixtures go by name
from tests.streaming.topics import in_thread

PATH = "trading-signals/"


@pytest.fixture
def market(own_prefix: str, transactional_db: None) -> dict[str, Instrument]:
    names = {"BTC-USD": "crypto", "ETH-USD": "crypto"}
    return {n: Instrument.objects.create(symbol=n, name=n, kind=kind, currency="USD") for n, kind in names.items()}


@pytest.fixture
def call(market: Any, dial: Any) -> Any:  # noqa: F811
    return dial


def record(instrument: Instrument, hearer: Any = None, signal_type: str = "BUY") -> Signal:
    """A signal of the house, or of `hearer`'s own strategy, with its events."""
    now = timezone.now()
    with transaction.atomic():
        signal = Signal.objects.create(
            strategy="sma_cross", strategy_key="k", instrument=instrument, interval="1m", time=now, candle_rev=0,
            signal_type=signal_type, strength="STRONG", confidence_score=88.0, entry_price=100.0, target_price=103.0,
            stop_loss=98.0, expires_at=now + timedelta(hours=1), reason="It rose.", private=hearer is not None,
        )  # fmt: skip
        if hearer is not None:
            SignalHearer.objects.create(signal=signal, user=hearer)
        events.append(signal_messages(signal))
    return signal


async def say(client: Any, **said: Any) -> None:
    await client.socket.send(json.dumps(said))


async def in_order(client: Any) -> None:
    """All that was said before has been done: messages are taken one after the other."""
    await say(client, type="nothing")
    assert (await client.hear())["type"] == "error"


async def test_the_path_tells_of_signals_flat(call: Any, market: Any, alice: Any) -> None:
    client = await call(PATH, user=alice)
    await in_order(client)
    signal = await in_thread(lambda: record(market["BTC-USD"]))
    told = await client.hear()
    msgspec.convert(told, FlatSignal)
    assert told.pop("timestamp").endswith("Z")
    flat = {
        "signal_id": str(signal.pk), "symbol": "BTC-USD", "signal_type": "BUY", "strength": "STRONG",
        "confidence_score": 88.0, "entry_price": 100.0, "target_price": 103.0, "stop_loss": 98.0,
    }  # fmt: skip
    assert told == {"type": "new_signal", **flat}
    await in_thread(lambda: lifecycle.conclude(signal, Signal.Status.TARGET, timezone.now()))
    update = await client.hear()
    assert update.pop("timestamp")
    assert update == {"type": "signal_update", **flat}


async def test_the_path_needs_a_sign_in(call: Any) -> None:
    assert await (await call(PATH)).closed() == 4001
    assert await (await call("trading-signals")).closed() == 4001


async def test_active_signals_come_first(call: Any, market: Any, alice: Any) -> None:
    old = await in_thread(lambda: record(market["BTC-USD"]))
    await in_thread(lambda: lifecycle.conclude(old, Signal.Status.STOP, timezone.now()))
    active = await in_thread(lambda: record(market["ETH-USD"], alice))
    told = await (await call(PATH, user=alice)).hear()
    assert (told["type"], told["signal_id"]) == ("new_signal", str(active.pk))


async def test_a_filter_by_symbol_and_type(call: Any, market: Any, alice: Any) -> None:
    client = await call(PATH, user=alice)
    await say(client, type="filter", symbol="btc/usd", signal_type="buy")
    await in_order(client)
    for symbol in ("ETH-USD", "BTC-USD"):
        for broadcast in (broadcast_sell_signal, broadcast_buy_signal):
            name = f"{symbol} {broadcast.__name__}"
            await in_thread(lambda name=name, symbol=symbol, send=broadcast: _send(send, name, symbol))
    told = await client.hear()
    assert (told["signal_id"], told["symbol"]) == ("BTC-USD broadcast_buy_signal", "BTC-USD")
    await say(client, type="filter")
    await in_order(client)
    await in_thread(lambda: _send(broadcast_sell_signal, "anything", "ETH-USD"))
    assert (await client.hear())["signal_id"] == "anything"


def _send(broadcast: Any, name: str, symbol: str) -> None:
    broadcast(signal_id=name, symbol=symbol, entry_price=1.0, target_price=2.0, stop_loss=0.5, confidence_score=80)


async def test_a_filter_begins_with_the_active_signals_that_fit(call: Any, market: Any, alice: Any) -> None:
    bought = await in_thread(lambda: record(market["BTC-USD"]))
    sold = await in_thread(lambda: record(market["ETH-USD"], signal_type="SELL"))
    client = await call(PATH, user=alice)
    assert [(await client.hear())["signal_id"] for _ in range(2)] == [str(bought.pk), str(sold.pk)]
    await say(client, type="filter", signal_type="SELL")
    assert (await client.hear())["signal_id"] == str(sold.pk)
    await in_order(client)


NO_FILTERS: list[Any] = [
    {"type": "subscribe"}, {"type": "filter", "symbol": 7}, {"type": "filter", "signal_type": "MAYBE"},
    {"type": "filter", "signal_type": ["BUY"]}, {"type": "filter", "symbol": "NOWHERE"}, {}, [],
    {"type": "filter", "symbol": "a:b:c"},
]  # fmt: skip


async def test_what_is_no_filter_is_an_error_and_the_old_one_stays(call: Any, market: Any, alice: Any) -> None:
    client = await call(PATH, user=alice)
    await say(client, type="filter", symbol="ETH-USD")
    for said in NO_FILTERS:
        await client.socket.send(json.dumps(said))
        error = await client.hear()
        assert (error["type"], bool(error["message"])) == ("error", True), said
    await client.socket.send("{")
    while error["message"] != "Invalid JSON format":
        error = await client.hear()
    await in_thread(lambda: _send(broadcast_buy_signal, "another", "BTC-USD"))
    await in_thread(lambda: _send(broadcast_buy_signal, "its own", "ETH-USD"))
    assert (await client.hear())["signal_id"] == "its own"


async def test_ones_own_signals_reach_nobody_else(call: Any, market: Any, alice: Any, bob: Any) -> None:
    hers, his = await call(PATH, user=alice), await call(PATH, user=bob)
    core = await call(user=bob)
    await core.say("subscribe", {"topics": ["signals", "own-signals", "signals:BTC-USD"]})
    assert set((await core.hear_until("subscribed"))["data"]["topics"]) == {"signals", "own-signals", "signals:BTC-USD"}
    for client in (hers, his):
        await in_order(client)
    own = await in_thread(lambda: record(market["BTC-USD"], alice))
    assert (await hers.hear())["signal_id"] == str(own.pk)
    assert await core.silent()
    await in_order(his)
    await core.say("subscribe", {"topics": [f"own-signals:{alice.pk}"]})
    assert (await core.hear_until("error"))["data"]["code"] == 4004


async def test_the_core_topics_carry_updates_and_replay_them(call: Any, market: Any, alice: Any) -> None:
    client = await call(user=alice)
    await client.say("subscribe", {"topics": ["signals:btc-usd"]})
    at = (await client.hear_until("subscribed"))["data"]["topics"]["signals:BTC-USD"]
    signal = await in_thread(lambda: record(market["BTC-USD"]))
    await in_thread(lambda: lifecycle.conclude(signal, Signal.Status.EXPIRED, timezone.now()))
    said = [await client.hear() for _ in range(2)]
    assert [(one["type"], one["data"]["status"]) for one in said] == [
        ("signal", "ACTIVE"),
        ("signal_update", "EXPIRED"),
    ]
    again = await call(user=alice)
    since = {"signals:BTC-USD": {"epoch": at["epoch"], "seq": at["seq"]}}
    await again.say("subscribe", {"topics": ["signals:BTC-USD"], "since": since})
    await again.hear_until("subscribed")
    assert [await again.hear() for _ in range(2)] == said
