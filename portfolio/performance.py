"""How a portfolio has done over a window of days: returns, risk, and where the gain came from. Pure.

Conventions, with a worked example of each figure: docs/accounting.md, "Performance". Money is exact; ratios (returns,
deviations) come of float64 and are told to twelve places.

The window's first day is in it with its payments and its gain: it opens with the close of the day before.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal, localcontext
from functools import cached_property
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from portfolio import attribution, risk
from portfolio.attribution import Effects
from portfolio.marking import (
    Balances,
    Flow,
    Known,
    Marked,
    Market,
    Series,
    Unpriced,
    Worth,
    balances,
    flows,
    mark,
    passed,
    with_ledger,
    worth_on,
)
from portfolio.money import EXACT, ZERO, stored
from portfolio.positions import Book, Entry, Movement, Policy, standing
from portfolio.risk import Undefined
from portfolio.xirr import YEAR_DAYS, NoRate, xirr

Floats = NDArray[np.float64]
DAY: Final = timedelta(days=1)
# Every figure, and where `Performance` has it.
FIGURES: Final = {
    "twr": "twr",
    "xirr": "xirr",
    "simple_return": "simple_return",
    "realized_pnl": "realized",
    "unrealized_pnl": "unrealized",
    "income": "income",
    "fees": "fees",
    "net_invested": "net_invested",
    "market_value": "market_value",
    "max_drawdown": "max_drawdown",
    "volatility": "volatility",
    "sharpe": "sharpe",
    "sortino": "sortino",
    "modified_dietz": "modified_dietz",
    "total_value": "total_value",
    "opening_value": "opening_value",
    "cash": "cash",
    "gain": "gain",
    "paid_in": "gross_paid_in",
    "taxes": "taxes",
}
METHODS: Final = ("twr", "xirr", "simple_return", "modified_dietz")
NO_CAPITAL: Final = "There was no capital in this window."
NOT_PAID_IN: Final = "Nothing was paid in: without deposits or transfers there is no capital to measure a return on."
# A value this small beside what it is the difference of is what float arithmetic leaves of nothing.
_NOTHING: Final = 1e-9


class Missing(msgspec.Struct, frozen=True):
    """A figure that can't be told, and why."""

    reason: str


Figure = Decimal | Missing


class Window(msgspec.Struct, frozen=True):
    """The days from `start` to `end`, both in it."""

    start: date
    end: date

    @property
    def opening(self) -> date:
        """The day whose close it begins with."""
        return self.start - DAY

    @property
    def days(self) -> int:
        return (self.end - self.start).days + 1

    def holds(self, day: date) -> bool:
        return self.start <= day <= self.end


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger's rows add up to, in the portfolio's currency."""

    realized: Decimal = ZERO
    income: Decimal = ZERO
    fees: Decimal = ZERO
    taxes: Decimal = ZERO

    @classmethod
    def of(cls, book: Book) -> "Sums":
        return cls(
            realized=book.realized_base, income=book.income_base, fees=book.fees_base, taxes=book.taxes_base
        )  # fmt: skip

    def combined(self, other: "Sums", sign: int = 1) -> "Sums":
        return Sums(**{name: getattr(self, name) + sign * getattr(other, name) for name in self.__struct_fields__})


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured: one portfolio's ledger up to a window's end, or those of a household as one.

    movements: in order; cost: of what is held at the end, by instrument, in the portfolio's currency; sums: those of
    the window alone; books: what the rows added up to at the end.
    """

    movements: list[Movement]
    entries: dict[int, Entry]
    sums: Sums
    cost: dict[int, Decimal]
    books: list[Book]


def read(entries: Iterable[Entry], policy: Policy, window: Window) -> Ledger:
    """Fold the ledger up to the window's end, and tell what came of it within."""
    rows = [row for row in standing(entries) if row.at.date() <= window.end]
    book, before = Book(policy), Sums()
    for at, row in enumerate(rows):
        if row.at.date() >= window.start and (at == 0 or rows[at - 1].at.date() < window.start):
            before = Sums.of(book)
        book.apply(row)
    if not rows or rows[-1].at.date() < window.start:
        before = Sums.of(book)
    return Ledger(
        movements=list(book.movements),
        entries={row.id: row for row in rows},
        sums=Sums.of(book).combined(before, -1),
        cost={instrument: position.cost_base for instrument, position in book.held.items()},
        books=[book],
    )


def first_day(entries: Iterable[Entry]) -> date | None:
    """The day of the first row that counts."""
    return min((row.at.date() for row in standing(entries)), default=None)


def together(ledgers: Sequence[Ledger]) -> Ledger:
    """Several portfolios of one currency as one. What went from one to another crosses no border any more."""
    cost: dict[int, Decimal] = {}
    sums = Sums()
    for ledger in ledgers:
        sums = sums.combined(ledger.sums)
        for instrument, own in ledger.cost.items():
            cost[instrument] = cost.get(instrument, ZERO) + own
    return Ledger(
        movements=sorted(internal([ledger.movements for ledger in ledgers]), key=lambda one: (one.at, one.entry_id)),
        entries={id: entry for ledger in ledgers for id, entry in ledger.entries.items()},
        sums=sums,
        cost=cost,
        books=[book for ledger in ledgers for book in ledger.books],
    )


def internal(members: Sequence[Sequence[Movement]]) -> list[Movement]:
    """All movements, with those of the border that meet their counterpart in another member on the same day netted.

    Counterparts: the same units of one instrument, or the same amount of one currency, out of one and into another.
    """
    waiting: dict[tuple[date, int | None, str, Decimal, Decimal], list[tuple[int, int]]] = {}
    inside: set[tuple[int, int]] = set()
    for member, movements in enumerate(members):
        for at, one in enumerate(movements):
            if not one.external:
                continue
            money = one.currency if one.cash else ""
            day, about = one.at.date(), one.instrument if one.quantity else None
            others = waiting.get((day, about, money, -one.quantity, -one.cash), [])
            match = next((other for other in others if other[0] != member), None)
            if match:
                others.remove(match)
                inside |= {match, (member, at)}
            else:
                waiting.setdefault((day, about, money, one.quantity, one.cash), []).append((member, at))
    return [
        msgspec.structs.replace(one, external=False) if (member, at) in inside else one
        for member, movements in enumerate(members)
        for at, one in enumerate(movements)
    ]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One link of the chain: (closing + outflow) / (opening + inflow); 1 where there was no capital."""

    start: date
    end: date
    opening: Decimal
    inflow: Decimal
    outflow: Decimal
    closing: Decimal
    factor: float
    capital: bool


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar month, or what of it is in the window. gain = closing − opening − flow."""

    start: date
    end: date
    opening: Decimal
    flow: Decimal
    gain: Decimal
    closing: Decimal
    twr: Figure


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one holding, or the cash in one currency, has added. share: its part of the simple return."""

    symbol: str
    instrument: int | None
    effects: Effects
    share: Decimal | None
    twr: Figure
    episodes: list["Episode"]


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """A holding from its first unit to its last. closed: None while it is held. value: what is left, at the end."""

    opened: date
    closed: date | None
    paid_in: Decimal
    paid_out: Decimal
    value: Decimal
    gain: Decimal
    simple_return: Figure


class Performance:
    """One ledger over one window. Each figure is worked out when it is asked for, from those before it.

    market: with its closes and rates from the ledger's first day to the window's end; risk_free: a rate per year.
    """

    def __init__(self, ledger: Ledger, market: Market, window: Window, risk_free: float = 0.0) -> None:
        self.ledger, self.window, self.risk_free = ledger, window, risk_free
        self.market = with_ledger(market, ledger.entries.values(), ledger.movements)

    def figure(self, name: str) -> Figure:
        """One of FIGURES."""
        found: Figure = getattr(self, FIGURES[name])
        return found

    # --- Money ---------------------------------------------------------------------------------------------------

    @property
    def realized(self) -> Decimal:
        return self.ledger.sums.realized

    @property
    def income(self) -> Decimal:
        return self.ledger.sums.income

    @property
    def fees(self) -> Decimal:
        return self.ledger.sums.fees

    @property
    def taxes(self) -> Decimal:
        return self.ledger.sums.taxes

    @cached_property
    def balances(self) -> Balances:
        return balances(self.ledger.movements)

    @cached_property
    def closing(self) -> Worth:
        return worth_on(self.balances, self.market, self.window.end)

    @cached_property
    def opening(self) -> Worth:
        return worth_on(self.balances, self.market, self.window.opening, strict=False)

    @cached_property
    def within(self) -> list[Movement]:
        return [one for one in self.ledger.movements if self.window.holds(one.at.date())]

    @cached_property
    def flows(self) -> list[Flow]:
        """What crossed the border in the window. Raises Unpriced."""
        return flows(self.within, self.market)

    @cached_property
    def unpriced(self) -> dict[str, str]:
        """What the value at the end leaves out."""
        return self.closing.unpriced

    @property
    def market_value(self) -> Figure:
        return self._whole(lambda: self.closing.market_value)

    @property
    def total_value(self) -> Figure:
        return self._whole(lambda: self.closing.total)

    @property
    def cash(self) -> Figure:
        return self._whole(lambda: self.closing.total - self.closing.market_value)

    @property
    def gross_paid_in(self) -> Figure:
        return self._whole(lambda: self.paid_in, ends=False)

    @property
    def unrealized(self) -> Figure:
        return self._whole(lambda: self.closing.market_value - sum(self.ledger.cost.values(), ZERO))

    @property
    def net_invested(self) -> Figure:
        return self._whole(lambda: sum((one.amount for one in self.flows), ZERO), ends=False)

    @property
    def opening_value(self) -> Figure:
        return self._whole(lambda: self._total(self.opening), ends=False)

    @property
    def gain(self) -> Figure:
        """What the window made: value at its end − value at its opening − what was paid in, net."""
        return self._whole(lambda: self._gain)

    @cached_property
    def _gain(self) -> Decimal:
        net = sum((one.amount for one in self.flows), ZERO)
        return self.closing.total - self._total(self.opening) - net

    @cached_property
    def paid_in(self) -> Decimal:
        """Gross: the value at the opening and all that was paid in since."""
        inflows = sum((one.amount for one in self.flows if one.amount > 0), ZERO)
        return max(self._total(self.opening), ZERO) + inflows

    def _total(self, worth: Worth) -> Decimal:
        for what, why in worth.unpriced.items():
            raise Unpriced(what, why)
        return worth.total

    def _whole(self, of: Callable[[], Decimal], ends: bool = True) -> Figure:
        """A figure, or why there is none. ends: whether it needs the value at the end."""
        if ends and self.unpriced:
            return Missing(" ".join(self.unpriced.values()))
        try:
            with localcontext(EXACT):
                return of()
        except (Unpriced, Undefined, NoRate) as why:
            return Missing(str(why))

    def _ratio(self, of: Callable[[], float]) -> Figure:
        return self._whole(lambda: ratio(of()))

    # --- Returns -------------------------------------------------------------------------------------------------

    @cached_property
    def marked(self) -> Marked:
        """Each day's close; the last one exactly as `closing`. Raises Unpriced."""
        window, ledger = self.window, self.ledger
        return mark(self.balances, ledger.movements, ledger.entries, self.market, window.start, window.end, self.flows)

    @cached_property
    def _base(self) -> tuple[Floats, NDArray[np.bool_]]:
        """What each day began with, its inflows included, and whether that was capital."""
        marked = self.marked
        base = marked.value[:-1] + marked.inflow[1:]
        return base, base > _NOTHING * (marked.gross[:-1] + marked.inflow[1:])

    def _need_capital(self) -> None:
        """Raises Undefined where there was neither a value at the opening nor a payment since."""
        if not self.flows and not self._total(self.opening):
            raise Undefined(NOT_PAID_IN if self.within or self.opening.held else NO_CAPITAL)

    @cached_property
    def factors(self) -> Floats:
        """What each day multiplied the capital by; 1 on a day without any. Raises Undefined, Unpriced."""
        self._need_capital()
        base, capital = self._base
        if not capital.any():
            raise Undefined(NO_CAPITAL)
        end = self.marked.value[1:] + self.marked.outflow[1:]
        factors = np.ones(len(base))
        np.divide(end, base, out=factors, where=capital)
        below = np.flatnonzero(factors < -_NOTHING)
        if len(below):
            raise Undefined(f"The value fell below zero on {self.marked.days[below[0] + 1]}.")
        return np.maximum(factors, 0.0)

    @cached_property
    def index(self) -> Floats:
        """What 1 at the opening has become by each close."""
        return np.concatenate([[1.0], np.cumprod(self.factors)])

    @property
    def twr(self) -> Figure:
        return self._ratio(lambda: float(self.index[-1]) - 1.0)

    @cached_property
    def payments(self) -> list[tuple[date, Decimal]]:
        """As XIRR wants them: what was paid in negative, the values at both ends among them."""
        opening = self._total(self.opening)
        return [
            (self.window.opening, -opening),
            *((one.day, -one.amount) for one in self.flows),
            (self.window.end, self.closing.total),
        ]

    @property
    def xirr(self) -> Figure:
        return self._ratio(self._xirr)

    def _xirr(self) -> float:
        self._need_capital()
        return xirr(self.payments)

    @property
    def short_period(self) -> bool:
        """Whether it is less than a year from the first payment to the end."""
        first = min((day for day, amount in self._payments_known() if amount), default=self.window.start)
        return (self.window.end - first).days < YEAR_DAYS

    def _payments_known(self) -> list[tuple[date, Decimal]]:
        try:
            return self.payments
        except Unpriced:
            return []

    @property
    def simple_return(self) -> Figure:
        return self._whole(lambda: self._share(self._gain))

    def _share(self, gain: Decimal) -> Decimal:
        self._need_capital()
        if self.paid_in <= 0:
            raise Undefined(NOT_PAID_IN)
        return stored(gain / self.paid_in)

    @property
    def modified_dietz(self) -> Figure:
        return self._whole(self._modified_dietz)

    def _modified_dietz(self) -> Decimal:
        capital = self.average_capital
        if capital <= 0:
            raise Undefined("The average capital is not above zero.")
        return stored(self._gain / capital)

    @cached_property
    def average_capital(self) -> Decimal:
        """The opening value and each flow by the part of the window's days that it was there."""
        weighted = sum((one.amount * self.weight(one) for one in self.flows), ZERO)
        return stored(self._total(self.opening) + weighted)

    def weight(self, flow: Flow) -> Decimal:
        """An inflow is there from the start of its day, an outflow until the end of its day."""
        since = (flow.day - self.window.start).days + (0 if flow.amount > 0 else 1)
        return Decimal(self.window.days - since) / self.window.days

    # --- Risk ----------------------------------------------------------------------------------------------------

    @cached_property
    def year_days(self) -> int:
        """365 where only crypto was held."""
        held = {self.marked.instruments[at] for at in np.flatnonzero(self.marked.held.any(axis=0))}
        return risk.DAYS_A_YEAR if held and held <= self.market.crypto else risk.SESSIONS_A_YEAR

    @cached_property
    def daily(self) -> list[tuple[date, float]]:
        """The returns of the days on which a market moved, since the one before with capital at its close."""
        marked, index = self.marked, self.index
        capital = marked.value > _NOTHING * marked.gross
        moments = [0, *(int(at) for at in np.flatnonzero(marked.quoted[1:]) + 1)]
        found = []
        for before, at in pairwise(moments):
            if capital[before] and index[before] > 0:
                found.append((marked.days[at], float(index[at] / index[before] - 1.0)))
        return found

    @cached_property
    def returns(self) -> Floats:
        return np.array([one for _, one in self.daily])

    @property
    def volatility(self) -> Figure:
        return self._ratio(lambda: risk.volatility(self.returns, self.year_days))

    @property
    def sharpe(self) -> Figure:
        return self._ratio(lambda: risk.sharpe(self.returns, self.year_days, self.risk_free))

    @property
    def sortino(self) -> Figure:
        return self._ratio(lambda: risk.sortino(self.returns, self.year_days, self.risk_free))

    @property
    def max_drawdown(self) -> Figure:
        return self._ratio(lambda: risk.max_drawdown(self.index)[0])

    # --- The chain -----------------------------------------------------------------------------------------------

    @cached_property
    def chain(self) -> list[Step]:
        """Days between two flows as one link. Raises Undefined, Unpriced."""
        factors, (_, capital), marked = self.factors, self._base, self.marked
        opens = [at for at in range(len(factors)) if at == 0 or marked.inflow[at + 1] or marked.outflow[at]]
        return [self._step(first, last - 1, factors, capital) for first, last in pairwise([*opens, len(factors)])]

    def _step(self, first: int, last: int, factors: Floats, capital: NDArray[np.bool_]) -> Step:
        marked = self.marked
        return Step(
            start=marked.days[first + 1],
            end=marked.days[last + 1],
            opening=shown(marked.value[first]),
            inflow=shown(marked.inflow[first + 1]),
            outflow=shown(marked.outflow[last + 1]),
            closing=shown(marked.value[last + 1]),
            factor=float(np.prod(factors[first : last + 1])),
            capital=bool(capital[first]),
        )

    # --- Contributions -------------------------------------------------------------------------------------------

    @cached_property
    def effects(self) -> dict[int | str, Effects]:
        """The gain's parts by instrument, and by currency for cash. They sum to the gain. Raises Unpriced."""
        self._total(self.opening)
        moved = passed(self.within, self.ledger.entries, self.market)
        holdings = attribution.of_holdings(
            self.within, self.ledger.entries, self.market, moved, self.opening, self.closing
        )
        cash = attribution.of_cash(self.within, self.market, self.opening, self.closing)
        return dict([*holdings.items(), *cash.items()])

    @property
    def attribution(self) -> Effects | Missing:
        if self.unpriced:
            return Missing(" ".join(self.unpriced.values()))
        try:
            with localcontext(EXACT):
                return attribution.in_all(self.effects.values())
        except Unpriced as why:
            return Missing(str(why))

    def parts(self) -> list[Part]:
        """What each holding and each currency has added; shares sum to the simple return. Raises Unpriced."""
        with localcontext(EXACT):
            shares = self._shares({what: effects.gain for what, effects in self.effects.items()})
            return [self._part(what, effects, shares.get(what)) for what, effects in self.effects.items()]

    def _part(self, what: int | str, effects: Effects, share: Decimal | None) -> Part:
        instrument = what if isinstance(what, int) else None
        return Part(
            symbol=self.market.symbols[instrument] if instrument is not None else str(what),
            instrument=instrument,
            effects=effects,
            share=share,
            twr=Missing("Cash is not measured by itself.") if instrument is None else self.twr_of(instrument),
            episodes=[] if instrument is None else self.episodes(instrument),
        )

    def _shares(self, gains: Mapping[int | str, Decimal]) -> dict[int | str, Decimal]:
        """Each gain's part of the simple return; what rounding leaves goes to the greatest."""
        if self.paid_in <= 0 or not gains:
            return {}
        shares = {what: stored(gain / self.paid_in) for what, gain in gains.items()}
        greatest = max(shares, key=lambda what: abs(shares[what]))
        shares[greatest] += self._share(self._gain) - sum(shares.values(), ZERO)
        return shares

    def periods(self) -> list[Period]:
        """The calendar months of the window; gains sum to the gain, returns chain to the TWR. Raises Unpriced."""
        ends = [at for at, day in enumerate(self.marked.days) if at and _ends_month(day, self.window.end)]
        with localcontext(EXACT):
            return [self._period(first, last) for first, last in pairwise([0, *ends])]

    def _period(self, first: int, last: int) -> Period:
        days = self.marked.days
        start, end = days[first + 1], days[last]
        flow = sum((one.amount for one in self.flows if start <= one.day <= end), ZERO)
        opening, closing = self._value_at(first), self._value_at(last)
        return Period(
            start=start,
            end=end,
            opening=opening,
            flow=flow,
            gain=closing - opening - flow,
            closing=closing,
            twr=self._ratio(lambda: float(np.prod(self.factors[first:last])) - 1.0),
        )

    def _value_at(self, at: int) -> Decimal:
        if at == 0:
            return self.opening.total
        return self.closing.total if at == len(self.marked.days) - 1 else shown(self.marked.value[at])

    # --- Holdings ------------------------------------------------------------------------------------------------

    def twr_of(self, instrument: int) -> Figure:
        """The chain of one holding: what is paid for it flows in at the start of a day, what it pays out at its end."""
        if instrument not in self.marked.instruments:
            return Missing("Nothing of it was held.")
        at = self.marked.instruments.index(instrument)
        return self._ratio(lambda: _told(*(float(column[at]) for column in self._holdings_chained)))

    @cached_property
    def _holdings_chained(self) -> tuple[Floats, Floats, Floats]:
        return _chained(self.marked.held, self.marked.bought, self.marked.sold)

    @property
    def holdings_twr(self) -> Figure:
        """The chain of all holdings without the cash: trades are the flows."""
        return self._ratio(self._holdings_twr)

    def _holdings_twr(self) -> float:
        marked = self.marked
        matrices = (matrix.sum(axis=1, keepdims=True) for matrix in (marked.held, marked.bought, marked.sold))
        return _told(*(float(column[0]) for column in _chained(*matrices)))

    def episodes(self, instrument: int) -> list[Episode]:
        """Each time that it was held, since the ledger's beginning: a return of one never mixes with another's."""
        return episodes(
            self._by_instrument.get(instrument, []),
            [(day, amount) for day, about, amount in self._passed_ever if about == instrument],
            self.market,
            self.closing.held[instrument].value if instrument in self.closing.held else ZERO,
        )

    @cached_property
    def _by_instrument(self) -> dict[int, list[Movement]]:
        found: dict[int, list[Movement]] = {}
        for one in self.ledger.movements:
            if one.instrument is not None:
                found.setdefault(one.instrument, []).append(one)
        return found

    @cached_property
    def _passed_ever(self) -> list[tuple[date, int, Decimal]]:
        return passed(self.ledger.movements, self.ledger.entries, self.market)


def _chained(held: Floats, bought: Floats, sold: Floats) -> tuple[Floats, Floats, Floats]:
    """The chains of columns: what each multiplied its capital by, its lowest factor, its days with capital."""
    base = held[:-1] + bought[1:]
    capital = base > _NOTHING * (np.abs(held[:-1]) + bought[1:])
    factors = np.ones(base.shape)
    np.divide(held[1:] + sold[1:], base, out=factors, where=capital)
    lowest = factors.min(axis=0, initial=1.0)
    return np.prod(np.maximum(factors, 0.0), axis=0), lowest, capital.sum(axis=0).astype(np.float64)


def _told(product: float, lowest: float, days: float) -> float:
    """A chain's return. Raises Undefined."""
    if not days:
        raise Undefined(NO_CAPITAL)
    if lowest < -_NOTHING:
        raise Undefined("Its value fell below zero.")
    return product - 1.0


def episodes(
    movements: Iterable[Movement], moved: Sequence[tuple[date, Decimal]], market: Market, value: Decimal
) -> list[Episode]:
    """One instrument's times of being held. moved: what corporate actions brought or took; value: of what is left."""
    found: list[Episode] = []
    waiting = sorted(moved)
    opened: date | None = None
    units, into, out = ZERO, ZERO, ZERO
    for one in movements:
        day = one.at.date()
        if opened is None:
            opened = day
        amount = attribution.paid_out(one, market)
        while waiting and waiting[0][0] <= day:
            amount -= waiting.pop(0)[1]
        units += one.quantity
        into, out = into - min(amount, ZERO), out + max(amount, ZERO)
        if not units and one.quantity:
            found.append(_episode(opened, day, into, out, ZERO))
            opened, into, out = None, ZERO, ZERO
    if opened is not None:
        found.append(_episode(opened, None, into, out, value))
    return found


def _episode(opened: date, closed: date | None, into: Decimal, out: Decimal, value: Decimal) -> Episode:
    gain = value + out - into
    return Episode(
        opened=opened,
        closed=closed,
        paid_in=into,
        paid_out=out,
        value=value,
        gain=gain,
        simple_return=stored(gain / into) if into > 0 else Missing("Nothing was paid for it."),
    )


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument over the same window, in the portfolio's currency, over splits. difference: TWR − its return."""

    symbol: str
    start: Known
    start_rate: Decimal
    end: Known
    end_rate: Decimal
    returned: Decimal
    returned_in_currency: Decimal
    difference: Figure


def compare(instrument: int, market: Market, window: Window, twr: Figure) -> Compared | Missing:
    """From the last close before the window (else the first in it) to the last one in it. market: with its splits."""
    symbol, currency = market.symbols[instrument], market.currencies[instrument]
    closes, rates = market.closes[instrument], market.rates.get(currency, Series())
    start, end = closes.on(window.opening), closes.on(window.end)
    if start is None or end is None or end.day > window.end:
        return Missing(f"There is no price for {symbol} on or before {window.end}.")
    first, last = rates.on(max(start.day, window.opening)), rates.on(window.end)
    if first is None or last is None:
        return Missing(f"There is no rate for {currency}.")
    # What was quoted before a split counts in the units of the window's end.
    before = closes.over_splits(start.quoted, start.day, window.end)
    with localcontext(EXACT):
        return Compared(
            symbol=symbol,
            start=msgspec.structs.replace(start, value=before),
            start_rate=first.value,
            end=end,
            end_rate=last.value,
            returned=(returned := stored(end.value * last.value / (before * first.value)) - 1),
            returned_in_currency=stored(end.value / before) - 1,
            difference=twr - returned if isinstance(twr, Decimal) else twr,
        )


def ratio(value: float) -> Decimal:
    """A float ratio to twelve places. Raises Undefined where it isn't finite."""
    if not np.isfinite(value):
        raise Undefined("It is too large to be told.")
    return Decimal(f"{value:.12f}")


def shown(value: float | np.float64) -> Decimal:
    """Money out of a float: to ten places, of which the last ones may be off."""
    return Decimal(f"{float(value):.10f}")


def _ends_month(day: date, end: date) -> bool:
    return day == end or (day + DAY).day == 1
