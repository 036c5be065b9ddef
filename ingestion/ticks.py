"""What the market says, as values, and their layout on the journal and on disk.

Times are integers: microseconds since 1970, UTC, as venues send them; `…_us` names them. (Aware datetimes cost
ten times as much to make, and at 50,000 ticks/s that is the budget.) Prices and quantities are float64.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import numpy as np

BUY: Final = 1
SELL: Final = -1
UNKNOWN_SIDE: Final = 0
SIDE_NAMES: Final = {BUY: "buy", SELL: "sell", UNKNOWN_SIDE: None}

# `flags` of a stored row, a sum of bits.
SUSPECT: Final = 1
BACKFILL: Final = 2
# An odd lot, or a trade outside regular hours, by the venue's own word: no part of a session's open, high, low, close.
IRREGULAR: Final = 4
# Trades with any of these are stored and counted in no candle: neither their prices nor their quantities.
NOT_IN_CANDLES: Final = SUSPECT | IRREGULAR


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One trade on a venue. `side` is the taker's: BUY, SELL or UNKNOWN_SIDE."""

    symbol: str  # as the venue names it
    time_us: int  # the venue's
    received_us: int  # ours
    trade_id: int
    price: float
    quantity: float
    side: int = UNKNOWN_SIDE
    flags: int = 0


class Quote(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask. A venue that gives no time for it leaves `time_us` equal to `received_us`."""

    symbol: str
    time_us: int
    received_us: int
    quote_id: int
    bid: float
    bid_quantity: float
    ask: float
    ask_quantity: float
    flags: int = 0


class Ticker(msgspec.Struct, frozen=True, gc=False):
    """A venue's own rolling 24-hour statistics. Conflated: never treated as a trade. None: the venue does not tell."""

    symbol: str
    time_us: int
    received_us: int
    last: float
    open: float
    high: float
    low: float
    volume: float
    quote_volume: float | None


class BookSnapshot(msgspec.Struct, frozen=True, gc=False):
    """The best levels of an order book, best first: (price, quantity)."""

    symbol: str
    time_us: int
    received_us: int
    update_id: int
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]


class BookDelta(msgspec.Struct, frozen=True, gc=False):
    """What changed in an order book: absolute quantities by price, zero removes the level.

    snapshot: these levels are the whole book, whatever was there before.
    first_id, last_id: the venue's update ids that it covers; both 0 where the venue counts none.
    checksum: of the book after it, where the venue tells one.
    """

    symbol: str
    time_us: int
    received_us: int
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]
    first_id: int = 0
    last_id: int = 0
    snapshot: bool = False
    checksum: int | None = None


class VenueBar(msgspec.Struct, frozen=True, gc=False):
    """A candle as the venue made it. Stored beside ours, never mixed with them. `interval` is one of ours, as `5m`.

    final: the venue says that it is closed; one that never says so leaves that to the next bar's beginning.
    None: nobody tells.
    """

    symbol: str
    interval: str
    time_us: int  # its beginning
    received_us: int
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    quote_volume: float | None = None
    trades: int | None = None
    final: bool = False


Tick = Trade | Quote | Ticker | BookSnapshot

# PostgreSQL's binary COPY counts microseconds from 2000-01-01.
POSTGRES_EPOCH_US: Final = 946_684_800_000_000

# One row as binary COPY wants it: the number of fields, then each field's length and value. All are NOT NULL and
# of fixed width, so that a batch of rows is an array which numpy reads in place. Column order = table order.
TRADE_COLUMNS: Final = (
    "time", "received_at", "instrument_id", "source", "trade_id", "price", "quantity", "side", "flags",
)  # fmt: skip
QUOTE_COLUMNS: Final = (
    "time", "received_at", "instrument_id", "source", "quote_id", "bid", "bid_quantity", "ask", "ask_quantity",
    "flags",
)  # fmt: skip

_TYPES: Final = {
    "time": "q", "received_at": "q", "instrument_id": "i", "source": "h", "trade_id": "q", "quote_id": "q",
    "price": "d", "quantity": "d", "side": "h", "flags": "h", "bid": "d", "bid_quantity": "d", "ask": "d",
    "ask_quantity": "d",
}  # fmt: skip


def _row_struct(columns: tuple[str, ...]) -> struct.Struct:
    return struct.Struct("!h" + "".join("i" + _TYPES[c] for c in columns))


def _row_dtype(columns: tuple[str, ...]) -> np.dtype:
    fields: list[tuple[str, str]] = [("_fields", ">i2")]
    for column in columns:
        size = struct.calcsize("!" + _TYPES[column])
        fields.append((f"_len_{column}", ">i4"))
        fields.append((column, f">{'f' if _TYPES[column] == 'd' else 'i'}{size}"))
    return np.dtype(fields)


TRADE_ROW: Final = _row_struct(TRADE_COLUMNS)
QUOTE_ROW: Final = _row_struct(QUOTE_COLUMNS)
TRADE_DTYPE: Final = _row_dtype(TRADE_COLUMNS)
QUOTE_DTYPE: Final = _row_dtype(QUOTE_COLUMNS)

# Changes whenever a row's layout does; a writer refuses an entry of a layout that it does not know.
LAYOUT_VERSION: Final = 1


def pack_trades(trades: Iterable[Trade], ids: Mapping[str, int], source: int) -> bytes:
    """The trades as rows of table `trade`, in their order. `ids`: venue symbol → instrument id."""
    pack, epoch = TRADE_ROW.pack, POSTGRES_EPOCH_US
    return b"".join(
        pack(
            9, 8, t.time_us - epoch, 8, t.received_us - epoch, 4, ids[t.symbol], 2, source, 8, t.trade_id,
            8, t.price, 8, t.quantity, 2, t.side, 2, t.flags,
        )
        for t in trades
    )  # fmt: skip


def pack_quotes(quotes: Iterable[Quote], ids: Mapping[str, int], source: int) -> bytes:
    """The quotes as rows of table `quote`, in their order. `ids`: venue symbol → instrument id."""
    pack, epoch = QUOTE_ROW.pack, POSTGRES_EPOCH_US
    return b"".join(
        pack(
            10, 8, q.time_us - epoch, 8, q.received_us - epoch, 4, ids[q.symbol], 2, source, 8, q.quote_id,
            8, q.bid, 8, q.bid_quantity, 8, q.ask, 8, q.ask_quantity, 2, q.flags,
        )
        for q in quotes
    )  # fmt: skip


def unpack_trades(rows: bytes) -> np.ndarray:
    """The packed rows as a structured array over the same memory (fields named as the columns, big-endian)."""
    return np.frombuffer(rows, TRADE_DTYPE)


def unpack_quotes(rows: bytes) -> np.ndarray:
    """As `unpack_trades`, for quotes."""
    return np.frombuffer(rows, QUOTE_DTYPE)
