"""indicator, volume_zscore and pattern: what the newest closed bar says, stamped with its close.

All asks about one instrument and interval are answered of one reading, and anew only when a bar has closed: until its
row is there it is asked for again, every ALERT_BARS_RETRY_S. Many instruments are read at once.
"""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from django.conf import settings

from ingestion import calendar, markets, sessions, store
from ingestion.candles import INTERVALS
from ingestion.models import Instrument
from signals import gauges, readings, windows
from signals.candles import Candles
from signals.facts.look import Look, at, by
from signals.rules import PATTERN, Ask, Seen

# What is no event may be told by the bar before, where in the newest time nothing was traded.
_STANDING_BARS: Final = 2
# Whoever asks does so every few seconds; asks differ from one look to the next.
_FORGET_US: Final = 600_000_000
# Instruments whose bars are read with one query, and are held in memory at once.
AT_ONCE: Final = 50


class Place(NamedTuple):
    """The bars of one instrument."""

    instrument_id: int
    interval: str

    @property
    def step_us(self) -> int:
        return INTERVALS[self.interval]


class Group(msgspec.Struct):
    """What is known of one place. seen: what the bar that closed at `closed_us` said of `answered`, when it was last
    looked at. asked: every ask of late, and when."""

    closed_us: int = 0
    looked_us: int = 0
    answered: frozenset[Ask] = frozenset()
    seen: dict[Ask, Seen] = msgspec.field(default_factory=dict)
    asked: dict[Ask, int] = msgspec.field(default_factory=dict)

    def is_due(self, place: Place, now_us: int) -> bool:
        """Whether a bar may have closed that it does not know, or there is an ask that it has not answered."""
        if not self.answered.issuperset(self.asked) or now_us < self.looked_us:
            return True
        ready_us = int(settings.CANDLE_ALLOWED_LATENESS_S * 1e6)
        newest_us = (now_us - ready_us) // place.step_us * place.step_us
        return self.closed_us < newest_us and now_us - self.looked_us >= settings.ALERT_BARS_RETRY_S * 1e6

    def count(self, place: Place) -> int:
        """How many bars what is asked needs."""
        return 1 + max(gauges.bars_before(ask, place.step_us) for ask in self.asked)

    def note(self, asks: Iterable[Ask], now_us: int) -> None:
        """That these are asked now. What nobody has asked for a while is forgotten."""
        if self.asked and min(self.asked.values()) < now_us - _FORGET_US:
            self.asked = {ask: at_us for ask, at_us in self.asked.items() if at_us >= now_us - _FORGET_US}
        self.asked |= dict.fromkeys(asks, now_us)


class Bars:
    """Within ALERT_GATHER_BUDGET_MS at a time: those that were looked at longest ago come first, and what is left
    keeps what it said."""

    def __init__(self) -> None:
        self._groups: dict[Place, Group] = {}
        self._tidied_us = 0

    def gather(self, asks: Sequence[Ask], look: Look) -> dict[Ask, Seen]:
        wanted = by(asks, lambda ask: Place(ask.instrument or 0, gauges.interval_of(ask)))
        for place, own in wanted.items():
            self._groups.setdefault(place, Group()).note(own, look.now_us)
        self._read(wanted, look.now_us)
        self._tidy(look.now_us)
        found: dict[Ask, Seen] = {}
        for place, own in wanted.items():
            seen = self._groups[place].seen
            found |= {ask: seen[ask] for ask in own if ask in seen}
        return {ask: seen for ask, seen in found.items() if _counts(ask, seen, look.now_us)}

    def _read(self, places: Iterable[Place], now_us: int) -> None:
        due = [place for place in places if self._groups[place].is_due(place, now_us)]
        due.sort(key=lambda place: self._groups[place].looked_us)
        instruments = Instrument.objects.in_bulk({place.instrument_id for place in due}) if due else {}
        until = time.monotonic() + settings.ALERT_GATHER_BUDGET_MS / 1000
        for some in _together(place for place in due if place.instrument_id in instruments):
            for read in self._closed(some, instruments, now_us):
                for place, candles in read.items():
                    _answer(self._groups[place], place, candles, now_us)
                if read and time.monotonic() > until:
                    return

    def _closed(
        self, places: Sequence[Place], instruments: Mapping[int, Instrument], now_us: int
    ) -> Iterator[dict[Place, Candles]]:
        """The bars that are asked for: what is read together first, then the rest one by one."""
        counts = {place: self._groups[place].count(place) for place in places}
        read = closed_of_many(counts, instruments, now_us) if len(counts) > 1 else {}
        yield read
        for place in places:
            if place not in read:
                yield {place: closed_before(place, instruments[place.instrument_id], now_us, counts[place])}

    def _tidy(self, now_us: int) -> None:
        """Forget the places that nobody asks about any more."""
        if now_us - self._tidied_us >= _FORGET_US:
            since_us, self._tidied_us = now_us - _FORGET_US, now_us
            kept = {place: g for place, g in self._groups.items() if max(g.asked.values(), default=0) >= since_us}
            self._groups = kept


def _together(places: Iterable[Place]) -> Iterator[list[Place]]:
    """Those of one interval, some at a time; the first of them in the order given."""
    by_interval: dict[str, list[Place]] = {}
    for place in places:
        waiting = by_interval.setdefault(place.interval, [])
        waiting.append(place)
        if len(waiting) == AT_ONCE:
            yield by_interval.pop(place.interval)
    yield from by_interval.values()


def _answer(group: Group, place: Place, candles: Candles, now_us: int) -> None:
    asks = frozenset(group.asked)
    group.closed_us = candles.closed_us if len(candles) else 0
    group.looked_us, group.answered, group.seen = now_us, asks, {}
    for ask in asks:
        value = gauges.newest(ask, candles)
        if math.isfinite(value):
            group.seen[ask] = at(value, group.closed_us, bar_us=group.closed_us - place.step_us)


def closed_before(place: Place, instrument: Instrument, now_us: int, count: int) -> Candles:
    """The newest closed bars that had begun by now."""
    end = store.to_datetime(now_us)
    bars = store.candles(place.instrument_id, place.interval, end=end, limit=count + 1)
    return readings.as_candles(instrument, place.interval, [bar for bar in bars if bar.final][-count:])


def closed_of_many(
    counts: Mapping[Place, int], instruments: Mapping[int, Instrument], now_us: int
) -> dict[Place, Candles]:
    """The same for several instruments at one interval, as many bars as are wanted of each, by a few queries. Those of
    which not all are there are left out: they are to be read one by one."""
    place = next(iter(counts))
    end = store.to_datetime(now_us)
    start = store.to_datetime((now_us // place.step_us - max(counts.values())) * place.step_us)
    sources = windows.best_sources([place.instrument_id for place in counts], place.interval, start, end)
    known = [place for place in counts if place.instrument_id in sources]
    spans = [store.Span(p.instrument_id, sources[p.instrument_id], now_us, counts[p] + 1) for p in known]
    told = store.last_bars(place.interval, spans)
    found = {}
    for place, span in zip(known, spans, strict=True):
        bars = told[store.Key(span.instrument_id, span.source, now_us)][-counts[place] :]
        if len(bars) == counts[place]:
            found[place] = readings.as_candles(instruments[place.instrument_id], place.interval, bars)
    return found


def _counts(ask: Ask, seen: Seen, now_us: int) -> bool:
    """Whether it is of the newest bar that could be; a figure's bar has to be that very one."""
    place = Place(ask.instrument or 0, gauges.interval_of(ask))
    late_us = int(settings.ALERT_BARS_LATE_S * 1e6)
    allowed_us = place.step_us * (1 if ask.kind == PATTERN else _STANDING_BARS) + late_us
    return is_current(place, seen.at_us, allowed_us, now_us)


def is_current(place: Place, closed_us: int, allowed_us: int, now_us: int) -> bool:
    """Whether a bar that closed then is no older than `allowed_us` of open market.

    Over a night or a weekend it stays the newest that there can be, if it is of the last session.
    """
    if now_us - closed_us <= allowed_us:
        return True
    name, known = markets.of(place.instrument_id).calendar, sessions.calendars()
    session = None if name == calendar.ALWAYS else known.last_session(name, now_us)
    if session is None:
        return False
    # A daily bar closes at the midnight after its date, whenever its session did.
    begun_us = closed_us - place.step_us
    if known.is_open(name, now_us):
        earlier_us = known.last_close_us(name, now_us)
        earlier = None if earlier_us is None else known.last_session(name, earlier_us - 1)
        return earlier is not None and begun_us >= calendar.day_of(earlier) and now_us - session.open_us <= allowed_us
    return begun_us >= calendar.day_of(session)
