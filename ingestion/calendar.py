"""When markets are open: sessions, lunch breaks, half days and clock changes, as tables and weekly rules. Pure.

Exchanges come as tables (`sessions.py` makes them, once, with exchange_calendars); what trades by a weekly rule needs
none: crypto (24/7), foreign exchange (24/5) and Nairobi. All times are microseconds since 1970, UTC. A session is
[open, close); within a lunch break the market is closed, the session is not over.
"""

import datetime as dt
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import msgspec

ALWAYS: Final = "24/7"
FX_WEEK: Final = "24/5"
NAIROBI: Final = "XNAI"

DAY_US: Final = 86_400_000_000
WEEK_US: Final = 7 * DAY_US
# 1970-01-05 was a Monday.
FIRST_MONDAY_US: Final = 4 * DAY_US


class Session(msgspec.Struct, frozen=True, gc=False):
    """One day's trading. break_from_us, break_until_us: the lunch break; equal where there is none."""

    open_us: int
    close_us: int
    break_from_us: int = 0
    break_until_us: int = 0

    def is_open(self, us: int) -> bool:
        return self.open_us <= us < self.close_us and not self.break_from_us <= us < self.break_until_us


def day_of(session: Session) -> int:
    """Midnight UTC, microseconds since 1970, of the date that the session is called by: the one it mostly lies on.

    >>> day_of(Session(open_us=-3_600_000_000, close_us=5 * 3_600_000_000))  # Sydney opens the evening before, in UTC
    0
    """
    middle_us = (session.open_us + session.close_us) // 2
    return middle_us - middle_us % DAY_US


class Rule(Protocol):
    """Any calendar: its newest sessions that opened at or before an instant, and those that open after it."""

    def before(self, us: int) -> Sequence[Session]:
        """The newest two (or fewer) sessions that opened at or before `us`, oldest first."""

    def after(self, us: int) -> Session | None:
        """The first session that opens after `us`; None where the calendar does not know."""

    def covers(self, us: int) -> bool:
        """Whether the calendar knows of that time at all."""


class Always:
    """Never closed. Its sessions are the days of UTC, so that there is a previous close."""

    def before(self, us: int) -> Sequence[Session]:
        day_us = us - us % DAY_US
        return Session(day_us - DAY_US, day_us), Session(day_us, day_us + DAY_US)

    def after(self, us: int) -> Session | None:
        day_us = us - us % DAY_US + DAY_US
        return Session(day_us, day_us + DAY_US)

    def covers(self, us: int) -> bool:
        return True


class Weekly:
    """The same hours on the same weekdays, by a wall clock.

    opens, closes: on that clock; an opening not before the close is on the day before. days: 0 is Monday.
    """

    def __init__(self, zone: str, opens: dt.time, closes: dt.time, days: Iterable[int] = range(5)) -> None:
        self._zone = ZoneInfo(zone)
        self._opens, self._closes, self._days = opens, closes, tuple(days)
        self._week = lru_cache(maxsize=64)(self._sessions_of)

    def before(self, us: int) -> Sequence[Session]:
        week = (us - FIRST_MONDAY_US) // WEEK_US
        around = [*self._week(week - 1), *self._week(week), *self._week(week + 1)]
        return [session for session in around if session.open_us <= us][-2:]

    def after(self, us: int) -> Session | None:
        week = (us - FIRST_MONDAY_US) // WEEK_US
        around = [*self._week(week), *self._week(week + 1), *self._week(week + 2)]
        return next((session for session in around if session.open_us > us), None)

    def covers(self, us: int) -> bool:
        return True

    def _sessions_of(self, week: int) -> tuple[Session, ...]:
        monday = dt.date(1970, 1, 5) + dt.timedelta(weeks=week)
        return tuple(self._session(monday + dt.timedelta(days=day)) for day in self._days)

    def _session(self, day: dt.date) -> Session:
        opening_day = day if self._opens < self._closes else day - dt.timedelta(days=1)
        return Session(self._us(opening_day, self._opens), self._us(day, self._closes))

    def _us(self, day: dt.date, time: dt.time) -> int:
        return int(dt.datetime.combine(day, time, tzinfo=self._zone).timestamp()) * 1_000_000


class Table:
    """An exchange's sessions as they are known, in their order."""

    def __init__(self, sessions: Iterable[Session]) -> None:
        self._sessions = tuple(sessions)
        self._opens = array("q", [session.open_us for session in self._sessions])

    def before(self, us: int) -> Sequence[Session]:
        until = bisect_right(self._opens, us)
        return self._sessions[max(0, until - 2) : until]

    def after(self, us: int) -> Session | None:
        at = bisect_right(self._opens, us)
        return self._sessions[at] if at < len(self._sessions) else None

    def covers(self, us: int) -> bool:
        return bool(self._sessions) and self._opens[0] <= us < self._sessions[-1].close_us

    def __len__(self) -> int:
        return len(self._sessions)


WEEKLY: Final[Mapping[str, Rule]] = {
    ALWAYS: Always(),
    # From Sunday 17:00 to Friday 17:00 in New York, cut into the trading days that end there at 17:00.
    FX_WEEK: Weekly("America/New_York", dt.time(17), dt.time(17)),
    NAIROBI: Weekly("Africa/Nairobi", dt.time(9), dt.time(15)),
}


class Calendars:
    """Calendars by name: the weekly ones, and the tables given.

    Of a calendar that is not known, or a time that its table does not reach, nothing is claimed: the market counts
    as open, so that nobody takes silence for a holiday.
    """

    def __init__(self, tables: Mapping[str, Rule] | None = None) -> None:
        self._rules: dict[str, Rule] = {**WEEKLY, **(tables or {})}

    def known(self, name: str) -> bool:
        """Whether there is a calendar of this name."""
        return name in self._rules

    def rule(self, name: str, now_us: int) -> Rule:
        """The calendar itself, for one instrument's own use; where nothing is known of that time, the days of UTC."""
        return self._rule(name, now_us) or WEEKLY[ALWAYS]

    def is_open(self, name: str, now_us: int) -> bool:
        """Whether the market trades at that time: not before or after hours, nor at lunch."""
        rule = self._rule(name, now_us)
        return rule is None or any(session.is_open(now_us) for session in rule.before(now_us)[-1:])

    def session_at(self, name: str, us: int) -> Session | None:
        """The session that `us` is in (lunch breaks included); None between sessions, or where nothing is known."""
        rule = self._rule(name, us)
        found = rule.before(us)[-1:] if rule else ()
        return found[0] if found and us < found[0].close_us else None

    def last_session(self, name: str, us: int) -> Session | None:
        """The newest session that had opened by `us`, over or not: the one that a price of that time is of."""
        rule = self._rule(name, us)
        found = rule.before(us)[-1:] if rule else ()
        return found[0] if found else None

    def last_close_us(self, name: str, now_us: int) -> int | None:
        """The newest close that is not after `now_us`."""
        rule = self._rule(name, now_us)
        closes = [session.close_us for session in rule.before(now_us)] if rule else []
        return max((close for close in closes if close <= now_us), default=None)

    def previous_close_us(self, name: str, now_us: int) -> int | None:
        """The close of the session before `last_session`: what a price of that time is compared with.

        On a Monday morning Friday's; on a Saturday Thursday's, for the price then is still Friday's.
        """
        rule = self._rule(name, now_us)
        found = rule.before(now_us) if rule else ()
        return found[0].close_us if len(found) == 2 else None

    def next_open_us(self, name: str, now_us: int) -> int | None:
        """The first instant from `now_us` on at which the market is open: `now_us` itself while it is."""
        if self.is_open(name, now_us):
            return now_us
        current = self.session_at(name, now_us)
        if current is not None:
            return current.break_until_us
        rule = self._rule(name, now_us)
        following = rule.after(now_us) if rule else None
        return following.open_us if following else None

    def _rule(self, name: str, us: int) -> Rule | None:
        rule = self._rules.get(name)
        return rule if rule is not None and rule.covers(us) else None


# --- Exchanges by their many names ----------------------------------------------------------------------------

# What listings and people call exchanges, and the calendar they trade by. NSE is Nairobi's here; Mumbai's is XNSE.
_EXCHANGES: Final[Mapping[str, str]] = {
    "NYSE": "XNYS", "NASDAQ": "XNYS", "XNAS": "XNYS", "XASE": "XNYS", "AMEX": "XNYS", "ARCX": "XNYS", "BATS": "XNYS",
    "NYSEARCA": "XNYS", "US": "XNYS", "NMS": "XNYS", "NYQ": "XNYS", "IEXG": "XNYS", "OOTC": "XNYS",
    "LSE": "XLON", "JPX": "XTKS", "TSE": "XTKS", "TYO": "XTKS", "HKEX": "XHKG", "HKG": "XHKG", "ASX": "XASX",
    "TSX": "XTSE", "TOR": "XTSE", "XETRA": "XETR", "GER": "XETR", "ETR": "XETR", "FWB": "XFRA", "FRA": "XFRA",
    "SIX": "XSWX", "EBS": "XSWX", "SSE": "XSHG", "SZSE": "XSHG", "XSHE": "XSHG", "SGX": "XSES", "KRX": "XKRX",
    "JSE": "XJSE", "TASE": "XTAE", "BSE": "XBOM", "XNSE": "XBOM", "NSE": NAIROBI, "NAIROBI": NAIROBI,
}  # fmt: skip
_FIXED: Final[Mapping[str, str]] = {"crypto": ALWAYS, "fx": FX_WEEK}


def calendar_of(kind: str, exchange: str, default: str = "XNYS") -> str:
    """The calendar that an instrument trades by. default: an equity's of which no exchange is known.

    >>> calendar_of("crypto", ""), calendar_of("fx", ""), calendar_of("equity", "Nasdaq"), calendar_of("equity", "XHKG")
    ('24/7', '24/5', 'XNYS', 'XHKG')
    """
    if kind in _FIXED:
        return _FIXED[kind]
    name = exchange.strip().upper()
    return _EXCHANGES.get(name, name) if name else default


# --- Tables as bytes ------------------------------------------------------------------------------------------

_ROW: Final = struct.Struct("!qqqq")


def pack(sessions: Iterable[Session]) -> bytes:
    """As `MarketCalendar.sessions` holds them: four big-endian int64 a session."""
    return b"".join(_ROW.pack(s.open_us, s.close_us, s.break_from_us, s.break_until_us) for s in sessions)


def unpack(packed: bytes | memoryview) -> Table:
    """As `pack` made them."""
    return Table(Session(*row) for row in _ROW.iter_unpack(packed))
