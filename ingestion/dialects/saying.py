"""What the market's paths have in common: reading lists of symbols, echoing what was asked, plain decimals. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from streaming.dialects import Misunderstood
from streaming.effects import Subscription
from streaming.protocol import Message

SYMBOLS_MAX: Final = 1000
SYMBOL_MAX_CHARS: Final = 64

# A name of a topic splits at its first colon; a symbol holds none.
PRICE, BOOK, TRADES, TICKER, CANDLES = "price", "book", "trades", "ticker", "candles"


def symbols_of(said: Mapping[str, Any], *fields: str) -> list[str]:
    """The symbols in the first of these fields that is there: a list, or one alone. Raises Misunderstood."""
    for field in fields:
        if field in said:
            given = said[field] if isinstance(said[field], list) else [said[field]]
            if given and len(given) <= SYMBOLS_MAX and all(_is_symbol(one) for one in given):
                return list(dict.fromkeys(given))
            raise Misunderstood(f"`{field}` is a list of 1 to {SYMBOLS_MAX} symbols.")
    raise Misunderstood(f"Which symbols? `{fields[0]}` is missing.")


def _is_symbol(one: Any) -> bool:
    return isinstance(one, str) and 0 < len(one) <= SYMBOL_MAX_CHARS and one.isprintable()


def topic(prefix: str, symbol: str) -> str:
    return f"{prefix}:{symbol}"


def parted(name: str) -> tuple[str, str]:
    """Prefix and symbol of a name: `candles:BTC:1d` → ("candles", "BTC")."""
    prefix, _, key = name.partition(":")
    return prefix, key.partition(":")[0]


def held_names(prefixes: Iterable[str], symbols: Iterable[str], held: Iterable[str]) -> tuple[str, ...]:
    """The held names of these kinds and symbols, in any case of letters."""
    wanted = {(prefix, symbol.upper()) for prefix in prefixes for symbol in symbols}
    return tuple(name for name in held if parted(name) in wanted)


def symbols_held(prefix: str, held: Iterable[str]) -> list[str]:
    return [symbol for kind, symbol in map(parted, held) if kind == prefix]


def asked(message: Message, subscription: Subscription) -> str:
    """The symbol as this client asked for it."""
    symbol: str = subscription.address.symbol or message.data.get("symbol", "")
    return symbol


def plain(number: float | None) -> str | None:
    """A number as a plain decimal string, never `5e-05`.

    >>> plain(5e-05), plain(61837.63), plain(1e22), plain(None)
    ('0.00005', '61837.63', '10000000000000000000000', None)
    """
    if number is None:
        return None
    text = repr(float(number))
    if "e" not in text:
        return text.removesuffix(".0")
    digits, _, exponent = text.partition("e")
    return _shifted(digits, int(exponent))


def _shifted(digits: str, places: int) -> str:
    """`digits` with the point moved to the right (or left) by so many places."""
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    whole, _, fraction = digits.partition(".")
    point = len(whole) + places
    figures = whole + (fraction if fraction != "0" else "")
    if point <= 0:
        return f"{sign}0.{'0' * -point}{figures}"
    padded = figures.ljust(point, "0")
    return sign + padded[:point] + (f".{padded[point:]}" if padded[point:] else "")
