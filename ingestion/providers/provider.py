"""What every provider file is: a venue's frames to values and back. Pure; `listener.py` moves the bytes.

A provider never guesses: a side, a time or a quantity that the venue did not say stays unknown, and a frame that it
cannot read is refused whole. docs/providers.md has the meaning of each value and the checklist for a new venue.
"""

import enum
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from ingestion.ticks import BookDelta, Tick, VenueBar

# The kinds of stream that `Provider.streams` can name.
TRADES: Final = "trades"
QUOTES: Final = "quotes"
TICKER: Final = "ticker"
BOOK: Final = "book"
BARS: Final = "bars"

SHOWN_BYTES: Final = 160


class MalformedFrame(ValueError):
    """A frame that cannot be read. Carries the frame; its sentence shows the first bytes."""

    def __init__(self, frame: bytes | str, reason: str) -> None:
        super().__init__(frame, reason)
        self.frame = frame
        self.reason = reason

    def __str__(self) -> str:
        shown = repr(self.frame[:SHOWN_BYTES])
        return f"{self.reason}, in a frame of {len(self.frame)} starting {shown}"


class Ask(msgspec.Struct, frozen=True):
    """One message to send, and what it asks for: the streams by the names that `Provider.streams` gives them.

    Without streams it is about the connection itself (heartbeats), and need not be answered.
    """

    message: str
    request_id: int
    streams: tuple[str, ...]


class Ack(msgspec.Struct, frozen=True, gc=False):
    """The venue accepted something: the request of this id, or these streams where it names them instead.

    `whole`: `streams` is all that this connection is subscribed to now, as Coinbase tells it.
    """

    request_id: int | str | None
    streams: tuple[str, ...] = ()
    whole: bool = False


class VenueError(msgspec.Struct, frozen=True, gc=False):
    """The venue refused something, or complains. `request_id` or `streams` where it says which."""

    code: int
    message: str
    request_id: int | str | None = None
    streams: tuple[str, ...] = ()


class Shutdown(msgspec.Struct, frozen=True, gc=False):
    """The venue will close this connection soon: open the next one now."""

    time_us: int


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """The venue is there, whether or not the market moves."""

    time_us: int


class Numbered(msgspec.Struct, frozen=True, gc=False):
    """The frame's number on its connection, where a venue counts them: the next is one more, or something is lost."""

    sequence: int


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """A well-formed frame of a stream that we do not read. Counted by the listener, never an error."""

    stream: str


Said = Tick | BookDelta | VenueBar | Ack | VenueError | Shutdown | Heartbeat | Numbered | Unknown


class BookRule(enum.Enum):
    """How a venue's order book is kept whole (`orderbook.py`)."""

    SNAPSHOT_BY_REST = "snapshot by rest"  # Binance spot: update ids, joined to a snapshot that REST gives
    NUMBERED_FRAMES = "numbered frames"  # Coinbase: a snapshot in the stream, frames numbered per connection
    CHECKSUM = "checksum"  # Kraken: a snapshot in the stream, each update carries a CRC32 of the best ten


class Limits(msgspec.Struct, frozen=True):
    """What a venue allows on its sockets, with some room kept."""

    max_frame_bytes: int
    messages_per_s: float  # from us, pings and pongs included
    message_burst: int
    streams_per_connection: int
    connects_per_s: float
    connect_burst: int
    silence_timeout_s: float  # without any frame or ping for so long, the connection is dead
    rotate_after_s: float  # the venue ends connections soon after; replaced before
    subscribe_within_s: float | None = None  # the venue ends a connection that has subscribed nothing by then
    exclusive: bool = False  # a second connection ends the first: break before make, and the hole is recorded


class Provider(Protocol):
    """One venue. Symbols are the venue's own, as in `VenueSymbol`."""

    name: str
    source: int
    kinds: tuple[str, ...]
    limits: Limits
    acknowledges: bool  # False: a subscription is answered by its data alone
    counts_trades: bool  # trade ids rise by one in each symbol: a skipped one is a lost trade
    book: BookRule | None  # None: the venue gives no order book
    needs_key: bool  # True: nothing works without a key of the installation's

    def url(self, base: str, streams: Sequence[str] = (), key: str = "") -> str:
        """Where to connect, e.g. base `wss://venue.example`. With `streams` these are subscribed at once.

        `key`: the installation's, for a venue that wants it there. Never logged.
        """

    def streams(self, symbols: Sequence[str], kinds: Sequence[str] | None = None) -> list[str]:
        """The venue's names for these kinds (by default all that we read) of these symbols."""

    def subscribe(self, streams: Sequence[str], request_id: int) -> list[Ask]:
        """What to send, each for a bounded number of streams; their ids are request_id, request_id + 1, …"""

    def unsubscribe(self, streams: Sequence[str], request_id: int) -> list[Ask]:
        """As `subscribe`."""

    def stream(self, name: str) -> tuple[str, str]:
        """The kind and the symbol (as frames spell it) of one of the names that `streams` gives."""

    def decode(self, frame: bytes | str, received_us: int) -> list[Said]:
        """What one frame says, in its order. Raises MalformedFrame."""

    def base_quote(self, symbol: str) -> tuple[str, str] | None:
        """The two currencies of a venue's symbol where its name tells: BTCUSDT → ("BTC", "USDT")."""

    def instrument_kind(self, symbol: str) -> str:
        """What a venue's symbol is a name of: `crypto`, `equity` or `fx`."""
