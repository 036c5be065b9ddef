"""The past, asked of whoever has it: venues by HTTP within their budgets, the simulated market by time.

What comes is checked and in order, and tells nothing of the bar in progress. Blocking.
"""

import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from django.conf import settings

from ingestion import asking, budget, demand, http, symbols
from ingestion.candles import Bar
from ingestion.plan import FX, TRADES, Span
from ingestion.providers import SOURCES
from ingestion.providers.simulated import Simulation
from ingestion.rest.binance_history import BinanceCandles, BinanceTrades
from ingestion.rest.coinbase_history import CoinbaseCandles, CoinbaseTrades
from ingestion.rest.ecb import ECB, LONGEST_DAYS
from ingestion.rest.history import CandleHistory, HistoryError, NoHistory, TradeHistory, TradePage, Wanted, is_complete
from ingestion.rest.kraken_history import KrakenCandles, KrakenTrades
from ingestion.rest.yahoo_history import YahooCandles
from ingestion.ticks import Trade, VenueBar

SIMULATED: Final = "simulated"


class Source(NamedTuple):
    """What a venue has of the past. Its trades, where it tells them, are numbered one by one."""

    candles: CandleHistory
    trades: TradeHistory | None = None


VENUES: Final = {
    "binance": Source(BinanceCandles(), BinanceTrades()),
    "coinbase": Source(CoinbaseCandles(), CoinbaseTrades()),
    "kraken": Source(KrakenCandles(), KrakenTrades()),
    "yahoo": Source(YahooCandles()),
}


def clock_us() -> int:
    """Now, microseconds since 1970."""
    return time.time_ns() // 1000


def failed_in_passing(error: Exception) -> bool:
    """Whether the same may succeed later."""
    return isinstance(error, http.OverBudget | http.Unreachable) or (isinstance(error, HistoryError) and error.passing)


# What asking for the past may raise, in passing or for good.
FAILURES: Final = (http.OverBudget, http.Unreachable, http.Refused, HistoryError, NoHistory)


def kinds(provider: str) -> tuple[str, ...]:
    """Which candles a provider has, and `trades`; nothing for one that has no past, or may not be asked here."""
    if provider == ECB:
        return (FX,)
    if provider not in VENUES or not asking.usable(provider):
        return ()
    source = VENUES[provider]
    return (*source.candles.intervals, TRADES) if source.trades else source.candles.intervals


def has_trades(provider: str) -> bool:
    return provider in VENUES and VENUES[provider].trades is not None


def rows_per_call(provider: str, kind: str) -> int:
    """How many candles (of rates: days) one call may bring."""
    return LONGEST_DAYS if kind == FX else VENUES[provider].candles.rows_per_call


def weight(provider: str, kind: str) -> int:
    """What one call costs of the budget."""
    if kind == FX:
        return 1
    if kind == TRADES:
        source = _trades_of(provider)
        return source.call("", source.first(Wanted("", 1, 1, 1, 1))).weight
    now_us = clock_us()
    return VENUES[provider].candles.candles_call("", kind, now_us, now_us, now_us).weight


def _trades_of(provider: str) -> TradeHistory:
    source = VENUES[provider].trades
    if source is None:
        raise NoHistory(f"{provider} does not tell its trades")
    return source


def per_minute(provider: str) -> float:
    """The weight that a backfill may use in a minute."""
    allowed = budget.allowance(provider)
    by_weight = float(allowed.weight / allowed.window_s * 60 * settings.REST_BACKGROUND_SHARE)
    return min(by_weight, 60.0 / allowed.spacing_s) if allowed.spacing_s else by_weight


def candles(provider: str, symbol: str, kind: str, span: Span, wait_s: float) -> list[VenueBar]:
    """The closed bars of a span of one page at most, oldest first.

    Raises one of FAILURES, NoHistory also where they are older than what the venue keeps.
    """
    source = VENUES[provider].candles
    asked_us = clock_us()
    call = source.candles_call(symbol, kind, span.from_us, span.until_us, asked_us)
    bars = source.read_candles(http.get(call, deadline_s=wait_s, background=True), symbol, kind, asked_us)
    # Some venues tell more than they were asked, and all tell of the bar in progress.
    return [bar for bar in bars if span.from_us <= bar.time_us < span.until_us and bar.final]


class Fetched(NamedTuple):
    """One page's trades among those that are wanted, and where the next page begins; None: nothing wanted follows."""

    trades: list[Trade]
    following: str | None


def trades(provider: str, wanted: Wanted, wait_s: float, cursor: str = "") -> Iterator[Fetched]:
    """The pages of what is wanted, from `cursor` on where an earlier asking was left off. Raises one of FAILURES."""
    source = _trades_of(provider)
    at: str | None = cursor or source.first(wanted)
    while at:
        asked_us = clock_us()
        body = http.get(source.call(wanted.symbol, at), deadline_s=wait_s, background=True)
        page = source.read(body, wanted.symbol, at, asked_us)
        at = _following(page, wanted, source, at, provider)
        yield Fetched([trade for trade in page.trades if wanted.holds(trade)], at)


def _following(page: TradePage, wanted: Wanted, source: TradeHistory, cursor: str, provider: str) -> str | None:
    if is_complete(page, wanted, source.order):
        return None
    if page.following == cursor:
        raise HistoryError(provider, f"the page after {cursor} is itself")
    return page.following


def simulated_trades(from_us: int, until_us: int) -> dict[str, list[Trade]]:
    """What the simulated feed makes of [from, until), by symbol, oldest first: of those that are followed now, since
    they share its rate."""
    made: dict[str, list[Trade]] = {}
    for tick in _simulation().ticks(from_us, until_us):
        if isinstance(tick, Trade):
            made.setdefault(tick.symbol, []).append(tick)
    return made


def simulated_candles(symbol: str, instrument_id: int, from_us: int, until_us: int) -> list[Bar]:
    """Its whole minutes within [from, until), without making their trades."""
    return _simulation().candles(symbol, from_us, until_us, instrument_id, SOURCES[SIMULATED])


def _simulation() -> Simulation:
    followed = sorted(symbols.followed(SIMULATED, demand.wanted()))
    return Simulation(settings.SIMULATED_SEED, followed, settings.SIMULATED_TICKS_PER_S)
