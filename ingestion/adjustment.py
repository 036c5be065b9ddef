"""Prices as if a split or a dividend had always been. Pure: raw bars in, adjusted bars out; what is stored stays raw.

Prices before a 4-for-1 split are a quarter, quantities four times as many. For the total return, prices before a
dividend are also lower by its part of the close before it: factor 1 − dividend / close.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from ingestion.candles import Bar

SPLIT: Final = "split"
TOTAL: Final = "total"
WAYS: Final = (SPLIT, TOTAL)


class Action(msgspec.Struct, frozen=True):
    """What takes effect at `time_us`, the ex-date's midnight UTC. split: new shares for one old; dividend: a share's,
    as paid on the day."""

    time_us: int
    split: float = 1.0
    dividend: float = 0.0


class Factor(msgspec.Struct, frozen=True):
    """What bars before `time_us` are multiplied by: all that comes after them together."""

    time_us: int
    price: float
    quantity: float


def factors(actions: Iterable[Action], closes: Mapping[int, float] | None = None) -> list[Factor]:
    """The steps, oldest first. closes: the raw close before each dividend by the action's time, for the total return;
    a dividend whose close nobody knows is left out, as all are without `closes`.

    >>> [f.price for f in factors([Action(10, split=4.0), Action(20, split=2.0)])]
    [0.125, 0.5]
    >>> factors([Action(10, dividend=1.0)], {10: 50.0})
    [Factor(time_us=10, price=0.98, quantity=1.0)]
    """
    price = quantity = 1.0
    steps: list[Factor] = []
    for action in sorted(actions, key=lambda action: action.time_us, reverse=True):
        price /= action.split
        quantity *= action.split
        close = (closes or {}).get(action.time_us)
        if close and action.dividend:
            price *= 1 - action.dividend / close
        steps.append(Factor(action.time_us, price, quantity))
    return steps[::-1]


def adjust(bars: Sequence[Bar], steps: Sequence[Factor]) -> list[Bar]:
    """The bars, rising in time, in the terms of what came after the last step. Money (`quote_volume`) stays."""
    adjusted: list[Bar] = []
    at = 0
    for bar in bars:
        while at < len(steps) and steps[at].time_us <= bar.time_us:
            at += 1
        adjusted.append(_scaled(bar, steps[at]) if at < len(steps) else bar)
    return adjusted


def _scaled(bar: Bar, by: Factor) -> Bar:
    return msgspec.structs.replace(
        bar,
        open=bar.open * by.price,
        high=bar.high * by.price,
        low=bar.low * by.price,
        close=bar.close * by.price,
        volume=None if bar.volume is None else bar.volume * by.quantity,
    )
