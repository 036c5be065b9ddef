"""Figures and anomalies of closed bars: found on demand, and kept as rows at each bar's close, once a bar."""

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import transaction

from ingestion import demand, payloads, store
from ingestion.candles import INTERVALS
from ingestion.models import Instrument
from ingestion.providers import SOURCE_NAMES
from ingestion.symbols import UnknownSymbol, resolve
from signals import readings
from signals.anomalies import PRICE_SPIKE, VOLUME_SURGE, Anomaly, Measure, anomalies
from signals.candles import Candles
from signals.models import Examined, Finding
from signals.patterns import BEARISH, BULLISH, FIGURES, Figure, Shape, candlestick_names, candlesticks, figures

SHAPE: Final = Shape()
MEASURE: Final = Measure()
# Bars before the first that is looked at: the longest figure with its pole and its turning points, and some more for
# the average range, so that what is found does not hang on where reading began.
HISTORY: Final = SHAPE.longest + 2 * SHAPE.flag_longest + 2 * SHAPE.swing + 34


# Instruments whose findings are written in one transaction.
BATCH: Final = 100


class Found(msgspec.Struct, frozen=True):
    """One finding. time_us: the close of the bar that confirmed it. direction: empty where it has none."""

    kind: str
    name: str
    time_us: int
    direction: str
    confidence: float
    parameters: dict[str, Any]


def names() -> list[str]:
    """All that are looked for."""
    return [*candlestick_names(), *FIGURES, PRICE_SPIKE, VOLUME_SURGE]


def look(candles: Candles, first: int, wanted: Collection[str] | None = None) -> list[Found]:
    """What the bars from `first` on have confirmed, oldest first. wanted: names; by default all."""
    if first >= len(candles):
        return []
    history = min(first, HISTORY)
    candles, first = candles.last(len(candles) - first + history), history
    sticks = candlesticks(candles, _among(candlestick_names(), wanted), first)
    shapes = figures(candles, SHAPE, _among(FIGURES, wanted), first)
    odd = [one for one in anomalies(candles, MEASURE, first) if _is_wanted(one.kind, wanted)]
    found = [*map(_of_candlestick, sticks), *map(_of_figure, shapes), *map(_of_anomaly, odd)]
    return sorted(found, key=lambda one: (one.time_us, one.kind, one.name))


def _is_wanted(name: str, wanted: Collection[str] | None) -> bool:
    return wanted is None or name in wanted


def _among(known: Iterable[str], wanted: Collection[str] | None) -> list[str]:
    return [name for name in known if _is_wanted(name, wanted)]


def _of_candlestick(figure: Figure) -> Found:
    kind = Finding.Kind.CANDLESTICK.value
    return Found(kind, figure.name, figure.time_us, figure.direction, figure.confidence, {"level": figure.level})


def _of_figure(figure: Figure) -> Found:
    points = [{"time": payloads.iso(time_us), "price": price} for time_us, price in figure.points]
    parameters = {"level": figure.level, "points": points, **msgspec.structs.asdict(SHAPE)}
    kind = Finding.Kind.FIGURE.value
    return Found(kind, figure.name, figure.time_us, figure.direction, figure.confidence, parameters)


def _of_anomaly(one: Anomaly) -> Found:
    # JSON has no infinity: where nothing had varied before, z is null.
    z = round(one.z, 2) if abs(one.z) < 1e9 else None
    parameters = {"value": one.value, "z": z, **msgspec.structs.asdict(MEASURE)}
    direction = "" if one.kind == VOLUME_SURGE else BULLISH if one.value > 0 else BEARISH
    return Found(one.kind, one.kind, one.time_us, direction, one.confidence, parameters)


# What one instrument's bars gave, and how far they were looked at.
_Examination = tuple[list[Finding], Examined]

# --- On demand --------------------------------------------------------------------------------------------------


def on_demand(
    instrument: Instrument, interval: str, wanted: Collection[str] | None, bars: int, end: dt.datetime | None
) -> list[Found]:
    """What the last `bars` closed bars before `end` have confirmed, oldest first."""
    found = store.candles(instrument.id, interval, end=end, limit=bars + HISTORY + 1)
    closed = [bar for bar in found if bar.final]
    return look(readings.as_candles(instrument, interval, closed), max(0, len(closed) - bars), wanted)


# --- At each close ----------------------------------------------------------------------------------------------


def find(interval: str, now: dt.datetime) -> int:
    """Look at the bars of this interval that have closed since the last run, of what the feeds follow: SYMBOLS, and
    what somebody watches, holds or has an alert on. Re-running changes nothing. Returns how many were found."""
    step_us = INTERVALS[interval]
    boundary_us = store.to_us(now - dt.timedelta(seconds=settings.FINDING_GRACE_S)) // step_us * step_us
    ids = _followed()
    places = dict(
        Examined.objects.filter(interval=interval, instrument_id__in=ids).values_list("instrument_id", "until")
    )
    due = [i for i in ids if i not in places or store.to_us(places[i]) < boundary_us]
    rows = Instrument.objects.in_bulk(due)
    found = 0
    for at in range(0, len(due), BATCH):
        some = [i for i in due[at : at + BATCH] if i in rows]
        found += _keep([_examine(rows[i], interval, places.get(i), boundary_us) for i in some])
    return found


def _followed() -> list[int]:
    """SYMBOLS (empty: every instrument marked so), then what somebody wants; bounded by FINDING_INSTRUMENTS_MAX."""
    ids: dict[int, None] = {}
    for symbol in settings.SYMBOLS:
        try:
            ids[resolve(symbol).id] = None
        except UnknownSymbol:
            continue
    if not settings.SYMBOLS:
        ids = dict.fromkeys(Instrument.objects.filter(followed=True).order_by("id").values_list("id", flat=True))
    ids |= dict.fromkeys(sorted(demand.wanted()))
    return list(ids)[: settings.FINDING_INSTRUMENTS_MAX]


def _examine(instrument: Instrument, interval: str, place: dt.datetime | None, boundary_us: int) -> _Examination:
    """One instrument's bars since its place, or the last one where it has none."""
    step_us = INTERVALS[interval]
    earliest_us = boundary_us - step_us * (settings.FINDING_CATCH_UP_BARS if place else 1)
    place_us = max(earliest_us, store.to_us(place) if place else 0)
    count = HISTORY + (boundary_us - place_us) // step_us
    bars = store.candles(instrument.id, interval, end=store.to_datetime(boundary_us), limit=count)
    new = [bar for bar in bars if bar.time_us + step_us > place_us]
    # One that is not final yet is waited for, for as long as what was missed is caught up with.
    until_us = next((bar.time_us for bar in new if not bar.final), boundary_us)
    closed = [bar for bar in bars if bar.final and bar.time_us < until_us]
    first = sum(bar.time_us + step_us <= place_us for bar in closed)
    found = look(readings.as_candles(instrument, interval, closed), first) if first < len(closed) else []
    rows = [_row(instrument, interval, one, SOURCE_NAMES[closed[-1].source]) for one in found]
    return rows, Examined(instrument=instrument, interval=interval, until=store.to_datetime(until_us))


def _row(instrument: Instrument, interval: str, one: Found, source: str) -> Finding:
    return Finding(
        kind=one.kind, name=one.name, instrument=instrument, interval=interval, source=source,
        time=store.to_datetime(one.time_us), direction=one.direction, confidence=one.confidence,
        parameters=one.parameters,
    )  # fmt: skip


def _keep(batch: Sequence[_Examination]) -> int:
    """The findings and how far they reach, in one transaction. What another run has kept is not doubled."""
    rows = [row for found, _ in batch for row in found]
    with transaction.atomic():
        Finding.objects.bulk_create(rows, ignore_conflicts=True)
        Examined.objects.bulk_create(
            [place for _, place in batch],
            update_conflicts=True, unique_fields=["interval", "instrument"], update_fields=["until"],
        )  # fmt: skip
    return len(rows)


def trim(now: dt.datetime) -> int:
    """Let go of those that are older than FINDING_KEEP_BARS bars. Returns how many."""
    gone = 0
    for interval, step_us in INTERVALS.items():
        oldest = now - dt.timedelta(microseconds=step_us * settings.FINDING_KEEP_BARS)
        gone += Finding.objects.filter(interval=interval, time__lt=oldest).delete()[0]
    return gone
