"""One question to a venue, as a value. Pure: `ingestion.http` asks it, within the venue's budget."""

from collections.abc import Mapping

import msgspec


class Call(msgspec.Struct, frozen=True):
    """A GET at `path` below the provider's base URL.

    weight: what it costs of the provider's budget, in the venue's own unit (requests, where it has no other).
    Keys are no part of it: `http.py` adds them on the way out, so that a call can be logged.

    >>> Call("binance", "/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m"}, weight=2).path
    '/api/v3/klines'
    """

    provider: str
    path: str
    params: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    weight: int = 1
