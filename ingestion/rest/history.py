"""What a venue's REST history is: which calls to make, and what their answers say. Pure.

A range of candles is one call (`plan.py` cuts ranges into pages). Trades are paged by a cursor, a string that only the
venue's own file reads: the edge keeps it as it is and hands it back.
"""

import enum
from typing import Final, Protocol

import msgspec

from ingestion.rest.call import Call
from ingestion.ticks import Trade, VenueBar

SECOND_US: Final = 1_000_000


class HistoryError(ValueError):
    """An answer that is not what it should be: another shape, HTML, an error inside a good status.

    passing: asking again later may help.
    """

    def __init__(self, provider: str, reason: str, body: bytes = b"", passing: bool = False) -> None:
        shown = f", in an answer starting {body[:120]!r}" if body else ""
        super().__init__(f"{provider}: {reason}{shown}")
        self.provider, self.reason, self.passing = provider, reason, passing


class NoHistory(Exception):
    """The provider does not give it: no such interval, or not so far back. Says why."""


class Order(enum.Enum):
    """In which direction a venue's trades are paged."""

    FORWARD = "oldest first"
    BACKWARD = "newest first"


class Wanted(msgspec.Struct, frozen=True):
    """Trades of one symbol: the ids [from_id, to_id] where they are known, else the times [from_us, until_us].

    Times are always given: where ids are known they enclose them.
    """

    symbol: str
    from_us: int
    until_us: int
    from_id: int | None = None
    to_id: int | None = None

    def holds(self, trade: Trade) -> bool:
        """Whether the trade is one of these."""
        if self.from_id is not None and self.to_id is not None:
            return self.from_id <= trade.trade_id <= self.to_id
        after_first = self.from_id is None or trade.trade_id >= self.from_id
        before_last = self.to_id is None or trade.trade_id <= self.to_id
        return after_first and before_last and self.from_us <= trade.time_us <= self.until_us

    def is_passed_by(self, trade: Trade) -> bool:
        """Whether this trade, and so all later ones, come after what is wanted."""
        return trade.time_us > self.until_us if self.to_id is None else trade.trade_id >= self.to_id

    def is_reached_by(self, trade: Trade) -> bool:
        """Whether this trade, and so all earlier ones, come before what is wanted."""
        return trade.time_us < self.from_us if self.from_id is None else trade.trade_id <= self.from_id


class TradePage(msgspec.Struct, frozen=True):
    """Trades, oldest first, and the cursor of the page that follows in the venue's order; None: there is none."""

    trades: list[Trade]
    following: str | None


class TradeHistory(Protocol):
    """Old trades of a venue."""

    order: Order

    def first(self, wanted: Wanted) -> str:
        """The cursor of the first page of these."""

    def call(self, symbol: str, cursor: str) -> Call:
        """How to ask for that page."""

    def read(self, body: bytes, symbol: str, cursor: str, received_us: int) -> TradePage:
        """What the answer says. Raises HistoryError."""


class CandleHistory(Protocol):
    """Old candles of a venue."""

    rows_per_call: int
    intervals: tuple[str, ...]

    def candles_call(self, symbol: str, interval: str, from_us: int, until_us: int, now_us: int) -> Call:
        """How to ask for the bars that begin in [from, until): `rows_per_call` at most. Raises NoHistory."""

    def read_candles(self, body: bytes, symbol: str, interval: str, received_us: int) -> list[VenueBar]:
        """What the answer says, oldest first; the bar in progress is not final. Raises HistoryError."""


def is_complete(page: TradePage, wanted: Wanted, order: Order) -> bool:
    """Whether nothing of what is wanted can follow this page."""
    if page.following is None:
        return True
    if not page.trades:
        return False
    if order is Order.FORWARD:
        return wanted.is_passed_by(page.trades[-1])
    return wanted.is_reached_by(page.trades[0])


def decoded(provider: str, body: bytes) -> object:
    """The JSON of an answer. Raises HistoryError for anything else, such as a proxy's HTML page."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        # A page of HTML comes from something in between, which passes.
        raise HistoryError(provider, "not JSON", body, passing=True) from error


def positive(provider: str, text: object) -> float:
    """A decimal string or number as float64: finite, and above zero. Raises HistoryError."""
    value = number(provider, text)
    if value <= 0:
        raise HistoryError(provider, f"{text!r} is not above zero")
    return value


def number(provider: str, text: object) -> float:
    """A decimal string or number as float64: finite, and not below zero. Raises HistoryError."""
    if not isinstance(text, str | int | float) or isinstance(text, bool):
        raise HistoryError(provider, f"{text!r} is not a number")
    try:
        value = float(text)
    except ValueError as error:
        raise HistoryError(provider, f"{text!r} is not a number") from error
    if not 0 <= value < float("inf"):
        raise HistoryError(provider, f"{text!r} is not a finite number from zero up")
    return value
