"""The closed bars that strategies are asked about: which have closed and were not asked about yet, with the history
before them. Many instruments at once; sources are never mixed."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from django.conf import settings

from ingestion import store
from ingestion.candles import INTERVALS, Bar
from ingestion.models import Instrument
from ingestion.providers import SOURCE_NAMES
from ingestion.symbols import source_rank
from signals.candles import Candles
from signals.models import Evaluated, Examined
from signals.readings import as_candles

# Rows that tell how far bars were asked about: by strategies, and for what `findings.py` finds.
Done = Evaluated | Examined
# Instruments whose bars are held in memory at once.
AT_ONCE: Final = 100
MINUTES_MAX: Final = 200_000


class Place(msgspec.Struct, frozen=True):
    """What an instrument's strategies are to be asked about: bars by one source that begin at these `times_us`, rising;
    `history` bars are wanted in all up to each of them."""

    instrument: Instrument
    source: int
    times_us: tuple[int, ...]
    history: int

    @property
    def count(self) -> int:
        return self.history + len(self.times_us)


class Window(msgspec.Struct, frozen=True):
    """Final bars, oldest first, and the same as arrays."""

    place: Place
    bars: Sequence[Bar]
    candles: Candles

    def at(self, time_us: int) -> int | None:
        """Where the bar that begins then stands; None where there is none."""
        found = int(self.candles.time_us.searchsorted(time_us))
        return found if found < len(self.bars) and self.bars[found].time_us == time_us else None


def max_age_s(interval: str) -> float:
    """How long after its close a bar is still news."""
    return float(max(settings.SIGNAL_MAX_AGE_S, settings.SIGNAL_MAX_AGE_SHARE * INTERVALS[interval] / 1e6))


def due(interval: str, instruments: Mapping[int, int], now: datetime, done: type[Done] = Evaluated) -> list[Place]:
    """What has closed since it was asked about last; by strategies, a minute that was revised since, again.

    instruments: by id, how much history each needs. done: the rows that tell what was asked about.
    """
    if not instruments:
        return []
    find = _minutes if interval == "1m" else _longer
    found = find(interval, instruments, now, done)
    known = Instrument.objects.in_bulk(found)
    return [Place(known[i], source, tuple(times), instruments[i]) for i, (source, times) in found.items() if i in known]


def batches(places: Sequence[Place]) -> Iterator[Sequence[Place]]:
    """So many at a time as are held in memory."""
    for first in range(0, len(places), AT_ONCE):
        yield places[first : first + AT_ONCE]


def mark(interval: str, places: Iterable[Place]) -> None:
    """The strategies have been asked about these bars."""
    keep(
        [
            Evaluated(interval=interval, instrument=place.instrument, time=store.to_datetime(place.times_us[-1]))
            for place in places
        ],
        ["time"],
    )


def keep(rows: Iterable[Done], columns: Sequence[str]) -> None:
    """How far bars were asked about from now on, in order, so that two who do so at once don't wait for each other."""
    ordered: list[Any] = sorted(rows, key=lambda row: row.instrument_id)
    if ordered:
        _rows(type(ordered[0])).bulk_create(
            ordered, update_conflicts=True, unique_fields=["interval", "instrument"], update_fields=list(columns)
        )


def read(interval: str, places: Sequence[Place]) -> list[Window]:
    """The bars of each place, up to its newest."""
    keys = [store.Key(p.instrument.pk, p.source, p.times_us[-1] + INTERVALS[interval]) for p in places]
    told = store.last_bars(interval, [store.Span(*k, place.count) for k, place in zip(keys, places, strict=True)])
    return [
        Window(place, told[key], as_candles(place.instrument, interval, told[key]))
        for place, key in zip(places, keys, strict=True)
    ]


# --- What has closed


def _minutes(
    interval: str, instruments: Mapping[int, int], now: datetime, done: type[Done]
) -> dict[int, tuple[int, list[int]]]:
    """Our own final minutes: that a minute is final stands in its row."""
    length = timedelta(microseconds=INTERVALS["1m"])
    oldest = now - timedelta(seconds=max_age_s("1m")) - length
    closed_us = store.to_us(now - length)
    fresh = store.final_candles_since(oldest, limit=MINUTES_MAX)
    best = _one_source_each(bar for bar in fresh if bar.time_us <= closed_us and bar.instrument_id in instruments)
    asked = _asked("1m", best, done)
    again = done is Evaluated
    found = {}
    for instrument, bars in best.items():
        times = [bar.time_us for bar in bars if (again and bar.rev > 0) or bar.time_us > asked.get(instrument, -1)]
        if times:
            found[instrument] = bars[0].source, times
    return found


def _one_source_each(bars: Iterable[Bar]) -> dict[int, list[Bar]]:
    """Each instrument's bars, in order, from the best source that has any."""
    found: defaultdict[int, defaultdict[int, list[Bar]]] = defaultdict(lambda: defaultdict(list))
    for bar in bars:
        found[bar.instrument_id][bar.source].append(bar)
    return {instrument: by_source[min(by_source, key=_rank)] for instrument, by_source in found.items()}


def _longer(
    interval: str, instruments: Mapping[int, int], now: datetime, done: type[Done]
) -> dict[int, tuple[int, list[int]]]:
    """Bars of several minutes, by the clock: whether all that they are made of is final shows when they are read."""
    step_us = INTERVALS[interval]
    until_us = store.to_us(now) - int(settings.SIGNAL_SETTLE_S * 1e6)
    last_us = until_us - until_us % step_us - step_us
    times = range(last_us, store.to_us(now) - int(max_age_s(interval) * 1e6) - step_us, -step_us)[::-1]
    if not times:
        return {}
    asked = _asked(interval, instruments, done)
    open_ids = [i for i in instruments if asked.get(i, -1) < last_us]
    if not open_ids:
        return {}
    best = best_sources(open_ids, interval, store.to_datetime(times[0]), store.to_datetime(last_us + step_us))
    return {i: (source, [time_us for time_us in times if time_us > asked.get(i, -1)]) for i, source in best.items()}


def best_sources(ids: Collection[int], interval: str, start: datetime, end: datetime) -> dict[int, int]:
    """By instrument the best source that has bars which begin in [start, end)."""
    by_source: defaultdict[int, list[int]] = defaultdict(list)
    for instrument, source in store.sources_with_bars(ids, interval, start, end):
        by_source[instrument].append(source)
    return {instrument: min(sources, key=_rank) for instrument, sources in by_source.items()}


def _rank(source: int) -> int:
    return source_rank(SOURCE_NAMES[source])


def _rows(done: type[Done]) -> Any:
    return done.objects


def _asked(interval: str, instrument_ids: Collection[int], done: type[Done]) -> dict[int, int]:
    """Each instrument's bar that was asked about last, by its beginning."""
    rows = _rows(done).filter(interval=interval, instrument_id__in=list(instrument_ids))
    return {i: store.to_us(time) for i, time in rows.values_list("instrument_id", "time")}
