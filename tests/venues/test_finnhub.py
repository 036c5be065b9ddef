"""The loopback Finnhub keeps Finnhub's rules."""

import asyncio
from collections import Counter

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.ingestion.recordings import recording
from tests.venues import recordings
from tests.venues.finnhub import KEY, FinnhubVenue
from tests.venues.talk import calling, order

PATH = f"/?token={KEY}"


@pytest.fixture
def venue():
    with FinnhubVenue() as running:
        yield running


async def test_only_the_symbols_asked_for_come_several_in_a_frame_and_nothing_is_answered(venue):
    async with calling(venue, PATH) as client:
        await client.say(type="subscribe", symbol="AAPL")
        await client.say(type="subscribe", symbol="BINANCE:BTCUSDT")
        assert await client.drain(0.1) == []
        await order(venue.flood, 300)
        heard = await client.drain()
    assert any(len({t["s"] for t in frame["data"]}) == 2 for frame in heard)
    told = Counter((t["s"], float(t["p"]), float(t["v"]), int(t["t"])) for frame in heard for t in frame["data"])
    made = [t for t in venue.made().values() if t.symbol != "MSFT"]
    assert told == Counter((t.symbol, float(t.price), float(t.quantity), t.time_ms) for t in made)
    assert max(told.values()) > 1
    assert set(venue.sent) == {trade.key for trade in made}


async def test_a_second_connection_ends_the_first(venue):
    async with calling(venue, PATH) as first, calling(venue, PATH):
        with pytest.raises(ConnectionClosed):
            await first.hear()
    assert len(venue.violations) == 1


async def test_a_wrong_key_and_too_many_connections_are_refused(venue):
    with pytest.raises(InvalidStatus) as error:
        await calling(venue, "/?token=wrong").__aenter__()
    assert error.value.response.status_code == 401
    venue.connects = (0, 60.0)
    with pytest.raises(InvalidStatus) as error:
        await calling(venue, PATH).__aenter__()
    assert error.value.response.status_code == 429


async def test_the_fifty_first_symbol_is_an_error(venue):
    venue.messages_per_s = 100
    async with calling(venue, PATH) as client:
        for number in range(51):
            await client.say(type="subscribe", symbol=f"S{number}")
        assert await client.hear() == {"type": "error", "msg": "Subscribing to too many symbols"}
    assert len(venue.violations) == 1


async def test_it_pings_when_idle(venue):
    venue.ping_after_s = 0.2
    async with calling(venue, PATH) as client:
        assert await client.hear() == {"type": "ping"}


async def test_quoted_frames_are_played():
    frames = list(recordings.finnhub(recording("quoted/finnhub_ws_frames.jsonl")))
    symbols = {trade.symbol for frame in frames for trade in frame.trades}
    with FinnhubVenue(symbols, made_up=False) as venue:
        async with calling(venue, PATH) as client:
            for symbol in symbols:
                await client.say(type="subscribe", symbol=symbol)
            while not venue.clients or len(venue.clients[0].streams) < len(symbols):
                await asyncio.sleep(0.01)
            await order(venue.play, frames)
            assert sum(len(frame["data"]) for frame in await client.drain()) == sum(len(f.trades) for f in frames)
