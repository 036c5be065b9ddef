"""Conditions of alerts: trees of all, any and not over figures that somebody keeps. Pure.

What can be asked, and what each word means: docs/alerts.md. A rule is made of what people wrote by `parse`, which
refuses whatever it doesn't understand by its place (`all[1].value`); `wire` writes it again.
"""

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

import msgspec

from ingestion.candles import INTERVALS
from signals import indicators, patterns, strategies
from signals.anomalies import Measure

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

VALUE_MAX: Final = 1e15
WEEK_MINUTES: Final = 10_080
MONTH_HOURS: Final = 720
WINDOW_MIN, WINDOW_MAX = 5, 1_000
NAME_MAX: Final = 64

# Indicators that are prices, or differences of prices: a split makes them others.
IN_PRICE: Final = frozenset(
    {
        "sma", "ema", "ema_first", "wma", "dema", "tema", "kama", "bollinger", "donchian", "vwap", "sar", "macd",
        "momentum", "atr", "atr_simple", "stddev",
    }
)  # fmt: skip
_DECIMAL: Final = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)


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


# --- What is in a rule ----------------------------------------------------------------------------------------


def leaves(rule: Rule) -> tuple[Leaf, ...]:
    """Its leaves in the order in which they were written, which is the order of what a state remembers."""
    return tuple(_leaves(rule))


def _leaves(rule: Rule) -> Iterator[Leaf]:
    if isinstance(rule, Leaf):
        yield rule
    elif isinstance(rule, Not):
        yield from _leaves(rule.rule)
    else:
        for part in rule.rules:
            yield from _leaves(part)


def asks(rule: Rule) -> frozenset[Ask]:
    """The figures that somebody has to keep for it."""
    return frozenset(leaf.ask for leaf in _leaves(rule))


def plain_price(rule: Rule) -> Leaf | None:
    """Its only leaf, if it is one on a price; None for every other rule."""
    while isinstance(rule, All | Any) and len(rule.rules) == 1:
        rule = rule.rules[0]
    return rule if isinstance(rule, Leaf) and rule.ask.kind == PRICE else None


# --- Reading --------------------------------------------------------------------------------------------------


def parse(raw: object, resolve: Callable[[str], int | None], defaults: Defaults | None = None) -> Rule:
    """The rule that was written, every default filled in.

    {"all": [{"kind": "price", "symbol": "BTC-USD", "op": "above", "value": 70000, "clear": 69500},
             {"not": {"kind": "indicator", "name": "rsi(14)", "interval": "1h", "op": "above", "value": 70}}]}

    resolve: a symbol's instrument; None, or a LookupError, where there is none. Whether one may see a portfolio is the
    caller's to ask. Raises InvalidRule.
    """
    return _Parser(resolve, defaults or Defaults()).rule(raw, "", 1)


class _Parser:
    """One condition being read: how many leaves it has so far."""

    def __init__(self, resolve: Callable[[str], int | None], defaults: Defaults) -> None:
        self.resolve, self.defaults, self.leaves = resolve, defaults, 0

    def rule(self, raw: object, path: str, depth: int) -> Rule:
        if depth > self.defaults.depth_max:
            raise InvalidRule("", f"Nested more than {self.defaults.depth_max} deep.")
        if not isinstance(raw, dict):
            raise InvalidRule(path, "A condition is an object: all, any, not, or a leaf with a kind.")
        groups = [name for name in ("all", "any", "not") if name in raw]
        if not groups:
            return self.leaf(raw, path)
        if len(raw) > 1:
            raise InvalidRule(path, f"“{groups[0]}” stands alone: put the others beside it into an all or an any.")
        inside = _join(path, groups[0])
        if groups[0] == "not":
            return self.contrary(raw["not"], inside, depth)
        parts = self.parts(raw[groups[0]], inside, depth)
        return All(parts) if groups[0] == "all" else Any(parts)

    def contrary(self, raw: object, path: str, depth: int) -> Rule:
        rule = self.rule(raw, path, depth + 1)
        if any(leaf.op in EVENTS for leaf in _leaves(rule)):
            raise InvalidRule(path, "What crosses or occurs has no contrary; use above or below.")
        return Not(rule)

    def parts(self, raw: object, path: str, depth: int) -> tuple[Rule, ...]:
        if not isinstance(raw, list) or not raw:
            raise InvalidRule(path, "A list of conditions, at least one.")
        if len(raw) > self.defaults.leaves_max:
            raise self.too_many()
        return tuple(self.rule(part, f"{path}[{place}]", depth + 1) for place, part in enumerate(raw))

    def leaf(self, raw: dict[object, object], path: str) -> Leaf:
        self.leaves += 1
        if self.leaves > self.defaults.leaves_max:
            raise self.too_many()
        fields = _Fields(raw, path, self.resolve, self.defaults)
        read = _KINDS[fields.word("kind", _KINDS)]
        leaf = read(fields)
        fields.no_others()
        return leaf

    def too_many(self) -> InvalidRule:
        return InvalidRule("", f"More than {self.defaults.leaves_max} conditions in one.")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(value: object) -> str:
    """What was written, short enough to be told."""
    text = value if isinstance(value, str) else type(value).__name__
    return f"“{text[:40]}”"


class _Fields:
    """The fields of one leaf; remembers which were read, so that the others are refused."""

    def __init__(
        self, raw: dict[object, object], path: str, resolve: Callable[[str], int | None], defaults: Defaults
    ) -> None:
        self.raw, self.path, self.resolve, self.defaults = raw, path, resolve, defaults
        self.read: list[str] = []

    def refuse(self, key: str, message: str) -> InvalidRule:
        return InvalidRule(_join(self.path, key), message)

    def get(self, key: str) -> object:
        """As it was written; None where it is left out."""
        self.read.append(key)
        return self.raw.get(key)

    def no_others(self) -> None:
        for key in self.raw:
            if key not in self.read:
                known = ", ".join(self.read)
                raise self.refuse(str(key)[:40], f"{_shown(self.raw['kind'])} has no {_shown(key)}, only {known}.")

    def word(self, key: str, known: Collection[str], default: str | None = None) -> str:
        """One of those that are known."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value in known:
            return value
        if value is None:
            raise self.refuse(key, f"Is missing: {', '.join(sorted(known))}.")
        raise self.refuse(key, f"{_shown(value)} is none of {', '.join(sorted(known))}.{_near(value, known)}")

    def named(self, key: str, known: Collection[str] | None) -> str | None:
        """A name, one of `known` where that is told; None where it is left out."""
        value = self.get(key)
        if value is None:
            return None
        if known is not None:
            return self.word(key, known)
        if not isinstance(value, str) or not _WORD.fullmatch(value):
            raise self.refuse(key, f"Is a name of at most {NAME_MAX} letters and digits.")
        return value

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.refuse(key, "Is missing." if value is None else "Is a text.")
        return value.strip()

    def number(self, key: str, least: float = -VALUE_MAX, most: float = VALUE_MAX) -> float | None:
        """A number, or the same as a text; None where it is left out."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, str) and _DECIMAL.fullmatch(value):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(key, "Is a number.")
        if not least <= value <= most:  # neither is NaN, nor an integer too long for a float
            raise self.refuse(key, f"Lies between {number(least)} and {number(most)}.")
        return float(value)

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int | None:
        value = self.number(key, least, most)
        if value is None:
            return default
        if value != int(value):
            raise self.refuse(key, "Is a whole number.")
        return int(value)

    def interval(self) -> str:
        return self.word("interval", INTERVALS)

    def instrument(self) -> int:
        """What `symbol` names, or the alert's own."""
        value = self.get("symbol")
        if value is None:
            if self.defaults.instrument is None:
                raise self.refuse("symbol", "Is missing.")
            return self.defaults.instrument
        found = None
        if isinstance(value, str) and 0 < len(value) <= NAME_MAX and "\0" not in value:
            try:
                found = self.resolve(value)
            except LookupError:
                pass
        if found is None:
            raise self.refuse("symbol", f"There is no instrument {_shown(value)}.")
        return found

    def portfolio(self) -> int:
        value = self.whole("portfolio", 1, 2**53, self.defaults.portfolio)
        if value is None:
            raise self.refuse("portfolio", "Is missing: a portfolio's id.")
        return value

    def threshold(self, ask: Ask, least: float = -VALUE_MAX, most: float = VALUE_MAX) -> Leaf:
        """A leaf with an op and a value, and perhaps a clear on the other side of it."""
        op = self.word("op", (*LEVELS, *CROSSINGS))
        value, clear = self.number("value", least, most), self.number("clear", least, most)
        if value is None:
            raise self.refuse("value", "Is missing: the threshold.")
        if clear is not None:
            self._check_clear(op, value, clear)
        return Leaf(ask, op, value, None if clear == value else clear)

    def _check_clear(self, op: str, value: float, clear: float) -> None:
        if op == CROSSES:
            raise self.refuse("clear", "What crosses either way has one threshold; use crosses_above or crosses_below.")
        rises = op in (ABOVE, CROSSES_ABOVE)
        if clear > value if rises else clear < value:
            side = "below" if rises else "above"
            raise self.refuse("clear", f"Lies on the wrong side: {op} {number(value)} is over again {side} it.")

    def occurrence(self, ask: Ask) -> Leaf:
        """A leaf of something that is there or isn't."""
        self.word("op", (OCCURS,), OCCURS)
        return Leaf(ask, OCCURS, float(ask.get("min_confidence") or 0))


def _ask(kind: str, instrument: int | None = None, portfolio: int | None = None, **params: str | float | None) -> Ask:
    given = tuple(sorted((name, value) for name, value in params.items() if value is not None))
    return Ask(kind, instrument, portfolio, given)


def _near(value: object, known: Collection[str]) -> str:
    near = difflib.get_close_matches(value[:NAME_MAX], known, n=1) if isinstance(value, str) else []
    return f" Is it {near[0]}?" if near else ""


# --- The kinds ------------------------------------------------------------------------------------------------


def _price(fields: _Fields) -> Leaf:
    return fields.threshold(_ask(PRICE, fields.instrument()), 0)


def _change_percent(fields: _Fields) -> Leaf:
    instrument, base = fields.instrument(), fields.word("base", BASES)
    minutes = fields.whole("minutes", 1, WEEK_MINUTES) if base == MINUTES else None
    if base == MINUTES and minutes is None:
        raise fields.refuse("minutes", "Is missing: against the price how many minutes ago.")
    portfolio = fields.portfolio() if base == COST else None
    return fields.threshold(_ask(CHANGE_PERCENT, instrument, portfolio, base=base, minutes=minutes))


def _volume_zscore(fields: _Fields) -> Leaf:
    window = fields.whole("window", WINDOW_MIN, WINDOW_MAX, Measure().window)
    return fields.threshold(_ask(VOLUME_ZSCORE, fields.instrument(), interval=fields.interval(), window=window))


def _spread(fields: _Fields) -> Leaf:
    return fields.threshold(_ask(SPREAD, fields.instrument(), unit=fields.word("unit", (BPS, ABSOLUTE), BPS)), 0)


def _indicator(fields: _Fields) -> Leaf:
    try:
        asked = indicators.asked(fields.text("name"))
    except (indicators.UnknownIndicator, indicators.InvalidParameters) as error:
        raise fields.refuse("name", str(error)) from None
    outputs = asked.indicator.outputs
    output = fields.word("output", outputs, outputs[0])
    ask = _ask(INDICATOR, fields.instrument(), name=asked.label, output=output, interval=fields.interval())
    return fields.threshold(ask)


def _pattern(fields: _Fields) -> Leaf:
    name = fields.text("name")
    # TA-Lib's names are asked for only when they are needed: it takes long to come.
    if name not in patterns.FIGURES and name not in patterns.candlestick_names():
        near = _near(name, [*patterns.FIGURES, *patterns.candlestick_names()])
        raise fields.refuse("name", f"There is no pattern {_shown(name)}.{near}")
    least = fields.number("min_confidence", 0, 100)
    ask = _ask(PATTERN, fields.instrument(), name=name, interval=fields.interval(), min_confidence=least)
    return fields.occurrence(ask)


def _signal(fields: _Fields) -> Leaf:
    known = fields.defaults.strategies
    ask = _ask(
        SIGNAL,
        fields.instrument(),
        strategy=fields.named("strategy", strategies.KINDS if known is None else known),
        signal_type=fields.named("signal_type", SIGNAL_TYPES),
        min_confidence=fields.number("min_confidence", 0, 100),
    )
    return fields.occurrence(ask)


def _sentiment(fields: _Fields) -> Leaf:
    return fields.threshold(
        _ask(SENTIMENT, fields.instrument(), hours=fields.whole("hours", 1, MONTH_HOURS, 24)), -1, 1
    )


def _portfolio(fields: _Fields) -> Leaf:
    figure = fields.word("figure", FIGURES)
    instrument = fields.instrument() if figure == WEIGHT else None
    return fields.threshold(_ask(PORTFOLIO, instrument, fields.portfolio(), figure=figure))


def _staleness(fields: _Fields) -> Leaf:
    return fields.threshold(_ask(STALENESS, fields.instrument()), 0)


def _service(fields: _Fields) -> Leaf:
    part = fields.named("part", fields.defaults.parts)
    if part is None:
        raise fields.refuse("part", "Is missing: the part of the service.")
    return fields.threshold(_ask(SERVICE, part=part), 0)


_KINDS: Final[Mapping[str, Callable[[_Fields], Leaf]]] = {
    PRICE: _price,
    CHANGE_PERCENT: _change_percent,
    VOLUME_ZSCORE: _volume_zscore,
    SPREAD: _spread,
    INDICATOR: _indicator,
    PATTERN: _pattern,
    SIGNAL: _signal,
    SENTIMENT: _sentiment,
    PORTFOLIO: _portfolio,
    STALENESS: _staleness,
    SERVICE: _service,
}
KINDS: Final = tuple(_KINDS)


# --- Writing --------------------------------------------------------------------------------------------------


def wire(rule: Rule, names: Names) -> dict[str, object]:
    """As people write it, nothing left out; `parse` makes the same rule of it. names: an instrument's symbol."""
    if isinstance(rule, Not):
        return {"not": wire(rule.rule, names)}
    if isinstance(rule, All | Any):
        return {"all" if isinstance(rule, All) else "any": [wire(part, names) for part in rule.rules]}
    ask = rule.ask
    made: dict[str, object] = {"kind": ask.kind}
    if ask.instrument is not None:
        made["symbol"] = names(ask.instrument)
    if ask.portfolio is not None:
        made["portfolio"] = ask.portfolio
    made |= {**dict(ask.params), "op": rule.op}
    if rule.op != OCCURS:
        made["value"] = rule.value
    return made if rule.clear is None else made | {"clear": rule.clear}


def describe(rule: Rule, names: Names) -> str:
    """As a sentence's part: `BTC-USD above 70,000 and RSI(14) 1h below 30`.

    names: an instrument's symbol; told once where all is about one.
    """
    subjects = {leaf.ask.instrument for leaf in _leaves(rule)}
    told = set[int]()

    def named(instrument: int) -> str:
        if len(subjects) == 1 and instrument in told:
            return ""
        told.add(instrument)
        return names(instrument)

    return _described(rule, named, outer=True)


def _described(rule: Rule, names: Names, outer: bool = False) -> str:
    if isinstance(rule, Leaf):
        return _leaf_text(rule, names)
    if isinstance(rule, Not):
        return f"not ({_described(rule.rule, names, outer=True)})"
    text = (" and " if isinstance(rule, All) else " or ").join(_described(part, names) for part in rule.rules)
    return text if outer or len(rule.rules) == 1 else f"({text})"


def _leaf_text(leaf: Leaf, names: Names) -> str:
    said = (_LASTS if unit_of(leaf.ask) == "seconds" else _SAID).get(leaf.op, leaf.op)
    parts = [label(leaf.ask, names), said]
    if leaf.op != OCCURS:
        parts.append(amount(leaf.ask, leaf.value))
    if leaf.clear is not None:
        parts.append(f"(until {'below' if leaf.clear < leaf.value else 'above'} {number(leaf.clear)})")
    return " ".join(part for part in parts if part)


def label(ask: Ask, names: Names) -> str:
    """What is asked, in words: `BTC-USD` for its price, `BTC-USD RSI(14) 1h`, `portfolio 3 daily change`."""
    subject = [names(ask.instrument)] if ask.instrument is not None else []
    if ask.kind == PORTFOLIO:
        subject = [f"portfolio {ask.portfolio}", *subject]
    return " ".join(part for part in (*subject, _WHAT[ask.kind](ask)) if part)


def _change_text(ask: Ask) -> str:
    base = str(ask.get("base"))
    if base == MINUTES:
        return f"change in {number(float(ask.get('minutes') or 0))} min"
    return f"change against {_BASE_TEXTS[base]}" + (f" in portfolio {ask.portfolio}" if base == COST else "")


def _indicator_text(ask: Ask) -> str:
    name, output = str(ask.get("name")), str(ask.get("output"))
    shown = "" if name.partition("(")[0] == output else f" {output}"
    return f"{name.upper()}{shown} {ask.get('interval')}"


def _signal_text(ask: Ask) -> str:
    of = f" of {ask.get('strategy')}" if ask.get("strategy") else ""
    return f"{ask.get('signal_type') or 'any'} signal{of}{_at_least(ask)}"


def _at_least(ask: Ask) -> str:
    least = ask.get("min_confidence")
    return f" of confidence {number(float(least))} or more" if least else ""


_SAID: Final = {OCCURS: "", CROSSES_ABOVE: "crosses above", CROSSES_BELOW: "crosses below"}
# Of seconds: how long something has been so.
_LASTS: Final = _SAID | {ABOVE: "for more than", BELOW: "for less than"}
_BASE_TEXTS: Final = {
    PREVIOUS_CLOSE: "the previous close",
    "open": "the open",
    "high_52w": "the 52-week high",
    "low_52w": "the 52-week low",
    COST: "its cost",
}
_WHAT: Final[Mapping[str, Callable[[Ask], str]]] = {
    PRICE: lambda ask: "",
    CHANGE_PERCENT: _change_text,
    VOLUME_ZSCORE: lambda ask: f"volume z-score {ask.get('interval')}",
    SPREAD: lambda ask: "spread",
    INDICATOR: _indicator_text,
    PATTERN: lambda ask: f"{str(ask.get('name')).replace('_', ' ')} {ask.get('interval')}{_at_least(ask)}",
    SIGNAL: _signal_text,
    SENTIMENT: lambda ask: f"sentiment of {ask.get('hours')} h",
    PORTFOLIO: lambda ask: str(ask.get("figure")).removesuffix("_percent").replace("_", " "),
    STALENESS: lambda ask: "without a tick",
    SERVICE: lambda ask: f"{ask.get('part')} degraded",
}
_UNITS: Final = {"percent": " %", "bps": " bps", "seconds": " s"}


def unit_of(ask: Ask) -> str:
    """percent, bps, seconds, or price: of the instrument's or the portfolio's currency; "" for a bare number."""
    if ask.kind in (STALENESS, SERVICE):
        return "seconds"
    if ask.kind == CHANGE_PERCENT or str(ask.get("figure") or "").endswith(("_percent", WEIGHT)):
        return "percent"
    if ask.kind == SPREAD and ask.get("unit") == BPS:
        return "bps"
    return "price" if _in_price(ask) or ask.kind == PORTFOLIO else ""


def amount(ask: Ask, value: float) -> str:
    """With its unit: `5 %`; a price is bare."""
    return number(value) + _UNITS.get(unit_of(ask), "")


def number(value: float) -> str:
    """For people: 70,000 and 0.00001234."""
    text = f"{value:,.8f}" if value == 0 or abs(value) >= 1e-4 else f"{value:.6g}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


# --- Corporate actions ----------------------------------------------------------------------------------------


def _in_price(ask: Ask) -> bool:
    if ask.kind == INDICATOR:
        return str(ask.get("name")).partition("(")[0] in IN_PRICE
    return ask.kind == PRICE or (ask.kind == SPREAD and ask.get("unit") == ABSOLUTE)


def rescaled(rule: Rule, instrument: int, ratio: float) -> Rule:
    """The rule after `ratio` new units of the instrument for one old: 4 in a 4-for-1 split makes 200 out of 800.

    Percentages, scores and money of portfolios stay as they are. Raises ValueError for a ratio that isn't above 0.
    """
    _check_ratio(ratio)
    if isinstance(rule, Not):
        return Not(rescaled(rule.rule, instrument, ratio))
    if isinstance(rule, All | Any):
        return type(rule)(tuple(rescaled(part, instrument, ratio) for part in rule.rules))
    if not scales(rule.ask, instrument):
        return rule
    clear = None if rule.clear is None else scaled(rule.clear, ratio)
    return Leaf(rule.ask, rule.op, scaled(rule.value, ratio), clear)


def scales(ask: Ask, instrument: int) -> bool:
    """Whether its figures are in prices of this instrument."""
    return ask.instrument == instrument and _in_price(ask)


def scaled(price: float, ratio: float) -> float:
    """Twelve digits: nobody wants to read 23,333.333333333332."""
    return float(f"{price / ratio:.12g}")


def _check_ratio(ratio: float) -> None:
    if not 0 < ratio < VALUE_MAX:
        raise ValueError(f"a ratio of {ratio}")
