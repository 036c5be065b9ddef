"""Whether a strategy keeps the rules, shown on bars of one's own choice: the test kit for whoever writes one."""

import math
from typing import Final

import numpy as np

from signals.candles import COLUMNS, Candles
from signals.strategies.strategy import BUY, MODERATE, SELL, STRONG, WEAK, Advice, Strategy

# Bars: as many as those of ours may hold for.
EXPIRES_MAX: Final = 1_000


def problems(strategy: Strategy, candles: Candles) -> list[str]:
    """What is wrong with it, in sentences; empty when nothing is. Asks it at the close of each bar.

    It may not look ahead, remember, or change what it is given; must not need more than `warmup` bars, nor speak
    with fewer; and has to stamp its advice with the close of the last bar, with sound prices.
    """
    found: dict[str, None] = {}
    lengths = range(1, len(candles) + 1)
    said = {length: _ask(strategy, candles, length, found) for length in lengths}
    for length in reversed(lengths):
        if _ask(strategy, candles, length, found) != said[length]:
            found["It says other things of the same bars when asked in another order: it remembers."] = None
        warm = candles.until(length).last(strategy.warmup)
        if _ask(strategy, warm, len(warm), found) != said[length]:
            found[f"It needs more than the {strategy.warmup} bars that it says."] = None
        if said[length] is not None and length < strategy.warmup:
            found[f"It speaks of {length} bars, and says that it needs {strategy.warmup}."] = None
    for length, advice in said.items():
        if advice is not None:
            found |= dict.fromkeys(unsound(advice, candles.until(length)))
    return list(found)


def looks_ahead(strategy: Strategy, candles: Candles) -> bool:
    """Whether what it says at a bar depends on bars after it, which then are not what they were."""
    altered = np.random.default_rng(1)
    for length in range(1, len(candles)):
        future = {name: getattr(candles, name).copy() for name in COLUMNS}
        for values in future.values():
            values[length:] *= altered.uniform(0.5, 2)
        other = Candles(step_us=candles.step_us, time_us=candles.time_us, session=candles.session, **future)
        if strategy.evaluate(other.until(length)) != strategy.evaluate(candles.until(length)):
            return True
    return False


def _ask(strategy: Strategy, candles: Candles, length: int, found: dict[str, None]) -> Advice | None:
    """On arrays of its own, which end where its knowledge does: a view would let it see what comes after."""
    given = {name: getattr(candles, name)[:length].copy() for name in ("time_us", *COLUMNS, "session")}
    kept = {name: values.copy() for name, values in given.items()}
    try:
        said = strategy.evaluate(Candles(step_us=candles.step_us, **given))
    except Exception as error:
        found[f"It raises {type(error).__name__}: {error}"] = None
        return None
    if any(not np.array_equal(kept[name], given[name], equal_nan=name in COLUMNS) for name in kept):
        found["It changes the bars that it is given."] = None
    return said


def unsound(advice: Advice, candles: Candles) -> list[str]:
    """What is wrong with an advice that was given at the close of the last of these bars."""
    side = {BUY: 1, SELL: -1}.get(advice.signal_type)
    if side is None:
        return [f"Its type is “{advice.signal_type}”, neither {BUY} nor {SELL}."]
    wrong = []
    if advice.time_us != candles.closed_us:
        wrong.append("It stamps its advice with another time than the close of the last bar.")
    if advice.strength not in (WEAK, MODERATE, STRONG):
        wrong.append(f"Its strength is “{advice.strength}”, none of {WEAK}, {MODERATE} and {STRONG}.")
    if not (math.isfinite(advice.entry_price) and advice.entry_price > 0):
        wrong.append("Its entry price is no price.")
    for price, way, name in ((advice.target_price, side, "target"), (advice.stop_loss, -side, "stop")):
        if price is not None and not (math.isfinite(price) and price > 0):
            wrong.append(f"Its {name} is no price.")
        elif price is not None and not way * (price - advice.entry_price) > 0:
            wrong.append(f"Its {name} lies on the wrong side of the entry.")
    if not 0 <= advice.confidence_score <= 100:
        wrong.append("Its confidence lies outside 0 to 100.")
    if advice.expires_us <= advice.time_us:
        wrong.append("Its advice expires before it is given.")
    if advice.expires_us > advice.time_us + EXPIRES_MAX * candles.step_us:
        wrong.append(f"Its advice holds for more than {EXPIRES_MAX} bars.")
    return wrong
