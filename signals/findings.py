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
from signals import readings, windows
from signals.anomalies import PRICE_SPIKE, VOLUME_SURGE, Anomaly, Measure, anomalies
from signals.candles import Candles
from signals.models import Examined, Finding
from signals.patterns import BEARISH, BULLISH, FIGURES, Figure, Shape, candlestick_names, candlesticks, figures
from signals.windows import Place, Window

SHAPE: Final = Shape()
MEASURE: Final = Measure()
# Bars before the first that is looked at: the longest figure with its pole and its turning points, and some more for
# the average range, so that what is found does not hang on where reading began.
HISTORY: Final = SHAPE.longest + 2 * SHAPE.flag_longest + 2 * SHAPE.swing + 34


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
    found = 0
    due = windows.due(interval, dict.fromkeys(_followed(), HISTORY), now, Examined)
    for places in windows.batches(due):
        examined = [_examine(interval, window) for window in windows.read(interval, places)]
        found += _keep(interval, examined)
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


def _examine(interval: str, window: Window) -> tuple[list[Finding], Place | None]:
    """What one instrument's due bars have confirmed, and which of them were there: a bar that isn't final is waited
    for."""
    places = {time_us: at for time_us in window.place.times_us if (at := window.at(time_us)) is not None}
    if not places:
        return [], None
    found = look(window.candles, min(places.values()))
    rows = [_row(window.place, interval, one) for one in found]
    return rows, msgspec.structs.replace(window.place, times_us=tuple(sorted(places)))


def _row(place: Place, interval: str, one: Found) -> Finding:
    return Finding(
        kind=one.kind, name=one.name, instrument=place.instrument, interval=interval,
        source=SOURCE_NAMES[place.source], time=store.to_datetime(one.time_us), direction=one.direction,
        confidence=one.confidence, parameters=one.parameters,
    )  # fmt: skip


def _keep(interval: str, examined: Sequence[tuple[list[Finding], Place | None]]) -> int:
    """The findings and how far they reach, in one transaction. What another run has kept is not doubled."""
    rows = [row for found, _ in examined for row in found]
    with transaction.atomic():
        Finding.objects.bulk_create(rows, ignore_conflicts=True)
        windows.mark(interval, [place for _, place in examined if place is not None], Examined)
    return len(rows)


def trim(now: dt.datetime) -> int:
    """Let go of those that are older than FINDING_KEEP_BARS bars. Returns how many."""
    gone = 0
    for interval, step_us in INTERVALS.items():
        oldest = now - dt.timedelta(microseconds=step_us * settings.FINDING_KEEP_BARS)
        gone += Finding.objects.filter(interval=interval, time__lt=oldest).delete()[0]
    return gone
