"""signal and sentiment: what strategies and the news have said of instruments."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.conf import settings

from ingestion.candles import INTERVALS
from ingestion.store import to_us
from signals import news
from signals.facts.look import Kept, Look, at, by
from signals.models import Signal, UserStrategy
from signals.rules import Ask, Seen


class Signals:
    """The newest signal that matches, of a bar that closed within SIGNAL_MAX_AGE_S: of the house, or of a strategy of
    the alert's owner. Its value is its confidence."""

    def gather(self, asks: Sequence[Ask], look: Look) -> dict[Ask, Seen]:
        since = look.now - dt.timedelta(seconds=settings.SIGNAL_MAX_AGE_S)
        rows = by_instrument({ask.instrument for ask in asks if ask.instrument is not None}, since, look.now)
        keys = keys_of(asks) if rows else {}
        found = {}
        for ask in asks:
            for row in rows.get(ask.instrument or 0, ()):
                if matches(ask, row, keys):
                    found[ask] = seen(row)
        return found


def by_instrument(instrument_ids: set[int], since: dt.datetime, until: dt.datetime) -> dict[int, list[Signal]]:
    """The signals of bars that closed in [since, until], oldest first, as they stand: none is superseded."""
    rows = Signal.objects.filter(instrument_id__in=instrument_ids, time__gte=since, time__lte=until)
    rows = rows.exclude(status=Signal.Status.SUPERSEDED).prefetch_related("hearers")
    found: dict[int, list[Signal]] = {}
    for row in rows.order_by("time", "id"):
        found.setdefault(row.instrument_id, []).append(row)
    return found


def keys_of(asks: Iterable[Ask]) -> dict[int, str]:
    """By number the keys of the users' own strategies that are asked for, as they are now."""
    numbers = {int(number) for ask in asks if (number := ask.get("strategy_id")) is not None}
    rows = UserStrategy.objects.filter(pk__in=numbers) if numbers else UserStrategy.objects.none()
    return dict(rows.values_list("pk", "run__key"))


def matches(ask: Ask, row: Signal, keys: Mapping[int, str]) -> bool:
    """keys: as `keys_of` has them."""
    return (
        (not row.private or ask.get("user") in {hearer.user_id for hearer in row.hearers.all()})
        and _is_of(ask, row, keys)
        and str(ask.get("signal_type") or row.signal_type).upper() == row.signal_type
        and row.confidence_score >= float(ask.get("min_confidence") or 0)
    )


def _is_of(ask: Ask, row: Signal, keys: Mapping[int, str]) -> bool:
    number = ask.get("strategy_id")
    if number is not None:
        return row.strategy_key == keys.get(int(number))
    return (ask.get("strategy") or row.strategy) == row.strategy


def seen(row: Signal) -> Seen:
    closed_us = to_us(row.time)
    bar_us = closed_us - INTERVALS[row.interval]
    return at(row.confidence_score, closed_us, bar_us=bar_us, note=f"{row.strategy}: {row.signal_type}, {row.reason}")


class Sentiments:
    """The weighted mean of the news of so many hours, -1 to 1. Missing where there was no news."""

    def __init__(self) -> None:
        self._kept = Kept(settings.ALERT_FACTS_KEPT)

    def gather(self, asks: Sequence[Ask], look: Look) -> dict[Ask, Seen]:
        found = {}
        for hours, of_hours in by(asks, lambda ask: float(ask.get("hours") or 24)).items():

            def read(keys: Sequence[Any], hours: float = hours) -> dict[Any, news.Sentiment]:
                told = news.sentiment([instrument for instrument, _ in keys], look.now, hours)
                return {(instrument, hours): one for instrument, one in told.items()}

            wanted = {(ask.instrument, hours): None for ask in of_hours}
            told = self._kept.get(wanted, look.now, settings.ALERT_SENTIMENT_READ_S, read)
            for ask in of_hours:
                if (one := told.get((ask.instrument, hours))) is not None:
                    found[ask] = at(one.score, look.now_us, note=f"of {one.count} articles")
        return found
