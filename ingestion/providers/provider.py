"""What every provider file is: a venue's frames to values and back. Pure; `listener.py` moves the bytes.

A provider never guesses: a side, a time or a quantity that the venue did not say stays unknown, and a frame that it
cannot read is refused whole. docs/providers.md has the meaning of each value and the checklist for a new venue.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from ingestion.ticks import Tick

# The kinds of stream that `Provider.streams` can name.
TRADES: Final = "trades"
QUOTES: Final = "quotes"
TICKER: Final = "ticker"

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


class Ack(msgspec.Struct, frozen=True, gc=False):
    """The venue accepted the request of this id."""

    request_id: int | str | None


class VenueError(msgspec.Struct, frozen=True, gc=False):
    """The venue refused something, or complains. `request_id` where it says which."""

    code: int
    message: str
    request_id: int | str | None = None


class Shutdown(msgspec.Struct, frozen=True, gc=False):
    """The venue will close this connection soon: open the next one now."""

    time_us: int


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """A well-formed frame of a stream that we do not read. Counted by the listener, never an error."""

    stream: str


Said = Tick | Ack | VenueError | Shutdown | Unknown


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


class Provider(Protocol):
    """One venue. Symbols are the venue's own, as in `VenueSymbol`."""

    name: str
    source: int
    kinds: tuple[str, ...]
    limits: Limits

    def url(self, base: str, streams: Sequence[str] = ()) -> str:
        """Where to connect, e.g. base `wss://venue.example`. With `streams` these are subscribed at once."""

    def streams(self, symbols: Sequence[str], kinds: Sequence[str] | None = None) -> list[str]:
        """The venue's names for these kinds (by default all that we read) of these symbols."""

    def subscribe(self, streams: Sequence[str], request_id: int) -> list[str]:
        """Messages to send, each for a bounded number of streams; their ids are request_id, request_id + 1, …"""

    def unsubscribe(self, streams: Sequence[str], request_id: int) -> list[str]:
        """As `subscribe`."""

    def decode(self, frame: bytes | str, received_us: int) -> list[Said]:
        """What one frame says, in its order. Raises MalformedFrame."""

    def base_quote(self, symbol: str) -> tuple[str, str] | None:
        """The two currencies of a venue's symbol where its name tells: BTCUSDT → ("BTC", "USDT")."""
