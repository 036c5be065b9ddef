"""A made-up market, or a recorded one as far as it was played: its trades and its order books, whoever listened."""

import bisect
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

FIRST_TRADE_ID = 1_000_001
FIRST_UPDATE_ID = 5_000_001
# A made-up book has a level on each of so many ticks on either side of the price.
LEVELS = 30

Level = tuple[str, str]  # price and quantity as the strings on the wire


@dataclass(frozen=True)
class SentTrade:
    """A trade as the venue made it: decimals as the strings on the wire. Finnhub knows no maker, and no id."""

    symbol: str
    trade_id: int
    price: str
    quantity: str
    time_us: int
    buyer_is_maker: bool | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.symbol, self.trade_id

    @property
    def time_ms(self) -> int:
        return self.time_us // 1000

    @property
    def taker(self) -> str:
        return "sell" if self.buyer_is_maker else "buy"


def decimal_text(units: int, decimals: int) -> str:
    """units × 10^-decimals, with all its zeros.

    >>> decimal_text(1050, 3)
    '1.050'
    """
    whole, rest = divmod(units, 10**decimals)
    return f"{whole}.{rest:0{decimals}d}" if decimals else str(whole)


class Side:
    """One side of a book, best first. sign: 1 for asks, -1 for bids."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._order: list[Decimal] = []  # sign × price, ascending
        self._levels: dict[Decimal, Level] = {}

    def replace(self, levels: Iterable[Level]) -> None:
        self._levels = {self._sign * Decimal(price): (price, quantity) for price, quantity in levels}
        self._order = sorted(self._levels)

    def put(self, price: str, quantity: str) -> None:
        """A quantity of zero removes the level, if there is one."""
        place = self._sign * Decimal(price)
        if not Decimal(quantity):
            if self._levels.pop(place, None) is not None:
                del self._order[bisect.bisect_left(self._order, place)]
            return
        if place not in self._levels:
            bisect.insort(self._order, place)
        self._levels[place] = (price, quantity)

    def best(self, count: int | None = None) -> list[Level]:
        return [self._levels[place] for place in self._order[:count]]

    def keep(self, count: int) -> None:
        """Forget all but the best."""
        for place in self._order[count:]:
            del self._levels[place]
        del self._order[count:]

    def __len__(self) -> int:
        return len(self._order)


class Book:
    """An order book of strings. `update_id`: of the last change; 0 while nothing is known."""

    def __init__(self) -> None:
        self.bids, self.asks = Side(-1), Side(1)
        self.update_id = 0

    def replace(self, bids: Iterable[Level], asks: Iterable[Level], update_id: int) -> None:
        self.bids.replace(bids)
        self.asks.replace(asks)
        self.update_id = update_id

    def change(self, bids: Iterable[Level], asks: Iterable[Level], update_id: int) -> None:
        self.update_id = update_id
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, quantity in levels:
                side.put(price, quantity)


@dataclass
class Changes:
    """What changed in a book since it was last told: the newest quantity of each price."""

    first_id: int = 0
    bids: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)

    def add(self, bids: Iterable[Level], asks: Iterable[Level], update_id: int) -> None:
        self.first_id = self.first_id or update_id
        self.bids.update(bids)
        self.asks.update(asks)


class Market:
    """Trades by symbol, books by symbol, and what of the books is not told yet.

    decimals: of the prices, and of the quantities, by symbol; the made-up ones have 2 and 5 otherwise.
    """

    def __init__(self, symbols: Iterable[str], seed: int, decimals: dict[str, tuple[int, int]] | None = None) -> None:
        self.decimals = decimals or {}
        self.symbols = {symbol: 10_000 * (i + 1) for i, symbol in enumerate(symbols)}  # the price in ticks
        self.trades: dict[str, list[SentTrade]] = {symbol: [] for symbol in self.symbols}
        self.books: dict[str, Book] = {symbol: Book() for symbol in self.symbols}
        self.untold: dict[str, Changes] = {}
        self._random = random.Random(seed)
        self._next_id = dict.fromkeys(self.symbols, FIRST_TRADE_ID)
        self._next_update = dict.fromkeys(self.symbols, FIRST_UPDATE_ID)

    def scale(self, symbol: str) -> tuple[int, int]:
        """Decimals of price and quantity."""
        return self.decimals.get(symbol, (2, 5))

    def make_trade(self, now_us: int) -> SentTrade:
        """The next made-up trade of some symbol, at the best price of its side; the book moves with it."""
        symbol = self._random.choice(list(self.symbols))
        self.open_book(symbol)
        sold = self._random.random() < 0.5
        price = self._price(symbol, self.symbols[symbol] + (-1 if sold else 1))
        trade = SentTrade(symbol, self.next_id(symbol), price, self._quantity(symbol), now_us, sold)
        self.trades[symbol].append(trade)
        before = self.symbols[symbol]
        self.symbols[symbol] = max(4 * LEVELS, before + self._random.randint(-3, 3))
        self._move_book(symbol, before)
        return trade

    def next_id(self, symbol: str) -> int:
        self._next_id[symbol] += 1
        return self._next_id[symbol] - 1

    def open_book(self, symbol: str) -> Book:
        """The book, made up if it is not known yet."""
        book = self.books[symbol]
        if not book.update_id and symbol in self.symbols:
            at = self.symbols[symbol]
            book.replace(
                [(self._price(symbol, at - i), self._quantity(symbol)) for i in range(1, LEVELS + 1)],
                [(self._price(symbol, at + i), self._quantity(symbol)) for i in range(1, LEVELS + 1)],
                self._update_id(symbol),
            )
        return book

    def _move_book(self, symbol: str, before: int) -> None:
        """From the price before: one side loses the ticks that were passed, the other gains them; edges follow."""
        now, book = self.symbols[symbol], self.books[symbol]
        up, down = range(before, now), range(now, before)
        zero = self._zero(symbol)
        gone = {-1: [*(t - LEVELS for t in up), *down], 1: [*(t + 1 for t in up), *(t + 1 + LEVELS for t in down)]}
        new = {-1: [*up, *(t - LEVELS for t in down)], 1: [*(t + 1 + LEVELS for t in up), *(t + 1 for t in down)]}
        sides = [
            [
                *((self._price(symbol, tick), zero) for tick in gone[sign]),
                *((self._price(symbol, tick), self._quantity(symbol)) for tick in new[sign]),
                (self._price(symbol, now + sign * self._random.randint(1, LEVELS // 2)), self._quantity(symbol)),
            ]
            for sign in (-1, 1)
        ]
        update_id = self._update_id(symbol)
        book.change(*sides, update_id)
        self.untold.setdefault(symbol, Changes()).add(*sides, update_id)

    def _price(self, symbol: str, ticks: int) -> str:
        return decimal_text(ticks, self.scale(symbol)[0])

    def _quantity(self, symbol: str) -> str:
        decimals = self.scale(symbol)[1]
        return decimal_text(int(self._random.expovariate(2) * 10**decimals) + 1, decimals)

    def _zero(self, symbol: str) -> str:
        return decimal_text(0, self.scale(symbol)[1])

    def _update_id(self, symbol: str) -> int:
        self._next_update[symbol] += 1
        return self._next_update[symbol]

    def take_untold(self, symbol: str) -> Changes | None:
        return self.untold.pop(symbol, None)
