"""Finnhub's frames: hand-written ones of each shape, and those that others have quoted."""

import json
from pathlib import Path

import pytest

from ingestion.providers import PROVIDERS, Heartbeat, MalformedFrame, Unknown, VenueError
from ingestion.ticks import IRREGULAR, Trade
from tests.ingestion.recordings import quoted

FINNHUB = PROVIDERS["finnhub"]
FRAMES = Path(__file__).parent.parent / "frames" / "finnhub"
NOW_US = 1_769_596_201_500_000
MS_US = 1_769_596_201_000_000
FIRST = NOW_US * 2048


def trade(symbol, time_us, place, price, quantity, flags=0):
    return Trade(symbol, time_us, NOW_US, FIRST + place, price, quantity, flags=flags)


SHAPES = {
    "trades": [
        trade("TSLA", MS_US, 0, 203.04, 100),
        trade("TSLA", MS_US, 1, 203.04, 100),
        trade("BINANCE:BTCUSDT", MS_US + 1000, 2, 63229.69, 0.00139),
    ],
    "trades_irregular": [
        trade("TSLA", MS_US, 0, 203.04, 1, IRREGULAR),
        trade("TSLA", MS_US, 1, 203.05, 500, IRREGULAR),
        trade("TSLA", MS_US, 2, 203.06, 100),
    ],
    "price_alone": [trade("OANDA:EUR_USD", MS_US, 0, 1.0861, 0)],
    "ping": [Heartbeat(NOW_US)],
    "error": [VenueError(0, "Subscribing to too many symbols")],
    "unknown_field": [trade("AAPL", MS_US, 0, 1, 2)],
    "unknown_stream": [Unknown("news")],
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_of_frame_says_what_it_says(name):
    assert FINNHUB.decode((FRAMES / f"{name}.json").read_bytes(), NOW_US) == SHAPES[name]


def test_every_frame_file_is_read_by_a_test():
    assert {path.stem for path in FRAMES.glob("*.json")} == set(SHAPES)


@pytest.mark.parametrize(
    "change",
    [
        {"t": 1769596201},
        {"t": 1769596201000000},
        {"t": "soon"},
        {"p": None},
        {"p": "1"},
        {"v": -1},
        {"s": ""},
        {"c": 1},
    ],
)
def test_an_impossible_field_makes_the_frame_malformed(change):
    frame = json.loads((FRAMES / "trades.json").read_text())
    frame["data"][1] |= change
    with pytest.raises(MalformedFrame):
        FINNHUB.decode(json.dumps(frame), NOW_US)


def test_one_symbol_a_message():
    asks = FINNHUB.subscribe(["AAPL", "BINANCE:BTCUSDT"], 7)
    assert [(ask.request_id, ask.streams, json.loads(ask.message)) for ask in asks] == [
        (7, ("AAPL",), {"type": "subscribe", "symbol": "AAPL"}),
        (8, ("BINANCE:BTCUSDT",), {"type": "subscribe", "symbol": "BINANCE:BTCUSDT"}),
    ]


def test_the_key_stands_in_the_address():
    assert FINNHUB.url("wss://venue.example", key="a b&c") == "wss://venue.example/?token=a%20b%26c"


@pytest.mark.parametrize(
    ("symbol", "parts"), [("BINANCE:BTCUSDT", ("BTC", "USDT")), ("OANDA:EUR_USD", ("EUR", "USD")), ("AAPL", None)]
)
def test_a_symbol_of_another_exchange_names_two_currencies(symbol, parts):
    assert FINNHUB.base_quote(symbol) == parts


@pytest.mark.parametrize(
    ("symbol", "kind"), [("BINANCE:BTCUSDT", "crypto"), ("OANDA:EUR_USD", "fx"), ("BRK.B", "equity")]
)
def test_the_exchange_before_the_colon_tells_what_is_traded(symbol, kind):
    assert FINNHUB.instrument_kind(symbol) == kind


def test_quoted_frames_are_read_and_no_two_trades_are_one():
    said = [
        value
        for at, frame in enumerate(quoted("finnhub_ws_frames.jsonl"))
        for value in FINNHUB.decode(frame, NOW_US + at)
    ]
    trades = [value for value in said if type(value) is Trade]
    told = [t for frame in quoted("finnhub_ws_frames.jsonl") for t in json.loads(frame).get("data", [])]
    assert len({value.trade_id for value in trades}) == len(trades) == len(told)
    assert [value.trade_id for value in trades] == sorted(value.trade_id for value in trades)
    assert [(t.symbol, t.price, t.quantity, t.time_us) for t in trades] == [
        (t["s"], t["p"], t["v"], t["t"] * 1000) for t in told
    ]
    assert [value for value in said if type(value) is not Trade] == [
        Heartbeat(NOW_US + 1),
        VenueError(0, "Subscribing to too many symbols"),
    ]
