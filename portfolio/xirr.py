"""The money-weighted return: the yearly rate at which all payments together are worth nothing. Pure.

Actual/365 from the first payment, as Excel's XIRR. Where Excel takes the root nearest to its guess, this looks for all
of them: a rate that is one of several is not an answer. Where exactly one of several is an ordinary rate (between
dividing and multiplying by 1,000 a year), that one is.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portfolio.money import ZERO

YEAR_DAYS: Final = 365

# Growth is searched as u = ln(1 + rate): densely about 0, and out to where a day multiplies by e^40.
_FARTHEST: Final = 40.0 * YEAR_DAYS
_STEPS: Final = 1_500
_HALVINGS: Final = 200
_ORDINARY: Final = float(np.log(1_000.0))
# Rates so near to each other are one root, met twice because the curve only touches zero there.
_SAME: Final = 1e-9

_Floats = NDArray[np.float64]


class NoRate(Exception):
    """There is no one rate. Its text says why, for the reader."""


def xirr(payments: Iterable[tuple[date, Decimal]]) -> float:
    """The rate per year, 0.1 for 10 %. payments: (day, amount), paid in negative, paid out positive.

    Payments of one day count as their sum. Raises NoRate when all go one way, or when no rate or several fit.

    >>> round(xirr([(date(2025, 1, 1), Decimal(-100)), (date(2026, 1, 1), Decimal(110))]), 9)
    0.1
    """
    netted = netted_by_day(payments)
    if not netted:
        raise NoRate("Nothing was paid in or out.")
    if len({amount > 0 for _, amount in netted}) == 1:
        raise NoRate("All payments and the closing value have one sign: no rate can make them even.")
    first = netted[0][0]
    years = np.array([(day - first).days / YEAR_DAYS for day, _ in netted])
    amounts = np.array([float(amount) for _, amount in netted])
    roots = _roots(years, amounts / np.abs(amounts).max())
    if not roots:
        raise NoRate("No rate makes the payments even.")
    ordinary = [root for root in roots if abs(root) <= _ORDINARY]
    with np.errstate(over="ignore"):  # a rate beyond all floats is inf, which nobody is told
        found = [float(np.expm1(root)) for root in (ordinary if len(ordinary) == 1 else roots)]
    if len(found) > 1:
        raise NoRate(f"Several rates make the payments even: {', '.join(f'{rate:.6g}' for rate in found)}.")
    return found[0]


def netted_by_day(payments: Iterable[tuple[date, Decimal]]) -> list[tuple[date, Decimal]]:
    """One payment a day, in order; days that come to nothing are left out."""
    days: dict[date, Decimal] = {}
    for day, amount in payments:
        days[day] = days.get(day, ZERO) + amount
    return [(day, days[day]) for day in sorted(days) if days[day]]


def _roots(years: _Floats, amounts: _Floats) -> list[float]:
    """Every u = ln(1 + rate) at which the present value crosses zero, rising."""
    grid = _grid()
    values = _present(grid, years, amounts)
    exact = grid[values == 0.0]
    brackets = np.flatnonzero(values[:-1] * values[1:] < 0.0)
    crossings = [_bisected(grid[at], grid[at + 1], years, amounts) for at in brackets]
    return _apart(sorted([*map(float, exact), *crossings]))


def _grid() -> _Floats:
    """From −_FARTHEST to it, steps growing outwards, so that 0.1 % a year and e^40 a day are both told apart."""
    outward = np.sinh(np.linspace(-1.0, 1.0, 2 * _STEPS + 1) * np.arcsinh(_FARTHEST))
    return np.asarray(outward, dtype=np.float64)


def _present(growth: _Floats, years: _Floats, amounts: _Floats) -> _Floats:
    """The sign of the present value for each `growth` (u). Scaled by its greatest weight, so that none overflows."""
    exponents = -np.outer(growth, years)
    weights = np.exp(exponents - np.maximum(exponents[:, :1], exponents[:, -1:]))
    return np.asarray(weights @ amounts, dtype=np.float64)


def _bisected(low: float, high: float, years: _Floats, amounts: _Floats) -> float:
    """The root between two u of which the present values differ in sign. Halving can't diverge."""
    sign = np.sign(_present(np.array([low]), years, amounts)[0])
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if np.sign(_present(np.array([middle]), years, amounts)[0]) == sign:
            low = middle
        else:
            high = middle
    return float((low + high) / 2)


def _apart(roots: Sequence[float]) -> list[float]:
    distinct: list[float] = []
    for root in roots:
        if not distinct or abs(root - distinct[-1]) > _SAME * max(1.0, abs(root)):
            distinct.append(root)
    return distinct
