"""Re-marking every portfolio, beside the least that numpy could do.

    python -m tests.bench.valuation [--portfolios 10000] [--holdings 100] [--repeat 15]

The same holdings are re-marked by the follower's board (who is touched, what each is worth) and by a bare pass over
the same arrays, in turns, by the process's CPU: first all prices at once, then one instrument's. Told besides is what
the exact figures cost of those who are told. Exits non-zero when the target is missed.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from portfolio.board import Board
from portfolio.followed import Folded, Followed, Prices
from portfolio.positions import BUY, Book, Entry, Policy
from portfolio.valuation import Holding, Mark

MAX_RATIO = 3.0
INSTRUMENTS = 2000
TOLD = 200
AT = datetime(2026, 1, 28, tzinfo=UTC)


def cpu_ms(work: Callable[[], object]) -> float:
    began = time.process_time_ns()
    work()
    return (time.process_time_ns() - began) / 1e6


def held(portfolios: int, holdings: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Instruments and quantities, a row a portfolio."""
    which = np.argsort(generator.random((portfolios, INSTRUMENTS), dtype=np.float32), axis=1)[:, :holdings]
    return which, generator.uniform(0.1, 1000, (portfolios, holdings))


def board_of(which: np.ndarray, quantities: np.ndarray, prices: np.ndarray) -> tuple[Board, list[int]]:
    board = Board()
    slots = [board.slot(instrument) for instrument in range(INSTRUMENTS)]
    for slot, price in zip(slots, prices, strict=True):
        board.mark(slot, float(price))
    for portfolio, (row, amounts) in enumerate(zip(which.tolist(), quantities.tolist(), strict=True)):
        board.put(portfolio, [(slots[instrument], amount) for instrument, amount in zip(row, amounts, strict=True)])
    board.remark()
    return board, slots


def remarked(board: Board, slots: list[int], prices: np.ndarray, moved: range) -> list[int]:
    for instrument in moved:
        board.mark(slots[instrument], float(prices[instrument]))
    return board.remark()


def exact_ms(portfolios: int, holdings: int) -> float:
    """CPU to make one portfolio's exact figures and payload again, after one of its prices has moved."""
    prices = Prices(rates={"USD": {"USD": Decimal(1)}})
    for instrument in range(holdings):
        prices.holdings[instrument] = Holding(f"S{instrument:03}", "USD")
        prices.marks[instrument] = Mark(Decimal("101.25"), AT, previous=Decimal(100), since=AT)
    followed = [Followed(_folded(portfolio, holdings), AT) for portfolio in range(portfolios)]
    for own in followed:
        own.value(None, prices, AT)
    prices.marks[0] = Mark(Decimal("101.37"), AT, previous=Decimal(100), since=AT)
    return cpu_ms(lambda: [own.payload(own.value([0], prices, AT)) for own in followed]) / portfolios


def _folded(portfolio_id: int, holdings: int) -> Folded:
    book = Book(Policy())
    for n in range(holdings):
        book.apply(
            Entry(id=n, type=BUY, at=AT, currency="USD", instrument=n, quantity=Decimal("1.5"), price=Decimal(100))
        )
    return Folded(portfolio_id, "Savings", 1, Policy(), book, None, 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portfolios", type=int, default=10_000)
    parser.add_argument("--holdings", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=15)
    options = parser.parse_args()
    generator = np.random.default_rng(5)
    which, quantities = held(options.portfolios, options.holdings, generator)
    prices = generator.uniform(1, 1000, INSTRUMENTS)
    board, slots = board_of(which, quantities, prices)
    flat, amounts = which.ravel().astype(np.int64), quantities.ravel()
    starts = np.arange(0, flat.size, options.holdings)

    ours, bare, one = [], [], []
    for _ in range(options.repeat):
        prices = generator.uniform(1, 1000, INSTRUMENTS)
        ours.append(cpu_ms(lambda: remarked(board, slots, prices, range(INSTRUMENTS))))  # noqa: B023 - called at once
        bare.append(cpu_ms(lambda: np.add.reduceat(amounts * prices[flat], starts)))  # noqa: B023
        prices[7] += 1
        one.append(cpu_ms(lambda: remarked(board, slots, prices, range(7, 8))))  # noqa: B023
    true = np.add.reduceat(amounts * prices[flat], starts)
    assert np.allclose([board.total(portfolio) for portfolio in range(options.portfolios)], true)

    ratio = statistics.median(ours) / statistics.median(bare)
    print(f"{options.portfolios:,} portfolios × {options.holdings} holdings, all of {INSTRUMENTS:,} prices moved:")
    print(f"  the board {statistics.median(ours):.1f} ms, bare numpy {statistics.median(bare):.1f} ms of CPU")
    print(f"  {ratio:.2f} × bare numpy (target ≤ {MAX_RATIO:g}), {'met' if ratio <= MAX_RATIO else 'MISSED'}")
    print(f"  one price moved: {statistics.median(one):.1f} ms")
    print(f"  exact figures and payload of one who is told: {exact_ms(TOLD, options.holdings):.2f} ms")
    return 0 if ratio <= MAX_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
