"""Order books: deltas a second of one process's CPU, on recorded books, in four ways of keeping one.

    python -m tests.bench.books [--rounds N]

Each way takes the same decoded deltas, and after each one tells the best 50 levels a side, as a listener may. `ours` is
the production book with all that its venue's rule asks for: update ids, cutting to depth, a checksum at each delta of
Kraken's. The others apply levels and check nothing. `re-sorted` sorts a dict whenever it is asked; `lazily sorted`
keeps the sorted prices until one comes or goes; `ccxt` is its own book (two parallel lists), where it is installed.
`apply only` is ours without telling: what a delta costs while nobody is shown the book.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from ingestion.orderbook import Book, make
from ingestion.providers import PROVIDERS
from ingestion.ticks import BookDelta
from tests.ingestion import recordings

SHOWN = 50

Levels = Sequence[tuple[float, float]]


class Way(Protocol):
    """One way of keeping a book."""

    def apply(self, delta: BookDelta) -> None: ...

    def best(self) -> Any: ...


class Ours:
    def __init__(self, provider: str) -> None:
        self.book: Book = make(PROVIDERS[provider].book, shown=SHOWN, held_max=3000, asked_levels=1000)

    def apply(self, delta: BookDelta) -> None:
        self.book.apply(delta)

    def best(self) -> Any:
        return self.book.best(SHOWN)


class Resorted:
    def __init__(self) -> None:
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}

    def apply(self, delta: BookDelta) -> None:
        for side, levels in ((self.bids, delta.bids), (self.asks, delta.asks)):
            if delta.snapshot:
                side.clear()
            for price, quantity in levels:
                if quantity:
                    side[price] = quantity
                else:
                    side.pop(price, None)

    def best(self) -> Any:
        return sorted(self.bids.items(), reverse=True)[:SHOWN], sorted(self.asks.items())[:SHOWN]


class LazilySorted(Resorted):
    def __init__(self) -> None:
        super().__init__()
        self.prices: list[list[float]] = [[], []]
        self.sorted = [False, False]

    def apply(self, delta: BookDelta) -> None:
        for at, (side, levels) in enumerate(((self.bids, delta.bids), (self.asks, delta.asks))):
            if any((price in side) != bool(quantity) for price, quantity in levels):
                self.sorted[at] = False
        super().apply(delta)

    def best(self) -> Any:
        sides = self.bids, self.asks
        for at, side in enumerate(sides):
            if not self.sorted[at]:
                self.prices[at], self.sorted[at] = sorted(side, reverse=not at), True
        return [
            [(price, side[price]) for price in prices[:SHOWN]] for side, prices in zip(sides, self.prices, strict=True)
        ]


class Ccxt:
    """Raises ImportError where it is not installed."""

    def __init__(self) -> None:
        from ccxt.async_support.base.ws.order_book import OrderBook

        self.book = OrderBook()

    def apply(self, delta: BookDelta) -> None:
        book = self.book
        if delta.snapshot:
            # It keeps the arrays that it is given, and changes them.
            book.reset({"bids": [list(x) for x in delta.bids], "asks": [list(x) for x in delta.asks]})
            return
        for price, quantity in delta.bids:
            book["bids"].store(price, quantity)
        for price, quantity in delta.asks:
            book["asks"].store(price, quantity)

    def best(self) -> Any:
        return self.book["bids"][:SHOWN], self.book["asks"][:SHOWN]


class Silent:
    """Another way, that is never asked what it has."""

    def __init__(self, way: Way) -> None:
        self.apply = way.apply

    def best(self) -> Any:
        return None


# --- What is played -------------------------------------------------------------------------------------------------


def deltas(provider: str, frames: Iterator[tuple[bytes, int]]) -> list[BookDelta]:
    """Those in the frames."""
    decode = PROVIDERS[provider].decode
    return [said for frame, at_us in frames for said in decode(frame, at_us) if isinstance(said, BookDelta)]


def binance() -> list[BookDelta]:
    """The snapshot first: the two deltas that are older are not applied anyway."""
    lines = list(recordings.frames("hftbacktest/spot/btcusdt_20240808.gz"))
    [(body, at_us)] = [line for line in lines if line[0].startswith(b'{"lastUpdateId"')]
    first = PROVIDERS["binance"].read_book(body, "BTCUSDT", at_us)  # type: ignore[attr-defined]
    rest = deltas("binance", (line for line in lines if b"@depth" in line[0][:40]))
    return [first, *(delta for delta in rest if delta.last_id > first.last_id)]


def coinbase() -> list[BookDelta]:
    return deltas("coinbase", recordings.typed("cryptofeed/v3/COINBASE_seq0-299.jsonl.zst"))


def kraken() -> list[BookDelta]:
    return deltas("kraken", recordings.kraken_v2("book"))


PLAYED: dict[str, Callable[[], list[BookDelta]]] = {"binance": binance, "coinbase": coinbase, "kraken": kraken}


def ways(provider: str) -> dict[str, Callable[[], Way]]:
    """Each makes one book."""
    ours = partial(Ours, provider)
    found: dict[str, Callable[[], Way]] = {
        "ours": ours, "apply only": lambda: Silent(ours()), "lazily sorted": LazilySorted, "re-sorted": Resorted,
    }  # fmt: skip
    try:
        Ccxt()
    except ImportError:
        return found
    return found | {"ccxt": Ccxt}


def played(make_book: Callable[[], Way], told: Sequence[BookDelta]) -> float:
    """Deltas a second. Snapshots are applied, and not measured."""
    books: dict[str, Way] = {}
    measured = [delta for delta in told if not delta.snapshot]
    for delta in told:
        if delta.snapshot:
            books.setdefault(delta.symbol, make_book()).apply(delta)
            books[delta.symbol].best()
    began = time.process_time()
    for delta in measured:
        book = books[delta.symbol]
        book.apply(delta)
        book.best()
    return len(measured) / (time.process_time() - began)


def agree(provider: str, told: Sequence[BookDelta]) -> None:
    """Every way tells the same book in the end."""
    ends = []
    for name, make_book in ways(provider).items():
        if name != "apply only":
            book = make_book()
            for delta in told:
                book.apply(delta)
            ends.append([[tuple(level) for level in side] for side in book.best()])
    assert all(end == ends[0] for end in ends), provider


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{'venue':10} {'deltas':>7} {'levels/delta':>12}  deltas a second")
    for provider, play in PLAYED.items():
        told = play()
        first = told[0].symbol
        agree(provider, [delta for delta in told if delta.symbol == first])
        changes = [len(delta.bids) + len(delta.asks) for delta in told if not delta.snapshot]
        rates = {
            name: max(played(make_book, told) for _ in range(arguments.rounds))
            for name, make_book in ways(provider).items()
        }
        columns = "  ".join(f"{name} {rate:,.0f} ({rates['ours'] / rate:.2f}×)" for name, rate in rates.items())
        print(f"{provider:10} {len(changes):7,} {sum(changes) / len(changes):12.1f}  {columns}", flush=True)


if __name__ == "__main__":
    main()
