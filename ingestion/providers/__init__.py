"""The venues: one pure file each. `PROVIDERS` are those that speak over a socket; `simulated` is asked by time."""

from collections.abc import Iterable
from typing import Final

from ingestion.providers.backoff import Backoff
from ingestion.providers.binance import Binance
from ingestion.providers.ccxt_values import CCXT_SOURCES
from ingestion.providers.coinbase import Coinbase
from ingestion.providers.finnhub import Finnhub
from ingestion.providers.kraken import Kraken
from ingestion.providers.provider import (
    BARS,
    BOOK,
    QUOTES,
    TICKER,
    TRADES,
    Ack,
    Ask,
    BookRule,
    Heartbeat,
    Limits,
    MalformedFrame,
    Numbered,
    Provider,
    Said,
    Shutdown,
    Unknown,
    VenueError,
)

# In each stored row: a number once given to a source is never given to another.
SOURCES: Final[dict[str, int]] = {
    "simulated": 1,
    "binance": 2,
    "coinbase": 3,
    "kraken": 4,
    "finnhub": 5,
    "alphavantage": 6,
    "yahoo": 7,
    "ecb": 8,
    "manual": 9,
}
SOURCE_NAMES: Final[dict[int, str]] = {number: name for name, number in (SOURCES | CCXT_SOURCES).items()}

PROVIDERS: Final[dict[str, Provider]] = {
    "binance": Binance(SOURCES["binance"]),
    "coinbase": Coinbase(SOURCES["coinbase"]),
    "kraken": Kraken(SOURCES["kraken"]),
    "finnhub": Finnhub(SOURCES["finnhub"]),
}


def use_ccxt(feeds: Iterable[str]) -> None:
    """Count those of ccxt's exchanges as sources that are named here, as `ccxt:bitstamp`: once, at the start.

    The newest of every source is looked up often: that is no place for fifty which nobody uses.
    """
    SOURCES.update((feed, CCXT_SOURCES[feed]) for feed in feeds if feed in CCXT_SOURCES)


def provider_of(shard: str) -> str:
    """
    >>> provider_of("binance:0"), provider_of("ccxt:bitstamp:0")
    ('binance', 'ccxt:bitstamp')
    """
    return shard.rpartition(":")[0] or shard


__all__ = [
    "BARS",
    "BOOK",
    "PROVIDERS",
    "QUOTES",
    "SOURCES",
    "SOURCE_NAMES",
    "TICKER",
    "TRADES",
    "Ack",
    "Ask",
    "Backoff",
    "BookRule",
    "Heartbeat",
    "Limits",
    "MalformedFrame",
    "Numbered",
    "Provider",
    "Said",
    "Shutdown",
    "Unknown",
    "VenueError",
    "provider_of",
    "use_ccxt",
]
