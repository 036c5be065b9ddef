"""change_percent: how far the price is from a base. The bases are named; each stays what it is for its time.

A base from before a split is carried over it, from the moment that the instrument trades split (`signals/splits.py`).
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from django.conf import settings

from ingestion import markets, sessions, store
from ingestion.calendar import ALWAYS, DAY_US, day_of
from ingestion.candles import MINUTE_US, Bar
from ingestion.providers import SOURCES
from ingestion.store import Moment, to_datetime
from portfolio import prices
from portfolio.prices import ROUND_THE_CLOCK
from signals import splits
from signals.facts.look import Kept, Look, by
from signals.facts.portfolios import Portfolios
from signals.rules import Ask, Seen
from signals.splits import Splits

PREVIOUS_CLOSE: Final = "previous_close"
OPEN: Final = "open"
MINUTES: Final = "minutes"
HIGH_52W: Final = "high_52w"
LOW_52W: Final = "low_52w"
COST: Final = "cost"

YEAR_DAYS: Final = 364
# Foreign exchange rests over weekends; crypto never does.
REST_DAYS: Final = 4


class Base(msgspec.Struct, frozen=True):
    """What is counted from. at_us: when the instrument had that price. note: for the reader."""

    price: float
    at_us: int
    note: str


class Changes:
    """Percent from a base to the price, of a live price alone."""

    def __init__(self, portfolios: Portfolios) -> None:
        self._portfolios = portfolios
        self._days = Kept(settings.ALERT_FACTS_KEPT)
        self._years = Kept(settings.ALERT_FACTS_KEPT)
        self._minutes = Kept(settings.ALERT_FACTS_KEPT)
        self._splits = Kept(1)

    def gather(self, asks: Sequence[Ask], look: Look) -> dict[Ask, Seen]:
        priced = {ask: price for ask in asks if (price := look.price(ask.instrument)) is not None}
        known = self._known_splits(look)
        found = {}
        for ask, base in self._bases(priced, look, known).items():
            price, ratio = priced[ask], known.ratio(ask.instrument or 0, base.at_us, look.now_us)
            found[ask] = percent(price, base.price / ratio, base.note)
        return found

    def _bases(self, priced: Mapping[Ask, Seen], look: Look, known: Splits) -> dict[Ask, Base]:
        found: dict[Ask, Base] = {}
        for name, asks in by(priced, lambda ask: str(ask.get("base") or PREVIOUS_CLOSE)).items():
            if name == COST:
                found |= self._costs(asks, look)
            elif name == MINUTES:
                found |= self._ago(asks, {ask: priced[ask].source for ask in asks}, look)
            else:
                found |= self._of_days(name, asks, look, known)
        return {ask: base for ask, base in found.items() if base.price > 0}

    def _known_splits(self, look: Look) -> Splits:
        def read(_: Sequence[Any]) -> dict[str, Splits]:
            day = to_datetime(look.now_us - (YEAR_DAYS + 7) * DAY_US).date()
            return {"all": Splits(splits.since(day, look.now))}

        known: Splits = self._splits.get({"all": None}, look.now, settings.ALERT_SPLITS_READ_S, read)["all"]
        return known

    def _of_days(self, name: str, asks: Sequence[Ask], look: Look, known: Splits) -> dict[Ask, Base]:
        kept, keep_s = (
            (self._years, 3600.0) if name in (HIGH_52W, LOW_52W) else (self._days, settings.ALERT_BASES_READ_S)
        )
        wanted = {(name, ask.instrument): day_us(ask.instrument or 0, look.now_us) for ask in asks}

        def read(keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Base]:
            bases = _READ[name]([instrument for _, instrument in keys], look.now_us, known)
            return {(name, instrument): base for instrument, base in bases.items()}

        bases: dict[tuple[str, int | None], Base] = kept.get(wanted, look.now, keep_s, read)
        return {ask: bases[name, ask.instrument] for ask in asks if (name, ask.instrument) in bases}

    def _ago(self, asks: Sequence[Ask], sources: Mapping[Ask, str], look: Look) -> dict[Ask, Base]:
        """What it cost so many minutes ago at the source whose price it is now; each minute anew."""
        minute_us = look.now_us - look.now_us % MINUTE_US
        wanted = {
            ask: Moment(
                ask.instrument or 0, SOURCES[sources[ask]], minute_us - int(ask.get("minutes") or 0) * MINUTE_US
            )
            for ask in asks
            if sources[ask] in SOURCES
        }
        stood = self._minutes.get(
            dict.fromkeys(wanted.values()), look.now, settings.ALERT_BASES_READ_S, store.prices_at
        )
        late_us = settings.ALERT_BASE_LATE_S * 1e6
        return {
            ask: Base(stood[moment].price, stood[moment].closed_us, f"{ask.get('minutes'):g} minutes before")
            for ask, moment in wanted.items()
            if moment in stood and moment.at_us - stood[moment].closed_us <= late_us
        }

    def _costs(self, asks: Sequence[Ask], look: Look) -> dict[Ask, Base]:
        costs = self._portfolios.costs({ask.portfolio for ask in asks if ask.portfolio is not None}, look.now)
        return {
            # The ledger says what a split has made of the units, and so of their cost.
            ask: Base(cost, look.now_us, "the average cost")
            for ask in asks
            if (cost := costs.get((ask.portfolio or 0, ask.instrument or 0))) is not None
        }


def percent(price: Seen, base: float, note: str) -> Seen:
    """The price and its extremes in percent from `base`.

    >>> percent(Seen(value=110.0, low=90.0, high=120.0, at_us=1), 100.0, "").value
    10.0
    """
    value, low, high = (100 * (one - base) / base for one in (price.value, price.low, price.high))
    return msgspec.structs.replace(price, value=value, low=low, high=high, note=f"from {base:.10g}, {note}")


def day_us(instrument_id: int, now_us: int) -> int:
    """The day that it is for an instrument, as midnight UTC of its date: of the newest session that has opened, or the
    day of UTC for what trades round the clock."""
    name = markets.of(instrument_id).calendar
    session = None if name in ROUND_THE_CLOCK else sessions.calendars().last_session(name, now_us)
    return now_us - now_us % DAY_US if session is None else day_of(session)


def _previous_closes(ids: Collection[int], now_us: int, _: Splits) -> dict[int, Base]:
    """The close of the session before the present one; round the clock: of the day of UTC before."""
    of_sessions = [i for i in ids if markets.of(i).calendar not in ROUND_THE_CLOCK]
    found = prices.previous_closes(of_sessions, now_us)
    today = to_datetime(now_us).date()
    for instrument, close in prices.last_closes(set(ids) - set(of_sessions), today - dt.timedelta(days=1)).items():
        oldest = 1 if markets.of(instrument).calendar == ALWAYS else REST_DAYS
        if (today - close.date).days <= oldest:
            found[instrument] = close
    return {
        i: Base(float(close.price), store.to_us(prices.closed_at(i, close.date)), f"the close of {close.date}")
        for i, close in found.items()
    }


def _opens(ids: Iterable[int], now_us: int, _: Splits) -> dict[int, Base]:
    """The first price of the session, or of the day of UTC."""
    found = {}
    for instrument in ids:
        day = to_datetime(day_us(instrument, now_us))
        for bar in store.candles(instrument, "1d", day, day + dt.timedelta(days=1), 1, adjust=None):
            # A venue's bar does not say when it began to trade; its middle is surely in the session's terms.
            opened_us = min(now_us, bar.time_us + DAY_US // 2)
            found[instrument] = Base(bar.open, opened_us, f"the opening of {day:%Y-%m-%d}")
    return found


def _extremes(ids: Iterable[int], now_us: int, known: Splits, highest: bool) -> dict[int, Base]:
    """The highest high (or lowest low) of the days before this one, as far as 52 weeks back, in the terms of now."""
    found = {}
    for instrument in ids:
        end_us = day_us(instrument, now_us)
        start = to_datetime(end_us - YEAR_DAYS * DAY_US)
        bars = store.candles(instrument, "1d", start, to_datetime(end_us), YEAR_DAYS + 1, adjust=None)
        if bars:
            carried = [_in_terms_of(now_us, bar, bar.high if highest else bar.low, known) for bar in bars]
            price, which = (max(carried), "high") if highest else (min(carried), "low")
            found[instrument] = Base(price, now_us, f"the {which} of {len(bars)} days")
    return found


def _in_terms_of(now_us: int, bar: Bar, price: float, known: Splits) -> float:
    """Some sources tell their past in today's terms already."""
    if bar.source in store.ADJUSTED_SOURCES:
        return price
    return price / known.ratio(bar.instrument_id, bar.time_us + DAY_US // 2, now_us)


_READ: Final[Mapping[str, Callable[[Collection[int], int, Splits], Mapping[int, Base]]]] = {
    PREVIOUS_CLOSE: _previous_closes,
    OPEN: _opens,
    HIGH_52W: lambda ids, now_us, known: _extremes(ids, now_us, known, highest=True),
    LOW_52W: lambda ids, now_us, known: _extremes(ids, now_us, known, highest=False),
}
