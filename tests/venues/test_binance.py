"""The loopback venue keeps its own rules: else nothing tested against it would mean anything."""

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request
from decimal import Decimal

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ingestion.providers import PROVIDERS, MalformedFrame, Shutdown, Unknown
from ingestion.ticks import Ticker, Trade
from tests.ingestion.recordings import ROOT, expected, recording
from tests.venues import recordings
from tests.venues.binance import CONNECTS_PER_5_MIN, FIRST_TRADE_ID, BinanceVenue

BINANCE = PROVIDERS["binance"]


@pytest.fixture
def venue():
    with BinanceVenue() as running:
        yield running


def get(venue, path):
    with urllib.request.urlopen(venue.rest_url + path, timeout=5) as answer:
        return json.loads(answer.read()), answer.headers


class Listener:
    """A client by the project's own provider: subscribes and decodes."""

    def __init__(self, socket):
        self.socket = socket
        self.request_id = 0

    async def ask(self, messages):
        for message in messages:
            await self.socket.send(message)
        return await self.hear()

    async def hear(self):
        frame = await asyncio.wait_for(self.socket.recv(decode=False), 10)
        return BINANCE.decode(frame, 1)

    async def subscribe(self, *names):
        return await self.ask([ask.message for ask in BINANCE.subscribe(names, 1)])


def listening(venue, path="/stream"):
    return connect(venue.ws_url + path, max_size=1 << 25, max_queue=None, ping_interval=None)


async def aside(order, *arguments):
    """Give an order from this loop's side."""
    return await asyncio.to_thread(order, *arguments)


async def test_only_what_was_subscribed_is_sent_with_consecutive_ids(venue):
    async with listening(venue) as socket:
        listener = Listener(socket)
        (ack,) = await listener.subscribe("btcusdt@trade")
        assert ack.request_id == 1
        await aside(venue.flood, 500)
        count = venue.market.trades["BTCUSDT"].__len__()
        heard = [(await listener.hear())[0] for _ in range(count)]
    assert 0 < count < 500
    assert {trade.symbol for trade in heard} == {"BTCUSDT"}
    assert [trade.trade_id for trade in heard] == list(range(FIRST_TRADE_ID, FIRST_TRADE_ID + count))
    assert set(venue.sent) == {("BTCUSDT", trade.trade_id) for trade in heard}
    assert venue.quantity == sum(Decimal(repr(trade.quantity)) for trade in heard)
    assert not venue.violations


async def test_trades_are_made_at_the_asked_rate_and_stamped_now(venue):
    async with listening(venue, "/stream?streams=btcusdt@trade/ethusdt@trade/btcusdt@ticker") as socket:
        listener = Listener(socket)
        await aside(venue.live, 300.0)
        heard = []
        while not any(isinstance(said, Ticker) for said in heard):
            heard += await listener.hear()
        await aside(venue.quiet)
    trades = [said for said in heard if isinstance(said, Trade)]
    span_s = (trades[-1].time_us - trades[0].time_us) / 1e6
    assert len(trades) / span_s == pytest.approx(300, rel=0.5)


async def test_unsubscribed_is_silent_and_lists_are_true(venue):
    async with listening(venue) as socket:
        listener = Listener(socket)
        await listener.subscribe("btcusdt@trade", "ethusdt@trade")
        await listener.ask([ask.message for ask in BINANCE.unsubscribe(["btcusdt@trade"], 2)])
        await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":3}')
        assert json.loads(await socket.recv()) == {"result": ["ethusdt@trade"], "id": 3}
        await aside(venue.flood, 50)
        await aside(venue.settle)
        assert {symbol for symbol, _ in venue.sent} == {"ETHUSDT"}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", 3),
        ("[]", 2),
        ('{"method":"NONSENSE","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[1],"id":1}', 2),
        (json.dumps({"method": "SUBSCRIBE", "params": [f"s{i}@trade" for i in range(1025)], "id": 1}), 4),
    ],
)
async def test_bad_requests_get_the_venues_errors(venue, message, code):
    async with listening(venue) as socket:
        (error,) = await Listener(socket).ask([message])
        assert error.code == code


async def test_the_sixth_message_in_a_second_ends_the_connection_pings_counted(venue):
    async with listening(venue) as socket:
        for _ in range(3):
            await socket.send("{}")
            await socket.ping()
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert socket.close_code == 1008
    assert venue.violations == ["connection 0 sent more than 5 messages in a second"]


async def test_the_venue_pings_and_pongs_are_no_violation():
    with BinanceVenue(ping_every_s=0.3) as venue:
        async with listening(venue, "/stream?streams=btcusdt@trade") as socket:
            await aside(venue.flood, 10)
            assert await socket.recv()
            while len(venue.clients[0].received_at) == 0:
                await asyncio.sleep(0.02)
        assert not venue.violations


async def test_dropped_frames_are_missing_and_duplicates_come_twice(venue):
    async with listening(venue, "/stream?streams=btcusdt@trade/ethusdt@trade") as socket:
        listener = Listener(socket)
        await aside(venue.drop, 4)  # trade, aggregate, quote, trade
        await aside(venue.flood, 3)
        await aside(venue.duplicate, 1)
        await aside(venue.flood, 1)
        heard = [(await listener.hear())[0] for _ in range(3)]
    assert len(venue.dropped) == 2
    assert not venue.dropped & {(t.symbol, t.trade_id) for t in heard}
    assert heard[1] == heard[2]
    assert len(venue.sent) == 2


async def test_a_stall_holds_everything_back_until_resumed(venue):
    async with listening(venue, "/stream?streams=btcusdt@trade/ethusdt@trade") as socket:
        await aside(venue.stall)
        await aside(venue.flood, 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.3)
        await aside(venue.resume)
        assert [json.loads(await socket.recv())["data"]["e"] for _ in range(5)] == ["trade"] * 5


@pytest.mark.parametrize("code", [1001, 1008, 1006])
async def test_connections_end_as_ordered(venue, code):
    async with listening(venue) as socket:
        await aside(venue.close, code)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 5)
        assert socket.close_code == code


async def test_who_is_refused_gets_503_for_a_while(venue):
    venue.refuse(60)
    with pytest.raises(InvalidStatus) as error:
        await listening(venue)
    assert error.value.response.status_code == 503
    venue.refuse(0)
    async with listening(venue):
        pass


async def test_too_many_connections_are_a_violation(venue):
    for _ in range(CONNECTS_PER_5_MIN):
        venue._count_connect()
    with pytest.raises(InvalidStatus):
        await listening(venue)
    assert venue.violations


@pytest.mark.parametrize("order", ["garbage", "not_utf8", "huge", "negative_price", "zero_time"])
async def test_bad_frames_reach_the_client_as_they_are_and_the_socket_lives(venue, order):
    async with listening(venue, "/stream?streams=btcusdt@trade/ethusdt@trade") as socket:
        listener = Listener(socket)
        await aside(getattr(venue, order))
        with pytest.raises(MalformedFrame):
            await listener.hear()
        await aside(venue.flood, 1)
        assert isinstance((await listener.hear())[0], Trade)


async def test_odd_but_readable_frames_and_shutdown_notices(venue):
    async with listening(venue) as socket:
        listener = Listener(socket)
        await aside(venue.unknown_stream)
        assert await listener.hear() == [Unknown("btcusdt@somethingNew")]
        for raw in (0, 1):
            await aside(venue.server_shutdown, raw)
            assert isinstance((await listener.hear())[0], Shutdown)
        await aside(venue.zero_price)
        assert (await listener.hear())[0].price == 0
        await aside(venue.absurd_time)
        assert (await listener.hear())[0].time_us == 9_999_999_999_999_000


async def test_a_raw_stream_comes_without_its_wrapper(venue):
    async with listening(venue, "/ws/btcusdt@trade") as socket:
        await aside(venue.flood, 10)
        assert json.loads(await socket.recv())["e"] == "trade"


def test_rest_tells_of_the_same_trades_and_weighs_each_call(venue):
    venue.flood(2000)
    trades, headers = get(venue, "/api/v3/trades?symbol=BTCUSDT&limit=5")
    assert [t["id"] for t in trades] == [t.trade_id for t in venue.market.trades["BTCUSDT"][-5:]]
    assert headers["X-MBX-USED-WEIGHT-1M"] == "25"
    klines, headers = get(venue, "/api/v3/klines?symbol=BTCUSDT&interval=1m")
    assert sum(row[8] for row in klines) == len(venue.market.trades["BTCUSDT"])
    assert headers["X-MBX-USED-WEIGHT-1M"] == "27"
    depth, _ = get(venue, "/api/v3/depth?symbol=BTCUSDT&limit=100")
    assert Decimal(depth["bids"][0][0]) < Decimal(depth["asks"][0][0])
    info, _ = get(venue, "/api/v3/exchangeInfo")
    assert [s["symbol"] for s in info["symbols"]] == ["BTCUSDT", "ETHUSDT"]
    assert get(venue, "/api/v3/time")[0]["serverTime"] > 0


def test_rest_refuses_unknown_symbols_and_more_weight_than_a_minute_has(venue):
    with pytest.raises(urllib.error.HTTPError) as error:
        get(venue, "/api/v3/depth?symbol=NONE")
    assert error.value.code == 400
    assert json.loads(error.value.read())["code"] == -1121
    venue.weigh(6000)
    with pytest.raises(urllib.error.HTTPError) as error:
        get(venue, "/api/v3/time")
    assert (error.value.code, error.value.headers["Retry-After"]) == (429, "60")
    error.value.close()
    assert venue.violations


async def test_a_recording_is_played_verbatim_and_its_book_follows():
    path = recording("hftbacktest/spot/btcusdt_20240808.gz")
    truth = expected()["hftbacktest_spot"]["btcusdt_20240808"]
    with BinanceVenue(["BTCUSDT"], made_up=False) as venue:
        async with listening(venue, "/stream?streams=btcusdt@trade") as socket:
            playing = asyncio.create_task(aside(venue.play, recordings.binance(path)))
            heard = [await socket.recv() for _ in range(truth["trades"])]
            await playing
        assert heard == [frame.text for frame in recordings.binance(path) if frame.trades]
        assert venue.quantity == Decimal(truth["base_volume"])
        book, _ = await aside(get, venue, "/api/v3/depth?symbol=BTCUSDT&limit=10")
        assert [book["bids"], book["asks"]] == [truth["top_bids"], truth["top_asks"]]
        assert book["lastUpdateId"] == truth["final_update_id"]


async def test_as_a_process_it_takes_orders_over_http():
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.venues", "binance", "--live", "200"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        ws_url, rest_url = process.stdout.readline().split()
        async with connect(ws_url + "/stream?streams=btcusdt@trade", max_queue=None, ping_interval=None) as socket:
            assert "btcusdt@trade" in await asyncio.wait_for(socket.recv(), 10)

            def order(path):
                with urllib.request.urlopen(f"{rest_url}/control/{path}", timeout=5) as answer:
                    return json.loads(answer.read())

            await aside(order, "quiet")
            await aside(order, "flood?count=100")
            report = await aside(order, "report")
            assert report["open"] == 1
            assert report["streams"] == ["btcusdt@trade"]
            while report["waiting"]:
                await asyncio.wait_for(socket.recv(), 10)
                report = await aside(order, "report")
            assert len(await aside(order, "trades")) == report["trades"] > 0
            await aside(order, "close?code=1001")
            await asyncio.wait_for(socket.wait_closed(), 5)
            assert socket.close_code == 1001
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
