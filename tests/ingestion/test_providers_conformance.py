"""What any provider must do, whichever venue it is.

A new one passes by one entry in SYMBOLS and its frames in `tests/frames/<name>/`: one of each shape that the venue
sends, among them one with an unknown field and one of an unknown stream.
"""

import copy
import itertools
import json
import math
import random
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.providers import PROVIDERS, SOURCES, Ack, Heartbeat, MalformedFrame, Numbered, Unknown, VenueError
from ingestion.providers.provider import BARS, BOOK, QUOTES, TICKER, TRADES, Said, Shutdown
from ingestion.ticks import BUY, SELL, UNKNOWN_SIDE, BookDelta, BookSnapshot, Quote, Ticker, Trade, VenueBar
from tests.ingestion import recordings

# As frames spell them; those that occur in a provider's frames are among them.
SYMBOLS = {
    "binance": ["BTCUSDT", "ETHUSDT", "这是测试币456"],
    "coinbase": ["BTC-USD", "ETH-USD", "00-USD"],
    "kraken": ["BTC/USD", "DOGE/USDT", "ETH/EUR"],
    "finnhub": ["AAPL", "TSLA", "BINANCE:BTCUSDT", "OANDA:EUR_USD"],
}

# Frames that others recorded, to be mutated.
RECORDED = {
    "binance": lambda: [frame for frame, _ in recordings.stamped("cryptofeed/main/BINANCE_US.ws.1.0.gz")],
    "coinbase": lambda: [
        f for f, _ in recordings.typed("cryptofeed/v3/COINBASE_seq0-299.jsonl.zst") if len(f) < 20_000
    ],
    "kraken": lambda: [
        frame
        for kind in ("trade", "ticker", "book")
        for frame, _ in itertools.islice(recordings.kraken_v2(kind), 400)
        if len(frame) < 20_000
    ],
    "finnhub": lambda: list(recordings.quoted("finnhub_ws_frames.jsonl")),
}

FRAMES = Path(__file__).parent.parent / "frames"
NOW_US = 1_769_596_201_500_000
EARLIEST_US, LATEST_US = 1_000_000_000_000_000, 10_000_000_000_000_000
KINDS = {TRADES, QUOTES, TICKER, BOOK, BARS}

each_provider = pytest.mark.parametrize("name", sorted(PROVIDERS))


@cache
def samples(name):
    """The provider's frames by their names."""
    return {path.stem: path.read_bytes() for path in sorted((FRAMES / name).glob("*.json"))}


def every_value(name):
    return [value for frame in samples(name).values() for value in PROVIDERS[name].decode(frame, NOW_US)]


# --- What makes sense ----------------------------------------------------------------------------------------------


def amount(number):
    return type(number) is float and math.isfinite(number) and number >= 0


def level(pair):
    price, quantity = pair
    return amount(price) and price > 0 and amount(quantity)


def number(integer):
    return type(integer) is int and 0 <= integer < 2**63


def sane_book(value):
    return all(map(level, (*value.bids, *value.asks))) and type(value.bids) is type(value.asks) is tuple


SENSE = {
    Trade: lambda v: (
        amount(v.price) and amount(v.quantity) and number(v.trade_id) and v.side in (BUY, SELL, UNKNOWN_SIDE)
    ),
    Quote: lambda v: all(map(amount, (v.bid, v.bid_quantity, v.ask, v.ask_quantity))) and number(v.quote_id),
    Ticker: lambda v: (
        all(map(amount, (v.last, v.open, v.high, v.low, v.volume)))
        and (v.quote_volume is None or amount(v.quote_volume))
    ),
    BookSnapshot: lambda v: sane_book(v) and number(v.update_id),
    BookDelta: lambda v: (
        sane_book(v)
        and number(v.first_id)
        and number(v.last_id)
        and v.first_id <= v.last_id
        and (v.checksum is None or (number(v.checksum) and v.checksum < 2**32))
    ),
    VenueBar: lambda v: (
        0 < v.low <= min(v.open, v.close)
        and max(v.open, v.close) <= v.high < math.inf
        and amount(v.volume)
        and (v.quote_volume is None or amount(v.quote_volume))
        and (v.trades is None or number(v.trades))
        and type(v.final) is bool
    ),
    Ack: lambda v: all(type(stream) is str for stream in v.streams),
    VenueError: lambda v: type(v.code) is int and type(v.message) is str,
    Shutdown: lambda v: EARLIEST_US <= v.time_us < LATEST_US,
    Heartbeat: lambda v: EARLIEST_US <= v.time_us < LATEST_US,
    Numbered: lambda v: number(v.sequence),
    Unknown: lambda v: type(v.stream) is str,
}


def assert_sane(said, received_us=NOW_US):
    assert type(said) is list
    for value in said:
        assert SENSE[type(value)](value), value
        if hasattr(value, "received_us"):
            assert value.received_us == received_us, value
            assert EARLIEST_US <= value.time_us < LATEST_US, value
            assert type(value.symbol) is str, value
            assert value.symbol, value


def assert_read_or_refused(name, frame):
    """Whatever it is: values that make sense, or MalformedFrame."""
    try:
        said = PROVIDERS[name].decode(frame, NOW_US)
    except MalformedFrame:
        return
    assert_sane(said)


def test_all_that_can_be_said_is_judged_here():
    assert set(SENSE) == set(Said.__args__)


# --- The registry --------------------------------------------------------------------------------------------------


@each_provider
def test_it_is_registered_under_its_name_and_number(name):
    provider = PROVIDERS[name]
    assert provider.name == name
    assert provider.source == SOURCES[name]
    assert provider.kinds
    assert set(provider.kinds) <= KINDS
    assert (provider.book is not None) == (BOOK in provider.kinds)


@each_provider
def test_its_limits_are_limits(name):
    limits = PROVIDERS[name].limits
    for field in ("messages_per_s", "connects_per_s", "silence_timeout_s", "rotate_after_s"):
        assert 0 < getattr(limits, field) < math.inf
    assert min(limits.message_burst, limits.connect_burst) >= 1
    assert limits.streams_per_connection >= len(PROVIDERS[name].kinds)
    assert 1024 <= limits.max_frame_bytes <= 32 * 1024 * 1024


# --- Wishes into messages ------------------------------------------------------------------------------------------


@each_provider
def test_a_streams_name_tells_its_kind_and_symbol(name):
    provider = PROVIDERS[name]
    for symbol in SYMBOLS[name]:
        for kind in provider.kinds:
            (stream,) = provider.streams([symbol], [kind])
            told, its_symbol = provider.stream(stream)
            assert its_symbol == symbol
            # One stream may bring two kinds: it is then named the same for both.
            assert told == kind or stream in provider.streams([symbol], [told])
            assert told in provider.kinds


@each_provider
def test_all_streams_of_all_symbols_are_named_once(name):
    provider = PROVIDERS[name]
    names = provider.streams(SYMBOLS[name])
    assert len(set(names)) == len(names)
    assert {provider.stream(stream)[1] for stream in names} == set(SYMBOLS[name])
    assert set(names) == {s for kind in provider.kinds for s in provider.streams(SYMBOLS[name], [kind])}
    assert provider.streams([]) == []
    assert provider.streams(SYMBOLS[name], []) == []


@each_provider
@pytest.mark.parametrize("method", ["subscribe", "unsubscribe"])
def test_requests_are_numbered_in_order_and_ask_for_each_stream_once(name, method):
    provider = PROVIDERS[name]
    symbols = [f"{SYMBOLS[name][0]}{i}" for i in range(provider.limits.streams_per_connection)]
    streams = provider.streams(symbols)[: provider.limits.streams_per_connection]
    ask = getattr(provider, method)
    asks = ask(streams, 41)
    assert [a.request_id for a in asks] == list(range(41, 41 + len(asks)))
    assert sorted(s for a in asks for s in a.streams) == sorted(streams)
    for a in asks:
        assert isinstance(json.loads(a.message), dict)
        assert len(a.message) < 16_384
        assert len(a.streams) <= 200
    assert ask([], 1) == []
    assert ask(streams, 41) == asks


@each_provider
def test_an_address_has_a_key_only_where_the_venue_wants_it_and_one_is_given(name):
    provider = PROVIDERS[name]
    streams = provider.streams(SYMBOLS[name])
    assert provider.url("wss://venue.example").startswith("wss://venue.example")
    assert ("s3cret" in provider.url("wss://venue.example", key="s3cret")) == provider.needs_key
    for ask in (*provider.subscribe(streams, 1), *provider.unsubscribe(streams, 1)):
        assert "s3cret" not in repr(ask)
    assert provider.url("wss://venue.example", streams, "").isascii()


# --- Frames into values --------------------------------------------------------------------------------------------


@each_provider
def test_a_symbol_is_the_name_of_something(name):
    for symbol in SYMBOLS[name]:
        assert PROVIDERS[name].instrument_kind(symbol) in {"crypto", "equity", "fx"}
        currencies = PROVIDERS[name].base_quote(symbol)
        assert currencies is None or all(currencies)


@each_provider
def test_there_is_a_frame_of_every_kind_it_reads(name):
    said = {type(value) for value in every_value(name)}
    kinds = {TRADES: {Trade}, QUOTES: {Quote}, TICKER: {Ticker}, BOOK: {BookDelta, BookSnapshot}, BARS: {VenueBar}}
    for kind in PROVIDERS[name].kinds:
        assert said & kinds[kind], kind
    assert VenueError in said
    assert (Ack in said) == PROVIDERS[name].acknowledges
    assert {"unknown_field", "unknown_stream"} <= samples(name).keys()


@each_provider
def test_every_frame_says_what_makes_sense(name):
    for frame in samples(name).values():
        for received_us in (NOW_US, NOW_US + 7):
            assert_sane(PROVIDERS[name].decode(frame, received_us), received_us)


@each_provider
def test_frames_name_symbols_as_streams_do(name):
    assert {value.symbol for value in every_value(name) if hasattr(value, "symbol")} <= set(SYMBOLS[name])
    named = {s for value in every_value(name) if isinstance(value, Ack) for s in value.streams}
    for stream in named:
        assert PROVIDERS[name].stream(stream)[1] in SYMBOLS[name]


@each_provider
def test_the_same_frame_says_the_same_again_as_bytes_or_text(name):
    decode = PROVIDERS[name].decode
    for frame in samples(name).values():
        said = decode(frame, NOW_US)
        assert decode(frame, NOW_US) == decode(frame.decode(), NOW_US) == said


@each_provider
def test_an_unknown_field_anywhere_changes_nothing(name):
    def with_more(part):
        if isinstance(part, dict):
            return {key: with_more(value) for key, value in part.items()} | {"a_new_field": []}
        return [with_more(value) for value in part] if isinstance(part, list) else part

    for shape, frame in samples(name).items():
        more = json.dumps(with_more(json.loads(frame)))
        assert PROVIDERS[name].decode(more, NOW_US) == PROVIDERS[name].decode(frame, NOW_US), shape


@each_provider
def test_the_order_of_fields_means_nothing(name):
    def reversed_fields(part):
        if isinstance(part, dict):
            return {key: reversed_fields(part[key]) for key in reversed(part)}
        return [reversed_fields(value) for value in part] if isinstance(part, list) else part

    for shape, frame in samples(name).items():
        said = PROVIDERS[name].decode(frame, NOW_US)
        turned = PROVIDERS[name].decode(json.dumps(reversed_fields(json.loads(frame))), NOW_US)
        assert sorted(map(repr, turned)) == sorted(map(repr, said)), shape


@each_provider
def test_what_it_does_not_know_is_unknown_and_no_error(name):
    said = PROVIDERS[name].decode(samples(name)["unknown_stream"], NOW_US)
    assert [value for value in said if type(value) is not Numbered] == [
        value for value in said if type(value) is Unknown
    ]
    assert Unknown in map(type, said)


@each_provider
@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b" ",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"5",
        b'"pong"',
        b"\xff\xfe\x00\x01",
        b"<html><body>Bad Gateway</body></html>",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"data":[{"a":' * 50_000,
        b'{"channel":"' + b"x" * 100_000,
        "\ud800",
        "not json, but a sentence",
    ],
    ids=lambda frame: repr(frame[:16]),
)
def test_rubbish_is_malformed_and_shown_by_its_beginning(name, frame):
    with pytest.raises(MalformedFrame) as error:
        PROVIDERS[name].decode(frame, NOW_US)
    assert error.value.frame == frame
    assert repr(frame[:16])[2:-1] in str(error.value)
    assert len(str(error.value)) < 1500


@each_provider
def test_a_frame_beyond_the_limit_is_refused_unread(name):
    provider = PROVIDERS[name]
    frame = samples(name)["unknown_field"].rstrip()
    padding = b" " * (provider.limits.max_frame_bytes - len(frame))
    assert_sane(provider.decode(frame + padding, NOW_US))
    with pytest.raises(MalformedFrame, match="too long"):
        provider.decode(frame + padding + b" ", NOW_US)


@each_provider
def test_bytes_that_are_no_text_inside_a_good_frame_are_malformed(name):
    decode = PROVIDERS[name].decode
    for frame in samples(name).values():
        for symbol in {value.symbol for value in decode(frame, NOW_US) if hasattr(value, "symbol")}:
            text = symbol if symbol.encode() in frame else symbol.lower()
            with pytest.raises(MalformedFrame):
                decode(frame.replace(text[1:].encode(), b"\xc3\x28" + text[2:].encode()), NOW_US)


@each_provider
def test_deep_nesting_in_a_field_that_nobody_reads_does_no_harm(name):
    for frame in samples(name).values():
        whole = frame.rstrip().removesuffix(b"}")
        for deep in (b"[" * 50_000, b"[" * 50_000 + b"]" * 50_000 + b"}"):
            assert_read_or_refused(name, whole + b',"deep":' + deep)


# --- Mutants -------------------------------------------------------------------------------------------------------

NONSENSE = [
    None, True, False, -1, 0, 1.5, -0.0, 2**63, -(2**70), 10**400, 1e300, "", " ", "NaN", "nan", "-inf", "Infinity",
    "-1", "1e999", "0x10", "1_000", "١٢", "\x00", "\ud83d", [], {}, [[]], [None], {"": None}, "1970-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", 13 * "9", 16 * "9",
]  # fmt: skip


def places(part, path=()):
    """The path of every value in it."""
    yield path
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


def with_nonsense(frame, chance):
    """One value replaced, left out or doubled."""
    whole = [json.loads(frame)]
    *path, last = chance.choice([place for place in places(whole) if place])
    part = whole
    for step in path:
        part = part[step]
    match chance.randrange(8):
        case 0 if isinstance(part, dict):
            del part[last]
        case 1 if isinstance(part, list) and path:
            part.extend([copy.deepcopy(part[last])] * 3)
        case 2 if isinstance(part, dict):
            part[str(last) + "x"] = part.pop(last)
        case _:
            part[last] = chance.choice(NONSENSE)
    return json.dumps(whole[0]).encode()


def with_noise(frame, chance):
    """A few bytes changed, left out or doubled."""
    noisy = bytearray(frame)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(noisy) or 1)
        match chance.randrange(4):
            case 0:
                noisy[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del noisy[at : at + chance.randint(1, 8)]
            case 2:
                noisy[at:at] = noisy[at : at + chance.randint(1, 32)]
            case 3:
                noisy[at:at] = chance.choice([b'"', b",", b"-", b"9", b"e5", b"null", b"}", b"\\u0000", b"\x00"])
    return bytes(noisy)


@each_provider
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_mutant_of_a_frame_is_read_as_sense_or_refused(name, data):
    frame = data.draw(st.sampled_from(sorted(samples(name).values())))
    chance = data.draw(st.randoms(use_true_random=False))
    mutate = data.draw(st.sampled_from([with_nonsense, with_noise]))
    assert_read_or_refused(name, mutate(frame, chance))


@each_provider
def test_mutants_of_recorded_frames_are_read_as_sense_or_refused(name):
    chance = random.Random(7)
    frames = RECORDED[name]()
    for _ in range(1_000):
        assert_read_or_refused(name, chance.choice([with_nonsense, with_noise])(chance.choice(frames), chance))


@each_provider
@settings(max_examples=100)
@given(frame=st.binary(max_size=300) | st.text(max_size=300))
def test_any_bytes_and_any_text_are_read_as_sense_or_refused(name, frame):
    assert_read_or_refused(name, frame)


@each_provider
def test_every_recorded_frame_makes_sense(name):
    for frame in RECORDED[name]():
        assert_sane(PROVIDERS[name].decode(frame, NOW_US))
