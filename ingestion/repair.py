"""Gaps repaired from the venues' history, until what is on disk is what would be there had nothing gone wrong.

What is missing is worked out anew each time from what is on disk, so that a repair which was killed, or ran out of its
budget, goes on where it was, and one that is done again changes nothing. A gap is `filled` when the ids prove it (or,
where it has no neighbours to count from, when the venue has told all of its time); else `unfillable`, and it says why.
Quotes and books are gone for good: no venue tells its old ones.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import redis
from celery import shared_task
from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from ingestion import backfill, control, demand, gaps, history, http, plan, store, symbols
from ingestion.holes import Hole
from ingestion.models import Backfill, Gap, HistoryRequest, Instrument, VenueSymbol
from ingestion.providers import SOURCES
from ingestion.rest.history import Wanted
from ingestion.store import holes
from ingestion.store.times import to_us
from ingestion.writer import announce
from worker import lease, metrics

logger = logging.getLogger(__name__)

LEASE: Final = "ingestion.heal_gaps"
LEASE_TTL_S: Final = 120.0
SECOND_US: Final = 1_000_000
# The trade before a gap counts as its neighbour if it is no older than this; else there may be other gaps between.
NEIGHBOUR_US: Final = 600 * SECOND_US
SLICE_US: Final = 60 * SECOND_US
PROBLEMS_SHOWN: Final = 5
# Instruments whose history is asked for at one go.
REQUESTS_AT_ONCE: Final = 20
FOUND_AT_NIGHT: Final = "found at night"


class NotNow(Exception):
    """The time of this run is up; the rest of the gap waits for the next."""


class Turn:
    """One run's share of time, asked for between two pages."""

    def __init__(self, run_s: float, mine: Callable[[], bool] = lambda: True) -> None:
        self._until, self._mine = time.monotonic() + run_s, mine

    def go_on(self) -> None:
        """Raises NotNow."""
        if self.is_over:
            raise NotNow

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._until or not self._mine()


class Target(NamedTuple):
    """One instrument whose trades are missing, by its ids and names."""

    instrument_id: int
    symbol: str  # as the venue's REST calls it
    source: int


class Outcome(NamedTuple):
    """What became of a gap."""

    status: str
    detail: str


@shared_task(name="ingestion.heal_gaps", ignore_result=True, acks_late=True)
def heal_gaps() -> int:
    """Repair what can be repaired within the budgets. One at a time; re-running changes nothing.

    Returns how many gaps came to their end.
    """
    held = lease.acquire(LEASE, LEASE_TTL_S)
    if held is None:
        return 0
    try:
        Gap.objects.filter(status=Gap.Status.REPAIRING).update(status=Gap.Status.OPEN)  # left by a killed worker
        return heal(Turn(settings.REPAIR_RUN_S, held.renew))
    finally:
        try:
            held.release()
        except redis.RedisError as error:
            logger.warning("the lease of the repair runs out by itself: %s", error)


def heal(turn: Turn) -> int:
    """Go through the gaps that are due, newest first. A provider whose budget is used up is left for the next time."""
    used_up: set[str] = set()
    ended = 0
    for gap in due(timezone.now()):
        if turn.is_over:
            break
        if gap.provider not in used_up and Gap.objects.filter(pk=gap.pk, status=Gap.Status.OPEN).update(
            status=Gap.Status.REPAIRING
        ):
            ended += _tried(gap, turn, used_up)
    return ended


def due(now: dt.datetime) -> list[Gap]:
    """The gaps that are over for long enough, and whose next attempt may be."""
    over = now - dt.timedelta(seconds=settings.REPAIR_MIN_AGE_S)
    rows = Gap.objects.filter(
        Q(next_attempt_at=None) | Q(next_attempt_at__lte=now), status=Gap.Status.OPEN, ended_at__lt=over
    )
    return list(rows.select_related("instrument").order_by("-ended_at"))


def _tried(gap: Gap, turn: Turn, used_up: set[str]) -> bool:
    """Whether it came to its end."""
    try:
        outcome = repair(gap, turn)
    except NotNow:
        _put_back(gap)
    except http.OverBudget as error:
        used_up.add(gap.provider)
        _put_back(gap, next_attempt_at=dt.datetime.fromtimestamp(error.retry_at_s, dt.UTC), detail=str(error))
    except history.FAILURES as error:
        return _failed(gap, error)
    else:
        logger.info("gap %d, %s: %s: %s", gap.pk, gap, outcome.status, outcome.detail)
        metrics.count(f"ingestion.gaps_{outcome.status}")
        return _ours(gap).update(status=outcome.status, detail=outcome.detail, next_attempt_at=None) == 1
    return False


def _failed(gap: Gap, error: Exception) -> bool:
    """Try later, a bounded number of times; give up where the venue will never say more."""
    attempts = gap.attempts + 1
    if not history.failed_in_passing(error) or attempts >= settings.REPAIR_MAX_ATTEMPTS:
        _ours(gap).update(status=Gap.Status.UNFILLABLE, attempts=attempts, detail=str(error))
        return True
    pause_s = min(settings.REPAIR_RETRY_MIN_S * 2 ** (attempts - 1), settings.REPAIR_RETRY_MAX_S)
    next_attempt_at = timezone.now() + dt.timedelta(seconds=pause_s)
    _put_back(gap, attempts=attempts, next_attempt_at=next_attempt_at, detail=str(error))
    return False


def _put_back(gap: Gap, **changes: object) -> None:
    _ours(gap).update(status=Gap.Status.OPEN, **changes)


def _ours(gap: Gap) -> QuerySet[Gap]:
    # One that grew meanwhile is open again, and stays so.
    return Gap.objects.filter(pk=gap.pk, status=Gap.Status.REPAIRING)


# --- One gap --------------------------------------------------------------------------------------------------


def repair(gap: Gap, turn: Turn) -> Outcome:
    """Bring what is missing. Raises NotNow, and what history.FAILURES names where all of it failed."""
    if gap.kind in (Gap.Kind.QUOTES, Gap.Kind.BOOK):
        return Outcome(Gap.Status.UNFILLABLE, f"no venue tells its old {gap.kind}")
    if gap.provider == history.SIMULATED:
        return _repair_simulated(gap, turn)
    if not history.has_trades(gap.provider):
        return Outcome(Gap.Status.UNFILLABLE, f"{gap.provider} gives no history of its trades")
    problems = []
    targets = _targets(gap)
    for target in targets:
        if problem := _repair_target(gap, target, turn):
            problems.append(f"{target.symbol}: {problem}")
    if problems:
        more = f" and {len(problems) - PROBLEMS_SHOWN} more" if len(problems) > PROBLEMS_SHOWN else ""
        return Outcome(Gap.Status.UNFILLABLE, "; ".join(problems[:PROBLEMS_SHOWN]) + more)
    repaired = Gap.objects.values_list("repaired", flat=True).get(pk=gap.pk)
    return Outcome(Gap.Status.FILLED, f"{repaired} trades of {len(targets)} instruments brought; nothing is missing")


def _targets(gap: Gap) -> list[Target]:
    """The instruments of a gap: its own, or all that the feed follows or followed around that time."""
    names = VenueSymbol.objects.filter(
        Q(valid_from=None) | Q(valid_from__lte=gap.started_at),
        Q(valid_until=None) | Q(valid_until__gt=gap.started_at),
        provider=gap.provider,
    )
    source = SOURCES[gap.provider]
    if gap.instrument_id is not None:
        wanted = {gap.instrument_id}
    else:
        start_us, end_us = _bounds(gap)
        wanted = {known.id for known in symbols.followed(gap.provider, demand.wanted()).values()}
        wanted |= holes.traded(source, start_us - NEIGHBOUR_US, end_us + NEIGHBOUR_US)
    rows = names.filter(instrument_id__in=wanted).order_by("instrument_id", "id")
    return [Target(row.instrument_id, row.rest_symbol or row.symbol, source) for row in rows]


def _bounds(gap: Gap) -> tuple[int, int]:
    assert gap.ended_at is not None, "a gap that lasts is not due"
    return to_us(gap.started_at), to_us(gap.ended_at)


def _repair_target(gap: Gap, target: Target, turn: Turn) -> str:
    """Why something of this instrument stays missing; empty where nothing does."""
    problems = []
    for wanted in _wanted(gap, target):
        try:
            _fetch(gap, target, wanted, turn)
        except history.FAILURES as error:
            if history.failed_in_passing(error) or gap.instrument_id is not None:
                raise
            problems.append(str(error))  # the others' trades can be had nevertheless
            continue
        if lost := _unproved(target, wanted):
            problems.append(f"the venue does not have {lost} of the ids {wanted.from_id} to {wanted.to_id}")
    return "; ".join(problems)


def _wanted(gap: Gap, target: Target) -> list[Wanted]:
    start_us, end_us = _bounds(gap)
    if gap.from_id is not None and gap.to_id is not None:
        return _wanted_ids(target, gap.from_id, gap.to_id, start_us, end_us)
    before = holes.trade_at_or_before(target.instrument_id, target.source, start_us)
    after = holes.trade_after(target.instrument_id, target.source, end_us)
    near_before = before if before and before.time_us >= start_us - NEIGHBOUR_US else None
    near_after = after if after and after.time_us <= end_us + NEIGHBOUR_US else None
    if near_before and near_after:
        missing = holes.missing_ids(target.instrument_id, target.source, near_before.time_us, near_after.time_us)
        return [Wanted(target.symbol, m.from_us, m.until_us, m.from_id, m.to_id) for m in missing]
    return [
        Wanted(
            target.symbol,
            near_before.time_us if near_before else start_us,
            near_after.time_us if near_after else end_us,
            near_before.trade_id + 1 if near_before else None,
            near_after.trade_id - 1 if near_after else None,
        )
    ]


def _wanted_ids(target: Target, from_id: int, to_id: int, start_us: int, end_us: int) -> list[Wanted]:
    """What of these ids is not on disk."""
    whole = Wanted(target.symbol, start_us, end_us, from_id, to_id)
    if not _unproved(target, whole):
        return []
    around = start_us - holes.BESIDE_US, end_us + holes.BESIDE_US
    missing = [
        m
        for m in holes.missing_ids(target.instrument_id, target.source, *around)
        if m.from_id <= to_id and m.to_id >= from_id
    ]
    if not missing:
        return [whole]  # its neighbours are not on disk either
    return [Wanted(target.symbol, m.from_us, m.until_us, max(m.from_id, from_id), min(m.to_id, to_id)) for m in missing]


def _unproved(target: Target, wanted: Wanted) -> int:
    """How many of the wanted ids are not on disk; 0 where no ids were known."""
    if wanted.from_id is None or wanted.to_id is None:
        return 0
    there = holes.count_ids(
        target.instrument_id, target.source, wanted.from_id, wanted.to_id, wanted.from_us, wanted.until_us
    )
    return wanted.to_id - wanted.from_id + 1 - there


def _fetch(gap: Gap, target: Target, wanted: Wanted, turn: Turn) -> None:
    for page in history.trades(gap.provider, wanted, settings.REPAIR_BUDGET_WAIT_S):
        now_us = history.clock_us()
        stored = backfill.store_trades(target.source, target.instrument_id, page.trades, now_us)
        _count(gap, stored.new)
        announce(stored.bars, now_us)
        if page.following is not None:
            turn.go_on()


def _count(gap: Gap, new: int) -> None:
    if new:
        Gap.objects.filter(pk=gap.pk).update(repaired=F("repaired") + new)
        metrics.count("ingestion.trades_repaired", new)


# --- The simulated market -------------------------------------------------------------------------------------


def _repair_simulated(gap: Gap, turn: Turn) -> Outcome:
    """It can tell any time again; where that would be too much, its candles only."""
    ids = {symbol: known.id for symbol, known in symbols.provider_map(history.SIMULATED).items()}
    start_us, end_us = _bounds(gap)
    if end_us - start_us > int(settings.REPAIR_SIMULATED_MAX_S * SECOND_US):
        made = sum(
            store.copy_candles(history.simulated_candles(symbol, ids[symbol], start_us, end_us))
            for symbol in symbols.followed(history.SIMULATED, demand.wanted())
        )
        longest = f"{settings.REPAIR_SIMULATED_MAX_S:g} s"
        return Outcome(Gap.Status.UNFILLABLE, f"longer than {longest}: {made} candles were made, no trades")
    for span in plan.pages(plan.Span(start_us, end_us), SLICE_US):
        now_us = history.clock_us()
        for symbol, trades in history.simulated_trades(span.from_us, span.until_us).items():
            stored = backfill.store_trades(SOURCES[history.SIMULATED], ids[symbol], trades, now_us)
            _count(gap, stored.new)
            announce(stored.bars, now_us)
        turn.go_on()
    return Outcome(Gap.Status.FILLED, "made again by the simulation")


# --- Every night, and for what is new -------------------------------------------------------------------------


@shared_task(name="ingestion.heal_last_days", ignore_result=True, acks_late=True)
def heal_last_days() -> int:
    """Look for holes in the trades of the last HEAL_DAYS, and fetch the venues' candles of them that are lacking.

    Re-running changes nothing. Returns how many holes were found that nobody knew.
    """
    now = timezone.now()
    since = now - dt.timedelta(days=settings.HEAL_DAYS)
    found = 0
    for provider in _venues():
        followed = symbols.followed(provider, demand.wanted())
        found += sum(_record_holes(provider, symbol, known.id, since, now) for symbol, known in followed.items())
        _fetch_candles(provider, [known.id for known in followed.values()], since, now, Backfill.Cause.NIGHTLY)
    return found


def _venues() -> list[str]:
    return [provider for provider in control.running() if history.has_trades(provider)]


def _record_holes(provider: str, symbol: str, instrument_id: int, since: dt.datetime, now: dt.datetime) -> int:
    missing = holes.missing_ids(instrument_id, SOURCES[provider], to_us(since), to_us(now), settings.GAPS_OPEN_MAX)
    # What nobody followed for days is no gap in what we followed.
    short = [m for m in missing if m.to_id - m.from_id < settings.HEAL_HOLE_MAX_TRADES]
    return gaps.record(
        provider, [Hole(symbol, m.from_id, m.to_id, m.from_us, m.until_us) for m in short], FOUND_AT_NIGHT
    )


def _fetch_candles(provider: str, ids: list[int], since: dt.datetime, until: dt.datetime, cause: str) -> None:
    instruments = tuple(Instrument.objects.filter(pk__in=ids))
    for kind in _kinds(provider):
        wish = backfill.Wish(provider, kind, instruments, since, until)
        if backfill.planned(wish).pieces:
            backfill.start(wish, cause=cause)


def _kinds(provider: str) -> list[str]:
    return [kind for kind, days in settings.HISTORY_DAYS.items() if int(days) and kind in history.kinds(provider)]


@shared_task(name="ingestion.request_histories", ignore_result=True, acks_late=True)
def request_histories() -> int:
    """Ask for the past of the instruments that are followed since lately: once each. Returns of how many."""
    now = timezone.now()
    asked = 0
    for provider in _venues():
        followed = {known.id for known in symbols.followed(provider, demand.wanted()).values()}
        known = HistoryRequest.objects.filter(provider=provider, instrument_id__in=followed)
        new = sorted(followed - set(known.values_list("instrument_id", flat=True)))[:REQUESTS_AT_ONCE]
        for kind in _kinds(provider) if new else []:
            since = now - dt.timedelta(days=int(settings.HISTORY_DAYS[kind]))
            instruments = tuple(Instrument.objects.filter(pk__in=new))
            backfill.start(backfill.Wish(provider, kind, instruments, since, now), cause=Backfill.Cause.NEW_INSTRUMENT)
        HistoryRequest.objects.bulk_create(
            (HistoryRequest(provider=provider, instrument_id=i) for i in new), ignore_conflicts=True
        )
        asked += len(new)
    return asked
