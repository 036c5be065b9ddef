"""What a condition is made of: figures that are asked for, what was seen of them, and trees over both."""

from collections.abc import Iterator, Mapping
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

LEVELS: Final = (ABOVE, BELOW)
CROSSINGS: Final = (CROSSES_ABOVE, CROSSES_BELOW, CROSSES)
EVENTS: Final = frozenset({*CROSSINGS, OCCURS})

PREVIOUS_CLOSE: Final = "previous_close"
MINUTES: Final = "minutes"
COST: Final = "cost"
BASES: Final = (PREVIOUS_CLOSE, "open", MINUTES, "high_52w", "low_52w", COST)
BPS: Final = "bps"
ABSOLUTE: Final = "absolute"
WEIGHT: Final = "weight"
FIGURES: Final = ("total_value", "daily_change", "daily_change_percent", "drawdown_percent", WEIGHT)
SIGNAL_TYPES: Final = ("BUY", "SELL", "HOLD")


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
    close of a bar). bar_us: the beginning of the closed bar that it is of. A pattern or a signal is there only when one
    occurred; its value is the confidence.
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


class Names(msgspec.Struct, frozen=True):
    """What instruments (symbols) and portfolios are called, by number; what is not known is told by its number."""

    instruments: Mapping[int, str] = {}
    portfolios: Mapping[int, str] = {}

    def instrument(self, number: int) -> str:
        return self.instruments.get(number, f"instrument {number}")

    def portfolio(self, number: int) -> str:
        return self.portfolios.get(number, f"portfolio {number}")


class Defaults(msgspec.Struct, frozen=True):
    """What a condition means where it leaves something out, and how large it may be.

    instrument, portfolio: the alert's own. user: whose own strategies' signals count beside the house's. strategies:
    kinds of strategies that signals can be of, and parts: of services; None: those that are built in. own_strategies:
    the user's, number → name; None: a number is taken as it is.
    """

    instrument: int | None = None
    portfolio: int | None = None
    user: int | None = None
    depth_max: int = 20
    leaves_max: int = 50
    strategies: frozenset[str] | None = None
    own_strategies: Mapping[int, str] | None = None
    parts: frozenset[str] | None = None


def leaves(rule: Rule) -> tuple[Leaf, ...]:
    """Its leaves in the order in which they were written, which is the order of what a state remembers."""
    return tuple(walk(rule))


def walk(rule: Rule) -> Iterator[Leaf]:
    if isinstance(rule, Leaf):
        yield rule
    elif isinstance(rule, Not):
        yield from walk(rule.rule)
    else:
        for part in rule.rules:
            yield from walk(part)


def asks(rule: Rule) -> frozenset[Ask]:
    """The figures that somebody has to keep for it."""
    return frozenset(leaf.ask for leaf in walk(rule))


def plain_price(rule: Rule) -> Leaf | None:
    """Its only leaf, if it is one on a price; None for every other rule."""
    while isinstance(rule, All | Any) and len(rule.rules) == 1:
        rule = rule.rules[0]
    return rule if isinstance(rule, Leaf) and rule.ask.kind == PRICE else None
