"""Which ticks can be believed: accepted, flagged as suspect, or refused with a reason. Pure.

Nothing is corrected and nothing that could be true is thrown away: a strange price is stored with the flag SUSPECT
and left out of candles; only what no venue can mean (a negative price, a time outside all sense) is refused.
"""

import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final

import msgspec

from ingestion.ticks import SUSPECT, BookSnapshot, Quote, Tick, Ticker, Trade, VenueBar

# A trade is a bad print if it is further from the rolling median than both of these. The fraction keeps quiet
# instruments from flagging an honest jump; the multiple lets wild ones move.
BAD_PRINT_DEVIATIONS: Final = 20.0
BAD_PRINT_FRACTION: Final = 0.10
# The rolling reference: so many prices, looked at anew after so many more.
REFERENCE_PRICES: Final = 64
REFERENCE_STEP: Final = 32
# Fewer prices than this say nothing about the next.
REFERENCE_LEAST: Final = 8
# A price as old as this is no measure for a new one.
REFERENCE_MAX_AGE_US: Final = 3_600_000_000


# Beyond any market's: what is not below these would only overflow the sums it enters.
PRICE_LIMIT: Final = 1e15
QUANTITY_LIMIT: Final = 1e18


class Reason(StrEnum):
    """Why a tick is not simply accepted."""

    NO_SYMBOL = "no_symbol"
    TIME_TOO_EARLY = "time_too_early"
    TIME_IN_FUTURE = "time_in_future"
    BAD_PRICE = "bad_price"
    BAD_QUANTITY = "bad_quantity"
    BAD_BAR = "bad_bar"
    # From here on: flagged, not refused.
    BAD_PRINT = "bad_print"
    CROSSED = "crossed"
    ONE_SIDED = "one_sided"


FLAGGED: Final = frozenset({Reason.BAD_PRINT, Reason.CROSSED, Reason.ONE_SIDED})


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A tick for the quarantine."""

    tick: Tick
    reason: Reason


class Judged(msgspec.Struct, frozen=True):
    """A batch, divided: `accepted` in its order (some flagged SUSPECT), and the rest."""

    accepted: list[Tick]
    refused: list[Refused]
    suspect: int


class _Reference:
    """The recent prices of one instrument, and the band in which the next is nothing special.

    Strange prices count too: a level that lasts becomes the reference, whatever it is.
    """

    __slots__ = ("high", "look_at", "low", "prices", "time_us")

    def __init__(self) -> None:
        self.prices: list[float] = []
        self.look_at = REFERENCE_LEAST
        # Any price that is one: above zero and finite.
        self.low, self.high = sys.float_info.min, sys.float_info.max
        self.time_us = 0

    def look(self) -> None:
        """Set the band by the latest prices."""
        prices = self.prices = self.prices[-REFERENCE_PRICES:]
        self.look_at = len(prices) + REFERENCE_STEP
        middle = len(prices) // 2
        median = sorted(prices)[middle]
        deviation = sorted([abs(price - median) for price in prices])[middle]
        reach = max(BAD_PRINT_DEVIATIONS * deviation, BAD_PRINT_FRACTION * median)
        self.low = max(median - reach, sys.float_info.min)
        self.high = min(median + reach, sys.float_info.max)


def _bad_level(price: float, quantity: float) -> Reason | None:
    if not 0 < price < PRICE_LIMIT:
        return Reason.BAD_PRICE
    return None if 0 <= quantity < QUANTITY_LIMIT else Reason.BAD_QUANTITY


def _quote_reason(quote: Quote) -> Reason | None:
    if not (0 <= quote.bid < PRICE_LIMIT and 0 <= quote.ask < PRICE_LIMIT):
        return Reason.BAD_PRICE
    if not (0 <= quote.bid_quantity < QUANTITY_LIMIT and 0 <= quote.ask_quantity < QUANTITY_LIMIT):
        return Reason.BAD_QUANTITY
    if quote.bid == 0 or quote.ask == 0:
        # An empty side of a book is sent as zero; with something to buy or sell at it, it is nonsense.
        empty = (quote.bid or not quote.bid_quantity) and (quote.ask or not quote.ask_quantity)
        return Reason.ONE_SIDED if empty else Reason.BAD_PRICE
    # Equal is legal (a locked market).
    return Reason.CROSSED if quote.bid > quote.ask else None


def _ticker_reason(ticker: Ticker) -> Reason | None:
    for price in (ticker.last, ticker.open, ticker.high, ticker.low):
        if not 0 < price < PRICE_LIMIT:
            return Reason.BAD_PRICE
    for quantity in (ticker.volume, ticker.quote_volume):
        if quantity is not None and not 0 <= quantity < QUANTITY_LIMIT:
            return Reason.BAD_QUANTITY
    return None


def _book_reason(book: BookSnapshot) -> Reason | None:
    for price, quantity in (*book.bids, *book.asks):
        reason = _bad_level(price, quantity)
        if reason is not None:
            return reason
    crossed = book.bids and book.asks and book.bids[0][0] > book.asks[0][0]
    return Reason.CROSSED if crossed else None


def _bar_reason(bar: VenueBar) -> Reason | None:
    # Chained comparisons are false for NaN.
    if not (0 < bar.low < PRICE_LIMIT and bar.high < PRICE_LIMIT):
        return Reason.BAD_PRICE
    if not (0 <= (bar.volume or 0) < QUANTITY_LIMIT and 0 <= (bar.quote_volume or 0) < QUANTITY_LIMIT):
        return Reason.BAD_QUANTITY
    inside = bar.low <= bar.open <= bar.high and bar.low <= bar.close <= bar.high
    return None if inside and (bar.trades or 0) >= 0 else Reason.BAD_BAR


_REASONS: Final[dict[type, Callable[[Any], Reason | None]]] = {
    Quote: _quote_reason,
    Ticker: _ticker_reason,
    BookSnapshot: _book_reason,
    VenueBar: _bar_reason,
}


# A price that was asked for and is so many times another, or as small a part of it, is one in the wrong unit.
POLLED_RATIO: Final = 3.0


def polled_reason(
    price: float, high: float | None, low: float | None, references: Iterable[float | None]
) -> Reason | None:
    """Why a price that a source was asked for is not believed; None to believe it.

    references: what else is known of it (the close before, the price last told), None where it is not. One that is
    near is enough: after a split the last price is far off, the adjusted close is not.

    >>> polled_reason(7250.0, None, None, [72.4, None])
    <Reason.BAD_PRINT: 'bad_print'>
    >>> polled_reason(25.0, None, None, [100.0, 24.9]) is None
    True
    """
    if not 0 < price < PRICE_LIMIT:
        return Reason.BAD_PRICE
    if high is not None and low is not None and high < low:
        return Reason.BAD_PRICE
    known = [reference for reference in references if reference]
    near = any(reference / POLLED_RATIO < price < reference * POLLED_RATIO for reference in known)
    return None if near or not known else Reason.BAD_PRINT


class Judge:
    """Judges one provider's ticks. Holds the recent prices of each symbol; knows no clock.

    earliest_us: nothing was recorded before. max_future_us: how far the venue's clock may be ahead of ours.
    """

    def __init__(self, earliest_us: int, max_future_us: int) -> None:
        self._earliest_us = earliest_us
        self._max_future_us = max_future_us
        self._references: dict[str, _Reference] = {}

    def judge(self, tick: Tick | VenueBar, now_us: int) -> Reason | None:
        """None for a tick to accept as it is. A trade's price becomes part of what later ones are measured by."""
        if not tick.symbol:
            return Reason.NO_SYMBOL
        if tick.time_us < self._earliest_us:
            return Reason.TIME_TOO_EARLY
        if tick.time_us > now_us + self._max_future_us:
            return Reason.TIME_IN_FUTURE
        if type(tick) is Trade:
            return self._judge_trade(tick)
        return _REASONS[type(tick)](tick)

    def judge_batch(self, ticks: Iterable[Tick], now_us: int) -> Judged:
        """All of a batch, in its order. Ticks with a flagged reason come back as copies with the flag SUSPECT."""
        accepted: list[Tick] = []
        refused: list[Refused] = []
        suspect = 0
        for tick in ticks:
            reason = self.judge(tick, now_us)
            if reason is None:
                accepted.append(tick)
            elif reason in FLAGGED:
                suspect += 1
                accepted.append(flagged(tick))
            else:
                refused.append(Refused(tick, reason))
        return Judged(accepted, refused, suspect)

    def _judge_trade(self, trade: Trade) -> Reason | None:
        price, time_us = trade.price, trade.time_us
        # A quantity of zero is kept: some venues report prices without one. It adds nothing to a volume.
        # Chained comparisons are false for NaN.
        if not 0 < price < PRICE_LIMIT:
            return Reason.BAD_PRICE
        if not 0 <= trade.quantity < QUANTITY_LIMIT:
            return Reason.BAD_QUANTITY
        reference = self._references.get(trade.symbol)
        if reference is None or time_us - reference.time_us > REFERENCE_MAX_AGE_US:
            reference = self._references[trade.symbol] = _Reference()
        strange = not reference.low <= price <= reference.high
        reference.time_us = time_us
        reference.prices.append(price)
        if len(reference.prices) >= reference.look_at:
            reference.look()
        return Reason.BAD_PRINT if strange else None


def flagged(tick: Tick) -> Tick:
    """The tick with the flag SUSPECT. Tickers and books carry no flags: they are only shown, never stored."""
    if isinstance(tick, Trade | Quote):
        return msgspec.structs.replace(tick, flags=tick.flags | SUSPECT)
    return tick
