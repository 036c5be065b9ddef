"""What a venue says it trades, as values. Pure: each `<venue>_listing.py` reads its venue's own list into these."""

from decimal import Decimal
from typing import Annotated, Final

import msgspec

TRADING: Final = "trading"
HALTED: Final = "halted"
DELISTED: Final = "delisted"

CRYPTO: Final = "crypto"
EQUITY: Final = "equity"
FX: Final = "fx"

# Digits after the point, as a venue states them.
Digits = Annotated[int, msgspec.Meta(ge=0, le=18)]
# Beyond these no market has a step or a bound, and no column holds it.
SMALLEST: Final = Decimal("1e-18")
LARGEST: Final = Decimal("1e18")

# Money of states: a pair of two of these is foreign exchange, not crypto.
FIAT: Final = frozenset(
    {
        "AED", "ARS", "AUD", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "IDR",
        "ILS", "INR", "JPY", "KES", "KRW", "MXN", "MYR", "NGN", "NOK", "NZD", "PEN", "PHP", "PLN", "RON", "RUB", "SAR",
        "SEK", "SGD", "THB", "TRY", "TWD", "UAH", "USD", "VND", "ZAR",
    }
)  # fmt: skip
# Currencies that prices are quoted in by the hundredth.
MINOR: Final = {"GBP": ("GBX", "GBp"), "ZAR": ("ZAC", "ZAc"), "ILS": ("ILA",)}


class ListingError(Exception):
    """The answer is no list: `detail` says what it is instead."""

    def __init__(self, provider: str, detail: str) -> None:
        super().__init__(provider, detail)
        self.provider, self.detail = provider, detail

    def __str__(self) -> str:
        return f"{self.provider}: {self.detail}"


class Listing(msgspec.Struct, frozen=True):
    """One entry of a venue's list.

    symbol: as on the venue's sockets; rest_symbol: as its REST wants it, where that is another.
    own: what the instrument is called here. minor_units: 100 where prices are in pence.
    tick_size, lot_size: the smallest steps of price and quantity; min_notional: the smallest order, in `currency`.
    """

    symbol: str
    own: str
    name: str
    kind: str
    currency: str
    exchange: str = ""
    rest_symbol: str = ""
    status: str = TRADING
    tick_size: Decimal | None = None
    lot_size: Decimal | None = None
    min_notional: Decimal | None = None
    price_precision: int | None = None
    quantity_precision: int | None = None
    minor_units: int = 1


def pair_name(base: str, quote: str) -> tuple[str, str]:
    """Our symbol and kind of a pair: `BTC`, `USD` → (`BTC-USD`, crypto); `EUR`, `USD` → (`EURUSD=X`, fx)."""
    base, quote = base.upper(), quote.upper()
    if base in FIAT and quote in FIAT:
        return f"{base}{quote}=X", FX
    return f"{base}-{quote}", CRYPTO


def amount(text: str | None) -> Decimal | None:
    """An exact amount; None where the venue says nothing, zero (it means no bound) or what cannot be meant.

    Raises decimal.InvalidOperation for what is no number.
    """
    found = Decimal(text) if text else Decimal(0)
    return found.normalize() if found.is_finite() and SMALLEST <= found <= LARGEST else None


def digits(step: Decimal | None) -> int | None:
    """Digits after the point that a multiple of `step` may have: 0.01 → 2, 5 → 0."""
    if step is None:
        return None
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "a step is finite"
    return max(0, -exponent)


def major(currency: str) -> tuple[str, int]:
    """The currency and how many of the named unit make one: `GBp` → (`GBP`, 100), `USD` → (`USD`, 1)."""
    for code, minors in MINOR.items():
        if currency in minors:
            return code, 100
    return currency.upper(), 1
