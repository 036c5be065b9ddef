"""Figures and anomalies of closed bars: found on demand, and kept as rows at each bar's close, once a bar; taken back
where the bars turn out to have been others."""

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
    what somebody watches, holds or has an alert on; and anew at those before that were revised. Re-running changes
    nothing. Returns how many were found."""
    found = 0
    for places in windows.batches(windows.due(interval, dict.fromkeys(_followed(), _history()), now, Examined)):
        looked = [_examine(interval, window) for window in windows.read(interval, places)]
        found += _keep(interval, [one for one in looked if one is not None], now)
    return found


def _history() -> int:
    """Bars that are read before those that are due: so that the last ones can be looked at again."""
    return HISTORY + int(settings.FINDING_REVIEW_BARS)


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


class Looked(msgspec.Struct, frozen=True):
    """What one instrument's due bars have confirmed. until: how many of the window's bars were looked at."""

    window: Window
    until: int
    found: list[Finding]


def _examine(interval: str, window: Window) -> Looked | None:
    """None where no due bar was there: one that isn't final is waited for."""
    places = [at for time_us in window.place.times_us if (at := window.at(time_us)) is not None]
    if not places:
        return None
    found = look(window.candles, min(places))
    return Looked(window, max(places) + 1, [_row(window.place, interval, one) for one in found])


def _row(place: Place, interval: str, one: Found) -> Finding:
    return Finding(
        kind=one.kind, name=one.name, instrument=place.instrument, interval=interval,
        source=SOURCE_NAMES[place.source], time=store.to_datetime(one.time_us), direction=one.direction,
        confidence=one.confidence, parameters=one.parameters,
    )  # fmt: skip


def _keep(interval: str, looked: Sequence[Looked], now: dt.datetime) -> int:
    """The findings, what is taken back, and how far they reach, in one transaction. What another run has kept is not
    doubled."""
    rows = [row for one in looked for row in one.found]
    ids = [one.window.place.instrument.pk for one in looked]
    before = {row.instrument_id: row for row in Examined.objects.filter(interval=interval, instrument__in=ids)}
    with transaction.atomic():
        for one in looked:
            _review(interval, one.window, before.get(one.window.place.instrument.pk), now)
        Finding.objects.bulk_create(rows, ignore_conflicts=True)
        windows.keep([_examined(interval, one) for one in looked], ["time", "since", "bars_digest"])
    return len(rows)


def _examined(interval: str, one: Looked) -> Examined:
    known = one.window.candles.until(one.until).last(_history())
    return Examined(
        interval=interval, instrument=one.window.place.instrument, time=store.to_datetime(int(known.time_us[-1])),
        since=store.to_datetime(int(known.time_us[0])), bars_digest=known.digest(),
    )  # fmt: skip


# --- Taking back ------------------------------------------------------------------------------------------------


def _review(interval: str, window: Window, before: Examined | None, now: dt.datetime) -> None:
    """Look anew at the last bars that were looked at, if some of them, or of those before, are not what they were.

    What nobody was told then is not told late: it is there on demand.
    """
    last = None if before is None else _revised_until(window, before)
    if last is None:
        return
    candles, first = window.candles.until(last + 1), max(0, last + 1 - settings.FINDING_REVIEW_BARS)
    says = {(one.kind, one.name, one.time_us): one for one in look(candles, first)}
    rows = Finding.objects.filter(
        instrument=window.place.instrument, interval=interval, source=SOURCE_NAMES[window.place.source],
        status=Finding.Status.STANDING, time__gt=store.to_datetime(int(candles.time_us[first])),
        time__lte=store.to_datetime(candles.closed_us),
    )  # fmt: skip
    for row in rows:
        _reconsider(row, says.get((row.kind, row.name, store.to_us(row.time))), window.place, now)


def _revised_until(window: Window, before: Examined) -> int | None:
    """Where the last bar that was looked at stands, if the bars up to it are others now. None where they are not, or
    where not all of them are there to be compared."""
    first = None if before.since is None else window.at(store.to_us(before.since))
    last = window.at(store.to_us(before.time))
    if first is None or last is None:
        return None
    return None if window.candles.until(last + 1).last(last + 1 - first).digest() == before.bars_digest else last


def _reconsider(row: Finding, one: Found | None, place: Place, now: dt.datetime) -> None:
    """one: what is there now in its place."""
    if one is not None and (row.direction, row.confidence, row.parameters) == (
        one.direction, one.confidence, one.parameters,
    ):  # fmt: skip
        return
    status = Finding.Status.WITHDRAWN if one is None else Finding.Status.SUPERSEDED
    standing = Finding.objects.filter(pk=row.pk, status=Finding.Status.STANDING)
    if standing.update(status=status, status_at=now) and one is not None:
        instead = _row(place, row.interval, one)
        instead.supersedes = row
        instead.save(force_insert=True)


def trim(now: dt.datetime) -> int:
    """Let go of those that are older than FINDING_KEEP_BARS bars. Returns how many."""
    gone = 0
    for interval, step_us in INTERVALS.items():
        oldest = now - dt.timedelta(microseconds=step_us * settings.FINDING_KEEP_BARS)
        gone += Finding.objects.filter(interval=interval, time__lt=oldest).delete()[0]
    return gone
