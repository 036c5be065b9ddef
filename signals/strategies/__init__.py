"""The strategies: pure functions of closed candles. A new one is a class in a file here, and a line below."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

from signals.indicators import InvalidParameters
from signals.strategies.indicated import BollingerBreakout, DonchianBreakout, MacdCross, MultiFactor, RsiReversal
from signals.strategies.sma_cross import SmaCross
from signals.strategies.strategy import Strategy

KINDS: Final[dict[str, type[Strategy]]] = {
    kind().name: kind for kind in (SmaCross, RsiReversal, MacdCross, BollingerBreakout, DonchianBreakout, MultiFactor)
}


class House(NamedTuple):
    """One that is asked for everybody, on every instrument, at the close of each bar of its interval."""

    strategy: Strategy
    interval: str


# One of each kind, with its defaults. Users have their own, with parameters and intervals of their choice.
HOUSE: Final[dict[str, House]] = {
    house.strategy.name: house
    for house in (
        House(SmaCross(fast=5, slow=20), "1m"),
        House(BollingerBreakout(), "15m"),
        House(RsiReversal(), "1h"),
        House(MacdCross(), "1h"),
        House(MultiFactor(), "4h"),
        House(DonchianBreakout(), "1d"),
    )
}
STRATEGIES: Final[dict[str, Strategy]] = {name: house.strategy for name, house in HOUSE.items()}
KEY_MAX: Final = 200

__all__ = [
    "HOUSE", "KINDS", "STRATEGIES", "InvalidParameters", "Strategy", "UnknownStrategy", "checked", "defaults", "key_of",
    "limits_of", "make", "parameters_of",
]  # fmt: skip


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
    given = checked(name, whole, parameters)
    for key, limits in limits_of(name).items():
        if key in given and not limits["least"] <= given[key] <= limits["most"]:
            raise InvalidParameters(f"{key} lies between {limits['least']:g} and {limits['most']:g}.")
    return KINDS[name](**given)


def key_of(kind: str, parameters: Mapping[str, float], interval: str) -> str:
    """What tells equal strategies from others: `sma_cross(fast=5,slow=20,stop_ranges=2.0,target_ranges=3.0)@1m`.

    parameters: all of them. Where that is too long, a digest stands for them.
    """
    spelled = ",".join(f"{name}={value!r}" for name, value in sorted(parameters.items()))
    if len(kind) + len(spelled) + len(interval) + 3 > KEY_MAX:
        spelled = hashlib.blake2b(spelled.encode(), digest_size=16).hexdigest()
    return f"{kind}({spelled})@{interval}"


def parameters_of(strategy: Strategy) -> dict[str, float]:
    """All parameters of one of the kinds here, as they are."""
    return {name: getattr(strategy, name) for name in defaults(strategy.name)}


def limits_of(name: str) -> dict[str, dict[str, Any]]:
    """Each parameter's `least` and `most`, and what it is `about`. Raises UnknownStrategy."""
    return {field.name: dict(field.metadata) for field in _fields(name)}


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
