"""What thresholds are measured in, and what a corporate action makes of them."""

from typing import Final

from signals.rules.tree import (
    ABSOLUTE,
    BPS,
    CHANGE_PERCENT,
    INDICATOR,
    PORTFOLIO,
    PRICE,
    SERVICE,
    SPREAD,
    STALENESS,
    WEIGHT,
    All,
    Any,
    Ask,
    Leaf,
    Not,
    Rule,
)

VALUE_MAX: Final = 1e15
_UNITS: Final = {"percent": " %", "bps": " bps", "seconds": " s"}

# Indicators that are prices, or differences of prices: a split makes them others.
IN_PRICE: Final = frozenset(
    {
        "sma", "ema", "ema_first", "wma", "dema", "tema", "kama", "bollinger", "donchian", "vwap", "sar", "macd",
        "momentum", "atr", "atr_simple", "stddev",
    }
)  # fmt: skip


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
