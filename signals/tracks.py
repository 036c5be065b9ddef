"""Figures over the past, as tracks for a replay: of stored bars, quotes, news and signals, of ledgers and snapshots.

Prices are in today's terms (adjusted for splits), as thresholds are. What no row keeps can't be replayed, and says so.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from django.conf import settings

from ingestion import markets, store
from ingestion.calendar import ALWAYS, DAY_US
from ingestion.candles import INTERVALS, MINUTE_US, Bar
from ingestion.models import Instrument
from ingestion.store import to_datetime, to_us
from portfolio import books, history, prices
from portfolio.models import Portfolio
from portfolio.positions import NOTHING, Book, NotEnoughUnits, standing
from signals import gauges, moods, news, readings, rules, splits
from signals.candles import Candles
from signals.facts import changes, drawdown, portfolios, quotes, told
from signals.facts.bars import Place
from signals.replay import Track
from signals.rules import Ask

# A bar counts until the second one after it; a daily one of an exchange over a long weekend.
_HOLD_BARS: Final = 2
_HOLD_DAYS_US: Final = 5 * DAY_US
# Snapshots are by the minute, then by the hour, then by the day; one stands while nothing moves.
_SNAPSHOT_STEPS: Final = ("1m", "5m", "1h", "1d")


class NotReplayed(Exception):
    """No row keeps what it would need. Its text says which."""


class TooLong(Exception):
    """More bars than one replay may read."""


class Span(NamedTuple):
    """The time that is replayed, [start, end); interval: of the bars that prices are taken of."""

    start: dt.datetime
    end: dt.datetime
    interval: str

    @property
    def step_us(self) -> int:
        return INTERVALS[self.interval]

    def bars_of(self, interval: str) -> int:
        """How many there may be."""
        return -((to_us(self.start) - to_us(self.end)) // INTERVALS[interval])


class Tracks:
    """Reads each stretch of bars once, and no more than DRY_RUN_MAX_BARS in all. now: whose terms prices are in."""

    def __init__(self, span: Span, now: dt.datetime) -> None:
        self.span, self.now = span, now
        self._read: dict[tuple[Place, int], list[Bar]] = {}
        self._left = settings.DRY_RUN_MAX_BARS

    def of(self, ask: Ask) -> Track:
        """The figure over the span. Raises NotReplayed and TooLong."""
        if ask.kind not in _READERS:
            raise NotReplayed(_WHY_NOT[ask.kind])
        return _READERS[ask.kind](self, ask)

    def bars(self, instrument_id: int, interval: str, before: int = 0) -> list[Bar]:
        """The closed bars within the span, and so many before it, oldest first."""
        place = Place(instrument_id, interval)
        if (place, before) not in self._read:
            self._read[place, before] = self._closed(place, before)
        return self._read[place, before]

    def days(self, instrument_id: int, before: int) -> list[Bar]:
        """Daily bars, the last day's included as far as it has come, and so many before the span."""
        start_us = to_us(self.span.start)
        return self._read_bars(Place(instrument_id, "1d"), before, to_datetime(start_us - start_us % DAY_US))

    def _closed(self, place: Place, before: int) -> list[Bar]:
        last_us = to_us(self.span.end) - place.step_us
        return [bar for bar in self._read_bars(place, before, self.span.start) if bar.final and bar.time_us <= last_us]

    def _read_bars(self, place: Place, before: int, start: dt.datetime) -> list[Bar]:
        """Those from `start` to the span's end, and so many before, all of one source."""
        count = self.span._replace(start=start).bars_of(place.interval)
        self._left -= count + before
        if self._left < 0:
            raise TooLong(
                f"That takes more than {settings.DRY_RUN_MAX_BARS} bars in all, {count} of {place.interval} "
                "among them: ask for a shorter time."
            )
        earlier = store.candles(*place, end=start, limit=before) if before else []
        source = earlier[-1].source if earlier else None
        return [*earlier, *store.candles(*place, start, self.span.end, count, source)]


# --- By kind


def _prices(tracks: Tracks, ask: Ask) -> Track:
    return _of_bars(tracks.bars(ask.instrument or 0, tracks.span.interval), tracks.span.step_us)


def _of_bars(bars: Sequence[Bar], step_us: int) -> Track:
    """A bar's close, with its extremes: which of them came first nobody knows, and `judge` takes the order in which
    less has happened."""
    return Track(
        at_us=np.array([bar.time_us + step_us for bar in bars], np.int64),
        value=np.array([bar.close for bar in bars]),
        low=np.array([bar.low for bar in bars]),
        high=np.array([bar.high for bar in bars]),
        hold_us=_hold_us(step_us),
    )


def _hold_us(step_us: int) -> int:
    return _HOLD_DAYS_US if step_us >= DAY_US else _HOLD_BARS * step_us + int(settings.ALERT_BARS_LATE_S * 1e6)


def _changes(tracks: Tracks, ask: Ask) -> Track:
    """Of each bar with a base: its close and its extremes in percent."""
    priced = _prices(tracks, ask)
    base = _base(tracks, ask, priced.at_us)
    known = np.isfinite(base) & (base > 0)
    value, low, high = (100 * (c[known] - base[known]) / base[known] for c in (priced.value, priced.low, priced.high))
    return msgspec.structs.replace(priced, at_us=priced.at_us[known], value=value, low=low, high=high)


def _base(tracks: Tracks, ask: Ask, at_us: np.ndarray) -> np.ndarray:
    """What each bar's price is counted from; NaN where that is not known."""
    name = str(ask.get("base") or changes.PREVIOUS_CLOSE)
    if name == changes.COST:
        return _cost(tracks, ask, at_us)
    return _ago(tracks, ask) if name == changes.MINUTES else _of_days(tracks, ask, at_us, name)


def _cost(tracks: Tracks, ask: Ask, at_us: np.ndarray) -> np.ndarray:
    """What a unit had cost on average by then, by the rows of the ledger up to each time."""
    portfolio, instrument = books.with_policy().get(pk=ask.portfolio or 0), ask.instrument or 0
    book, costs, changed_us = Book(portfolio.policy()), [np.nan], [0]
    for row in standing(portfolio.transactions.entries()):
        try:
            book.apply(row)
        except (NotEnoughUnits, ArithmeticError) as error:
            raise NotReplayed("The portfolio's ledger does not add up.") from error
        cost = book.positions.get(instrument, NOTHING).average_cost
        costs.append(np.nan if cost is None else float(cost))
        changed_us.append(to_us(row.at))
    then = np.array(costs)[np.searchsorted(np.array(changed_us, np.int64), at_us, side="right") - 1]
    return _in_todays_terms(tracks, instrument, at_us, then)


def _in_todays_terms(tracks: Tracks, instrument: int, at_us: np.ndarray, prices: np.ndarray) -> np.ndarray:
    """Prices as they were, over the splits since."""
    if not len(at_us):
        return prices
    found = prices.copy()
    for split in splits.since(to_datetime(int(at_us[0])).date(), tracks.now, [instrument]):
        # A bar that closes at that very moment was traded before it.
        found[at_us <= split.at_us] /= split.ratio
    return found


def _ago(tracks: Tracks, ask: Ask) -> np.ndarray:
    """The close that stood so many minutes before each bar's."""
    span, minutes = tracks.span, int(ask.get("minutes") or 0)
    if span.step_us > minutes * MINUTE_US:
        raise NotReplayed(f"Bars of {span.interval} are too long for a change within {minutes} minutes.")
    late_us = int(settings.ALERT_BASE_LATE_S * 1e6) + span.step_us
    before = -(-(minutes * MINUTE_US + late_us) // span.step_us)
    bars = tracks.bars(ask.instrument or 0, span.interval, before)
    closed_us = np.array([bar.time_us + span.step_us for bar in bars], np.int64)
    closes = np.array([bar.close for bar in bars])
    own = tracks.bars(ask.instrument or 0, span.interval)
    at_us = np.array([bar.time_us + span.step_us - minutes * MINUTE_US for bar in own], np.int64)
    row = np.searchsorted(closed_us, at_us, side="right") - 1
    known = row >= 0
    known[known] = at_us[known] - closed_us[row[known]] <= late_us
    return np.where(known, closes[row] if len(closes) else np.nan, np.nan)


def _of_days(tracks: Tracks, ask: Ask, at_us: np.ndarray, name: str) -> np.ndarray:
    """A base that stays for a day, at each time: it is worked out once a day."""
    instrument = ask.instrument or 0
    before = changes.YEAR_DAYS if name in (changes.HIGH_52W, changes.LOW_52W) else changes.REST_DAYS
    days = tracks.days(instrument, before)
    known: dict[int, float] = {}
    found = np.full(len(at_us), np.nan)
    for row, time_us in enumerate(at_us.tolist()):
        # A bar that closes at midnight is of the day before.
        day_us = changes.day_us(instrument, time_us - 1)
        if day_us not in known:
            known[day_us] = _BASES[name](days, instrument, day_us, time_us - 1)
        found[row] = known[day_us]
    return found


def _previous_close(days: Sequence[Bar], instrument: int, day_us: int, now_us: int) -> float:
    previous = prices.previous_session_day(instrument, now_us)
    if previous is not None:
        first_us = last_us = to_us(dt.datetime.combine(previous, dt.time(), dt.UTC))
    else:
        oldest = 1 if markets.of(instrument).calendar == ALWAYS else changes.REST_DAYS
        first_us, last_us = day_us - oldest * DAY_US, day_us - DAY_US
    return next((bar.close for bar in reversed(days) if first_us <= bar.time_us <= last_us), np.nan)


def _opening(days: Sequence[Bar], instrument: int, day_us: int, now_us: int) -> float:
    return next((bar.open for bar in reversed(days) if bar.time_us == day_us), np.nan)


def _highest(days: Sequence[Bar], instrument: int, day_us: int, now_us: int) -> float:
    return max((bar.high for bar in _year_before(days, day_us)), default=np.nan)


def _lowest(days: Sequence[Bar], instrument: int, day_us: int, now_us: int) -> float:
    return min((bar.low for bar in _year_before(days, day_us)), default=np.nan)


def _year_before(days: Sequence[Bar], day_us: int) -> list[Bar]:
    return [bar for bar in days if day_us - changes.YEAR_DAYS * DAY_US <= bar.time_us < day_us]


_BASES: Final[Mapping[str, Callable[[Sequence[Bar], int, int, int], float]]] = {
    changes.PREVIOUS_CLOSE: _previous_close,
    changes.OPEN: _opening,
    changes.HIGH_52W: _highest,
    changes.LOW_52W: _lowest,
}


def _gauges(tracks: Tracks, ask: Ask) -> Track:
    interval = gauges.interval_of(ask)
    if ask.kind == rules.INDICATOR and not gauges.settles(ask):
        raise NotReplayed("It adds up all bars from wherever they begin: of the past it would say something else.")
    step_us, instrument = INTERVALS[interval], Instrument.objects.get(pk=ask.instrument or 0)
    bars = tracks.bars(instrument.pk, interval, gauges.bars_before(ask, step_us))
    candles: Candles = readings.as_candles(instrument, interval, bars)
    hold_us = 0 if ask.kind == rules.PATTERN else _hold_us(step_us)
    return Track.of(candles.time_us + step_us, gauges.series(ask, candles), hold_us, step_us)


def _signals(tracks: Tracks, ask: Ask) -> Track:
    rows = told.by_instrument({ask.instrument or 0}, tracks.span.start, tracks.span.end).get(ask.instrument or 0, [])
    keys = told.keys_of([ask])
    known = {to_us(row.time): row for row in rows if told.matches(ask, row, keys)}
    step_us = INTERVALS[next(iter(known.values())).interval] if known else None
    values = np.array([row.confidence_score for row in known.values()], np.float64)
    return Track.of(np.array(list(known), np.int64), values, 0, step_us)


def _spread(tracks: Tracks, ask: Ask) -> Track:
    """Of the quotes that are kept of the bars' source: in each bar the last, and the extremes."""
    span, instrument, most = tracks.span, ask.instrument or 0, settings.DRY_RUN_MAX_QUOTES
    bars = tracks.bars(instrument, span.interval)
    rows = store.widths(instrument, bars[-1].source, span.start, span.end, span.step_us, most + 1) if bars else []
    if sum(row.quotes for row in rows) > most:
        raise TooLong(f"That takes more than {most} quotes: ask for a shorter time.")
    if not rows:
        raise NotReplayed("Of this time no quotes are kept.")
    at_us = np.array([row.time_us + span.step_us for row in rows], np.int64)
    if ask.get("unit") == quotes.ABSOLUTE:
        value, low, high = (_in_todays_terms(tracks, instrument, at_us, c) for c in np.array([r[1:4] for r in rows]).T)
    else:
        value, low, high = np.array([row[4:7] for row in rows]).T
    return Track(at_us=at_us, value=value, low=low, high=high, hold_us=_hold_us(span.step_us))


def _sentiment(tracks: Tracks, ask: Ask) -> Track:
    """Of the articles that were known by then, at the close of each bar."""
    span, most = tracks.span, settings.DRY_RUN_MAX_BARS
    window = dt.timedelta(hours=float(ask.get("hours") or 24))
    articles = news.scored(ask.instrument or 0, span.start - window, span.end, most + 1)
    if len(articles) > most:
        raise TooLong(f"That takes more than {most} articles: ask for a shorter time.")
    first_us = (to_us(span.start) // span.step_us + 1) * span.step_us
    at_us = np.arange(first_us, to_us(span.end) + 1, span.step_us)
    window_us = int(window.total_seconds() * 1e6)
    return Track.of(at_us, moods.over(articles, at_us, window_us, window_us * news.HALF_LIFE), span.step_us - 1)


def _portfolio(tracks: Tracks, ask: Ask) -> Track:
    """Of snapshots: a stretch's last value, known at its end."""
    figure = str(ask.get("figure"))
    if figure not in (portfolios.TOTAL_VALUE, portfolios.DRAWDOWN_PERCENT):
        raise NotReplayed(f"Snapshots of a portfolio keep its value, and with it its drawdown, but no {figure}.")
    span = tracks.span
    step = next((s for s in _SNAPSHOT_STEPS if INTERVALS[s] >= span.step_us), "1d")
    portfolio = Portfolio.objects.get(pk=ask.portfolio or 0)
    reach = dt.timedelta(days=settings.ALERT_DRAWDOWN_DAYS) if figure == portfolios.DRAWDOWN_PERCENT else dt.timedelta()
    kept = [one for one in history.kept(portfolio, step, span.start - reach, span.end) if not one.stale]
    at_us = np.array([to_us(one.time) + INTERVALS[step] for one in kept], np.int64)
    if figure == portfolios.TOTAL_VALUE:
        values = np.array([float(one.total_value) for one in kept])
    else:
        index = drawdown.index([drawdown.of(one) for one in kept])
        values = 100 * (1 - index / np.maximum.accumulate(index)) if len(index) else index
    within = at_us > to_us(span.start)
    return Track.of(at_us[within], values[within], INTERVALS[step] + settings.SNAPSHOT_IDLE_INTERVAL_S * 1_000_000)


_READERS: Final[Mapping[str, Callable[[Tracks, Ask], Track]]] = {
    rules.PRICE: _prices,
    rules.CHANGE_PERCENT: _changes,
    rules.INDICATOR: _gauges,
    rules.VOLUME_ZSCORE: _gauges,
    rules.PATTERN: _gauges,
    rules.SIGNAL: _signals,
    rules.SPREAD: _spread,
    rules.SENTIMENT: _sentiment,
    rules.PORTFOLIO: _portfolio,
}
_WHY_NOT: Final = {
    rules.STALENESS: "What a feed missed is fetched afterwards: what is stored does not tell when it was silent.",
    rules.SERVICE: "Nobody keeps when a part of the service was degraded.",
}


def finest(instrument_ids: Sequence[int], start: dt.datetime, end: dt.datetime) -> str:
    """The shortest bars of which the instruments' fit into one replay, and that reach as far back as the daily ones.

    Raises TooLong.
    """
    most = settings.DRY_RUN_MAX_BARS // max(1, len(instrument_ids))
    fitting = [name for name in INTERVALS if Span(start, end, name).bars_of(name) <= most]
    if not fitting:
        count = Span(start, end, "1d").bars_of("1d") * max(1, len(instrument_ids))
        raise TooLong(f"That is {count} bars of a day; one replay takes {settings.DRY_RUN_MAX_BARS} at most.")
    return next((name for name in fitting if _reaches(name, instrument_ids, start, end)), fitting[-1])


def _reaches(interval: str, instrument_ids: Sequence[int], start: dt.datetime, end: dt.datetime) -> bool:
    for instrument in instrument_ids:
        longest = store.candles(instrument, "1d", start, end, 1)
        own = store.candles(instrument, interval, start, end, 1)
        if longest and (not own or own[0].time_us > longest[0].time_us + DAY_US):
            return False
    return True


def earliest() -> dt.datetime:
    """Nothing was recorded before."""
    return to_datetime(to_us(dt.datetime.fromisoformat(settings.TICK_EARLIEST)))
