"""What is asked of a portfolio's performance, and how it is told."""

from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any, Final

from rest_framework import serializers

from ingestion.models import Instrument
from ingestion.serializers import SymbolField
from portfolio import explanations, performance
from portfolio.explanations import effects_json, figure_json
from portfolio.marking import Unpriced
from portfolio.money import plain
from portfolio.performance import Compared, Episode, Missing, Part, Performance, Period
from portfolio.risk import Undefined
from portfolio.serializers.ledger import TimeField
from portfolio.valuation import timestamp

# A rate that nobody would call free of risk.
RISK_FREE_MOST: Final = 10


class DayField(TimeField):
    """A day, or the day of UTC that a time is in."""

    def to_internal_value(self, data: object) -> Any:
        # A `+` that was not percent-encoded arrives as a blank.
        return super().to_internal_value(data.replace(" ", "+") if isinstance(data, str) else data).date()


class WindowQuery(serializers.Serializer):
    """The days that are measured, both of them included: by default from the first transaction to now."""

    start = DayField(required=False, default=None, help_text="its own payments and gain are in the window")
    end = DayField(required=False, default=None)
    risk_free = serializers.FloatField(
        required=False, default=None, min_value=-1, max_value=RISK_FREE_MOST, help_text="a year's rate, 0.03 for 3 %"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start, end, today = attrs["start"], attrs["end"], self.context["today"]
        for name, day in (("start", start), ("end", end)):
            if day is not None and day > today:
                raise serializers.ValidationError({name: "This is in the future."})
            if day is not None and day < self.context["earliest"]:
                raise serializers.ValidationError({name: f"No ledger starts before {self.context['earliest']}."})
        if start is not None and end is not None and start > end:
            raise serializers.ValidationError({"end": "`end` must not be before `start`."})
        return attrs


class PerformanceQuery(WindowQuery):
    benchmark = SymbolField(required=False, default=None)
    method = serializers.ChoiceField(
        performance.METHODS, required=False, default=None, help_text="which of the returns is told as `return`, too"
    )
    chain = serializers.BooleanField(required=False, default=False, help_text="with the links of the TWR")


class ExplainQuery(WindowQuery):
    figure = serializers.CharField(max_length=32)
    symbol = SymbolField(required=False, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        known = explanations.FIGURES if attrs["symbol"] is None else explanations.HOLDING_FIGURES
        if attrs["figure"] not in known:
            of = "the portfolio" if attrs["symbol"] is None else "a holding"
            raise serializers.ValidationError({"figure": f"The figures of {of} are: {', '.join(sorted(known))}."})
        return super().validate(attrs)


CONVENTIONS: Final = {
    "twr": "Chain-linked at every payment in or out: inflows at the start, outflows at the end of their day (UTC).",
    "xirr": "Actual/365 from the first payment, closing value with cash; a year's rate even for a shorter window.",
    "simple_return": "gain ÷ (value at the opening + all that was paid in)",
    "modified_dietz": "gain ÷ average capital: an approximation, not a TWR.",
    "volatility": "Sample deviation of daily simple returns × √252 (√365 where only crypto was held).",
    "window": "It opens with the close of the day before `start`; the first day's payments and gain are in it.",
    "gain": explanations.ATTRIBUTION,
}


def performance_json(measured: Performance, currency: str, now: datetime, asked: dict[str, Any]) -> dict[str, Any]:
    """All figures of a window. Money in `currency`; ratios 0.1 for 10 %; null with a reason where there is none."""
    found = {name: figure_json(figure) for name, figure in figures(measured).items()}
    closing = measured.closing
    held = {measured.market.symbols[one.instrument]: one.price for one in closing.held.values()}
    found |= {
        "currency": currency,
        "start": measured.window.start.isoformat(),
        "end": measured.window.end.isoformat(),
        "as_of": as_of(measured, now),
        "short_period": measured.short_period,
        "attribution": _attribution(measured),
        "contributions": _contributions(measured),
        "holdings": {"twr": figure_json(measured.holdings_twr)},
        "risk_free": plain(performance.ratio(measured.risk_free)),
        "unpriced": sorted(measured.unpriced),
        "unpriced_reasons": measured.unpriced,
        "stale": stale(measured),
        "price_days": {symbol: price.day.isoformat() for symbol, price in held.items()},
        "conventions": CONVENTIONS,
    }
    if asked.get("method"):
        found["method"], found["return"] = asked["method"], found[asked["method"]]
    if asked.get("chain"):
        found["chain"] = _chain(measured)
    return found


def figures(measured: Performance) -> dict[str, performance.Figure]:
    """Every figure by its name on the wire."""
    return {name: measured.figure(name) for name in performance.FIGURES}


def _attribution(measured: Performance) -> Any:
    effects = measured.attribution
    return figure_json(effects) if isinstance(effects, Missing) else effects_json(effects)


def _contributions(measured: Performance) -> Any:
    """By holding (and cash) and by month. Null with a reason where something has no price."""
    if measured.unpriced:
        return figure_json(Missing(" ".join(measured.unpriced.values())))
    try:
        return {
            "by_holding": [_part(part) for part in measured.parts()],
            "by_period": [_period(period) for period in measured.periods()],
        }
    except Unpriced as why:
        return figure_json(Missing(str(why)))


def _chain(measured: Performance) -> Any:
    try:
        return explanations.chain(measured)
    except (Undefined, Unpriced) as why:
        return figure_json(Missing(str(why)))


def _part(part: Part) -> dict[str, Any]:
    return {
        "symbol": part.symbol,
        "kind": "cash" if part.instrument is None else "holding",
        **effects_json(part.effects),
        "contribution": None if part.share is None else plain(part.share),
        "twr": figure_json(part.twr),
        "episodes": [_episode(one) for one in part.episodes],
    }


def _episode(one: Episode) -> dict[str, Any]:
    return {
        "opened": one.opened.isoformat(),
        "closed": None if one.closed is None else one.closed.isoformat(),
        "paid_in": plain(one.paid_in),
        "paid_out": plain(one.paid_out),
        "value": plain(one.value),
        "gain": plain(one.gain),
        "simple_return": figure_json(one.simple_return),
    }


def _period(one: Period) -> dict[str, Any]:
    return {
        "start": one.start.isoformat(),
        "end": one.end.isoformat(),
        "opening_value": plain(one.opening),
        "net_invested": plain(one.flow),
        "gain": plain(one.gain),
        "closing_value": plain(one.closing),
        "twr": figure_json(one.twr),
    }


def benchmark_json(compared: Compared | Missing, symbol: str) -> dict[str, Any]:
    """A benchmark's own return over the window, and by how much the TWR is above it."""
    if isinstance(compared, Missing):
        return {"symbol": symbol, "return": figure_json(compared)}
    return {
        "symbol": compared.symbol,
        "return": plain(compared.returned),
        "return_in_its_currency": plain(compared.returned_in_currency),
        "alpha": figure_json(compared.difference),
        "start": _price(compared.start, compared.start_rate),
        "end": _price(compared.end, compared.end_rate),
    }


def _price(price: Any, rate: Decimal) -> dict[str, str]:
    return {
        "day": price.day.isoformat(),
        "price": plain(price.value),
        "quoted": plain(price.quoted),
        "source": price.source,
        "rate": plain(rate),
    }


def explanation_json(
    measured: Performance, figure: str, instrument: Instrument | None, currency: str, now: datetime
) -> dict[str, Any]:
    """A figure with its working; without a value, only the reason."""
    about = {
        "figure": figure,
        "symbol": instrument.symbol if instrument else None,
        "currency": currency,
        "start": measured.window.start.isoformat(),
        "end": measured.window.end.isoformat(),
        "as_of": as_of(measured, now),
    }
    try:
        value, working = explanations.explain(figure, measured, instrument.id if instrument else None)
    except (Undefined, Unpriced) as why:
        return about | {"value": figure_json(Missing(str(why)))}
    return about | {"value": figure_json(value), **working, "unpriced": measured.unpriced, "stale": stale(measured)}


def as_of(measured: Performance, now: datetime) -> str:
    """The moment of the closing value: now, or the end of the window's last day."""
    last = measured.window.end
    return timestamp(now if last == now.date() else datetime.combine(last, time.max, UTC))


def stale(measured: Performance) -> list[str]:
    """What the closing value counts at a price of an earlier day."""
    held = measured.closing.held.values()
    return sorted(measured.market.symbols[one.instrument] for one in held if one.price.day < measured.window.end)
