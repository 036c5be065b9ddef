"""How the strategies' signals have done: counts, hit rates with their uncertainty, and what they returned.

A hit is a signal that reached its target before its stop and its expiry. Everything that was scored counts, of
instruments that are gone as well; what could not be scored is told as `skipped` beside it.
"""

import time
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db.models import Aggregate, Avg, Count, FloatField, Max, Min, Q, QuerySet

from signals.models import Signal, SignalOutcome
from signals.scoring import wilson

ROWS_MAX: Final = 1_000
_RESULT: Final = SignalOutcome.Result
_SCORED: Final = ~Q(result=_RESULT.SKIPPED)


class Median(Aggregate):
    """The middle value, between two the mean of them."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


_COUNTS: Final = {
    "n": Count("pk", filter=_SCORED),
    "hits": Count("pk", filter=Q(result=_RESULT.TARGET)),
    "stops": Count("pk", filter=Q(result=_RESULT.STOP)),
    "expired": Count("pk", filter=Q(result=_RESULT.EXPIRED)),
    "skipped": Count("pk", filter=Q(result=_RESULT.SKIPPED)),
    "undecided": Count("pk", filter=Q(undecided=True)),
    "mean_r": Avg("return_r"),
    "expectancy_percent": Avg("return_percent"),
    "mean_gain_percent": Avg("return_percent", filter=Q(return_percent__gt=0)),
    "mean_loss_percent": Avg("return_percent", filter=Q(return_percent__lte=0)),
    "median_bars": Median("bars_held", filter=_SCORED),
    "mfe_percent": Avg("mfe_percent"),
    "mae_percent": Avg("mae_percent"),
    "mfe_r": Avg("mfe_r"),
    "mae_r": Avg("mae_r"),
    "since": Min("signal__time"),
    "until": Max("signal__time"),
}


class HitRate(msgspec.Struct, frozen=True):
    """A rate from 0 to 1 of `count` outcomes, and its 95 % interval (Wilson's)."""

    rate: float
    count: int
    low: float
    high: float


def cards(signals: QuerySet[Signal], by_symbol: bool = False) -> list[dict[str, Any]]:
    """A row for each key of a strategy (and instrument), the most outcomes first; within each, its strengths."""
    outcomes = SignalOutcome.objects.filter(signal__in=signals)
    names = ["signal__strategy", "signal__strategy_key", "signal__interval"]
    names += ["signal__instrument__symbol"] if by_symbol else []
    rows = outcomes.values(*names).annotate(**_COUNTS).order_by("-n", *names)[:ROWS_MAX]
    of_strengths = outcomes.values(*names, "signal__strength").annotate(**_COUNTS).order_by("signal__strength")
    strengths: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in of_strengths:
        told = _card(row) | {"strength": row["signal__strength"]}
        strengths.setdefault(tuple(row[name] for name in names), []).append(told)
    return [
        {
            "strategy": row["signal__strategy"],
            "key": row["signal__strategy_key"],
            "interval": row["signal__interval"],
            "symbol": row.get("signal__instrument__symbol"),
            **_card(row),
            "by_strength": strengths.get(tuple(row[name] for name in names), []),
        }
        for row in rows
    ]


def _card(row: dict[str, Any]) -> dict[str, Any]:
    rate = _rate(row["hits"], row["n"])
    return {
        **{name: row[name] for name in _COUNTS},
        "hit_rate": rate.rate if rate else None,
        "hit_rate_low": rate.low if rate else None,
        "hit_rate_high": rate.high if rate else None,
        "is_calibrated": row["n"] >= settings.CALIBRATED_MIN_OUTCOMES,
    }


def _rate(hits: int, count: int) -> HitRate | None:
    return HitRate(hits / count, count, *wilson(hits, count)) if count else None


# --- Confidence -------------------------------------------------------------------------------------------------

_known: dict[str, tuple[float, tuple[float, int] | None]] = {}
_KNOWN_MAX: Final = 10_000


def calibrated(key: str) -> tuple[float, int] | None:
    """The hit rate (0 to 1) of all scored signals of this strategy key, and of how many; None while they are fewer than
    CALIBRATED_MIN_OUTCOMES. What it says may be SCORECARD_CACHE_S old."""
    now = time.monotonic()
    found = _known.get(key)
    if found is not None and found[0] > now:
        return found[1]
    if len(_known) >= _KNOWN_MAX:
        _known.clear()
    _known[key] = now + settings.SCORECARD_CACHE_S, (rate := _calibrated(key))
    return rate


def forget() -> None:
    """Work them out anew."""
    _known.clear()


def _calibrated(key: str) -> tuple[float, int] | None:
    counted = SignalOutcome.objects.filter(_SCORED, signal__strategy_key=key).aggregate(
        n=Count("pk"), hits=Count("pk", filter=Q(result=_RESULT.TARGET))
    )
    n = counted["n"]
    return (counted["hits"] / n, n) if n >= max(1, settings.CALIBRATED_MIN_OUTCOMES) else None
