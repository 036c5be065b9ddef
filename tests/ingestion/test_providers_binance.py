"""Binance's frames: hand-written ones of each shape, whatever else may come, and a recorded day's end."""

import collections
import json
import random
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.candles import bars, fold, merge
from ingestion.providers import (
    PROVIDERS,
    SOURCE_NAMES,
    SOURCES,
    Ack,
    Backoff,
    MalformedFrame,
    Shutdown,
    Unknown,
    VenueError,
)
from ingestion.providers.binance import decode, guess_symbol
from ingestion.providers.ccxt_values import CCXT_SOURCES
from ingestion.rest.call import Call
from ingestion.ticks import (
    BUY,
    SELL,
    BookDelta,
    BookSnapshot,
    Quote,
    Ticker,
    Trade,
    VenueBar,
    pack_trades,
    unpack_trades,
)
from tests.ingestion.recordings import answers, expected, frames, quoted, recording, stamped

BINANCE = PROVIDERS["binance"]
FRAMES = Path(__file__).parent.parent / "frames" / "binance"
NOW_US = 1_769_596_201_500_000
TRADE = {"e": "trade", "s": "BTCUSDT", "t": 1, "p": "1.5", "q": "2", "T": 1769596201000, "m": True}
QUOTE = {"u": 1, "s": "BTCUSDT", "b": "1", "B": "1", "a": "2", "A": "1"}
SHAPES = {
    "trade": Trade("BTCUSDT", 1769596201000000, NOW_US, 12345, 50000.5, 0.5, SELL),
    "trade_raw": Trade("BTCUSDT", 1769596201000000, NOW_US, 12345, 50000.5, 0.5, BUY),
    "trade_microseconds": Trade("ETHUSDT", 1769596201000987, NOW_US, 7, 2500.01, 1.25, BUY),
    "trade_reordered": Trade("BTCUSDT", 1769596201000000, NOW_US, 12345, 50000.5, 0.5, SELL),
    "book_ticker": Quote("BTCUSDT", NOW_US, NOW_US, 400900217, 50000.1, 31.21, 50000.2, 40.66),
    "book_ticker_raw": Quote("BTCUSDT", NOW_US, NOW_US, 400900217, 50000.1, 31.21, 50000.2, 40.66),
    "ticker": Ticker("BTCUSDT", 1769596201000000, NOW_US, 50000, 49900, 50500, 49000, 1234.5, 61725000),
    "ack": Ack(1),
    "ack_list": Ack(3),
    "ack_text_id": Ack("a-1"),
    "error_documented": VenueError(2, "Invalid request: unknown variant", 5),
    "error_seen": VenueError(4, "Too many subscriptions", 19),
    "shutdown_raw": Shutdown(1769596201000000),
    "shutdown": Shutdown(1769596201000000),
    "unknown_field": Trade("BTCUSDT", 1769596201000000, NOW_US, 705291099, 4149.74, 0.4387, SELL),
    "unknown_stream": Unknown("btcusdt@avgPrice"),
    "agg_trade": Trade("BTCUSDT", 1769596201000000, NOW_US, 2**62 + 26129, 50000.5, 0.5, SELL),
    "agg_trade_raw": Trade("ETHUSDT", 1769596201000000, NOW_US, 2**62 + 226532, 1632.46, 0.34305, BUY),
    "kline": VenueBar("BTCUSDT", "1m", 1769596200000000, NOW_US, 1, 3, 0.5, 2, 10, 18, 4, final=False),
    "kline_closed": VenueBar("BTCUSDT", "1h", 1769594400000000, NOW_US, 1, 3, 0.5, 2, 10, 18, 4, final=True),
    "kline_strange": Unknown("kline_3d"),
    "depth": BookDelta("BTCUSDT", 1769596201001000, NOW_US, ((50000.1, 0),), ((50000.2, 100),), 157, 160),
    "depth_raw": BookDelta("BTCUSDT", 1769596201001000, NOW_US, ((50000.1, 0),), (), 157, 160),
    "depth_20": BookSnapshot("BTCUSDT", NOW_US, NOW_US, 160, ((50000.1, 10),), ((50000.2, 100),)),
    "mini_ticker": Ticker("BTCUSDT", 1786539510015000, NOW_US, 64117.99, 64330.6, 64500, 63238, 14724.65375, 940099726),
    "depth_partial": Unknown("depth"),
    "array_stream": Unknown("!miniTicker@arr"),
}


def said(data, stream="btcusdt@trade"):
    return decode(json.dumps({"stream": stream, "data": data}), NOW_US)


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_of_frame_says_what_it_says(name):
    frame = (FRAMES / f"{name}.json").read_bytes()
    assert decode(frame, NOW_US) == [SHAPES[name]]
    assert decode(frame.decode(), NOW_US) == [SHAPES[name]]


def test_every_frame_file_is_read_by_a_test():
    assert {path.stem for path in FRAMES.glob("*.json")} == set(SHAPES)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b'{"stream":"btcusdt@trade","data":{"e":"tra', "truncated"),
        (b'{"stream":"btcusdt@trade"}', "data"),
        (b'{"stream":"\xff\xfe@trade","data":{"s":"\xc3\x28"}}', "."),
        (b"\xff\xfe\x00", "."),
        ("\ud800", "."),
        (b"null", "."),
        (b"[1,2]", "."),
        (b"{}", "neither"),
        (b"<html>451</html>", "."),
        (b"[" * 100_000, "."),
    ],
)
def test_what_cannot_be_read_is_refused_whole(frame, reason):
    with pytest.raises(MalformedFrame, match=reason):
        decode(frame, NOW_US)


@pytest.mark.parametrize(
    "change",
    [
        {"p": "-1.0"},
        {"p": "NaN"},
        {"p": "inf"},
        {"p": "1_0"},
        {"p": ""},
        {"p": " 1"},
        {"p": "0x1"},
        {"p": None},
        {"p": [1]},
        {"p": "1e400"},
        {"q": "-0.1"},
        {"q": "Infinity"},
        {"s": ""},
        {"s": 5},
        {"t": -1},
        {"t": 2**63},
        {"t": "x"},
        {"t": 1.5},
        {"T": 0},
        {"T": 1769596201},
        {"T": 1769596201000000000},
        {"T": -1769596201000},
        {"T": "soon"},
        {"m": "perhaps"},
        {"m": None},
    ],
)
def test_a_trade_with_an_impossible_field_is_malformed(change):
    with pytest.raises(MalformedFrame):
        said(TRADE | change)


@pytest.mark.parametrize("missing", ["s", "t", "p", "q", "T", "m"])
def test_a_trade_without_a_field_is_malformed_never_guessed(missing):
    with pytest.raises(MalformedFrame):
        said({name: value for name, value in TRADE.items() if name != missing})


@pytest.mark.parametrize("change", [{"b": "-1"}, {"A": "nan"}, {"s": ""}, {"u": -1}, {"u": 2**63}, {"a": None}])
def test_a_quote_with_an_impossible_field_is_malformed(change):
    with pytest.raises(MalformedFrame):
        said(QUOTE | change, "btcusdt@bookTicker")


def test_a_frame_of_twenty_megabytes_is_refused_and_the_error_shows_only_its_start():
    with pytest.raises(MalformedFrame, match="too long") as error:
        decode(b'{"stream":"btcusdt@trade","data":{"x":"' + b"x" * 20_000_000 + b'"}}', NOW_US)
    assert len(str(error.value)) < 400
    assert "btcusdt@trade" in str(error.value)


def test_a_symbol_need_not_be_ascii():
    assert said(TRADE | {"s": "这是测试币456"})[0].symbol == "这是测试币456"


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_whatever_comes_is_either_read_or_malformed(frame):
    try:
        assert isinstance(decode(frame, NOW_US), list)
    except MalformedFrame:
        pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*TRADE, *QUOTE]), inner, max_size=5),
    max_leaves=8,
)


@given(st.sampled_from(["btcusdt@trade", "btcusdt@bookTicker", "btcusdt@ticker", "!serverShutdown", "x"]), json_values)
def test_whatever_a_stream_carries_is_either_read_or_malformed(stream, data):
    try:
        assert len(said(data, stream)) == 1
    except MalformedFrame:
        pass


@given(st.integers(0, 10**15), st.integers(0, 12))
def test_a_decimal_text_becomes_the_nearest_float(digits, places):
    text = f"{Decimal(digits).scaleb(-places):f}"
    assert said(TRADE | {"p": text})[0].price == float(text)


def test_requests_carry_at_most_200_names_and_consecutive_ids():
    names = BINANCE.streams([f"S{i}" for i in range(90)])
    assert names[:5] == ["s0@trade", "s0@bookTicker", "s0@ticker", "s0@depth@100ms", "s0@kline_1m"]
    requests = [json.loads(ask.message) for ask in BINANCE.subscribe(names, 7)]
    assert [r["id"] for r in requests] == [7, 8, 9]
    assert [len(r["params"]) for r in requests] == [200, 200, 50]
    assert [name for r in requests for name in r["params"]] == names
    assert json.loads(BINANCE.unsubscribe(["a@trade"], 1)[0].message) == {
        "method": "UNSUBSCRIBE",
        "params": ["a@trade"],
        "id": 1,
    }
    assert BINANCE.subscribe([], 1) == []


def test_the_url_is_the_combined_endpoint_with_encoded_names():
    assert BINANCE.url("wss://venue.example/") == "wss://venue.example/stream"
    assert BINANCE.url("ws://h:1", ["btcusdt@trade", "币@trade"]) == (
        "ws://h:1/stream?streams=btcusdt@trade/%E5%B8%81@trade"
    )


def test_only_the_kinds_asked_for_are_named():
    assert BINANCE.streams(["BTCUSDT"], ["trades"]) == ["btcusdt@trade"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("btcusdt@aggTrade", "trades"),
        ("btcusdt@miniTicker", "ticker"),
        ("btcusdt@depth", "book"),
        ("btcusdt@depth20@100ms", "book"),
        ("btcusdt@kline_4h", "bars"),
    ],
)
def test_other_streams_of_the_same_kinds_are_known_too(name, kind):
    assert BINANCE.stream(name) == (kind, "BTCUSDT")


def test_an_aggregate_is_never_taken_for_a_trade_of_the_same_number():
    trade = said(TRADE)[0]
    aggregate = said({**TRADE, "e": "aggTrade", "a": TRADE["t"]}, "btcusdt@aggTrade")[0]
    assert (trade.trade_id, aggregate.trade_id) == (1, 2**62 + 1)


@pytest.mark.parametrize(
    ("limit", "weight"), [(1, 5), (100, 5), (101, 25), (500, 25), (1000, 50), (1001, 250), (5000, 250)]
)
def test_a_book_costs_by_its_depth(limit, weight):
    call = Call("binance", "/api/v3/depth", {"symbol": "BTCUSDT", "limit": str(limit)}, weight=weight)
    assert BINANCE.book_call("BTCUSDT", limit) == call


@pytest.mark.parametrize("limit", [0, 5001])
def test_no_book_is_deeper_than_the_venue_gives(limit):
    with pytest.raises(ValueError):
        BINANCE.book_call("BTCUSDT", limit)


def test_a_books_answer_is_its_snapshot():
    body = (FRAMES / "depth_partial.json").read_bytes()
    assert BINANCE.read_book(body, "BTCUSDT", NOW_US) == BookDelta(
        "BTCUSDT", NOW_US, NOW_US, ((50000.1, 10),), ((50000.2, 100),), 160, 160, snapshot=True
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"code":-1121,"msg":"Invalid symbol."}',
        b'{"lastUpdateId":1,"bids":[["-1","1"]],"asks":[]}',
        b'{"lastUpdateId":1,"bids":[["1"]],"asks":[]}',
        b'{"lastUpdateId":1,"bids":[["0","1"]],"asks":[]}',
        b'{"lastUpdateId":1,"bids":null,"asks":[]}',
    ],
)
def test_an_answer_that_is_no_book_is_refused(body):
    with pytest.raises(MalformedFrame):
        BINANCE.read_book(body, "BTCUSDT", NOW_US)


DEPTH = {"e": "depthUpdate", "E": 1769596201001, "s": "BTCUSDT", "U": 1, "u": 2, "b": [], "a": []}


@pytest.mark.parametrize(
    "change",
    [
        {"U": 3},
        {"u": -1},
        {"s": ""},
        {"E": 0},
        {"b": [["1"]]},
        {"b": [["1", "-1"]]},
        {"a": [["NaN", "1"]]},
        {"a": [["1", "inf"]]},
        {"a": [["0", "1"]]},
        {"a": None},
        {"b": [[["1"], "1"]]},
    ],
)
def test_a_change_of_the_book_with_an_impossible_part_is_malformed(change):
    with pytest.raises(MalformedFrame):
        said(DEPTH | change, "btcusdt@depth")


KLINE = {"t": 1769596200000, "i": "1m", "o": "2", "h": "3", "l": "1", "c": "2", "v": "1", "q": "2", "n": 1, "x": True}


@pytest.mark.parametrize(
    "change", [{"h": "1.5"}, {"l": "2.5"}, {"v": "-1"}, {"o": "0"}, {"x": "perhaps"}, {"t": 5}, {"n": -1}, {"c": "nan"}]
)
def test_a_candle_that_contradicts_itself_is_malformed(change):
    assert said({"e": "kline", "s": "BTCUSDT", "k": KLINE}, "btcusdt@kline_1m")[0].final
    with pytest.raises(MalformedFrame):
        said({"e": "kline", "s": "BTCUSDT", "k": KLINE | change}, "btcusdt@kline_1m")


@pytest.mark.parametrize(
    ("symbol", "parts"),
    [
        ("BTCUSDT", ("BTC", "USDT")),
        ("BTCFDUSD", ("BTC", "FDUSD")),
        ("ETHBTC", ("ETH", "BTC")),
        ("1000SATSUSDT", ("1000SATS", "USDT")),
        ("USDT", None),
        ("XYZ", None),
    ],
)
def test_a_symbol_is_split_at_its_longest_known_quote_currency(symbol, parts):
    assert guess_symbol(symbol) == BINANCE.base_quote(symbol) == parts


def test_sources_have_one_number_each():
    assert {SOURCE_NAMES[number]: number for number in SOURCE_NAMES} == SOURCES | CCXT_SOURCES
    assert len(SOURCE_NAMES) == len(SOURCES | CCXT_SOURCES)
    assert all(PROVIDERS[name].source == SOURCES[name] for name in PROVIDERS)


def test_backoff_is_full_jitter_bounded_and_forgets_after_a_healthy_minute():
    backoff = Backoff(random.Random(7).uniform)
    delays = [backoff.delay(lived_s=1) for _ in range(200)]
    assert all(0 <= delay <= min(0.25 * 2**i, 30) for i, delay in enumerate(delays))
    assert max(delays[10:]) > 25
    assert min(delays[10:]) < 5
    assert backoff.delay(lived_s=60) <= 0.25


@pytest.mark.parametrize(
    ("name", "files"),
    [("btcusdt_20240808", ["btcusdt_20240808"]), ("btcusdt_20240808+09", ["btcusdt_20240808", "btcusdt_20240809"])],
)
def test_a_recording_gives_what_an_independent_computation_found(name, files):
    truth = expected()["hftbacktest_spot"][name]
    kinds = collections.Counter()
    trades = []
    for file in files:
        for frame, received_us in frames(f"hftbacktest/spot/{file}.gz"):
            for value in decode(frame, received_us):
                kinds[type(value)] += 1
                if type(value) is Trade:
                    trades.append(value)
    assert kinds[Trade] == truth["trades"]
    assert kinds[Quote] == truth["kinds"]["btcusdt@bookTicker"]
    assert kinds[BookDelta] == truth["kinds"]["btcusdt@depth@100ms"]
    assert kinds[Unknown] == truth["kinds"]["snapshot"]
    assert len({t.trade_id for t in trades}) == trades[-1].trade_id - trades[0].trade_id + 1 == len(trades)
    # float64 gives back each decimal as it came, so that sums of the texts are exact.
    volume = sum(Decimal(repr(t.quantity)) for t in trades)
    money = sum(Decimal(repr(t.quantity)) * Decimal(repr(t.price)) for t in trades)
    assert volume == Decimal(truth["base_volume"])
    assert round(money / volume, 8) == Decimal(truth["vwap"])
    assert_bars(trades, truth["minute_bars_by_T"])


def assert_bars(trades, truth):
    """The minute bars of the trades, shuffled and in batches, against strings of an independent computation."""
    shuffled = random.Random(7).sample(trades, len(trades))
    held = {}
    for i in range(0, len(shuffled), 500):
        rows = unpack_trades(pack_trades(shuffled[i : i + 500], {"BTCUSDT": 1}, 2))
        for bar in bars(fold(rows)):
            held[bar.time_us] = merge(held[bar.time_us], bar) if bar.time_us in held else bar
    assert set(held) == {int(time_s) * 1_000_000 for time_s in truth}
    for time_s, (*prices, volume, count) in truth.items():
        bar = held[int(time_s) * 1_000_000]
        assert [bar.open, bar.high, bar.low, bar.close] == [float(price) for price in prices]
        assert round(bar.volume, 8) == float(volume)
        assert bar.trades == count


def test_no_recorded_time_is_moved():
    """The recorder's clock was 1.27 s behind the venue's: that shows, instead of being clamped."""
    lags = [
        value.received_us - value.time_us
        for frame, received_us in frames("hftbacktest/spot/btcusdt_20240808.gz")
        for value in decode(frame, received_us)
        if type(value) is Trade
    ]
    assert -1_300_000 < np.median(lags) < -1_200_000


@pytest.mark.parametrize("venue", ["BINANCE", "BINANCE_US"])
def test_another_recording_gives_what_an_independent_computation_found(venue):
    """Books joined by hand to the snapshots that REST gave, aggregates, candles, quotes; in thin markets."""
    truth = expected()["cryptofeed_binance"][f"main_20211012_{venue}"]
    told = [
        value
        for frame, received_us in stamped(f"cryptofeed/main/{venue}.ws.1.0.gz")
        for value in decode(frame, received_us)
    ]
    kinds = collections.Counter(type(value) for value in told)
    assert kinds == {
        BookDelta: truth["frames"]["depth@100ms"],
        Quote: truth["frames"]["bookTicker"],
        Trade: truth["frames"]["aggTrade"],
        VenueBar: truth["frames"]["kline_1m"],
    }
    aggregates = collections.defaultdict(list)
    for value in told:
        if type(value) is Trade:
            assert value.trade_id > 2**62
            aggregates[value.symbol].append(Decimal(repr(value.quantity)))
    assert {symbol: [len(part), sum(part)] for symbol, part in aggregates.items()} == {
        symbol: [count, Decimal(quantity)] for symbol, (count, quantity) in truth["aggTrades"].items()
    }
    assert {bar.interval for bar in told if type(bar) is VenueBar} == {"1m"}
    for url, body in answers(f"cryptofeed/main/{venue}.http.0.0.gz"):
        symbol = parse_qs(urlsplit(url).query)["symbol"][0]
        assert_book(symbol, BINANCE.read_book(body, symbol, NOW_US), told, truth["books"][symbol])


def assert_book(symbol, snapshot, told, truth):
    assert snapshot.last_id == truth["snapshot_lastUpdateId"]
    assert [len(snapshot.bids), len(snapshot.asks)] == truth["snapshot_levels"]
    bids, asks = dict(snapshot.bids), dict(snapshot.asks)
    later = [
        value
        for value in told
        if type(value) is BookDelta and value.symbol == symbol and value.last_id > snapshot.last_id
    ]
    assert len(later) == truth["applied"]
    for delta in later:
        bids |= dict(delta.bids)
        asks |= dict(delta.asks)
    assert later[-1].last_id == truth["final_update_id"]
    for side, name, best in ((bids, "bids", max), (asks, "asks", min)):
        standing = {price: quantity for price, quantity in side.items() if quantity}
        assert len(standing) == truth[f"n_{name}"]
        top = best(standing)
        assert [top, standing[top]] == [float(text) for text in truth[f"top_{name}"][0]]


def test_quoted_frames_without_their_streams_names_are_read():
    said = [
        value
        for frame in quoted("binance_spot_bookTicker_miniTicker_BTCUSDT_20260812.jsonl")
        for value in decode(frame, NOW_US)
    ]
    assert [type(value) for value in said] == [Ack, Quote, Quote, Ticker, Ticker]
    assert (said[1].quote_id, said[1].bid, said[4].quote_volume) == (98494969448, 63704, 940091352.0788604)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ws_spot_trade", Trade("ETHUSDT", 1639351062243000, NOW_US, 705291099, 4149.74, 0.4387, SELL)),
        ("ws_spot_agg_trade", Trade("ETHUSDT", 1675759520847000, NOW_US, 2**62 + 226532, 1632.46, 0.34305, BUY)),
        ("ws_spot_ticker_book", Quote("ETHUSDT", NOW_US, NOW_US, 12711621188, 4507.24, 2.3595, 4507.25, 2.8457)),
    ],
)
def test_fields_that_came_and_went_change_nothing(name, value):
    assert decode(recording(f"nautilus/binance/{name}.json").read_bytes(), NOW_US) == [value]


def test_a_documents_example_with_an_invented_time_is_refused():
    with pytest.raises(MalformedFrame, match="neither in milliseconds nor in microseconds"):
        decode(recording("nautilus/binance/ws_spot_ticker_24hr.json").read_bytes(), NOW_US)
