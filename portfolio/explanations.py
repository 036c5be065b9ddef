"""The working of a figure: its formula and every number in it, so that whoever reads it can work it out again. Pure.

Each explanation is `{formula, terms, …}`: `terms` are what the formula names, the lists beside them what the terms are
sums of. Numbers are decimal strings, days ISO dates.
"""

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal, localcontext
from typing import Any, Final

from portfolio import risk
from portfolio.attribution import Effects, Point, fee_base, steps
from portfolio.lots import Disposal, Lot
from portfolio.marking import Flow, Held, Known, Money, passed, rate_of, units_of
from portfolio.money import EXACT, ZERO, plain, stored
from portfolio.performance import Figure, Missing, Performance, ratio
from portfolio.positions import Movement
from portfolio.risk import Undefined
from portfolio.xirr import YEAR_DAYS, netted_by_day

Working = dict[str, Any]


def figure_json(figure: Figure | None) -> Any:
    """A figure on the wire: a decimal string, or null with the reason."""
    if isinstance(figure, Missing):
        return {"value": None, "reason": figure.reason}
    return None if figure is None else plain(figure)


def explain(figure: str, measured: Performance, instrument: int | None = None) -> tuple[Decimal, Working]:
    """One of FIGURES, or of HOLDING_FIGURES where an instrument is named, and its working.

    Raises Undefined or Unpriced where there is none; KeyError for another figure.
    """
    with localcontext(EXACT):
        if instrument is not None:
            return HOLDING_FIGURES[figure](measured, instrument)
        value = measured.figure("gain" if figure == "attribution" else figure)
        return _of(value), FIGURES[figure](measured)


# --- Values -----------------------------------------------------------------------------------------------------


def _market_value(measured: Performance) -> Working:
    held = measured.closing.held.values()
    return _working("sum of value; value = quantity × price × rate", holdings=[_held(measured, one) for one in held])


def _total_value(measured: Performance) -> Working:
    return _working(
        "market_value + cash",
        {"market_value": measured.closing.market_value, "cash": _cash(measured)},
        holdings=[_held(measured, one) for one in measured.closing.held.values()],
        cash=[_money(one) for one in measured.closing.cash.values()],
    )


def _cash(measured: Performance) -> Decimal:
    return sum((one.value for one in measured.closing.cash.values()), ZERO)


def _cash_working(measured: Performance) -> Working:
    return _working("sum of value; value = amount × rate", cash=[_money(one) for one in measured.closing.cash.values()])


def _unrealized(measured: Performance) -> Working:
    cost = sum(measured.ledger.cost.values(), ZERO)
    return _working(
        "market_value − cost_basis",
        {"market_value": measured.closing.market_value, "cost_basis": cost},
        holdings=[_held(measured, one) for one in measured.closing.held.values()],
    )


def _held(measured: Performance, one: Held) -> Working:
    return {
        "symbol": measured.market.symbols[one.instrument],
        "quantity": plain(one.quantity),
        "price": plain(one.price.value),
        **_known(one.price, measured.window.end),
        "rate": plain(one.rate),
        "value": plain(one.value),
        "cost_basis": plain(measured.ledger.cost.get(one.instrument, ZERO)),
        "lots": _lots(measured, one.instrument),
    }


def _lots(measured: Performance, instrument: int) -> list[Working]:
    return [_lot(lot) for lot in _open_lots(measured, instrument)]


def _open_lots(measured: Performance, instrument: int) -> list[Lot]:
    return [
        lot for book in measured.ledger.books if instrument in book.held for lot in book.holdings[instrument].lots()
    ]


def _lot(lot: Lot) -> Working:
    return {
        "transaction": lot.id,
        "opened_at": lot.opened_at.isoformat(),
        "quantity": plain(lot.quantity),
        "cost": plain(lot.cost),
        "currency": lot.currency,
        "cost_base": plain(lot.cost_base),
    }


def _known(price: Known, day: date) -> Working:
    """Whence a price is. quoted: as it was said, before splits since."""
    return {
        "price_day": price.day.isoformat(),
        "price_source": price.source,
        "price_quoted": plain(price.quoted),
        "age_days": (day - price.day).days,
    }


def _money(one: Money) -> Working:
    return {
        "currency": one.currency, "amount": plain(one.amount), "rate": plain(one.rate), "value": plain(one.value),
    }  # fmt: skip


# --- Sums of rows -----------------------------------------------------------------------------------------------


def _realized(measured: Performance, instrument: int | None = None) -> Working:
    closed = [one for one in _disposals(measured) if instrument in (None, one.instrument)]
    return _working(
        "sum of gain; gain = proceeds_base − cost_base", disposals=[_disposal(measured, one) for one in closed]
    )


def _disposals(measured: Performance) -> Iterable[Disposal]:
    return (
        one for book in measured.ledger.books for one in book.disposals if measured.window.holds(one.closed_at.date())
    )


def _disposal(measured: Performance, one: Disposal) -> Working:
    return {
        "transaction": one.entry_id,
        "lot": one.lot_id,
        "symbol": measured.market.symbols[one.instrument],
        "quantity": plain(one.quantity),
        "opened_at": one.opened_at.isoformat(),
        "closed_at": one.closed_at.isoformat(),
        "currency": one.currency,
        "proceeds": plain(one.proceeds),
        "cost": plain(one.cost),
        "proceeds_base": plain(one.proceeds_base),
        "cost_base": plain(one.cost_base),
        "gain": plain(one.gain_base),
    }


def _income(measured: Performance, instrument: int | None = None) -> Working:
    return _rows(measured, "income", 1, instrument)


def _taxes(measured: Performance, instrument: int | None = None) -> Working:
    return _rows(measured, "tax", -1, instrument)


def _rows(measured: Performance, kind: str, sign: int, instrument: int | None) -> Working:
    wanted = [one for one in measured.within if one.kind == kind and instrument in (None, one.instrument)]
    return _working(
        "sum of value; value = amount × rate", transactions=[_row(measured, one, sign * one.cash) for one in wanted]
    )


def _row(measured: Performance, one: Movement, amount: Decimal) -> Working:
    rate = rate_of(one, measured.market)
    return {
        "transaction": one.entry_id,
        "at": one.at.isoformat(),
        "symbol": measured.market.symbols[one.instrument] if one.instrument is not None else None,
        "currency": one.currency,
        "amount": plain(amount),
        "rate": plain(rate),
        "value": plain(stored(amount * rate)),
    }


def _fees(measured: Performance, instrument: int | None = None) -> Working:
    """Those of trades, which are in a basis or in proceeds, and those beside."""
    found, charged = [], set()
    for one in measured.within:
        if instrument not in (None, one.instrument):
            continue
        if one.kind == "fee":
            found.append(_row(measured, one, -one.cash))
        elif one.kind == "trade" and one.entry_id not in charged:
            entry = measured.ledger.entries[one.entry_id]
            if entry.instrument == one.instrument and entry.fee:
                charged.add(one.entry_id)
                value = fee_base(entry)
                in_kind = entry.fee_instrument is not None
                amount = stored(entry.fee * entry.fee_price) if in_kind else entry.fee
                own = entry.fee_currency in (None, entry.currency)
                rate = entry.fx_rate if own else entry.fee_rate
                row = _row(measured, one, amount)
                found.append(
                    row | {"currency": entry.fee_currency or entry.currency, "rate": plain(rate), "value": plain(value)}
                )
    return _working("sum of value; value = amount × rate", transactions=found)


def _net_invested(measured: Performance) -> Working:
    return _working(
        "sum of amount; amount = cash × rate, in kind quantity × price × rate",
        flows=[_flow(measured, one) for one in measured.flows],
    )


def _flow(measured: Performance, one: Flow) -> Working:
    found = {
        "transaction": one.entry_id,
        "day": one.day.isoformat(),
        "currency": one.currency,
        "cash": plain(one.cash),
        "rate": plain(one.rate),
        "amount": plain(one.amount),
    }
    if one.price is not None and one.instrument is not None:
        found |= {
            "symbol": measured.market.symbols[one.instrument],
            "quantity": plain(one.quantity),
            "price": plain(one.price.value),
            **_known(one.price, one.day),
        }
    return found


# --- Returns ----------------------------------------------------------------------------------------------------


def _gain_terms(measured: Performance) -> dict[str, Decimal]:
    return {
        "closing_value": _of(measured.total_value),
        "opening_value": _of(measured.opening_value),
        "net_invested": _of(measured.net_invested),
    }


def _gain(measured: Performance) -> Working:
    return _working(
        "closing_value − opening_value − net_invested", _gain_terms(measured), flows=_flows(measured)
    )  # fmt: skip


def _paid_in(measured: Performance) -> Working:
    opening = {"opening_value": _of(measured.opening_value)}
    return _working("opening_value (if above 0) + all flows above 0", opening, flows=_flows(measured))


def _opening_value(measured: Performance) -> Working:
    opening = measured.opening
    return _working(
        "sum of value; value = quantity × price × rate, of cash amount × rate",
        day=opening.day.isoformat(),
        holdings=[
            {
                "symbol": measured.market.symbols[one.instrument],
                "quantity": plain(one.quantity),
                "price": plain(one.price.value),
                **_known(one.price, opening.day),
                "rate": plain(one.rate),
                "value": plain(one.value),
            }
            for one in opening.held.values()
        ],
        cash=[_money(one) for one in opening.cash.values()],
    )


def _flows(measured: Performance) -> list[Working]:
    return [_flow(measured, one) for one in measured.flows]


def _simple_return(measured: Performance) -> Working:
    return _working(
        "gain ÷ paid_in; paid_in = opening_value + all flows above 0",
        {"gain": _of(measured.gain), "paid_in": measured.paid_in, **_gain_terms(measured)},
        flows=_flows(measured),
    )


def _modified_dietz(measured: Performance) -> Working:
    weighted = [
        _flow(measured, one) | {"weight": plain(stored(measured.weight(one)))} for one in measured.flows
    ]  # fmt: skip
    return _working(
        "gain ÷ average_capital; average_capital = opening_value + sum of amount × weight",
        {"gain": _of(measured.gain), "average_capital": measured.average_capital, **_gain_terms(measured)},
        flows=weighted,
    )


def chain(measured: Performance) -> list[Working]:
    """The links of the TWR, one from each flow to the next. Raises Undefined, Unpriced."""
    return [
        {
            "start": step.start.isoformat(),
            "end": step.end.isoformat(),
            "opening_value": plain(step.opening),
            "inflow": plain(step.inflow),
            "outflow": plain(step.outflow),
            "closing_value": plain(step.closing),
            "factor": plain(ratio(step.factor)),
            "capital": step.capital,
        }
        for step in measured.chain
    ]


def _twr(measured: Performance) -> Working:
    return _working(
        "product of factor − 1; factor = (closing_value + outflow) ÷ (opening_value + inflow), 1 without capital",
        chain=chain(measured),
        flows=_flows(measured),
    )


def _xirr(measured: Performance) -> Working:
    rate = _of(measured.xirr)
    payments = netted_by_day(measured.payments)
    first = payments[0][0]
    return _working(
        "the rate at which sum of amount ÷ (1 + rate) ^ ((day − first_day) ÷ 365) is 0",
        {"rate": rate},
        first_day=first.isoformat(),
        short_period=measured.short_period,
        payments=[
            {
                "day": day.isoformat(),
                "years": plain(stored(Decimal((day - first).days) / YEAR_DAYS)),
                "amount": plain(amount),
            }
            for day, amount in payments
        ],
    )


# --- Risk -------------------------------------------------------------------------------------------------------


def _volatility(measured: Performance) -> Working:
    return _risk(measured, "sample deviation of return × √year_days", {})


def _sharpe(measured: Performance) -> Working:
    return _risk(
        measured,
        "(mean − risk_free ÷ year_days) ÷ deviation × √year_days",
        {"mean": ratio(float(measured.returns.mean())), "deviation": ratio(float(measured.returns.std(ddof=1)))},
    )


def _sortino(measured: Performance) -> Working:
    daily_rate = measured.risk_free / measured.year_days
    return _risk(
        measured,
        "(mean − risk_free ÷ year_days) ÷ downside × √year_days;"
        " downside = √(mean of min(return − risk_free ÷ year_days, 0)²)",
        {
            "mean": ratio(float(measured.returns.mean())),
            "downside": ratio(risk.downside(measured.returns - daily_rate)),
        },
    )


def _risk(measured: Performance, formula: str, terms: dict[str, Decimal]) -> Working:
    known = {"year_days": Decimal(measured.year_days), "risk_free": ratio(measured.risk_free), **terms}
    returns = [{"day": day.isoformat(), "return": plain(ratio(one))} for day, one in measured.daily]
    return _working(formula, known, returns=returns)


def _max_drawdown(measured: Performance) -> Working:
    _, peak, trough = risk.max_drawdown(measured.index)
    days = measured.marked.days
    return _working(
        "trough ÷ peak − 1, of the index that 1 at the opening has become by each close",
        {"peak": ratio(float(measured.index[peak])), "trough": ratio(float(measured.index[trough]))},
        peak_day=days[peak].isoformat(),
        trough_day=days[trough].isoformat(),
        chain=chain(measured),
    )


# --- Where it came from -----------------------------------------------------------------------------------------


def effects_json(effects: Effects) -> Working:
    """A gain in its parts."""
    return {
        "gain": plain(effects.gain),
        "price": plain(effects.price),
        "fx": plain(effects.fx),
        "cross": plain(effects.cross),
        "income": plain(effects.income),
        "fees": plain(effects.fees),
        "taxes": plain(effects.taxes),
    }


ATTRIBUTION: Final = "price + fx + cross + income − fees − taxes"


def _attribution(measured: Performance) -> Working:
    parts = [{"symbol": part.symbol, **effects_json(part.effects)} for part in measured.parts()]
    return _working(f"gain = {ATTRIBUTION}, in each part and in all", parts=parts)


# --- One holding ------------------------------------------------------------------------------------------------


def _held_one(measured: Performance, instrument: int) -> Held:
    """Raises Undefined where it isn't held, or has no price."""
    symbol = measured.market.symbols.get(instrument)
    held = measured.closing.held.get(instrument)
    if held is None:
        reason = measured.unpriced.get(symbol or "")
        raise Undefined(reason or f"Nothing of it was held on {measured.window.end}.")
    return held


def _one_value(measured: Performance, instrument: int) -> tuple[Decimal, Working]:
    held = _held_one(measured, instrument)
    return held.value, _working("quantity × price × rate", holdings=[_held(measured, held)])


def _one_price(measured: Performance, instrument: int) -> tuple[Decimal, Working]:
    held = _held_one(measured, instrument)
    formula = "price_quoted, over the splits since price_day divided by their ratio"
    return held.price.value, _working(formula, holdings=[_held(measured, held)])


def _one_unrealized(measured: Performance, instrument: int) -> tuple[Decimal, Working]:
    held = _held_one(measured, instrument)
    cost = measured.ledger.cost.get(instrument, ZERO)
    return held.value - cost, _working("value − cost_basis", holdings=[_held(measured, held)])


def _one_quantity(measured: Performance, instrument: int) -> tuple[Decimal, Working]:
    moved = [one for one in measured.ledger.movements if one.instrument == instrument and one.quantity]
    changes = [
        {"transaction": one.entry_id, "at": one.at.isoformat(), "kind": one.kind, "quantity": plain(one.quantity)}
        for one in moved
    ]
    return sum((one.quantity for one in moved), ZERO), _working("sum of quantity", changes=changes)


def _one_cost(measured: Performance, instrument: int) -> tuple[Decimal, Working]:
    """As positions tell it: in pence where the instrument is quoted in pence, though pounds are paid."""
    lots, units = _open_lots(measured, instrument), units_of(measured.market.currencies[instrument])
    cost = sum((lot.cost for lot in lots), ZERO) * units
    return cost, _working("sum of cost × units", {"units": Decimal(units)}, lots=[_lot(lot) for lot in lots])


def _one_cost_base(measured: Performance, instrument: int) -> tuple[Decimal, Working]:
    lots = _open_lots(measured, instrument)
    return sum((lot.cost_base for lot in lots), ZERO), _working("sum of cost_base", lots=[_lot(lot) for lot in lots])


def _one_average(measured: Performance, instrument: int) -> tuple[Decimal, Working]:
    cost, working = _one_cost(measured, instrument)
    average = stored(cost / _units_open(measured, instrument))
    return average, working | {"formula": "sum of cost × units ÷ sum of quantity"}


def _one_average_base(measured: Performance, instrument: int) -> tuple[Decimal, Working]:
    cost, working = _one_cost_base(measured, instrument)
    average = stored(cost / _units_open(measured, instrument))
    return average, working | {"formula": "sum of cost_base ÷ sum of quantity"}


def _units_open(measured: Performance, instrument: int) -> Decimal:
    quantity = sum((lot.quantity for lot in _open_lots(measured, instrument)), ZERO)
    if not quantity:
        raise Undefined(f"Nothing of it was held on {measured.window.end}.")
    return quantity


def _one_local(measured: Performance, instrument: int) -> tuple[Decimal, Working]:
    held = _held_one(measured, instrument)
    return stored(held.quantity * held.price.value), _working("quantity × price", holdings=[_held(measured, held)])


def _one_realized(measured: Performance, instrument: int) -> tuple[Decimal, Working]:
    closed = (one.gain_base for one in _disposals(measured) if one.instrument == instrument)
    return sum(closed, ZERO), _realized(measured, instrument)


def _one_sum(working: Callable[[Performance, int], Working]) -> Callable[[Performance, int], tuple[Decimal, Working]]:
    """Of rows that the working lists: their values' sum."""

    def of(measured: Performance, instrument: int) -> tuple[Decimal, Working]:
        found = working(measured, instrument)
        return sum((Decimal(row["value"]) for row in found["transactions"]), ZERO), found

    return of


def _one_gain(measured: Performance, instrument: int) -> tuple[Decimal, Working]:
    """With the steps that its currency's effects are sums of."""
    effects = measured.effects.get(instrument, Effects())
    points = steps(
        instrument,
        [one for one in measured.within if one.instrument == instrument],
        measured.ledger.entries,
        measured.market,
        measured.opening,
        measured.closing,
    )
    moved = passed(measured.within, measured.ledger.entries, measured.market)
    return effects.gain, _working(
        f"{ATTRIBUTION}; from step to step fx = quantity × price × (next rate − rate),"
        " cross = quantity × (next price − price) × (next rate − rate)",
        {name: Decimal(value) for name, value in effects_json(effects).items()},
        steps=[_point(point) for point in points],
        passed=[
            {"day": day.isoformat(), "amount": plain(amount)} for day, about, amount in moved if about == instrument
        ],
    )


def _point(point: Point | Decimal) -> Working:
    if isinstance(point, Decimal):
        return {"split": plain(point)}
    return {"quantity": plain(point.quantity), "price": plain(point.price), "rate": plain(stored(point.rate))}


def _working(formula: str, terms: dict[str, Decimal] | None = None, **lists: Any) -> Working:
    return {"formula": formula, "terms": {name: plain(value) for name, value in (terms or {}).items()}, **lists}


def _of(figure: Figure) -> Decimal:
    if isinstance(figure, Missing):
        raise Undefined(figure.reason)
    return figure


FIGURES: Final[dict[str, Callable[[Performance], Working]]] = {
    "twr": _twr,
    "xirr": _xirr,
    "simple_return": _simple_return,
    "modified_dietz": _modified_dietz,
    "realized_pnl": _realized,
    "unrealized_pnl": _unrealized,
    "income": _income,
    "fees": _fees,
    "taxes": _taxes,
    "net_invested": _net_invested,
    "market_value": _market_value,
    "total_value": _total_value,
    "cash": _cash_working,
    "gain": _gain,
    "opening_value": _opening_value,
    "paid_in": _paid_in,
    "max_drawdown": _max_drawdown,
    "volatility": _volatility,
    "sharpe": _sharpe,
    "sortino": _sortino,
    "attribution": _attribution,
}
HOLDING_FIGURES: Final[dict[str, Callable[[Performance, int], tuple[Decimal, Working]]]] = {
    "quantity": _one_quantity,
    "average_cost": _one_average,
    "average_cost_base": _one_average_base,
    "cost_basis": _one_cost,
    "cost_basis_base": _one_cost_base,
    "price": _one_price,
    "value": _one_value,
    "market_value": _one_value,
    "market_value_local": _one_local,
    "unrealized_pnl": _one_unrealized,
    "realized_pnl": _one_realized,
    "income": _one_sum(_income),
    "fees": _one_sum(_fees),
    "taxes": _one_sum(_taxes),
    "gain": _one_gain,
    "attribution": _one_gain,
}
