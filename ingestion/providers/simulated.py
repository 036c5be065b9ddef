"""A made-up market that looks like one, as a function of time. Pure.

Every price is a point of one endless path per instrument, fixed by the seed: whoever asks for any stretch of time, in
whatever pieces, before or after a restart, gets the same ticks with the same ids. Between anchors 48 days apart the
logarithm of the price is a Brownian bridge (Lévy's construction: each interval's midpoint is displaced by a normal
number drawn from a hash of the interval); the anchors scatter around the start price, so that it never runs away.
Trades and quotes arrive as Poisson processes, drawn the same way in cells of an eighth of a second.

The arithmetic is numpy's in float64; the last digit of a logarithm may differ between processors, and a price that
falls on the edge of a tick with it.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import repeat
from operator import attrgetter
from typing import Final

import msgspec
import numpy as np

from ingestion.candles import MINUTE_US, Bar
from ingestion.providers.hashed import Floats, Ints, Words, mixed, named, normal, poisson_cdf, uniform, words
from ingestion.ticks import BUY, SELL, BookSnapshot, Quote, Tick, Ticker, Trade

SECOND_US: Final = 1_000_000
YEAR_S: Final = 365.25 * 86_400

# Lévy's intervals: level 0 is 2^22 s long (48.5 days), each level half of the one before, the last 2^-5 s.
# All are whole microseconds. Below that the path is straight.
LEVELS: Final = 28
ANCHOR_US: Final = 2**22 * SECOND_US
UNIT_US: Final = ANCHOR_US >> LEVELS
# How far a midpoint is displaced at each level, for a volatility of 1 a year. Anchors are as far apart as the path
# would go between them.
DEVIATIONS: Final = np.sqrt(ANCHOR_US / SECOND_US / YEAR_S * 2.0 ** -np.arange(LEVELS)) / 2
ANCHOR_DEVIATION: Final = math.sqrt(ANCHOR_US / SECOND_US / YEAR_S / 2)
# Candles sample the path each 2 s, 30 points a minute. At these times the first 21 levels are all there is.
SAMPLE_US: Final = 2 * SECOND_US
SAMPLE_LEVELS: Final = 21
# So many points of the path are computed together.
AT_ONCE: Final = 4096

CELL_US: Final = SECOND_US // 8
# A trade's id: its cell, and its place in it. Below 2^53 until far beyond this century, so that a browser can hold it.
ID_BITS: Final = 17
# Up to so many cells are made one by one (a listener asks for less than one); longer stretches in pieces
# of about so many ticks.
ONE_BY_ONE: Final = 4
PIECE_TICKS: Final = 50_000
MAX_TICKS_PER_S: Final = 1_000_000

TRADES_SHARE: Final = 0.5
BOOK_LEVELS: Final = 20
BOOK_EVERY_US: Final = SECOND_US
TICKER_EVERY_US: Final = 5 * SECOND_US

# What a hashed number is for, so that numbers of different uses never meet. `_TRADE` or `_QUOTE` is added.
_COUNT, _OFFSET, _SIDE, _SIZE, _ASK_SIZE, _VOLUME, _BOOK = range(1, 8)
_TRADE, _QUOTE = 0, 32

_time = attrgetter("time_us")


class Instrument(msgspec.Struct, frozen=True):
    """How one instrument moves. A price is `step` × a whole number / 10^`decimals`.

    path: instruments of one path move together. volatility: annual, as a fraction. spread: half of it, as a fraction
    of the price. lots: the mean size of a trade, in units of 10^-`lot_decimals`. activity: its share of all ticks.
    """

    path: str
    start: float
    volatility: float
    decimals: int
    step: int = 1
    spread: float = 0.0001
    lots: float = 50.0
    lot_decimals: int = 0
    activity: float = 1.0


# The figures are of the right size, not those of any day. Volatility is somewhat high where a day's ticks are few.
INSTRUMENTS: Final[dict[str, Instrument]] = {
    "BTC-USD": Instrument("BTC", 97_020.0, 0.60, 2, spread=0.00001, lots=2_500, lot_decimals=5, activity=2.0),
    "BTC-USDT": Instrument("BTC", 97_000.0, 0.60, 2, spread=0.000005, lots=2_000, lot_decimals=5, activity=4.0),
    "ETH-USDT": Instrument("ETH", 3_400.0, 0.75, 2, spread=0.00001, lots=3_500, lot_decimals=4, activity=3.0),
    "SOL-USDT": Instrument("SOL", 210.0, 0.95, 2, spread=0.00005, lots=6_000, lot_decimals=3, activity=2.0),
    "AAPL": Instrument("AAPL", 232.0, 0.30, 2, spread=0.00006, lots=80),
    "GOOGL": Instrument("GOOGL", 178.0, 0.32, 2, spread=0.00008, lots=70),
    "MSFT": Instrument("MSFT", 428.0, 0.28, 2, spread=0.00006, lots=60),
    "BRK.B": Instrument("BRK.B", 476.0, 0.22, 2, spread=0.00010, lots=25, activity=0.5),
    "EURUSD=X": Instrument("EURUSD", 1.0850, 0.09, 5, spread=0.00003, lots=50_000, activity=1.5),
    "SCOM": Instrument("SCOM", 17.0, 0.55, 2, step=1, spread=0.0006, lots=2_000, activity=0.5),
    "KCB": Instrument("KCB", 41.0, 0.50, 2, step=5, spread=0.0008, lots=800, activity=0.4),
    "EQTY": Instrument("EQTY", 48.0, 0.50, 2, step=5, spread=0.0008, lots=700, activity=0.4),
}


def instrument(symbol: str) -> Instrument:
    """Of the table, or for any other symbol a made-up one: the same each time."""
    known = INSTRUMENTS.get(symbol)
    if known is not None:
        return known
    key = named(0, symbol)
    return Instrument(symbol, start=5 + key % 49_500 / 100, volatility=0.25 + key % 60 / 100, decimals=2, lots=100)


class Totals(msgspec.Struct, frozen=True):
    """What a stretch of time holds: exact, by symbol. faults: how many of each (`simulated_faults.py`)."""

    trades: dict[str, int]
    quotes: dict[str, int]
    volume: dict[str, Decimal]
    faults: dict[str, int] = {}


class Outage(msgspec.Struct, frozen=True):
    """A stretch whose ticks never come. kind: `gap`, which the feed notices at once, or `mute`, which it does not."""

    kind: str
    from_us: int
    until_us: int


def exact_quantity(trade: Trade) -> Decimal:
    """In whole lots of its instrument, as it was made."""
    decimals = instrument(trade.symbol).lot_decimals
    return Decimal(round(trade.quantity * 10**decimals)).scaleb(-decimals)


# --- The path -----------------------------------------------------------------------------------------------


def _displacements(keys: Words, which: Ints, cell: Ints) -> Floats:
    """The normal numbers of these cells of each level, of the instruments `which`.

    keys: [instruments, levels]. which: [n]. cell and the result: [n, levels].
    """
    if cell.size <= AT_ONCE:
        return normal(mixed(keys[which], cell.astype(np.uint64)))
    return np.stack([_level(keys[:, j], which, cell[:, j]) for j in range(cell.shape[1])], axis=1)


def _level(keys: Words, which: Ints, cell: Ints) -> Floats:
    """As `_displacements` for one level. Where it has fewer cells than there are times, each is drawn once."""
    low, high = int(cell.min()), int(cell.max())
    if (high - low + 1) * len(keys) > len(cell):
        return normal(mixed(keys[which], cell.astype(np.uint64)))
    table = normal(mixed(keys[:, None], np.arange(low, high + 1).astype(np.uint64)[None, :]))
    return table[which, cell - low]


def _brownian(keys: Words, which: Ints, time_us: Ints, levels: int = LEVELS) -> Floats:
    """The logarithm of price / start for a volatility of 1 a year, at each time, of the instrument `which`.

    keys: [instruments, LEVELS + 1], the last for the anchors. levels: fewer if all times lie where the rest displace
    nothing.
    """
    if len(time_us) > AT_ONCE:
        parts = range(0, len(time_us), AT_ONCE)
        each = [_brownian(keys, which[i : i + AT_ONCE], time_us[i : i + AT_ONCE], levels) for i in parts]
        return np.concatenate(each)
    unit = time_us // UNIT_US
    rest = (time_us - unit * UNIT_US) / UNIT_US
    anchor = unit >> LEVELS
    fraction = ((unit - (anchor << LEVELS)) + rest) * 2.0**-LEVELS
    ends = np.stack((anchor, anchor + 1), axis=1)
    straight = _displacements(keys[:, [LEVELS, LEVELS]], which, ends)
    value = (straight[:, 0] * (1.0 - fraction) + straight[:, 1] * fraction) * ANCHOR_DEVIATION
    shift = LEVELS - np.arange(levels)
    cell = unit[:, None] >> shift
    place = ((unit[:, None] - (cell << shift)) + rest[:, None]) * 2.0**-shift
    hat = (1.0 - np.abs(2.0 * place - 1.0)) * DEVIATIONS[:levels]
    displaced: Floats = (hat * _displacements(keys[:, :levels], which, cell)).sum(axis=1)
    return value + displaced


class _Arrivals(msgspec.Struct):
    """Ticks of one kind, as columns: by instrument, then time. `id` rises with time within an instrument."""

    which: Ints
    time_us: Ints
    id: Ints

    def between(self, from_us: int, to_us: int) -> "_Arrivals":
        kept = (self.time_us >= from_us) & (self.time_us < to_us)
        return _Arrivals(self.which[kept], self.time_us[kept], self.id[kept])


class Simulation:
    """The market of one seed. `ticks_per_s`: trades and quotes together, of all symbols, on average.

    >>> simulation = Simulation(seed=7, symbols=["BTC-USDT"], ticks_per_s=20)
    >>> whole = simulation.ticks(1_760_000_000_000_000, 1_760_000_002_000_000)
    >>> parts = [simulation.ticks(1_760_000_000_000_000 + s * 500_000, 1_760_000_000_500_000 + s * 500_000)
    ...          for s in range(4)]
    >>> [tick for part in parts for tick in part] == whole
    True
    """

    name = "simulated"

    def __init__(self, seed: int, symbols: Sequence[str], ticks_per_s: float) -> None:
        if not 0 < ticks_per_s <= MAX_TICKS_PER_S:
            raise ValueError(f"ticks_per_s is {ticks_per_s}, not within (0, {MAX_TICKS_PER_S}]")
        self.symbols = tuple(dict.fromkeys(symbols))
        self.ticks_per_s = ticks_per_s
        self._numbers = {symbol: i for i, symbol in enumerate(self.symbols)}
        known = self._instruments = [instrument(symbol) for symbol in self.symbols]
        paths = np.array([named(seed, "path " + i.path) for i in known], np.uint64)
        self._levels = mixed(paths[:, None], np.arange(LEVELS + 1).astype(np.uint64)[None, :])
        self._keys = np.array([named(seed, "symbol " + symbol) for symbol in self.symbols], np.uint64)
        self._start = np.array([i.start * 10**i.decimals / i.step for i in known])  # prices in steps
        self._volatility = np.array([i.volatility for i in known])
        self._spread = np.array([i.spread for i in known])
        self._step = np.array([i.step for i in known], np.int64)
        self._price_scale = np.array([10.0**i.decimals for i in known])
        self._lots = np.array([i.lots for i in known])
        self._lot_scale = np.array([10.0**i.lot_decimals for i in known])
        activity = np.array([i.activity for i in known])
        self._per_s = ticks_per_s * activity / max(activity.sum(), 1e-9)
        share = {_TRADE: TRADES_SHARE, _QUOTE: 1 - TRADES_SHARE}
        self._cdf = {
            kind: [poisson_cdf(per_s * part * CELL_US / SECOND_US) for per_s in self._per_s]
            for kind, part in share.items()
        }
        self._last_cell: tuple[int, list[Tick]] = (-1, [])
        self._days: dict[int, tuple[int, tuple[float, float, float, float]]] = {}

    # --- asked by the listener ---

    def ticks(self, from_us: int, to_us: int) -> list[Tick]:
        """Everything of [from_us, to_us) in time order: trades, quotes, a book a second, a ticker each 5 s.

        `received_us` is `time_us`: nothing travelled.
        """
        ticks: list[Tick] = []
        for first, last in self._pieces(from_us, to_us):
            piece = self._cell(first) if last == first + 1 else self._made(first, last)
            low = bisect_left(piece, from_us, key=_time)
            ticks += piece[low : bisect_left(piece, to_us, key=_time)]
        return ticks

    def totals(self, from_us: int, to_us: int) -> Totals:
        """What `ticks` gives for [from_us, to_us), counted from the columns: volumes in whole lots, so exact."""
        count = len(self.symbols)
        trades, quotes, lots = (np.zeros(count, np.int64) for _ in range(3))
        for first, last in self._pieces(from_us, to_us):
            sold = self._arrivals(_TRADE, first, last).between(from_us, to_us)
            trades += np.bincount(sold.which, minlength=count)
            np.add.at(lots, sold.which, self._sizes(_SIZE + _TRADE, sold))
            quoted = self._arrivals(_QUOTE, first, last).between(from_us, to_us)
            quotes += np.bincount(quoted.which, minlength=count)
        return Totals(
            dict(zip(self.symbols, trades.tolist(), strict=True)),
            dict(zip(self.symbols, quotes.tolist(), strict=True)),
            {
                symbol: Decimal(n).scaleb(-i.lot_decimals)
                for symbol, n, i in zip(self.symbols, lots.tolist(), self._instruments, strict=True)
            },
        )

    def outages(self, from_us: int, to_us: int) -> list[Outage]:
        """None: this market is never silent."""
        return []

    # --- asked for history ---

    def price(self, symbol: str, time_us: int) -> float:
        """The middle of the market then, on a whole tick."""
        return self.prices(symbol, [time_us])[0]

    def prices(self, symbol: str, times_us: Sequence[int]) -> list[float]:
        """As `price`, for many times at once, such as the closes of many days."""
        number = self._numbers[symbol]
        times = np.array(times_us, np.int64)
        whole = np.rint(self._mid(np.full(len(times), number), times))
        prices: list[float] = self._in_money(number, whole).tolist()
        return prices

    def candles(self, symbol: str, from_us: int, to_us: int, instrument_id: int = 0, source: int = 1) -> list[Bar]:
        """The whole minutes within [from_us, to_us), from the path at 30 points a minute.

        The same path as the ticks', so that history runs into live prices. Trades and volumes are drawn as the
        ticks' would be on average; they are not sums of ticks.
        """
        number = self._numbers[symbol]
        first = -(-from_us // MINUTE_US)
        minutes = np.arange(first, max(first, to_us // MINUTE_US))
        if not len(minutes):
            return []
        per_minute = MINUTE_US // SAMPLE_US
        # One point more: a minute closes where the next one opens.
        time_us = np.arange(minutes[0] * per_minute, (minutes[-1] + 1) * per_minute + 1) * SAMPLE_US
        path = self._in_money(number, np.rint(self._mid(np.full(len(time_us), number), time_us, SAMPLE_LEVELS)))
        inside = path[:-1].reshape(-1, per_minute)
        close = path[per_minute::per_minute]
        high, low = np.maximum(inside.max(axis=1), close), np.minimum(inside.min(axis=1), close)
        trades, volume = self._traded(number, minutes)
        start_us = minutes * MINUTE_US
        columns = (
            start_us, inside[:, 0], high, low, close, volume, volume * (high + low + close) / 3, trades,
            start_us, start_us // CELL_US << ID_BITS,
            start_us + MINUTE_US - 1, ((start_us + MINUTE_US) // CELL_US << ID_BITS) - 1,
        )  # fmt: skip
        rows = zip(*(column.tolist() for column in columns), repeat("1m"), repeat(True))
        return [Bar(instrument_id, source, *row) for row in rows]

    # --- how it is made ---

    def _pieces(self, from_us: int, to_us: int) -> Iterator[tuple[int, int]]:
        """The cells that the stretch touches, in pieces: one by one where they are few, as when asked live."""
        first, end = from_us // CELL_US, -(-to_us // CELL_US)
        many = max(1, int(PIECE_TICKS / (self.ticks_per_s * CELL_US / SECOND_US)))
        size = 1 if end - first <= ONE_BY_ONE else many
        return ((at, min(at + size, end)) for at in range(first, end, size))

    def _cell(self, cell: int) -> list[Tick]:
        """The ticks of one cell. The last one is kept, since a listener asks for it several times in pieces."""
        if self._last_cell[0] != cell:
            self._last_cell = (cell, self._made(cell, cell + 1))
        return self._last_cell[1]

    def _made(self, first: int, last: int) -> list[Tick]:
        """The ticks of cells [first, last), in time order."""
        trades, quotes = self._arrivals(_TRADE, first, last), self._arrivals(_QUOTE, first, last)
        made: list[Tick] = [*self._trades(trades), *self._quotes(quotes)]
        made += self._books(first * CELL_US, last * CELL_US)
        made += self._tickers(first * CELL_US, last * CELL_US)
        made.sort(key=_time)
        return made

    def _key(self, use: int) -> Words:
        return mixed(self._keys, words(use))

    def _arrivals(self, kind: int, first: int, last: int) -> _Arrivals:
        """When ticks of a kind arrive in cells [first, last): a Poisson number in each, evenly spread over it."""
        cells = np.arange(first, last)
        drawn = uniform(mixed(self._key(kind + _COUNT)[:, None], cells.astype(np.uint64)[None, :]))
        counts = np.array(
            [np.searchsorted(cdf, row) for cdf, row in zip(self._cdf[kind], drawn, strict=True)], np.int64
        ).reshape(len(self.symbols), len(cells))
        which = np.repeat(np.arange(len(self.symbols)), counts.sum(axis=1))
        flat = counts.ravel()
        cell = np.repeat(np.tile(cells, len(self.symbols)), flat)
        place = np.arange(len(cell)) - np.repeat(np.cumsum(flat) - flat, flat)
        arrival_id = (cell << ID_BITS) | place
        offset = uniform(mixed(self._key(kind + _OFFSET)[which], arrival_id.astype(np.uint64))) * CELL_US
        time_us = cell * CELL_US + offset.astype(np.int64)
        # Cells are in order already; within each, ids are to rise with time.
        return _Arrivals(which, time_us[np.lexsort((time_us, which))], arrival_id)

    def _sizes(self, use: int, at: _Arrivals) -> Ints:
        """Exponential sizes in lots, at least one."""
        drawn = uniform(mixed(self._key(use)[at.which], at.id.astype(np.uint64)))
        lots: Ints = np.ceil(-np.log(drawn) * self._lots[at.which]).astype(np.int64)
        return lots

    def _mid(self, which: Ints, time_us: Ints, levels: int = LEVELS) -> Floats:
        """The middle of the market in price steps, not rounded."""
        keys, of = self._levels, which
        if len(which) and (which == which[0]).all():
            # One instrument's history: draw nothing for the others.
            keys, of = keys[which[:1]], np.zeros_like(which)
        moved = _brownian(keys, of, time_us, levels) * self._volatility[which]
        steps: Floats = np.maximum(self._start[which] * np.exp(moved), 1.0)
        return steps

    def _in_money(self, which: Ints | int, steps: Floats) -> Floats:
        """A whole number of steps as the float64 nearest to that decimal price."""
        price: Floats = steps * self._step[which] / self._price_scale[which]
        return price

    def _top(self, which: Ints, time_us: Ints) -> tuple[Floats, Floats]:
        """Best bid and ask in steps: outwards from the middle, at least a step apart."""
        mid = self._mid(which, time_us)
        bid = np.maximum(np.floor(mid * (1 - self._spread[which])), 1.0)
        return bid, np.maximum(np.ceil(mid * (1 + self._spread[which])), bid + 1)

    def _trades(self, at: _Arrivals) -> Iterator[Trade]:
        if not len(at.which):
            return iter(())
        bid, ask = self._top(at.which, at.time_us)
        bought = uniform(mixed(self._key(_SIDE)[at.which], at.id.astype(np.uint64))) < 0.5
        price = self._in_money(at.which, np.where(bought, ask, bid))
        quantity = self._sizes(_SIZE + _TRADE, at) / self._lot_scale[at.which]
        names = map(self.symbols.__getitem__, at.which.tolist())
        times = at.time_us.tolist()
        sides = np.where(bought, BUY, SELL).tolist()
        return map(Trade, names, times, times, at.id.tolist(), price.tolist(), quantity.tolist(), sides)

    def _quotes(self, at: _Arrivals) -> Iterator[Quote]:
        if not len(at.which):
            return iter(())
        bid, ask = (self._in_money(at.which, side).tolist() for side in self._top(at.which, at.time_us))
        scale = self._lot_scale[at.which]
        bid_size = (self._sizes(_SIZE + _QUOTE, at) / scale).tolist()
        ask_size = (self._sizes(_ASK_SIZE + _QUOTE, at) / scale).tolist()
        names = map(self.symbols.__getitem__, at.which.tolist())
        times = at.time_us.tolist()
        return map(Quote, names, times, times, at.id.tolist(), bid, bid_size, ask, ask_size)

    def _due(self, every_us: int, from_us: int, to_us: int) -> Iterator[tuple[int, int]]:
        """(instrument, time) of what comes regularly, each instrument at its own moment."""
        for number, key in enumerate(self._keys.tolist()):
            moment = key % every_us
            first = -(-(from_us - moment) // every_us) * every_us + moment
            yield from ((number, time_us) for time_us in range(first, to_us, every_us))

    def _books(self, from_us: int, to_us: int) -> Iterator[BookSnapshot]:
        """Twenty levels a side, a few steps apart, deeper further out."""
        due = list(self._due(BOOK_EVERY_US, from_us, to_us))
        if not due:
            return
        which, time_us = (np.array(column, np.int64) for column in zip(*due, strict=True))
        drawn = uniform(mixed(self._key(_BOOK)[which][:, None], (time_us[:, None] + np.arange(40)).astype(np.uint64)))
        away = np.arange(BOOK_LEVELS)
        gap = np.ceil(self._start[which] * self._spread[which] / 2)[:, None] * away
        sizes = np.ceil(-np.log(drawn) * self._lots[which][:, None] * (1 + np.tile(away, 2) / 4))
        sizes /= self._lot_scale[which][:, None]
        bid, ask = self._top(which, time_us)
        bids = self._in_money(which[:, None], np.maximum(bid[:, None] - gap, 1.0)).tolist()
        asks = self._in_money(which[:, None], ask[:, None] + gap).tolist()
        for (number, at_us), b, a, size in zip(due, bids, asks, sizes.tolist(), strict=True):
            yield BookSnapshot(
                self.symbols[number], at_us, at_us, at_us // BOOK_EVERY_US,
                tuple(zip(b, size[:BOOK_LEVELS], strict=True)), tuple(zip(a, size[BOOK_LEVELS:], strict=True)),
            )  # fmt: skip

    def _tickers(self, from_us: int, to_us: int) -> Iterator[Ticker]:
        for number, at_us in self._due(TICKER_EVERY_US, from_us, to_us):
            symbol = self.symbols[number]
            last = self.price(symbol, at_us)
            opened, high, low, volume = self._day(number, at_us // MINUTE_US)
            yield Ticker(
                symbol, at_us, at_us, last, opened, max(high, last), min(low, last), volume,
                volume * (high + low + last) / 3,
            )  # fmt: skip

    def _day(self, number: int, minute: int) -> tuple[float, float, float, float]:
        """Open, high, low and volume of the 1,440 minutes up to this one. Kept while the minute lasts."""
        held = self._days.get(number)
        if held is None or held[0] != minute:
            minutes = np.arange(minute - 1440, minute)
            steps = np.rint(self._mid(np.full(len(minutes), number), minutes * MINUTE_US, SAMPLE_LEVELS))
            path = self._in_money(number, steps)
            volume = float(self._traded(number, minutes)[1].sum())
            held = self._days[number] = (minute, (float(path[0]), float(path.max()), float(path.min()), volume))
        return held[1]

    def _traded(self, number: int, minutes: Ints) -> tuple[Ints, Floats]:
        """How many trades, and how much, in each of these minutes: normal numbers for the Poisson and gamma ones."""
        mean = self._per_s[number] * TRADES_SHARE * 60
        each = minutes.astype(np.uint64)
        key = self._key(_VOLUME)[number : number + 1]
        trades = np.maximum(np.rint(mean + math.sqrt(mean) * normal(mixed(key, each))), 1.0)
        spread = 1 + normal(mixed(mixed(key, words(1)), each)) / np.sqrt(trades)
        lots = np.ceil(trades * self._lots[number] * np.clip(spread, 0.2, 3.0))
        return trades.astype(np.int64), lots / self._lot_scale[number]
