"""Any of a hundred exchanges as a feed, through ccxt's own connections: FEEDS=ccxt:<exchange>.

ccxt reconnects and subscribes by itself and hands out what it has made of the frames, so that there are no frames here
to check or to repair from, and what falls between two of its answers is lost: good for the long tail of exchanges, not
for a tape that has to be whole. Symbols are ccxt's, such as `BTC/USD`. It is an extra: `pip install 'tapehouse[ccxt]'`.
"""

import asyncio
import importlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from django.conf import settings

from ingestion import status
from ingestion.connection import end
from ingestion.feeds import Owner
from ingestion.pipeline import Pipeline
from ingestion.providers import Backoff
from ingestion.providers.ccxt_values import EXCHANGES, PREFIX, book, quotes, tickers, trades
from ingestion.status import ConnectionStatus

logger = logging.getLogger(__name__)

# Some exchanges refuse longer lists in one call.
SYMBOLS_AT_ONCE: Final = 100
# Only what is new at each call, and spot markets alone: its names of futures are not ours.
CONFIGURATION: Final = {"newUpdates": True, "options": {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}}}
NOT_INSTALLED: Final = "%s needs ccxt, which is an extra: pip install 'tapehouse[ccxt]'"
UNKNOWN_EXCHANGE: Final = "%s: no such exchange in ccxt with sockets. There are: %s"

CLOSE_TIMEOUT_S: Final = 5.0

Watch = Callable[[], Awaitable[Any]]


class CcxtFeed:
    """One exchange's trades, quotes, tickers and books, as far as it has them.

    provider: such as `ccxt:bitstamp`. owner: the listener.
    """

    def __init__(self, provider: str, pipeline: Pipeline, owner: Owner) -> None:
        self.name = provider.removeprefix(PREFIX)
        self.provider, self.pipeline, self._owner = provider, pipeline, owner
        self.reconnects, self.venue_errors = 0, 0
        self._make = exchange_class(provider)
        self._symbols: tuple[str, ...] = ()
        self._changed = asyncio.Event()
        self._refused: set[str] = set()
        self._down: set[str] = set()
        self._live = False

    @property
    def state(self) -> str:
        if self._make is None:
            return status.REFUSED
        if not self._symbols:
            return status.IDLE
        return status.LIVE if self._live and not self._down else status.CONNECTING

    def follow(self, symbols: Sequence[str]) -> None:
        wanted = tuple(sorted(symbols))
        if wanted != self._symbols:
            self._symbols = wanted
            self._changed.set()

    def resubscribe_books(self, symbols: Sequence[str]) -> None:
        """Its books come whole; ccxt keeps them."""

    def unheard(self) -> list[str]:
        return []

    def mute(self) -> list[str]:
        return []

    def refused(self) -> list[str]:
        return sorted(self._refused)

    def connections(self) -> list[ConnectionStatus]:
        return []

    async def run(self) -> None:
        """Until cancelled. Other symbols begin with an exchange object of their own."""
        while True:
            self._changed.clear()
            work = asyncio.create_task(self._watch_all())
            changed = asyncio.create_task(self._told())
            try:
                await asyncio.wait([work, changed], return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    work.result()
            finally:
                await end(work)
                await end(changed)

    async def _told(self) -> None:
        await self._changed.wait()

    async def _watch_all(self) -> None:
        if self._make is None or not self._symbols:
            await asyncio.Event().wait()
            return
        self._refused, self._down = set(), set()
        exchange = self._make(CONFIGURATION)
        replace_addresses(exchange, settings.CCXT_URLS.get(self.name, {}))
        spawned = note_spawned(exchange)
        try:
            symbols = await self._markets(exchange)
            async with asyncio.TaskGroup() as group:
                for what, watch in self._watches(exchange, symbols).items():
                    group.create_task(self._keep(what, watch))
        finally:
            self._live = False
            await exchange.close()
            if spawned:
                # A question that was still under way has opened its session anew.
                await asyncio.wait(spawned, timeout=CLOSE_TIMEOUT_S)
                await exchange.close()

    async def _markets(self, exchange: Any) -> list[str]:
        """The symbols that the exchange has."""
        await self._keep("markets", exchange.load_markets, once=True)
        known = [symbol for symbol in self._symbols if symbol in (exchange.markets or {})]
        self._refused |= set(self._symbols) - set(known)
        return known

    def _watches(self, exchange: Any, symbols: list[str]) -> dict[str, Watch]:
        """What is watched for, and how it is asked for and taken in: one call for many symbols where there is one."""
        has, take = exchange.has, self._take
        parts = [symbols[at : at + SYMBOLS_AT_ONCE] for at in range(0, len(symbols), SYMBOLS_AT_ONCE)]
        watches: dict[str, Watch] = {}
        for part in parts:
            first = part[0]
            if has.get("watchTradesForSymbols"):
                watches[f"trades {first}"] = _bound(exchange.watch_trades_for_symbols, take.trades, part)
            if has.get("watchTickers"):
                watches[f"tickers {first}"] = _bound(exchange.watch_tickers, take.tickers, part)
            if has.get("watchBidsAsks"):
                watches[f"quotes {first}"] = _bound(exchange.watch_bids_asks, take.quotes, part)
        for symbol in symbols:
            if not has.get("watchTradesForSymbols") and has.get("watchTrades"):
                watches[f"trades {symbol}"] = _bound(exchange.watch_trades, take.trades, symbol)
            if not has.get("watchTickers") and has.get("watchTicker"):
                watches[f"ticker {symbol}"] = _bound(exchange.watch_ticker, take.ticker, symbol)
            if has.get("watchOrderBook"):
                watches[f"book {symbol}"] = _bound(exchange.watch_order_book, take.book, symbol)
        return watches

    @property
    def _take(self) -> "_Taking":
        return _Taking(self.pipeline)

    async def _keep(self, what: str, watch: Watch, once: bool = False) -> None:
        """Ask again and again; after an error as well, later and later. What is refused is left alone."""
        backoff, began = Backoff(random.uniform), time.monotonic()
        while what not in self._refused:
            if not await self._heard(what, watch):
                await asyncio.sleep(backoff.delay(time.monotonic() - began))
                began = time.monotonic()
            elif once:
                return
            else:
                self._live = True

    async def _heard(self, what: str, watch: Watch) -> bool:
        """Whether there was an answer. Errors of this program are raised."""
        await self._allowed()
        try:
            await watch()
        except Exception as error:
            if not _is_the_exchanges(error):
                raise
            self._failed(what, error)
            return False
        self._up(what)
        return True

    async def _allowed(self) -> None:
        """Wait until this listener is the feed's owner."""
        while not self._owner.still_ours():
            if await self._owner.allowed():
                return
            await asyncio.sleep(settings.LISTENER_FLUSH_INTERVAL_MAX_MS / 1000)

    def _failed(self, what: str, error: Exception) -> None:
        self.venue_errors += 1
        logger.warning("%s, %s: %s", self.provider, what, error)
        if _is_final(error):
            self._refused.add(what)
            self._up(what)
        elif what not in self._down:
            self._down.add(what)
            self.reconnects += 1
            self._owner.lost((self.provider, what), time.time_ns() // 1000)

    def _up(self, what: str) -> None:
        if what in self._down:
            self._down.discard(what)
            self._owner.found((self.provider, what))


class _Taking:
    """What ccxt hands out, into the pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def trades(self, given: Sequence[Mapping[str, Any]]) -> None:
        self._pipeline.offer(trades(given, _now_us()))

    def ticker(self, given: Mapping[str, Any]) -> None:
        self.tickers({"": given})

    def tickers(self, given: Mapping[str, Mapping[str, Any]]) -> None:
        now_us = _now_us()
        self._pipeline.offer([*tickers(given.values(), now_us), *quotes(given.values(), now_us)])

    def quotes(self, given: Mapping[str, Mapping[str, Any]]) -> None:
        self._pipeline.offer(quotes(given.values(), _now_us()))

    def book(self, given: Mapping[str, Any]) -> None:
        shown = book(given, _now_us())
        if shown is not None:
            self._pipeline.offer([shown])


def _bound(ask: Callable[..., Coroutine[Any, Any, Any]], take: Callable[[Any], None], what: Any) -> Watch:
    async def watch() -> None:
        take(await ask(what))

    return watch


def exchange_class(provider: str) -> Callable[[dict[str, Any]], Any] | None:
    """ccxt's class for it; None, saying aloud why, where there is none."""
    name = provider.removeprefix(PREFIX)
    try:
        library = importlib.import_module("ccxt.pro")
    except ImportError:
        logger.error(NOT_INSTALLED, provider)
        return None
    if name not in library.exchanges:
        logger.error(UNKNOWN_EXCHANGE, provider, ", ".join(n for n in EXCHANGES if n in library.exchanges))
        return None
    made: Callable[[dict[str, Any]], Any] = getattr(library, name)
    return made


def note_spawned(exchange: Any) -> "set[asyncio.Task[Any]]":
    """The tasks that ccxt starts by itself (for a book's snapshot), as long as they run: nobody else knows of them."""
    spawned: set[asyncio.Task[Any]] = set()
    plain = exchange.spawn

    def spawn(method: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        async def noted() -> Any:
            task = asyncio.current_task()
            assert task is not None
            spawned.add(task)
            try:
                return await method(*arguments)
            finally:
                spawned.discard(task)

        return plain(noted)

    exchange.spawn = spawn
    return spawned


def replace_addresses(exchange: Any, addresses: Mapping[str, Any]) -> None:
    """Other base addresses than ccxt's, by the names that it has for them: for a proxy, or a venue on loopback."""
    _merge(exchange.urls["api"], addresses)


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for name, value in other.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value


def _is_the_exchanges(error: Exception) -> bool:
    """Whether the exchange or the way there is at fault, not this program."""
    base: type[Exception] = importlib.import_module("ccxt").BaseError
    return isinstance(error, (base, OSError, TimeoutError))


def _is_final(error: Exception) -> bool:
    """Whether asking again is in vain."""
    library = importlib.import_module("ccxt")
    return isinstance(error, (library.BadSymbol, library.NotSupported, library.AuthenticationError))


def _now_us() -> int:
    return time.time_ns() // 1000
