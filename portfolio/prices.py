"""Closing prices by day, raw, as exact decimals: what was entered by hand, else what the best source says.

A day is the session's of an instrument that trades in sessions, else the day of UTC. A day is told when it is over.
Nothing here is adjusted for splits: whoever carries a price over one divides it by the ratio.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec
from django.utils import timezone

from ingestion import calendar, markets, sessions, store
from ingestion.models import AdjustmentFactor
from ingestion.providers import SOURCE_NAMES
from ingestion.store import to_datetime
from portfolio.rates import MANUAL

# What trades round the clock has no sessions, and so no previous close: its day is the last 24 hours.
ROUND_THE_CLOCK: Final = frozenset({calendar.ALWAYS, calendar.FX_WEEK})
_A_DAY: Final = dt.timedelta(days=1)
_AN_HOUR: Final = dt.timedelta(hours=1)


class Close(msgspec.Struct, frozen=True, gc=False):
    """What one unit cost at the end of a day, in what the instrument is priced in. source: `manual`, or a provider."""

    date: dt.date
    price: Decimal
    source: str


def closes(ids: Iterable[int], start: dt.date, end: dt.date) -> dict[int, list[Close]]:
    """The closes of [start, end] and the last one before `start`, oldest first; instruments without any are missing.

    A close that was entered by hand counts before a source's of the same day; of several sources the instrument's
    order decides, and of one source its own daily bar before what we made of its trades, as in the candles.
    """
    wanted = sorted(set(ids))
    start, end = max(start, dt.date(1, 1, 2)), min(end, dt.date.max - 2 * _A_DAY)
    if not wanted:
        return {}
    posted = store.posted_closes(wanted, start, end)
    told = _told(wanted, start, end)
    found = {i: _merged(posted.get(i, []), told.get(i, {}), i, start) for i in {*posted, *told}}
    return {i: list_ for i, list_ in found.items() if list_}


def lines(ids: Iterable[int], start: dt.date, end: dt.date) -> tuple[dict[int, str], dict[int, list[Close]]]:
    """The same, with those that have only closes entered by hand as `store.posted_lines`: a tenth of the work."""
    wanted = sorted(set(ids))
    start, end = max(start, dt.date(1, 1, 2)), min(end, dt.date.max - 2 * _A_DAY)
    if not wanted:
        return {}, {}
    told = _told(wanted, start, end)
    return store.posted_lines([i for i in wanted if i not in told], start, end), closes(told, start, end)


def last_closes(ids: Iterable[int], day: dt.date) -> dict[int, Close]:
    """The newest close of each that is not after `day`, however old; instruments without any are missing."""
    day = min(day, dt.date.max - 3 * _A_DAY)
    return {i: found[-1] for i, found in closes(ids, day + _A_DAY, day).items()}


def previous_closes(ids: Iterable[int], now_us: int) -> dict[int, Close]:
    """What the day's change of each counts from: the close of the session before the newest that has opened.

    Missing are those that trade round the clock, and those of whose previous session no close is known: an older
    one would make a day's change of several. Raw: the caller carries it over a split that came since.
    """
    days: dict[int, dt.date] = {}
    for instrument in set(ids):
        if (day := previous_session_day(instrument, now_us)) is not None:
            days[instrument] = day
    found: dict[int, Close] = {}
    for day in set(days.values()):
        of_day = last_closes([i for i, own in days.items() if own == day], day)
        found |= {i: close for i, close in of_day.items() if close.date == day}
    return found


def previous_session_day(instrument: int, now_us: int) -> dt.date | None:
    """The date of the session before the newest that has opened; None round the clock, or where nothing is known."""
    name = markets.of(instrument).calendar
    known = sessions.calendars()
    close_us = None if name in ROUND_THE_CLOCK else known.previous_close_us(name, now_us)
    session = None if close_us is None else known.last_session(name, close_us - 1)
    return None if session is None else to_datetime(calendar.day_of(session)).date()


def closed_at(instrument: int, day: dt.date) -> dt.datetime:
    """When a day's close was made: the end of its session; where no session is known, the last instant of the day of
    UTC, for a split at midnight is after it."""
    noon, night = (_midnight(day) + hours * _AN_HOUR for hours in (12, 24))
    name = markets.of(instrument).calendar
    if name not in ROUND_THE_CLOCK:
        # In the far east a session is over by noon UTC, and the next day's may open before the night.
        for at in (noon, night - _AN_HOUR):
            session = sessions.calendars().last_session(name, store.to_us(at))
            if session is not None and to_datetime(calendar.day_of(session)).date() == day:
                return to_datetime(session.close_us)
    return night - dt.timedelta(microseconds=1)


# --- What the sources say -------------------------------------------------------------------------------------------

Told = Mapping[int, Sequence[tuple[dt.date, Decimal]]]  # by source


def _told(ids: Sequence[int], start: dt.date, end: dt.date) -> dict[int, dict[int, list[tuple[dt.date, Decimal]]]]:
    """By instrument and source: the venues' days, and those made of minutes where there are any."""
    today = timezone.now().date()
    found: dict[int, dict[int, list[tuple[dt.date, Decimal]]]] = {}
    for (instrument, source), told in store.venue_closes(ids, start, end, today).items():
        found.setdefault(instrument, {})[source] = told
    for instrument, source in store.sources_with_minutes(ids, end):
        if markets.of(instrument).takes(SOURCE_NAMES[source]):
            found.setdefault(instrument, {})[source] = _of_candles(instrument, source, start, end, today)
    _unadjust(found)
    return found


def _of_candles(
    instrument: int, source: int, start: dt.date, end: dt.date, today: dt.date
) -> list[tuple[dt.date, Decimal]]:
    """The closes of one source's daily bars as charts show them, raw."""
    since, until = _midnight(start), _midnight(end + _A_DAY)
    before = store.candles(instrument, "1d", None, min(since, until), 2, source, adjust=None)
    within = (
        store.candles(instrument, "1d", since, until, (until - since).days, source, adjust=None) if end >= start else []
    )
    days = [(to_datetime(bar.time_us).date(), bar) for bar in [*before, *within]]
    closed = [(day, Decimal(str(bar.close))) for day, bar in days if bar.final or day < today]
    first = [day for day, _ in closed if day < start][-1:]
    return [row for row in closed if row[0] >= start or row[0] in first]


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _unadjust(told: dict[int, dict[int, list[tuple[dt.date, Decimal]]]]) -> None:
    """As it was traded: some sources divide their past prices by the splits that came since."""
    adjusted = {i: sources.keys() & store.ADJUSTED_SOURCES for i, sources in told.items()}
    concerned = [i for i, sources in adjusted.items() if sources]
    if not concerned:
        return
    today = timezone.now().date()
    splits = AdjustmentFactor.objects.filter(instrument_id__in=concerned, ex_date__lte=today).exclude(split_factor=1.0)
    for instrument, ex_date, factor in splits.values_list("instrument_id", "ex_date", "split_factor"):
        ratio = Decimal(str(factor))
        for source in adjusted[instrument]:
            rows = told[instrument][source]
            told[instrument][source] = [(day, price * ratio if day < ex_date else price) for day, price in rows]


def _merged(posted: Sequence[tuple[dt.date, Decimal]], told: Told, instrument: int, start: dt.date) -> list[Close]:
    """One close a day, and one before `start`."""
    if not told:
        return [Close(day, price, MANUAL) for day, price in posted]
    order = markets.of(instrument)
    by_day: dict[dt.date, Close] = {}
    for source in sorted(told, key=lambda source: order.rank(SOURCE_NAMES[source]), reverse=True):
        name = SOURCE_NAMES[source]
        by_day.update({day: Close(day, price, name) for day, price in told[source]})
    by_day.update({day: Close(day, price, MANUAL) for day, price in posted})
    days = sorted(by_day)
    before = [day for day in days if day < start][-1:]
    return [by_day[day] for day in days if day >= start or day in before]
