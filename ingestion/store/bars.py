"""Reading candles: ours, the venue's and polled ones as one list, each saying what it was made of."""

import datetime as dt
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

from django.conf import settings
from django.db import connection

from ingestion import adjustment, calendar, sessions
from ingestion.adjustment import Action, Factor
from ingestion.candles import INTERVALS, Bar, fill_empty
from ingestion.models import AdjustmentFactor, Instrument
from ingestion.providers import SOURCES
from ingestion.store import daily, own, venue
from ingestion.store.minutes import CANDLE, Key, bar_of
from ingestion.store.times import BEGINNING, DAY_US, FOREVER, MICROSECOND, array, to_datetime, to_us

Adjust = Literal["split", "total"]
Fill = Literal["empty"]

# These give prices that are adjusted for splits already, as of the day they were asked.
ADJUSTED_SOURCES: Final = frozenset({SOURCES["yahoo"]})
# A range without an end has one for filling: nobody gets more empty minutes than these at once.
_BEFORE: Final = dt.timedelta(days=7)


class _Asked(NamedTuple):
    """What is wanted; `calendar` is the one that daily bars go by, or empty where they are the days of UTC."""

    instrument_id: int
    interval: str
    end: dt.datetime
    limit: int
    calendar: str

    @property
    def step_us(self) -> int:
        return INTERVALS[self.interval]


def candles(
    instrument_id: int,
    interval: str,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
    limit: int = 500,
    source: int | None = None,
    *,
    fill: Fill | None = None,
    adjust: Adjust | None = "split",
) -> list[Bar]:
    """Bars of one source, oldest first, that begin in [start, end): the first `limit` from `start`, or without a
    `start` the newest. Without a `source`: the best of SOURCE_ORDER that has any there.

    From 5 minutes on the venue's own final bar counts before ours; of a minute ours does. A daily bar of an equity is
    a session, at its date's midnight UTC; before and after hours are not in it.

    fill: "empty" puts a bar of no volume, marked `empty`, at the last close wherever nothing was traded while the
        market was open. Nothing comes before the first close, nor after now.
    adjust: for splits alone, for splits and dividends ("total"), or None: as it was traded.
    """
    asked = _Asked(instrument_id, interval, end or FOREVER, limit, _daily_calendar(instrument_id, interval))
    if start is not None:
        # A bar that began before `start` is not to be shown in part.
        start = to_datetime(-(-to_us(start) // asked.step_us) * asked.step_us)
        source = source or best_source(instrument_id, start, asked.end)
        found = _merged(asked, source, start) if source else []
    else:
        found = _newest(asked, source)
    if fill == "empty" and found:
        found = _filled(asked, found, start)
    return _adjusted(asked, found, adjust)


def by_sessions(instrument_id: int, interval: str) -> bool:
    """Whether these bars of the instrument are sessions of its exchange, instead of the days of UTC."""
    return bool(_daily_calendar(instrument_id, interval))


def _daily_calendar(instrument_id: int, interval: str) -> str:
    if interval != "1d":
        return ""
    name = _calendar(instrument_id)
    return "" if name in (calendar.ALWAYS, calendar.FX_WEEK) or not sessions.calendars().known(name) else name


def _calendar(instrument_id: int) -> str:
    instrument = Instrument.objects.filter(pk=instrument_id).first()
    return sessions.name_of(instrument) if instrument else calendar.ALWAYS


# --- Ranges


def _newest(asked: _Asked, source: int | None) -> list[Bar]:
    """From as far back as `limit` bars reach if none is missing; then further, for a market that is thin or closes."""
    newest = _newest_time(asked, source)
    if newest is None:
        return []
    found: list[Bar] = []
    for reach in (1, 8, None):
        # A session's bar may be called by the day after it began.
        first_us = (to_us(newest) // asked.step_us + 1 - asked.limit * reach) * asked.step_us if reach else None
        start = BEGINNING if first_us is None else to_datetime(first_us)
        source = source or best_source(asked.instrument_id, start, asked.end)
        if source is None:
            continue
        found = _merged(asked, source, start, newest_first=True)
        if len(found) == asked.limit:
            break
    return found


def _merged(asked: _Asked, source: int, start: dt.datetime, newest_first: bool = False) -> list[Bar]:
    """The first (or newest) `limit` bars, one a time: the venue's own, if it is final, then ours, then what can be made
    of its or polled minutes. Of a minute we have the trades themselves: there ours comes first."""
    place = (asked.instrument_id, source, asked.interval, start, asked.end, asked.limit, newest_first)
    if asked.calendar:
        ours = daily.bars(
            sessions.calendars(), asked.calendar, asked.instrument_id, source, start, asked.end, asked.limit,
            newest_first,
        )  # fmt: skip
    else:
        ours = own.bars(*place)
    found = {bar.time_us: bar for bar in ours}
    for bar in venue.bars(*place):
        if bar.time_us not in found or (bar.final and asked.interval != "1m"):
            found[bar.time_us] = bar
    if len(found) < asked.limit:
        # What a source has only minutes of, such as polled prices, or history that was fetched as minutes.
        for bar in venue.rolled_up(*place):
            found.setdefault(bar.time_us, bar)
    ordered = sorted(found.values(), key=_time)
    return ordered[-asked.limit :] if newest_first else ordered[: asked.limit]


def _time(bar: Bar) -> int:
    return bar.time_us


def _newest_time(asked: _Asked, source: int | None) -> dt.datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT max(newest) FROM unnest(%s::int2[]) AS known (source) CROSS JOIN LATERAL (
                   SELECT max(time) AS newest FROM candle_1m c
                   WHERE c.instrument_id = %s AND c.source = known.source AND time < %s
                   UNION ALL
                   SELECT max(time) FROM venue_candle c
                   WHERE c.instrument_id = %s AND c.source = known.source AND interval IN (%s, '1m') AND time < %s
               ) AS of_source""",
            [
                [source] if source else list(SOURCES.values()),
                asked.instrument_id, asked.end, asked.instrument_id, asked.interval, asked.end,
            ],
        )  # fmt: skip
        found: dt.datetime | None = cursor.fetchone()[0]
    return found


def best_source(instrument_id: int, start: dt.datetime, end: dt.datetime) -> int | None:
    """The best source, by SOURCE_ORDER, with a bar in [start, end)."""
    ordered = [SOURCES[name] for name in settings.SOURCE_ORDER if name in SOURCES]
    rest = [number for number in SOURCES.values() if number not in ordered]
    with connection.cursor() as cursor:
        cursor.execute(
            # The limits have one row looked up a source; as EXISTS, all of the instrument's were read and hashed.
            """SELECT source FROM unnest(%s::int2[]) WITH ORDINALITY AS known (source, rank) CROSS JOIN LATERAL (
                   (SELECT 1 FROM candle_1m AS c WHERE c.instrument_id = %s AND c.source = known.source
                    AND time >= %s AND time < %s ORDER BY time LIMIT 1)
                   UNION ALL
                   (SELECT 1 FROM venue_candle AS c WHERE c.instrument_id = %s AND c.source = known.source
                    AND time >= %s AND time < %s LIMIT 1)
                   LIMIT 1) AS any_row
               ORDER BY rank LIMIT 1""",
            [[*ordered, *rest], instrument_id, start, end, instrument_id, start, end],
        )
        row = cursor.fetchone()
    return row and int(row[0])


def final_candles_since(start: dt.datetime, limit: int = 10_000) -> list[Bar]:
    """The final 1-minute bars of every instrument and source that begin at `start` or later, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT {CANDLE} FROM candle_1m AS c WHERE final AND time >= %s
                ORDER BY time, instrument_id, source LIMIT %s""",
            [start, limit],
        )
        return [bar_of(row, "1m") for row in cursor.fetchall()]


def rolled_up(wanted: Iterable[Key], interval: str) -> list[Bar]:
    """The longer bars that begin at these `time_us`, as their minutes now say; a day of sessions is its session."""
    by_session: list[Key] = []
    by_clock: list[Key] = []
    for bar in sorted(set(wanted)):
        (by_session if _daily_calendar(bar.instrument_id, interval) else by_clock).append(bar)
    return [*_rolled_up(by_clock, interval), *(found for bar in by_session for found in _session(bar))]


def _session(bar: Key) -> list[Bar]:
    start = to_datetime(bar.time_us)
    name = _daily_calendar(bar.instrument_id, "1d")
    return daily.bars(
        sessions.calendars(), name, bar.instrument_id, bar.source, start, start + dt.timedelta(days=1), limit=1
    )


def _rolled_up(wanted: Sequence[Key], interval: str) -> list[Bar]:
    if not wanted:
        return []
    instruments, sources, starts = (array(column) for column in zip(*wanted, strict=True))
    parameters: dict[str, Any] = {
        "instruments": instruments, "sources": sources, "starts": starts, "step": INTERVALS[interval] * MICROSECOND,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {CANDLE} FROM ({own.rolled_up_of_given()}) AS c ORDER BY c.time, c.instrument_id, c.source",
            parameters,
        )
        return [bar_of(row, interval) for row in cursor.fetchall()]


# --- Filling


def _filled(asked: _Asked, found: list[Bar], start: dt.datetime | None) -> list[Bar]:
    now_us = time.time_ns() // 1000
    until_us = min(to_us(asked.end), now_us)
    before = None
    if start is not None:
        source = found[0].source
        earlier = _merged(asked._replace(end=start, limit=1), source, start - _BEFORE, newest_first=True)
        before = earlier[-1] if earlier else None
        from_us = to_us(start) if before else found[0].time_us
        starts = _starts(asked, from_us, until_us)[: asked.limit]
        return fill_empty(found, starts, now_us, before)
    starts = _starts(asked, found[0].time_us, until_us)[-asked.limit :]
    before = next((bar for bar in reversed(found) if bar.time_us < starts[0]), None) if starts else None
    return fill_empty(found, starts, now_us, before)


def _starts(asked: _Asked, from_us: int, until_us: int) -> list[int]:
    """The bars that [from, until) could have: those whose time the market was open at."""
    calendars = sessions.calendars()
    if asked.calendar:
        day_of = calendar.day_of
        around = daily.sessions(calendars, asked.calendar, from_us - DAY_US, until_us)
        return [day_of(session) for session in around if from_us <= day_of(session) < until_us]
    name = _calendar(asked.instrument_id)
    steps = range(from_us, until_us, asked.step_us)
    if name == calendar.ALWAYS or asked.interval == "1d":
        return list(steps)
    return [at_us for at_us in steps if _opens(calendars, name, at_us, at_us + asked.step_us)]


def _opens(calendars: calendar.Calendars, name: str, from_us: int, until_us: int) -> bool:
    """Whether the market is open at any time in [from, until)."""
    opening_us = calendars.next_open_us(name, from_us)
    return opening_us is not None and opening_us < until_us


# --- Adjusting


def adjusted_for_splits(instrument_id: int, interval: str, found: list[Bar]) -> list[Bar]:
    """Bars of one source as `candles` gives them."""
    return _adjusted(_Asked(instrument_id, interval, FOREVER, len(found), ""), found, "split")


def _adjusted(asked: _Asked, found: list[Bar], adjust: Adjust | None) -> list[Bar]:
    if adjust is None or not found:
        return found
    actions = _actions(asked.instrument_id, found[0].time_us)
    if found[0].source in ADJUSTED_SOURCES:
        actions = [Action(action.time_us, dividend=action.dividend) for action in actions]
    if not actions:
        return found
    closes = _closes_before(asked, found[0].source, actions) if adjust == adjustment.TOTAL else None
    steps: list[Factor] = adjustment.factors(actions, closes)
    return adjustment.adjust(found, steps)


def _actions(instrument_id: int, since_us: int) -> list[Action]:
    """Those in effect by today whose ex-date is later than `since`."""
    today = to_datetime(time.time_ns() // 1000).date()
    rows = AdjustmentFactor.objects.filter(
        instrument_id=instrument_id, ex_date__gt=to_datetime(since_us).date(), ex_date__lte=today
    ).order_by("ex_date")
    return [Action(_midnight_us(row.ex_date), row.split_factor, row.dividend) for row in rows]


def _midnight_us(day: dt.date) -> int:
    return to_us(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC))


def _closes_before(asked: _Asked, source: int, actions: Sequence[Action]) -> dict[int, float]:
    """The raw daily close before each dividend."""
    name = _daily_calendar(asked.instrument_id, "1d")
    closes: dict[int, float] = {}
    for action in actions:
        if action.dividend:
            before = _Asked(asked.instrument_id, "1d", to_datetime(action.time_us), 1, name)
            newest = _merged(before, source, before.end - _BEFORE, newest_first=True)
            closes.update({action.time_us: newest[-1].close} if newest else {})
    return closes
