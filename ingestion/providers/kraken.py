"""Kraken spot, WebSocket v2. Pure.

https://docs.kraken.com/api/docs/websocket-v2/book and the pages beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar

import msgspec

from ingestion.providers.provider import (
    BARS,
    BOOK,
    QUOTES,
    TICKER,
    TRADES,
    Ack,
    Ask,
    BookRule,
    Heartbeat,
    Limits,
    Said,
    Unknown,
    VenueError,
)
from ingestion.providers.wire import (
    Amount,
    ByChannel,
    Difference,
    Id,
    Price,
    Symbol,
    Time,
    Unreadable,
    batches,
    by_channel,
    channel,
    derived,
    oldest_first,
    reader,
    sane_bar,
    to_us,
)
from ingestion.ticks import BUY, SELL, BookDelta, Quote, Ticker, Trade, VenueBar

# Quotes and tickers come together in one channel.
CHANNEL_OF_KIND: Final = {TRADES: "trade", QUOTES: "ticker", TICKER: "ticker", BOOK: "book", BARS: "ohlc"}

# What is asked for with each subscription, and again to end it. `bbo`: a ticker whenever the best bid or ask changes,
# not only after trades.
BOOK_DEPTH: Final = 100
PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "trade": {"snapshot": True},
    "ticker": {"event_trigger": "bbo", "snapshot": True},
    "book": {"depth": BOOK_DEPTH, "snapshot": True},
    "ohlc": {"interval": 1, "snapshot": True},
}
INTERVALS: Final = {1: "1m", 5: "5m", 15: "15m", 60: "1h", 240: "4h", 1440: "1d"}

SYMBOLS_PER_REQUEST: Final = 100

# Its limit of messages is not told in figures; of connections, some 150 in ten minutes. Heartbeats come each second
# while nothing else does.
LIMITS: Final = Limits(
    max_frame_bytes=32 * 1024 * 1024,
    messages_per_s=4.0,
    message_burst=1,
    streams_per_connection=1000,
    connects_per_s=0.2,
    connect_burst=5,
    silence_timeout_s=15.0,
    rotate_after_s=23 * 3600.0,
)

ONLINE: Final = "online"
TAKER: Final = {"buy": BUY, "sell": SELL}
CHECKSUM_MAX: Final = 2**32


class _Trade(msgspec.Struct, gc=False):
    symbol: Symbol
    side: Literal["buy", "sell"]
    price: Amount
    qty: Amount
    trade_id: Id
    timestamp: Time


class _Ticker(msgspec.Struct, gc=False):
    symbol: Symbol
    bid: Amount
    bid_qty: Amount
    ask: Amount
    ask_qty: Amount
    last: Amount
    volume: Amount
    low: Amount
    high: Amount
    change: Difference
    timestamp: Time | None = None


class _Level(msgspec.Struct, gc=False):
    price: Price
    qty: Amount


class _Book(msgspec.Struct, gc=False):
    symbol: Symbol
    bids: list[_Level]
    asks: list[_Level]
    checksum: Id | None = None
    timestamp: Time | None = None


class _Candle(msgspec.Struct, gc=False):
    symbol: Symbol
    open: Price
    high: Price
    low: Price
    close: Price
    trades: Id
    volume: Amount
    interval_begin: Time
    interval: int


class _System(msgspec.Struct, gc=False):
    system: str


E_ = TypeVar("E_")


class _Frame(msgspec.Struct, Generic[E_], gc=False):
    type: Literal["snapshot", "update"]
    data: list[E_]


class _Result(msgspec.Struct):
    channel: str = ""
    symbol: str = ""


class _AnyFrame(msgspec.Struct):
    """The fields that tell what a frame is, whichever it is."""

    channel: str | None = None
    method: str | None = None
    req_id: int | None = None
    success: bool | None = None
    result: _Result | None = None
    symbol: str = ""
    error: str | None = None
    Error: str | None = None
    time_out: Time | None = None


def _trades(frame: _Frame[_Trade], received_us: int) -> list[Said]:
    """{"symbol":"BTC/USD","side":"sell","price":4136.4,"qty":0.23374249,"ord_type":"market","trade_id":31,
    "timestamp":"2026-08-12T19:28:44.084233Z"}: the taker's side; the latest fifty come as a snapshot."""
    return [
        *oldest_first(
            Trade(t.symbol, to_us(t.timestamp), received_us, t.trade_id, t.price, t.qty, TAKER[t.side])
            for t in frame.data
        )
    ]


def _tickers(frame: _Frame[_Ticker], received_us: int) -> list[Said]:
    """{"symbol":"BTC/USD","bid":63297.7,"bid_qty":5.75119051,"ask":63297.8,"ask_qty":0.36977971,"last":63297.8,
    "volume":1020.88387727,"vwap":63685.7,"low":63250,"high":64409.2,"change":0.7,"change_pct":0,"trades":47535,
    "timestamp":"2026-08-12T19:29:00.921195Z"}

    The opening price follows from the change. The volume in money is not told: `vwap` is rounded. Older frames have no
    time. The time in microseconds is the quote's id: the venue numbers no quotes.
    """
    said: list[Said] = []
    for t in frame.data:
        time_us = received_us if t.timestamp is None else to_us(t.timestamp)
        opened = derived(t.last - t.change)
        if opened < 0:
            raise Unreadable("a price that rose by more than it is")
        said.append(Ticker(t.symbol, time_us, received_us, t.last, opened, t.high, t.low, t.volume, None))
        said.append(Quote(t.symbol, time_us, received_us, time_us, t.bid, t.bid_qty, t.ask, t.ask_qty))
    return said


def _books(frame: _Frame[_Book], received_us: int) -> list[Said]:
    """{"symbol":"BTC/USD","bids":[{"price":63296.7,"qty":0},{"price":63294.6,"qty":5.1e-05}],"asks":[],
    "checksum":1153589921,"timestamp":"2026-08-12T19:28:09.140448Z"}

    A snapshot may come again in mid-stream, a thin one carries no checksum, and older ones no time.
    """
    whole = frame.type == "snapshot"
    said: list[Said] = []
    for b in frame.data:
        if b.checksum is not None and b.checksum >= CHECKSUM_MAX:
            raise Unreadable("a checksum of more than 32 bits")
        said.append(
            BookDelta(
                b.symbol,
                received_us if b.timestamp is None else to_us(b.timestamp),
                received_us,
                tuple([(level.price, level.qty) for level in b.bids]),
                tuple([(level.price, level.qty) for level in b.asks]),
                snapshot=whole,
                checksum=b.checksum,
            )
        )
    return said


def _candles(frame: _Frame[_Candle], received_us: int) -> list[Said]:
    """{"symbol":"BTC/USD","open":63301.6,"high":63301.6,"low":63297.7,"close":63297.7,"trades":27,
    "volume":0.04121249,"vwap":63298.2,"interval_begin":"2026-08-12T19:28:00.000000000Z","interval":1, …}

    None says that it is closed: it is once the next begins, which one frame cannot tell.
    """
    return [
        sane_bar(
            VenueBar(
                c.symbol, INTERVALS[c.interval], to_us(c.interval_begin), received_us,
                c.open, c.high, c.low, c.close, c.volume, trades=c.trades,
            )
        )
        for c in frame.data
        if c.interval in INTERVALS
    ]  # fmt: skip


def _status(frame: _Frame[_System], received_us: int) -> list[Said]:
    """{"system":"online","api_version":"v2","connection_id":9028458593339017000, …}; anything but online is a
    complaint."""
    return [
        Heartbeat(received_us) if s.system == ONLINE else VenueError(0, f"the venue is in {s.system}")
        for s in frame.data
    ]


def _decoder(datum: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(_Frame[datum]).decode


_CHANNELS: Final[dict[str, tuple[Callable[[bytes], Any], Callable[[Any, int], list[Said]]]]] = {
    "trade": (_decoder(_Trade), _trades),
    "ticker": (_decoder(_Ticker), _tickers),
    "book": (_decoder(_Book), _books),
    "ohlc": (_decoder(_Candle), _candles),
    "status": (_decoder(_System), _status),
}
_SNIFFED: Final = {name.encode(): known for name, known in _CHANNELS.items()}
_HEARTBEAT: Final = "heartbeat"
_any: Final = msgspec.json.Decoder(_AnyFrame).decode


def _read(raw: bytes, received_us: int) -> list[Said]:
    known = _SNIFFED.get(channel(raw) or b"")
    if known is not None:
        return known[1](known[0](raw), received_us)
    frame = _any(raw)
    if frame.channel is not None:
        return _read_channel(frame.channel, raw, received_us)
    return [_answer(frame, received_us)]


def _read_channel(name: str, raw: bytes, received_us: int) -> list[Said]:
    """A frame whose channel does not stand first, or that has nothing but one."""
    known = _CHANNELS.get(name)
    if known is not None:
        return known[1](known[0](raw), received_us)
    # A heartbeat has no time of its own.
    return [Heartbeat(received_us) if name == _HEARTBEAT else Unknown(name)]


def _answer(frame: _AnyFrame, received_us: int) -> Said:
    """{"method":"subscribe","req_id":1,"result":{"channel":"book","symbol":"BTC/USD", …},"success":true, …}, one for
    each symbol; {"method":"subscribe","req_id":1,"success":false,"error":"Currency pair not supported X/USD", …};
    {"method":"pong","req_id":1, …}; {"Error":"Exceeded msg rate"}."""
    complaint = frame.error or frame.Error
    if complaint is not None or frame.success is False:
        return VenueError(0, complaint or "refused", frame.req_id, _named(frame, complaint or ""))
    if frame.method == "pong":
        return Heartbeat(received_us if frame.time_out is None else to_us(frame.time_out))
    if frame.method is None or frame.success is None:
        raise Unreadable("neither of a channel nor an answer")
    return Ack(frame.req_id, _named(frame, ""))


def _named(frame: _AnyFrame, complaint: str) -> tuple[str, ...]:
    """The streams that an answer means. A refusal names at most the symbol, and with it each of its streams."""
    result = frame.result or _Result()
    if result.channel and result.symbol:
        return (f"{result.channel}:{result.symbol}",)
    symbol = frame.symbol or result.symbol or _last_pair(complaint)
    return tuple(f"{name}:{symbol}" for name in PARAMETERS) if symbol else ()


def _last_pair(complaint: str) -> str:
    """
    >>> _last_pair("Currency pair not supported X/USD"), _last_pair("Exceeded msg rate")
    ('X/USD', '')
    """
    last = complaint.rpartition(" ")[2]
    return last if "/" in last else ""


decode: Final = reader(_read, LIMITS.max_frame_bytes)


def _asks(method: str, streams: Sequence[str], request_id: int) -> list[Ask]:
    parts = [
        (name, part) for name, symbols in by_channel(streams).items() for part in batches(symbols, SYMBOLS_PER_REQUEST)
    ]
    return [_request(method, name, part, at) for at, (name, part) in enumerate(parts, request_id)]


def _request(method: str, name: str, symbols: tuple[str, ...], request_id: int) -> Ask:
    parameters = {"channel": name, "symbol": symbols, **PARAMETERS[name]}
    message = {"method": method, "params": parameters, "req_id": request_id}
    return Ask(msgspec.json.encode(message).decode(), request_id, tuple(f"{name}:{s}" for s in symbols))


class Kraken(ByChannel):
    """The `Provider`. Streams are named `trade:BTC/USD`."""

    name = "kraken"
    kinds: tuple[str, ...] = (TRADES, QUOTES, TICKER, BOOK, BARS)
    limits = LIMITS
    acknowledges = True
    counts_trades = True
    book: BookRule | None = BookRule.CHECKSUM
    needs_key = False
    channel_of_kind: ClassVar[Mapping[str, str]] = CHANNEL_OF_KIND
    separator = "/"

    def subscribe(self, streams: Sequence[str], request_id: int) -> list[Ask]:
        return _asks("subscribe", streams, request_id)

    def unsubscribe(self, streams: Sequence[str], request_id: int) -> list[Ask]:
        return _asks("unsubscribe", streams, request_id)

    def decode(self, frame: bytes | str, received_us: int) -> list[Said]:
        return decode(frame, received_us)
