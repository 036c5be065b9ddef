"""Finnhub: trades of US equities, FX and crypto over one connection a key. Pure.

https://finnhub.io/docs/api/websocket-trades
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote as percent_encoded

import msgspec

from ingestion.providers.binance import guess_symbol
from ingestion.providers.provider import (
    TRADES,
    Ask,
    BookRule,
    Heartbeat,
    Limits,
    Said,
    Unknown,
    VenueError,
)
from ingestion.providers.wire import Amount, Symbol, Unreadable, ms_to_us, reader
from ingestion.ticks import IRREGULAR, Trade

# The free plan's fifty symbols. It pings when idle; how often is not documented.
LIMITS: Final = Limits(
    max_frame_bytes=8 * 1024 * 1024,
    messages_per_s=10.0,
    message_burst=5,
    streams_per_connection=50,
    connects_per_s=0.2,
    connect_burst=2,
    silence_timeout_s=90.0,
    rotate_after_s=7 * 86_400.0,
    exclusive=True,
)

# Of its table of conditions, those whose price moves no session's open, high, low or close: odd lots, and trades
# outside regular hours (form T).
ODD_LOT: Final = "12"
FORM_T: Final = "24"
IRREGULAR_CONDITIONS: Final = frozenset({ODD_LOT, FORM_T})

FX_VENUES: Final = frozenset({"OANDA", "FXCM", "FOREX", "FXPRO", "IC MARKETS"})

# A trade's id is the microsecond in which its frame was received, and its place there: 2,048 of them.
POSITION_BITS: Final = 11


class _Trade(msgspec.Struct, gc=False):
    s: Symbol
    p: Amount
    v: Amount
    t: int
    c: list[str] | None = None


class _Frame(msgspec.Struct):
    type: str
    data: list[_Trade] | None = None
    msg: str = ""


_frame: Final = msgspec.json.Decoder(_Frame).decode


def _read(raw: bytes, received_us: int) -> list[Said]:
    frame = _frame(raw)
    if frame.type == "trade":
        if frame.data is None:
            raise Unreadable("a frame of trades without any")
        return _trades(frame.data, received_us)
    if frame.type == "ping":
        return [Heartbeat(received_us)]
    if frame.type == "error":
        return [VenueError(0, frame.msg)]
    return [Unknown(frame.type)]


def _trades(data: list[_Trade], received_us: int) -> list[Said]:
    """{"type":"trade","data":[{"c":["1","24","12"],"p":203.04,"s":"TSLA","t":1685567484229,"v":1}, …]}

    No ids, milliseconds only, and equal trades in one frame are several trades: each has the id of its place. The same
    recording gives the same ids; two connections to the venue would not, and it allows but one. `v` is 0 where only
    the price moved (FX): no volume. `c` is null where there are no conditions.
    """
    if len(data) >= 1 << POSITION_BITS:
        raise Unreadable("more trades than a frame has places")
    first_id = received_us << POSITION_BITS
    return [
        Trade(t.s, ms_to_us(t.t), received_us, trade_id, t.p, t.v, flags=_flags(t.c))
        for trade_id, t in enumerate(data, first_id)
    ]


def _flags(conditions: list[str] | None) -> int:
    return 0 if not conditions or IRREGULAR_CONDITIONS.isdisjoint(conditions) else IRREGULAR


decode: Final = reader(_read, LIMITS.max_frame_bytes)


def _asks(kind: str, streams: Sequence[str], request_id: int) -> list[Ask]:
    """One symbol a message; the venue takes no ids and never answers."""
    return [
        Ask(msgspec.json.encode({"type": kind, "symbol": symbol}).decode(), at, (symbol,))
        for at, symbol in enumerate(streams, request_id)
    ]


class Finnhub:
    """The `Provider`. A stream is named as its symbol."""

    name = "finnhub"
    kinds: tuple[str, ...] = (TRADES,)
    limits = LIMITS
    acknowledges = False
    counts_trades = False
    book: BookRule | None = None
    needs_key = True

    def __init__(self, source: int) -> None:
        self.source = source

    def url(self, base: str, streams: Sequence[str] = (), key: str = "") -> str:
        """The key stands in the address: never log it."""
        return base.rstrip("/") + "/?token=" + percent_encoded(key, safe="") if key else base

    def streams(self, symbols: Sequence[str], kinds: Sequence[str] | None = None) -> list[str]:
        return list(symbols) if kinds is None or TRADES in kinds else []

    def stream(self, name: str) -> tuple[str, str]:
        return TRADES, name

    def subscribe(self, streams: Sequence[str], request_id: int) -> list[Ask]:
        return _asks("subscribe", streams, request_id)

    def unsubscribe(self, streams: Sequence[str], request_id: int) -> list[Ask]:
        return _asks("unsubscribe", streams, request_id)

    def decode(self, frame: bytes | str, received_us: int) -> list[Said]:
        return decode(frame, received_us)

    def base_quote(self, symbol: str) -> tuple[str, str] | None:
        """BINANCE:BTCUSDT and OANDA:EUR_USD name two currencies, AAPL none."""
        _, colon, name = symbol.partition(":")
        base, bar, quote = name.partition("_")
        if bar and base and quote:
            return base, quote
        return guess_symbol(name) if colon else None

    def instrument_kind(self, symbol: str) -> str:
        """By the exchange before the colon; a bare symbol is a share's."""
        exchange, colon, _ = symbol.partition(":")
        if not colon:
            return "equity"
        return "fx" if exchange in FX_VENUES else "crypto"
