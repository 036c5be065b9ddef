"""The loopback Kraken keeps Kraken's rules, and its checksums are those of the recordings."""

import asyncio
import json

import pytest

from tests.ingestion.recordings import recording
from tests.venues import recordings
from tests.venues.kraken import CHECKED_LEVELS, KrakenVenue, checksum
from tests.venues.market import Book
from tests.venues.talk import calling, order


@pytest.fixture
def venue():
    with KrakenVenue() as running:
        yield running


def subscribe(channel, *symbols, **more):
    return {"method": "subscribe", "params": {"channel": channel, "symbol": list(symbols)} | more, "req_id": 7}


class Followed:
    """A book kept as the documentation says: all levels of a message, then cut to the depth, then checked."""

    def __init__(self, depth):
        self.depth, self.book, self.wrong = depth, Book(), 0

    def take(self, frame):
        (data,) = frame["data"]
        sides = [[(level["price"], level["qty"]) for level in data[side]] for side in ("bids", "asks")]
        (self.book.replace if frame["type"] == "snapshot" else self.book.change)(*sides, 1)
        self.book.bids.keep(self.depth)
        self.book.asks.keep(self.depth)
        if "checksum" in data:
            right = checksum(self.book.bids.best(), self.book.asks.best())
            self.wrong += int(data["checksum"]) != right


def follow(frames, depth):
    book = Followed(depth)
    for frame in frames:
        if frame.get("channel") == "book":
            book.take(frame)
    return book


async def test_each_symbol_is_answered_and_the_status_comes_first(venue):
    async with calling(venue) as client:
        status = await client.hear()
        assert int(status["data"][0]["connection_id"]) > 2**63
        await client.say(**subscribe("trade", "BTC/USD", "NO/SUCH", "ETH/USD"))
        answers = [await client.hear() for _ in range(3)]
    assert [answer["success"] for answer in answers] == [True, False, True]
    assert answers[0]["result"]["symbol"] == "BTC/USD"
    assert answers[1]["error"].startswith("Currency pair not supported")


async def test_ping_is_answered_and_an_idle_connection_gets_heartbeats(venue):
    async with calling(venue) as client:
        await client.say(method="ping", req_id=3)
        await client.until(lambda frame: frame.get("method") == "pong")
        assert client.heard[-1]["req_id"] == "3"
        await client.say(**subscribe("trade", "BTC/USD"))
        await client.until(lambda frame: frame.get("channel") == "heartbeat")


@pytest.mark.parametrize("depth", [10, 25])
async def test_books_are_right_at_each_depth_with_checksums(venue, depth):
    async with calling(venue) as client:
        await client.say(**subscribe("book", "BTC/USD", depth=depth))
        await client.until(lambda frame: frame.get("channel") == "book")
        await order(venue.flood, 400)
        await client.drain()
    followed = follow(client.heard, depth)
    truth = venue.market.books["BTC/USD"]
    assert followed.wrong == 0
    assert followed.book.bids.best() == truth.bids.best(depth)
    assert followed.book.asks.best() == truth.asks.best(depth)
    assert sum(frame.get("channel") == "book" for frame in client.heard) > 100


@pytest.mark.parametrize("kind", ["wrong_checksum", "crossed", "drop"])
async def test_a_harmed_book_is_seen_by_its_checksum(venue, kind):
    async with calling(venue) as client:
        await client.say(**subscribe("book", "BTC/USD", "ETH/USD", depth=10))
        await client.until(lambda frame: frame.get("channel") == "book")
        venue.harm("wrong_checksum" if kind == "wrong_checksum" else kind, 4 if kind == "drop" else 1)
        await order(venue.flood, 30)
        await client.drain()
    frames = [f for f in client.heard if f.get("channel") == "book"]
    assert sum(follow((f for f in frames if f["data"][0]["symbol"] == s), 10).wrong for s in venue.symbols) > 0


async def test_trades_and_their_takers(venue):
    async with calling(venue) as client:
        await client.say(**subscribe("trade", "BTC/USD", "ETH/USD"))
        await client.until(lambda frame: "result" in frame)
        await client.until(lambda frame: "result" in frame)
        await order(venue.flood, 50)
        heard = [t for f in await client.drain() for t in f.get("data", ())]
    told = {(t["symbol"], int(t["trade_id"])): (t["price"], t["qty"], t["side"]) for t in heard}
    assert told == {trade.key: (trade.price, trade.quantity, trade.taker) for trade in venue.made().values()}


async def test_too_many_messages_are_answered_with_its_error(venue):
    async with calling(venue) as client:
        for number in range(11):
            await client.say(method="ping", req_id=number)
        await client.until(lambda frame: frame.get("Error") == "Exceeded msg rate")
    assert venue.violations


def test_the_checksums_of_the_recordings_are_ours():
    """v1's and v2's, by the code that makes those of the live books."""
    old = recordings.kraken_v1(recording("cryptofeed/main/KRAKEN.ws.50.0.gz"))
    new = recordings.kraken(recording("python-kraken-sdk/orderbook-v2.json"))
    checked = 0
    with KrakenVenue(["BTC/USD"], made_up=False) as known, KrakenVenue(["-/-"], made_up=False) as other:
        for venue, frames, depth in ((other, old, 1000), (known, new, 10)):
            venue.recorded_depth = depth
            for frame in frames:
                venue.note(frame)
                (data,) = json.loads(frame.text)["data"]
                if "checksum" in data:
                    book = venue.market.books[data["symbol"]]
                    view = book.bids.best(CHECKED_LEVELS), book.asks.best(CHECKED_LEVELS)
                    assert checksum(*view) == data["checksum"]
                    checked += 1
    assert checked == 4269 + 510


@pytest.mark.parametrize("depth", [1000, 25])
async def test_the_old_recording_in_the_new_envelope_is_right_at_any_depth(depth):
    frames = list(recordings.kraken_v1(recording("cryptofeed/main/KRAKEN.ws.50.0.gz")))
    pairs = sorted({frame.stream.partition(":")[2] for frame in frames})
    frames = [frame for frame in frames if frame.stream == "book:XMR/USD"]
    with KrakenVenue(pairs, made_up=False) as venue:
        async with calling(venue) as client:
            await client.say(**subscribe("book", "XMR/USD", depth=depth))
            await client.until(lambda frame: "result" in frame)
            await asyncio.gather(order(venue.play, frames), client.drain(1.0))
    followed = follow(client.heard, depth)
    assert followed.wrong == 0
    assert followed.book.bids.best() == venue.market.books["XMR/USD"].bids.best(depth)
