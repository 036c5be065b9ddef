"""portfolio: what it is worth, its day, its drawdown, a symbol's weight; and what its units have cost on average.

Valued at the latest prices from books that are kept folded, several portfolios at once: the same figures as on the
topic `portfolio:<id>`. Figures that rest on a late price, or leave something out for want of one, are missing.
"""

import datetime as dt
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from django.conf import settings

from ingestion.models import Instrument
from ingestion.store import to_us
from portfolio import books, history, marks, valuation
from portfolio.followed import Folded
from portfolio.models import Portfolio
from portfolio.positions import NotEnoughUnits
from portfolio.valuation import Valuation
from signals.facts import drawdown
from signals.facts.look import Kept, Look, at
from signals.rules import Ask, Seen

logger = logging.getLogger(__name__)

TOTAL_VALUE: Final = "total_value"
DAILY_CHANGE: Final = "daily_change"
DAILY_CHANGE_PERCENT: Final = "daily_change_percent"
DRAWDOWN_PERCENT: Final = "drawdown_percent"
WEIGHT: Final = "weight"


class Portfolios:
    """Their figures, read again every ALERT_PORTFOLIOS_READ_S."""

    def __init__(self) -> None:
        self._books = books.Books()
        self._values = Kept(settings.ALERT_FACTS_KEPT)
        self._folded = Kept(settings.ALERT_FACTS_KEPT)
        self._paths = Kept(settings.ALERT_FACTS_KEPT)
        self._symbols = Kept(settings.ALERT_FACTS_KEPT)

    def gather(self, asks: Sequence[Ask], look: Look) -> dict[Ask, Seen]:
        values = self._valued({ask.portfolio for ask in asks if ask.portfolio is not None}, look.now)
        symbols = self._named({ask.instrument for ask in asks if ask.instrument is not None}, look.now)
        found = {}
        for ask in asks:
            worth = values.get(ask.portfolio or 0)
            if worth is None or worth.late or worth.unpriced:
                continue
            value = self._figure(ask, worth, symbols)
            if value is not None:
                found[ask] = at(value, to_us(worth.as_of))
        return found

    def costs(self, portfolio_ids: Collection[int], now: dt.datetime) -> dict[tuple[int, int], float]:
        """What one unit has cost on average, fees included, in the instrument's currency: of what is held, by
        portfolio and instrument."""
        return {
            (portfolio_id, instrument): float(position.average_cost)
            for portfolio_id, folded in self._books_of(portfolio_ids, now).items()
            for instrument, position in folded.book.held.items()
            if position.average_cost is not None
        }

    def _figure(self, ask: Ask, worth: Valuation, symbols: Mapping[int, str]) -> float | None:
        figure = str(ask.get("figure") or TOTAL_VALUE)
        if figure == TOTAL_VALUE:
            return float(worth.total_value)
        if figure == DAILY_CHANGE:
            return float(worth.daily_change)
        if figure == DAILY_CHANGE_PERCENT:
            return None if worth.daily_change_percent is None else float(worth.daily_change_percent)
        if figure == WEIGHT:
            return weight(worth, symbols.get(ask.instrument or 0))
        return self._drawdown(ask.portfolio or 0, worth)

    def _drawdown(self, portfolio_id: int, worth: Valuation) -> float | None:
        def read(_: Sequence[Any]) -> dict[int, list[drawdown.Worth]]:
            return {portfolio_id: _path(portfolio_id, worth.as_of)}

        paths = self._paths.get({portfolio_id: worth.as_of.date()}, worth.as_of, 60.0, read)
        present = drawdown.Worth(float(worth.total_value), float(worth.net_invested))
        return drawdown.percent([*paths.get(portfolio_id, ()), present])

    # --- Books and values

    def _books_of(self, ids: Collection[int], now: dt.datetime) -> dict[int, Folded]:
        return self._folded.get(dict.fromkeys(ids), now, settings.ALERT_PORTFOLIOS_READ_S, self._fold)

    def _fold(self, ids: Sequence[int]) -> dict[int, Folded]:
        """As many as the budget allows; a ledger that does not add up keeps nobody else from being judged."""
        found: dict[int, Folded] = {}
        until = time.monotonic() + settings.ALERT_GATHER_BUDGET_MS / 1000
        for portfolio in books.with_policy().filter(pk__in=list(ids)):
            try:
                found[portfolio.pk] = self._books.current(portfolio)
            except (NotEnoughUnits, ArithmeticError):
                logger.exception("portfolio %d: its ledger does not add up", portfolio.pk)
            if time.monotonic() > until:
                break
        return found

    def _valued(self, ids: Collection[int], now: dt.datetime) -> dict[int, Valuation]:
        def read(due: Sequence[int]) -> dict[int, Valuation]:
            return value_all(self._books_of(due, now), now)

        return self._values.get(dict.fromkeys(ids), now, settings.ALERT_PORTFOLIOS_READ_S, read)

    def _named(self, ids: Collection[int], now: dt.datetime) -> dict[int, str]:
        def read(due: Sequence[int]) -> dict[int, str]:
            return dict(Instrument.objects.filter(pk__in=due).values_list("pk", "symbol"))

        return self._symbols.get(dict.fromkeys(ids), now, settings.ALERT_BASES_READ_S, read)


def value_all(held: Mapping[int, Folded], now: dt.datetime) -> dict[int, Valuation]:
    """Several portfolios at the latest prices: what they share is read once."""
    wanted = {i: marks.instruments(folded.book, now) for i, folded in held.items()}
    instruments = set().union(*wanted.values())
    known, prices = marks.holdings(instruments), marks.marks(instruments, now)
    found = {}
    for portfolio_id, folded in held.items():
        own = {instrument: known[instrument] for instrument in wanted[portfolio_id] if instrument in known}
        rates, stale = marks.rates_of(folded.base, marks.moneys(folded.book, own), now)
        found[portfolio_id] = valuation.value(folded.book, own, prices, rates, now, stale)
    return found


def weight(worth: Valuation, symbol: str | None) -> float | None:
    """A symbol's part of the whole in percent; 0 where none is held. None where there is no whole."""
    if symbol is None or worth.total_value <= 0:
        return None
    held = sum(float(p.value) for p in worth.positions if p.symbol == symbol and p.value is not None)
    return 100 * held / float(worth.total_value)


def _path(portfolio_id: int, now: dt.datetime) -> list[drawdown.Worth]:
    """What it was worth: at the ends of the days before this one, and by the minute since."""
    portfolio = Portfolio.objects.filter(pk=portfolio_id).first()
    if portfolio is None:
        return []
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    days = history.kept(portfolio, "1d", today - dt.timedelta(days=settings.ALERT_DRAWDOWN_DAYS), today)
    minutes = history.kept(portfolio, "1m", today, now)
    return [drawdown.of(one) for one in (*days, *minutes) if not one.stale]
