"""Figures in closed bars: candlesticks by TA-Lib, and chart patterns, each told at the bar that confirmed it.

A swing is a swing only once `swing` bars after it stayed inside it, and a figure is one only once a close has left it.
So it is stamped with the close of that bar, and nothing that comes later takes it back: the bars up to there give the
same figure as all of them. Confidence is a heuristic from 0 to 100 of how well-formed the figure is; it is no
probability.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
import numpy as np

from signals.candles import Candles
from signals.indicators import InvalidParameters, average_range

BULLISH: Final = "bullish"
BEARISH: Final = "bearish"


class UnknownPattern(ValueError):
    """There is none of that name."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as a figure.

    swing: bars on each side of a turning point that stay inside it. tolerance: how far two prices that are to be alike
    may lie apart, as a part of the figure's height. least_height: in average ranges. longest: bars from the first
    turning point to the close that confirms. pole: a flag's pole in average ranges.
    """

    swing: int = 3
    tolerance: float = 0.25
    least_height: float = 2.0
    longest: int = 120
    pole: float = 4.0
    flag_longest: int = 20

    def __post_init__(self) -> None:
        if not 1 <= self.swing <= 50:
            raise InvalidParameters("swing lies between 1 and 50")
        if not 0 < self.tolerance <= 1:
            raise InvalidParameters("tolerance lies between 0 and 1")
        if not (0 < self.least_height <= 100 and 0 < self.pole <= 100):
            raise InvalidParameters("least_height and pole lie between 0 and 100 average ranges")
        if not 10 <= self.longest <= 1_000 or not 3 <= self.flag_longest <= 200:
            raise InvalidParameters("longest lies between 10 and 1000 bars, flag_longest between 3 and 200")


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. time_us: the close of the bar that confirmed it. level: the price that was passed. points: its
    turning points as (beginning of the bar, price), oldest first."""

    name: str
    direction: str
    time_us: int
    level: float
    confidence: float
    points: tuple[tuple[int, float], ...]


class Turn(msgspec.Struct, frozen=True):
    """A turning point that `swing` later bars have confirmed. side: 1 a high, −1 a low."""

    at: int
    price: float
    side: int


# --- Candlesticks ---------------------------------------------------------------------------------------------


def candlestick_names() -> list[str]:
    """As `hammer` and `morningstar`, all that TA-Lib knows."""
    import talib

    groups = talib.get_function_groups()  # type: ignore[no-untyped-call]
    return [name.removeprefix("CDL").lower() for name in groups["Pattern Recognition"]]


def candlesticks(candles: Candles, names: Iterable[str] | None = None, first: int = 0) -> list[Figure]:
    """Those that end at the bar `first` or later, oldest first. Confidence: 50, or 100 where TA-Lib counts a bar of
    confirmation.

    Raises UnknownPattern.
    """
    import talib

    known, found = candlestick_names(), list[Figure]()
    prices = [np.ascontiguousarray(getattr(candles, column), np.float64) for column in ("open", "high", "low", "close")]
    for name in known if names is None else names:
        if name not in known:
            raise UnknownPattern(f"There is no candlestick “{name}”.")
        told = getattr(talib, f"CDL{name.upper()}")(*prices)
        found += [_candlestick(candles, name, int(at), int(told[at])) for at in np.flatnonzero(told[first:]) + first]
    return sorted(found, key=lambda figure: (figure.time_us, figure.name))


def _candlestick(candles: Candles, name: str, at: int, told: int) -> Figure:
    return Figure(
        name=name,
        direction=BULLISH if told > 0 else BEARISH,
        time_us=_closed_us(candles, at),
        level=float(candles.close[at]),
        confidence=float(min(100, abs(told) // 2)),
        points=((int(candles.time_us[at]), float(candles.close[at])),),
    )


# --- Chart patterns -------------------------------------------------------------------------------------------


def figures(
    candles: Candles, shape: Shape | None = None, names: Iterable[str] | None = None, first: int = 0
) -> list[Figure]:
    """Chart patterns that a close has confirmed, oldest first, each once. Raises UnknownPattern.

    first: those confirmed at this bar or later, at little more than their cost alone.
    """
    shape, wanted = shape or Shape(), list(FIGURES) if names is None else list(names)
    for name in wanted:
        if name not in FIGURES:
            raise UnknownPattern(f"There is no chart pattern “{name}”, only {', '.join(FIGURES)}.")
    found = _figures(candles, shape, wanted, first)
    if first and found:
        # One of them may have been confirmed before, and fallen back since.
        told_before = {(figure.name, figure.points) for figure in _figures(candles.until(first), shape, wanted, 0)}
        found = [figure for figure in found if (figure.name, figure.points) not in told_before]
    return sorted(found, key=lambda figure: (figure.time_us, figure.name))


def _figures(candles: Candles, shape: Shape, names: Sequence[str], first: int) -> list[Figure]:
    view = _View(candles, shape)
    found: dict[tuple[str, tuple[tuple[int, float], ...]], Figure] = {}
    for at in range(len(candles)):
        view.come_to(at)
        for name in names if at >= first else ():
            figure = FIGURES[name](view)
            if figure is not None:
                found.setdefault((figure.name, figure.points), figure)
    return list(found.values())


class _View:
    """The candles as they were known at the close of bar `at`: nothing after it is looked at."""

    def __init__(self, candles: Candles, shape: Shape) -> None:
        self.candles, self.shape, self.at = candles, shape, -1
        self.turns: list[Turn] = []
        self.high: list[float] = candles.high.tolist()
        self.low: list[float] = candles.low.tolist()
        self.close: list[float] = candles.close.tolist()
        self.usual: list[float] = average_range(candles.high, candles.low, candles.close, 20).tolist()

    def come_to(self, at: int) -> None:
        self.at = at
        middle = at - self.shape.swing
        if middle >= self.shape.swing:
            for side, prices in ((1, self.high), (-1, self.low)):
                self._note(Turn(middle, prices[middle], side), prices)

    def _note(self, turn: Turn, prices: Sequence[float]) -> None:
        """Of two turns to the same side the more extreme stands, as a figure has to alternate."""
        before, after = prices[turn.at - self.shape.swing : turn.at], prices[turn.at + 1 : self.at + 1]
        # Of equal extremes, as one bar opens where the one before closed, the first is the turn.
        if any(turn.side * p >= turn.side * turn.price for p in before):
            return
        if any(turn.side * p > turn.side * turn.price for p in after):
            return
        if self.turns and self.turns[-1].side == turn.side:
            if turn.side * self.turns[-1].price >= turn.side * turn.price:
                return
            self.turns.pop()
        self.turns.append(turn)

    def crossed(self, level: float, side: int, before: float | None = None) -> bool:
        """Whether this close is the first on that side of the level (which was `before` one bar ago), or the first
        since the figure's last turn is known to be one."""
        if self.at == 0 or side * self.close[self.at] <= side * level:
            return False
        was = level if before is None else before
        return side * self.close[self.at - 1] <= side * was or self.turns[-1].at + self.shape.swing == self.at

    def last(self, count: int) -> list[Turn] | None:
        """The last turns, where there are so many within the longest figure."""
        turns = self.turns[-count:]
        return turns if len(turns) == count and self.at - turns[0].at <= self.shape.longest else None

    def is_high_enough(self, height: float) -> bool:
        usual = self.usual[self.at]
        return not math.isnan(usual) and height >= self.shape.least_height * usual > 0

    def figure(self, name: str, side: int, level: float, confidence: float, turns: Sequence[Turn]) -> Figure:
        points = tuple((int(self.candles.time_us[turn.at]), turn.price) for turn in turns)
        return Figure(
            name=name,
            direction=BULLISH if side > 0 else BEARISH,
            time_us=_closed_us(self.candles, self.at),
            level=float(f"{level:.10g}"),
            confidence=round(100 * max(0.0, min(1.0, confidence)), 1),
            points=points,
        )


def _closed_us(candles: Candles, at: int) -> int:
    return int(candles.time_us[at]) + candles.step_us


def _double(name: str, side: int) -> Callable[[_View], Figure | None]:
    """side: of the two extremes. Confirmed by a close beyond what lies between them."""

    def find(view: _View) -> Figure | None:
        turns = view.last(3)
        if turns is None or turns[-1].side != side:
            return None
        first, between, second = turns
        height = side * ((first.price + second.price) / 2 - between.price)
        apart = abs(first.price - second.price)
        if not view.is_high_enough(height) or apart > view.shape.tolerance * height:
            return None
        if not view.crossed(between.price, -side):
            return None
        return view.figure(name, -side, between.price, 1 - apart / height, turns)

    return find


def _head_and_shoulders(name: str, side: int) -> Callable[[_View], Figure | None]:
    """side: of the head. Confirmed by a close beyond the line through the two points between the shoulders."""

    def find(view: _View) -> Figure | None:
        turns = view.last(5)
        if turns is None or turns[-1].side != side:
            return None
        left, _, head, _, right = turns
        neck = _line(turns[1], turns[3])
        height = side * (head.price - neck(head.at))
        if not view.is_high_enough(height):
            return None
        above = side * (head.price - side * max(side * left.price, side * right.price))
        apart = abs(left.price - right.price)
        if above < view.shape.tolerance * height / 2 or apart > view.shape.tolerance * height:
            return None
        if not view.crossed(neck(view.at), -side, neck(view.at - 1)):
            return None
        return view.figure(name, -side, neck(view.at), 1 - apart / height, turns)

    return find


def _line(one: Turn, other: Turn) -> Callable[[int], float]:
    slope = (other.price - one.price) / (other.at - one.at)
    return lambda at: one.price + slope * (at - one.at)


def _triangle(name: str, top: int, bottom: int) -> Callable[[_View], Figure | None]:
    """top, bottom: which way its sides run: −1 down, 0 level, 1 up. Confirmed by a close outside."""

    def find(view: _View) -> Figure | None:
        turns = view.last(4)
        if turns is None:
            return None
        highs, lows = ([turn for turn in turns if turn.side == side] for side in (1, -1))
        upper, lower = _line(*highs), _line(*lows)
        start = turns[0].at
        height, left = upper(start) - lower(start), upper(view.at) - lower(view.at)
        if not view.is_high_enough(height) or not 0 < left < height:
            return None
        level = view.shape.tolerance * height / 2
        if (_way(highs, level), _way(lows, level)) != (top, bottom):
            return None
        for side, line in ((1, upper), (-1, lower)):
            if view.crossed(line(view.at), side, line(view.at - 1)):
                return view.figure(name, side, line(view.at), 1 - left / height, turns)
        return None

    return find


def _way(turns: Sequence[Turn], level: float) -> int:
    moved = turns[1].price - turns[0].price
    return 0 if abs(moved) <= level else 1 if moved > 0 else -1


def _flag(name: str, side: int) -> Callable[[_View], Figure | None]:
    """A pole, then a rest that gives back less than half of it. Confirmed by a close beyond the pole's end."""

    def find(view: _View) -> Figure | None:
        ends = [turn for turn in view.turns[-2:] if turn.side == side]
        if not ends or not 3 <= view.at - ends[0].at <= view.shape.flag_longest:
            return None
        top, prices = ends[0], view.low if side > 0 else view.high
        first = max(0, top.at - view.shape.flag_longest)
        foot = min(range(first, top.at + 1), key=lambda at: side * prices[at])
        height, usual = side * (top.price - prices[foot]), view.usual[top.at]
        if math.isnan(usual) or height < view.shape.pole * usual or usual <= 0:
            return None
        given_back = side * (top.price - side * min(side * price for price in prices[top.at + 1 : view.at]))
        if given_back > height / 2 or not view.crossed(top.price, side):
            return None
        return view.figure(name, side, top.price, 1 - 2 * given_back / height, [Turn(foot, prices[foot], -side), top])

    return find


FIGURES: Final[dict[str, Callable[[_View], Figure | None]]] = {
    "double_top": _double("double_top", 1),
    "double_bottom": _double("double_bottom", -1),
    "head_and_shoulders": _head_and_shoulders("head_and_shoulders", 1),
    "inverse_head_and_shoulders": _head_and_shoulders("inverse_head_and_shoulders", -1),
    "ascending_triangle": _triangle("ascending_triangle", 0, 1),
    "descending_triangle": _triangle("descending_triangle", -1, 0),
    "symmetrical_triangle": _triangle("symmetrical_triangle", -1, 1),
    "bull_flag": _flag("bull_flag", 1),
    "bear_flag": _flag("bear_flag", -1),
}
