"""A dry run as a picture: the price, its thresholds, and where the alert would have fired. Pure.

One SVG that stands alone: no script, no font and nothing else from elsewhere; light or dark as the reader's system is.
Figures stand in ink, never in the colour of their line; what a colour says, a shape or a word says too.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

import msgspec

WIDTH: Final = 960
HEIGHT: Final = 420
LEFT, RIGHT, TOP, BOTTOM = 16, 84, 64, 40
# Labels closer together than this would run into each other.
_LABEL_HEIGHT: Final = 15.0
_DAY_S: Final = 86_400

# The colours are those of the pages: frontend/styles/base.css.
_STYLE: Final = """
svg { color-scheme: light dark; font: 12px system-ui, sans-serif; }
.ground { fill: #ffffff; } .ink { fill: #14171f; } .soft { fill: #5d6675; }
.grid { stroke: #eef0f3; } .axis { stroke: #c6ccd6; }
.line { fill: none; stroke: #3d55cc; stroke-width: 2; stroke-linejoin: round; }
.range { fill: #3d55cc; opacity: .14; }
.threshold { stroke: #5d6675; stroke-dasharray: 6 4; } .clear { stroke-dasharray: 1.5 4; }
.fired { fill: #c2334d; stroke: #ffffff; stroke-width: 2; }
.title { font-size: 15px; font-weight: 600; }
@media (prefers-color-scheme: dark) {
  .ground { fill: #13161c; } .ink { fill: #e9ecf1; } .soft { fill: #98a1b0; }
  .grid { stroke: #1c2028; } .axis { stroke: #3b4351; }
  .line { stroke: #8ea2ff; } .range { fill: #8ea2ff; opacity: .2; }
  .threshold { stroke: #98a1b0; } .fired { fill: #ff7a8d; stroke: #13161c; }
}
"""


class Level(msgspec.Struct, frozen=True):
    """A threshold. clears: whether it is the one where the alert is over again."""

    value: float
    clears: bool = False


class Mark(msgspec.Struct, frozen=True):
    """A firing: when, at which price, and what it said."""

    at_us: int
    price: float
    text: str


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """rows: (µs, open, high, low, close), rising in time. start_us, end_us: what the axis spans."""

    title: str
    subtitle: str
    rows: Sequence[tuple[int, float, float, float, float]]
    levels: Sequence[Level]
    marks: Sequence[Mark]
    start_us: int
    end_us: int


def svg(picture: Picture) -> str:
    """The picture as a document."""
    if not picture.rows:
        inside = (
            f'<text class="soft" x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">No bars in this time.</text>'
        )
    else:
        inside = "".join(_drawn(picture, _Scale(picture)))
    title, about = escape(picture.title), escape(picture.subtitle)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-labelledby="title about"><title id="title">{title}</title><desc id="about">{about}</desc>'
        f'<style>{_STYLE}</style><rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>'
        f'<text class="ink title" x="{LEFT}" y="26">{escape(_cut(picture.title))}</text>'
        f'<text class="soft" x="{LEFT}" y="46">{escape(_cut(picture.subtitle, 140))}</text>{inside}</svg>\n'
    )


class _Scale:
    """From times and prices to points."""

    def __init__(self, picture: Picture) -> None:
        shown = [picture.start_us, picture.end_us, picture.rows[0][0], picture.rows[-1][0]]
        self.first_us, self.last_us = min(shown), max(shown)
        lowest, highest = min(row[3] for row in picture.rows), max(row[2] for row in picture.rows)
        # A threshold far away would make the price a flat line: it is named at the edge instead.
        reach = max(highest - lowest, abs(highest) * 1e-4, 1e-12)
        near = [one.value for one in picture.levels if lowest - reach <= one.value <= highest + reach]
        lowest, highest = min([lowest, *near]), max([highest, *near])
        room = max(highest - lowest, reach * 0.1) * 0.06
        self.lowest, self.highest = lowest - room, highest + room

    def x(self, at_us: int) -> float:
        part = (at_us - self.first_us) / max(1, self.last_us - self.first_us)
        return round(LEFT + part * (WIDTH - LEFT - RIGHT), 1)

    def y(self, price: float) -> float:
        part = (price - self.lowest) / (self.highest - self.lowest)
        return round(HEIGHT - BOTTOM - min(1.0, max(0.0, part)) * (HEIGHT - TOP - BOTTOM), 1)


def _drawn(picture: Picture, scale: _Scale) -> Iterable[str]:
    yield from _price_axis(picture, scale)
    yield from _time_axis(scale)
    yield _ranges(picture, scale)
    points = " ".join(f"{scale.x(row[0])},{scale.y(row[4])}" for row in picture.rows)
    yield f'<polyline class="line" points="{points}"/>'
    yield from _levels(picture, scale)
    yield from (_mark(mark, scale) for mark in picture.marks)


def _ranges(picture: Picture, scale: _Scale) -> str:
    """Between the lows and the highs."""
    above = [f"{scale.x(row[0])},{scale.y(row[2])}" for row in picture.rows]
    below = [f"{scale.x(row[0])},{scale.y(row[3])}" for row in reversed(picture.rows)]
    return f'<polygon class="range" points="{" ".join(above + below)}"/>'


def _price_axis(picture: Picture, scale: _Scale) -> Iterable[str]:
    taken = [scale.y(level.value) for level in picture.levels]
    for price in ticks(scale.lowest, scale.highest, 5):
        y = scale.y(price)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        if all(abs(y - other) >= _LABEL_HEIGHT for other in taken):
            yield f'<text class="soft" x="{WIDTH - RIGHT + 8}" y="{y + 4}">{number(price)}</text>'


def _time_axis(scale: _Scale) -> Iterable[str]:
    bottom = HEIGHT - BOTTOM
    yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>'
    for at_us, text in times(scale.first_us, scale.last_us):
        x = scale.x(at_us)
        yield f'<line class="axis" x1="{x}" x2="{x}" y1="{bottom}" y2="{bottom + 5}"/>'
        yield f'<text class="soft" x="{x}" y="{bottom + 20}" text-anchor="middle">{text}</text>'


def _levels(picture: Picture, scale: _Scale) -> Iterable[str]:
    taken: list[float] = []
    for level in picture.levels:
        outside = "↑ " if level.value > scale.highest else "↓ " if level.value < scale.lowest else ""
        y = scale.y(level.value)
        if not outside:
            name = "threshold clear" if level.clears else "threshold"
            yield f'<line class="{name}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        while any(abs(y - other) < _LABEL_HEIGHT for other in taken):
            y += _LABEL_HEIGHT
        taken.append(y)
        ink = "soft" if level.clears else "ink"
        yield f'<text class="{ink}" x="{WIDTH - RIGHT + 8}" y="{y + 4}">{outside}{number(level.value)}</text>'


def _mark(mark: Mark, scale: _Scale) -> str:
    return (
        f'<circle class="fired" cx="{scale.x(mark.at_us)}" cy="{scale.y(mark.price)}" r="5">'
        f"<title>{escape(mark.text)}</title></circle>"
    )


# --- Round numbers


def ticks(lowest: float, highest: float, most: int) -> list[float]:
    """Round numbers within, at most so many.

    >>> ticks(98.2, 121.7, 5)
    [100.0, 105.0, 110.0, 115.0, 120.0]
    """
    step = (highest - lowest) / most
    power = 10 ** math.floor(math.log10(step))
    size = next(power * n for n in (1, 2, 5, 10, 20) if power * n >= step * (1 - 1e-9))
    first = math.ceil(lowest / size)
    return [float(f"{n * size:.12g}") for n in range(first, math.floor(highest / size) + 1)]


_STEPS_S: Final = (
    60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, _DAY_S, 2 * _DAY_S, 7 * _DAY_S, 14 * _DAY_S, 30 * _DAY_S,
    90 * _DAY_S, 180 * _DAY_S, 365 * _DAY_S, 730 * _DAY_S, 1_825 * _DAY_S,
)  # fmt: skip


def times(first_us: int, last_us: int, most: int = 8) -> list[tuple[int, str]]:
    """Round times within, at most so many, as they are read in UTC."""
    length_s = max(1, (last_us - first_us) // 1_000_000)
    step_s = next((step for step in _STEPS_S if length_s / step <= most), length_s)
    form = "%H:%M" if length_s <= _DAY_S else "%b %d %H:%M" if step_s < _DAY_S else "%Y-%m-%d"
    step_us = step_s * 1_000_000
    # A label at the very edge would hang over it.
    margin_us = (last_us - first_us) // 25
    found = range(-(-(first_us + margin_us) // step_us) * step_us, last_us - margin_us + 1, step_us)
    return [(at_us, datetime.fromtimestamp(at_us / 1e6, UTC).strftime(form)) for at_us in found]


def number(value: float) -> str:
    """
    >>> number(70000.0), number(0.00001234), number(1234567.5)
    ('70,000', '0.00001234', '1,234,567.5')
    """
    text = f"{value:,.2f}" if abs(value) >= 100 else f"{value:.12f}"
    if abs(value) < 100 and value:
        text = f"{value:.{max(2, 4 - math.floor(math.log10(abs(value))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _cut(text: str, most: int = 110) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
