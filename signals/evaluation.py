"""Asking the strategies about candles that have closed, and recording what they say."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q

from ingestion import store
from ingestion.candles import INTERVALS, Bar
from ingestion.models import Instrument
from ingestion.providers import SOURCE_NAMES
from ingestion.symbols import source_rank
from signals import notifications
from signals.candles import Candles
from signals.models import Evaluated, Notification, Signal, SignalSubscription
from signals.notifications import Telling
from signals.strategies import STRATEGIES, Strategy
from signals.strategies.strategy import STRONG, Advice
from signals.topics import signal_messages, signal_payload
from streaming import events


def run(interval: str, now: datetime) -> list[Signal]:
    """Ask every strategy about each bar that has closed since the last run. Re-running changes nothing.

    Bars that closed more than SIGNAL_MAX_AGE_S ago tell of the past, and are passed over. interval: "1m", whose
    bars alone are final rows of their own.
    """
    assert interval == "1m", interval
    length = timedelta(microseconds=INTERVALS[interval])
    oldest = now - timedelta(seconds=settings.SIGNAL_MAX_AGE_S) - length
    closed_us = store.to_us(now - length)
    fresh = _one_source_each(bar for bar in store.final_candles_since(oldest) if bar.time_us <= closed_us)
    places = dict(Evaluated.objects.filter(interval=interval).values_list("instrument_id", "time"))
    made: list[Signal] = []
    for instrument in Instrument.objects.filter(id__in=fresh):
        place = places.get(instrument.id)
        bars = [bar for bar in fresh[instrument.id] if place is None or store.to_datetime(bar.time_us) > place]
        if bars:
            made += _evaluate(instrument, interval, bars)
    return made


def _one_source_each(bars: Iterable[Bar]) -> dict[int, list[Bar]]:
    """Each instrument's bars, in order, from the best source that has any: sources are never mixed."""
    found: defaultdict[int, defaultdict[int, list[Bar]]] = defaultdict(lambda: defaultdict(list))
    for bar in bars:
        found[bar.instrument_id][bar.source].append(bar)
    return {
        instrument: min(by_source.items(), key=lambda item: source_rank(SOURCE_NAMES[item[0]]))[1]
        for instrument, by_source in found.items()
    }


def _evaluate(instrument: Instrument, interval: str, bars: list[Bar]) -> list[Signal]:
    """What the strategies say at the close of each of `bars`, as it was known then."""
    made = []
    for bar in bars:
        for strategy in STRATEGIES.values():
            candles = _candles_up_to(bar, interval, strategy.warmup)
            advice = strategy.evaluate(candles) if len(candles) else None
            if advice is not None:
                made += _record(instrument, interval, strategy, advice, bar)
    Evaluated.objects.update_or_create(
        interval=interval, instrument=instrument, defaults={"time": store.to_datetime(bars[-1].time_us)}
    )
    return made


def _candles_up_to(bar: Bar, interval: str, count: int) -> Candles:
    end = store.to_datetime(bar.time_us + INTERVALS[interval])
    history = store.candles(bar.instrument_id, interval, end=end, limit=count, source=bar.source)
    return Candles.of([known for known in history if known.final], interval)


def _record(instrument: Instrument, interval: str, strategy: Strategy, advice: Advice, bar: Bar) -> list[Signal]:
    """The signal, its notifications and their events in one transaction; nothing if it was recorded before."""
    with transaction.atomic():
        signal, new = Signal.objects.get_or_create(
            strategy=strategy.name,
            instrument=instrument,
            interval=interval,
            time=store.to_datetime(advice.time_us),
            defaults=_columns(advice) | {"candle_rev": bar.rev},
        )
        if not new:
            return []
        told = notifications.record(_subscribers(signal), _telling(signal))
        events.append([*signal_messages(signal), *map(notifications.message, told)])
    return [signal]


def _columns(advice: Advice) -> dict[str, object]:
    return {
        "signal_type": advice.signal_type,
        "strength": advice.strength,
        "confidence_score": advice.confidence_score,
        "entry_price": advice.entry_price,
        "target_price": advice.target_price,
        "stop_loss": advice.stop_loss,
        "expires_at": store.to_datetime(advice.expires_us),
        "reason": advice.reason,
    }


def _subscribers(signal: Signal) -> list[int]:
    wanted = SignalSubscription.objects.filter(strategy=signal.strategy).filter(
        Q(instrument=None) | Q(instrument=signal.instrument)
    )
    active = get_user_model().objects.filter(is_active=True, signal_subscriptions__in=wanted)
    return list(active.values_list("pk", flat=True).distinct())


def _telling(signal: Signal) -> Telling:
    return Telling(
        title=f"{signal.signal_type} {signal.instrument}",
        message=f"{signal.reason} Last {signal.interval} close: {signal.entry_price:g}.",
        notification_type="signal",
        dedupe_key=f"signal:{signal.pk}",
        priority=Notification.Priority.HIGH if signal.strength == STRONG else Notification.Priority.NORMAL,
        data=signal_payload(signal, signal.time),
    )
