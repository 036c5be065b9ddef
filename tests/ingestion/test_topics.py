"""What can be subscribed to of the market, and what a new subscriber sees at once."""

import msgspec
import pytest
from django.contrib.auth.models import AnonymousUser

from ingestion import latest, store, topics
from ingestion.candles import Bar
from ingestion.journal import Flush, Journal
from ingestion.latest import Latest
from ingestion.orderbook import BookView
from ingestion.symbols import UnknownSymbol
from ingestion.ticks import Trade
from streaming.protocol import Address
from streaming.topics import UnknownTopic, find
from tests.ingestion.market import SECOND_US, make_instrument, now_us, store_trades
from worker.redis import client, key

ANYONE = AnonymousUser()
MINUTE_US = 60 * SECOND_US

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]


@pytest.fixture
def btc():
    return make_instrument("BTC-USDT", binance="BTCUSDT")


def resolve(name):
    topic, key = find(name)
    return topic.resolve(key, ANYONE)


def snapshot(name):
    topic, key = find(name)
    return topic.snapshot(topic.resolve(key, ANYONE), ANYONE)


def told(instrument, price=100.0, bars=None, **more):
    newest = Latest("binance", price, time_us=now_us(), received_us=now_us(), **more)
    values = {instrument.pk: latest.encode(newest)}
    Journal("binance:0", 1).append(Flush(b"", b"", 0, values, bars or {}, None, now_us()))


@pytest.mark.parametrize("prefix", ["price", "trades", "ticker", "book"])
def test_any_name_leads_to_the_canonical_topic_and_is_echoed(btc, prefix):
    for name in ("BTC-USDT", "btcusdt", "btc/usdt", "btc"):
        assert resolve(f"{prefix}:{name}") == Address(f"{prefix}:BTC-USDT", f"{prefix}:{name.upper()}", name.upper())


def test_a_candle_topic_ends_in_its_interval(btc):
    assert resolve("candles:btc:5m") == Address("candles:BTC-USDT:5m", "candles:BTC:5m", "BTC")


@pytest.mark.parametrize(
    "name", ["price:", "price:NOSUCH", "candles:BTC", "candles:BTC:7m", "candles:NOSUCH:1m", "candles::1m", "trades:\0"]
)
def test_an_unknown_one_is_refused(btc, name):
    with pytest.raises(UnknownTopic) as refused:
        resolve(name)
    assert refused.value.code == 4004


def test_the_market_is_public():
    assert all(find(f"{prefix}:X")[0].public for prefix in ("price", "trades", "candles", "ticker", "book"))


def test_before_the_first_tick_there_is_nothing_to_show(btc):
    assert [snapshot(f"{prefix}:BTC") for prefix in ("price", "trades", "ticker")] == [[], [], []]
    assert snapshot("candles:BTC:1m") == []


def test_a_price_snapshot_has_every_field(btc):
    told(btc, 100.0, bid=99.0, ask=101.0, change=2.0, change_percent=2.04, volume=5.0, high=110.0, low=90.0)
    [message] = snapshot("price:BTC")
    assert (message.topic, message.type) == ("price:BTC-USDT", "asset_update")
    data = dict(message.data)
    assert data.pop("venue_time").endswith("Z")
    assert data.pop("received_at").endswith("Z")
    assert data == {
        "symbol": "BTC-USDT", "instrument": "BTC-USDT", "price": 100.0, "change": 2.0, "change_percent": 2.04,
        "volume": 5.0, "high": 110.0, "low": 90.0, "bid": 99.0, "ask": 101.0, "source": "binance", "quality": "live",
        "delay_s": 0.0,
    }  # fmt: skip


def test_how_late_a_source_tells_is_told(btc):
    told(btc, 100.0, delay_s=900.0)
    assert snapshot("price:BTC")[0].data["delay_s"] == 900.0


def test_a_ticker_snapshot_is_made_of_what_is_kept(btc):
    told(btc, 100.0, change=2.0, volume=5.0)
    [message] = snapshot("ticker:BTC")
    assert (message.data["last"], message.data["open_24h"], message.data["volume_24h"]) == (100.0, 98.0, 5.0)


def test_a_book_is_syncing_until_told(btc):
    [message] = snapshot("book:BTC")
    assert (message.data["status"], message.data["bids"]) == ("syncing", [])


@pytest.mark.parametrize(("age_s", "status"), [(0, "live"), (20, "stale")])
def test_a_book_that_a_listener_kept_is_shown_with_its_age(btc, age_s, status, settings):
    at_us = now_us() - age_s * 1_000_000
    view = BookView("binance", "live", ((99.0, 1.0),), ((99.5, 2.0),), 7, at_us, at_us)
    books = {btc.pk: msgspec.json.encode(view)}
    Journal("binance:0", 1).append(Flush(b"", b"", 0, {}, {}, None, now_us(), books))
    assert 0 < client().ttl(key("book", "binance")) <= settings.BOOK_KEEP_S
    data = snapshot("book:BTC")[0].data
    assert (data["status"], data["quality"], data["bids"], data["spread"]) == (status, status, [(99.0, 1.0)], 0.5)
    assert (data["source"], data["last_update_id"], data["depth"]) == ("binance", 7, 1)
    assert data["received_at"] == data["venue_time"] is not None


def test_recent_trades_are_the_best_sources_oldest_first(btc):
    told(btc)
    at = now_us()
    for source, ids in ((2, (1, 2)), (1, (7,))):
        trades = [Trade("BTCUSDT", at + i, at, i, 100.0 + i, 1.0, 1) for i in ids]
        store_trades(trades, {"BTCUSDT": btc.pk}, source)
    [message] = snapshot("trades:BTC")
    assert [t["trade_id"] for t in message.data["trades"]] == [1, 2]
    assert message.data["source"] == "binance"


def bar(instrument, minutes_ago, close=1.0, final=False, trades=1):
    at = (now_us() // MINUTE_US - minutes_ago) * MINUTE_US
    return Bar(instrument.pk, 2, at, 1.0, 2.0, 0.5, close, 3.0, 4.5, trades, at, 1, at + 1, 2, "1m", final)


def test_the_open_bar_is_the_listeners_and_an_older_one_gives_way_to_the_disk(btc):
    import msgspec

    store.copy_candles([bar(btc, 1, close=7.0, final=True)])
    told(btc, bars={f"{btc.pk}:1m": msgspec.json.encode(bar(btc, 0, close=9.0))})
    [message] = snapshot("candles:BTC:1m")
    assert (message.data["close"], message.data["final"], message.data["vwap"]) == (9.0, False, 1.5)

    told(btc, bars={f"{btc.pk}:1m": msgspec.json.encode(bar(btc, 5, close=3.0))})
    [message] = snapshot("candles:BTC:1m")
    assert (message.data["close"], message.data["final"]) == (7.0, True)


def test_other_code_may_tell_of_a_price(btc):
    assert topics.broadcast_market_update(symbol="btc", price=5.0, change=1.0, volume=2.0) == 1
    assert latest.get([btc.pk]) == {}
    with pytest.raises(UnknownSymbol):
        topics.broadcast_market_update(symbol="NOSUCH", price=5.0)
