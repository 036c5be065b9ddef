"""Jumps and surges, by robust z-scores."""

import math

import msgspec
import numpy as np
import pytest

from signals.anomalies import PRICE_SPIKE, VOLUME_SURGE, Measure, anomalies, robust_z
from signals.indicators import InvalidParameters

from .conftest import market

CANDLES = market(140)
LAST_US = 140 * 60_000_000


def with_last(**values):
    return msgspec.structs.replace(
        CANDLES, **{name: np.append(getattr(CANDLES, name)[:-1], value) for name, value in values.items()}
    )


def test_an_ordinary_walk_has_none():
    assert anomalies(CANDLES) == []


@pytest.mark.parametrize("factor", [1.25, 0.75])
def test_a_jump_is_a_spike_in_its_direction(factor):
    (spike,) = anomalies(with_last(close=CANDLES.close[-2] * factor))
    assert (spike.kind, spike.time_us) == (PRICE_SPIKE, LAST_US)
    assert spike.value == pytest.approx(100 * (factor - 1))
    assert np.sign(spike.z) == np.sign(factor - 1)


def test_one_wild_bar_does_not_hide_the_next():
    closes = CANDLES.close.copy()
    closes[-10:] *= 1.3
    closes[-1] *= 1.3
    spikes = anomalies(msgspec.structs.replace(CANDLES, close=closes))
    assert [spike.time_us for spike in spikes] == [LAST_US - 9 * 60_000_000, LAST_US]


def test_a_surge_of_volume_is_one_and_its_lack_is_none():
    (surge,) = anomalies(with_last(volume=5e5))
    assert surge.kind == VOLUME_SURGE
    assert surge.value > 1_000
    assert anomalies(with_last(volume=0)) == []
    assert anomalies(with_last(volume=np.nan)) == []


def test_in_a_market_that_stood_still_only_a_real_move_counts():
    still = msgspec.structs.replace(CANDLES, close=np.full(140, 100.0), volume=np.ones(140))
    assert anomalies(still) == []
    moved = msgspec.structs.replace(still, close=np.append(still.close[:-1], 100.4))
    assert anomalies(moved) == []  # less than half a percent
    (spike,) = anomalies(msgspec.structs.replace(still, close=np.append(still.close[:-1], 101.0)))
    assert spike.z == math.inf
    assert spike.confidence == 100


def test_the_score_is_in_standard_deviations_of_what_is_normal():
    values = np.random.default_rng(1).normal(5, 2, 20_001)
    assert robust_z(9.0, values) == pytest.approx(2, abs=0.05)
    assert math.isnan(robust_z(1.0, np.array([np.nan])))


def test_the_future_changes_nothing():
    wild = market(200)
    wild = msgspec.structs.replace(wild, close=wild.close * np.where(np.arange(200) % 70 == 69, 1.2, 1))
    whole = anomalies(wild)
    assert whole
    known = anomalies(wild.until(150))
    assert known == [one for one in whole if one.time_us <= 150 * 60_000_000]


@pytest.mark.parametrize("wrong", [{"window": 5}, {"threshold": 0}, {"least_percent": -1}])
def test_a_measure_that_cannot_be(wrong):
    with pytest.raises(InvalidParameters):
        Measure(**wrong)
