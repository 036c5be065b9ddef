"""Exact money: from the wire, to the wire, and the precision between.

A stored number is NUMERIC(38, 18): 20 digits before the point, 18 after it. Python's default context keeps 28
digits, too few even for one of them, so sums of money run under `EXACT`.
"""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Final

DIGITS: Final = 38
PLACES: Final = 18
ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)

# Quantity × price × rate of 38 digits each is still exact in 120.
EXACT: Final = Context(prec=120, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
_QUANTUM: Final = Decimal(1).scaleb(-PLACES)
_LIMIT: Final = Decimal(10) ** (DIGITS - PLACES)

# ASCII digits only: Decimal() also takes "1_000", Arabic digits, surrounding spaces and "Infinity".
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_LONGEST: Final = 100

# ISO 4217, and what crypto venues quote in.
_CODES: Final = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
    CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF
    IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD
    MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB
    RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD
    UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG
    BTC ETH BNB USDT USDC FDUSD DAI
"""
CURRENCIES: Final = frozenset(_CODES.split())


class BadNumber(ValueError):
    """What was sent is not a number that the ledger can keep exactly. Its text says why, for the sender."""


def parse(value: object) -> Decimal:
    """The exact decimal in a string such as "0.1", or in an integer.

    A float is taken only when it *is* the decimal that it shows: 0.5 is, 0.1 is not (it is
    0.1000000000000000055…), and whoever sent 0.1 should send "0.1". Raises BadNumber.
    """
    if isinstance(value, bool):
        raise BadNumber("A number is expected, not true or false.")
    if isinstance(value, float):
        return _checked(_from_float(value))
    if isinstance(value, int | Decimal):
        return _checked(Decimal(value))
    if not isinstance(value, str):
        raise BadNumber('A number is expected, as a string such as "12.50".')
    if len(value) > _LONGEST or not _NUMBER.fullmatch(value):
        raise BadNumber(f"“{value[:30]}” is not a plain decimal number.")
    return _checked(Decimal(value))


def _from_float(value: float) -> Decimal:
    shown = Decimal(repr(value))
    if not shown.is_finite():
        raise BadNumber("The number must be finite.")
    if Decimal(value) != shown:
        raise BadNumber(f'{value!r} is not exact as a JSON number: send it as a string, "{plain(shown)}".')
    return shown


def _checked(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise BadNumber("The number must be finite.")
    if value.is_zero() and value.is_signed():
        raise BadNumber("Minus zero is not an amount.")
    if value.copy_abs() >= _LIMIT:  # abs() would round to the default context's 28 digits
        raise BadNumber(f"The number is too large: at most {DIGITS - PLACES} digits before the point.")
    exact = EXACT.quantize(value, _QUANTUM)
    if exact != value:
        raise BadNumber(f"The number is too fine: at most {PLACES} digits after the point.")
    return exact


def stored(value: Decimal) -> Decimal:
    """Rounded (half to even) to what a column keeps."""
    return EXACT.quantize(value, _QUANTUM)


def plain(value: Decimal) -> str:
    """As people write it: never an exponent, no trailing zeros.

    >>> plain(Decimal("1E+2")), plain(Decimal("0.000050")), plain(Decimal("-0.00"))
    ('100', '0.00005', '0')
    """
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
