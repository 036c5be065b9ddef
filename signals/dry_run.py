"""Would it have fired? An alert over the past: which bars, which figures, what came of it."""

import datetime as dt
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from django.conf import settings

from ingestion.candles import Bar
from ingestion.store import to_datetime, to_us
from signals import alerts, conditions, replay, rules
from signals.arming import Fired
from signals.charts import Level, Mark, Picture
from signals.follow import is_open
from signals.models import Alert
from signals.replay import TooSlow, Track
from signals.rules import Ask, Leaf, Names, Rule
from signals.tracks import NotReplayed, Span, TooLong, Tracks, earliest, finest
from streaming.protocol import timestamp

DEFAULT_DAYS: Final = 7
_ABOUT_PRICES: Final = (rules.PRICE, rules.CHANGE_PERCENT)


class Refused(Exception):
    """It can't be replayed. errors: field → sentence."""

    def __init__(self, **errors: str) -> None:
        super().__init__("; ".join(errors.values()))
        self.errors = errors


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found. subject: what the chart is of; series: (µs, open, high, low, close) of it, thinned.

    thresholds: those that are in the chart's own units. unsupported: figures that can't be replayed, and why.
    """

    interval: str
    start: dt.datetime
    end: dt.datetime
    bars: int
    subject: str
    firings: list[Fired]
    series: list[tuple[int, float, float, float, float]]
    thresholds: list[dict[str, Any]]
    unsupported: list[dict[str, str]]
    description: str
    prices: dict[int, float]  # by the firings' times


def run(alert: Alert, start: dt.datetime | None, end: dt.datetime | None, now: dt.datetime) -> Run:
    """Judge an alert, stored or not, over [start, end), by default the last week, as if it was armed at `start`.

    Its snooze and its expiry are left out; its session filter, mode, confirmations and cooldown count. Raises Refused.
    """
    rule = conditions.recall(alert)
    names = conditions.world([(alert.user_id, rule)]).names()
    charted = _charted(rule, alert)
    priced = {ask.instrument for ask in rules.asks(rule) if ask.kind in _ABOUT_PRICES} | {charted}
    span = _span(sorted(i for i in priced if i is not None), start, end, now)
    tracks, deadline = Tracks(span, now), time.monotonic() + settings.DRY_RUN_TIMEOUT_S
    try:
        found, unsupported = _read(tracks, rule, names)
        firings = replay.replay(
            rule, msgspec.structs.replace(alerts.terms_of(alert), expires_us=None), found, to_us(span.start),
            to_us(span.end), names=names, is_muted=_mute(alert, rule),
            is_late=lambda: time.monotonic() > deadline,
        )  # fmt: skip
        chart = _chart(tracks, rule, found, charted)
    except TooLong as error:
        raise Refused(start=str(error)) from error
    except TooSlow as error:
        allowed = f"{settings.DRY_RUN_TIMEOUT_S:g} s"
        raise Refused(start=f"That took longer than {allowed}. Ask for a shorter time.") from error
    return Run(
        interval=span.interval, start=span.start, end=span.end, bars=len(chart), firings=firings,
        subject=_subject(rule, charted, names), series=thinned(chart),
        thresholds=_thresholds(rule, charted, names), unsupported=unsupported,
        description=rules.describe(rule, names),
        prices=_prices_at([fired.at_us for fired in firings], chart),
    )  # fmt: skip


def _span(instruments: Sequence[int], start: dt.datetime | None, end: dt.datetime | None, now: dt.datetime) -> Span:
    end = now if end is None else min(end, now)
    if end <= earliest():
        raise Refused(end=f"Nothing was recorded before {earliest():%Y-%m-%d}.")
    start = end - dt.timedelta(days=DEFAULT_DAYS) if start is None else max(start, earliest())
    if start >= end:
        raise Refused(end="It must be after `start`, and `start` in the past.")
    try:
        return Span(start, end, finest(instruments, start, end))
    except TooLong as error:
        raise Refused(start=str(error)) from error


def _read(tracks: Tracks, rule: Rule, names: Names) -> tuple[dict[Ask, Track], list[dict[str, str]]]:
    """The figures that can be replayed, and the others with the reason."""
    found: dict[Ask, Track] = {}
    unsupported = []
    for ask in dict.fromkeys(leaf.ask for leaf in rules.leaves(rule)):
        try:
            found[ask] = tracks.of(ask)
        except NotReplayed as why:
            label = rules.label(ask, names)
            unsupported.append({"kind": ask.kind, "label": label, "reason": str(why)})
    return found, unsupported


def _mute(alert: Alert, rule: Rule) -> Any:
    regular = alert.session == Alert.Session.REGULAR
    instruments = conditions.instruments_of(rule)
    # What closes at the closing was traded before it.
    return lambda now_us: regular and not all(is_open(i, now_us - 1) for i in instruments)


# --- The chart


def _charted(rule: Rule, alert: Alert) -> int | None:
    """The instrument whose price is shown: of the first part that is about one; None for portfolios and services."""
    found = [leaf.ask.instrument for leaf in rules.leaves(rule) if leaf.ask.instrument is not None]
    return found[0] if found else alert.instrument_id


def _subject(rule: Rule, charted: int | None, names: Names) -> str:
    """What the chart is of: a symbol, or a portfolio's name."""
    owned = (names.portfolio(ask.portfolio) for ask in rules.asks(rule) if ask.portfolio is not None)
    return names.instruments.get(charted or 0) or next(owned, "")


Ohlc = tuple[int, float, float, float, float]


def _chart(tracks: Tracks, rule: Rule, found: dict[Ask, Track], charted: int | None) -> list[Ohlc]:
    """The instrument's bars; where there is none, what a portfolio was worth."""
    if charted is not None:
        return [_ohlc(bar) for bar in tracks.bars(charted, tracks.span.interval)]
    for ask, track in found.items():
        if ask.kind == rules.PORTFOLIO:
            return [
                (at_us, *[value] * 4) for at_us, value in zip(track.at_us.tolist(), track.value.tolist(), strict=True)
            ]
    return []


def _ohlc(bar: Bar) -> Ohlc:
    return bar.time_us, bar.open, bar.high, bar.low, bar.close


def thinned(rows: Sequence[Ohlc]) -> list[Ohlc]:
    """At most DRY_RUN_CHART_POINTS of them: several neighbours as one, with their extremes."""
    size = -(-len(rows) // settings.DRY_RUN_CHART_POINTS) or 1
    return [_joined(rows[at : at + size]) for at in range(0, len(rows), size)]


def _joined(rows: Sequence[Ohlc]) -> Ohlc:
    return rows[0][0], rows[0][1], max(row[2] for row in rows), min(row[3] for row in rows), rows[-1][4]


def _thresholds(rule: Rule, charted: int | None, names: Names) -> list[dict[str, Any]]:
    """Those that can be drawn into the chart, with where they are over again."""
    leaves = [leaf for leaf in rules.leaves(rule) if _is_drawn(leaf, charted)]
    return [
        {"kind": leaf.ask.kind, "op": leaf.op, "value": leaf.value, "clear": leaf.clear,
         "label": rules.describe(leaf, names)}
        for leaf in leaves
    ]  # fmt: skip


def _is_drawn(leaf: Leaf, charted: int | None) -> bool:
    if charted is None:
        return leaf.ask.kind == rules.PORTFOLIO
    return leaf.ask.kind == rules.PRICE and leaf.ask.instrument == charted


def _prices_at(times: Sequence[int], chart: Sequence[Ohlc]) -> dict[int, float]:
    """The close of the bar that had begun before each time."""
    found, at = {}, 0
    for time_us in sorted(times):
        while at < len(chart) and chart[at][0] < time_us:
            at += 1
        if at:
            found[time_us] = chart[at - 1][4]
    return found


def picture(run: Run, name: str) -> Picture:
    """The run as a picture."""
    levels = [Level(one["value"]) for one in run.thresholds]
    levels += [Level(one["clear"], clears=True) for one in run.thresholds if one["clear"] is not None]
    marks = [
        Mark(fired.at_us, run.prices[fired.at_us], f"{to_datetime(fired.at_us):%Y-%m-%d %H:%M} UTC: {fired.reason}")
        for fired in run.firings[: settings.DRY_RUN_MAX_FIRINGS]
        if fired.at_us in run.prices
    ]
    times = {0: "would not have fired", 1: "would have fired once"}
    told = times.get(len(run.firings), f"would have fired {len(run.firings)} times")
    what = f"{run.subject}, bars of {run.interval}" if run.subject else f"bars of {run.interval}"
    return Picture(
        title=name or run.description,
        subtitle=f"{what}, {run.start:%Y-%m-%d %H:%M} to {run.end:%Y-%m-%d %H:%M} UTC: {told}",
        rows=run.series, levels=list(dict.fromkeys(levels)), marks=marks, start_us=to_us(run.start),
        end_us=to_us(run.end),
    )  # fmt: skip


def payload(run: Run, chart_url: str) -> dict[str, Any]:
    """What the calls answer."""
    shown = run.firings[: settings.DRY_RUN_MAX_FIRINGS]
    return {
        "description": run.description,
        "symbol": run.subject,
        "interval": run.interval,
        "from": timestamp(to_us(run.start)),
        "to": timestamp(to_us(run.end)),
        "bars": run.bars,
        "count": len(run.firings),
        "firings": [_firing(fired, run) for fired in shown],
        "series": [[timestamp(at_us), *values] for at_us, *values in run.series],
        "thresholds": run.thresholds,
        "unsupported": run.unsupported,
        "chart_url": chart_url,
    }


def _firing(fired: Fired, run: Run) -> dict[str, Any]:
    return {
        "generation": fired.generation,
        "at": timestamp(fired.at_us),
        "price": run.prices.get(fired.at_us),
        "reason": fired.reason,
        "observed": fired.observed,
        "gapped": fired.gapped,
        "spiked": fired.spiked,
    }
