"""What Coinbase trades. Pure.

https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public/list-public-products
"""

from decimal import InvalidOperation
from typing import Final

import msgspec

from ingestion.rest.call import Call
from ingestion.rest.listing import DELISTED, HALTED, TRADING, Listing, ListingError, amount, digits, pair_name

NAME: Final = "coinbase"
SPOT: Final = "SPOT"


class _Product(msgspec.Struct, gc=False):
    product_id: str
    base_currency_id: str
    quote_currency_id: str
    base_name: str = ""
    quote_name: str = ""
    product_type: str = SPOT
    status: str = "online"
    is_disabled: bool = False
    trading_disabled: bool = False
    cancel_only: bool = False
    view_only: bool = False
    price_increment: str = ""
    quote_increment: str = ""
    base_increment: str = ""
    quote_min_size: str = ""


class _Products(msgspec.Struct, gc=False):
    products: list[_Product]


_decode: Final = msgspec.json.Decoder(_Products).decode


def calls() -> list[Call]:
    """One answer has all of them."""
    return [Call(NAME, "/api/v3/brokerage/market/products", {"product_type": SPOT})]


def covers(symbol: str) -> bool:
    """Whether the list would name it."""
    return True


def read(body: bytes) -> list[Listing]:
    """The spot products.

    {"products": [{"product_id": "BTC-USD", "base_currency_id": "BTC", "quote_currency_id": "USD", "status": "online",
     "price_increment": "0.01", "base_increment": "0.00000001", "quote_min_size": "1", "is_disabled": false, …}]}
    Raises ListingError.
    """
    try:
        return [_listing(row) for row in _decode(body).products if row.product_type == SPOT]
    except (msgspec.DecodeError, InvalidOperation) as error:
        raise ListingError(NAME, f"not a list of products: {error}") from error


def _listing(row: _Product) -> Listing:
    own, kind = pair_name(row.base_currency_id, row.quote_currency_id)
    tick_size, lot_size = amount(row.price_increment or row.quote_increment), amount(row.base_increment)
    return Listing(
        symbol=row.product_id,
        own=own,
        name=f"{row.base_name or row.base_currency_id} / {row.quote_name or row.quote_currency_id}",
        kind=kind,
        currency=row.quote_currency_id.upper(),
        status=_status(row),
        tick_size=tick_size,
        lot_size=lot_size,
        min_notional=amount(row.quote_min_size),
        price_precision=digits(tick_size),
        quantity_precision=digits(lot_size),
    )


def _status(row: _Product) -> str:
    if row.status == "delisted":
        return DELISTED
    stopped = row.is_disabled or row.trading_disabled or row.cancel_only or row.view_only
    return HALTED if stopped or row.status != "online" else TRADING
