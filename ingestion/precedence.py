"""Which source speaks for an instrument: where several feeds know it, one of them tells of it at a time.

Prices, trades, candles and tickers go with the best live price (`latest.get`), the book with the best live book
(`books.load`). Everything is stored and kept by source all the same. A source that falls silent gives way once what it
said last is no longer fresh.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ingestion import books, latest, orderbook


class Outranked(NamedTuple):
    """The instruments of a source of which a better one tells now: their prices, and their books."""

    prices: frozenset[int] = frozenset()
    books: frozenset[int] = frozenset()


def outranked(source: str, instrument_ids: Sequence[int], now_us: int) -> Outranked:
    """As of now. Raises redis.RedisError."""
    prices = latest.get(instrument_ids, now_us)
    kept = books.load_all(instrument_ids, now_us)
    return Outranked(
        frozenset(i for i, best in prices.items() if best.source != source and best.quality == latest.LIVE),
        frozenset(i for i, best in kept.items() if best.source != source and best.status == orderbook.LIVE),
    )
