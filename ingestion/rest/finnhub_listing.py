"""The stocks that Finnhub knows on US exchanges. Pure.

https://finnhub.io/docs/api/stock-symbols
"""

from typing import Final

import msgspec

from ingestion.rest.call import Call
from ingestion.rest.listing import EQUITY, Listing, ListingError, major

NAME: Final = "finnhub"
# Market identifier codes (ISO 10383) and what people call these exchanges.
EXCHANGES: Final = {
    "XNAS": "NASDAQ", "XNYS": "NYSE", "ARCX": "NYSEARCA", "XASE": "AMEX", "BATS": "BATS", "OOTC": "OTC",
}  # fmt: skip


class _Stock(msgspec.Struct, gc=False):
    symbol: str
    displaySymbol: str = ""
    description: str = ""
    currency: str = ""
    mic: str = ""


_decode: Final = msgspec.json.Decoder(list[_Stock]).decode


def calls() -> list[Call]:
    """One answer has all of them: some tens of thousands."""
    return [Call(NAME, "/stock/symbol", {"exchange": "US"})]


def covers(symbol: str) -> bool:
    """Whether the list would name it: `BINANCE:BTCUSDT` and `OANDA:EUR_USD` are on others."""
    return ":" not in symbol


def read(body: bytes) -> list[Listing]:
    """The stocks. What is on the list trades; the list tells no steps.

    [{"currency": "USD", "description": "APPLE INC", "displaySymbol": "AAPL", "mic": "XNAS", "symbol": "AAPL", …}]
    Raises ListingError.
    """
    try:
        return [_listing(row) for row in _decode(body) if row.symbol]
    except msgspec.DecodeError as error:
        raise ListingError(NAME, f"not a list of stocks: {error}") from error


def _listing(row: _Stock) -> Listing:
    currency, minor_units = major(row.currency or "USD")
    return Listing(
        symbol=row.symbol,
        own=(row.displaySymbol or row.symbol).upper().replace("/", "-"),
        name=row.description or row.symbol,
        kind=EQUITY,
        currency=currency,
        exchange=EXCHANGES.get(row.mic, row.mic),
        minor_units=minor_units,
    )
