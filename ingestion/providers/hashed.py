"""Numbers from hashes instead of a generator: the same each time, in whatever order they are asked for. Pure."""

import math

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def words(*numbers: int) -> Words:
    return np.array(numbers, np.uint64)


def mixed(key: Words, counters: Words) -> Words:
    """64-bit hashes of the counters under the keys, element by element, as SplitMix64 scrambles its counter."""
    z = key ^ (counters * words(0x9E3779B97F4A7C15))
    z = (z ^ (z >> words(30))) * words(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> words(27))) * words(0x94D049BB133111EB)
    scrambled: Words = z ^ (z >> words(31))
    return scrambled


def named(seed: int, name: str) -> int:
    """A 64-bit key for a name."""
    z = words(seed & 0xFFFFFFFFFFFFFFFF)
    for byte in name.encode():
        z = mixed(z, words(byte + 1))
    return int(z[0])


def uniform(z: Words) -> Floats:
    """Between 0 and 1, without either."""
    return ((z >> words(12)).astype(np.float64) + 0.5) * 2.0**-52


def normal(z: Words) -> Floats:
    """Box and Muller's, from the two halves of a hash."""
    radius = np.sqrt(-2.0 * np.log(((z >> words(32)).astype(np.float64) + 0.5) * 2.0**-32))
    angle: Floats = (z & words(0xFFFFFFFF)).astype(np.float64) * (2.0 * np.pi * 2.0**-32)
    return radius * np.cos(angle)


def poisson_cdf(mean: float) -> Floats:
    """P(count ≤ k) for k = 0, 1, …, as far as float64 tells it from 1."""
    k = np.arange(int(mean + 12 * math.sqrt(mean) + 24))
    log_factorial = np.concatenate(([0.0], np.cumsum(np.log(k[1:]))))
    return np.cumsum(np.exp(k * math.log(mean) - mean - log_factorial))
