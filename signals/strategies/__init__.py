"""The strategies: pure functions of closed candles. A new one is a class in a file here, and a line below."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, cast

from signals.indicators import InvalidParameters
from signals.strategies.indicated import BollingerBreakout, DonchianBreakout, MacdCross, MultiFactor, RsiReversal
from signals.strategies.sma_cross import SmaCross
from signals.strategies.strategy import Strategy

KINDS: Final[dict[str, type[Strategy]]] = {
    kind().name: kind for kind in (SmaCross, RsiReversal, MacdCross, BollingerBreakout, DonchianBreakout, MultiFactor)
}
# Those that are asked at the close of each bar.
STRATEGIES: Final[dict[str, Strategy]] = {strategy.name: strategy for strategy in (SmaCross(fast=5, slow=20),)}

__all__ = ["KINDS", "STRATEGIES", "InvalidParameters", "Strategy", "UnknownStrategy", "checked", "defaults", "make"]


class UnknownStrategy(ValueError):
    """There is none of that name."""


def defaults(name: str) -> dict[str, float]:
    """The parameters of a strategy, with what they are unless one says otherwise. Raises UnknownStrategy."""
    return {field.name: cast(float, field.default) for field in _fields(name)}


def make(name: str, parameters: Mapping[str, Any]) -> Strategy:
    """A strategy with these parameters, the others as they are by default.

    Raises UnknownStrategy, or InvalidParameters, which says what is wrong.
    """
    whole = {field.name: field.type in (int, "int") for field in _fields(name)}
    return KINDS[name](**checked(name, whole, parameters))


def checked(name: str, whole: Mapping[str, bool], parameters: Mapping[str, Any]) -> dict[str, float]:
    """Given parameters of a strategy as numbers of their kind. whole: which there are, and whether they take no
    fractions. Raises InvalidParameters."""
    for key in parameters:
        if key not in whole:
            raise InvalidParameters(f"{name} has no parameter “{key}”, only {', '.join(whole) or 'none'}.")
    return {key: _number(key, value, whole[key]) for key, value in parameters.items()}


def _fields(name: str) -> list[dataclasses.Field[Any]]:
    if name not in KINDS:
        raise UnknownStrategy(f"There is no strategy “{name}”, only {', '.join(KINDS)}.")
    return [field for field in dataclasses.fields(KINDS[name]) if field.name != "name"]  # type: ignore[arg-type]


def _number(key: str, value: Any, whole: bool) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidParameters(f"{key} is a number.")
    if not -1e9 < value < 1e9:
        raise InvalidParameters(f"{key} is a number of a sensible size.")
    if whole and value != int(value):
        raise InvalidParameters(f"{key} is a whole number.")
    return int(value) if whole else float(value)
