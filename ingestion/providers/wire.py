"""What stands on the venues' wires: names, numbers and times, checked while they are decoded. Pure.

A bound in a type costs nothing: msgspec compares while it decodes. NaN is below and above nothing, so that the bounds
refuse it as they refuse an infinity.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, ClassVar, Final

import msgspec

from ingestion.providers.provider import MalformedFrame, Said
from ingestion.ticks import Trade, VenueBar

LARGEST_ID: Final = 2**63 - 1
_BEYOND: Final = 1e300

Symbol = Annotated[str, msgspec.Meta(min_length=1)]
Id = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_ID)]
# Zero passes: a trade of price 0 is one strange trade for the quarantine, no reason to refuse a hundred others.
Amount = Annotated[float, msgspec.Meta(ge=0, lt=_BEYOND)]
# A level of a book, or of a candle, is never at zero.
Price = Annotated[float, msgspec.Meta(gt=0, lt=_BEYOND)]
Difference = Annotated[float, msgspec.Meta(gt=-_BEYOND, lt=_BEYOND)]
# RFC 3339 with its offset; nanoseconds are rounded to microseconds.
Time = Annotated[dt.datetime, msgspec.Meta(tz=True)]

_EARLIEST_US: Final = 1_000_000_000_000_000  # September 2001
_LATEST_US: Final = 10_000_000_000_000_000  # November 2286


class Unreadable(ValueError):
    """Why a frame that is good JSON cannot be taken."""


def reader(read: Callable[[bytes, int], list[Said]], max_bytes: int) -> Callable[[bytes | str, int], list[Said]]:
    """`Provider.decode` out of what reads the bytes: whatever is wrong with them is a MalformedFrame."""

    def decode(frame: bytes | str, received_us: int) -> list[Said]:
        try:
            raw = frame.encode() if isinstance(frame, str) else frame
            if len(raw) > max_bytes:
                raise Unreadable("too long")
            return read(raw, received_us)
        except (msgspec.DecodeError, UnicodeError, Unreadable, RecursionError) as error:
            raise MalformedFrame(frame, str(error)) from error

    return decode


def sane_us(time_us: int) -> int:
    """The time, if it can be one. Raises Unreadable."""
    if _EARLIEST_US <= time_us < _LATEST_US:
        return time_us
    raise Unreadable(f"time {time_us} makes no sense in microseconds since 1970")


def to_us(time: dt.datetime) -> int:
    """Microseconds since 1970. Raises Unreadable.

    >>> to_us(dt.datetime(2026, 8, 9, 21, 5, 48, 228569, tzinfo=dt.timezone.utc))
    1786309548228569
    """
    # A double holds these seconds to an eighth of a microsecond.
    return sane_us(int(time.timestamp() * 1e6 + 0.5))


def ms_to_us(time_ms: int) -> int:
    """Raises Unreadable for what is not milliseconds of our time."""
    return sane_us(time_ms * 1000)


def derived(number: float) -> float:
    """What was worked out of a venue's decimals, without the digits that only binary arithmetic added.

    >>> 63297.8 - 0.7, derived(63297.8 - 0.7)
    (63297.100000000006, 63297.1)
    """
    return float(f"{number:.12g}")


def sane_bar(bar: VenueBar) -> VenueBar:
    """The bar, if one can be so: low ≤ open, close ≤ high. Raises Unreadable."""
    if bar.low <= min(bar.open, bar.close) and max(bar.open, bar.close) <= bar.high:
        return bar
    raise Unreadable("a candle whose prices contradict each other")


def oldest_first(trades: Iterable[Trade]) -> list[Trade]:
    """By their ids, in whatever order the venue lists them."""
    return sorted(trades, key=lambda trade: trade.trade_id)


CHANNEL_HEAD: Final = b'{"channel":"'
_LONGEST_CHANNEL: Final = 64


def channel(raw: bytes) -> bytes | None:
    """What a frame that begins with its channel calls it: that tells the rest's type before anything is decoded.

    >>> channel(b'{"channel":"trade","data":[]}'), channel(b'{"data":[],"channel":"trade"}')
    (b'trade', None)
    """
    if not raw.startswith(CHANNEL_HEAD):
        return None
    end = raw.find(b'"', len(CHANNEL_HEAD), _LONGEST_CHANNEL)
    return raw[len(CHANNEL_HEAD) : end] if end > 0 else None


def batches(names: Iterable[str], most: int) -> list[tuple[str, ...]]:
    """The names in their order, at most so many in each.

    >>> batches("abcde", 2)
    [('a', 'b'), ('c', 'd'), ('e',)]
    """
    every = tuple(names)
    return [every[at : at + most] for at in range(0, len(every), most)]


class ByChannel:
    """What providers share whose streams are named `channel:SYMBOL`, and whose symbols join two currencies.

    channel_of_kind: several kinds may come in one channel. separator: between the currencies, as `-` in BTC-USD.
    """

    kinds: tuple[str, ...]
    channel_of_kind: ClassVar[Mapping[str, str]]
    separator: ClassVar[str]

    def __init__(self, source: int) -> None:
        self.source = source

    def url(self, base: str, streams: Sequence[str] = (), key: str = "") -> str:
        return base

    def streams(self, symbols: Sequence[str], kinds: Sequence[str] | None = None) -> list[str]:
        names = dict.fromkeys(self.channel_of_kind[kind] for kind in (self.kinds if kinds is None else kinds))
        return [f"{name}:{symbol}" for symbol in symbols for name in names]

    def stream(self, name: str) -> tuple[str, str]:
        """Of several kinds in one channel the last."""
        channel_name, _, symbol = name.partition(":")
        return {channel: kind for kind, channel in self.channel_of_kind.items()}[channel_name], symbol

    def base_quote(self, symbol: str) -> tuple[str, str] | None:
        base, found, quote = symbol.partition(self.separator)
        return (base, quote) if base and found and quote and self.separator not in quote else None

    def instrument_kind(self, symbol: str) -> str:
        return "crypto"


def by_channel(streams: Iterable[str]) -> dict[str, list[str]]:
    """Streams named `channel:SYMBOL`, as channel → symbols, in order.

    >>> by_channel(["trade:BTC/USD", "book:BTC/USD", "trade:ETH/USD"])
    {'trade': ['BTC/USD', 'ETH/USD'], 'book': ['BTC/USD']}
    """
    symbols: dict[str, list[str]] = {}
    for stream in streams:
        name, _, symbol = stream.partition(":")
        symbols.setdefault(name, []).append(symbol)
    return symbols
