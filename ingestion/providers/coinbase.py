"""Coinbase Advanced Trade: public market data, without a key. Pure.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels
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
    Numbered,
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
    sane_us,
    to_us,
)
from ingestion.ticks import BUY, SELL, UNKNOWN_SIDE, BookDelta, Quote, Ticker, Trade, VenueBar

# Quotes and tickers come together in one channel.
CHANNEL_OF_KIND: Final = {TRADES: "market_trades", QUOTES: "ticker", TICKER: "ticker", BOOK: "level2", BARS: "candles"}
HEARTBEATS: Final = "heartbeats"
BAR_INTERVAL: Final = "5m"

# No limit on the products of one message is documented.
PRODUCTS_PER_REQUEST: Final = 100

# Documented: 8 messages a second and 8 connections a second from one address; whoever has subscribed nothing after
# 5 s is cut off, and so is a connection whose channels are quiet for 60 to 90 s, which the heartbeats (one a second)
# prevent. A book's snapshot is one frame of 5 MB and more. How long a connection lives is not documented.
LIMITS: Final = Limits(
    max_frame_bytes=32 * 1024 * 1024,
    messages_per_s=5.0,
    message_burst=2,
    streams_per_connection=1000,
    connects_per_s=1.0,
    connect_burst=5,
    silence_timeout_s=15.0,
    rotate_after_s=23 * 3600.0,
    subscribe_within_s=5.0,
)

# The venue names the maker's side: the taker's is the other.
TAKER: Final = {"BUY": SELL, "SELL": BUY, "UNKNOWN_ORDER_SIDE": UNKNOWN_SIDE}


class _Trade(msgspec.Struct, gc=False):
    product_id: Symbol
    trade_id: Id
    price: Amount
    size: Amount
    time: Time
    side: Literal["BUY", "SELL", "UNKNOWN_ORDER_SIDE"]


class _Ticker(msgspec.Struct, gc=False):
    product_id: Symbol
    price: Amount
    volume_24_h: Amount
    low_24_h: Amount
    high_24_h: Amount
    price_percent_chg_24_h: Difference
    # `ticker_batch` has none of these.
    best_bid: Amount | None = None
    best_bid_quantity: Amount | None = None
    best_ask: Amount | None = None
    best_ask_quantity: Amount | None = None


class _Level(msgspec.Struct, gc=False):
    side: Literal["bid", "offer"]
    event_time: str
    price_level: Price
    new_quantity: Amount


class _Candle(msgspec.Struct, gc=False):
    start: int
    low: Price
    high: Price
    open: Price
    close: Price
    volume: Amount
    product_id: Symbol


class _Trades(msgspec.Struct, gc=False):
    trades: list[_Trade]


class _Tickers(msgspec.Struct, gc=False):
    tickers: list[_Ticker]


class _Levels(msgspec.Struct, gc=False):
    type: Literal["snapshot", "update"]
    product_id: Symbol
    updates: list[_Level]


class _Candles(msgspec.Struct, gc=False):
    candles: list[_Candle]


class _Beat(msgspec.Struct, gc=False):
    current_time: str


class _Subscriptions(msgspec.Struct, gc=False):
    subscriptions: dict[str, list[str]]


E_ = TypeVar("E_")


class _Frame(msgspec.Struct, Generic[E_], gc=False):
    timestamp: Time
    sequence_num: Id
    events: list[E_]


class _AnyFrame(msgspec.Struct):
    """The fields that tell what a frame is, whichever it is."""

    channel: str | None = None
    type: str | None = None
    message: str = ""
    sequence_num: Id | None = None


_event_time: Final = msgspec.json.Decoder(Time).decode


def _trades(frame: _Frame[_Trades], received_us: int) -> list[Said]:
    """{"trades":[{"trade_id":"1069726293","product_id":"BTC-USD","price":"63310.25","size":"0.00000012",
    "time":"2026-08-12T19:27:48.298771Z","side":"BUY"}, …]}: newest first, the maker's side; the latest hundred come as
    a snapshot after subscribing."""
    return [
        *oldest_first(
            Trade(t.product_id, to_us(t.time), received_us, t.trade_id, t.price, t.size, TAKER[t.side])
            for event in frame.events
            for t in event.trades
        )
    ]


def _tickers(frame: _Frame[_Tickers], received_us: int) -> list[Said]:
    """{"tickers":[{"product_id":"BTC-USD","price":"65086.18","volume_24_h":"2867.5","low_24_h":"64675.22",
    "high_24_h":"65252.99","price_percent_chg_24_h":"0.096","best_bid":"65083.66","best_ask":"65083.67",
    "best_bid_quantity":"0.2","best_ask_quantity":"0.24", …}]}

    The time is the envelope's, in microseconds the quote's id as well: the venue numbers no quotes, and `sequence_num`
    begins anew with each connection.
    """
    time_us = to_us(frame.timestamp)
    said: list[Said] = []
    for event in frame.events:
        for t in event.tickers:
            said.append(_ticker(t, time_us, received_us))
            if (
                t.best_bid is not None
                and t.best_ask is not None
                and t.best_bid_quantity is not None
                and t.best_ask_quantity is not None
            ):
                said.append(
                    Quote(
                        t.product_id, time_us, received_us, time_us,
                        t.best_bid, t.best_bid_quantity, t.best_ask, t.best_ask_quantity,
                    )
                )  # fmt: skip
    return said


def _ticker(t: _Ticker, time_us: int, received_us: int) -> Ticker:
    """The opening price follows from the change in percent; the volume in money is not told."""
    factor = 1 + t.price_percent_chg_24_h / 100
    if factor <= 0:
        raise Unreadable("a price that fell by all that it was")
    opened = derived(t.price / factor)
    return Ticker(t.product_id, time_us, received_us, t.price, opened, t.high_24_h, t.low_24_h, t.volume_24_h, None)


def _levels(frame: _Frame[_Levels], received_us: int) -> list[Said]:
    """{"type":"update","product_id":"BTC-USD","updates":[{"side":"offer","event_time":"2026-08-09T21:05:48.210883Z",
    "price_level":"65083.67","new_quantity":"0.15556334"}, …]}

    The other side is called offer, never ask. All levels of an event carry one time.
    """
    said: list[Said] = []
    for event in frame.events:
        updates = event.updates
        time_us = _level_us(updates[-1]) if updates else to_us(frame.timestamp)
        bids = tuple([(u.price_level, u.new_quantity) for u in updates if u.side == "bid"])
        asks = tuple([(u.price_level, u.new_quantity) for u in updates if u.side == "offer"])
        whole = event.type == "snapshot"
        said.append(BookDelta(event.product_id, time_us, received_us, bids, asks, snapshot=whole))
    return said


def _level_us(level: _Level) -> int:
    return to_us(_event_time(b'"%s"' % level.event_time.encode()))


def _candles(frame: _Frame[_Candles], received_us: int) -> list[Said]:
    """{"candles":[{"start":"1786309500","high":"1919.6","low":"1919.27","open":"1919.58","close":"1919.41",
    "volume":"36.36630914","product_id":"ETH-USD"}]}: of five minutes. None says that it is closed, and five minutes
    without a trade have none."""
    return [
        sane_bar(
            VenueBar(
                c.product_id, BAR_INTERVAL, sane_us(c.start * 1_000_000), received_us,
                c.open, c.high, c.low, c.close, c.volume,
            )
        )
        for event in frame.events
        for c in event.candles
    ]  # fmt: skip


def _beats(frame: _Frame[_Beat], received_us: int) -> list[Said]:
    """{"current_time":"2026-08-09 21:05:48.854840045 +0000 UTC m=+41691.260485341","heartbeat_counter":41691}"""
    return [Heartbeat(_go_us(event.current_time)) for event in frame.events]


def _go_us(text: str) -> int:
    """A time as Go prints it: not RFC 3339, but nearly, once its parts are joined.

    >>> _go_us("2026-08-09 21:05:48.854840045 +0000 UTC m=+41691.26")
    1786309548854840
    """
    parts = text.split()
    if len(parts) >= 3:
        hours = parts[2]
        text = f"{parts[0]}T{parts[1]}{hours[:3]}:{hours[3:]}"
    return to_us(_event_time(msgspec.json.encode(text)))


def _subscriptions(frame: _Frame[_Subscriptions], received_us: int) -> list[Said]:
    """{"subscriptions":{"market_trades":["BTC-USD","ETH-USD"],"level2":["BTC-USD"],"heartbeats":["heartbeats"]}}: all
    that the connection is subscribed to now. Data may come before it."""
    return [
        Ack(
            None,
            tuple(
                sorted(
                    f"{name}:{product}"
                    for name, products in event.subscriptions.items()
                    if name in CHANNEL_OF_KIND.values()
                    for product in products
                )
            ),
            whole=True,
        )
        for event in frame.events
    ]


def _decoder(event: Any) -> Callable[[bytes], Any]:
    # Not strict: numbers are texts, which the decoder turns into the nearest float64 itself.
    return msgspec.json.Decoder(_Frame[event], strict=False).decode


_CHANNELS: Final[dict[str, tuple[Callable[[bytes], Any], Callable[[Any, int], list[Said]]]]] = {
    "market_trades": (_decoder(_Trades), _trades),
    "ticker": (_decoder(_Tickers), _tickers),
    "ticker_batch": (_decoder(_Tickers), _tickers),
    "l2_data": (_decoder(_Levels), _levels),
    "candles": (_decoder(_Candles), _candles),
    "heartbeats": (_decoder(_Beat), _beats),
    "subscriptions": (_decoder(_Subscriptions), _subscriptions),
}
_SNIFFED: Final = {name.encode(): known for name, known in _CHANNELS.items()}
_any: Final = msgspec.json.Decoder(_AnyFrame).decode


def _read(raw: bytes, received_us: int) -> list[Said]:
    known = _SNIFFED.get(channel(raw) or b"")
    if known is None:
        return _read_any(raw, received_us)
    frame = known[0](raw)
    return [Numbered(frame.sequence_num), *known[1](frame, received_us)]


def _read_any(raw: bytes, received_us: int) -> list[Said]:
    """The same in two steps: whatever the order of its fields, and whatever it is."""
    frame = _any(raw)
    if frame.type == "error":
        return [VenueError(0, frame.message)]
    if frame.channel is None:
        raise Unreadable("neither of a channel nor an error")
    known = _CHANNELS.get(frame.channel)
    if known is not None:
        whole = known[0](raw)
        return [Numbered(whole.sequence_num), *known[1](whole, received_us)]
    numbered: list[Said] = [] if frame.sequence_num is None else [Numbered(frame.sequence_num)]
    return [*numbered, Unknown(frame.channel)]


decode: Final = reader(_read, LIMITS.max_frame_bytes)


def _request(kind: str, name: str, products: tuple[str, ...], request_id: int) -> Ask:
    """The venue takes no ids: it answers with all that is subscribed to."""
    message: dict[str, Any] = {"type": kind, "channel": name}
    if products:
        message["product_ids"] = products
    return Ask(msgspec.json.encode(message).decode(), request_id, tuple(f"{name}:{p}" for p in products))


def _asks(kind: str, streams: Sequence[str], request_id: int) -> list[Ask]:
    parts = [
        (name, products)
        for name, symbols in by_channel(streams).items()
        for products in batches(symbols, PRODUCTS_PER_REQUEST)
    ]
    return [_request(kind, name, products, at) for at, (name, products) in enumerate(parts, request_id)]


class Coinbase(ByChannel):
    """The `Provider`. Streams are named `market_trades:BTC-USD`."""

    name = "coinbase"
    kinds: tuple[str, ...] = (TRADES, QUOTES, TICKER, BOOK, BARS)
    limits = LIMITS
    acknowledges = True
    counts_trades = True
    book: BookRule | None = BookRule.NUMBERED_FRAMES
    needs_key = False
    channel_of_kind: ClassVar[Mapping[str, str]] = CHANNEL_OF_KIND
    separator = "-"

    def subscribe(self, streams: Sequence[str], request_id: int) -> list[Ask]:
        """The heartbeats first, however often: they keep the quiet channels open."""
        if not streams:
            return []
        return [_request("subscribe", HEARTBEATS, (), request_id), *_asks("subscribe", streams, request_id + 1)]

    def unsubscribe(self, streams: Sequence[str], request_id: int) -> list[Ask]:
        return _asks("unsubscribe", streams, request_id)

    def decode(self, frame: bytes | str, received_us: int) -> list[Said]:
        return decode(frame, received_us)
