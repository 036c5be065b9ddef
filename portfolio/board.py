"""All portfolios' holdings as arrays: whom a price touches, and about what everything is worth. Pure.

A *slot* is what has a price in a portfolio's currency: an instrument, or a currency; many portfolios share it. A
holding is a quantity of a slot; those of one portfolio lie side by side, so that one pass of numpy re-marks all of
them. They are floats: they say who has moved, and check the exact figures (`followed.py`), which people are shown.
"""

from collections.abc import Hashable, Sequence
from typing import Final

import numpy as np

# Holdings that a portfolio may gain before it has to be moved to the end.
SPARE: Final = 2
_FIRST_SIZE: Final = 256


def _longer(array: np.ndarray, size: int) -> np.ndarray:
    """The array with room for `size`, at least twice as long as it was; zeros behind."""
    longer = np.zeros(max(size, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer


class Board:
    """`put` holdings, `mark` slots, then `remark`."""

    def __init__(self) -> None:
        self.round = 1
        self._slots: dict[Hashable, int] = {None: 0}  # spare places are of slot 0, which is never marked
        self._price = np.zeros(_FIRST_SIZE)
        self._moved_in = np.zeros(_FIRST_SIZE, np.int64)
        self._clear()

    def _clear(self) -> None:
        self._ids: list[int | None] = []  # by row; None where the portfolio has moved away or is gone
        self._rows: dict[int, int] = {}
        self._starts = np.zeros(_FIRST_SIZE, np.int64)
        self._totals = np.zeros(_FIRST_SIZE)
        self._used = 0
        # One holding more than is used, always: where the last row ends is a place as well.
        self._slot = np.zeros(_FIRST_SIZE, np.int64)  # as numpy indexes: others it would convert each time
        self._quantity = np.zeros(_FIRST_SIZE)
        self._worth = np.zeros(_FIRST_SIZE)

    # --- Slots

    def slot(self, key: Hashable) -> int:
        """The slot's number; a new one has no price yet."""
        number = self._slots.setdefault(key, len(self._slots))
        if number >= len(self._price):
            self._price = _longer(self._price, number + 1)
            self._moved_in = _longer(self._moved_in, number + 1)
        return number

    def mark(self, slot: int, price: float) -> None:
        """Its price in the portfolio's currency; 0 where it has none. Whoever holds it is touched, for it may be more
        than the price that is new."""
        self._price[slot] = price
        self._moved_in[slot] = self.round

    # --- Portfolios

    def put(self, portfolio_id: int, holdings: Sequence[tuple[int, float]]) -> None:
        """What it holds from now on: slots and quantities. It counts as touched by none of them."""
        row = self._rows.get(portfolio_id)
        if row is None or self._end(row) - self._starts[row] < len(holdings):
            self.drop(portfolio_id)
            row = self._append(portfolio_id, len(holdings) + SPARE)
        at, until = self._starts[row], self._end(row)
        self._slot[at:until] = 0
        self._quantity[at:until] = 0.0
        slots, quantities = zip(*holdings, strict=True) if holdings else ((), ())
        self._slot[at : at + len(holdings)] = slots
        self._quantity[at : at + len(holdings)] = quantities
        np.multiply(self._quantity[at:until], self._price[self._slot[at:until]], out=self._worth[at:until])
        self._totals[row] = self._worth[at:until].sum()

    def drop(self, portfolio_id: int) -> None:
        """Forget it. Its place stays until half of all places are empty."""
        row = self._rows.pop(portfolio_id, None)
        if row is not None:
            self._quantity[self._starts[row] : self._end(row)] = 0.0
            self._ids[row] = None
        if len(self._ids) > 2 * len(self._rows) + 16:
            self._compact()

    def _append(self, portfolio_id: int, capacity: int) -> int:
        row, start = len(self._ids), self._used
        self._used += capacity
        if self._used >= len(self._slot):
            self._slot, self._quantity, self._worth = (
                _longer(array, self._used + 1) for array in (self._slot, self._quantity, self._worth)
            )
        if row + 1 >= len(self._starts):
            self._starts, self._totals = _longer(self._starts, row + 2), _longer(self._totals, row + 2)
        self._starts[row], self._starts[row + 1] = start, self._used
        self._ids.append(portfolio_id)
        self._rows[portfolio_id] = row
        return row

    def _end(self, row: int) -> int:
        return int(self._starts[row + 1])

    def _compact(self) -> None:
        kept = {portfolio_id: self.holdings(portfolio_id) for portfolio_id in self._rows}
        self._clear()
        for portfolio_id, holdings in kept.items():
            self.put(portfolio_id, holdings)

    def holdings(self, portfolio_id: int) -> list[tuple[int, float]]:
        """Slots and quantities as they were put."""
        at = self._places(portfolio_id)
        return [(int(s), float(q)) for s, q in zip(self._slot[at], self._quantity[at], strict=True) if q]

    def _places(self, portfolio_id: int) -> slice:
        row = self._rows[portfolio_id]
        return slice(int(self._starts[row]), self._end(row))

    # --- Marking

    def remark(self) -> list[int]:
        """Count what was marked since the last time; the ids of the portfolios that hold any of it."""
        moved = self._moved_in == self.round
        self.round += 1
        if not self._used or not moved.any():
            return []
        hit = moved.take(self._slot[: self._used])
        count = np.count_nonzero(hit)
        if not count:
            return []
        rows = self._remark_all(hit) if 4 * count > self._used else self._remark_at(np.flatnonzero(hit))
        return [portfolio_id for row in rows.tolist() if (portfolio_id := self._ids[row]) is not None]

    def _remark_all(self, hit: np.ndarray) -> np.ndarray:
        used, starts = self._used, self._starts[: len(self._ids)]
        worth = self._worth[:used]
        self._price.take(self._slot[:used], out=worth, mode="clip")  # in range as it is; this mode needs no copy
        np.multiply(worth, self._quantity[:used], out=worth)
        np.add.reduceat(worth, starts, out=self._totals[: len(starts)])
        return np.flatnonzero(np.logical_or.reduceat(hit, starts))

    def _remark_at(self, at: np.ndarray) -> np.ndarray:
        """Only the holdings at these places, and the sums of the rows that they are in."""
        self._worth[at] = self._quantity[at] * self._price[self._slot[at]]
        starts = self._starts[: len(self._ids)]
        rows = np.unique(np.searchsorted(starts, at, side="right") - 1)
        edges = np.stack([starts[rows], self._starts[rows + 1]], axis=1).ravel()
        self._totals[rows] = np.add.reduceat(self._worth, edges)[::2]
        return rows

    def moved_since(self, portfolio_id: int, round_: int) -> np.ndarray:
        """The places (0 is its first holding) whose slots were marked in that round or later."""
        return np.flatnonzero(self._moved_in[self._slot[self._places(portfolio_id)]] >= round_)

    def total(self, portfolio_id: int) -> float:
        """About what it is worth, cash included."""
        return float(self._totals[self._rows[portfolio_id]])

    def __contains__(self, portfolio_id: object) -> bool:
        return portfolio_id in self._rows

    def __len__(self) -> int:
        return len(self._rows)
