"""Kraken's frames: hand-written ones of each shape, quoted ones, and a recording of each kind."""

import itertools
import json
from collections import Counter
from pathlib import Path

import pytest

from ingestion.providers import PROVIDERS, Ack, Heartbeat, MalformedFrame, Unknown, VenueError
from ingestion.ticks import BUY, SELL, BookDelta, Quote, Ticker, Trade, VenueBar
from tests.ingestion.recordings import kraken_v2, quoted, recording

KRAKEN = PROVIDERS["kraken"]
FRAMES = Path(__file__).parent.parent / "frames" / "kraken"
NOW_US = 1_769_596_201_500_000
TIME_US = 1_769_596_201_123_456
BEFORE_US = 1_769_596_200_500_000
TRADES = [
    Trade("BTC/USD", BEFORE_US, NOW_US, 11, 50000.5, 0.25, BUY),
    Trade("BTC/USD", BEFORE_US + 250_000, NOW_US, 12, 50000.5, 0.25, SELL),
]
EVERY_STREAM = ("trade:X/USD", "ticker:X/USD", "book:X/USD", "ohlc:X/USD")


def ticker(time_us):
    return [
        Ticker("BTC/USD", time_us, NOW_US, 50500.1, 50499.4, 50600, 49000, 1234.5, None),
        Quote("BTC/USD", time_us, NOW_US, time_us, 50499.9, 0.5, 50500.1, 0.25),
    ]


SHAPES = {
    "trades": TRADES,
    "trades_newest_first": TRADES,
    "ticker": ticker(TIME_US),
    "ticker_without_time": ticker(NOW_US),
    "book": [BookDelta("BTC/USD", TIME_US, NOW_US, ((50000.1, 5.1e-05),), ((50000.2, 0),), checksum=4294967295)],
    "book_snapshot": [BookDelta("BTC/USD", NOW_US, NOW_US, ((50000, 1),), ((50000.2, 2),), snapshot=True, checksum=1)],
    "book_thin": [BookDelta("DOGE/USDT", TIME_US, NOW_US, ((0.1, 1),), (), snapshot=True)],
    "ohlc": [VenueBar("BTC/USD", "1m", 1769596200000000, NOW_US, 1, 3, 0.5, 2, 10, None, 4)],
    "ohlc_strange": [],
    "status": [Heartbeat(NOW_US)],
    "status_maintenance": [VenueError(0, "the venue is in maintenance")],
    "heartbeat": [Heartbeat(NOW_US)],
    "pong": [Heartbeat(1769596201000100)],
    "pong_without_time": [Heartbeat(NOW_US)],
    "subscribed": [Ack(3, ("book:BTC/USD",))],
    "unsubscribed": [Ack(4, ("trade:BTC/USD",))],
    "refused": [VenueError(0, "Currency pair not supported X/USD", 3, EVERY_STREAM)],
    "refused_without_symbol": [VenueError(0, "Currency pair not supported X/USD", 3, EVERY_STREAM)],
    "refused_without_pair": [VenueError(0, "Malformed request", 3)],
    "rate_exceeded": [VenueError(0, "Exceeded msg rate")],
    "reordered": TRADES[:1],
    "unknown_field": TRADES[:1],
    "unknown_stream": [Unknown("level3")],
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_of_frame_says_what_it_says(name):
    assert KRAKEN.decode((FRAMES / f"{name}.json").read_bytes(), NOW_US) == SHAPES[name]


def test_every_frame_file_is_read_by_a_test():
    assert {path.stem for path in FRAMES.glob("*.json")} == set(SHAPES)


@pytest.mark.parametrize(
    ("shape", "change"),
    [
        ("trades", {"side": "b"}),
        ("trades", {"price": "50000.5"}),
        ("trades", {"qty": -1}),
        ("trades", {"trade_id": 1.5}),
        ("trades", {"timestamp": "2026-01-28T10:30:00"}),
        ("book", {"checksum": 4294967296}),
        ("book", {"checksum": "1"}),
        ("book", {"bids": [{"price": 0, "qty": 1}]}),
        ("book", {"bids": [[1, 1]]}),
        ("book", {"asks": None}),
        ("book", {"symbol": ""}),
        ("ticker", {"change": 50500.2}),
        ("ticker", {"bid": None}),
        ("ohlc", {"high": 1.5}),
        ("ohlc", {"interval_begin": "1969-12-31T00:00:00Z"}),
    ],
)
def test_an_impossible_field_makes_the_frame_malformed(shape, change):
    frame = json.loads((FRAMES / f"{shape}.json").read_text())
    frame["data"][0] |= change
    with pytest.raises(MalformedFrame):
        KRAKEN.decode(json.dumps(frame), NOW_US)


def test_a_request_names_what_it_wants_and_is_undone_by_the_same():
    (subscribe,) = KRAKEN.subscribe(["book:BTC/USD", "book:ETH/USD"], 7)
    (unsubscribe,) = KRAKEN.unsubscribe(subscribe.streams, 8)
    assert json.loads(subscribe.message) == {
        "method": "subscribe",
        "params": {"channel": "book", "symbol": ["BTC/USD", "ETH/USD"], "depth": 100, "snapshot": True},
        "req_id": 7,
    }
    assert json.loads(unsubscribe.message) == json.loads(subscribe.message) | {"method": "unsubscribe", "req_id": 8}


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("kraken_v2_book10_BTCUSD_20260812", {Heartbeat: 1, Ack: 1, BookDelta: 2}),
        ("kraken_v2_ticker_BTCUSD_20260812", {Heartbeat: 2, Ack: 1, Ticker: 2, Quote: 2}),
        ("kraken_v2_ohlc1_BTCUSD_20260812", {Heartbeat: 1, Ack: 1}),
    ],
)
def test_quoted_frames_are_read(name, kinds):
    counted = Counter(type(value) for frame in quoted(f"{name}.jsonl") for value in KRAKEN.decode(frame, NOW_US))
    assert counted.pop(VenueBar, 0) > 0 or "ohlc" not in name
    assert counted == kinds


def test_an_exponent_is_a_number_like_another():
    deltas = [
        value
        for frame in quoted("kraken_v2_book10_BTCUSD_20260812.jsonl")
        for value in KRAKEN.decode(frame, NOW_US)
        if type(value) is BookDelta
    ]
    assert (63298.7, 0.000051) in deltas[0].bids
    assert (63296.7, 0) in deltas[1].bids
    assert [delta.checksum for delta in deltas] == [1490766955, 1153589921]


def test_the_recorded_book_is_read_whole():
    told = json.loads(recording("python-kraken-sdk/orderbook-v2.json").read_text())
    deltas = [KRAKEN.decode(json.dumps(frame), NOW_US)[0] for frame in (told["init"], *told["updates"])]
    assert [delta.snapshot for delta in deltas] == [True] + [False] * 509
    assert all(delta.checksum is not None for delta in deltas)
    assert all(delta.time_us <= later.time_us for delta, later in itertools.pairwise(deltas[1:]))


def test_ten_recorded_pairs_are_read_from_the_second_protocols_envelopes():
    counted = Counter()
    for kind in ("trade", "ticker", "book"):
        for frame, received_us in kraken_v2(kind):
            for value in KRAKEN.decode(frame, received_us):
                counted[type(value)] += 1
                counted["checked"] += type(value) is BookDelta and value.checksum is not None
    assert counted.pop(Heartbeat) > 0
    assert counted == {BookDelta: 4279, "checked": 4269, Trade: 10, Ticker: 18, Quote: 18}
