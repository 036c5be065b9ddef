"""Conditions of alerts: trees of all, any and not over figures that somebody keeps. Pure.

What can be asked, and what each word means: docs/alerts.md. A rule is made of what people wrote by `parse`, which
refuses whatever it doesn't understand by its place (`all[1].value`); `wire` writes it again.
"""

from signals.rules.kinds import KINDS
from signals.rules.parsing import parse
from signals.rules.tree import (
    ABOVE,
    BELOW,
    CHANGE_PERCENT,
    CROSSES,
    CROSSES_ABOVE,
    CROSSES_BELOW,
    EVENTS,
    INDICATOR,
    OCCURS,
    PATTERN,
    PORTFOLIO,
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
    Defaults,
    InvalidRule,
    Leaf,
    Names,
    Not,
    Rule,
    Seen,
    asks,
    leaves,
    plain_price,
)
from signals.rules.units import IN_PRICE, amount, number, rescaled, scaled, scales, unit_of
from signals.rules.words import describe, label, wire

__all__ = [
    "ABOVE", "BELOW", "CHANGE_PERCENT", "CROSSES", "CROSSES_ABOVE", "CROSSES_BELOW", "EVENTS", "INDICATOR",
    "IN_PRICE", "KINDS", "OCCURS", "PATTERN", "PORTFOLIO", "PRICE", "SENTIMENT", "SERVICE", "SIGNAL", "SPREAD",
    "STALENESS", "VOLUME_ZSCORE", "All", "Any", "Ask", "Defaults", "InvalidRule", "Leaf", "Names", "Not", "Rule",
    "Seen", "amount", "asks", "describe", "label", "leaves", "number", "parse", "plain_price", "rescaled", "scaled",
    "scales", "unit_of", "wire",
]  # fmt: skip
