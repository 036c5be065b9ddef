"""A quota a day whose day nobody tells: Alpha Vantage counts 25 requests, but not from when to when. Pure.

So both days are counted, the one of UTC and the one of New York, and the fuller counts. When it is full, the first
midnight of either is tried with one call (the probe): if that is answered, the venue's day is the one that has just
begun; if it is refused, nothing is asked until the next midnight.
"""

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

UTC: Final = ZoneInfo("UTC")
EASTERN: Final = ZoneInfo("America/New_York")


class Daily(msgspec.Struct, frozen=True):
    """What was used of today's quota. Dates are `YYYY-MM-DD` of each zone; blocked_until is None while calls may go."""

    utc_day: str = ""
    utc_used: int = 0
    eastern_day: str = ""
    eastern_used: int = 0
    blocked_until: dt.datetime | None = None

    @property
    def used(self) -> int:
        return max(self.utc_used, self.eastern_used)


def rolled(state: Daily, now: dt.datetime) -> Daily:
    """The same on the present day: a count whose day has ended is zero."""
    utc, eastern = (now.astimezone(zone).date().isoformat() for zone in (UTC, EASTERN))
    return Daily(
        utc,
        state.utc_used if state.utc_day == utc else 0,
        eastern,
        state.eastern_used if state.eastern_day == eastern else 0,
        state.blocked_until if state.blocked_until and state.blocked_until > now else None,
    )


def take(state: Daily, weight: int, limit: int, now: dt.datetime) -> tuple[Daily, dt.datetime | None]:
    """Count a call in: the new state and None, or the state and when to ask again.

    >>> noon = dt.datetime(2026, 1, 5, 12, tzinfo=UTC)
    >>> state, refused = take(Daily(), 25, 25, noon)
    >>> state.used, refused
    (25, None)
    >>> take(state, 1, 25, noon)[1].isoformat()
    '2026-01-06T00:00:00+00:00'
    """
    state = rolled(state, now)
    if state.blocked_until:
        return state, state.blocked_until
    fits = state.used + weight <= limit
    probe = min(state.utc_used, state.eastern_used) == 0 and weight <= limit
    if not fits and not probe:
        return state, next_midnight(now)
    taken = msgspec.structs.replace(
        state,
        utc_used=state.utc_used + weight,
        eastern_used=state.eastern_used + weight,
        blocked_until=None if fits else next_midnight(now),  # nobody else until the probe is answered
    )
    return taken, None


def answered(state: Daily, limit: int, now: dt.datetime) -> Daily:
    """A call was answered with data. Were we over the limit by one account, then that account is the wrong one."""
    state = rolled(state, now)
    if state.used <= limit:
        return state
    least = min(state.utc_used, state.eastern_used)
    return msgspec.structs.replace(state, utc_used=least, eastern_used=least, blocked_until=None)


def refused(state: Daily, now: dt.datetime) -> Daily:
    """The venue says that the day's quota is used up, whatever we counted."""
    return msgspec.structs.replace(rolled(state, now), blocked_until=next_midnight(now))


def next_midnight(now: dt.datetime) -> dt.datetime:
    """The next one of either day, in UTC."""
    return min(_midnight_after(now, zone) for zone in (UTC, EASTERN))


def _midnight_after(now: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    tomorrow = now.astimezone(zone).date() + dt.timedelta(days=1)
    return dt.datetime.combine(tomorrow, dt.time(), tzinfo=zone).astimezone(UTC)
