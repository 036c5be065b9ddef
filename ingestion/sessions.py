"""Exchanges' sessions, worked out once and kept in the database.

exchange_calendars takes a second and a hundred megabytes to import, and 0.1 ms a question: only `work_out` imports it,
in a worker's task. Everyone else reads the rows that it left; while an exchange's row is missing its market counts as
open (`calendar.Calendars`), and the task is asked for.
"""

import datetime as dt
import importlib.metadata
import logging
import threading
import time
import warnings
from collections.abc import Iterable
from typing import Final

import redis
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

from ingestion import calendar
from ingestion.calendar import WEEKLY, Calendars, Session, Table
from ingestion.models import Instrument, MarketCalendar
from worker.redis import client, key

logger = logging.getLogger(__name__)

# Rows are read again after so long; they change when a library's new version knows a new holiday.
REREAD_S: Final = 300.0
# Exchanges whose row was missing are looked for again sooner.
REREAD_MISSING_S: Final = 5.0
ASK_AGAIN_S: Final = 60
EARLIEST: Final = "1998-01-02"
TASK: Final = "ingestion.keep_calendars"

_lock = threading.Lock()
_known: tuple[float, Calendars] | None = None


def calendars() -> Calendars:
    """All calendars as they are worked out so far. Cheap: two queries every few minutes a process (not on a loop)."""
    global _known
    found = _known
    if found is not None and found[0] > time.monotonic():
        return found[1]
    with _lock:
        tables = {row.name: calendar.unpack(row.sessions) for row in MarketCalendar.objects.all()}
        missing = _wanted() - tables.keys()
        known = Calendars(tables)
        _known = time.monotonic() + (REREAD_MISSING_S if missing else REREAD_S), known
    if missing:
        _ask_for(missing)
    return known


def forget() -> None:
    """Read the rows again at the next question."""
    global _known
    _known = None


def name_of(instrument: Instrument) -> str:
    """The calendar that an instrument trades by: its own, else its exchange's."""
    return instrument.calendar or calendar_of(instrument.kind, instrument.exchange)


def calendar_of(kind: str, exchange: str) -> str:
    """The calendar of an instrument of this kind and exchange, EQUITY_CALENDAR where it has none."""
    return calendar.calendar_of(kind, exchange, settings.EQUITY_CALENDAR)


def keep(now: dt.datetime) -> list[str]:
    """Work out what instruments need and is missing, outdated, or of another version. Returns those worked out.

    Re-running changes nothing.
    """
    version = _version()
    enough = now + dt.timedelta(days=settings.CALENDAR_MIN_DAYS_AHEAD)
    fresh = MarketCalendar.objects.filter(made_by=version, until__gt=enough)
    done = []
    for name in sorted(_wanted() - set(fresh.values_list("name", flat=True))):
        if _work_out(name, version):
            done.append(name)
    forget()
    return done


def _work_out(name: str, version: str) -> bool:
    try:
        sessions = work_out(name)
    except LookupError as error:
        logger.warning("no calendar for exchange %s, it counts as always open: %s", name, error)
        return False
    until = dt.datetime.fromtimestamp(sessions[-1].close_us / 1e6, dt.UTC)
    MarketCalendar.objects.update_or_create(
        name=name, defaults={"sessions": calendar.pack(sessions), "until": until, "made_by": version}
    )
    return True


def work_out(name: str) -> list[Session]:
    """An exchange's sessions, from 1998 (or its calendar's first year) to a year ahead.

    Raises LookupError for one that exchange_calendars does not know.
    """
    import exchange_calendars  # slow and large: see the module's docstring
    from exchange_calendars.errors import InvalidCalendarName

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own uses of pandas are not ours to mend
        try:
            bound = exchange_calendars.get_calendar(name).bound_min()  # some know nothing of the years before
            start = EARLIEST if bound is None else max(EARLIEST, bound.date().isoformat())
            found = exchange_calendars.get_calendar(name, start=start)
        except InvalidCalendarName as error:
            raise LookupError(str(error)) from None
    columns = (found.opens_nanos, found.closes_nanos, found.break_starts_nanos, found.break_ends_nanos)
    return [_session(*(int(value) for value in row)) for row in zip(*columns, strict=True)]


def _session(open_ns: int, close_ns: int, break_from_ns: int, break_until_ns: int) -> Session:
    if break_from_ns <= 0:  # pandas' NaT: no break
        return Session(open_ns // 1000, close_ns // 1000)
    return Session(open_ns // 1000, close_ns // 1000, break_from_ns // 1000, break_until_ns // 1000)


def table(name: str) -> Table:
    """An exchange's sessions worked out here and now, for those who may import exchange_calendars."""
    return Table(work_out(name))


def _wanted() -> set[str]:
    """The calendars that instruments trade by and that no weekly rule gives."""
    rows = Instrument.objects.order_by().values_list("kind", "exchange", "calendar").distinct()
    return {own or calendar_of(kind, exchange) for kind, exchange, own in rows} - WEEKLY.keys()


def _ask_for(missing: Iterable[str]) -> None:
    """Have a worker work them out; once a minute is enough for all of us."""
    try:
        if client().set(key("calendars", "asked"), b"1", nx=True, ex=ASK_AGAIN_S):
            logger.info("asking for the calendars of %s", ", ".join(sorted(missing)))
            current_app.send_task(TASK, expires=ASK_AGAIN_S)
    except (redis.RedisError, OSError, OperationalError) as error:
        logger.warning("cannot ask for calendars: %s", error)


def _version() -> str:
    return f"exchange_calendars {importlib.metadata.version('exchange_calendars')}"
