"""Coinbase's frames: hand-written ones of each shape, and three hundred recorded ones with a snapshot of 5 MB."""

import json
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from ingestion.providers import PROVIDERS, Ack, Heartbeat, MalformedFrame, Numbered, Unknown, VenueError
from ingestion.ticks import BUY, SELL, UNKNOWN_SIDE, BookDelta, Quote, Ticker, Trade, VenueBar
from tests.ingestion.recordings import expected, quoted, typed

COINBASE = PROVIDERS["coinbase"]
FRAMES = Path(__file__).parent.parent / "frames" / "coinbase"
RECORDED = "cryptofeed/v3/COINBASE_seq0-299.jsonl.zst"
NOW_US = 1_769_596_201_500_000
TIME_US = 1_769_596_201_123_457  # the envelope's, to the next microsecond
BEFORE_US = 1_769_596_200_500_000
LEVEL_US = 1_769_596_201_000_001
NUMBER = Numbered(7)
TRADE = Trade("BTC-USD", BEFORE_US, NOW_US, 11, 50000.5, 0.25, SELL)
TICKER = Ticker("BTC-USD", TIME_US, NOW_US, 50500, 50000, 50600, 49000, 1234.5, None)

SHAPES = {
    "trades": [NUMBER, TRADE, Trade("BTC-USD", BEFORE_US + 250_000, NOW_US, 12, 50000.5, 0.25, BUY)],
    "trades_snapshot": [Numbered(0), Trade("BTC-USD", BEFORE_US, NOW_US, 10, 50000.5, 0.25, UNKNOWN_SIDE)],
    "trades_two_products": [
        NUMBER,
        Trade("ETH-USD", BEFORE_US, NOW_US, 5, 2500, 0.25, SELL),
        Trade("BTC-USD", BEFORE_US, NOW_US, 12, 50000.5, 0.25, SELL),
    ],
    "ticker": [NUMBER, TICKER, Quote("BTC-USD", TIME_US, NOW_US, TIME_US, 50499.99, 0.5, 50500.01, 0.25)],
    "ticker_batch": [NUMBER, TICKER],
    "level2": [NUMBER, BookDelta("BTC-USD", LEVEL_US, NOW_US, ((50000.1, 0),), ((50000.2, 1.1e-07),))],
    "level2_snapshot": [
        NUMBER,
        BookDelta("BTC-USD", LEVEL_US, NOW_US, ((50000.1, 1),), ((50000.2, 2),), snapshot=True),
    ],
    "level2_empty": [NUMBER, BookDelta("BTC-USD", TIME_US, NOW_US, (), (), snapshot=True)],
    "candles": [NUMBER, VenueBar("BTC-USD", "5m", 1769596200000000, NOW_US, 1, 3, 0.5, 2, 10)],
    "heartbeat": [NUMBER, Heartbeat(TIME_US)],
    "subscriptions": [
        NUMBER,
        Ack(None, ("level2:BTC-USD", "market_trades:BTC-USD", "market_trades:ETH-USD"), whole=True),
    ],
    "error": [VenueError(0, "failure to subscribe: invalid product")],
    "reordered": [NUMBER, TRADE],
    "unknown_field": [NUMBER, TRADE],
    "unknown_stream": [NUMBER, Unknown("status")],
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_of_frame_says_what_it_says(name):
    assert COINBASE.decode((FRAMES / f"{name}.json").read_bytes(), NOW_US) == SHAPES[name]


def test_every_frame_file_is_read_by_a_test():
    assert {path.stem for path in FRAMES.glob("*.json")} == set(SHAPES)


def changed(shape, change, *path):
    """The frame with some fields of the part at `path` replaced."""
    frame = part = json.loads((FRAMES / f"{shape}.json").read_text())
    for step in path:
        part = part[step]
    part |= change
    return json.dumps(frame)


@pytest.mark.parametrize(
    ("shape", "change", "path"),
    [
        ("trades", {"side": "ask"}, ("events", 0, "trades", 0)),
        ("trades", {"time": "2026-01-28T10:30:00"}, ("events", 0, "trades", 0)),
        ("trades", {"time": "1026-01-28T10:30:00Z"}, ("events", 0, "trades", 0)),
        ("trades", {"trade_id": "1.5"}, ("events", 0, "trades", 0)),
        ("trades", {"trade_id": str(2**63)}, ("events", 0, "trades", 0)),
        ("trades", {"product_id": ""}, ("events", 0, "trades", 0)),
        ("trades", {"sequence_num": None}, ()),
        ("level2", {"side": "ask"}, ("events", 0, "updates", 0)),
        ("level2", {"price_level": "0"}, ("events", 0, "updates", 0)),
        ("level2", {"new_quantity": "-1"}, ("events", 0, "updates", 1)),
        ("level2", {"event_time": "soon"}, ("events", 0, "updates", 1)),
        ("level2", {"event_time": '2026-01-28T10:30:01Z","x":"'}, ("events", 0, "updates", 1)),
        ("level2", {"type": "change"}, ("events", 0)),
        ("ticker", {"best_bid": "NaN"}, ("events", 0, "tickers", 0)),
        ("ticker", {"price_percent_chg_24_h": "-100"}, ("events", 0, "tickers", 0)),
        ("ticker", {"price_percent_chg_24_h": "inf"}, ("events", 0, "tickers", 0)),
        ("candles", {"high": "1.5"}, ("events", 0, "candles", 0)),
        ("candles", {"low": "1.5"}, ("events", 0, "candles", 0)),
        ("candles", {"start": "1769596200000"}, ("events", 0, "candles", 0)),
        ("heartbeat", {"current_time": "now"}, ("events", 0)),
        ("heartbeat", {"current_time": ""}, ("events", 0)),
    ],
)
def test_an_impossible_field_makes_the_frame_malformed(shape, change, path):
    with pytest.raises(MalformedFrame):
        COINBASE.decode(changed(shape, change, *path), NOW_US)


def test_each_request_is_of_one_channel_and_at_most_a_hundred_products():
    symbols = [f"S{i}-USD" for i in range(150)]
    asks = COINBASE.subscribe(COINBASE.streams(symbols, ["trades", "book"]), 7)
    said = [json.loads(ask.message) for ask in asks]
    assert [ask.request_id for ask in asks] == [7, 8, 9, 10, 11]
    assert said[0] == {"type": "subscribe", "channel": "heartbeats"}
    assert [(s["channel"], len(s["product_ids"])) for s in said[1:]] == [
        ("market_trades", 100),
        ("market_trades", 50),
        ("level2", 100),
        ("level2", 50),
    ]
    assert [json.loads(ask.message)["channel"] for ask in COINBASE.unsubscribe(asks[3].streams, 1)] == ["level2"]


def test_quotes_and_tickers_are_one_channel():
    assert COINBASE.streams(["BTC-USD"], ["quotes", "ticker"]) == ["ticker:BTC-USD"]


def test_three_hundred_recorded_frames_give_what_an_independent_computation_found():
    """Nothing is missing between them, the trades heard after the snapshots are those counted, so are the books."""
    truth = expected()["coinbase_advanced_20260809_seq0-299"]
    numbers, kinds = [], Counter()
    updates, books = defaultdict(list), {}
    for frame, received_us in typed(RECORDED):
        said = COINBASE.decode(frame, received_us)
        numbers.append(said[0].sequence)
        kinds.update(type(value) for value in said)
        assert {value.received_us for value in said if hasattr(value, "received_us")} <= {received_us}
        for value in said:
            if type(value) is Trade and b'"type":"update"' in frame:
                updates[value.symbol].append(value)
            elif type(value) is BookDelta:
                apply(books, value)
    assert numbers == list(range(300))
    assert kinds[Unknown] == 0
    assert kinds[Heartbeat] == 7
    assert {s: [len(t), f"{sum(Decimal(repr(x.quantity)) for x in t):f}"] for s, t in updates.items()} == truth[
        "update_trades"
    ]
    for trades in updates.values():
        ids = [trade.trade_id for trade in trades]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
    for symbol, sides in truth["books"].items():
        assert_book(books[symbol], sides)


def apply(books, delta):
    """The plainest book there can be."""
    sides = books.setdefault(delta.symbol, ({}, {}))
    for side, levels in zip(sides, (delta.bids, delta.asks), strict=True):
        if delta.snapshot:
            side.clear()
        for price, quantity in levels:
            side[price] = quantity
            if not quantity:
                del side[price]


def assert_book(book, truth):
    bids, asks = (sorted(side.items()) for side in book)
    assert (len(bids), len(asks)) == (truth["n_bids"], truth["n_asks"])
    assert bids[: -len(truth["top_bids"]) - 1 : -1] == [(float(p), float(q)) for p, q in truth["top_bids"]]
    assert asks[: len(truth["top_asks"])] == [(float(p), float(q)) for p, q in truth["top_asks"]]


def test_data_may_come_before_the_answer_to_the_subscription():
    first, ack, second = (
        COINBASE.decode(frame, NOW_US) for frame in quoted("coinbase_adv_market_trades_BTCUSD_20260812.jsonl")
    )
    assert [value.trade_id for value in first[1:]] == list(range(1069726287, 1069726292))
    assert ack == [Numbered(1), Ack(None, ("market_trades:BTC-USD",), whole=True)]
    assert [value.trade_id for value in second[1:]] == [1069726292, 1069726293]
    assert {value.side for value in (*first[1:], *second[1:])} == {SELL}
