"""A price as a source gave it when it was asked, and how such answers are read. Pure.

It is no trade: nothing is known of what happened since the last time. Unknown is None, never zero.
"""

import datetime as dt
import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

SHOWN_BYTES: Final = 160

# What msgspec raises for bytes that are no JSON of the wanted shape; the latter for names that are no UTF-8.
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError)

# Currencies that some venues quote in, with the one that they are a part of and how many make one of it.
MINOR_UNITS: Final[Mapping[str, tuple[str, int]]] = {
    "GBp": ("GBP", 100), "GBX": ("GBP", 100), "ZAc": ("ZAR", 100), "ZAC": ("ZAR", 100), "ILA": ("ILS", 100),
    "ILa": ("ILS", 100), "KWF": ("KWD", 1000),
}  # fmt: skip


class Unreadable(ValueError):
    """An answer that is not what its venue's documentation says. Carries the body; its sentence shows the beginning."""

    def __init__(self, provider: str, body: bytes, reason: str) -> None:
        super().__init__(provider, body, reason)
        self.provider, self.body, self.reason = provider, body, reason

    def __str__(self) -> str:
        return f"{self.provider}: {self.reason}, in {self.body[:SHOWN_BYTES]!r}"


class Quoted(msgspec.Struct, frozen=True, kw_only=True):
    """What a source says of one symbol.

    time_us: the venue's; None where it gives none. day: a date in place of a time (`YYYY-MM-DD`), the trading day that
    the price is the last of. previous_close: of the session before. currency: what the price is in, where it says so;
    minor_units: how many of that make one of the currency (100 for pence), price and the others as the venue has them.
    """

    symbol: str
    price: float
    received_us: int
    time_us: int | None = None
    day: str | None = None
    bid: float | None = None
    ask: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    volume: float | None = None
    previous_close: float | None = None
    currency: str | None = None
    minor_units: int = 1

    def in_units(self, minor_units: int) -> "Quoted":
        """The same with prices in the currency itself, when the venue quotes in `minor_units` of it.

        >>> Quoted(symbol="VOD.L", price=7250.0, received_us=0).in_units(100).price
        72.5
        """
        if minor_units == 1:
            return self
        scaled = {
            name: None if value is None else value / minor_units
            for name in ("price", "bid", "ask", "open", "high", "low", "previous_close")
            for value in [getattr(self, name)]
        }
        return msgspec.structs.replace(self, minor_units=1, **scaled)


def currency_of(given: str | None) -> tuple[str | None, int]:
    """The currency and how many of what is given make one of it.

    >>> currency_of("GBp"), currency_of("USD"), currency_of(None)
    (('GBP', 100), ('USD', 1), (None, 1))
    """
    if given is None:
        return None, 1
    return MINOR_UNITS.get(given, (given, 1))


def number(value: Any) -> float | None:
    """A price or quantity off the wire, text or number: None for one that is missing, no number, or not above zero.

    >>> number("112.1300"), number("None"), number(0), number("nan"), number(None)
    (112.13, None, None, None, None)
    """
    found = signed(value)
    return found if found is not None and found > 0 else None


def signed(value: Any) -> float | None:
    """As `number`, of any sign and zero."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        found = float(Decimal(str(value)))
    except (InvalidOperation, OverflowError):
        return None
    return found if math.isfinite(found) else None


def day_of(value: Any) -> dt.date | None:
    """A date as `YYYY-MM-DD`; None for anything else."""
    try:
        return dt.date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None
