"""Asking the strategies about candles that have closed, and recording what they say."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.db.models import Q

from ingestion import store
from ingestion.candles import INTERVALS, Bar
from ingestion.models import Instrument
from signals import lifecycle, notifications, runs, scorecards, windows
from signals.models import Notification, Signal, SignalHearer, SignalSubscription
from signals.notifications import Telling
from signals.runs import Run
from signals.strategies.strategy import STRONG, Advice
from signals.topics import signal_messages, signal_payload
from signals.windows import Place, Window
from streaming import events


class Said(msgspec.Struct, frozen=True):
    """What a strategy said at the close of a bar: None mostly. bars_digest: of the bars that it saw."""

    run: Run
    bar: Bar
    advice: Advice | None
    bars_digest: str


def run(interval: str, now: datetime) -> list[Signal]:
    """Ask every strategy about each bar that has closed since the last run, then anew about those that were revised.
    Re-running changes nothing. Returns the new signals.

    Bars that closed too long ago (`windows.max_age_s`) tell of the past, and are passed over. A strategy that fails is
    noted on its row; the others are asked all the same.
    """
    asked = runs.load(interval, now)
    failures: dict[str, str] = {}
    made: list[Signal] = []
    seen: set[int] = set()
    for places in windows.batches(windows.due(interval, _wanted(asked), now)):
        told = [_evaluate(window, asked, failures, now) for window in windows.read(interval, places)]
        made += [signal for signals, _ in told for signal in signals]
        done = [place for _, place in told if place is not None]
        windows.mark(interval, done)
        seen |= {place.instrument.pk for place in done}
    made += review(interval, asked, now, seen, failures)
    _note(asked, failures, now, seen)
    return made


def _wanted(asked: Iterable[Run]) -> dict[int, int]:
    """The instruments that are to be looked at, and how many bars the strategies need of each."""
    needed: dict[int, int] = {}
    everywhere = [one.strategy.warmup for one in asked if one.is_house]
    if everywhere:
        needed = dict.fromkeys(Instrument.objects.values_list("pk", flat=True), max(everywhere))
    for one in asked:
        for instrument_id in {i for owner in one.owners for i in owner.instruments}:
            needed[instrument_id] = max(needed.get(instrument_id, 0), one.strategy.warmup)
    return needed


def _note(asked: Iterable[Run], failures: Mapping[str, str], now: datetime, seen: Collection[int]) -> None:
    """What went wrong, and what does no longer. seen: the instruments that were asked about."""
    recovered = []
    for one in asked:
        if one.key in failures:
            runs.failed(one.key, one.kind, one.interval, failures[one.key], now)
        elif one.failed and any(map(one.wants, seen)):
            recovered.append(one.key)
    runs.went_well(recovered)


# --- Asking


def _evaluate(
    window: Window, asked: Iterable[Run], failures: dict[str, str], now: datetime
) -> tuple[list[Signal], Place | None]:
    """What the strategies say of each bar that is due, as it was known then; and up to where they were asked: not
    beyond a bar that is not final yet."""
    place = window.place
    made, times = [], []
    for time_us in place.times_us:
        at = window.at(time_us)
        if at is None:
            continue
        times.append(time_us)
        for one in asked:
            if one.wants(place.instrument.pk):
                said = _ask(one, window, at, failures)
                if said is not None and said.advice is not None:
                    made += _record(place.instrument, said, said.advice)
    return made, msgspec.structs.replace(place, times_us=tuple(times)) if times else None


def _ask(one: Run, window: Window, at: int, failures: dict[str, str]) -> Said | None:
    """None where it failed: then `failures` tells why."""
    known = window.candles.until(at + 1).last(one.strategy.warmup)
    try:
        advice = one.strategy.evaluate(known)
    except Exception as error:  # whatever is wrong with one strategy is no concern of the others
        failures.setdefault(one.key, f"{type(error).__name__}: {error}")
        return None
    return Said(one, window.bars[at], advice, known.digest())


# --- Recording


def _record(instrument: Instrument, said: Said, advice: Advice) -> list[Signal]:
    """The signal, its notifications and their events in one transaction; nothing if it was recorded before."""
    signal = _signal(instrument, said, advice)
    same = Signal.objects.filter(
        strategy=signal.strategy, strategy_key=signal.strategy_key, instrument=instrument, interval=signal.interval,
        time=signal.time,
    )  # fmt: skip
    if same.exclude(status=Signal.Status.SUPERSEDED).exists():
        return []
    try:
        with transaction.atomic():
            signal.save(force_insert=True)
            owners = said.run.hearers(instrument.pk, signal.confidence_score)
            _let_hear(signal, [owner.user_id for owner in owners])
            told = notifications.record(_told(signal, said.run), _telling(signal))
            events.append([*signal_messages(signal), *map(notifications.message, told)])
    except IntegrityError:
        if not same.exclude(status=Signal.Status.SUPERSEDED).exists():
            raise
        return []  # another worker was faster
    return [signal]


def _signal(instrument: Instrument, said: Said, advice: Advice) -> Signal:
    confidence, basis = _confidence(said.run, advice)
    return Signal(
        strategy=said.run.kind,
        strategy_key=said.run.key,
        instrument=instrument,
        interval=said.run.interval,
        time=store.to_datetime(advice.time_us),
        candle_rev=said.bar.rev,
        source=said.bar.source,
        bars_digest=said.bars_digest,
        private=not said.run.is_house,
        signal_type=advice.signal_type,
        strength=advice.strength,
        confidence_score=confidence,
        confidence_basis=basis,
        entry_price=advice.entry_price,
        target_price=advice.target_price,
        stop_loss=advice.stop_loss,
        expires_at=store.to_datetime(advice.expires_us),
        reason=advice.reason,
    )


def _confidence(one: Run, advice: Advice) -> tuple[float, str]:
    """0 to 100, and what it rests on: how often its signals reached their targets, once enough of them are over, else
    the strategy's own guess."""
    calibrated = scorecards.calibrated(one.key)
    if calibrated is None:
        return advice.confidence_score, "heuristic"
    rate, count = calibrated
    return round(100 * rate, 1), f"calibrated hit rate of {count} signals"


def _let_hear(signal: Signal, user_ids: Iterable[int]) -> None:
    if signal.private:
        SignalHearer.objects.bulk_create([SignalHearer(signal=signal, user_id=user_id) for user_id in set(user_ids)])


def _told(signal: Signal, one: Run) -> list[int]:
    """Who subscribed to the house's strategy, and whose own one it is, if they want to be told."""
    owners = one.hearers(signal.instrument_id, signal.confidence_score)
    ids = {owner.user_id for owner in owners if owner.notify}
    if one.is_house:
        wanted = SignalSubscription.objects.filter(strategy=signal.strategy).filter(
            Q(instrument=None) | Q(instrument=signal.instrument)
        )
        active = get_user_model().objects.filter(is_active=True, signal_subscriptions__in=wanted)
        ids |= set(active.values_list("pk", flat=True))
    return sorted(ids)


def _telling(signal: Signal) -> Telling:
    return Telling(
        title=f"{signal.signal_type} {signal.instrument}",
        message=f"{signal.reason} Last {signal.interval} close: {signal.entry_price:g}.",
        notification_type="signal",
        dedupe_key=f"signal:{signal.pk}",
        priority=Notification.Priority.HIGH if signal.strength == STRONG else Notification.Priority.NORMAL,
        data=signal_payload(signal, signal.time),
    )


# --- Superseding


def review(
    interval: str, asked: Sequence[Run], now: datetime, instrument_ids: Collection[int], failures: dict[str, str]
) -> list[Signal]:
    """Ask anew about the active signals whose bars are not what they were: of these instruments, and of those whose own
    bar was revised. What is no longer said is superseded. Returns the new signals."""
    by_key = {one.key: one for one in asked}
    rows = Signal.objects.filter(interval=interval, status=Signal.Status.ACTIVE, expires_at__gt=now)
    rows = rows.filter(strategy_key__in=by_key).exclude(bars_digest="").exclude(source=None)
    signals = list(rows.select_related("instrument").order_by("instrument_id", "source", "time"))
    revised = _revised(interval, signals)
    made: list[Signal] = []
    doubtful = [s for s in signals if s.instrument_id in instrument_ids or s.pk in revised]
    for places in windows.batches(_places(doubtful, by_key)):
        for window in windows.read(interval, places):
            of_place = [s for s in doubtful if (s.instrument_id, s.source) == _of(window.place)]
            made += [new for s in of_place for new in _reconsider(s, by_key[s.strategy_key], window, failures, now)]
    return made


def _of(place: Place) -> tuple[int, int]:
    return place.instrument.pk, place.source


def _begins_us(signal: Signal) -> int:
    """When the bar that it was made of began."""
    return store.to_us(signal.time) - INTERVALS[signal.interval]


def _revised(interval: str, signals: Iterable[Signal]) -> set[int]:
    """Those whose own bar has a higher revision than it had."""
    keys = {s.pk: store.Key(s.instrument_id, s.source or 0, _begins_us(s)) for s in signals}
    now = {store.Key(b.instrument_id, b.source, b.time_us): b.rev for b in store.rolled_up(keys.values(), interval)}
    return {s.pk for s in signals if now.get(keys[s.pk], 0) > s.candle_rev}


def _places(signals: Iterable[Signal], by_key: Mapping[str, Run]) -> list[Place]:
    """One for each instrument and source, with the history that the oldest signal needs."""
    found: dict[tuple[int, int], list[Signal]] = {}
    for signal in signals:
        found.setdefault((signal.instrument_id, signal.source or 0), []).append(signal)
    return [
        Place(
            of_place[0].instrument,
            source,
            tuple(sorted({_begins_us(signal) for signal in of_place})),
            max(by_key[signal.strategy_key].strategy.warmup for signal in of_place) + _apart(of_place),
        )
        for (_, source), of_place in found.items()
    ]


def _apart(signals: Sequence[Signal]) -> int:
    """How many bars lie between the oldest and the newest."""
    times = [_begins_us(signal) for signal in signals]
    return (max(times) - min(times)) // INTERVALS[signals[0].interval]


def _reconsider(signal: Signal, one: Run, window: Window, failures: dict[str, str], now: datetime) -> list[Signal]:
    at = window.at(_begins_us(signal))
    if at is None:
        return []
    if window.candles.until(at + 1).last(one.strategy.warmup).digest() == signal.bars_digest:
        if window.bars[at].rev > signal.candle_rev:  # revised in what strategies don't see
            Signal.objects.filter(pk=signal.pk).update(candle_rev=window.bars[at].rev)
        return []
    said = _ask(one, window, at, failures)
    if said is None:
        return []
    if said.advice is not None and _columns(_signal(signal.instrument, said, said.advice)) == _columns(signal):
        # It says the same of the bars as they are now: nothing that anybody was told has changed.
        Signal.objects.filter(pk=signal.pk).update(bars_digest=said.bars_digest, candle_rev=said.bar.rev)
        return []
    return _supersede(signal, said, now)


def _columns(signal: Signal) -> tuple[Any, ...]:
    return (
        signal.signal_type, signal.strength, signal.entry_price, signal.target_price, signal.stop_loss,
        signal.expires_at, signal.reason,
    )  # fmt: skip


def _supersede(old: Signal, said: Said, now: datetime) -> list[Signal]:
    """The old signal's end, what is said instead, who is told of it, and their events, in one transaction."""
    with transaction.atomic():
        messages = lifecycle.end(old, Signal.Status.SUPERSEDED, now)
        if messages is None:
            return []  # it has reached its target meanwhile, or another worker was faster
        hearers = list(old.hearers.values_list("user_id", flat=True))
        new = None
        if said.advice is not None:
            new = _signal(old.instrument, said, said.advice)
            new.supersedes = old
            new.save(force_insert=True)
            hearers += [owner.user_id for owner in said.run.hearers(old.instrument_id, new.confidence_score)]
            _let_hear(new, hearers)
            messages = [*messages, *signal_messages(new)]
        told = notifications.record(_told(old, said.run), _telling_instead(old, new))
        events.append([*messages, *map(notifications.message, told)])
    return [] if new is None else [new]


def _telling_instead(old: Signal, new: Signal | None) -> Telling:
    now_says = "nothing" if new is None else f"{new.signal_type}. {new.reason} Close: {new.entry_price:g}"
    shown = new or old
    return Telling(
        title=f"Superseded: {old.signal_type} {old.instrument}",
        message=f"Bars that it was made of were revised. {old.strategy} now says {now_says}.",
        notification_type="signal",
        dedupe_key=f"signal:{old.pk}:superseded",
        priority=Notification.Priority.NORMAL,
        data=signal_payload(shown, shown.time),
    )
