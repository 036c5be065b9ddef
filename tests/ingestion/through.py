"""The product between a venue on loopback and the disk: its own listener and writer, in threads, with real services."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from ingestion import books
from ingestion.models import Gap
from ingestion.providers import SOURCES
from ingestion.store import to_us
from ingestion.tasks import persist
from tests.ingestion.listening import listening
from tests.ingestion.market import make_instrument, now_us
from tests.ingestion.rows import MINUTE_US, stored
from tests.processes import wait_for
from tests.venues.binance import BinanceVenue
from tests.venues.binance_history import BinanceHistory
from tests.venues.coinbase import CoinbaseVenue
from tests.venues.coinbase_history import CoinbaseHistory
from tests.venues.finnhub import KEY, FinnhubVenue
from tests.venues.kraken import KrakenVenue
from tests.venues.kraken_history import KrakenHistory
from tests.venues.market import SentTrade
from tests.venues.server import Venue

# Between a venue's stamp and our receipt.
SLACK_US = 50_000

Row = tuple[int, int, float, float, int]  # instrument, trade id, price, quantity, side


@dataclass(frozen=True)
class Kind:
    """How one venue is followed. stream: of a symbol's trades, as the venue's score names it."""

    venue: type[Venue]
    stream: str
    history: Any = None
    keyed: bool = False

    def streams(self, venue: Venue) -> list[str]:
        return [self.stream.format(s=symbol, l=symbol.lower()) for symbol in venue.market.symbols]


KINDS = {
    "binance": Kind(BinanceVenue, "{l}@trade", BinanceHistory),
    "coinbase": Kind(CoinbaseVenue, "market_trades:{s}", CoinbaseHistory),
    "kraken": Kind(KrakenVenue, "trade:{s}", partial(KrakenHistory, spacing_s=0)),
    "finnhub": Kind(FinnhubVenue, "{s}", keyed=True),
}


@dataclass
class Following:
    """A venue and the product that follows it. ids: of the instruments, by the venue's symbols."""

    provider: str
    venue: Venue
    ids: dict[str, int] = field(default_factory=dict)

    @property
    def shard(self) -> str:
        return f"{self.provider}:0"

    def subscribed(self, within_s: float = 15.0) -> None:
        names = KINDS[self.provider].streams(self.venue)
        wait_for(lambda: all(self.venue.subscribed(name) for name in names), within_s, f"{names} subscribed")

    def row(self, trade: SentTrade) -> Row:
        """As the disk is to have it."""
        side = 0 if self.provider == "finnhub" else -1 if trade.buyer_is_maker else 1
        return self.ids[trade.symbol], trade.trade_id, float(trade.price), float(trade.quantity), side

    def told_us(self, trade: SentTrade) -> int:
        """The time as the venue tells it."""
        return trade.time_ms * 1000 if self.provider in ("binance", "finnhub") else trade.time_us

    def bare(self, trade: SentTrade) -> tuple[int, int, float, float]:
        """Without an id, for a venue that gives none."""
        return self.ids[trade.symbol], self.told_us(trade), float(trade.price), float(trade.quantity)

    def book_shown(self, symbol: str) -> books.BookView | None:
        return books.load(self.ids[symbol], now_us())

    def books_agree(self) -> bool:
        """Whether the product shows the venue's books, as deep as it shows them."""
        return all(self._agrees(symbol) for symbol in self.ids)

    def _agrees(self, symbol: str) -> bool:
        shown, book = self.book_shown(symbol), self.venue.market.books[symbol]
        if shown is None or not shown.bids:
            return False
        sides = ((shown.bids, book.bids), (shown.asks, book.asks))
        return all(list(told) == floats(side.best(len(told))) for told, side in sides)


def floats(levels: list[tuple[str, str]]) -> list[tuple[float, float]]:
    return [(float(price), float(quantity)) for price, quantity in levels]


def make(provider: str, venue: Venue) -> Following:
    """Instruments for what the venue has; nothing runs yet."""
    ids = {}
    for symbol in venue.market.symbols:
        name = symbol.replace("/", "-").replace(":", ".")
        ids[symbol] = make_instrument(name, **{provider: symbol}).pk
    return Following(provider, venue, ids)


@contextmanager
def following(provider: str, venue: Venue, settings: Any) -> Iterator[Following]:
    """The venue's feed and its writer at work."""
    kind = KINDS[provider]
    settings.FEEDS, settings.SYMBOLS = [provider], []
    upper = provider.upper()
    setattr(settings, f"{upper}_WS_URL", venue.ws_url)
    setattr(settings, f"{upper}_REST_URL", venue.rest_url)
    settings.KRAKEN_REQUEST_SPACING_S, settings.REPAIR_MIN_AGE_S, settings.REPAIR_RETRY_MIN_S = 0.01, 0.0, 0.1
    # A snapshot that was lost is asked for again sooner than in production.
    settings.BOOK_SNAPSHOT_TIMEOUT_S = 3.0
    if kind.keyed:
        setattr(settings, f"{upper}_API_KEY", KEY)
    if kind.history is not None and venue.made_up:
        kind.history(venue)
    followed = make(provider, venue)
    with listening(followed.shard, persist), listening(followed.shard):
        yield followed


def candles_agree(follow: Following) -> bool:
    """Whether each minute on disk is what the trades make that happened in it, volume to the last float64 but a few."""
    sql = "SELECT instrument_id, time, open, high, low, close, trades, volume FROM candle_1m WHERE source = %s"
    told = {(i, to_us(time)): row for i, time, *row in stored(sql, SOURCES[follow.provider])}
    truth = _candles(follow)
    return told.keys() == truth.keys() and all(row == pytest.approx(truth[key], rel=1e-12) for key, row in told.items())


def _candles(follow: Following) -> dict[tuple[int, int], list[float]]:
    minutes: dict[tuple[int, int], list[SentTrade]] = {}
    for trade in sorted(follow.venue.made().values(), key=lambda t: (follow.told_us(t), t.trade_id)):
        minute_us = trade.time_us // MINUTE_US * MINUTE_US
        minutes.setdefault((follow.ids[trade.symbol], minute_us), []).append(trade)
    return {key: _candle(trades) for key, trades in minutes.items()}


def _candle(trades: list[SentTrade]) -> list[float]:
    prices = [Decimal(trade.price) for trade in trades]
    volume = sum(Decimal(trade.quantity) for trade in trades)
    return [*map(float, (prices[0], max(prices), min(prices), prices[-1])), len(trades), float(volume)]


def gaps(provider: str) -> list[Gap]:
    return list(Gap.objects.filter(provider=provider).order_by("started_at"))


def in_a_gap(provider: str, time_us: int) -> bool:
    """Whether the ledger says that something is missing around that time of the venue."""
    return any(
        to_us(gap.started_at) - SLACK_US <= time_us <= to_us(gap.ended_at) + SLACK_US
        for gap in gaps(provider)
        if gap.ended_at is not None
    )


def on_disk(provider: str) -> set[Row]:
    sql = "SELECT instrument_id, trade_id, price, quantity, side FROM trade WHERE source = %s"
    return set(stored(sql, SOURCES[provider]))


def bare_on_disk(provider: str) -> Counter[tuple[int, int, float, float]]:
    sql = "SELECT instrument_id, time, price, quantity FROM trade WHERE source = %s"
    return Counter((i, to_us(time), price, quantity) for i, time, price, quantity in stored(sql, SOURCES[provider]))
