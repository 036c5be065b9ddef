"""A long ledger, the same on each run: 12 years, 250 instruments in three currencies, 14,400 transactions.

Deposits, purchases, partial sales, dividends, interest, fees and splits, with a raw close for each instrument and day
that falls where there is a split. `make` writes it past `ledger.post`, as it would be found in the database.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import numpy as np

from ingestion.models import FxRate, Instrument
from portfolio.models import Portfolio, Transaction

START: Final = date(2014, 1, 1)
DAYS: Final = 12 * 365 + 3
INSTRUMENTS: Final = 250
ROWS: Final = 14_400
CURRENCIES: Final = ("USD", "USD", "USD", "EUR", "GBP")
RATES: Final = {"USD": Decimal(1), "EUR": Decimal("1.1"), "GBP": Decimal("1.3")}
# Every so many rows a split: of instrument `row % count`, two for one.
SPLIT_EVERY: Final = 720
CENT: Final = Decimal("0.01")


class Ledger:
    """What is in it, before it is anywhere. Instruments are numbered from 0, days from START."""

    def __init__(self, rows: int = ROWS, instruments: int = INSTRUMENTS, days: int = DAYS) -> None:
        self.rows, self.instruments, self.days = rows, instruments, days

    def currency(self, instrument: int) -> str:
        return CURRENCIES[instrument % len(CURRENCIES)]

    def day(self, row: int) -> int:
        return row * self.days // self.rows

    def at(self, row: int) -> datetime:
        """Rows are some minutes apart within their day, in the order of their numbers."""
        midnight = datetime(START.year, START.month, START.day, tzinfo=UTC)
        return midnight + timedelta(days=self.day(row), hours=14, seconds=row % 20_000)

    @cached_property
    def splits(self) -> dict[int, int]:
        """Row → instrument."""
        return {row: row % self.instruments for row in range(SPLIT_EVERY, self.rows, SPLIT_EVERY)}

    @cached_property
    def closes(self) -> np.ndarray:
        """Raw closes in cents' precision, [instrument, day]."""
        random = np.random.default_rng(5)
        steps = random.normal(0.0003, 0.015, (self.instruments, self.days))
        prices = 100 * np.exp(np.cumsum(steps, axis=1))
        for row, instrument in self.splits.items():
            prices[instrument, self.day(row) :] /= 2
        return np.maximum(np.round(prices, 2), 0.01)

    def price(self, instrument: int, day: int) -> Decimal:
        return Decimal(str(self.closes[instrument, day])).quantize(CENT)

    def transactions(self) -> Iterator[dict[str, Any]]:
        """Each row's columns; `instrument` is a number. No sale is of more than is held."""
        held = [Decimal(0)] * self.instruments
        for row in range(self.rows):
            yield {"at": self.at(row), **self._row(row, held)}

    def _row(self, row: int, held: list[Decimal]) -> dict[str, Any]:
        instrument = (row * 7 + row // self.instruments) % self.instruments
        if row in self.splits:
            held[self.splits[row]] *= 2
            return self._of(self.splits[row], type="SPLIT", ratio=Decimal(2))
        if row == 0 or row % 100 == 1:
            return self._money("DEPOSIT", Decimal(1_000_000 if row == 0 else 5_000))
        if row % 100 == 51:
            return self._money("WITHDRAWAL", Decimal(1_000))
        if row % 50 == 11:
            return self._money("FEE" if row % 100 == 11 else "INTEREST", Decimal("12.50"))
        if held[instrument] and row % 10 == 3:
            return self._of(instrument, type="DIVIDEND", amount=(held[instrument] * Decimal("0.25")).quantize(CENT))
        sold = (held[instrument] / 4).quantize(Decimal("0.001"))
        if sold and row % 3 == 2:
            held[instrument] -= sold
            return self._trade("SELL", instrument, row, sold)
        bought = Decimal(1 + row % 9)
        held[instrument] += bought
        return self._trade("BUY", instrument, row, bought)

    def _trade(self, type: str, instrument: int, row: int, quantity: Decimal) -> dict[str, Any]:
        price = self.price(instrument, self.day(row))
        return self._of(instrument, type=type, quantity=quantity, price=price, fee=Decimal("1.25"))

    def _of(self, instrument: int, **columns: Any) -> dict[str, Any]:
        currency = self.currency(instrument)
        return {
            "instrument": instrument, "currency": currency, "fee_currency": currency, "fx_rate": RATES[currency],
        } | columns  # fmt: skip

    def _money(self, type: str, amount: Decimal) -> dict[str, Any]:
        return {"type": type, "amount": amount, "currency": "USD", "fee_currency": "USD", "fx_rate": Decimal(1)}


def make(owner: Any, ledger: Ledger | None = None, method: str = "fifo") -> Portfolio:
    """The ledger in the database: instruments `LONG000`…, exchange rates, a portfolio of `owner`'s."""
    ledger = ledger or Ledger()
    instruments = make_instruments(ledger)
    portfolio = Portfolio.objects.create(owner=owner, name="Twelve years", cost_basis_method=method)
    rows = [
        Transaction(
            portfolio=portfolio,
            **columns | ({"instrument": instruments[columns["instrument"]]} if "instrument" in columns else {}),
        )
        for columns in ledger.transactions()
    ]
    Transaction.objects.bulk_create(rows, batch_size=2_000)
    portfolio.version = len(rows)
    portfolio.save(update_fields=["version"])
    return portfolio


def make_instruments(ledger: Ledger) -> list[Instrument]:
    """The instruments, and a rate of each foreign currency every five days."""
    made_at = datetime.now(UTC)
    FxRate.objects.bulk_create(
        FxRate(base=base, quote="USD", date=START + timedelta(days=day), rate=rate, source="ecb", received_at=made_at)
        for base, rate in RATES.items()
        if base != "USD"
        for day in range(0, ledger.days, 5)
    )
    return Instrument.objects.bulk_create(
        Instrument(symbol=f"LONG{n:03}", name=f"Long {n}", kind="equity", currency=ledger.currency(n), exchange="NYSE")
        for n in range(ledger.instruments)
    )
