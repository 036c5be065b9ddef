"""The simulated market as a bad venue tells it: twice, late, out of order, crossed, or not at all. Pure.

What goes wrong is drawn from hashes of the seed and the time or the tick, as the market itself is: the same stretch
asked for again, in any pieces, brings the same ticks with the same faults. Nothing is invented: each tick is one of
the market's, and what `Simulation` would give is what a store must have in the end, once the outages are repaired.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Final

import msgspec
import numpy as np
from msgspec.structs import replace

from ingestion.candles import Bar
from ingestion.providers.hashed import Floats, mixed, named, uniform, words
from ingestion.providers.simulated import SECOND_US, Outage, Simulation, Totals, exact_quantity
from ingestion.ticks import BookSnapshot, Quote, Tick, Ticker, Trade

# What befalls one tick; shares of all that it can befall.
DUPLICATE: Final = "duplicate"
LATE: Final = "late"
OUT_OF_ORDER: Final = "out_of_order"
CROSSED: Final = "crossed"
# What befalls the feed for a while; shares of the time.
GAP: Final = "gap"
MUTE: Final = "mute"
SLOW: Final = "slow"
# Counted beside those: trades and quotes that an outage swallowed.
LOST: Final = "lost"
STRETCHES: Final = (GAP, MUTE, SLOW)

# One stretch at most in each span, clear of its ends, so that none touches the next.
SPAN_US: Final = 10 * SECOND_US
STRETCH_US: Final = 3 * SECOND_US
EARLIEST_US: Final = SECOND_US
ROOM_US: Final = SPAN_US - STRETCH_US - 2 * EARLIEST_US
MOST_OF_THE_TIME: Final = STRETCH_US / SPAN_US

LATE_MAX_US: Final = 8 * SECOND_US
OUT_OF_ORDER_MAX_US: Final = 300_000
DUPLICATE_AFTER_MAX_US: Final = SECOND_US
SLOW_US: Final = 2 * SECOND_US
# No tick comes later than this: late, slow, its duplicate, and held up by an outage.
DELAY_MAX_US: Final = LATE_MAX_US + SLOW_US + DUPLICATE_AFTER_MAX_US + STRETCH_US
# Blocks are made whole; a listener asks for less of them, again and again.
BLOCK_US: Final = SECOND_US
BLOCKS_KEPT: Final = DELAY_MAX_US // BLOCK_US + 3

SPANS_KEPT: Final = 1000
KINDS: Final = (Trade, Quote, Ticker, BookSnapshot)

_STRETCH, _PLACE, _DUPLICATE, _COPY, _LATE, _DELAY, _CROSSED = range(7)


class Faults(msgspec.Struct, frozen=True):
    """Shares between 0 and 1.

    >>> Faults.parse("duplicate=0.02, late=0.01, gap=0.05")
    Faults(duplicate=0.02, late=0.01, out_of_order=0.0, crossed=0.0, gap=0.05, mute=0.0, slow=0.0)
    """

    duplicate: float = 0.0
    late: float = 0.0
    out_of_order: float = 0.0
    crossed: float = 0.0
    gap: float = 0.0
    mute: float = 0.0
    slow: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Faults":
        """As in SIMULATED_FAULTS. Raises ValueError."""
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        faults = cls(**{name.strip(): float(share) for name, _, share in pairs if _known(name.strip())})
        if not all(0 <= share <= 1 for share in msgspec.structs.astuple(faults)):
            raise ValueError(f"shares are from 0 to 1: {text}")
        if faults.late + faults.out_of_order > 1:
            raise ValueError(f"late and out_of_order are more than all together: {text}")
        if faults.gap + faults.mute + faults.slow > MOST_OF_THE_TIME:
            raise ValueError(f"gap, mute and slow are at most {MOST_OF_THE_TIME:g} of the time together: {text}")
        return faults

    def __bool__(self) -> bool:
        return any(msgspec.structs.astuple(self))


def _known(name: str) -> bool:
    if name not in Faults.__struct_fields__:
        raise ValueError(f"no such fault: {name}; there are {', '.join(Faults.__struct_fields__)}")
    return True


class FaultySimulation:
    """Asked as a `Simulation` is; `ticks` gives what is received in a stretch, `totals` what happened in it."""

    name = "simulated"

    def __init__(self, simulation: Simulation, seed: int, faults: Faults) -> None:
        self.simulation, self.faults = simulation, faults
        self.symbols = simulation.symbols
        self._key = words(named(seed, "faults"))
        self._symbol_keys = np.array([named(seed, "faults " + symbol) for symbol in self.symbols], np.uint64)
        self._numbers = {symbol: i for i, symbol in enumerate(self.symbols)}
        self._spans: dict[int, Outage | None] = {}
        self._blocks: OrderedDict[int, tuple[list[int], list[Tick]]] = OrderedDict()

    # --- Asked by the listener --------------------------------------------------------------------------------

    def ticks(self, from_us: int, to_us: int) -> list[Tick]:
        """What is received in [from_us, to_us), in that order; `received_us` says when."""
        received: list[Tick] = []
        for block in range((from_us - DELAY_MAX_US) // BLOCK_US, -(-to_us // BLOCK_US)):
            times, ticks = self._block(block)
            received += ticks[bisect_left(times, from_us) : bisect_left(times, to_us)]
        received.sort(key=lambda tick: tick.received_us)
        return received

    def outages(self, from_us: int, to_us: int) -> list[Outage]:
        """Those that touch [from_us, to_us)."""
        found = [self._of_span(span) for span in range(from_us // SPAN_US, -(-to_us // SPAN_US))]
        return [s for s in found if s is not None and s.kind != SLOW and s.from_us < to_us and s.until_us > from_us]

    def totals(self, from_us: int, to_us: int) -> Totals:
        """What happened in [from_us, to_us) by the market's time and comes sooner or later, each once.

        faults: how many trades and quotes came twice, late, out of order, crossed, or never; and how many outages
        began.
        """
        trades, quotes = (dict.fromkeys(self.symbols, 0) for _ in range(2))
        volume = dict.fromkeys(self.symbols, Decimal(0))
        counts = dict.fromkeys((DUPLICATE, LATE, OUT_OF_ORDER, CROSSED, LOST, GAP, MUTE), 0)
        for tick, fate in self._fates(self.simulation.ticks(from_us, to_us)):
            for fault in fate.faults:
                counts[fault] += 1
            if LOST in fate.faults:
                continue
            if isinstance(tick, Trade):
                trades[tick.symbol] += 1
                volume[tick.symbol] += exact_quantity(tick)
            elif isinstance(tick, Quote):
                quotes[tick.symbol] += 1
        for outage in self.outages(from_us, to_us):
            counts[outage.kind] += from_us <= outage.from_us
        return Totals(trades, quotes, volume, counts)

    # --- Asked for history: of the market itself --------------------------------------------------------------

    def price(self, symbol: str, time_us: int) -> float:
        return self.simulation.price(symbol, time_us)

    def candles(self, symbol: str, from_us: int, to_us: int, instrument_id: int = 0, source: int = 1) -> list[Bar]:
        return self.simulation.candles(symbol, from_us, to_us, instrument_id, source)

    # --- How it goes wrong ------------------------------------------------------------------------------------

    def _block(self, block: int) -> tuple[list[int], list[Tick]]:
        """What of this block's ticks is ever received, by when; the last few are kept."""
        found = self._blocks.get(block)
        if found is None:
            ticks = self.simulation.ticks(block * BLOCK_US, (block + 1) * BLOCK_US)
            came = [told for tick, fate in self._fates(ticks) for told in _told(tick, fate)]
            came.sort(key=attrgetter("received_us"))
            found = self._blocks[block] = [tick.received_us for tick in came], came
            while len(self._blocks) > BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        return found

    def _fates(self, ticks: Sequence[Tick]) -> "list[tuple[Tick, _Fate]]":
        if not ticks:
            return []
        draws = self._draws(ticks).tolist()
        return [(tick, self._fate(tick, draw)) for tick, draw in zip(ticks, draws, strict=True)]

    def _draws(self, ticks: Sequence[Tick]) -> Floats:
        """[ticks, uses]: by the tick's symbol, kind and id."""
        which = np.array([self._numbers[tick.symbol] for tick in ticks])
        ids = np.array([_identity(tick) for tick in ticks], np.uint64)
        kinds = np.array([KINDS.index(type(tick)) for tick in ticks], np.uint64)
        keys = mixed(self._symbol_keys[which], kinds)
        columns = [uniform(mixed(mixed(keys, words(use)), ids)) for use in range(_DUPLICATE, _CROSSED + 1)]
        return np.stack(columns, axis=1)

    def _fate(self, tick: Tick, draw: list[float]) -> "_Fate":
        """Trades come late and out of order; a quote that did would only be an old quote."""
        duplicate, copy, late, delay, crossed = draw
        stretch = self._stretch(tick.time_us)
        if stretch is not None and stretch.kind != SLOW:
            return _Fate((), (LOST,) if isinstance(tick, (Trade, Quote)) else ())
        after_us = SLOW_US if stretch is not None else 0
        happened: list[str] = []
        if isinstance(tick, Trade):
            if late < self.faults.late:
                happened.append(LATE)
                after_us += OUT_OF_ORDER_MAX_US + int(delay * (LATE_MAX_US - OUT_OF_ORDER_MAX_US))
            elif late < self.faults.late + self.faults.out_of_order:
                happened.append(OUT_OF_ORDER)
                after_us += int(delay * OUT_OF_ORDER_MAX_US)
        elif isinstance(tick, Quote) and crossed < self.faults.crossed:
            happened.append(CROSSED)
        received = [self._up_again(tick.time_us + after_us)]
        if duplicate < self.faults.duplicate and isinstance(tick, (Trade, Quote)):
            happened.append(DUPLICATE)
            again_us = int(copy * DUPLICATE_AFTER_MAX_US) if isinstance(tick, Trade) else 0
            received.append(self._up_again(tick.time_us + after_us + again_us))
        return _Fate(tuple(received), tuple(happened))

    def _stretch(self, time_us: int) -> Outage | None:
        """That which this time falls into, slow ones too."""
        stretch = self._of_span(time_us // SPAN_US)
        return stretch if stretch is not None and stretch.from_us <= time_us < stretch.until_us else None

    def _of_span(self, span: int) -> Outage | None:
        """The one stretch of a span, if it has any."""
        if span not in self._spans:
            if len(self._spans) >= SPANS_KEPT:
                self._spans.clear()
            self._spans[span] = self._drawn(span)
        return self._spans[span]

    def _drawn(self, span: int) -> Outage | None:
        number = words(span)
        drawn, place = (float(uniform(mixed(mixed(self._key, words(use)), number))[0]) for use in (_STRETCH, _PLACE))
        for kind in STRETCHES:
            drawn -= float(getattr(self.faults, kind)) / MOST_OF_THE_TIME
            if drawn < 0:
                from_us = span * SPAN_US + EARLIEST_US + int(place * ROOM_US)
                return Outage(kind, from_us, from_us + STRETCH_US)
        return None

    def _up_again(self, time_us: int) -> int:
        """What would be received during an outage comes when it is over."""
        stretch = self._stretch(time_us)
        return time_us if stretch is None or stretch.kind == SLOW else stretch.until_us


class _Fate(msgspec.Struct, frozen=True):
    """received_us: when it comes, once, twice or never."""

    received_us: tuple[int, ...]
    faults: tuple[str, ...]


def _told(tick: Tick, fate: _Fate) -> Iterator[Tick]:
    for received_us in fate.received_us:
        if isinstance(tick, Quote) and CROSSED in fate.faults:
            yield replace(
                tick, received_us=received_us, bid=tick.ask, bid_quantity=tick.ask_quantity, ask=tick.bid,
                ask_quantity=tick.bid_quantity,
            )  # fmt: skip
        else:
            yield replace(tick, received_us=received_us)


def _identity(tick: Tick) -> int:
    if isinstance(tick, Trade):
        return tick.trade_id
    return tick.quote_id if isinstance(tick, Quote) else tick.time_us


def market(seed: int, symbols: Sequence[str], ticks_per_s: float, faults: Faults) -> Simulation | FaultySimulation:
    """The market of a seed, as well told as the faults let it."""
    simulation = Simulation(seed, symbols, ticks_per_s)
    return FaultySimulation(simulation, seed, faults) if faults else simulation
