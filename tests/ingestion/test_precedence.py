"""Where several feeds know an instrument, one of them tells of it."""

import msgspec
import pytest

from ingestion import precedence
from ingestion.latest import Latest, encode
from ingestion.orderbook import LIVE, SYNCING, BookView
from ingestion.precedence import Outranked
from ingestion.ticks import BookSnapshot
from tests.ingestion.market import BTC, NOW_US, SECOND_US, make_instrument, pipeline, ticker_frame, trade_frame
from worker.redis import client, key

pytestmark = pytest.mark.usefixtures("own_prefix")


@pytest.fixture
def btc(db):
    return make_instrument("BTC-USD")


def say(instrument, source, age_s=0, book=LIVE):
    at_us = NOW_US - age_s * SECOND_US
    client().hset(key("latest", source), instrument.pk, encode(Latest(source, 100.0, time_us=at_us)))
    view = BookView(source, book, time_us=at_us, received_us=at_us)
    client().hset(key("book", source), instrument.pk, msgspec.json.encode(view))


def outranked(instrument, source):
    found = precedence.outranked(source, [instrument.pk], NOW_US)
    return bool(found.prices), bool(found.books)


def test_a_source_alone_speaks(btc):
    assert outranked(btc, "kraken") == (False, False)
    say(btc, "kraken")
    assert outranked(btc, "kraken") == (False, False)


def test_of_two_fresh_ones_the_better_speaks(btc):
    say(btc, "kraken")
    say(btc, "coinbase", book=SYNCING)
    assert (outranked(btc, "kraken"), outranked(btc, "coinbase")) == ((True, False), (False, True))


def test_the_better_one_gives_way_once_it_is_silent_and_comes_back(btc):
    say(btc, "kraken")
    say(btc, "coinbase", age_s=61)
    assert (outranked(btc, "kraken"), outranked(btc, "coinbase")) == ((False, False), (True, True))
    say(btc, "coinbase")
    assert (outranked(btc, "kraken"), outranked(btc, "coinbase")) == ((True, True), (False, False))


def test_where_all_are_silent_each_may_speak(btc):
    say(btc, "kraken", age_s=500)
    say(btc, "coinbase", age_s=600)
    assert (outranked(btc, "kraken"), outranked(btc, "coinbase")) == ((False, False), (False, False))


def test_an_instrument_s_own_order_counts(btc):
    btc.source_order = "kraken,coinbase"
    btc.save()
    say(btc, "kraken")
    say(btc, "coinbase")
    assert (outranked(btc, "kraken"), outranked(btc, "coinbase")) == ((False, False), (True, True))


def test_who_is_outranked_stores_everything_tells_nothing_and_then_the_newest():
    made = pipeline()
    made.outranked = Outranked(frozenset({BTC.id}), frozenset({BTC.id}))
    for i in range(1, 4):
        made.receive(trade_frame(i, str(100 + i)), NOW_US)
    made.receive(ticker_frame(), NOW_US)
    made.offer([BookSnapshot("BTCUSDT", NOW_US, NOW_US, 9, ((99.0, 1.0),), ((100.0, 2.0),))])
    flush = made.take(NOW_US).flush
    assert (flush.count, len(flush.latest), len(flush.books)) == (3, 1, 1)
    assert made.publications(NOW_US) == []
    made.outranked = Outranked(frozenset(), frozenset({BTC.id}))
    topics = {message.topic: message.data for message in made.publications(NOW_US)}
    assert {"price:BTC-USDT", "ticker:BTC-USDT", "trades:BTC-USDT", "candles:BTC-USDT:1m"} <= topics.keys()
    assert "book:BTC-USDT" not in topics
    assert topics["price:BTC-USDT"]["price"] == 103
    made.outranked = Outranked()
    assert [message.topic for message in made.publications(NOW_US)] == ["book:BTC-USDT"]
