"""Faults happen when and as ordered, to the frames or connections that they are meant for."""

import asyncio
import json
import urllib.error
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed

from tests.venues import faults
from tests.venues.binance import BinanceVenue
from tests.venues.coinbase import CoinbaseVenue
from tests.venues.faults import Fault
from tests.venues.kraken import KrakenVenue
from tests.venues.talk import calling, order

STREAM = "/stream?streams=btcusdt@trade"


@pytest.fixture
def venue():
    with BinanceVenue(["BTCUSDT"]) as running:
        yield running


def ids(frames):
    return [int(frame["data"]["t"]) for frame in frames]


def first_id(venue):
    return venue.market.trades["BTCUSDT"][0].trade_id


async def harmed(venue, kind, argument=0.0):
    """Five trades, of which the second's frame is harmed."""
    async with calling(venue, STREAM) as client:
        await order(venue.schedule, [Fault(4, kind, argument)])  # each trade is three frames
        await order(venue.flood, 5)
        return [i - first_id(venue) for i in ids(await client.drain())]


@pytest.mark.parametrize(
    ("kind", "heard"),
    [
        (faults.DROP, [0, 2, 3, 4]), (faults.DUPLICATE, [0, 1, 1, 2, 3, 4]), (faults.REORDER, [0, 2, 1, 3, 4]),
        (faults.DELAY, [0, 1, 2, 3, 4]), (faults.FRAGMENT, [0, 1, 2, 3, 4]), (faults.UNKNOWN_FIELDS, [0, 1, 2, 3, 4]),
    ],
)  # fmt: skip
async def test_a_fault_of_one_frame(venue, kind, heard):
    assert await harmed(venue, kind) == heard
    assert [fault.kind for fault in venue.fates.happened] == [kind]


async def test_half_a_frame_ends_in_a_reset(venue):
    async with calling(venue, STREAM) as client:
        venue.harm(faults.HALF)
        await order(venue.flood, 1)
        with pytest.raises(ConnectionClosed):
            await client.hear()
        assert client.socket.close_code == 1006
    assert len(venue.dropped) == 1


async def test_unknown_fields_are_everywhere_and_the_rest_is_as_it_was(venue):
    async with calling(venue, STREAM) as client:
        venue.harm(faults.UNKNOWN_FIELDS)
        await order(venue.flood, 1)
        frame = await client.hear()
    assert "addedLater" in frame
    assert "addedLater" in frame["data"]


@pytest.mark.parametrize("code", faults.CLOSE_CODES)
async def test_scheduled_closes(venue, code):
    async with calling(venue, STREAM) as client:
        await order(venue.schedule, [Fault(2, faults.CLOSE, code)])
        await order(venue.flood, 3)
        with pytest.raises(ConnectionClosed):
            await client.drain(5)
        assert client.socket.close_code == code


async def test_a_stall_of_the_schedule_ends_by_itself(venue):
    async with calling(venue, STREAM) as client:
        await order(venue.schedule, [Fault(1, faults.STALL, 0.4)])
        await order(venue.flood, 3)
        with pytest.raises(TimeoutError):
            await client.hear(0.2)
        assert len(ids([await client.hear(), await client.hear()])) == 2


async def test_mute_is_silence_with_heartbeats():
    with CoinbaseVenue() as venue:
        async with calling(venue) as client:
            await client.say(type="subscribe", channel="heartbeats")
            await client.say(type="subscribe", channel="market_trades", product_ids=["BTC-USD", "ETH-USD"])
            await client.until(lambda frame: "market_trades" in str(frame.get("events")))
            venue.mute(30)
            await order(venue.flood, 100)
            await client.until(lambda frame: frame["channel"] == "heartbeats")
            await client.until(lambda frame: frame["channel"] == "heartbeats")
            heard = client.heard
    assert {frame["channel"] for frame in heard} <= {"heartbeats", "market_trades", "subscriptions"}
    assert not [e for f in heard if f["channel"] == "market_trades" for e in f["events"] if e["type"] == "update"]
    assert len(venue.dropped) == 100


async def test_a_shutdown_is_announced_then_done(venue):
    async with calling(venue, STREAM) as client:
        await order(venue.schedule, [Fault(1, faults.SHUTDOWN, 0.2)])
        await order(venue.flood, 1)
        assert (await client.until(lambda f: f["stream"] == "!serverShutdown"))["data"]["e"] == "serverShutdown"
        with pytest.raises(ConnectionClosed):
            await client.drain(5)
        assert client.socket.close_code == 1001


async def test_a_connection_has_its_lifetime():
    with BinanceVenue(lifetime_s=0.3) as venue:
        async with calling(venue, STREAM) as client:
            with pytest.raises(ConnectionClosed):
                await client.hear()
        assert client.socket.close_code == 1001


async def test_a_snapshot_is_cut_in_its_middle():
    with KrakenVenue() as venue:
        venue.harm(faults.CUT_SNAPSHOT)
        async with calling(venue) as client:
            await client.say(method="subscribe", params={"channel": "book", "symbol": ["BTC/USD"], "depth": 10})
            with pytest.raises(ConnectionClosed):
                await client.until(lambda frame: frame.get("channel") == "book")


def fetched(venue, path="/api/v3/depth?symbol=BTCUSDT", timeout=5):
    with urllib.request.urlopen(venue.rest_url + path, timeout=timeout) as answer:
        return answer.read()


def test_http_goes_wrong_as_ordered(venue):
    fresh = json.loads(fetched(venue))["lastUpdateId"]
    venue.flood(10)
    venue.fail(faults.STALE_SNAPSHOT)
    assert json.loads(fetched(venue))["lastUpdateId"] < fresh
    venue.fail(faults.HTTP_500)
    with pytest.raises(urllib.error.HTTPError) as error:
        fetched(venue)
    assert error.value.code == 500
    error.value.close()
    venue.fail(faults.HTTP_HTML)
    assert fetched(venue).startswith(b"<!DOCTYPE")
    venue.fail(faults.HTTP_TIMEOUT, seconds=30)
    with pytest.raises(TimeoutError):
        fetched(venue, timeout=0.2)
    assert json.loads(fetched(venue))["lastUpdateId"] > fresh


def test_weights_run_out_into_429_and_then_418(venue):
    venue.weight_per_min = 10
    codes = []
    for _ in range(8):
        try:
            fetched(venue, "/api/v3/time")
            fetched(venue, "/api/v3/depth?symbol=BTCUSDT&limit=100")
        except urllib.error.HTTPError as error:
            codes.append((error.code, error.headers["Retry-After"]))
            error.close()
    assert codes[0] == (429, "60")
    assert codes[-1] == (418, "120")
    assert venue.violations


def test_a_route_answers_instead(venue):
    venue.route(
        "/api/v3/klines", lambda path, arguments, headers: (200, {"asked": arguments["symbol"]}, {"X-Own": "1"})
    )
    assert json.loads(fetched(venue, "/api/v3/klines?symbol=A")) == {"asked": "A"}
    assert venue.routes.calls[-1] == "/api/v3/klines?symbol=A"


async def test_a_binance_book_is_followed_from_any_moment_by_its_documented_rule(venue):
    """REST gives the book of the moment, so that the first change straddles it."""
    async with calling(venue, "/stream?streams=btcusdt@depth@100ms") as client:
        await order(venue.live, 400)
        changes = [(await client.hear())["data"] for _ in range(3)]
        told = json.loads(await asyncio.to_thread(fetched, venue, "/api/v3/depth?symbol=BTCUSDT&limit=1000"))
        changes += [(await client.hear())["data"] for _ in range(3)]
        await order(venue.quiet)
        changes += [frame["data"] for frame in await client.drain()]
    sides = {"b": dict(told["bids"]), "a": dict(told["asks"])}
    last = told["lastUpdateId"]
    applied = [change for change in changes if int(change["u"]) > last]
    assert int(applied[0]["U"]) <= last + 1 <= int(applied[0]["u"])
    for change in applied:
        assert int(change["U"]) <= last + 1
        last = int(change["u"])
        for side, levels in sides.items():
            levels.update(change[side])
    truth = venue.market.books["BTCUSDT"]
    for side, book in (("b", truth.bids), ("a", truth.asks)):
        assert {p: q for p, q in sides[side].items() if float(q)} == dict(book.best())


def test_a_seeded_schedule_is_the_same_each_time_and_has_every_kind():
    kinds = [*faults.ON_FRAMES, (faults.CLOSE, 1006), (faults.STALL, 0.2)]
    first = faults.seeded(7, kinds, 1000)
    assert first == faults.seeded(7, kinds, 1000)
    assert first != faults.seeded(8, kinds, 1000)
    assert {fault.kind for fault in first} == {*faults.ON_FRAMES, faults.CLOSE, faults.STALL}
    assert [fault.at for fault in first] == sorted({fault.at for fault in first})
