"""When a split is one for those who watch prices, and a price from before it in the terms of after."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ingestion import markets, sessions
from ingestion.calendar import ALWAYS, DAY_US, FX_WEEK, Calendars, Session, day_of
from ingestion.models import AdjustmentFactor
from ingestion.store import to_us

HOUR_US: Final = 3_600_000_000


class Split(NamedTuple):
    """ratio: new units for an old one. at_us: from when on prices are in the new terms."""

    instrument_id: int
    ex_date: dt.date
    ratio: float
    at_us: int


def since(day: dt.date, now: dt.datetime, instrument_ids: Iterable[int] | None = None) -> list[Split]:
    """The splits with an ex-date from `day` on that are in effect by now, oldest first; by default everybody's."""
    rows = AdjustmentFactor.objects.filter(ex_date__gte=day, ex_date__lte=now.date() + dt.timedelta(days=1))
    if instrument_ids is not None:
        rows = rows.filter(instrument_id__in=list(instrument_ids))
    rows = rows.exclude(split_factor=1.0).filter(split_factor__gt=0).order_by("ex_date", "instrument_id")
    found = [
        Split(i, ex_date, ratio, effective_us(i, ex_date))
        for i, ex_date, ratio in rows.values_list("instrument_id", "ex_date", "split_factor")
    ]
    return [split for split in found if split.at_us <= to_us(now)]


def effective_us(instrument_id: int, ex_date: dt.date) -> int:
    """From when on the instrument trades split. Midnight UTC round the clock; of an exchange the middle of the night
    before the session: its after hours still trade the old units, and the hours before the opening the new ones.
    """
    midnight_us = to_us(dt.datetime.combine(ex_date, dt.time(), dt.UTC))
    name, known = markets.of(instrument_id).calendar, sessions.calendars()
    if name in (ALWAYS, FX_WEEK):
        return midnight_us
    session = _session_of(known, name, midnight_us)
    closed_us = None if session is None else known.last_close_us(name, session.open_us - 1)
    if session is None or closed_us is None:
        return midnight_us
    return (closed_us + session.open_us) // 2


def _session_of(known: Calendars, name: str, midnight_us: int) -> Session | None:
    """The session of a date, or on a holiday the next one. In the far east it is over by noon UTC, and the next day's
    may open before the night."""
    for at_us in (midnight_us + DAY_US // 2, midnight_us + DAY_US - HOUR_US):
        session = known.last_session(name, at_us)
        if session is not None and day_of(session) == midnight_us:
            return session
    opens_us = known.next_open_us(name, midnight_us)
    return None if opens_us is None else known.session_at(name, opens_us)


class Splits:
    """Those that have been of late, for carrying prices over them."""

    def __init__(self, splits: Iterable[Split] = ()) -> None:
        self._of: Mapping[int, Sequence[Split]] = _by_instrument(splits)

    def ratio(self, instrument_id: int, from_us: int, until_us: int) -> float:
        """How many units one of the instrument's has become in (from, until]."""
        ratio = 1.0
        for split in self._of.get(instrument_id, ()):
            if from_us < split.at_us <= until_us:
                ratio *= split.ratio
        return ratio


def _by_instrument(splits: Iterable[Split]) -> dict[int, list[Split]]:
    found: defaultdict[int, list[Split]] = defaultdict(list)
    for split in splits:
        found[split.instrument_id].append(split)
    return dict(found)
