"""The `data` of the market's events on the wire, as types: for the AsyncAPI document, and for tests. Pure.

`payloads.py` makes them as plain dictionaries, which cost less on the tick path. Unknown is null, never zero.
"""

from typing import Literal

import msgspec

Side = Literal["buy", "sell"]


class AssetUpdate(msgspec.Struct):
    """The newest price, its day, the best bid and ask. `change`: over 24 hours, equities' since the previous close.

    delay_s: how much later than the market the source tells; 0 for what is told as it happens.
    """

    symbol: str
    instrument: str
    price: float | None
    change: float | None
    change_percent: float | None
    volume: float | None
    high: float | None
    low: float | None
    bid: float | None
    ask: float | None
    source: str
    quality: Literal["live", "delayed", "stale", "closed", "suspect"]
    venue_time: str | None
    received_at: str | None
    delay_s: float


class TickerEvent(msgspec.Struct):
    """The venue's own last 24 hours."""

    symbol: str
    instrument: str
    last: float | None
    open_24h: float | None
    high_24h: float | None
    low_24h: float | None
    volume_24h: float | None
    quote_volume_24h: float | None
    change_24h: float | None
    change_percent_24h: float | None
    source: str


class TradeRow(msgspec.Struct):
    """One trade. `side`: the taker's, null where the venue does not tell."""

    price: float
    quantity: float
    side: Side | None
    trade_id: int
    timestamp: str
    is_buyer_maker: bool | None


class Trades(msgspec.Struct):
    """The trades since the last message, oldest first."""

    symbol: str
    instrument: str
    trades: list[TradeRow]
    source: str


class Book(msgspec.Struct):
    """The venue's order book, best levels first: (price, quantity). Empty until it is `live`."""

    symbol: str
    instrument: str
    status: Literal["syncing", "live", "stale"]
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]
    spread: float | None
    last_update_id: int | None
    depth: int
    source: str | None


class Candle(msgspec.Struct):
    """A bar. `final`: it is closed; `rev` counts the times it was revised after that."""

    symbol: str
    instrument: str
    interval: Literal["1m", "5m", "15m", "1h", "4h", "1d"]
    time: str
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    trades: int | None
    vwap: float | None
    final: bool
    rev: int


class Feed(msgspec.Struct):
    """How a feed is doing; for staff. Latencies are negative where the clocks differ."""

    provider: str
    state: str
    last_tick_age_s: float | None
    ticks_per_s: float
    reconnects: int
    gaps_open: int
    latency_ms: dict[str, float]
