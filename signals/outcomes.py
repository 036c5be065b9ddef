"""Scoring signals once the bars after them are there: one outcome each, and the end of the signal that it means."""

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import groupby, takewhile
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from ingestion import store
from ingestion.candles import INTERVALS, Bar
from ingestion.providers import SOURCE_NAMES
from signals import lifecycle, scoring, splits
from signals.models import Signal, SignalOutcome
from signals.scoring import Called, Scored

# Of one instrument at once; what is later comes with the next run.
BARS_MAX: Final = 5_000
# A split that becomes known so much later still takes back what was scored across it.
SPLIT_KNOWN_WITHIN: Final = dt.timedelta(days=30)
# One that was superseded is noted within so long.
SUPERSEDED_WITHIN: Final = dt.timedelta(days=7)
SPLIT: Final = "split"
NO_BARS: Final = "no bars"
SUPERSEDED: Final = "superseded"

_STATUS: Final = {
    SignalOutcome.Result.TARGET: Signal.Status.TARGET,
    SignalOutcome.Result.STOP: Signal.Status.STOP,
    SignalOutcome.Result.EXPIRED: Signal.Status.EXPIRED,
    SignalOutcome.Result.SKIPPED: Signal.Status.EXPIRED,
}


def score(interval: str, now: dt.datetime) -> int:
    """Score the signals of this interval that have met their end. Re-running changes nothing. Returns how many."""
    until = now - dt.timedelta(seconds=settings.OUTCOME_GRACE_S)
    _void_across_splits(now)
    groups = (group for unscored in _unscored(interval, until, now) for group in _by_place(unscored))
    return sum(_score_group(group, store.to_us(until), now) for group in groups)


def _unscored(interval: str, until: dt.datetime, now: dt.datetime) -> Iterator[QuerySet[Signal]]:
    """Those that are open, and those that ended by being superseded; each by an index of few rows."""
    rows = Signal.objects.filter(interval=interval, outcome=None, time__lt=until).select_related("instrument")
    yield rows.filter(status=Signal.Status.ACTIVE)
    yield rows.filter(status=Signal.Status.SUPERSEDED, status_at__gt=now - SUPERSEDED_WITHIN)


def _by_place(signals: QuerySet[Signal]) -> Iterator[list[Signal]]:
    ordered = signals.order_by("instrument_id", "source", "time").iterator(chunk_size=1_000)
    for _, group in groupby(ordered, key=lambda signal: (signal.instrument_id, signal.source)):
        yield list(group)


def _score_group(signals: Sequence[Signal], until_us: int, now: dt.datetime) -> int:
    """Signals of one instrument, interval and source, oldest first."""
    first = signals[0]
    bars, known_us = _bars_after(first, until_us)
    known = splits.since(first.time.date(), now, [first.instrument_id])
    return sum(_score_one(signal, bars, known_us, [split.at_us for split in known], now) for signal in signals)


def _bars_after(signal: Signal, until_us: int) -> tuple[list[Bar], int]:
    """The closed bars since it, as they were traded, and until when nothing is missing from them."""
    step_us = INTERVALS[signal.interval]
    end = store.to_datetime(until_us - step_us + 1)
    found = store.candles(
        signal.instrument_id,
        signal.interval,
        start=signal.time,
        end=end,
        limit=BARS_MAX,
        source=signal.source,
        adjust=None,
    )
    closed = list(takewhile(lambda bar: bar.final, found))
    if len(closed) < len(found):
        return closed, found[len(closed)].time_us
    return closed, closed[-1].time_us + step_us if len(closed) == BARS_MAX else until_us


def _score_one(signal: Signal, bars: Sequence[Bar], known_us: int, splits_us: Sequence[int], now: dt.datetime) -> bool:
    if signal.status == Signal.Status.SUPERSEDED:
        return _record(signal, now, result=SignalOutcome.Result.SKIPPED, reason=SUPERSEDED, at=signal.status_at or now)
    called = _called(signal)
    split_us = next((time_us for time_us in splits_us if called.at_us <= time_us < called.expires_us), None)
    if split_us is not None:
        # What was touched before it counts; nothing after it can be compared.
        bars = [bar for bar in bars if bar.time_us + INTERVALS[bar.interval] <= split_us]
        known_us = min(known_us, split_us)
    scored = scoring.score(called, bars, known_us, lambda bar: _minutes(signal, bar))
    if scored is not None:
        return _record(signal, now, **_columns(scored), source=_source(bars))
    if split_us is not None:
        at = store.to_datetime(split_us)
        return _record(signal, now, result=SignalOutcome.Result.SKIPPED, reason=SPLIT, at=at)
    if scoring.is_over(called, known_us):
        return _record(signal, now, result=SignalOutcome.Result.SKIPPED, reason=NO_BARS, at=signal.expires_at)
    return False


def _called(signal: Signal) -> Called:
    return Called(
        side=1 if signal.signal_type == Signal.Type.BUY else -1,
        entry=signal.entry_price,
        target=signal.target_price,
        stop=signal.stop_loss,
        at_us=store.to_us(signal.time),
        expires_us=store.to_us(signal.expires_at),
    )


def _minutes(signal: Signal, bar: Bar) -> list[Bar]:
    start, end = store.to_datetime(bar.time_us), store.to_datetime(bar.time_us + INTERVALS[bar.interval])
    return store.candles(
        signal.instrument_id, "1m", start=start, end=end, limit=1_440, source=bar.source, adjust=None
    )  # fmt: skip


def _source(bars: Sequence[Bar]) -> str:
    return SOURCE_NAMES[bars[0].source] if bars else ""


def _columns(scored: Scored) -> dict[str, Any]:
    return {
        "result": scored.result,
        "at": store.to_datetime(scored.at_us),
        "exit_price": scored.exit,
        "return_percent": scored.return_percent,
        "return_r": scored.in_r(scored.return_percent),
        "mfe_percent": scored.mfe_percent,
        "mfe_r": scored.in_r(scored.mfe_percent),
        "mae_percent": scored.mae_percent,
        "mae_r": scored.in_r(scored.mae_percent),
        "bars_held": scored.bars,
        "gapped": scored.gapped,
        "undecided": scored.undecided,
    }


def _record(signal: Signal, now: dt.datetime, **columns: Any) -> bool:
    """The outcome and the signal's end, in one transaction; neither if it was scored before."""
    with transaction.atomic():
        _, new = SignalOutcome.objects.get_or_create(signal=signal, defaults={**columns, "scored_at": now})
        if new and signal.status == Signal.Status.ACTIVE:
            status = _STATUS[columns["result"]]
            at = signal.expires_at if status == Signal.Status.EXPIRED else columns["at"]
            lifecycle.conclude(signal, status, min(at, now))
    return new


def _void_across_splits(now: dt.datetime) -> None:
    """What was scored before a split became known compares prices of two kinds of shares: it no longer counts."""
    nothing = dict.fromkeys(
        ("exit_price", "return_percent", "return_r", "mfe_percent", "mfe_r", "mae_percent", "mae_r")
    )  # fmt: skip
    for split in splits.since((now - SPLIT_KNOWN_WITHIN).date(), now):
        at = store.to_datetime(split.at_us)
        across = SignalOutcome.objects.filter(signal__instrument=split.instrument_id, signal__time__lte=at, at__gt=at)
        scored = across.exclude(result=SignalOutcome.Result.SKIPPED)
        scored.update(result=SignalOutcome.Result.SKIPPED, reason=SPLIT, **nothing)
