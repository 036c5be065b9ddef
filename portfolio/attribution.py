"""Where a gain came from: prices, currencies, both at once, income, less fees and taxes. Pure and exact.

A holding of `q` units goes from price p₀ and rate e₀ to p₁ and e₁, step by step from one of its trades to the next:

    price  q × (p₁ − p₀) × e₀        fx  q × p₀ × (e₁ − e₀)        cross  q × (p₁ − p₀) × (e₁ − e₀)

which together are q × (p₁ × e₁ − p₀ × e₀). Cash has no price: all that its worth changes by is fx. In each holding and
in all, to the last digit: price + fx + cross + income − fees − taxes = gain.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal, localcontext

import msgspec

from portfolio.marking import Market, Worth, flow, price_on, quoted_price, rate_of, rate_on, units_of
from portfolio.money import EXACT, ONE, ZERO, stored
from portfolio.positions import BUY, SELL, Entry, Movement


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """A gain in the portfolio's currency, in its parts. `price` is what the other parts leave of the gain."""

    gain: Decimal = ZERO
    fx: Decimal = ZERO
    cross: Decimal = ZERO
    income: Decimal = ZERO
    fees: Decimal = ZERO
    taxes: Decimal = ZERO

    @property
    def price(self) -> Decimal:
        return self.gain - self.fx - self.cross - self.income + self.fees + self.taxes

    def __add__(self, other: "Effects") -> "Effects":
        return Effects(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Point(msgspec.Struct, frozen=True):
    """Units of an instrument at a price in its currency and a rate of that."""

    quantity: Decimal
    price: Decimal
    rate: Decimal


def of_holdings(
    movements: Sequence[Movement],
    entries: Mapping[int, Entry],
    market: Market,
    passed: Iterable[tuple[date, int, Decimal]],
    opening: Worth,
    closing: Worth,
) -> dict[int, Effects]:
    """The gain on each instrument between two closes. movements: those after `opening`, up to `closing`.

    passed: what went from one holding to another between them, of `marking.passed`. Raises Unpriced.
    """
    own: dict[int, list[Movement]] = {instrument: [] for instrument in (*opening.held, *closing.held)}
    for movement in movements:
        if movement.instrument is not None:
            own.setdefault(movement.instrument, []).append(movement)
    moved: dict[int, Decimal] = {}
    with localcontext(EXACT):
        for _, instrument, amount in passed:
            moved[instrument] = moved.get(instrument, ZERO) + amount
        return {
            instrument: _holding(instrument, rows, entries, market, moved.get(instrument, ZERO), opening, closing)
            for instrument, rows in own.items()
        }


def _holding(
    instrument: int,
    rows: Sequence[Movement],
    entries: Mapping[int, Entry],
    market: Market,
    moved: Decimal,
    opening: Worth,
    closing: Worth,
) -> Effects:
    start, end = opening.held.get(instrument), closing.held.get(instrument)
    before, after = start.value if start else ZERO, end.value if end else ZERO
    gain = after - before - moved + sum((paid_out(row, market) for row in rows), ZERO)
    fx, cross = currency_effects(steps(instrument, rows, entries, market, opening, closing))
    return Effects(gain=gain, fx=fx, cross=cross, **_named(rows, entries, market))


def paid_out(row: Movement, market: Market) -> Decimal:
    """What a movement took out of its holding: its cash, or in kind what it was worth."""
    if row.external:
        return -flow(row, market).amount
    return stored(row.cash * rate_of(row, market)) if row.cash else ZERO


def _named(rows: Iterable[Movement], entries: Mapping[int, Entry], market: Market) -> dict[str, Decimal]:
    """Income, fees and taxes of one holding."""
    sums = {"income": ZERO, "fees": ZERO, "taxes": ZERO}
    charged: set[int] = set()
    for row in rows:
        cash = stored(row.cash * rate_of(row, market)) if row.cash else ZERO
        if row.kind == "income":
            sums["income"] += cash
        elif row.kind == "tax":
            sums["taxes"] -= cash
        elif row.kind == "fee":
            sums["fees"] -= cash
        elif row.kind == "trade" and row.entry_id not in charged:
            entry = entries[row.entry_id]
            if entry.instrument == row.instrument:
                charged.add(row.entry_id)
                sums["fees"] += fee_base(entry)
    return sums


def fee_base(entry: Entry) -> Decimal:
    """The fee of a trade in the portfolio's currency, whatever it was paid in."""
    with localcontext(EXACT):
        fee = entry.fee if entry.fee_instrument is None else stored(entry.fee * entry.fee_price)
        own = entry.fee_currency in (None, entry.currency)
        return stored(fee * (entry.fx_rate if own else entry.fee_rate))


def currency_effects(points: Iterable[Point | Decimal]) -> tuple[Decimal, Decimal]:
    """The effects of the currency alone and of both at once. points: what was held from each on; a ratio: a split.

    >>> held = [Point(Decimal(10), Decimal(100), Decimal("1.1")), Point(Decimal(0), Decimal(120), Decimal("1.2"))]
    >>> [str(effect.normalize()) for effect in currency_effects(held)]
    ['1E+2', '2E+1']
    """
    fx = cross = ZERO
    last: Point | None = None
    with localcontext(EXACT):
        for point in points:
            if isinstance(point, Decimal):
                last = last and Point(last.quantity * point, last.price / point, last.rate)
                continue
            if last is not None and last.quantity:
                turned = point.rate - last.rate
                fx += last.quantity * last.price * turned
                cross += last.quantity * (point.price - last.price) * turned
            last = point
        return stored(fx), stored(cross)


def steps(
    instrument: int,
    rows: Iterable[Movement],
    entries: Mapping[int, Entry],
    market: Market,
    opening: Worth,
    closing: Worth,
) -> Iterable[Point | Decimal]:
    """What was held of an instrument from each of its trades on, and at both ends; a split as its ratio."""
    held = opening.held.get(instrument)
    quantity = held.quantity if held else ZERO
    if held:
        yield Point(quantity, held.price.value, held.rate)
    for row in rows:
        quantity += row.quantity
        if row.split_ratio is not None:
            yield row.split_ratio
        elif row.quantity:
            yield Point(quantity, *_price_and_rate(row, entries.get(row.entry_id), market))
    if instrument in closing.held:
        end = closing.held[instrument]
        yield Point(quantity, end.price.value, end.rate)


def _price_and_rate(row: Movement, entry: Entry | None, market: Market) -> tuple[Decimal, Decimal]:
    """What a trade was made at; for what came in kind what the market said. In the instrument's own units (pence)."""
    assert row.instrument is not None, "only holdings have steps"
    currency, day = market.currencies[row.instrument], row.at.date()
    if entry is None or entry.type not in (BUY, SELL) or entry.instrument != row.instrument or not entry.price:
        return price_on(market, row.instrument, day).value, rate_on(market, currency, day)
    return quoted_price(entry, currency), entry.fx_rate / units_of(currency)


def of_cash(movements: Iterable[Movement], market: Market, opening: Worth, closing: Worth) -> dict[str, Effects]:
    """The gain on each currency's cash between two closes, and what was paid that belongs to no instrument."""
    sums: dict[str, dict[str, Decimal]] = {}
    converted: dict[int, Decimal] = {}
    for currency in (*opening.cash, *closing.cash):
        own = sums.setdefault(currency, {"gain": ZERO, "income": ZERO, "fees": ZERO, "taxes": ZERO})
    with localcontext(EXACT):
        for currency, own in sums.items():
            own["gain"] += closing.cash[currency].value if currency in closing.cash else ZERO
            own["gain"] -= opening.cash[currency].value if currency in opening.cash else ZERO
        for row in movements:
            if not row.cash:
                continue
            own = sums.setdefault(row.currency, {"gain": ZERO, "income": ZERO, "fees": ZERO, "taxes": ZERO})
            cash = stored(row.cash * rate_of(row, market))
            if row.kind == "fx":
                # What one currency gives the other one gets, to the last digit.
                cash = -converted[row.entry_id] if row.entry_id in converted else cash
                converted[row.entry_id] = cash
            if row.instrument is not None or row.external or row.kind == "fx":
                own["gain"] -= cash
            elif row.kind in _SIGNS:
                name, sign = _SIGNS[row.kind]
                own[name] += sign * cash
        return {currency: Effects(fx=_fx_of_cash(own), **own) for currency, own in sums.items() if any(own.values())}


# Where cash that belongs to no instrument is counted, and which way round.
_SIGNS = {"income": ("income", ONE), "fee": ("fees", -ONE), "tax": ("taxes", -ONE)}


def _fx_of_cash(own: Mapping[str, Decimal]) -> Decimal:
    return own["gain"] - own["income"] + own["fees"] + own["taxes"]


def in_all(parts: Iterable[Effects]) -> Effects:
    return sum(parts, Effects())
