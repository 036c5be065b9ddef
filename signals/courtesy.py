"""When somebody is to be disturbed: at once, when the quiet hours are over, by a summary, or not at all. Pure.

All of it is about deliveries. In the application everything is shown at once.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

LOW, NORMAL, HIGH, CRITICAL = "low", "normal", "high", "critical"
RANK: Final[Mapping[str, int]] = {LOW: 0, NORMAL: 1, HIGH: 2, CRITICAL: 3}
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES: Final = 24 * 60
# The group of summaries themselves: nothing gathers those.
DIGEST: Final = "digest"
# What `minimum` calls all types that it doesn't name.
OTHERS: Final = "*"

_DAY: Final = dt.timedelta(days=1)
# Quiet hours that touch are one rest; more than these in a row are no rest any more.
_SPANS_IN_A_ROW: Final = 16


class QuietHours(msgspec.Struct, frozen=True):
    """From one time of the day to another, on days of the week (0 is Monday).

    start, end: minutes since midnight by the wall clock; 1440 ends a day. An end that isn't later is the next day's.
    """

    days: frozenset[int]
    start: int
    end: int


class DigestRule(msgspec.Struct, frozen=True):
    """These types (none: all), up to this priority, come together: so long after the first, or at times of the day."""

    types: frozenset[str] = frozenset()
    up_to: str = NORMAL
    every_minutes: int = 0
    at: tuple[int, ...] = ()

    def takes(self, type_: str, priority: str) -> bool:
        return RANK[priority] <= RANK[self.up_to] and (not self.types or type_ in self.types)

    def due(self, zone: dt.tzinfo, now: dt.datetime) -> dt.datetime:
        """When what begins to be gathered now is told."""
        if self.every_minutes:
            return now + dt.timedelta(minutes=self.every_minutes)
        return _next_time(zone, self.at, now)


class Storm(msgspec.Struct, frozen=True):
    """What is too much: beyond so many of one group, or of one type, within so many minutes, the rest is summed up."""

    group_max: int
    type_max: int
    minutes: int


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """How one user wants to be told. minimum: by type, the least priority that is delivered; `*` stands for others."""

    storm: Storm
    zone: dt.tzinfo = dt.UTC
    quiet: tuple[QuietHours, ...] = ()
    critical_breaks_through: bool = True
    digests: tuple[DigestRule, ...] = ()
    minimum: Mapping[str, str] = {}
    muted: frozenset[str] = frozenset()


class Recent(msgspec.Struct, frozen=True):
    """How much the user was told since `counted_since`, of the group and of the type."""

    group: int = 0
    type: int = 0


class Decision(msgspec.Struct, frozen=True):
    """due: when it is delivered; None: not at all. digest: the key of the summary that it goes into instead."""

    due: dt.datetime | None
    digest: str = ""


def decide(wishes: Wishes, type_: str, priority: str, group: str, recent: Recent, now: dt.datetime) -> Decision:
    """What becomes of one telling outside the application."""
    if _is_unwanted(wishes, type_, priority):
        return Decision(None)
    due, digest = (now, "") if group == DIGEST else _gather(wishes, type_, priority, group, recent, now)
    if not _breaks_through(wishes, priority):
        due = quiet_until(wishes, due) or due
    return Decision(due, digest)


def counted_since(wishes: Wishes, priority: str, now: dt.datetime) -> dt.datetime:
    """The beginning of what `Recent` counts. One rest counts as one moment: it all arrives when it is over."""
    since = now - dt.timedelta(minutes=wishes.storm.minutes)
    rest = None if _breaks_through(wishes, priority) else quiet_hours(wishes, now)
    return min(since, rest[0]) if rest else since


def _is_unwanted(wishes: Wishes, type_: str, priority: str) -> bool:
    least = wishes.minimum.get(type_) or wishes.minimum.get(OTHERS, LOW)
    return type_ in wishes.muted or RANK[priority] < RANK[least]


def _breaks_through(wishes: Wishes, priority: str) -> bool:
    return priority == CRITICAL and wishes.critical_breaks_through


def _gather(
    wishes: Wishes, type_: str, priority: str, group: str, recent: Recent, now: dt.datetime
) -> tuple[dt.datetime, str]:
    """When it is due, and the summary that it goes into: by the user's rules, or because there is too much of it.

    A summary is of one type, so that a destination which wants certain types gets theirs.
    """
    for number, rule in enumerate(() if _breaks_through(wishes, priority) else wishes.digests):
        if rule.takes(type_, priority):
            return rule.due(wishes.zone, now), f"rule:{number}:{type_}"
    over = now + dt.timedelta(minutes=wishes.storm.minutes)
    if recent.group >= wishes.storm.group_max:
        return over, f"storm:{group}"
    if recent.type >= wishes.storm.type_max:
        return over, f"storm:{type_}"
    return now, ""


# --- Quiet hours --------------------------------------------------------------------------------------------------


def quiet_until(wishes: Wishes, now: dt.datetime) -> dt.datetime | None:
    """When the user may be disturbed again; None: now."""
    rest = quiet_hours(wishes, now)
    return rest[1] if rest else None


def quiet_hours(wishes: Wishes, now: dt.datetime) -> tuple[dt.datetime, dt.datetime] | None:
    """The rest around `now`: quiet hours that overlap or touch are one."""
    start = end = now
    for _ in range(_SPANS_IN_A_ROW):
        later = [span[1] for span in _spans(wishes, end) if span[0] <= end < span[1]]
        if not later:
            break
        end = max(later)
    if end == now:
        return None
    for _ in range(_SPANS_IN_A_ROW):
        earlier = [span[0] for span in _spans(wishes, start) if span[0] < start <= span[1]]
        if not earlier:
            break
        start = min(earlier)
    return start, end


def never_rests(quiet: tuple[QuietHours, ...]) -> bool:
    """Whether these leave no time of the week at which anything could be delivered."""
    taken: set[int] = set()
    for one in quiet:
        for day in one.days:
            first = day * DAY_MINUTES
            taken.update(minute % (7 * DAY_MINUTES) for minute in range(first + one.start, first + _end(one)))
    return len(taken) == 7 * DAY_MINUTES


def _spans(wishes: Wishes, around: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """The quiet hours that begin on the day before, on the day, or on the day after."""
    if not wishes.quiet:
        return
    today = around.astimezone(wishes.zone).date()
    for day in (today - _DAY, today, today + _DAY):
        for one in wishes.quiet:
            if day.weekday() in one.days:
                yield moment(wishes.zone, day, one.start), moment(wishes.zone, day, _end(one), last=True)


def _end(one: QuietHours) -> int:
    return one.end if one.end > one.start else one.end + DAY_MINUTES


# --- Clocks -------------------------------------------------------------------------------------------------------


def moment(zone: dt.tzinfo, day: dt.date, minute: int, *, last: bool = False) -> dt.datetime:
    """When the clocks of the zone show this time, in UTC.

    A time that they skip is the moment of the skip. Of a time that they show twice it is the first, or the `last`.
    """
    shown = dt.datetime.combine(day, dt.time(), zone) + dt.timedelta(minutes=minute)
    first, second = (shown.replace(fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    if second < first:
        return _skip(zone, second, first)
    return second if last else first


def _skip(zone: dt.tzinfo, before: dt.datetime, after: dt.datetime) -> dt.datetime:
    """The second between the two at which the clocks were put forward."""
    old = before.astimezone(zone).utcoffset()
    low, high = 0, round((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if (before + dt.timedelta(seconds=middle)).astimezone(zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return before + dt.timedelta(seconds=high)


def _next_time(zone: dt.tzinfo, minutes: tuple[int, ...], now: dt.datetime) -> dt.datetime:
    today = now.astimezone(zone).date()
    moments = (moment(zone, today + n * _DAY, minute) for n in range(3) for minute in minutes)
    return min(at for at in moments if at > now)


# --- What is stored -----------------------------------------------------------------------------------------------


def minute_of_day(text: str) -> int:
    """`07:30` as minutes; `24:00` is the day's end. Raises ValueError."""
    hour, colon, minute = text.partition(":")
    plain = text.isascii() and hour.isdigit() and minute.isdigit() and (len(hour), len(minute)) == (2, 2)
    if not (colon and plain and int(minute) < 60 and int(hour) * 60 + int(minute) <= DAY_MINUTES):
        raise ValueError(text)
    return int(hour) * 60 + int(minute)


def read_quiet_hours(raw: Mapping[str, Any]) -> QuietHours:
    """`{"days": ["mon", …], "start": "22:00", "end": "07:00"}`; without days: on all."""
    days = frozenset(DAYS.index(day) for day in raw.get("days") or DAYS)
    return QuietHours(days, minute_of_day(raw["start"]), minute_of_day(raw["end"]))


def read_digest_rule(raw: Mapping[str, Any]) -> DigestRule:
    """`{"types": […], "up_to": "normal", "every_minutes": 60}`, or `"at": ["08:00", …]` in its place."""
    at = tuple(sorted(minute_of_day(one) for one in raw.get("at") or ()))
    return DigestRule(frozenset(raw.get("types") or ()), raw.get("up_to", NORMAL), raw.get("every_minutes") or 0, at)
