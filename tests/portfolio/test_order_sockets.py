"""Paper orders over real sockets: the core topics, and the two older paths in their own shapes."""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.utils import timezone

from ingestion.models import Instrument
from portfolio import events, ledger, orders
from portfolio.dialects import OrderBookPath, UserOrdersPath
from portfolio.ledger import Draft
from portfolio.models import Order, Portfolio
from tests.streaming.conftest import dial, server  # noqa: F401 - fixtures go by name
from tests.streaming.topics import in_thread

d = Decimal


@pytest.fixture
def savings(own_prefix: str, transactional_db: None, alice: Any) -> Portfolio:
    Instrument.objects.create(symbol="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")
    made = Portfolio.objects.create(owner=alice, name="Savings")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    ledger.post(made, Draft(type="DEPOSIT", amount=d(1000), at=at), timezone.now())
    return made


@pytest.fixture
def call(savings: Portfolio, dial: Any) -> Any:  # noqa: F811
    return dial


async def place(portfolio: Portfolio, name: str, price: str, quantity: str = "1", side: str = "BUY") -> Order:
    def run() -> Order:
        wish = orders.Wish(
            client_order_id=name, instrument=Instrument.objects.get(), side=side, type="LIMIT", quantity=d(quantity),
            price=d(price), time_in_force="GTC",
        )  # fmt: skip
        return orders.place(portfolio, wish, timezone.now())[0]

    order: Order = await in_thread(run)
    return order


async def cancel(order: Order) -> None:
    await in_thread(lambda: orders.cancel(order, "Enough.", timezone.now()))


async def say(client: Any, **said: Any) -> None:
    await client.socket.send(json.dumps(said))


async def told(client: Any, type: str) -> Any:
    return await client.hear_until(type)


async def test_orders_are_told_in_order_and_replayed(call: Any, savings: Portfolio, alice: Any, bob: Any) -> None:
    hers, his = await call(user=alice), await call(user=bob)
    for client in (hers, his):
        await client.say("subscribe", {"topics": ["orders"]})
        await told(client, "subscribed")
    order = await place(savings, "a", "90", "2")
    first, second = await told(hers, "order_update"), await told(hers, "order_update")
    msgspec.convert(first["data"], events.OrderUpdate)
    assert first["data"] == {
        "order_id": order.pk, "client_order_id": "a", "portfolio_id": savings.pk, "symbol": "BTC-USD", "side": "BUY",
        "type": "LIMIT", "status": "PENDING", "quantity": "2", "filled_quantity": "0", "average_price": None,
        "reason": "Accepted; 180 USD reserved.",
    }  # fmt: skip
    assert second["data"]["reason"] == "Waiting. No price is known."
    assert (first["topic"], second["seq"]) == ("orders", first["seq"] + 1)
    await cancel(order)
    assert (await told(hers, "order_update"))["data"]["status"] == "CANCELLED"
    assert await his.silent(), "nothing of alice's"

    again = await call(user=alice)
    since = {"orders": {"epoch": first["epoch"], "seq": first["seq"]}}
    await again.say("subscribe", {"topics": ["orders"], "since": since})
    assert (await told(again, "subscribed"))["data"]["topics"]["orders"]["recovered"] is True
    assert [(await told(again, "order_update"))["seq"] for _ in range(2)] == [first["seq"] + 1, first["seq"] + 2]


async def test_nobody_follows_anothers_orders(call: Any, savings: Portfolio, alice: Any, bob: Any) -> None:
    client, nobody = await call(user=bob), await call()
    await client.say("subscribe", {"topics": [f"orders:{alice.pk}"]})
    assert (await told(client, "error"))["data"]["code"] == 4003
    await nobody.say("subscribe", {"topics": ["orders"]})
    assert (await told(nobody, "error"))["data"]["code"] == 4001


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_path_of_a_users_orders(call: Any, savings: Portfolio, alice: Any, slash: str) -> None:
    order = await place(savings, "a", "90.50", "2")
    client = await call(f"user-orders{slash}", user=alice)
    first = await client.hear()
    msgspec.convert(first, UserOrdersPath.says["user_orders"])
    (listed,) = first["orders"]
    assert listed | {"created_at": ""} == {
        "id": order.pk, "symbol": "BTC-USD", "type": "LIMIT", "side": "BUY", "quantity": "2", "price": "90.5",
        "filled": "0", "status": "PENDING", "created_at": "",
    }  # fmt: skip
    assert set(first) == {"type", "orders", "timestamp"}
    await cancel(order)
    update = await client.hear()
    msgspec.convert(update, UserOrdersPath.says["order_update"])
    assert update | {"timestamp": ""} == {
        "type": "order_update", "order_id": order.pk, "status": "CANCELLED", "filled_quantity": "0", "timestamp": "",
    }  # fmt: skip
    await say(client, type="anything")
    assert (await client.hear())["type"] == "error"


async def test_a_users_orders_begin_with_an_empty_list_and_need_a_sign_in(call: Any, bob: Any) -> None:
    assert (await (await call("user-orders/", user=bob)).hear())["orders"] == []
    assert await (await call("user-orders/")).closed() == 4001


async def test_the_own_book_of_a_symbol(call: Any, savings: Portfolio) -> None:
    order = await place(savings, "a", "90", "2")
    await place(savings, "b", "89.5", "1.25")
    client = await call("order-book/btc-usd/")
    first = await client.hear()
    msgspec.convert(first, OrderBookPath.says["order_book_snapshot"])
    assert first | {"timestamp": ""} == {
        "type": "order_book_snapshot", "symbol": "BTC-USD", "timestamp": "", "asks": [],
        "bids": [{"price": "90", "quantity": "2"}, {"price": "89.5", "quantity": "1.25"}],
    }  # fmt: skip
    await say(client, type="set_depth", depth=-3)
    assert (await told(client, "order_book_snapshot"))["bids"] == [{"price": "90", "quantity": "2"}]
    await cancel(order)
    update = await told(client, "order_book_update")
    msgspec.convert(update, OrderBookPath.says["order_book_update"])
    assert update["bids"] == [{"price": "89.5", "quantity": "1.25"}]
    for depth in (500, 10**30):
        await say(client, type="set_depth", depth=depth)
        assert len((await told(client, "order_book_snapshot"))["bids"]) == 1


@pytest.mark.parametrize("depth", ["5", None, True, 1.5, [], {}])
async def test_a_depth_that_is_none_is_an_error_and_the_connection_lives(call: Any, depth: Any) -> None:
    client = await call("order-book/BTC-USD")
    await client.hear()
    await say(client, type="set_depth", depth=depth)
    assert (await client.hear())["type"] == "error"
    await say(client, type="set_depth", depth=3)
    await told(client, "order_book_snapshot")


@pytest.mark.parametrize("symbol", ["NOPE", "brk.b", "EURUSD=X", "x" * 150])
async def test_any_symbol_has_an_own_book_which_may_be_empty(call: Any, symbol: str) -> None:
    client = await call(f"order-book/{symbol}/")
    first = await client.hear()
    assert (first["symbol"], first["bids"], first["asks"]) == (symbol.upper(), [], [])


async def test_the_own_book_is_a_topic_too(call: Any, savings: Portfolio) -> None:
    client = await call()
    await client.say("subscribe", {"topics": ["ownbook:btc-usd"]})
    snapshot = await told(client, "ownbook")
    assert snapshot["data"] == {"symbol": "BTC-USD", "bids": [], "asks": []}
    await place(savings, "a", "90", "2")
    update = await told(client, "ownbook")
    msgspec.convert(update["data"], events.OwnBook)
    assert update["data"]["bids"] == [{"price": "90", "quantity": "2"}]


async def test_orders_placed_at_once_leave_the_newest_book_last(call: Any, savings: Portfolio) -> None:
    client = await call("order-book/BTC-USD/")
    await client.hear()
    await asyncio.gather(*(place(savings, f"c{i}", str(10 + i)) for i in range(8)))
    while len((await client.hear())["bids"]) < 8:
        pass
