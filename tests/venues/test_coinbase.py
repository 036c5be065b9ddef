"""The loopback Coinbase keeps Coinbase's rules."""

import asyncio

import pytest
from websockets.exceptions import ConnectionClosed

from tests.ingestion.recordings import expected, recording
from tests.venues import recordings
from tests.venues.coinbase import CoinbaseVenue
from tests.venues.talk import calling, order


@pytest.fixture
def venue():
    with CoinbaseVenue() as running:
        yield running


def subscribe(channel, *products):
    return {"type": "subscribe", "channel": channel, "product_ids": list(products)}


def books_of(frames):
    """Books kept by the plainest means, as Coinbase's documentation says."""
    books = {}
    for frame in frames:
        if frame.get("channel") != "l2_data":
            continue
        for event in frame["events"]:
            if event["type"] == "snapshot":
                books[event["product_id"]] = {"bid": {}, "offer": {}}
            for update in event["updates"]:
                levels = books[event["product_id"]][update["side"]]
                levels[update["price_level"]] = update["new_quantity"]
                if update["new_quantity"] == "0":
                    del levels[update["price_level"]]
    return books


def best(levels, worst_first, count):
    return [[p, levels[p]] for p in sorted(levels, key=float, reverse=worst_first)[:count]]


async def test_frames_are_numbered_and_data_comes_before_the_answer(venue):
    venue.flood(300)
    async with calling(venue) as client:
        await client.say(**subscribe("market_trades", "BTC-USD"))
        await client.say(**subscribe("level2", "BTC-USD"))
        await client.say(type="subscribe", channel="heartbeats")
        await client.until(lambda frame: frame["channel"] == "heartbeats")
        await order(venue.flood, 300)
        await client.drain()
    assert [int(frame["sequence_num"]) for frame in client.heard] == list(range(len(client.heard)))
    channels = [frame["channel"] for frame in client.heard]
    assert channels[:4] == ["market_trades", "subscriptions", "subscriptions", "l2_data"]
    answer = client.heard[2]["events"][0]["subscriptions"]
    assert answer == {"market_trades": ["BTC-USD"], "level2": ["BTC-USD"]}
    assert not venue.violations


async def test_trades_come_newest_first_with_the_makers_side_and_the_book_is_the_venues(venue):
    async with calling(venue) as client:
        await client.say(**subscribe("market_trades", "BTC-USD", "ETH-USD"))
        await client.say(**subscribe("level2", "BTC-USD", "ETH-USD"))
        await client.until(lambda frame: frame["channel"] == "l2_data")
        await order(venue.live, 500)
        await asyncio.sleep(0.3)
        await order(venue.quiet)
        await client.drain()
    updates = [
        event["trades"]
        for frame in client.heard
        if frame["channel"] == "market_trades"
        for event in frame["events"]
        if event["type"] == "update"
    ]
    told = [trade for trades in updates for trade in reversed(trades)]
    assert any(len(trades) > 1 for trades in updates)
    for product, made in venue.market.trades.items():
        mine = [trade for trade in told if trade["product_id"] == product]
        assert [int(trade["trade_id"]) for trade in mine] == [trade.trade_id for trade in made]
        assert [trade["side"] == "BUY" for trade in mine] == [trade.buyer_is_maker for trade in made]
    for product, book in books_of(client.heard).items():
        truth = venue.market.books[product]
        assert best(book["bid"], True, 30) == [list(level) for level in truth.bids.best()]
        assert best(book["offer"], False, 30) == [list(level) for level in truth.asks.best()]


async def test_a_lost_frame_leaves_a_hole_in_the_numbers(venue):
    async with calling(venue) as client:
        await client.say(**subscribe("market_trades", "BTC-USD", "ETH-USD"))
        await client.until(lambda frame: frame["channel"] == "subscriptions")
        venue.drop(1)
        await order(venue.flood, 500)
        await client.drain()
    numbers = [int(frame["sequence_num"]) for frame in client.heard]
    assert len(set(range(numbers[-1] + 1)) - set(numbers)) == 1
    assert len(venue.dropped) > 0


async def test_who_subscribes_nothing_is_cut_off(venue):
    venue.subscribe_within_s = 0.2
    async with calling(venue) as client:
        with pytest.raises(ConnectionClosed):
            await client.hear()
    assert venue.violations == ["connection 0 subscribed nothing within 0.2 s"]


async def test_wrong_requests_are_refused_and_too_many_are_a_violation(venue):
    async with calling(venue) as client:
        for message in (subscribe("level2", "NO-SUCH"), subscribe("nonsense", "BTC-USD"), {"type": "hello"}):
            await client.say(**message)
            assert (await client.hear())["type"] == "error"
        for _ in range(8):
            await client.say(**subscribe("ticker", "BTC-USD"))
        await client.until(lambda frame: frame.get("message") == "rate limit exceeded")
    assert len(venue.violations) == 1


async def test_the_recording_is_played_with_its_numbers_alone_made_anew():
    frames = list(recordings.coinbase(recording("cryptofeed/v3/COINBASE_seq0-299.jsonl.zst")))
    truth = expected()["coinbase_advanced_20260809_seq0-299"]
    with CoinbaseVenue(made_up=False) as venue:
        async with calling(venue) as client:
            for channel in ("market_trades", "ticker", "candles", "level2"):
                await client.say(**subscribe(channel, "BTC-USD", "ETH-USD"))
                await client.until(lambda frame: frame["channel"] == "subscriptions")
            playing = asyncio.create_task(order(venue.play, frames))
            heard = [await client.hear(20) for _ in range(len([f for f in frames if "heartbeats" not in f.stream]))]
            await playing
    assert [int(f["sequence_num"]) for f in client.heard] == list(range(len(client.heard)))
    for product, book in books_of(heard).items():
        top = truth["books"][product]
        assert (len(book["bid"]), len(book["offer"])) == (top["n_bids"], top["n_asks"])
        assert best(book["bid"], True, 10) == top["top_bids"]
        assert [list(level) for level in venue.market.books[product].asks.best(10)] == top["top_asks"]
