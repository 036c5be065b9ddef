"""A ledger marked at each day's close: what was held, at which price, worth how much. Pure, and vectorised.

Days are UTC. A close is raw, as the market said it on its day, and is carried on until there is a newer one, over a
split divided by the split's ratio. Before the first close the ledger's own trades tell the price, before the first rate
the rows' own rates tell what a currency was worth; and before all of them the first one counts.

Days × instruments are float64: ratios (TWR, volatility, drawdown) come of them. Money that is shown is Decimal, from
`Series.on`, which gives back the digits that went in.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from datetime import date, datetime
from decimal import Decimal, localcontext
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingestion.rest.quoted import MINOR_UNITS
from portfolio.money import EXACT, ONE, ZERO, stored
from portfolio.positions import BUY, MERGER, RENAME, SELL, SPINOFF, Entry, Movement

Floats = NDArray[np.float64]
Days = NDArray[np.int64]

CLOSE: Final = "close"
TRADE: Final = "trade"
CARRIED: Final = "carried over"
ROW: Final = "row"
# What only the ledger's own rows tell.
OURS: Final = frozenset({TRADE, CARRIED, ROW})


class Known(msgspec.Struct, frozen=True):
    """A price or a rate that is known, and whence. day: of when it is, which may be long before it is used.

    value: at the day that was asked for; quoted: as it was said on its own day, before splits since.
    """

    value: Decimal
    day: date
    source: str
    quoted: Decimal


class Series:
    """What was known of one price or rate, one value a day, in order. Days are ordinals.

    exact: the digits of each value, where a float may not show them; source: whose they are, sources: on which days
    somebody else's; splits: (day, new units per old); of_day: on which day a value was said, where that is another than
    the one that it counts from.
    """

    def __init__(
        self,
        days: Sequence[int] | Days = (),
        values: Sequence[float] | Floats = (),
        *,
        exact: Callable[[int], Decimal] | None = None,
        source: str = CLOSE,
        sources: Mapping[int, str] | None = None,
        splits: Iterable[tuple[int, Decimal]] = (),
        of_day: Mapping[int, int] | None = None,
    ) -> None:
        self.days: Days = np.asarray(days, dtype=np.int64)
        self.values: Floats = np.asarray(values, dtype=np.float64)
        self.exact = exact or self._as_shown
        self.source = source
        self.sources = sources or {}
        self.splits = sorted(splits)
        self.of_day = of_day or {}

    @classmethod
    def of(cls, told: Sequence[tuple[int, Decimal]], **more: Any) -> "Series":
        """From exact values by day."""
        days = [day for day, _ in told]
        return cls(days, [float(value) for _, value in told], exact=dict(told).__getitem__, **more)

    def _as_shown(self, day: int) -> Decimal:
        return Decimal(repr(float(self.values[np.searchsorted(self.days, day)])))

    def __len__(self) -> int:
        return len(self.days)

    def on(self, day: date) -> Known | None:
        """The value of `day`: its own, else the last one before, else the first one after; None if there is none."""
        if not len(self.days):
            return None
        at = max(int(np.searchsorted(self.days, day.toordinal(), side="right")) - 1, 0)
        said = int(self.days[at])
        quoted = self.exact(said)
        return Known(
            value=self.over_splits(quoted, date.fromordinal(said), day),
            day=date.fromordinal(self.of_day.get(said, said)),
            source=self.sources.get(said, self.source),
            quoted=quoted,
        )

    def over_splits(self, value: Decimal, said: date, day: date) -> Decimal:
        factor = split_factor(self.splits, said.toordinal(), day.toordinal())
        with localcontext(EXACT):
            return value if factor == ONE else stored(value / factor)

    def filled(self, days: Days) -> Floats:
        """A value for each of `days`, in the units of that day."""
        at = np.maximum(np.searchsorted(self.days, days, side="right") - 1, 0)
        if not self.splits:
            return self.values[at]
        return self.values[at] * self._steps(self.days[at]) / self._steps(days)

    def _steps(self, days: Days) -> Floats:
        """New units on each of `days` for one before all splits."""
        factors = np.cumprod([1.0, *(float(ratio) for _, ratio in self.splits)])
        return np.asarray(factors[np.searchsorted([day for day, _ in self.splits], days, side="right")])

    def split(self, splits: Iterable[tuple[int, Decimal]]) -> "Series":
        """The same, carried over these splits."""
        twin = copy(self)
        twin.splits = sorted(splits)
        return twin

    def ended(self, day: date, value: Decimal, source: str, said: date) -> "Series":
        """With `value`, of the day `said` and in the units of `day`, as the last one."""
        ordinal = day.toordinal()
        before = self.days < ordinal
        twin = self._with([*self.days[before], ordinal], [*self.values[before], float(value)], {ordinal: value}, source)
        twin.of_day = {**self.of_day, ordinal: said.toordinal()}
        return twin

    def _with(self, days: Sequence[int], values: Sequence[float], new: Mapping[int, Decimal], source: str) -> "Series":
        """On these days, of which those in `new` are told by `source`."""
        twin, known = copy(self), self.exact
        order = np.argsort(days, kind="stable")
        twin.days = np.asarray(days, dtype=np.int64)[order]
        twin.values = np.asarray(values, dtype=np.float64)[order]
        twin.exact = lambda day: new[day] if day in new else known(day)
        twin.sources = {**self.sources, **dict.fromkeys(new, source)}
        return twin

    def preceded(self, more: Iterable[tuple[int, Decimal]], source: str) -> "Series":
        """With those of `more` that are of days before its own first one; of two on one day the last."""
        return self.joined([(day, value) for day, value in more if not len(self) or day < self.days[0]], source)

    def joined(self, more: Iterable[tuple[int, Decimal]], source: str) -> "Series":
        """With `more` where no value is yet; of two on one day the last."""
        new = {day: value for day, value in more if not self.has(day)}
        if not new:
            return self
        values = [*self.values, *(float(value) for value in new.values())]
        return self._with([*self.days, *new], values, new, source)

    def has(self, day: int) -> bool:
        at = int(np.searchsorted(self.days, day))
        return at < len(self.days) and int(self.days[at]) == day

    def quoted(self, days: Days) -> NDArray[np.bool_]:
        """On which of `days` the market itself said something."""
        ours = [day for day, source in self.sources.items() if source in OURS]
        carried = [day for day, said in self.of_day.items() if day != said]
        return np.isin(days, self.days) & ~np.isin(days, [*ours, *carried])


def split_factor(splits: Iterable[tuple[int, Decimal]], after: int, until: int) -> Decimal:
    """New units for one old one by all splits of the days after `after`, up to and with `until`; inverse backwards.

    >>> split_factor([(10, Decimal(4)), (20, Decimal(2))], 5, 15), split_factor([(10, Decimal(4))], 15, 5)
    (Decimal('4'), Decimal('0.25'))
    """
    factor = ONE
    low, high = min(after, until), max(after, until)
    for day, ratio in splits:
        if low < day <= high:
            factor *= ratio
    return factor if after <= until else ONE / factor


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """What the market said. currencies: each instrument's own, in which its prices are; rates: base units for one of
    each currency, which count for `rate_age_days`; crypto: the instruments that trade on all days."""

    symbols: dict[int, str]
    currencies: dict[int, str]
    closes: dict[int, Series]
    rates: dict[str, Series]
    crypto: frozenset[int] = frozenset()
    rate_age_days: int = 30


def with_ledger(market: Market, entries: Iterable[Entry], movements: Iterable[Movement]) -> Market:
    """The market, and what the ledger's own rows tell of it: splits, the prices of trades, the rates of rows."""
    closes = {instrument: market.closes.get(instrument, Series()) for instrument in market.symbols}
    rates = dict(market.rates)
    splits: dict[int, list[tuple[int, Decimal]]] = {}
    said: dict[str, list[tuple[int, Decimal]]] = {}
    for movement in movements:
        day = movement.at.date().toordinal()
        if movement.split_ratio is not None and movement.instrument is not None:
            splits.setdefault(movement.instrument, []).append((day, movement.split_ratio))
        if movement.rate is not None:
            said.setdefault(movement.currency, []).append((day, movement.rate))
    entries = list(entries)
    traded = _traded(entries, market.currencies)
    for instrument, series in closes.items():
        known = series.split(splits.get(instrument, ()))
        closes[instrument] = known.preceded(traded.get(instrument, ()), TRADE)
    for currency, rows in said.items():
        rates[currency] = rates.get(currency, Series()).preceded(rows, ROW)
    for entry in entries:
        _carry_over(closes, entry)
    return msgspec.structs.replace(market, closes=closes, rates=rates)


def _traded(entries: Iterable[Entry], currencies: Mapping[int, str]) -> dict[int, list[tuple[int, Decimal]]]:
    """The prices that were paid, by instrument and day, in what its prices are quoted in."""
    traded: dict[int, list[tuple[int, Decimal]]] = {}
    with localcontext(EXACT):
        for entry in entries:
            if entry.type in (BUY, SELL) and entry.instrument is not None and entry.price > 0:
                price = stored(quoted_price(entry, currencies[entry.instrument]))
                traded.setdefault(entry.instrument, []).append((entry.at.date().toordinal(), price))
    return traded


def quoted_price(entry: Entry, currency: str) -> Decimal:
    """What a trade paid for a unit, as the instrument is quoted: in pence where its `currency` is GBp."""
    return entry.price / entry.unit * units_of(currency)


def units_of(currency: str) -> int:
    """How many of it make one of the currency that is paid in.

    >>> units_of("GBp"), units_of("GBP")
    (100, 1)
    """
    return MINOR_UNITS.get(currency, (currency, 1))[1]


def _carry_over(closes: dict[int, Series], entry: Entry) -> None:
    """What a merger, a rename or a spin-off makes of a price, until the market says one: value passes unchanged."""
    if entry.type not in (MERGER, RENAME, SPINOFF) or entry.instrument is None or entry.to_instrument is None:
        return
    day = entry.at.date()
    old, new = closes[entry.instrument], closes[entry.to_instrument]
    before = old.on(day)
    if before is None:
        return
    ordinal = day.toordinal()
    with localcontext(EXACT):
        part = entry.basis_fraction if entry.type == SPINOFF else ONE
        ratio = entry.ratio if entry.type != RENAME else ONE
        if not len(new) or int(new.days[0]) > ordinal:
            closes[entry.to_instrument] = new.joined([(ordinal, stored(before.value * part / ratio))], CARRIED)
        if entry.type == SPINOFF and before.day < day:
            child = closes[entry.to_instrument].on(day)
            left = before.value - (child.value * ratio if child else ZERO)
            closes[entry.instrument] = old.joined([(ordinal, max(stored(left), ZERO))], CARRIED)


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What crossed the portfolio's border, in its currency, inwards positive. In kind: units × the market's price."""

    day: date
    at: datetime
    entry_id: int
    amount: Decimal
    instrument: int | None = None
    quantity: Decimal = ZERO
    price: Known | None = None
    currency: str
    cash: Decimal = ZERO
    rate: Decimal


def flows(movements: Iterable[Movement], market: Market) -> list[Flow]:
    """The external movements, each at its day's worth. Raises Unpriced for what came in kind and has no price."""
    return [flow(movement, market) for movement in movements if movement.external]


def flow(movement: Movement, market: Market) -> Flow:
    day = movement.at.date()
    price, in_kind = None, ZERO
    with localcontext(EXACT):
        if movement.quantity and movement.instrument is not None:
            price = price_on(market, movement.instrument, day)
            in_kind = worth(
                movement.quantity, price.value, rate_on(market, market.currencies[movement.instrument], day)
            )
        rate = rate_of(movement, market)
        return Flow(
            day=day,
            at=movement.at,
            entry_id=movement.entry_id,
            amount=stored(movement.cash * rate) + in_kind,
            instrument=movement.instrument if movement.quantity else None,
            quantity=movement.quantity,
            price=price,
            currency=movement.currency,
            cash=movement.cash,
            rate=rate,
        )


class Unpriced(Exception):
    """Something has no price or no rate at all. `what`: its symbol or currency."""

    def __init__(self, what: str, sentence: str) -> None:
        super().__init__(sentence)
        self.what = what


def price_on(market: Market, instrument: int, day: date) -> Known:
    """Raises Unpriced."""
    known = market.closes.get(instrument, Series()).on(day)
    if known is None:
        symbol = market.symbols[instrument]
        raise Unpriced(symbol, f"There is no price for {symbol}.")
    return known


def rate_on(market: Market, currency: str, day: date) -> Decimal:
    """Raises Unpriced."""
    known = market.rates.get(currency, Series()).on(day)
    if known is None:
        raise Unpriced(currency, f"There is no rate for {currency}.")
    return known.value


def rate_of(movement: Movement, market: Market) -> Decimal:
    """The row's own rate, which beats the market's."""
    return movement.rate if movement.rate is not None else rate_on(market, movement.currency, movement.at.date())


def worth(quantity: Decimal, price: Decimal, rate: Decimal) -> Decimal:
    return stored(quantity * price * rate)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One holding at the close of a day. value: in the portfolio's currency."""

    instrument: int
    quantity: Decimal
    price: Known
    rate: Decimal
    value: Decimal


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """The cash in one currency at the close of a day."""

    currency: str
    amount: Decimal
    rate: Decimal
    value: Decimal


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """A portfolio at the close of a day, exactly. unpriced: symbol or currency → why it is in no sum."""

    day: date
    held: dict[int, Held]
    cash: dict[str, Money]
    unpriced: dict[str, str]

    @property
    def market_value(self) -> Decimal:
        return sum((one.value for one in self.held.values()), ZERO)

    @property
    def total(self) -> Decimal:
        return self.market_value + sum((one.value for one in self.cash.values()), ZERO)


def worth_on(own: "Balances", market: Market, day: date, strict: bool = True) -> Worth:
    """What was held at the close of `day`, at prices and rates that the market has said by then.

    strict: what only the ledger's own rows tell a price or a rate of is unpriced; else that counts too.
    """
    units, cash = own.on(day)
    held, money, unpriced = {}, {}, {}
    with localcontext(EXACT):
        for instrument, quantity in units.items():
            currency = market.currencies[instrument]
            price, rate = (
                _said(market.closes.get(instrument), day, strict),
                _rate_said(market, currency, day, strict),
            )
            if price is None or rate is None:
                lacking = f"price for {market.symbols[instrument]}" if price is None else f"rate for {currency}"
                unpriced[market.symbols[instrument]] = f"There is no {lacking} on or before {day}."
                continue
            value = worth(quantity, price.value, rate.value)
            held[instrument] = Held(instrument=instrument, quantity=quantity, price=price, rate=rate.value, value=value)
        for currency, amount in cash.items():
            rate = _rate_said(market, currency, day, strict)
            if rate is None:
                unpriced[currency] = f"There is no rate for {currency} on or before {day}."
                continue
            value = stored(amount * rate.value)
            money[currency] = Money(currency=currency, amount=amount, rate=rate.value, value=value)
    return Worth(day=day, held=held, cash=money, unpriced=unpriced)


def _said(series: Series | None, day: date, strict: bool) -> Known | None:
    known = None if series is None else series.on(day)
    if known is None or (strict and (known.day > day or known.source in OURS)):
        return None
    return known


def _rate_said(market: Market, currency: str, day: date, strict: bool) -> Known | None:
    """None also where the newest rate is too old to count."""
    known = _said(market.rates.get(currency), day, strict)
    if known is None or known.day == date.min:  # of always
        return known
    return None if strict and (day - known.day).days > market.rate_age_days else known


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """The closes of each day, the first one being that of the day before the window. Base currency, float64.

    held: value by day and instrument (columns as `instruments`); value: with cash; inflow, outflow: what crossed the
    border on the day, both positive; bought, sold: into and out of each instrument, income and costs included;
    gross: what the value is a difference of, to tell nothing from what rounding leaves of nothing; quoted: days on
    which the market moved something held.
    """

    days: list[date]
    instruments: list[int]
    held: Floats
    value: Floats
    gross: Floats
    inflow: Floats
    outflow: Floats
    bought: Floats
    sold: Floats
    quoted: NDArray[np.bool_]


def mark(
    own: "Balances",
    movements: Sequence[Movement],
    entries: Mapping[int, Entry],
    market: Market,
    start: date,
    end: date,
    crossing: Sequence[Flow],
) -> Marked:
    """Mark the ledger on each day from the one before `start` to `end`. Raises Unpriced.

    own: what its movements add up to; crossing: the flows among them.
    """
    first = start.toordinal() - 1
    ordinals = np.arange(first, end.toordinal() + 1, dtype=np.int64)
    units, cash = own.units, own.cash
    instruments = sorted(units)
    shape = (len(ordinals), len(instruments))
    held = np.zeros(shape)
    for column, instrument in enumerate(instruments):
        held[:, column] = _valued(
            units[instrument], market.closes.get(instrument), ordinals, market.symbols[instrument]
        )
        held[:, column] *= _rates(market, market.currencies[instrument], ordinals)
    balances = np.zeros(len(ordinals))
    moneys = np.zeros(len(ordinals))
    for currency, steps in cash.items():
        money = _valued(steps, market.rates.get(currency), ordinals, currency)
        balances += money
        moneys += np.abs(money)
    bought, sold = _trades(movements, passed(movements, entries, market), market, first, instruments, shape)
    inflow, outflow = _crossings(crossing, first, len(ordinals))
    return Marked(
        days=[date.fromordinal(int(day)) for day in ordinals],
        instruments=instruments,
        held=held,
        value=held.sum(axis=1) + balances,
        gross=np.abs(held).sum(axis=1) + moneys,
        inflow=inflow,
        outflow=outflow,
        bought=bought,
        sold=sold,
        quoted=_quoted(market, instruments, held, ordinals),
    )


class _Steps(msgspec.Struct):
    """An exact running sum: what it was from each day on."""

    days: list[int] = msgspec.field(default_factory=list)
    sums: list[Decimal] = msgspec.field(default_factory=list)

    def add(self, day: int, change: Decimal) -> None:
        total = (self.sums[-1] if self.sums else ZERO) + change
        if self.days and self.days[-1] == day:
            self.sums[-1] = total
        else:
            self.days.append(day)
            self.sums.append(total)

    def on(self, day: int) -> Decimal:
        at = bisect_right(self.days, day) - 1
        return self.sums[at] if at >= 0 else ZERO

    def filled(self, days: Days) -> Floats:
        sums = np.array([0.0, *map(float, self.sums)])
        return np.asarray(sums[np.searchsorted(self.days, days, side="right")])


class Balances(msgspec.Struct):
    """Units by instrument and cash by currency on each day, exactly, so that nothing left is nothing and not 1e-17."""

    units: dict[int, _Steps]
    cash: dict[str, _Steps]

    def on(self, day: date) -> tuple[dict[int, Decimal], dict[str, Decimal]]:
        """What was held at the close of `day`: units by instrument, cash by currency; what is 0 is left out."""
        ordinal = day.toordinal()
        return (
            {instrument: steps.on(ordinal) for instrument, steps in self.units.items() if steps.on(ordinal)},
            {currency: steps.on(ordinal) for currency, steps in self.cash.items() if steps.on(ordinal)},
        )


def balances(movements: Iterable[Movement]) -> Balances:
    """What was held of all that moved. movements: in order."""
    found = Balances({}, {})
    with localcontext(EXACT):
        for movement in movements:
            day = movement.at.date().toordinal()
            if movement.instrument is not None and movement.quantity:
                found.units.setdefault(movement.instrument, _Steps()).add(day, movement.quantity)
            if movement.cash:
                found.cash.setdefault(movement.currency, _Steps()).add(day, movement.cash)
    return found


def _valued(steps: _Steps, series: Series | None, ordinals: Days, what: str) -> Floats:
    amounts = steps.filled(ordinals)
    if not amounts.any():
        return amounts
    if series is None or not len(series):
        raise Unpriced(what, f"There is no price or rate for {what}.")
    return amounts * series.filled(ordinals)


def _rates(market: Market, currency: str, ordinals: Days) -> Floats:
    series = market.rates.get(currency)
    if series is None or not len(series):
        raise Unpriced(currency, f"There is no rate for {currency}.")
    return series.filled(ordinals)


def passed(
    movements: Iterable[Movement], entries: Mapping[int, Entry], market: Market
) -> list[tuple[date, int, Decimal]]:
    """What mergers, renames and spin-offs took out of one holding (negative) and into another, as it was worth.

    It is worth what its new units are, and comes to nothing in all. Returns (day, instrument, worth).
    """
    found: list[tuple[date, int, Decimal]] = []
    for movement in movements:
        entry = entries.get(movement.entry_id)
        if entry is None or movement.kind != "action" or movement.cash or entry.to_instrument is None:
            continue
        if movement.instrument == entry.to_instrument and movement.quantity and entry.instrument is not None:
            amount = flow(movement, market).amount
            found += [
                (movement.at.date(), entry.to_instrument, amount),
                (movement.at.date(), entry.instrument, -amount),
            ]
    return found


def _trades(
    movements: Iterable[Movement],
    moved: Iterable[tuple[date, int, Decimal]],
    market: Market,
    first: int,
    instruments: list[int],
    shape: tuple[int, int],
) -> tuple[Floats, Floats]:
    """What went into and came out of each holding: money for trades and of income, market value in kind."""
    bought, sold = np.zeros(shape), np.zeros(shape)
    columns = {instrument: column for column, instrument in enumerate(instruments)}
    amounts = [
        (movement.at.date(), movement.instrument, _into(movement, market))
        for movement in movements
        if movement.instrument in columns
    ]
    for day, instrument, into in [*amounts, *moved]:
        row = day.toordinal() - first
        if instrument in columns and 0 < row < shape[0]:
            (bought if into > 0 else sold)[row, columns[instrument]] += abs(float(into))
    return bought, sold


def _into(movement: Movement, market: Market) -> Decimal:
    """What a movement put into its instrument: what was paid, or what came in kind was worth."""
    if movement.external:
        return flow(movement, market).amount
    return stored(-movement.cash * rate_of(movement, market)) if movement.cash else ZERO


def _crossings(crossing: Iterable[Flow], first: int, length: int) -> tuple[Floats, Floats]:
    inflow, outflow = np.zeros(length), np.zeros(length)
    for one in crossing:
        row = one.day.toordinal() - first
        if 0 < row < length:
            (inflow if one.amount > 0 else outflow)[row] += abs(float(one.amount))
    return inflow, outflow


def _quoted(market: Market, instruments: list[int], held: Floats, ordinals: Days) -> NDArray[np.bool_]:
    """Days with a close of something held: of anything but crypto, unless there is nothing else."""
    days = np.zeros(len(ordinals), dtype=np.bool_)
    for wanted in (False, True):
        for column, instrument in enumerate(instruments):
            if (instrument in market.crypto) == wanted and instrument in market.closes:
                there = held[:, column] != 0
                there[1:] |= there[:-1]
                days |= market.closes[instrument].quoted(ordinals) & there
        if days.any():
            return days
    return days
