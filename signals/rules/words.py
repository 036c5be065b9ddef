"""Conditions in words, and as people write them."""

from collections.abc import Callable, Mapping
from typing import Final

from signals.rules.tree import (
    ABOVE,
    BELOW,
    CHANGE_PERCENT,
    COST,
    CROSSES_ABOVE,
    CROSSES_BELOW,
    INDICATOR,
    MINUTES,
    OCCURS,
    PATTERN,
    PORTFOLIO,
    PREVIOUS_CLOSE,
    PRICE,
    SENTIMENT,
    SERVICE,
    SIGNAL,
    SPREAD,
    STALENESS,
    VOLUME_ZSCORE,
    All,
    Any,
    Ask,
    Leaf,
    Names,
    Not,
    Rule,
    leaves,
)
from signals.rules.units import amount, number, unit_of


def wire(rule: Rule, names: Names) -> dict[str, object]:
    """As people write it, nothing left out; `parse` makes the same rule of it."""
    if isinstance(rule, Not):
        return {"not": wire(rule.rule, names)}
    if isinstance(rule, All | Any):
        return {"all" if isinstance(rule, All) else "any": [wire(part, names) for part in rule.rules]}
    ask = rule.ask
    made: dict[str, object] = {"kind": ask.kind}
    if ask.instrument is not None:
        made["symbol"] = names.instrument(ask.instrument)
    if ask.portfolio is not None:
        made["portfolio"] = ask.portfolio
    made |= {name: value for name, value in ask.params if name != "user"}  # nobody writes whose alert it is
    made["op"] = rule.op
    if rule.op != OCCURS:
        made["value"] = rule.value
    return made if rule.clear is None else made | {"clear": rule.clear}


def describe(rule: Rule, names: Names) -> str:
    """As a sentence's part: `BTC-USD above 70,000 and RSI(14) 1h below 30`. An instrument is named once where all is
    about it, and with each of its prices."""
    subjects = {leaf.ask.instrument for leaf in leaves(rule)}
    told = set[int]()

    def labelled(ask: Ask) -> str:
        known = len(subjects) == 1 and ask.instrument in told and ask.kind != PRICE  # which has no other word
        if ask.instrument is not None:
            told.add(ask.instrument)
        return _label(ask, names, is_named=not known)

    return _described(rule, labelled, outer=True)


def _described(rule: Rule, labelled: Callable[[Ask], str], outer: bool = False) -> str:
    if isinstance(rule, Leaf):
        return _leaf_text(rule, labelled(rule.ask))
    if isinstance(rule, Not):
        return f"not ({_described(rule.rule, labelled, outer=True)})"
    text = (" and " if isinstance(rule, All) else " or ").join(_described(part, labelled) for part in rule.rules)
    return text if outer or len(rule.rules) == 1 else f"({text})"


def _leaf_text(leaf: Leaf, labelled: str) -> str:
    said = (_LASTS if unit_of(leaf.ask) == "seconds" else _SAID).get(leaf.op, leaf.op)
    parts = [labelled, said]
    if leaf.op != OCCURS:
        parts.append(amount(leaf.ask, leaf.value))
    if leaf.clear is not None:
        parts.append(f"(until {'below' if leaf.clear < leaf.value else 'above'} {number(leaf.clear)})")
    return " ".join(part for part in parts if part)


def label(ask: Ask, names: Names) -> str:
    """What is asked, in words: `BTC-USD` for its price, `BTC-USD RSI(14) 1h`, `Savings daily change`."""
    return _label(ask, names, is_named=True)


def _label(ask: Ask, names: Names, is_named: bool) -> str:
    symbol = names.instrument(ask.instrument) if is_named and ask.instrument is not None else ""
    if ask.portfolio is None:
        return _joined(symbol, _WHAT[ask.kind](ask))
    portfolio = names.portfolio(ask.portfolio)
    if ask.kind == PORTFOLIO:
        return _joined(portfolio, symbol, _WHAT[ask.kind](ask))
    return _joined(symbol, _WHAT[ask.kind](ask), f"in {portfolio}")


def _joined(*parts: str) -> str:
    return " ".join(filter(None, parts))


def _change_text(ask: Ask) -> str:
    base = str(ask.get("base"))
    if base == MINUTES:
        return f"change in {number(float(ask.get('minutes') or 0))} min"
    return f"change against {_BASE_TEXTS[base]}"


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
