"""What Binance spot trades. Pure.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/general-endpoints#exchange-information
"""

from decimal import InvalidOperation
from typing import Final

import msgspec

from ingestion.rest.call import Call
from ingestion.rest.listing import HALTED, TRADING, Listing, ListingError, amount, digits, pair_name

NAME: Final = "binance"
WEIGHT: Final = 20
# The venue's own word for a market that is closed for now (or for good: such stay on its list) is BREAK.
STATUSES: Final = {"TRADING": TRADING}


class _Filter(msgspec.Struct, gc=False):
    filterType: str
    tickSize: str | None = None
    stepSize: str | None = None
    minNotional: str | None = None


_NO_FILTER: Final = _Filter("")


class _Symbol(msgspec.Struct, gc=False):
    symbol: str
    status: str
    baseAsset: str
    quoteAsset: str
    filters: list[_Filter] = []


class _ExchangeInfo(msgspec.Struct, gc=False):
    symbols: list[_Symbol]


_decode: Final = msgspec.json.Decoder(_ExchangeInfo).decode


def calls() -> list[Call]:
    """The whole list is one answer, of several megabytes."""
    return [Call(NAME, "/api/v3/exchangeInfo", weight=WEIGHT)]


def covers(symbol: str) -> bool:
    """Whether the list would name it."""
    return True


def read(body: bytes) -> list[Listing]:
    """The entries of an exchangeInfo.

    {"symbols": [{"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
     "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.01000000"}, …]}]}
    Raises ListingError.
    """
    try:
        return [_listing(row) for row in _decode(body).symbols]
    except (msgspec.DecodeError, InvalidOperation) as error:
        raise ListingError(NAME, f"not an exchangeInfo: {error}") from error


def _listing(row: _Symbol) -> Listing:
    own, kind = pair_name(row.baseAsset, row.quoteAsset)
    filters = {found.filterType: found for found in row.filters}
    price, lot = filters.get("PRICE_FILTER", _NO_FILTER), filters.get("LOT_SIZE", _NO_FILTER)
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL", _NO_FILTER)
    tick_size, lot_size = amount(price.tickSize), amount(lot.stepSize)
    return Listing(
        symbol=row.symbol,
        own=own,
        name=f"{row.baseAsset} / {row.quoteAsset}",
        kind=kind,
        currency=row.quoteAsset.upper(),
        status=STATUSES.get(row.status, HALTED),
        tick_size=tick_size,
        lot_size=lot_size,
        min_notional=amount(notional.minNotional),
        price_precision=digits(tick_size),
        quantity_precision=digits(lot_size),
    )
