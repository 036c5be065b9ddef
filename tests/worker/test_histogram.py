import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.histogram import GROWTH, Histogram


@given(st.lists(st.floats(1.0, 3e9), min_size=1, max_size=200), st.sampled_from([1, 50, 90, 99, 100]))
def test_a_percentile_is_at_most_a_tenth_above_the_truth(durations: list[float], percentile: int) -> None:
    histogram = Histogram()
    for duration in durations:
        histogram.add(duration)
    true = float(np.percentile(durations, percentile, method="inverted_cdf"))
    found = histogram.percentiles_ms((percentile,))[f"p{percentile}"] * 1000
    assert true * 0.999 - 10 <= found <= true * GROWTH * 1.001 + 10  # a hundredth of a millisecond is rounded away


def test_what_is_merged_counts_as_if_added() -> None:
    first, second, both = Histogram(), Histogram(), Histogram()
    for duration in (5, 700, 9000):
        first.add(duration), both.add(duration)
    for duration in (-3, 0, 1e12):
        second.add(duration), both.add(duration)
    first.merge(second.counts)
    assert first.counts == both.counts
    assert len(first) == 6


def test_nothing_has_no_percentiles() -> None:
    assert Histogram().percentiles_ms() == {}
