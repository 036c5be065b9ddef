"""What Kraken spot trades. Pure.

https://docs.kraken.com/api/docs/rest-api/get-tradable-asset-pairs
"""

from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from ingestion.rest.call import Call
from ingestion.rest.listing import HALTED, TRADING, Digits, Listing, ListingError, amount, pair_name

NAME: Final = "kraken"
# REST and the old sockets say XBT and XDG, the sockets (v2) what everybody says.
USUAL: Final = {"XBT": "BTC", "XDG": "DOGE"}
TOKENIZED: Final = "tokenized_asset"


class _Pair(msgspec.Struct, gc=False):
    altname: str
    # A pair without one is for orders outside the book, and on no socket.
    wsname: str = ""
    aclass_base: str = "currency"
    pair_decimals: Digits | None = None
    lot_decimals: Digits | None = None
    tick_size: str | None = None
    costmin: str | None = None
    # Older answers have no status: what they list, trades.
    status: str = "online"


class _AssetPairs(msgspec.Struct, gc=False):
    error: list[str] = []
    result: dict[str, _Pair] = {}


_decode: Final = msgspec.json.Decoder(_AssetPairs).decode


def calls() -> list[Call]:
    """Two lists: currencies, and tokenized stocks, which are told only where they are asked for."""
    path = "/0/public/AssetPairs"
    return [Call(NAME, path), Call(NAME, path, {"aclass_base": TOKENIZED})]


def covers(symbol: str) -> bool:
    """Whether the list would name it."""
    return True


def read(body: bytes) -> list[Listing]:
    """The pairs of an answer, which is HTTP 200 also where it is an error.

    {"error": [], "result": {"XXBTZUSD": {"altname": "XBTUSD", "wsname": "XBT/USD", "pair_decimals": 1,
     "lot_decimals": 8, "tick_size": "0.1", "costmin": "0.5", "status": "online", "aclass_base": "currency", …}}}
    Raises ListingError.
    """
    try:
        answer: Any = _decode(body)
        if answer.error:
            raise ListingError(NAME, ", ".join(answer.error))
        return [_listing(pair) for pair in answer.result.values() if "/" in pair.wsname]
    except (msgspec.DecodeError, InvalidOperation) as error:
        raise ListingError(NAME, f"not a list of pairs: {error}") from error


def _listing(pair: _Pair) -> Listing:
    base, quote = (USUAL.get(asset, asset) for asset in pair.wsname.split("/", 1))
    own, kind = pair_name(base, quote)
    return Listing(
        symbol=f"{base}/{quote}",
        rest_symbol=pair.altname,
        own=own,
        name=f"{base} / {quote}" + (" (tokenized)" if pair.aclass_base == TOKENIZED else ""),
        kind=kind,
        currency=quote.upper(),
        status=TRADING if pair.status == "online" else HALTED,
        tick_size=amount(pair.tick_size) or _step(pair.pair_decimals),
        lot_size=_step(pair.lot_decimals),
        min_notional=amount(pair.costmin),
        price_precision=pair.pair_decimals,
        quantity_precision=pair.lot_decimals,
    )


def _step(decimals: int | None) -> Decimal | None:
    return None if decimals is None else Decimal(1).scaleb(-decimals)
