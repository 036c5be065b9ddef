"""A portfolio's performance out of the database: its ledger, the closes and rates of its days, the latest prices."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from typing import Final, NamedTuple

import msgspec
import numpy as np
from django.conf import settings

from ingestion.models import AdjustmentFactor, Instrument
from portfolio import currencies, marks, performance, prices, valuation
from portfolio.marking import Known, Market, Series, Unpriced
from portfolio.models import Portfolio
from portfolio.money import EXACT, stored
from portfolio.performance import Compared, Ledger, Missing, Performance, Window
from portfolio.positions import Entry, Movement, Policy
from portfolio.rates import MANUAL, Rate

# The database counts days from here.
_EPOCH: Final = date(1970, 1, 1).toordinal()


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured. start: None is the first row's day; end: None is now. risk_free: a year's rate."""

    start: date | None = None
    end: date | None = None
    risk_free: float = 0.0


class _Member(NamedTuple):
    entries: list[Entry]
    policy: Policy


def measure(portfolio: Portfolio, asked: Asked, now: datetime) -> Performance:
    """One portfolio over a window, closed at the latest prices where it ends today."""
    return _measure([_member(portfolio)], portfolio.base_currency, asked, now)


def measure_household(portfolios: Iterable[Portfolio], base: str, asked: Asked, now: datetime) -> Performance:
    """Several portfolios as one, in `base`. What went from one to another within a day is no flow."""
    return _measure([rated(portfolio, base) for portfolio in portfolios], base, asked, now)


def _member(portfolio: Portfolio) -> _Member:
    return _Member(portfolio.transactions.entries(), portfolio.policy())


def _measure(members: Sequence[_Member], base: str, asked: Asked, now: datetime) -> Performance:
    today = now.astimezone(UTC).date()
    began = min((day for one in members if (day := performance.first_day(one.entries))), default=today)
    window = window_of(asked, began, today)
    ledgers = [performance.read(one.entries, one.policy, window) for one in members]
    ledger = ledgers[0] if len(ledgers) == 1 else performance.together(ledgers)
    market = market_of(ledger, base, Window(first_needed(ledger, window), window.end), now)
    return Performance(ledger, market, window, asked.risk_free)


def first_needed(ledger: Ledger, window: Window) -> date:
    """The first day whose closes matter: the window's, or an earlier one on which units came or went for no money."""
    in_kind = (one for one in ledger.movements if one.quantity and one.kind in ("transfer", "action"))
    return min([window.start, *(one.at.date() for one in in_kind if one.split_ratio is None)])


def window_of(asked: Asked, began: date, today: date) -> Window:
    end = asked.end or today
    return Window(min(asked.start or began, end), end)


def rated(portfolio: Portfolio, base: str) -> _Member:
    """A member whose rows tell their rates in the household's currency, by the dated rate of each row's day."""
    member = _member(portfolio)
    own = portfolio.base_currency
    if currencies.same_money(own, base) or not member.entries:
        return member
    days = [entry.at.date() for entry in member.entries]
    series = _rates(currencies.rates_between(base, [own], min(days), max(days))[own])
    if not len(series):
        raise Unpriced(own, f"There is no rate for {own}.")
    entries = [_rerated(entry, series.on(entry.at.date())) for entry in member.entries]
    return _Member(entries, msgspec.structs.replace(member.policy, base_currency=base))


def _rerated(entry: Entry, rate: Known | None) -> Entry:
    """rate: of its day, or the newest before; before all of them the first."""
    assert rate is not None, "a series with values has one for each day"
    with localcontext(EXACT):
        return msgspec.structs.replace(
            entry, fx_rate=stored(entry.fx_rate * rate.value), fee_rate=stored(entry.fee_rate * rate.value)
        )


# --- The market -------------------------------------------------------------------------------------------------


def market_of(ledger: Ledger, base: str, window: Window, now: datetime) -> Market:
    """What the market said of all that the ledger ever moved, on the days of `window`; live, where that ends today."""
    rows = instruments(ledger)
    of = {row.id: row.currency for row in rows}
    moneys = {base, *of.values(), *(one.currency for one in ledger.movements)}
    live = window.end == now.astimezone(UTC).date()
    closes = closes_of(of, window.start, window.end)
    rates = {
        currency: _rates(dated) for currency, dated in currencies.rates_between(base, moneys, *_ends(window)).items()
    }
    if live:
        closes |= _live(closes, marks.marks(of, now), ledger.movements, window.end)
        rates |= _present(rates, currencies.present_rates(base, moneys, now), window.end)
    return Market(
        symbols={row.id: row.symbol for row in rows},
        currencies=of,
        closes=closes,
        rates=rates,
        crypto=frozenset(row.id for row in rows if row.kind == Instrument.Kind.CRYPTO),
        rate_age_days=settings.FX_MAX_AGE_DAYS,
    )


def _ends(window: Window) -> tuple[date, date]:
    return window.opening, window.end


def instruments(ledger: Ledger) -> list[Instrument]:
    """All that its rows speak of."""
    named = [
        *(one.instrument for one in ledger.movements),
        *(one.to_instrument for one in ledger.entries.values()),
    ]
    return list(Instrument.objects.filter(id__in={one for one in named if one is not None}))


def closes_of(ids: Iterable[int], start: date, end: date) -> dict[int, Series]:
    """The closes of each from `start`, or from the last one before, to `end`; those without any are missing."""
    lines, mixed = prices.lines(ids, start, end)
    found = {instrument: _of_line(line) for instrument, line in lines.items()}
    for instrument, told in mixed.items():
        sources = {close.date.toordinal(): close.source for close in told}
        found[instrument] = Series.of([(close.date.toordinal(), close.price) for close in told], sources=sources)
    return found


def _of_line(line: str) -> Series:
    """Of closes entered by hand. The digits of one are looked for when they are asked for."""
    numbers = np.fromstring(line.replace(",", " "), sep=" ").reshape(-1, 2)
    days = numbers[:, 0].astype(np.int64) + _EPOCH

    def exact(day: int) -> Decimal:
        told = line.split(",")[int(np.searchsorted(days, day))]
        return Decimal(told.partition(" ")[2])

    return Series(days, numbers[:, 1], exact=exact, source=MANUAL)


def _rates(dated: Sequence[tuple[date, Decimal]]) -> Series:
    return Series.of([(day.toordinal(), rate) for day, rate in dated])


def _live(
    closes: Mapping[int, Series], told: Mapping[int, valuation.Mark], movements: Sequence[Movement], today: date
) -> dict[int, Series]:
    """Each mark as the close of today, in today's units: the same price as the positions are valued at."""
    splits: dict[int, list[Movement]] = {}
    for one in movements:
        if one.instrument is not None and one.split_ratio is not None:
            splits.setdefault(one.instrument, []).append(one)
    found = {}
    for instrument, mark in told.items():
        carried = valuation.carried(mark, splits.get(instrument, ()))
        assert carried is not None, "a mark stays one"
        series = closes.get(instrument, Series())
        found[instrument] = series.ended(today, carried.price, mark.quality, mark.time.date())
    return found


def _present(rates: Mapping[str, Series], told: Mapping[str, Rate], today: date) -> dict[str, Series]:
    return {
        currency: rates.get(currency, Series()).ended(today, rate.value, rate.source, rate.day)
        for currency, rate in told.items()
    }


# --- A benchmark ------------------------------------------------------------------------------------------------


def benchmark(instrument: Instrument, measured: Performance, base: str, now: datetime) -> Compared | Missing:
    """The instrument's own way over the measured window, over its splits."""
    window = measured.window
    series = closes_of([instrument.id], window.opening, window.end).get(instrument.id, Series())
    rates = {
        currency: _rates(dated)
        for currency, dated in currencies.rates_between(base, [instrument.currency], *_ends(window)).items()
    }
    if window.end == now.astimezone(UTC).date():
        for mark in marks.marks([instrument.id], now).values():
            series = series.ended(window.end, mark.price, mark.quality, mark.time.date())
        rates |= _present(rates, currencies.present_rates(base, [instrument.currency], now), window.end)
    market = Market(
        symbols={instrument.id: instrument.symbol},
        currencies={instrument.id: instrument.currency},
        closes={instrument.id: series.split(_splits(instrument))},
        rates=rates,
    )
    return performance.compare(instrument.id, market, window, measured.twr)


def _splits(instrument: Instrument) -> list[tuple[int, Decimal]]:
    found = AdjustmentFactor.objects.filter(instrument=instrument).exclude(split_factor=1.0)
    return [(row.ex_date.toordinal(), Decimal(repr(row.split_factor))) for row in found]
