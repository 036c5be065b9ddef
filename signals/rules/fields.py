"""The fields of one leaf as they were written, each read by what it may be and refused by its name."""

import difflib
import re
from collections.abc import Callable, Collection
from typing import Final

from ingestion.candles import INTERVALS
from signals.rules.tree import (
    ABOVE,
    CROSSES,
    CROSSES_ABOVE,
    CROSSINGS,
    LEVELS,
    OCCURS,
    Ask,
    Defaults,
    InvalidRule,
    Leaf,
)
from signals.rules.units import VALUE_MAX, number

NAME_MAX: Final = 64
_DECIMAL: Final = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def shown(value: object) -> str:
    """What was written, short enough to be told."""
    text = value if isinstance(value, str) else type(value).__name__
    return f"“{text[:40]}”"


class Fields:
    """The fields of one leaf; remembers which were read, so that the others are refused."""

    def __init__(
        self, raw: dict[object, object], path: str, resolve: Callable[[str], int | None], defaults: Defaults
    ) -> None:
        self.raw, self.path, self.resolve, self.defaults = raw, path, resolve, defaults
        self.read: list[str] = []

    def refuse(self, key: str, message: str) -> InvalidRule:
        return InvalidRule(join(self.path, key), message)

    def get(self, key: str) -> object:
        """As it was written; None where it is left out."""
        self.read.append(key)
        return self.raw.get(key)

    def no_others(self) -> None:
        for key in self.raw:
            if key not in self.read:
                known = ", ".join(self.read)
                raise self.refuse(str(key)[:40], f"{shown(self.raw['kind'])} has no {shown(key)}, only {known}.")

    def word(self, key: str, known: Collection[str], default: str | None = None) -> str:
        """One of those that are known."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value in known:
            return value
        if value is None:
            raise self.refuse(key, f"Is missing: {', '.join(sorted(known))}.")
        raise self.refuse(key, f"{shown(value)} is none of {', '.join(sorted(known))}.{near(value, known)}")

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

    def name(self, key: str) -> str | None:
        """What people call something, or its number; None where it is left out."""
        value = self.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value) if abs(value) < VALUE_MAX else ""
        if value is None or (isinstance(value, str) and 0 < len(value) <= NAME_MAX):
            return value
        raise self.refuse(key, f"Is a name of at most {NAME_MAX} characters, or a number.")

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
            raise self.refuse("symbol", f"There is no instrument {shown(value)}.")
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


def ask_for(
    kind: str, instrument: int | None = None, portfolio: int | None = None, **params: str | float | None
) -> Ask:
    given = tuple(sorted((name, value) for name, value in params.items() if value is not None))
    return Ask(kind, instrument, portfolio, given)


def near(value: object, known: Collection[str]) -> str:
    near = difflib.get_close_matches(value[:NAME_MAX], known, n=1) if isinstance(value, str) else []
    return f" Is it {near[0]}?" if near else ""
