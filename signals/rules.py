"""Conditions of alerts: trees of all, any and not over figures that somebody keeps. Pure.

What can be asked, and what each word means: docs/alerts.md. A rule is made of what people wrote by `parse`, which
refuses whatever it doesn't understand by its place (`all[1].value`); `wire` writes it again.
"""

from collections.abc import Callable
from typing import Final

import msgspec

PRICE: Final = "price"
CHANGE_PERCENT: Final = "change_percent"
VOLUME_ZSCORE: Final = "volume_zscore"
SPREAD: Final = "spread"
INDICATOR: Final = "indicator"
PATTERN: Final = "pattern"
SIGNAL: Final = "signal"
SENTIMENT: Final = "sentiment"
PORTFOLIO: Final = "portfolio"
STALENESS: Final = "staleness"
SERVICE: Final = "service"

ABOVE: Final = "above"
BELOW: Final = "below"
CROSSES_ABOVE: Final = "crosses_above"
CROSSES_BELOW: Final = "crosses_below"
CROSSES: Final = "crosses"
OCCURS: Final = "occurs"


class InvalidRule(ValueError):
    """It can't be a condition. path: the place, as `all[1].value`; message: a sentence for who wrote it."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path, self.message = path, message


class Ask(msgspec.Struct, frozen=True):
    """One figure that somebody needs; two that are equal are one. params are sorted by name."""

    kind: str
    instrument: int | None = None
    portfolio: int | None = None
    params: tuple[tuple[str, str | float], ...] = ()

    def get(self, name: str) -> str | float | None:
        """A parameter; None where it has none of that name."""
        return next((value for key, value in self.params if key == name), None)


class Seen(msgspec.Struct, frozen=True):
    """One look at a figure.

    low, high: its extremes since the look before, `value` included. at_us: when it was so (venue time of a price, the
    close of a bar). bar_us: the beginning of the closed bar that it is of. value of a pattern or a signal: the
    confidence of what occurred at the close of that bar, 0 where nothing did.
    """

    value: float
    low: float
    high: float
    at_us: int
    bar_us: int | None = None
    source: str = ""
    note: str = ""


class Leaf(msgspec.Struct, frozen=True, tag="leaf"):
    """A figure beside a threshold. clear: the threshold beyond which it counts as over again; None: the same."""

    ask: Ask
    op: str
    value: float
    clear: float | None = None


class All(msgspec.Struct, frozen=True, tag="all"):
    """Every one of them at once."""

    rules: tuple["Rule", ...]


class Any(msgspec.Struct, frozen=True, tag="any"):
    """At least one of them."""

    rules: tuple["Rule", ...]


class Not(msgspec.Struct, frozen=True, tag="not"):
    """Its contrary; of levels only: that something does not happen just now is no news."""

    rule: "Rule"


Rule = Leaf | All | Any | Not
Names = Callable[[int], str]


class Defaults(msgspec.Struct, frozen=True):
    """What a condition means where it leaves something out, and how large it may be.

    instrument, portfolio: the alert's own. strategies: names of strategies that signals can be of, and parts: of
    services; None: those that are built in.
    """

    instrument: int | None = None
    portfolio: int | None = None
    depth_max: int = 20
    leaves_max: int = 50
    strategies: frozenset[str] | None = None
    parts: frozenset[str] | None = None
