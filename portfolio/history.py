"""What a portfolio was worth over time, as points at equal distances: of snapshots, and of the ledger before them."""

import datetime as dt
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import connection

from portfolio import performance, returns
from portfolio.closings import Closing, closings
from portfolio.marking import with_ledger
from portfolio.models import DaySnapshot, HourSnapshot, MinuteSnapshot, Portfolio
from portfolio.performance import Window

STEPS: Final = {
    "1m": dt.timedelta(minutes=1),
    "5m": dt.timedelta(minutes=5),
    "1h": dt.timedelta(hours=1),
    "1d": dt.timedelta(days=1),
}
# How far back a request without a `start` goes.
REACH: Final = {
    "1m": dt.timedelta(days=1),
    "5m": dt.timedelta(days=7),
    "1h": dt.timedelta(days=30),
    "1d": dt.timedelta(days=3650),
}
EPOCH: Final = dt.datetime(2000, 1, 3, tzinfo=dt.UTC)
SNAPSHOT: Final = "snapshot"
CLOSES: Final = "closes"
# A row that is due may come so much later.
_GRACE: Final = dt.timedelta(minutes=5)


class Known(msgspec.Struct, frozen=True):
    """What a portfolio was worth at the end of the stretch that begins at `time`."""

    time: dt.datetime
    total_value: Decimal
    market_value: Decimal
    cash: Decimal
    net_invested: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    stale: bool
    source: str = SNAPSHOT


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of time. gap: nobody knows, every figure is None. carried: nothing has moved since an earlier one.

    pnl: total_value − net_invested; flow: how much net_invested has changed since the last known point.
    """

    time: dt.datetime
    total_value: Decimal | None = None
    market_value: Decimal | None = None
    cash: Decimal | None = None
    net_invested: Decimal | None = None
    realized_pnl: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    pnl: Decimal | None = None
    flow: Decimal | None = None
    stale: bool | None = None
    carried: bool = False
    gap: bool = False
    source: str | None = None


class TooMany(Exception):
    """More points than one request may span."""

    def __init__(self, points: int) -> None:
        super().__init__(f"That is {points} points; one request has at most {settings.HISTORY_MAX_POINTS}.")


def points(
    portfolio: Portfolio, interval: str, start: dt.datetime | None, end: dt.datetime | None, now: dt.datetime
) -> list[Point]:
    """The points that begin in [start, end), none in the future. Without a `start`: from the portfolio's beginning on,
    as far back as REACH. Raises TooMany.
    """
    step = STEPS[interval]
    end = min(end or now, now)
    begin = start or max(end - REACH[interval], _beginning(portfolio) or now)
    begin = floor(max(begin, dt.datetime.fromisoformat(settings.LEDGER_EARLIEST)), step)
    count = max(0, -((begin - end) // step))
    if count > settings.HISTORY_MAX_POINTS:
        raise TooMany(count)
    tolerance = max(step, dt.timedelta(seconds=settings.SNAPSHOT_IDLE_INTERVAL_S) + _GRACE)
    known = kept(portfolio, interval, begin - tolerance - step, end)
    if interval == "1d":
        known = [*_before_snapshots(portfolio, begin, end, now), *known]
    return list(_spread(known, [begin + n * step for n in range(count)], tolerance))


def floor(at: dt.datetime, step: dt.timedelta) -> dt.datetime:
    """The beginning of the stretch that `at` is in."""
    return at - (at - EPOCH) % step


def _spread(known: Sequence[Known], times: Sequence[dt.datetime], tolerance: dt.timedelta) -> Iterator[Point]:
    """A point for each of `times`: known, carried from one that is no older than `tolerance`, or a gap."""
    at, last, invested = 0, None, None
    for time in times:
        while at < len(known) and known[at].time <= time:
            last, at = known[at], at + 1
            if last.time < times[0]:
                invested = last.net_invested
        if last is None or time - last.time > tolerance:
            yield Point(time=time, gap=True)
        else:
            yield _point(last, time, invested)
            invested = last.net_invested


def _point(known: Known, time: dt.datetime, invested: Decimal | None) -> Point:
    return Point(
        time=time,
        total_value=known.total_value,
        market_value=known.market_value,
        cash=known.cash,
        net_invested=known.net_invested,
        realized_pnl=known.realized_pnl,
        unrealized_pnl=known.unrealized_pnl,
        pnl=known.total_value - known.net_invested,
        flow=None if invested is None else known.net_invested - invested,
        stale=known.stale,
        carried=known.time < time,
        source=known.source,
    )


def _beginning(portfolio: Portfolio) -> dt.datetime | None:
    first = portfolio.transactions.order_by("at").values_list("at", flat=True).first()
    return first or portfolio.created_at


# --- Snapshots

_FIGURES: Final = "total_value, market_value, cash, net_invested, realized_pnl, unrealized_pnl, stale"
# A longer stretch's value is its last one: a row of an hour is of its end.
_OF_MINUTES: Final = f"SELECT time, time AS known, {_FIGURES} FROM portfolio_snapshot_1m"
_OF_HOURS: Final = f"SELECT time, time + INTERVAL '59 minutes', {_FIGURES} FROM portfolio_snapshot_1h"
_OF_DAYS: Final = f"SELECT time, time + INTERVAL '1439 minutes', {_FIGURES} FROM portfolio_snapshot_1d"
_MADE_OF: Final = {
    "1m": [_OF_MINUTES],
    "5m": [_OF_MINUTES],
    "1h": [_OF_MINUTES, _OF_HOURS],
    "1d": [_OF_MINUTES, _OF_HOURS, _OF_DAYS],
}
_WHERE: Final = " WHERE portfolio_id = %(portfolio)s AND time >= %(start)s AND time < %(end)s"


def kept(portfolio: Portfolio, interval: str, start: dt.datetime, end: dt.datetime) -> list[Known]:
    """The last snapshot in each stretch that has one and begins in [start, end), oldest first."""
    tables = " UNION ALL ".join(table + _WHERE for table in _MADE_OF[interval])
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT DISTINCT ON (1) date_bin(%(step)s, time, %(epoch)s), {_FIGURES}
                FROM ({tables}) AS kept ORDER BY 1, known DESC""",
            _parameters(portfolio, interval, start, end),
        )
        return [Known(*row) for row in cursor.fetchall()]


def _parameters(portfolio: Portfolio, interval: str, start: dt.datetime, end: dt.datetime) -> dict[str, Any]:
    return {"portfolio": portfolio.pk, "start": start, "end": end, "step": STEPS[interval], "epoch": EPOCH}


# --- Before there were snapshots


def _before_snapshots(portfolio: Portfolio, begin: dt.datetime, end: dt.datetime, now: dt.datetime) -> list[Known]:
    """The days from `begin` on that no snapshot knows of: the ledger at each day's closes."""
    entries = portfolio.transactions.entries()
    first = performance.first_day(entries)
    day = dt.timedelta(days=1)
    until = min(end, _first_snapshot(portfolio) or end)
    days = [] if first is None else _days(max(begin.date(), first), floor(until - dt.timedelta(microseconds=1), day))
    if until < end and days and days[-1] == until.date():
        days.pop()  # the snapshots' own first day
    if not days:
        return []
    window = Window(days[0], days[-1])
    ledger = performance.read(entries, portfolio.policy(), window)
    assert first is not None, "there are days"
    market = returns.market_of(ledger, portfolio.base_currency, Window(first, window.end), now)
    market = with_ledger(market, ledger.entries.values(), ledger.movements)
    return [_of_closing(one) for one in closings(entries, portfolio.policy(), market, days)]


def _days(first: dt.date, last: dt.datetime) -> list[dt.date]:
    return [first + dt.timedelta(days=n) for n in range((last.date() - first).days + 1)]


def _first_snapshot(portfolio: Portfolio) -> dt.datetime | None:
    firsts = [
        model.objects.filter(portfolio=portfolio).order_by("time").values_list("time", flat=True).first()
        for model in (MinuteSnapshot, HourSnapshot, DaySnapshot)
    ]
    return min((first for first in firsts if first is not None), default=None)


def _of_closing(one: Closing) -> Known:
    return Known(
        time=dt.datetime.combine(one.day, dt.time(), dt.UTC),
        total_value=one.total_value,
        market_value=one.market_value,
        cash=one.cash,
        net_invested=one.net_invested,
        realized_pnl=one.realized,
        unrealized_pnl=one.unrealized,
        stale=not one.whole,
        source=CLOSES,
    )
