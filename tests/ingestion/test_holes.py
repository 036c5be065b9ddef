"""Trade ids: what came twice, what is missing, and since when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.holes import HOLE_MAX, HOLES_MAX, TOLD_AGAIN_MAX, Hole, TradeIds


def fed(*ids, into=None):
    """Each trade happens at its id, and is received then too."""
    seen = into or TradeIds()
    return seen, [seen.is_new(i, i, i) for i in ids]


def holes(seen, before=10**12):
    return [(h.from_id, h.to_id, h.from_us, h.until_us) for h in seen.take("A", before)]


@pytest.mark.parametrize(
    ("ids", "left"),
    [
        ([1, 2, 3], []),
        ([1, 2, 5], [(3, 4, 2, 5)]),
        ([1, 5, 3], [(2, 2, 1, 3), (4, 4, 3, 5)]),
        ([1, 5, 2, 4], [(3, 3, 2, 4)]),
        ([1, 5, 4, 3, 2], []),
        ([1, 3, 5], [(2, 2, 1, 3), (4, 4, 3, 5)]),
        ([7], []),
    ],
)
def test_what_is_missing(ids, left):
    seen, new = fed(*ids)
    assert all(new)
    assert holes(seen) == left
    assert holes(seen) == []


def test_a_hole_is_told_after_its_grace_and_once_and_may_be_filled_still():
    seen, _ = fed(1, 10)
    assert holes(seen, before=9) == []
    assert holes(seen, before=10) == [(2, 9, 1, 10)]
    assert fed(5, 5, into=seen)[1] == [True, False]
    assert holes(seen) == []


def test_what_an_earlier_run_missed_is_a_hole_too():
    seen = TradeIds((5000, 1000))
    assert fed(5004, 5004, into=seen)[1] == [True, False]
    assert list(seen.take("A", 10**9)) == [Hole("A", 5001, 5003, 1000, 5004)]


def test_the_last_trades_of_an_earlier_run_are_known_when_a_venue_tells_them_again():
    seen = TradeIds((5000, 1000))
    last_known = 5001 - TOLD_AGAIN_MAX
    assert fed(5000, 4999, last_known, last_known - 1, 17, into=seen)[1] == [False, False, False, True, True]


@pytest.mark.parametrize("other", [HOLE_MAX * 3 + 1, 5])
def test_a_new_numbering_is_no_hole(other):
    seen, _ = fed(HOLE_MAX * 2)
    assert fed(other, other + 1, other, into=seen)[1] == [True, True, False]
    assert holes(seen) == []


def test_holes_are_bounded():
    seen, _ = fed(*range(0, HOLES_MAX * 6, 2))
    assert len(seen.missing) == HOLES_MAX
    assert fed(1, into=seen)[1] == [True]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=150))
def test_in_any_order_each_id_is_new_once_and_what_is_left_is_missing(ids):
    seen, new = fed(*ids)
    first = ids[0]
    counted = [i for i in ids if i >= first]
    assert [i for i, fresh in zip(ids, new, strict=True) if fresh and i >= first] == list(dict.fromkeys(counted))
    left = {i for hole in holes(seen) for i in range(hole[0], hole[1] + 1)}
    assert left == set(range(first, max(counted) + 1)) - set(counted)
