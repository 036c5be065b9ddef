"""Indicators at a candle's close: `python -m tests.bench.indicators [--repeat N]`.

500 instruments × 10 indicators × 500 bars, asked for by name through `signals.indicators`, beside the same TA-Lib
functions called directly on the same arrays, in turns within one run. Target: no more than twice the time.
"""

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import talib

from signals.candles import Candles
from signals.indicators import asked

INSTRUMENTS, BARS = 500, 500
TARGET = 2.0
ASKED = (
    "sma(20)", "ema(20)", "rsi(14)", "macd(12,26,9)", "bollinger(20,2)", "atr(14)", "stochastic(14,3,3)", "obv",
    "adx(14)", "cci(20)",
)  # fmt: skip


def markets() -> list[Candles]:
    rng, made = np.random.default_rng(7), []
    times = np.arange(BARS, dtype=np.int64)
    for _ in range(INSTRUMENTS):
        close = np.exp(np.cumsum(rng.normal(0, 0.01, BARS))) * 100
        opened = np.roll(close, 1)
        high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
        volume = rng.uniform(1, 9, BARS)
        made.append(Candles(60_000_000, times * 60_000_000, opened, high, low, close, volume, times // 400))
    return made


def ours(candles: list[Candles]) -> None:
    wanted = [asked(text) for text in ASKED]
    for one in candles:
        for indicator in wanted:
            indicator.over(one)


def bare(candles: list[Candles]) -> None:
    for one in candles:
        high, low, close, volume = one.high, one.low, one.close, one.volume
        talib.SMA(close, 20)
        talib.EMA(close, 20)
        talib.RSI(close, 14)
        talib.MACD(close, 12, 26, 9)
        talib.BBANDS(close, 20, 2.0, 2.0, 0)
        talib.ATR(high, low, close, 14)
        talib.STOCH(high, low, close, 14, 3, 0, 3, 0)
        talib.OBV(close, volume)
        talib.ADX(high, low, close, 14)
        talib.CCI(high, low, close, 20)


def cpu_s(work: Callable[[list[Candles]], None], candles: list[Candles]) -> float:
    began = time.process_time()
    work(candles)
    return time.process_time() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    candles = markets()
    ours(candles[:5])
    pairs = [(cpu_s(bare, candles), cpu_s(ours, candles)) for _ in range(arguments.repeat)]
    floor, own = (min(times) for times in zip(*pairs, strict=True))
    print(f"{INSTRUMENTS} instruments × {len(ASKED)} indicators × {BARS} bars")
    print(f"bare TA-Lib        {1e3 * floor:7.1f} ms")
    print(f"by name, ours      {1e3 * own:7.1f} ms   {own / floor:.2f} × (target {TARGET:g})")
    return 0 if own <= TARGET * floor else 1


if __name__ == "__main__":
    sys.exit(main())
