"""What a first visitor finds: instruments with three days of candles, and a user with some months of transactions."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from ingestion import store
from ingestion.candles import MINUTE_US
from ingestion.models import Instrument, VenueSymbol, Watchlist
from ingestion.providers import SOURCES
from ingestion.providers.simulated import Simulation
from portfolio import ledger
from portfolio.ledger import Draft
from portfolio.models import Portfolio
from portfolio.positions import BUY, DEPOSIT, DIVIDEND, FEE, SELL, WITHDRAWAL
from signals.models import SignalSubscription
from signals.strategies import STRATEGIES

HISTORY: Final = timedelta(days=3)

# symbol, name, kind, currency, exchange
INSTRUMENTS: Final = (
    ("BTC-USD", "Bitcoin / US dollar", Instrument.Kind.CRYPTO, "USD", ""),
    ("BTC-USDT", "Bitcoin / Tether", Instrument.Kind.CRYPTO, "USDT", ""),
    ("ETH-USDT", "Ether / Tether", Instrument.Kind.CRYPTO, "USDT", ""),
    ("SOL-USDT", "Solana / Tether", Instrument.Kind.CRYPTO, "USDT", ""),
    ("AAPL", "Apple", Instrument.Kind.EQUITY, "USD", "NASDAQ"),
    ("GOOGL", "Alphabet A", Instrument.Kind.EQUITY, "USD", "NASDAQ"),
    ("MSFT", "Microsoft", Instrument.Kind.EQUITY, "USD", "NASDAQ"),
    ("BRK.B", "Berkshire Hathaway B", Instrument.Kind.EQUITY, "USD", "NYSE"),
    ("EURUSD=X", "Euro / US dollar", Instrument.Kind.FX, "USD", ""),
    ("SCOM", "Safaricom", Instrument.Kind.EQUITY, "KES", "NSE"),
    ("KCB", "KCB Group", Instrument.Kind.EQUITY, "KES", "NSE"),
    ("EQTY", "Equity Group", Instrument.Kind.EQUITY, "KES", "NSE"),
)
# What they are called where they are traded; the simulated market uses our own names.
VENUE_SYMBOLS: Final = {
    "binance": {"BTC-USDT": "BTCUSDT", "ETH-USDT": "ETHUSDT", "SOL-USDT": "SOLUSDT"},
    "coinbase": {"BTC-USD": "BTC-USD", "BTC-USDT": "BTC-USDT", "ETH-USDT": "ETH-USDT", "SOL-USDT": "SOL-USDT"},
    "kraken": {
        "BTC-USD": "BTC/USD", "BTC-USDT": "BTC/USDT", "ETH-USDT": "ETH/USDT", "SOL-USDT": "SOL/USDT",
        "EURUSD=X": "EUR/USD",
    },
    "finnhub": {
        "AAPL": "AAPL", "GOOGL": "GOOGL", "MSFT": "MSFT", "BRK.B": "BRK.B", "BTC-USDT": "BINANCE:BTCUSDT",
        "ETH-USDT": "BINANCE:ETHUSDT", "SOL-USDT": "BINANCE:SOLUSDT", "EURUSD=X": "OANDA:EUR_USD",
    },
}  # fmt: skip
WATCHED: Final = (
    ("BTC-USDT", ""), ("ETH-USDT", ""), ("AAPL", "earnings at the end of the month"), ("EURUSD=X", ""), ("SCOM", ""),
)  # fmt: skip

# Days ago, type, symbol, quantity or amount. Trades are at that day's simulated price, with a fee of a thousandth.
LEDGER: Final = (
    (180, DEPOSIT, None, "75000"),
    (178, BUY, "AAPL", "40"),
    (170, BUY, "BTC-USD", "0.15"),
    (150, BUY, "MSFT", "25"),
    (140, BUY, "ETH-USDT", "2.5"),
    (120, DIVIDEND, "AAPL", "10.40"),
    (110, BUY, "SOL-USDT", "60"),
    (90, SELL, "AAPL", "10"),
    (75, DEPOSIT, None, "15000"),
    (70, BUY, "BRK.B", "10"),
    (60, BUY, "GOOGL", "30"),
    (45, SELL, "BTC-USD", "0.05"),
    (30, DIVIDEND, "MSFT", "20.75"),
    (20, FEE, None, "12.50"),
    (10, BUY, "BTC-USDT", "0.05"),
    (5, WITHDRAWAL, None, "2500"),
)
# A foreign cash balance, at that day's rate.
EUROS: Final = (100, Decimal(2000))
_TRADES: Final = {BUY, SELL}


class Command(BaseCommand):
    """Loads what is missing; what is there stays as it is."""

    help = "Load the demo instruments, their history, users and a portfolio. Safe to run again."

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        simulation = Simulation(
            settings.SIMULATED_SEED, [row[0] for row in INSTRUMENTS], settings.SIMULATED_TICKS_PER_S
        )
        instruments = self._step("instruments", load_instruments)
        self._step("1-minute candles", lambda: load_candles(instruments, simulation, now))
        if not settings.DEVELOPMENT:
            self.stdout.write("No demo users: those are for DEVELOPMENT only.")
            return
        self._step("users", load_users)
        self._step("transactions", lambda: load_portfolio(simulation, now))
        self._step("signal subscriptions", load_subscriptions)
        self._step("watchlist", load_watchlist)

    def _step(self, what: str, load: Any) -> Any:
        self.stdout.write(f"demo {what} … ", ending="")
        self.stdout.flush()
        began = time.monotonic()
        found = load()
        count = found if isinstance(found, int) else len(found)
        self.stdout.write(f"{count} ({time.monotonic() - began:.1f} s)")
        return found


def load_instruments() -> dict[str, Instrument]:
    """The demo instruments by symbol, each with what its venues call it."""
    loaded = {}
    for symbol, name, kind, currency, exchange in INSTRUMENTS:
        loaded[symbol], _ = Instrument.objects.get_or_create(
            symbol=symbol, defaults={"name": name, "kind": kind, "currency": currency, "exchange": exchange}
        )
        _load_name("simulated", symbol, loaded[symbol])
        for provider, names in VENUE_SYMBOLS.items():
            if symbol in names:
                _load_name(provider, names[symbol], loaded[symbol])
    return loaded


def _load_name(provider: str, symbol: str, instrument: Instrument) -> None:
    """A name that was there stays as it is, one that the venue has given up too."""
    if not VenueSymbol.objects.filter(provider=provider, symbol=symbol).exists():
        VenueSymbol.objects.create(provider=provider, symbol=symbol, instrument=instrument)


def load_candles(instruments: dict[str, Instrument], simulation: Simulation, now: datetime) -> int:
    """Simulated history up to the present minute, from where the stored one ends. Returns how many were new."""
    count = 0
    for symbol, instrument in instruments.items():
        start_us = store.to_us(now - HISTORY)
        newest = store.candles(instrument.id, "1m", limit=1, source=SOURCES["simulated"])
        if newest:
            start_us = max(start_us, newest[-1].time_us + MINUTE_US)
        bars = simulation.candles(symbol, start_us, store.to_us(now), instrument.id, SOURCES["simulated"])
        count += store.copy_candles(bars)
    return count


def load_users() -> list[Any]:
    """demo/demo, and admin/admin who may do everything. A password that was changed stays."""
    users = get_user_model().objects
    found = []
    for name, staff in (("demo", False), ("admin", True)):
        user = users.filter(username=name).first()
        found.append(user or users.create_user(name, password=name, is_staff=staff, is_superuser=staff))
    return found


def load_portfolio(simulation: Simulation, now: datetime) -> int:
    """The demo user's portfolio with its ledger, all of it or nothing. Returns how many rows are new."""
    demo = get_user_model().objects.get(username="demo")
    with transaction.atomic():
        portfolio, new = Portfolio.objects.get_or_create(owner=demo, name="Demo", defaults={"base_currency": "USD"})
        if not new:
            return 0
        drafts = list(demo_ledger(simulation, now))
        for draft in drafts:
            ledger.post(portfolio, draft, now)
    return len(drafts)


def demo_ledger(simulation: Simulation, now: datetime) -> Iterator[Draft]:
    """The demo's rows, oldest first, by external ids `demo-1` and on."""
    for number, (days_ago, type_, symbol, figure) in enumerate(LEDGER, start=1):
        row = Draft(
            type=type_,
            at=_afternoon(now, days_ago),
            instrument=Instrument.objects.get(symbol=symbol) if symbol else None,
            currency="USD",  # what is priced in USDT is paid for in dollars, see docs/accounting.md
            external_id=f"demo-{number}",
        )
        yield _filled(row, Decimal(figure), simulation)
    days_ago, amount = EUROS
    at = _afternoon(now, days_ago)
    rate = _price(simulation, "EURUSD=X", at)
    yield Draft(type=DEPOSIT, at=at, amount=amount, currency="EUR", fx_rate=rate, external_id="demo-euros")


def _filled(row: Draft, figure: Decimal, simulation: Simulation) -> Draft:
    """With its quantity, price and fee, or its amount."""
    if row.type not in _TRADES:
        return msgspec.structs.replace(row, amount=figure)
    assert row.instrument is not None
    price = _price(simulation, row.instrument.symbol, row.at)
    fee = (figure * price / 1000).quantize(Decimal("0.01"))
    return msgspec.structs.replace(row, quantity=figure, price=price, fee=fee)


def _price(simulation: Simulation, symbol: str, at: datetime) -> Decimal:
    return Decimal(str(simulation.price(symbol, store.to_us(at))))


def _afternoon(now: datetime, days_ago: int) -> datetime:
    """15:00 UTC, when both the exchanges and the crypto venues trade."""
    day = (now - timedelta(days=days_ago)).date()
    return datetime(day.year, day.month, day.day, 15, tzinfo=UTC)


def load_subscriptions() -> int:
    """The demo user hears of every strategy's signals. Returns how many of these there are."""
    demo = get_user_model().objects.get(username="demo")
    for strategy in STRATEGIES:
        SignalSubscription.objects.get_or_create(user=demo, strategy=strategy, instrument=None)
    return len(STRATEGIES)


def load_watchlist() -> int:
    """The demo user's watchlist. Returns how many instruments are new on it."""
    demo = get_user_model().objects.get(username="demo")
    watchlist, new = Watchlist.objects.get_or_create(user=demo, name="Favourites")
    if not new:
        return 0
    for place, (symbol, note) in enumerate(WATCHED):
        watchlist.items.create(instrument=Instrument.objects.get(symbol=symbol), note=note, order=place)
    return len(WATCHED)
