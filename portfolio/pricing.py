"""What the follower knows of the market: prices, rates and where days begin, asked for again only where they move."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from portfolio import currencies, marks
from portfolio.board import Board
from portfolio.followed import Followed, Prices
from portfolio.valuation import Mark

# An instrument in a base currency, with the splits that an older price is carried over; many portfolios share it.
_Slot = tuple[int, str, tuple[tuple[datetime, Decimal], ...]]

# Closes are read from the database again after so long, of so many instruments at one go.
CLOSES_REREAD: Final = timedelta(minutes=1)
CLOSES_AT_ONCE: Final = 100


class Closes:
    """Closing prices as they were a moment ago: where days began, and what is carried for want of a quote."""

    def __init__(self) -> None:
        self.days: dict[int, marks.Day] = {}
        self.last: dict[int, Mark] = {}
        self._read_at: dict[int, datetime] = {}

    def read(self, ids: Iterable[int], now: datetime) -> None:
        """Read those that are not known, and some of those that are old or whose day has ended."""
        due = [i for i in ids if self._is_due(i, now)]
        due.sort(key=lambda i: self._read_at.get(i, datetime.min.replace(tzinfo=now.tzinfo)))
        some = due[:CLOSES_AT_ONCE]
        self._read_at |= dict.fromkeys(some, now)
        for known in (self.days, self.last):
            for instrument in some:
                known.pop(instrument, None)
        self.days |= marks.days_of(some, now)
        self.last |= marks.last_closes(some, now)

    def _is_due(self, instrument: int, now: datetime) -> bool:
        day, read_at = self.days.get(instrument), self._read_at.get(instrument)
        began = marks.day_began(instrument, now)
        return read_at is None or now - read_at >= CLOSES_REREAD or (day.since if day else None) != began


class Pricing:
    """The prices of all that followed portfolios hold, kept on the board."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.prices = Prices()
        self.closes = Closes()
        self.moneys: defaultdict[str, set[str]] = defaultdict(set)  # by base currency, those that rates are needed of
        self.fx: defaultdict[int, set[str]] = defaultdict(set)  # the base currencies whose rates an instrument tells
        self._slots: defaultdict[int, set[_Slot]] = defaultdict(set)

    @property
    def instruments(self) -> set[int]:
        """All whose ticks matter: what is held, and the FX pairs that price its currencies."""
        return {*self.prices.holdings, *self.fx}

    def watch(self, portfolios: Collection[Followed], now: datetime) -> None:
        """Put them on the board, with prices. Whatever is new about them is asked for."""
        new = {i for own in portfolios for i in own.instruments} - self.prices.holdings.keys()
        if new:
            self.prices.holdings |= marks.holdings(new)
            self.closes.read(new, now)
            self.prices.marks |= self._marks(new, now)
        for base in self._new_moneys(portfolios):
            self._rerate(base, now)
        for own in portfolios:
            self.board.put(own.portfolio_id, [(self._slot(what, own), float(own.quantity(what))) for what in own.order])

    def _new_moneys(self, portfolios: Iterable[Followed]) -> set[str]:
        """Note whose rates they need; the base currencies of which more are needed than before."""
        more = set()
        for own in portfolios:
            needed = own.moneys(self.prices.holdings) | {own.base}
            if not needed <= self.moneys[own.base]:
                self.moneys[own.base] |= needed
                more.add(own.base)
        return more

    def _slot(self, what: int | str, own: Followed) -> int:
        if isinstance(what, str):
            return self.board.slot((what, own.base))  # marked when it came to be needed
        key = (what, own.base, own.splits(what))
        if key not in self._slots[what]:
            self._slots[what].add(key)
            self._mark(key)
        return self.board.slot(key)

    def update(self, moved: Iterable[int], now: datetime) -> None:
        """Read these instruments' prices again; what they are the FX pair of is reckoned anew."""
        moved = set(moved)
        self._read(moved & self.prices.holdings.keys(), now)
        for base in {base for instrument in moved for base in self.fx.get(instrument, ())}:
            self._rerate(base, now)

    def refresh(self, held: set[int], now: datetime) -> None:
        """Read everything again: prices grow old, and days begin, without a tick. held: what still matters."""
        for gone in self.prices.holdings.keys() - held:
            del self.prices.holdings[gone]
            self.prices.marks.pop(gone, None)
            self._slots.pop(gone, None)
        self.prices.holdings |= marks.holdings(held)
        self.closes.read(held, now)
        self._read(held, now)
        for base in list(self.moneys):
            self._rerate(base, now)

    def _marks(self, ids: Iterable[int], now: datetime) -> dict[int, Mark]:
        return marks.marks(ids, now, self.closes.days, self.closes.last)

    def _read(self, ids: set[int], now: datetime) -> None:
        fresh = self._marks(ids, now)
        for instrument in ids:
            before, mark = self.prices.marks.get(instrument), fresh.get(instrument)
            if mark is None:
                self.prices.marks.pop(instrument, None)
            else:
                self.prices.marks[instrument] = mark
            if _said(before) != _said(mark):
                for key in self._slots.get(instrument, ()):
                    self._mark(key)

    def _rerate(self, base: str, now: datetime) -> None:
        before, stale_before = self.prices.rates.get(base, {}), self.prices.stale_rates.get(base, {})
        rates, stale = marks.rates_of(base, self.moneys[base], now)
        self.prices.rates[base], self.prices.stale_rates[base] = rates, stale
        for instrument in currencies.fx_instruments(base, self.moneys[base]):
            self.fx[instrument].add(base)
        told = {c for c in self.moneys[base] if (rates.get(c), stale.get(c)) != (before.get(c), stale_before.get(c))}
        for currency in told:
            self.board.mark(self.board.slot((currency, base)), float(rates.get(currency, 0)))
        for instrument, holding in self.prices.holdings.items():
            if holding.currency in told:
                for key in self._slots.get(instrument, ()):
                    if key[1] == base:
                        self._mark(key)

    def _mark(self, key: _Slot) -> None:
        """Tell the board what the slot is worth now; nothing, where there is no price or rate."""
        instrument, base, splits = key
        mark = self.prices.marks.get(instrument)
        rate = self.prices.rates[base].get(self.prices.holdings[instrument].currency)
        price = 0.0
        if mark is not None and rate is not None:
            price = float(mark.price) * float(rate)
            for at, ratio in splits:
                if mark.time < at:
                    price /= float(ratio)
        self.board.mark(self.board.slot(key), price)


def _said(mark: Mark | None) -> tuple[object, ...]:
    """All that a value hangs on: a tick at the same price moves nothing."""
    return () if mark is None else (mark.price, mark.quality, mark.previous)
