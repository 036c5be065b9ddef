"""The market's older paths over real sockets, with real topics: each shape as its clients know it."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion import symbols
from ingestion.dialects import market, market_data, streams
from ingestion.dialects.saying import plain
from ingestion.models import Instrument
from ingestion.topics import broadcast_market_update
from streaming.publish import publish
from tests.streaming.conftest import dial, server  # noqa: F401 - fixtures go by name
from tests.streaming.topics import in_thread, message

MADE = ("BTC-USDT", "ETH-USDT", "BRK.B", "EURUSD=X", "ODD-ONE")
BIDS, ASKS = [[100.0, 2.0], [99.5, 3.0], [99.0, 5e-05]], [[100.5, 1.0], [101.0, 4.0]]


@pytest.fixture
def instruments(transactional_db: None) -> None:
    symbols.forget()
    for symbol in MADE:
        Instrument.objects.create(symbol=symbol, name=symbol, kind="crypto", currency="USDT")


@pytest.fixture
def call(instruments: None, dial: Any) -> Any:  # noqa: F811
    return dial


def price(symbol: str, value: float, **more: Any) -> Any:
    told = {"symbol": symbol, "instrument": symbol, "price": value, "change": 1.5, "change_percent": 2.5, "volume": 9.0}
    return message(f"price:{symbol}", type="asset_update", **told, high=3.0, low=1.0, source="x", **more)


def book(symbol: str) -> Any:
    told = {"symbol": symbol, "instrument": symbol, "status": "live", "bids": BIDS, "asks": ASKS, "spread": 0.5}
    return message(f"book:{symbol}", type="book", **told, last_update_id=7, depth=3, source="x")


def trades(symbol: str) -> Any:
    each = [
        {"price": p, "quantity": 1.0, "side": "buy", "trade_id": i, "timestamp": "T", "is_buyer_maker": False}
        for i, p in enumerate((5.0, 6.0))
    ]
    return message(f"trades:{symbol}", type="trades", symbol=symbol, instrument=symbol, trades=each, source="x")


def candle(symbol: str) -> Any:
    told = {"symbol": symbol, "interval": "1d", "open": 1.0, "high": 5e-05, "low": 0.1, "close": 61837.63}
    return message(f"candles:{symbol}:1d", type="candle", **told, volume=12.5, trades=3, final=False, rev=0)


async def say(client: Any, **said: Any) -> None:
    await client.socket.send(json.dumps(said))


async def told(client: Any, types: dict[str, type], *, type: str) -> Any:
    """The next message of this type; every message until then is as declared."""
    while True:
        heard = await client.hear()
        if heard["type"] in types:
            msgspec.convert(heard, types[heard["type"]])
        if heard["type"] == type:
            return heard


STAMP = "2026-01-28T10:30:01.123456Z"


@pytest.mark.parametrize(
    ("stream", "event", "expected"),
    [
        (
            "price",
            price("BTC-USDT", 5.5),
            {"type": "price", "source": "x", "timestamp": STAMP,
             "data": {"symbol": "BTC", "price": 5.5, "change": 1.5, "change_percent": 2.5, "volume": 9.0,
                      "source": "x"}},
        ),
        (
            "orderbook",
            book("BTC-USDT"),
            {"type": "orderbook", "timestamp": STAMP,
             "data": {"symbol": "BTC", "bids": BIDS, "asks": ASKS, "last_update_id": 7, "source": "x"}},
        ),
        (
            "trades",
            trades("BTC-USDT"),
            {"type": "trade", "data": {"symbol": "BTC", "price": 5.0, "quantity": 1.0, "timestamp": "T",
                                       "is_buyer_maker": False, "source": "x"}},
        ),
        (
            "ticker",
            message("ticker:BTC-USDT", type="ticker", symbol="BTC-USDT", instrument="BTC-USDT", last=1.0, source="x"),
            {"type": "ticker", "timestamp": STAMP,
             "data": {"symbol": "BTC", "instrument": "BTC-USDT", "last": 1.0, "source": "x"}},
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("slash", ["", "/"])
async def test_one_stream_of_one_symbol(call: Any, stream: str, event: Any, expected: Any, slash: str) -> None:
    client = await call(f"market/btc/{stream}{slash}")
    hello = await client.hear()
    msgspec.convert(hello, streams.Connection)
    assert (hello["symbol"], hello["stream_type"], hello["status"]) == ("BTC", stream, "connected")
    await say(client, action="ping")
    await told(client, streams.MarketStream.says, type="pong")
    publish([event])
    heard = await told(client, streams.MarketStream.says, type=expected["type"])
    assert heard == expected
    if stream == "trades":
        assert (await client.hear())["data"]["price"] == 6.0


async def test_many_streams_of_many_symbols(call: Any) -> None:
    client = await call("market-multi/")
    await say(client, action="subscribe", symbols=["btc", "NOPE", "BRK.B"])
    error = await client.hear()
    assert (error["type"], error["code"], "NOPE" in error["message"]) == ("error", 4004, True)
    assert await client.hear() == {"type": "subscribed", "symbols": ["BTC", "BRK.B"], "stream_type": "price"}
    await say(client, action="subscribe", symbols=["BTC"], stream_type="trades")
    assert (await told(client, client_says(streams.MarketMulti), type="subscribed"))["stream_type"] == "trades"
    await say(client, action="list")
    listed = await told(client, client_says(streams.MarketMulti), type="subscriptions")
    assert listed["subscriptions"] == {"price": ["BTC", "BRK.B"], "trades": ["BTC"]}
    publish([price("BRK.B", 7.0)])
    assert (await told(client, client_says(streams.MarketMulti), type="price"))["data"]["price"] == 7.0
    await say(client, action="unsubscribe", symbols=["btc"])
    left = await told(client, client_says(streams.MarketMulti), type="unsubscribed")
    assert left == {"type": "unsubscribed", "symbols": ["BTC"], "stream_type": None}
    await say(client, action="list")
    listed = await told(client, client_says(streams.MarketMulti), type="subscriptions")
    assert listed["subscriptions"] == {"price": ["BRK.B"]}


def client_says(dialect: Any) -> dict[str, type]:
    return dict(dialect.says)


@pytest.mark.parametrize(
    "said",
    [
        {"action": "subscribe"},
        {"action": "subscribe", "symbols": []},
        {"action": "subscribe", "symbols": [5]},
        {"action": "subscribe", "symbols": ["BTC"], "stream_type": "everything"},
        {"action": "subscribe", "symbols": ["BTC"], "stream_type": ["price"]},
        {"action": ["x"]},
        {"action": "subscribe", "symbols": ["x" * 65]},
        {"action": "subscribe", "symbols": ["a\nb"]},
        {},
    ],
)
async def test_nonsense_on_market_multi_is_an_error_and_the_connection_lives(call: Any, said: Any) -> None:
    client = await call("market-multi")
    await say(client, **said)
    assert (await client.hear())["type"] == "error"
    await say(client, action="ping")
    assert await client.hear() == {"type": "pong"}


async def test_two_hundred_symbols_and_no_more(call: Any, settings: Any) -> None:
    settings.MAX_SYMBOLS_PER_CONNECTION = 2
    client = await call("market/")
    await say(client, type="subscribe", symbols=["BTC", "BRK.B", "EURUSD=X"], order_book=True)
    error = await client.hear()
    assert (error["code"], error["message"]) == (
        4029, "At most 2 symbols per connection; refused: price:EURUSD=X"
    )  # fmt: skip
    confirmed = await told(client, client_says(market.Market), type="subscription_confirmed")
    assert confirmed["data"]["symbols"] == ["BTC", "BRK.B"]


async def test_prices_in_camel_case_and_books_with_totals(call: Any) -> None:
    client = await call("market")
    await say(client, type="subscribe", symbols=["btc"], order_book=True)
    assert await client.hear() == {"type": "subscription_confirmed", "data": {"symbols": ["BTC"]}}
    publish([price("BTC-USDT", 5.5), book("BTC-USDT")])
    heard = await told(client, client_says(market.Market), type="market_data")
    assert heard["data"] == {
        "symbol": "BTC", "price": 5.5, "volume": 9.0, "high": 3.0, "low": 1.0, "change": 1.5, "changePercent": 2.5,
        "timestamp": 1_769_596_201_123,
    }  # fmt: skip
    while not (heard := await told(client, client_says(market.Market), type="order_book"))["data"]["bids"]:
        pass
    assert heard["data"]["bids"][1] == {"price": 99.5, "quantity": 3.0, "total": 5.0}
    assert (heard["data"]["spread"], heard["data"]["asks"][0]["total"]) == (0.5, 1.0)
    await say(client, type="subscribe", symbols=["BRK.B"])
    confirmed = await told(client, client_says(market.Market), type="subscription_confirmed")
    assert confirmed["data"]["symbols"] == ["BTC", "BRK.B"]
    await say(client, type="unsubscribe", symbols=["BTC"])
    confirmed = await told(client, client_says(market.Market), type="subscription_confirmed")
    assert confirmed["data"]["symbols"] == ["BRK.B"]
    await say(client, type="ping")
    assert (await told(client, client_says(market.Market), type="pong")) == {"type": "pong"}


async def test_a_symbols_day_as_strings(call: Any) -> None:
    client = await call("market-data/btc/")
    first = await client.hear()
    assert (first["type"], first["symbol"], first["data"]["price"]) == ("market_data", "BTC", None)
    publish([candle("BTC-USDT")])
    update = await told(client, client_says(market_data.MarketDataOf), type="market_data_update")
    assert update == {
        "type": "market_data_update", "symbol": "BTC", "timestamp": STAMP,
        "data": {"open": "1", "high": "0.00005", "low": "0.1", "close": "61837.63", "volume": "12.5",
                 "price": "61837.63", "timestamp": STAMP},
    }  # fmt: skip
    await say(client, type="subscribe_level2")
    publish([book("BTC-USDT")])
    while not (update := await told(client, client_says(market_data.MarketDataOf), type="order_book_update"))["bids"]:
        publish([book("BTC-USDT")])
    assert update["bids"][2] == {"price": "99", "quantity": "0.00005"}
    await say(client, type="unsubscribe_level2")
    await say(client, type="set_frequency", frequency=1)
    await client.socket.send("{")
    assert (await told(client, {}, type="error"))["message"] == "Invalid JSON format"


@pytest.mark.parametrize("frequency", [None, "5", -1, 0, True, [1]])
async def test_a_frequency_is_a_positive_number(call: Any, frequency: Any) -> None:
    client = await call("market-data/BTC")
    await client.hear()
    await say(client, type="set_frequency", frequency=frequency)
    assert (await client.hear())["type"] == "error"


@pytest.mark.parametrize("path", ["market-data/NOPE/", "market/NOPE/orderbook/"])
async def test_an_unknown_symbol_in_the_path_is_4004(call: Any, path: str) -> None:
    assert await (await call(path)).closed() == 4004


async def test_everything_until_something_is_chosen(call: Any, alice: Any, settings: Any) -> None:
    settings.DEMO_SYMBOLS = ["BTC-USDT", "ETH-USDT"]
    assert await (await call("market-data/")).closed() == 4001
    client = await call("market-data/", user=alice)
    await say(client, type="nothing", symbol="BTC")
    await told(client, {}, type="error")
    publish([price("ETH-USDT", 2.0), price("BRK.B", 3.0)])
    await in_thread(lambda: broadcast_market_update(symbol="ODD-ONE", price=4.0, change=1.0, volume=2.0))
    await in_thread(lambda: broadcast_market_update(symbol="BTC", price=6.0))
    heard = {}
    while len(heard) < 3:
        update = await told(client, client_says(market_data.MarketData), type="market_update")
        heard[update["symbol"]] = update["price"]
    assert heard == {"ETH-USDT": 2.0, "ODD-ONE": 4.0, "BTC-USDT": 6.0}

    await say(client, type="subscribe", symbols=["brk.b"])
    await say(client, type="subscribe", symbol="ETH-USDT")
    await say(client, type="unsubscribe", symbol="ETH-USDT")
    await say(client, type="nothing", symbol="BTC")
    await told(client, {}, type="error")
    publish([price("ETH-USDT", 2.5), price("BRK.B", 3.5)])
    update = await told(client, client_says(market_data.MarketData), type="market_update")
    assert (update["symbol"], update["price"], update["timestamp"]) == ("BRK.B", 3.5, STAMP)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_plain_decimal_is_the_same_number_without_an_exponent(number: float) -> None:
    text = plain(number)
    assert text is not None
    assert float(text) == number
    assert "e" not in text.lower()
    assert Decimal(text) == Decimal(repr(number))
