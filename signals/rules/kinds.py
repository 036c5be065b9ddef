"""How each kind of leaf is read."""

from collections.abc import Callable, Mapping
from typing import Final

from signals import indicators, patterns, strategies
from signals.anomalies import Measure
from signals.rules.fields import Fields, ask_for, near, shown
from signals.rules.tree import (
    ABSOLUTE,
    BASES,
    BPS,
    CHANGE_PERCENT,
    COST,
    FIGURES,
    INDICATOR,
    MINUTES,
    PATTERN,
    PORTFOLIO,
    PRICE,
    SENTIMENT,
    SERVICE,
    SIGNAL,
    SIGNAL_TYPES,
    SPREAD,
    STALENESS,
    VOLUME_ZSCORE,
    WEIGHT,
    Leaf,
)

WEEK_MINUTES: Final = 10_080
MONTH_HOURS: Final = 720
WINDOW_MIN, WINDOW_MAX = 5, 1_000


def _price(fields: Fields) -> Leaf:
    return fields.threshold(ask_for(PRICE, fields.instrument()), 0)


def _change_percent(fields: Fields) -> Leaf:
    instrument, base = fields.instrument(), fields.word("base", BASES)
    minutes = fields.whole("minutes", 1, WEEK_MINUTES) if base == MINUTES else None
    if base == MINUTES and minutes is None:
        raise fields.refuse("minutes", "Is missing: against the price how many minutes ago.")
    portfolio = fields.portfolio() if base == COST else None
    return fields.threshold(ask_for(CHANGE_PERCENT, instrument, portfolio, base=base, minutes=minutes))


def _volume_zscore(fields: Fields) -> Leaf:
    window = fields.whole("window", WINDOW_MIN, WINDOW_MAX, Measure().window)
    return fields.threshold(ask_for(VOLUME_ZSCORE, fields.instrument(), interval=fields.interval(), window=window))


def _spread(fields: Fields) -> Leaf:
    return fields.threshold(ask_for(SPREAD, fields.instrument(), unit=fields.word("unit", (BPS, ABSOLUTE), BPS)), 0)


def _indicator(fields: Fields) -> Leaf:
    try:
        asked = indicators.asked(fields.text("name"))
    except (indicators.UnknownIndicator, indicators.InvalidParameters) as error:
        raise fields.refuse("name", str(error)) from None
    outputs = asked.indicator.outputs
    output = fields.word("output", outputs, outputs[0])
    ask = ask_for(INDICATOR, fields.instrument(), name=asked.label, output=output, interval=fields.interval())
    return fields.threshold(ask)


def _pattern(fields: Fields) -> Leaf:
    name = fields.text("name")
    # TA-Lib's names are asked for only when they are needed: it takes long to come.
    if name not in patterns.FIGURES and name not in patterns.candlestick_names():
        likely = near(name, [*patterns.FIGURES, *patterns.candlestick_names()])
        raise fields.refuse("name", f"There is no pattern {shown(name)}.{likely}")
    least = fields.number("min_confidence", 0, 100)
    ask = ask_for(PATTERN, fields.instrument(), name=name, interval=fields.interval(), min_confidence=least)
    return fields.occurrence(ask)


def _signal(fields: Fields) -> Leaf:
    name, number = _strategy(fields)
    ask = ask_for(
        SIGNAL,
        fields.instrument(),
        strategy=name,
        strategy_id=number,
        signal_type=fields.named("signal_type", SIGNAL_TYPES),
        min_confidence=fields.number("min_confidence", 0, 100),
        user=fields.defaults.user,
    )
    return fields.occurrence(ask)


def _strategy(fields: Fields) -> tuple[str | None, int | None]:
    """Whose signals: a kind by its name, or one of the user's own by number or name, which are both kept: the number
    tells which it is, the name what it was called. (None, None): of any."""
    known, own = fields.defaults.strategies, fields.defaults.own_strategies
    kinds = frozenset(strategies.KINDS) if known is None else known
    number, name = fields.whole("strategy_id", 1, 2**53), fields.name("strategy")
    if number is None and (name is None or name in kinds):
        return name, None
    if number is None:
        number = _own_number(name, own or {})
        if number is None:
            known_kinds = f"{shown(name)} is none of {', '.join(sorted(kinds))}, nor a strategy of your own."
            raise fields.refuse("strategy", known_kinds + near(name, [*kinds, *(own or {}).values()]))
    if own is None:
        return name or str(number), number
    if number not in own:
        raise fields.refuse("strategy_id", f"You have no strategy {number}.")
    return own[number], number


def _own_number(name: str | None, own: Mapping[int, str]) -> int | None:
    """The number of one's own strategy that is meant by its number or its name."""
    by_number = {str(number): number for number in own}
    by_name = {called: number for number, called in own.items()}
    return by_number.get(name or "") or by_name.get(name or "")


def _sentiment(fields: Fields) -> Leaf:
    return fields.threshold(
        ask_for(SENTIMENT, fields.instrument(), hours=fields.whole("hours", 1, MONTH_HOURS, 24)), -1, 1
    )


def _portfolio(fields: Fields) -> Leaf:
    figure = fields.word("figure", FIGURES)
    instrument = fields.instrument() if figure == WEIGHT else None
    return fields.threshold(ask_for(PORTFOLIO, instrument, fields.portfolio(), figure=figure))


def _staleness(fields: Fields) -> Leaf:
    return fields.threshold(ask_for(STALENESS, fields.instrument()), 0)


def _service(fields: Fields) -> Leaf:
    part = fields.named("part", fields.defaults.parts)
    if part is None:
        raise fields.refuse("part", "Is missing: the part of the service.")
    return fields.threshold(ask_for(SERVICE, part=part), 0)


READERS: Final[Mapping[str, Callable[[Fields], Leaf]]] = {
    PRICE: _price,
    CHANGE_PERCENT: _change_percent,
    VOLUME_ZSCORE: _volume_zscore,
    SPREAD: _spread,
    INDICATOR: _indicator,
    PATTERN: _pattern,
    SIGNAL: _signal,
    SENTIMENT: _sentiment,
    PORTFOLIO: _portfolio,
    STALENESS: _staleness,
    SERVICE: _service,
}
KINDS: Final = tuple(READERS)
