"""Binance spot: combined market streams, and the snapshot that a book begins with. Pure.

https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md
"""

from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote as percent_encoded

import msgspec

from ingestion.candles import INTERVALS
from ingestion.providers.provider import (
    BARS,
    BOOK,
    QUOTES,
    TICKER,
    TRADES,
    Ack,
    Ask,
    BookRule,
    Limits,
    MalformedFrame,
    Said,
    Shutdown,
    Unknown,
    VenueError,
)
from ingestion.providers.wire import Amount, Id, Price, Symbol, Unreadable, batches, sane_bar
from ingestion.rest.call import Call
from ingestion.ticks import BUY, SELL, BookDelta, BookSnapshot, Quote, Ticker, Trade, VenueBar

STREAM_OF_KIND: Final = {
    TRADES: "trade",
    QUOTES: "bookTicker",
    TICKER: "ticker",
    BOOK: "depth@100ms",
    BARS: "kline_1m",
}
# All that is read, whether or not it is what we ask for.
KIND_OF_STREAM: Final = (
    {stream: kind for kind, stream in STREAM_OF_KIND.items()}
    | {"aggTrade": TRADES, "miniTicker": TICKER, "depth": BOOK}
    | {f"depth{levels}{speed}": BOOK for levels in (5, 10, 20) for speed in ("", "@100ms")}
    | {f"kline_{interval}": BARS for interval in INTERVALS}
)

# No limit on the names of one request is documented; far longer requests have been refused.
NAMES_PER_REQUEST: Final = 200

# Its documented limits are 5 messages a second, 1,024 streams, 300 connections in 5 minutes, 24 hours. It pings every
# 20 s, so that 60 s without a frame means three lost pings. Our pongs count too: four messages at most in any second.
LIMITS: Final = Limits(
    max_frame_bytes=8 * 1024 * 1024,
    messages_per_s=3.0,
    message_burst=1,
    streams_per_connection=1024,
    connects_per_s=1.0,
    connect_burst=5,
    silence_timeout_s=60.0,
    rotate_after_s=23 * 3600.0,
)

# An aggregate trade's own number is another one than its trades': moved out of their way, so that neither is ever
# taken for the other.
AGGREGATE_IDS: Final = 2**62

# What a snapshot of so many levels a side costs of 6,000 a minute.
DEPTH_WEIGHTS: Final = {100: 5, 500: 25, 1000: 50, 5000: 250}
DEPTH_MAX: Final = max(DEPTH_WEIGHTS)

QUOTE_CURRENCIES: Final = (
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USD1", "USDP", "USD", "DAI", "BTC", "ETH", "BNB", "SOL", "XRP", "TRX",
    "DOGE", "EUR", "GBP", "AUD", "TRY", "BRL", "JPY", "ARS", "MXN", "ZAR", "PLN", "RON", "UAH", "NGN", "IDR", "COP",
    "CZK", "BIDR", "PAX", "VAI",
)  # fmt: skip
_LONGEST_FIRST: Final = sorted(QUOTE_CURRENCIES, key=len, reverse=True)

Levels = tuple[tuple[Price, Amount], ...]


class _Trade(msgspec.Struct, gc=False):
    s: Symbol
    t: Id
    p: Amount
    q: Amount
    T: int
    m: bool


class _Aggregate(msgspec.Struct, gc=False):
    s: Symbol
    a: Id
    p: Amount
    q: Amount
    T: int
    m: bool


class _BookTicker(msgspec.Struct, gc=False):
    u: Id
    s: Symbol
    b: Amount
    B: Amount
    a: Amount
    A: Amount


class _Ticker(msgspec.Struct, gc=False):
    s: Symbol
    E: int
    c: Amount
    o: Amount
    h: Amount
    l: Amount  # noqa: E741 - the venue's name
    v: Amount
    q: Amount


class _Depth(msgspec.Struct, gc=False):
    s: Symbol
    E: int
    U: Id
    u: Id
    b: Levels
    a: Levels


class _Snapshot(msgspec.Struct, gc=False):
    last_update_id: Id = msgspec.field(name="lastUpdateId")
    bids: Levels
    asks: Levels


class _Candle(msgspec.Struct, gc=False):
    t: int
    i: str
    o: Price
    h: Price
    l: Price  # noqa: E741 - the venue's name
    c: Price
    v: Amount
    q: Amount
    n: Id
    x: bool


class _Kline(msgspec.Struct, gc=False):
    s: Symbol
    k: _Candle


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _AnyFrame(msgspec.Struct):
    """The fields that tell what a frame is, whichever it is."""

    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    e: str | None = None
    E: int = 0
    u: int | None = None
    B: Any = None
    last_update_id: int | None = msgspec.field(default=None, name="lastUpdateId")
    id: int | str | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: _Error | None = None
    code: int | None = None
    msg: str = ""


def _time_us(time: int) -> int:
    """Milliseconds (13 digits) or microseconds (16 digits) since 1970 as microseconds: the venue sends either."""
    if 1_000_000_000_000 <= time < 10_000_000_000_000:
        return time * 1000
    if 1_000_000_000_000_000 <= time < 10_000_000_000_000_000:
        return time
    raise Unreadable(f"time {time} is neither in milliseconds nor in microseconds")


def _read_trade(d: _Trade, received_us: int) -> Trade:
    """{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000",
    "T":1723161255342,"m":true,"M":true}"""
    # `m`: the buyer was the maker, so the taker sold.
    return Trade(d.s, _time_us(d.T), received_us, d.t, d.p, d.q, SELL if d.m else BUY)


def _read_aggregate(d: _Aggregate, received_us: int) -> Trade:
    """{"e":"aggTrade","E":1675759520848,"s":"ETHUSDT","a":226532,"p":"1632.46000000","q":"0.34305000","f":228423,
    "l":228423,"T":1675759520847,"m":false,"M":true}: what one order took at one price."""
    if d.a >= AGGREGATE_IDS:
        raise Unreadable("an aggregate trade's id beyond all that were given")
    return Trade(d.s, _time_us(d.T), received_us, AGGREGATE_IDS + d.a, d.p, d.q, SELL if d.m else BUY)


def _read_book_ticker(d: _BookTicker, received_us: int) -> Quote:
    """{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}

    The venue gives no time for it.
    """
    return Quote(d.s, received_us, received_us, d.u, d.b, d.B, d.a, d.A)


def _read_ticker(d: _Ticker, received_us: int) -> Ticker:
    """{"e":"24hrTicker","E":1672515782136,"s":"BNBBTC","c":"0.0025","o":"0.0010","h":"0.0025","l":"0.0010",
    "v":"10000","q":"18", …}: of the last 24 hours, not of a calendar day. `24hrMiniTicker` has just these."""
    return Ticker(d.s, _time_us(d.E), received_us, d.c, d.o, d.h, d.l, d.v, d.q)


def _read_depth(d: _Depth, received_us: int) -> BookDelta:
    """{"e":"depthUpdate","E":1633998512068,"s":"NKNUSDT","U":499869750,"u":499869752,
    "b":[["0.35130000","6195.00000000"]],"a":[["0.34640000","0.00000000"]]}"""
    if d.u < d.U:
        raise Unreadable("a change of the book that ends before it begins")
    return BookDelta(d.s, _time_us(d.E), received_us, d.b, d.a, d.U, d.u)


def _read_kline(d: _Kline, received_us: int) -> Said:
    """{"e":"kline","E":1672515782136,"s":"BNBBTC","k":{"t":1672515780000,"T":1672515839999,"s":"BNBBTC","i":"1m",
    "o":"0.0010","c":"0.0020","h":"0.0025","l":"0.0015","v":"1000","n":100,"x":false,"q":"1.0000", …}}

    `x`: closed.
    """
    k = d.k
    if k.i not in INTERVALS:
        return Unknown(f"kline_{k.i}")
    return sane_bar(VenueBar(d.s, k.i, _time_us(k.t), received_us, k.o, k.h, k.l, k.c, k.v, k.q, k.n, k.x))


_Reader = Callable[[Any, int], Said]


def _decoder(payload: Any) -> Callable[[bytes], Any]:
    # Not strict: prices are decimal strings, which the decoder turns into the nearest float64 itself.
    return msgspec.json.Decoder(payload, strict=False).decode


def _frame_decoder(payload: Any) -> Callable[[bytes], Any]:
    return _decoder(msgspec.defstruct("_Frame", [("data", payload)], gc=False))


# By the event's type `e`: its payload, and what reads it.
_EVENTS: Final[dict[str, tuple[Any, _Reader]]] = {
    "trade": (_Trade, _read_trade),
    "aggTrade": (_Aggregate, _read_aggregate),
    "24hrTicker": (_Ticker, _read_ticker),
    "24hrMiniTicker": (_Ticker, _read_ticker),
    "depthUpdate": (_Depth, _read_depth),
    "kline": (_Kline, _read_kline),
}
# The same by what follows the `@` of a stream's name; a book's best carries no type.
_STREAMS: Final[dict[str, tuple[Any, _Reader]]] = {
    "trade": _EVENTS["trade"],
    "aggTrade": _EVENTS["aggTrade"],
    "bookTicker": (_BookTicker, _read_book_ticker),
    "ticker": _EVENTS["24hrTicker"],
    "miniTicker": _EVENTS["24hrMiniTicker"],
    "depth": _EVENTS["depthUpdate"],
    "depth@100ms": _EVENTS["depthUpdate"],
    "depth@1000ms": _EVENTS["depthUpdate"],
} | {f"kline_{interval}": _EVENTS["kline"] for interval in INTERVALS}

_COMBINED: Final = {name.encode(): (_frame_decoder(payload), read) for name, (payload, read) in _STREAMS.items()}
_UNWRAPPED: Final = {name: (_decoder(payload), read) for name, (payload, read) in _STREAMS.items()}
_RAW: Final = {name: (_decoder(payload), read) for name, (payload, read) in _EVENTS.items()}
_PARTIAL: Final = frozenset(name for name in KIND_OF_STREAM if name.startswith("depth") and name not in _STREAMS)
_any: Final = _decoder(_AnyFrame)
_book_ticker: Final = _decoder(_BookTicker)
_snapshot: Final = _decoder(_Snapshot)

_HEAD: Final = b'{"stream":"'
_LONGEST_NAME: Final = 256
SHUTDOWN: Final = "serverShutdown"


def decode(frame: bytes | str, received_us: int) -> list[Said]:
    """What one frame says: mostly one value. Raises MalformedFrame.

    {"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT", …}}, the payload alone, or an answer to a request:
    {"result":null,"id":1}, {"code":2,"msg":"Invalid request","id":1}, {"error":{"code":4,"msg":"…"},"id":1}.
    """
    try:
        raw = frame.encode() if isinstance(frame, str) else frame
        if len(raw) > LIMITS.max_frame_bytes:
            raise Unreadable("too long")
        # The stream's name stands first and tells the rest's type, so that one typed decode does it all.
        if raw.startswith(_HEAD):
            end = raw.find(b'"', len(_HEAD), _LONGEST_NAME)
            known = _COMBINED.get(raw[raw.find(b"@", len(_HEAD), end) + 1 : end])
            if known is not None:
                return [known[1](known[0](raw).data, received_us)]
        return [_decode_any(raw, received_us)]
    except (msgspec.DecodeError, UnicodeError, Unreadable, RecursionError) as error:
        raise MalformedFrame(frame, str(error)) from error


def _decode_any(raw: bytes, received_us: int) -> Said:
    """The same in two steps: whatever the order of its fields, and whatever it is."""
    frame = _any(raw)
    if frame.stream is not None:
        return _decode_stream(frame.stream, bytes(frame.data), received_us)
    if frame.e is not None:
        return _decode_event(frame, raw, received_us)
    if frame.error is not None:
        return VenueError(frame.error.code, frame.error.msg, frame.id)
    if frame.code is not None:
        return VenueError(frame.code, frame.msg, frame.id)
    if frame.result is not msgspec.UNSET:
        return Ack(frame.id)
    if frame.u is not None and frame.B is not None:
        return _read_book_ticker(_book_ticker(raw), received_us)
    if frame.last_update_id is not None:
        # Of which symbol only a stream's name would tell.
        return Unknown("depth")
    raise Unreadable("neither an event nor an answer")


def _decode_stream(stream: str, data: bytes, received_us: int) -> Said:
    """The payload of a combined frame."""
    if stream == f"!{SHUTDOWN}":
        return Shutdown(_announced_us(_any(data).E, received_us) if data else received_us)
    symbol, _, kind = stream.partition("@")
    known = _UNWRAPPED.get(kind)
    if known is not None:
        return known[1](known[0](data), received_us)
    if kind in _PARTIAL and symbol:
        return _read_partial(_snapshot(data), symbol.upper(), received_us)
    return Unknown(stream)


def _read_partial(d: _Snapshot, symbol: str, received_us: int) -> BookSnapshot:
    """{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}: neither symbol nor time."""
    return BookSnapshot(symbol, received_us, received_us, d.last_update_id, d.bids, d.asks)


def _decode_event(frame: _AnyFrame, raw: bytes, received_us: int) -> Said:
    """A payload that came alone."""
    assert frame.e is not None
    if frame.e == SHUTDOWN:
        return Shutdown(_announced_us(frame.E, received_us))
    known = _RAW.get(frame.e)
    if known is None:
        return Unknown(frame.e)
    return known[1](known[0](raw), received_us)


def _announced_us(time: int, received_us: int) -> int:
    """A notice counts even where its time is missing."""
    return _time_us(time) if time else received_us


def guess_symbol(symbol: str) -> tuple[str, str] | None:
    """Base and quote currency by the longest known quote currency that `symbol` ends with.

    A guess, for instruments met in recordings only: the venue's `exchangeInfo` is the truth.

    >>> guess_symbol("BTCUSDT"), guess_symbol("USDT")
    (('BTC', 'USDT'), None)
    """
    for currency in _LONGEST_FIRST:
        if symbol.endswith(currency) and len(symbol) > len(currency):
            return symbol.removesuffix(currency), currency
    return None


def _asks(method: str, streams: Sequence[str], first_id: int) -> list[Ask]:
    return [
        Ask(msgspec.json.encode({"method": method, "params": names, "id": request_id}).decode(), request_id, names)
        for request_id, names in enumerate(batches(streams, NAMES_PER_REQUEST), first_id)
    ]


class Binance:
    """The `Provider`. It subscribes to an unknown symbol without complaint: names are checked before."""

    name = "binance"
    kinds: tuple[str, ...] = (TRADES, QUOTES, TICKER, BOOK, BARS)
    limits = LIMITS
    acknowledges = True
    counts_trades = True
    book: BookRule | None = BookRule.SNAPSHOT_BY_REST
    needs_key = False

    def __init__(self, source: int) -> None:
        self.source = source

    def url(self, base: str, streams: Sequence[str] = (), key: str = "") -> str:
        """The combined endpoint, the only one whose every frame tells its stream."""
        url = base.rstrip("/") + "/stream"
        return url + "?streams=" + percent_encoded("/".join(streams), safe="/@!+:") if streams else url

    def streams(self, symbols: Sequence[str], kinds: Sequence[str] | None = None) -> list[str]:
        """`btcusdt@trade`, …: lower case, though the frames name BTCUSDT."""
        kinds = self.kinds if kinds is None else kinds
        return [f"{symbol.lower()}@{STREAM_OF_KIND[kind]}" for symbol in symbols for kind in kinds]

    def stream(self, name: str) -> tuple[str, str]:
        symbol, _, kind = name.partition("@")
        return KIND_OF_STREAM[kind], symbol.upper()

    def subscribe(self, streams: Sequence[str], request_id: int) -> list[Ask]:
        return _asks("SUBSCRIBE", streams, request_id)

    def unsubscribe(self, streams: Sequence[str], request_id: int) -> list[Ask]:
        return _asks("UNSUBSCRIBE", streams, request_id)

    def decode(self, frame: bytes | str, received_us: int) -> list[Said]:
        return decode(frame, received_us)

    def base_quote(self, symbol: str) -> tuple[str, str] | None:
        return guess_symbol(symbol)

    def instrument_kind(self, symbol: str) -> str:
        return "crypto"

    def book_call(self, symbol: str, limit: int) -> Call:
        """The question for a book of the best `limit` levels a side: the more, the dearer."""
        if not 1 <= limit <= DEPTH_MAX:
            raise ValueError(f"a book of {limit} levels")
        weight = next(cost for most, cost in DEPTH_WEIGHTS.items() if limit <= most)
        return Call(self.name, "/api/v3/depth", {"symbol": symbol, "limit": str(limit)}, weight=weight)

    def read_book(self, body: bytes, symbol: str, received_us: int) -> BookDelta:
        """Its answer: {"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"], …],"asks":[…]}, without a time.

        Raises MalformedFrame.
        """
        try:
            d = _snapshot(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise MalformedFrame(body, str(error)) from error
        last = d.last_update_id
        return BookDelta(symbol, received_us, received_us, d.bids, d.asks, last, last, snapshot=True)
