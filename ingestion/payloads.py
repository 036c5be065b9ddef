"""What topics, views and older paths say of the market: the `data` of each event type. Pure.

`symbol` and `instrument` both carry our own symbol here; streaming puts what was asked for in `symbol`. Unknown is
null, never zero.
"""

import datetime as dt
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, Protocol

from ingestion.orderbook import LIVE, STALE, SYNCING, BookView, decimals_of
from ingestion.ticks import SELL, SIDE_NAMES, UNKNOWN_SIDE, Ticker

Payload = dict[str, Any]

_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - formatted with the Z that makes it UTC


class AnyBar(Protocol):
    """An open bar of the listener's or a stored candle: both say the same."""

    @property
    def time_us(self) -> int: ...
    @property
    def open(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def close(self) -> float: ...
    @property
    def volume(self) -> float | None: ...
    @property
    def quote_volume(self) -> float | None: ...
    @property
    def trades(self) -> int | None: ...
    @property
    def final(self) -> bool: ...
    @property
    def rev(self) -> int: ...
    @property
    def vwap(self) -> float | None: ...
    @property
    def made_by(self) -> str: ...
    @property
    def empty(self) -> bool: ...


class AnyTrade(Protocol):
    """A trade off the wire or off the disk."""

    @property
    def time_us(self) -> int: ...
    @property
    def trade_id(self) -> int: ...
    @property
    def price(self) -> float: ...
    @property
    def quantity(self) -> float: ...
    @property
    def side(self) -> int: ...


class AnyLatest(Protocol):
    """`latest.Latest`."""

    @property
    def source(self) -> str: ...
    @property
    def price(self) -> float | None: ...
    @property
    def bid(self) -> float | None: ...
    @property
    def ask(self) -> float | None: ...
    @property
    def time_us(self) -> int: ...
    @property
    def received_us(self) -> int: ...
    @property
    def change(self) -> float | None: ...
    @property
    def change_percent(self) -> float | None: ...
    @property
    def volume(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def quality(self) -> str: ...
    @property
    def delay_s(self) -> float: ...


@lru_cache(maxsize=256)
def _second(second: int) -> str:
    return (_EPOCH + dt.timedelta(seconds=second)).isoformat()


def iso(time_us: int) -> str:
    """
    >>> iso(1_769_596_201_123_456)
    '2026-01-28T10:30:01.123456Z'
    """
    second, microsecond = divmod(time_us, 1_000_000)
    return f"{_second(second)}.{microsecond:06d}Z"


def price(symbol: str, latest: AnyLatest) -> Payload:
    """`asset_update`."""
    return {
        "symbol": symbol,
        "instrument": symbol,
        "price": latest.price,
        "change": latest.change,
        "change_percent": latest.change_percent,
        "volume": latest.volume,
        "high": latest.high,
        "low": latest.low,
        "bid": latest.bid,
        "ask": latest.ask,
        **_provenance(latest.source, latest.quality, latest.time_us, latest.received_us),
        "delay_s": latest.delay_s,
    }


def _provenance(source: str, quality: str, time_us: int, received_us: int) -> Payload:
    """Where a price comes from, whether to believe in it, and its times: the venue's and ours; unknown ones are 0."""
    return {
        "source": source,
        "quality": quality,
        "venue_time": iso(time_us) if time_us else None,
        "received_at": iso(received_us) if received_us else None,
    }


def trades(symbol: str, source: str, given: Iterable[AnyTrade]) -> Payload:
    """`trades`, in the order given."""
    return {"symbol": symbol, "instrument": symbol, "trades": [trade(t) for t in given], "source": source}


def trade(t: AnyTrade) -> Payload:
    """One of them. `side` is the taker's; the buyer was the maker where the taker sold."""
    return {
        "price": t.price,
        "quantity": t.quantity,
        "side": SIDE_NAMES[t.side],
        "trade_id": t.trade_id,
        "timestamp": iso(t.time_us),
        "is_buyer_maker": None if t.side == UNKNOWN_SIDE else t.side == SELL,
    }


def candle(symbol: str, interval: str, bar: AnyBar, source: str) -> Payload:
    """`candle`. made_by: trades, venue or ticker (prices polled now and then; no volume is known then)."""
    return {
        "symbol": symbol,
        "instrument": symbol,
        "interval": interval,
        "time": iso(bar.time_us),
        "open": bar.open,
        "high": bar.high,
        "low": bar.low,
        "close": bar.close,
        "volume": bar.volume,
        "trades": bar.trades,
        "vwap": bar.vwap,
        "final": bar.final,
        "rev": bar.rev,
        "source": source,
        "made_by": bar.made_by,
        "empty": bar.empty,
    }


def ticker(symbol: str, t: Ticker, source: str) -> Payload:
    """`ticker`: the venue's own last 24 hours."""
    change = t.last - t.open
    return {
        "symbol": symbol,
        "instrument": symbol,
        "last": t.last,
        "open_24h": t.open,
        "high_24h": t.high,
        "low_24h": t.low,
        "volume_24h": t.volume,
        "quote_volume_24h": t.quote_volume,
        "change_24h": change,
        "change_percent_24h": 100 * change / t.open if t.open else None,
        **_provenance(source, LIVE, t.time_us, t.received_us),
    }


def book(symbol: str, view: BookView) -> Payload:
    """`book`: whole levels, best first."""
    bids, asks = view.bids, view.asks
    return {
        "symbol": symbol,
        "instrument": symbol,
        "status": view.status,
        "bids": list(bids),
        "asks": list(asks),
        "spread": _spread(bids[0][0], asks[0][0]) if bids and asks else None,
        "last_update_id": view.update_id,
        "depth": max(len(bids), len(asks)),
        **_provenance(view.source, LIVE if view.status == LIVE else STALE, view.time_us, view.received_us),
    }


def _spread(bid: float, ask: float) -> float:
    """As exact as the prices are: 61686.00 over 61685.99 is 0.01, not a float's 0.010000000002037.

    >>> _spread(61685.99, 61686.0)
    0.01
    """
    return round(ask - bid, max(decimals_of(bid), decimals_of(ask)))


def ticker_of_latest(symbol: str, latest: AnyLatest) -> Payload:
    """`ticker`, of what is kept of it."""
    price, change = latest.price, latest.change
    return {
        "symbol": symbol,
        "instrument": symbol,
        "last": price,
        "open_24h": None if price is None or change is None else price - change,
        "high_24h": latest.high,
        "low_24h": latest.low,
        "volume_24h": latest.volume,
        "quote_volume_24h": None,
        "change_24h": change,
        "change_percent_24h": latest.change_percent,
        **_provenance(latest.source, latest.quality, latest.time_us, latest.received_us),
    }


def no_book(symbol: str) -> Payload:
    """`book`, while nothing is known of it."""
    return {**book(symbol, BookView("", SYNCING)), "source": None}
