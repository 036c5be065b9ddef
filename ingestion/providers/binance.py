"""Binance spot: combined market streams. Pure.

https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Final
from urllib.parse import quote as percent_encoded

import msgspec

from ingestion.providers.provider import (
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
from ingestion.ticks import BUY, SELL, Quote, Ticker, Trade

STREAM_OF_KIND: Final = {TRADES: "trade", QUOTES: "bookTicker", TICKER: "ticker"}
KIND_OF_STREAM: Final = {stream: kind for kind, stream in STREAM_OF_KIND.items()}

# No limit on the names of one request is documented; far longer requests have been refused.
NAMES_PER_REQUEST: Final = 200

# Its documented limits are 5 messages a second, 1,024 streams, 300 connections in 5 minutes, 24 hours. It pings every
# 20 s, so that 60 s without a frame means three lost pings.
LIMITS: Final = Limits(
    max_frame_bytes=8 * 1024 * 1024,
    messages_per_s=4.0,
    message_burst=3,
    streams_per_connection=1024,
    connects_per_s=1.0,
    connect_burst=5,
    silence_timeout_s=60.0,
    rotate_after_s=23 * 3600.0,
)

LARGEST_ID: Final = 2**63 - 1

QUOTE_CURRENCIES: Final = (
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USD1", "USDP", "USD", "DAI", "BTC", "ETH", "BNB", "SOL", "XRP", "TRX",
    "DOGE", "EUR", "GBP", "AUD", "TRY", "BRL", "JPY", "ARS", "MXN", "ZAR", "PLN", "RON", "UAH", "NGN", "IDR", "COP",
    "CZK", "BIDR", "PAX", "VAI",
)  # fmt: skip
_LONGEST_FIRST: Final = sorted(QUOTE_CURRENCIES, key=len, reverse=True)


class _Trade(msgspec.Struct, gc=False):
    s: str
    t: int
    p: float
    q: float
    T: int
    m: bool


class _BookTicker(msgspec.Struct, gc=False):
    u: int
    s: str
    b: float
    B: float
    a: float
    A: float


class _Ticker(msgspec.Struct, gc=False):
    s: str
    E: int
    c: float
    o: float
    h: float
    l: float  # noqa: E741 - the venue's name
    v: float
    q: float


class _TradeFrame(msgspec.Struct, gc=False):
    data: _Trade


class _BookTickerFrame(msgspec.Struct, gc=False):
    data: _BookTicker


class _TickerFrame(msgspec.Struct, gc=False):
    data: _Ticker


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


# Not strict: prices are decimal strings, which the decoder turns into the nearest float64 itself.
_any = msgspec.json.Decoder(_AnyFrame, strict=False).decode
_trade_frame = msgspec.json.Decoder(_TradeFrame, strict=False).decode
_book_ticker_frame = msgspec.json.Decoder(_BookTickerFrame, strict=False).decode
_ticker_frame = msgspec.json.Decoder(_TickerFrame, strict=False).decode
_trade = msgspec.json.Decoder(_Trade, strict=False).decode
_book_ticker = msgspec.json.Decoder(_BookTicker, strict=False).decode
_ticker = msgspec.json.Decoder(_Ticker, strict=False).decode


class _Unreadable(ValueError):
    """Why a frame that is good JSON cannot be taken."""


def _time_us(time: int) -> int:
    """Milliseconds (13 digits) or microseconds (16 digits) since 1970 as microseconds: the venue sends either."""
    if 1_000_000_000_000 <= time < 10_000_000_000_000:
        return time * 1000
    if 1_000_000_000_000_000 <= time < 10_000_000_000_000_000:
        return time
    raise _Unreadable(f"time {time} is neither in milliseconds nor in microseconds")


def _read_trade(d: _Trade, received_us: int) -> Trade:
    """{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000",
    "T":1723161255342,"m":true,"M":true}"""
    # Chained comparisons are false for NaN.
    if not (0 <= d.p < inf and 0 <= d.q < inf and d.s and 0 <= d.t <= LARGEST_ID):
        raise _Unreadable("a trade's symbol, id, price or quantity makes no sense")
    # `m`: the buyer was the maker, so the taker sold.
    return Trade(d.s, _time_us(d.T), received_us, d.t, d.p, d.q, SELL if d.m else BUY)


def _read_book_ticker(d: _BookTicker, received_us: int) -> Quote:
    """{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}

    The venue gives no time for it.
    """
    if not (0 <= d.b < inf and 0 <= d.B < inf and 0 <= d.a < inf and 0 <= d.A < inf and d.s and 0 <= d.u <= LARGEST_ID):
        raise _Unreadable("a quote's symbol, id, prices or quantities make no sense")
    return Quote(d.s, received_us, received_us, d.u, d.b, d.B, d.a, d.A)


def _read_ticker(d: _Ticker, received_us: int) -> Ticker:
    """{"e":"24hrTicker","E":1672515782136,"s":"BNBBTC","c":"0.0025","o":"0.0010","h":"0.0025","l":"0.0010",
    "v":"10000","q":"18", …}: of the last 24 hours, not of a calendar day."""
    if not (d.s and all(0 <= x < inf for x in (d.c, d.o, d.h, d.l, d.v, d.q))):
        raise _Unreadable("a ticker's symbol, prices or volumes make no sense")
    return Ticker(d.s, _time_us(d.E), received_us, d.c, d.o, d.h, d.l, d.v, d.q)


# By what follows the `@` of a stream's name: the decoder of the whole frame, and the reader of its payload.
_Reader = Callable[[Any, int], Said]
_COMBINED: Final[dict[bytes, tuple[Callable[[bytes], Any], _Reader]]] = {
    b"trade": (_trade_frame, _read_trade),
    b"bookTicker": (_book_ticker_frame, _read_book_ticker),
    b"ticker": (_ticker_frame, _read_ticker),
}
# By the event's type `e`, for frames that no stream name wraps.
_RAW: Final[dict[str, tuple[Callable[[bytes], Any], _Reader]]] = {
    "trade": (_trade, _read_trade),
    "24hrTicker": (_ticker, _read_ticker),
}
_HEAD: Final = b'{"stream":"'
_LONGEST_NAME: Final = 256


def decode(frame: bytes | str, received_us: int) -> list[Said]:
    """What one frame says: mostly one value. Raises MalformedFrame.

    {"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT", …}}, the payload alone, or an answer to a request:
    {"result":null,"id":1}, {"code":2,"msg":"Invalid request","id":1}, {"error":{"code":4,"msg":"…"},"id":1}.
    """
    try:
        raw = frame.encode() if isinstance(frame, str) else frame
        if len(raw) > LIMITS.max_frame_bytes:
            raise _Unreadable("too long")
        # The stream's name stands first and tells the rest's type, so that one typed decode does it all.
        if raw.startswith(_HEAD):
            end = raw.find(b'"', len(_HEAD), _LONGEST_NAME)
            known = _COMBINED.get(raw[raw.find(b"@", len(_HEAD), end) + 1 : end])
            if known is not None:
                return [known[1](known[0](raw).data, received_us)]
        return [_decode_any(raw, received_us)]
    except (msgspec.DecodeError, UnicodeError, _Unreadable, RecursionError) as error:
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
        return Unknown("depth")
    raise _Unreadable("neither an event nor an answer")


def _decode_stream(stream: str, data: bytes, received_us: int) -> Said:
    """The payload of a combined frame."""
    if stream == "!serverShutdown":
        return Shutdown(_announced_us(_any(data).E, received_us) if data else received_us)
    kind = stream.partition("@")[2]
    if kind == "trade":
        return _read_trade(_trade(data), received_us)
    if kind == "bookTicker":
        return _read_book_ticker(_book_ticker(data), received_us)
    if kind == "ticker":
        return _read_ticker(_ticker(data), received_us)
    return Unknown(stream)


def _decode_event(frame: _AnyFrame, raw: bytes, received_us: int) -> Said:
    """A payload that came alone."""
    assert frame.e is not None
    if frame.e == "serverShutdown":
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
    parts = [tuple(streams[at : at + NAMES_PER_REQUEST]) for at in range(0, len(streams), NAMES_PER_REQUEST)]
    return [
        Ask(msgspec.json.encode({"method": method, "params": names, "id": request_id}).decode(), request_id, names)
        for request_id, names in enumerate(parts, first_id)
    ]


class Binance:
    """The `Provider`. It subscribes to an unknown symbol without complaint: names are checked before."""

    name = "binance"
    kinds: tuple[str, ...] = (TRADES, QUOTES, TICKER)
    limits = LIMITS
    acknowledges = True
    counts_trades = True
    book: BookRule | None = None
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
