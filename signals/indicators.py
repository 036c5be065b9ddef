"""Indicators over candles, by name, with their variants and their warm-up. By TA-Lib wherever it has them.

An indicator is asked for as it is written: `rsi`, `rsi(21)`, `macd(12, 26, 9)`, `bollinger(period=20, deviations=2.5)`.
Where a window isn't full yet the value is NaN, never an estimate.

A recursive indicator (EMA, Wilder's averages) remembers its first bar for ever, a little less with each bar. `settle`
is how many bars after its first value that memory is below the precision that is promised (1e-9, with room for what is
averaged twice); whoever needs the same value whatever the history before it gives it `warmup` = lookback + settle
bars. What adds up all history (OBV) never forgets, and says so.

TA-Lib imports pandas where there is one: two seconds and eighty megabytes. So it is imported by the first indicator
that is asked for, and not by each process at its start.
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import numpy as np

from signals.candles import Candles

PERIOD_MAX: Final = 1_000
SETTLED: Final = 1e-12
_ASKED: Final = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?:\(([^()]*)\))?\s*", re.ASCII)
_ASKED_LONGEST: Final = 120


class UnknownIndicator(ValueError):
    """There is none of that name. Its text says which are near."""


class InvalidParameters(ValueError):
    """It can't work with these. Its text says why."""


class Parameter(msgspec.Struct, frozen=True):
    """default, and the least and the most that is taken; whole: no fractions."""

    name: str
    default: float
    least: float
    most: float = PERIOD_MAX
    whole: bool = True


class Indicator(msgspec.Struct, frozen=True, kw_only=True):
    """One indicator in one variant.

    inputs: the columns of candles that it reads. outputs: the names of its arrays, in order. compute: (candles,
    *parameters) → arrays of the candles' length. memory: of its parameters, the share of a bar's weight that is left
    one bar later (0: a window, which forgets at once; None: never forgets).
    """

    name: str
    variant: str
    inputs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    outputs: tuple[str, ...]
    compute: Callable[..., Sequence[np.ndarray]]
    lookback: Callable[..., int]
    memory: Callable[..., float | None]
    talib: str = ""
    # In TA-Lib's own order, made of ours; the stream needs the same.
    arguments: Callable[..., tuple[Any, ...]] = lambda *given: given


class Asked(msgspec.Struct, frozen=True):
    """An indicator with its parameters, as one wrote it down."""

    indicator: Indicator
    given: tuple[float, ...]

    @property
    def label(self) -> str:
        """As it is asked for, with every parameter: `macd(12,26,9)`."""
        inside = ",".join(f"{value:g}" for value in self.given)
        return f"{self.indicator.name}({inside})" if inside else self.indicator.name

    @property
    def lookback(self) -> int:
        """Bars before the first value."""
        return _lookback(self.indicator.name, self.given)

    @property
    def settle(self) -> int | None:
        """Bars after the first value until the history before it no longer counts; None: never."""
        memory = self.indicator.memory(*self.given)
        if memory is None:
            return None
        return math.ceil(math.log(SETTLED) / math.log(memory)) if memory > 0 else 0

    @property
    def warmup(self) -> int:
        """Bars that its last value needs, the last one included."""
        return self.lookback + (self.settle or 0) + 1

    def over(self, candles: Candles) -> dict[str, np.ndarray]:
        """Its outputs by name, each as long as the candles; NaN where there is no value."""
        if len(candles) <= self.lookback:
            return {name: np.full(len(candles), np.nan) for name in self.indicator.outputs}
        arrays = self.indicator.compute(candles, *self.given)
        return dict(zip(self.indicator.outputs, arrays, strict=True))

    def live(self, candles: Candles) -> "Live":
        """The same, bar by bar, going on from these closed ones."""
        return Live(self, candles)


@lru_cache(10_000)
def _lookback(name: str, given: tuple[float, ...]) -> int:
    """TA-Lib takes longer to say it than to compute most of them."""
    return INDICATORS[name].lookback(*given)


def asked(text: str) -> Asked:
    """What `text` asks for. Raises UnknownIndicator or InvalidParameters."""
    found = _ASKED.fullmatch(text) if len(text) <= _ASKED_LONGEST else None
    if found is None:
        raise UnknownIndicator(f"“{text[:40]}” is no indicator: write it as rsi, or as macd(12, 26, 9).")
    name = found[1].lower()
    if name not in INDICATORS:
        near = difflib.get_close_matches(name, INDICATORS, n=3)
        raise UnknownIndicator(f"There is no indicator “{name}”" + (f"; {', '.join(near)}?" if near else "."))
    indicator = INDICATORS[name]
    return Asked(indicator, _checked(indicator, [part for part in (found[2] or "").split(",") if part.strip()]))


def with_parameters(name: str, given: Mapping[str, float]) -> Asked:
    """The same by name and parameters. Raises UnknownIndicator or InvalidParameters."""
    return asked(f"{name}({','.join(f'{key}={value!r}' for key, value in given.items())})")


def _checked(indicator: Indicator, parts: Sequence[str]) -> tuple[float, ...]:
    known = {parameter.name: parameter for parameter in indicator.parameters}
    values = {p.name: int(p.default) if p.whole else float(p.default) for p in indicator.parameters}
    if len(parts) > len(known):
        raise InvalidParameters(f"{indicator.name} takes {len(known)} parameters ({', '.join(known) or 'none'}).")
    for place, part in enumerate(parts):
        key, equals, text = part.partition("=")
        name = key.strip().lower() if equals else indicator.parameters[place].name
        if name not in known:
            raise InvalidParameters(f"{indicator.name} has no parameter “{name}”, only {', '.join(known)}.")
        values[name] = _value(known[name], text if equals else key)
    checked = tuple(values[name] for name in known)
    indicator.lookback(*checked)  # refuses what does not go together
    return checked


def _value(parameter: Parameter, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InvalidParameters(f"{parameter.name}: “{text.strip()[:20]}” is no number.") from None
    if not parameter.least <= value <= parameter.most:
        raise InvalidParameters(f"{parameter.name} lies between {parameter.least:g} and {parameter.most:g}.")
    if parameter.whole and value != int(value):
        raise InvalidParameters(f"{parameter.name} is a whole number.")
    return int(value) if parameter.whole else value


class Live:
    """An indicator that goes on bar by bar: `add` a closed one, `peek` at what the forming one would make of it.

    TA-Lib's streams do it in constant time; what is our own is computed over the last `warmup` bars.
    """

    def __init__(self, asked: Asked, candles: Candles) -> None:
        """Raises ValueError for fewer bars than the first value needs."""
        if len(candles) <= asked.lookback:
            raise ValueError(f"{asked.label} needs {asked.lookback + 1} bars, not {len(candles)}")
        self._asked = asked
        self._tail = candles if asked.settle is None else candles.last(asked.warmup)
        self._stream = self._opened(candles)

    def _opened(self, candles: Candles) -> Any:
        indicator = self._asked.indicator
        if not indicator.talib:
            return None
        from talib import stream

        return getattr(stream, indicator.talib)(
            *_inputs(candles, indicator.inputs), *indicator.arguments(*self._asked.given)
        )

    def add(self, bar: Candles) -> dict[str, float]:
        """One more closed bar (candles of length 1). Its values."""
        if self._stream is not None:
            return self._named(self._stream.update(*self._prices(bar)))
        self._tail = _joined(self._tail, bar)
        if self._asked.settle is not None:
            self._tail = self._tail.last(self._asked.warmup)
        return self._newest(self._tail)

    def peek(self, bar: Candles) -> dict[str, float]:
        """What the values would be if the forming bar closed as it is now; nothing is kept."""
        if self._stream is not None:
            return self._named(self._stream.peek(*self._prices(bar)))
        return self._newest(_joined(self._tail, bar))

    def _prices(self, bar: Candles) -> list[float]:
        return [float(getattr(bar, name)[-1]) for name in self._asked.indicator.inputs]

    def _named(self, values: Any) -> dict[str, float]:
        outputs = self._asked.indicator.outputs
        return dict(zip(outputs, map(float, values if isinstance(values, tuple) else (values,)), strict=True))

    def _newest(self, candles: Candles) -> dict[str, float]:
        return {name: float(values[-1]) for name, values in self._asked.over(candles).items()}


def _joined(candles: Candles, bar: Candles) -> Candles:
    names = candles.__struct_fields__[1:]
    return Candles(candles.step_us, *(np.append(getattr(candles, n), getattr(bar, n)) for n in names))


def _inputs(candles: Candles, names: Sequence[str]) -> list[np.ndarray]:
    return [np.ascontiguousarray(getattr(candles, name), np.float64) for name in names]


# --- By TA-Lib ------------------------------------------------------------------------------------------------

HLC: Final = ("high", "low", "close")


def _period(default: int, least: int = 2, name: str = "period") -> Parameter:
    return Parameter(name, default, least)


def _forgets(*_: float) -> float:
    return 0.0


def _never_forgets(*_: float) -> None:
    return None


def _ema(period: float, *_: float) -> float:
    return 1 - 2 / (period + 1)


def _wilder(period: float, *_: float) -> float:
    return 1 - 1 / period


def _by_talib(
    name: str,
    function: str,
    variant: str,
    inputs: tuple[str, ...],
    parameters: tuple[Parameter, ...] = (),
    outputs: tuple[str, ...] = (),
    memory: Callable[..., float | None] = _forgets,
    arguments: Callable[..., tuple[Any, ...]] = lambda *given: given,
) -> Indicator:
    def compute(candles: Candles, *given: float) -> Sequence[np.ndarray]:
        import talib

        made = getattr(talib, function)(*_inputs(candles, inputs), *arguments(*given))
        return made if isinstance(made, list | tuple) else (made,)

    def lookback(*given: float) -> int:
        from talib import abstract

        asked_of = abstract.Function(function)  # type: ignore[attr-defined]
        asked_of.parameters = dict(zip(asked_of.parameters, arguments(*given), strict=False))
        return int(asked_of.lookback)

    return Indicator(
        name=name, variant=variant, inputs=inputs, parameters=parameters, outputs=outputs or (name,), compute=compute,
        lookback=lookback, memory=memory, talib=function, arguments=arguments,
    )  # fmt: skip


def _macd_arguments(fast: float, slow: float, signal: float) -> tuple[float, ...]:
    if fast >= slow:
        raise InvalidParameters("fast is shorter than slow.")
    return fast, slow, signal


def _bands(period: float, deviations: float) -> tuple[float, ...]:
    return period, deviations, deviations, 0


def _smoothed(k: float, slowing: float, d: float) -> tuple[float, ...]:
    return k, slowing, 0, d, 0


def _parabolic(step: float, most: float) -> tuple[float, ...]:
    if step > most:
        raise InvalidParameters("step is no more than max.")
    return step, most


# Kaufman's slowest: a market without direction moves his average by the square of a 30-bar EMA's weight.
_SLOWEST: Final = 1 - (2 / 31) ** 2
_DEVIATIONS: Final = Parameter("deviations", 2, 0.1, 10, whole=False)
_TALIB: Final = (
    _by_talib("sma", "SMA", "simple mean of the window", ("close",), (_period(20),)),
    _by_talib("ema", "EMA", "seeded by the mean of the first period", ("close",), (_period(20),), memory=_ema),
    _by_talib("wma", "WMA", "linear weights, the newest the heaviest", ("close",), (_period(20),)),
    _by_talib("dema", "DEMA", "2 EMA − EMA of EMA", ("close",), (_period(20),), memory=_ema),
    _by_talib("tema", "TEMA", "3 EMA − 3 EMA² + EMA³", ("close",), (_period(20),), memory=_ema),
    _by_talib("kama", "KAMA", "Kaufman's, 2 and 30 bars", ("close",), (_period(10),), memory=lambda n: _SLOWEST),
    _by_talib("rsi", "RSI", "Wilder's smoothing", ("close",), (_period(14),), memory=_wilder),
    _by_talib(
        "macd", "MACD", "EMAs seeded by means", ("close",),
        (_period(12, name="fast"), _period(26, name="slow"), _period(9, 1, name="signal")),
        ("macd", "signal", "histogram"), lambda fast, slow, signal: _ema(slow), _macd_arguments,
    ),
    _by_talib(
        "bollinger", "BBANDS", "population deviation around the simple mean", ("close",),
        (_period(20), _DEVIATIONS), ("upper", "middle", "lower"), arguments=_bands,
    ),
    _by_talib("atr", "ATR", "Wilder's smoothing of the true range", HLC, (_period(14, 1),), memory=_wilder),
    _by_talib("natr", "NATR", "ATR in percent of the close", HLC, (_period(14, 1),), memory=_wilder),
    _by_talib(
        "stochastic", "STOCH", "slow: both lines smoothed by means", HLC,
        (_period(14, 1, "k"), _period(3, 1, "slowing"), _period(3, 1, "d")), ("k", "d"), arguments=_smoothed,
    ),
    _by_talib(
        "stochastic_fast", "STOCHF", "fast: only %D is smoothed", HLC,
        (_period(14, 1, "k"), _period(3, 1, "d")), ("k", "d"), arguments=lambda k, d: (k, d, 0),
    ),
    _by_talib(
        "stochastic_rsi", "STOCHRSI", "of Wilder's RSI", ("close",),
        (_period(14), _period(14, 1, "k"), _period(3, 1, "d")), ("k", "d"), _wilder, lambda n, k, d: (n, k, d, 0),
    ),
    _by_talib("obv", "OBV", "adds up all bars that are given", ("close", "volume"), memory=_never_forgets),
    _by_talib("ad", "AD", "Chaikin's line; adds up all bars that are given", (*HLC, "volume"), memory=_never_forgets),
    _by_talib("mfi", "MFI", "money flow of the window", (*HLC, "volume"), (_period(14),)),
    _by_talib("adx", "ADX", "Wilder's", HLC, (_period(14),), memory=_wilder),
    _by_talib("plus_di", "PLUS_DI", "Wilder's", HLC, (_period(14, 1),), memory=_wilder),
    _by_talib("minus_di", "MINUS_DI", "Wilder's", HLC, (_period(14, 1),), memory=_wilder),
    _by_talib("cci", "CCI", "mean deviation × 0.015", HLC, (_period(20),)),
    _by_talib("williams_r", "WILLR", "−100 to 0", HLC, (_period(14),)),
    _by_talib("roc", "ROC", "percent", ("close",), (_period(10, 1),)),
    _by_talib("momentum", "MOM", "difference", ("close",), (_period(10, 1),)),
    _by_talib("aroon", "AROON", "of the window", ("high", "low"), (_period(25),), ("down", "up")),
    _by_talib("trix", "TRIX", "percent change of the triple EMA", ("close",), (_period(15, 1),), memory=_ema),
    _by_talib(
        "sar", "SAR", "parabolic; its direction is of all bars that are given", ("high", "low"),
        (Parameter("step", 0.02, 0.001, 1, whole=False), Parameter("max", 0.2, 0.001, 1, whole=False)),
        memory=_never_forgets, arguments=_parabolic,
    ),
    _by_talib("stddev", "STDDEV", "population", ("close",), (_period(20),), arguments=lambda n: (n, 1.0)),
)  # fmt: skip


# --- Our own: what TA-Lib has not, or has in another variant ---------------------------------------------------


def sma(values: np.ndarray, period: int) -> np.ndarray:
    """Simple moving average of the last `period` values, the present one included. Same length as `values`."""
    import talib

    return np.asarray(talib.SMA(np.ascontiguousarray(values, np.float64), timeperiod=period))


def average_range(high: np.ndarray, low: np.ndarray, close: np.ndarray, period: int) -> np.ndarray:
    """The true range (the bar's, or from the close before it), averaged over `period` bars.

    The plain mean, not Wilder's smoothing (TA-Lib's ATR): it depends on the last `period` + 1 bars alone, so that
    the same bars give the same value however much history stands before them.
    """
    import talib

    ranges = talib.TRANGE(*(np.ascontiguousarray(values, np.float64) for values in (high, low, close)))
    averaged = np.full(len(ranges), np.nan)
    if len(ranges) > period:
        averaged[1:] = talib.SMA(ranges[1:], timeperiod=period)  # the first bar has no close before it
    return averaged


def _simple_range(candles: Candles, period: int) -> Sequence[np.ndarray]:
    return (average_range(candles.high, candles.low, candles.close, period),)


def _cutler(candles: Candles, period: int) -> Sequence[np.ndarray]:
    """RSI of the plain means of gains and losses: a window's, so that no history before it counts."""
    moves = np.diff(candles.close)
    values = np.full(len(candles), np.nan)
    up, down = (sma(np.maximum(sign * moves, 0), period) for sign in (1, -1))
    total = up + down
    with np.errstate(invalid="ignore", divide="ignore"):
        # Where nothing has moved TA-Lib's Wilder says 0; so does this.
        values[1:] = np.where(total == 0, 0.0, 100 * up / total)
    values[1:][np.isnan(total)] = np.nan
    return (values,)


def _ema_from_first(candles: Candles, period: int) -> Sequence[np.ndarray]:
    """The EMA that spreadsheets and pandas (`adjust=False`) make: seeded by the first value."""
    weight, values, now = 2 / (period + 1), np.empty(len(candles)), float(candles.close[0])
    for place, close in enumerate(candles.close.tolist()):
        now += weight * (close - now)
        values[place] = now
    return (values,)


def _session_vwap(candles: Candles) -> Sequence[np.ndarray]:
    """Σ typical price × volume ÷ Σ volume since the session began. NaN until something was traded in it."""
    typical = (candles.high + candles.low + candles.close) / 3
    volume = np.nan_to_num(candles.volume)
    starts = np.flatnonzero(np.diff(candles.session, prepend=candles.session[0] - 1))
    lengths = np.diff(starts, append=len(candles))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (_since(typical * volume, starts, lengths) / _since(volume, starts, lengths),)


def _since(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Running sums that begin anew at each start."""
    return np.concatenate([np.cumsum(values[a : a + n]) for a, n in zip(starts, lengths, strict=True)])


def _donchian(candles: Candles, period: int) -> Sequence[np.ndarray]:
    """The highest high and lowest low of the `period` bars *before* each: what a breakout has to pass."""
    import talib

    upper, lower = np.full(len(candles), np.nan), np.full(len(candles), np.nan)
    upper[1:] = talib.MAX(np.ascontiguousarray(candles.high), period)[:-1]
    lower[1:] = talib.MIN(np.ascontiguousarray(candles.low), period)[:-1]
    return upper, (upper + lower) / 2, lower


def _own(
    name: str,
    variant: str,
    inputs: tuple[str, ...],
    parameters: tuple[Parameter, ...],
    compute: Callable[..., Sequence[np.ndarray]],
    lookback: Callable[..., int],
    memory: Callable[..., float | None] = _forgets,
    outputs: tuple[str, ...] = (),
) -> Indicator:
    return Indicator(
        name=name, variant=variant, inputs=inputs, parameters=parameters, outputs=outputs or (name,), compute=compute,
        lookback=lookback, memory=memory,
    )  # fmt: skip


_OWN: Final = (
    _own("rsi_cutler", "plain means of gains and losses", ("close",), (_period(14),), _cutler, lambda n: int(n)),
    _own("atr_simple", "plain mean of the true range", HLC, (_period(14, 1),), _simple_range, lambda n: int(n)),
    _own("ema_first", "seeded by the first value", ("close",), (_period(20),), _ema_from_first, lambda n: 0, _ema),
    _own(
        "vwap", "since the session began; needs the session whole", (*HLC, "volume"), (), _session_vwap, lambda: 0,
        _never_forgets,
    ),
    _own(
        "donchian", "of the bars before", ("high", "low"), (_period(20, 1),), _donchian, lambda n: int(n),
        outputs=("upper", "middle", "lower"),
    ),
)  # fmt: skip

INDICATORS: Final[dict[str, Indicator]] = {indicator.name: indicator for indicator in (*_TALIB, *_OWN)}
