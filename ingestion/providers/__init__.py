"""The venues: one pure file each. `PROVIDERS` are those that speak over a socket; `simulated` is asked by time."""

from typing import Final

from ingestion.providers.backoff import Backoff
from ingestion.providers.binance import Binance
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
SOURCE_NAMES: Final[dict[int, str]] = {number: name for name, number in SOURCES.items()}

PROVIDERS: Final[dict[str, Provider]] = {
    "binance": Binance(SOURCES["binance"]),
    "coinbase": Coinbase(SOURCES["coinbase"]),
    "kraken": Kraken(SOURCES["kraken"]),
    "finnhub": Finnhub(SOURCES["finnhub"]),
}

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
]
