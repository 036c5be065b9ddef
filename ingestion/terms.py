"""How late each provider's data is, and what its terms allow. Pure.

A note, not advice: terms change, and whoever passes data on to others asks the provider first.
"""

from typing import Final

import msgspec


class Terms(msgspec.Struct, frozen=True):
    """delay_s: how much later than the market a price may be told; None where the provider does not say."""

    delay_s: float | None
    note: str


TERMS: Final = {
    "simulated": Terms(0, "Made up here, from a seed. It is no market."),
    "manual": Terms(None, "Entered by staff."),
    "binance": Terms(0, "Public market data; for own use. Showing it to others needs Binance's consent."),
    "coinbase": Terms(0, "Public market data under Coinbase's market data terms; passing it on needs consent."),
    "kraken": Terms(0, "Public market data; for own use under Kraken's terms."),
    "finnhub": Terms(
        0, "Personal use on free plans; US trades are IEX's alone, some 2 to 3 % of all volume. Not to be passed on."
    ),
    "alphavantage": Terms(86_400, "Personal use; free quotes are of the last close. Not to be passed on."),
    "yahoo": Terms(900, "Unofficial, for personal use only. Off unless it is switched on."),
    "frankfurter": Terms(86_400, "Daily reference rates of central banks; free to use."),
    "ecb": Terms(86_400, "Daily reference rates of the European Central Bank; free to use, naming the source."),
}
UNKNOWN: Final = Terms(None, "Its terms are not known here.")


def of(provider: str) -> Terms:
    """The provider's terms; `UNKNOWN` for one that is not listed."""
    return TERMS.get(provider, UNKNOWN)
