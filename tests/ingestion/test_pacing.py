"""So many in so long, and never more."""

from hypothesis import given
from hypothesis import strategies as st

from ingestion import pacing
from ingestion.feeds import spread
from ingestion.pacing import Window
from ingestion.providers import PROVIDERS


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.integers(1, 5))
def test_no_span_has_more_than_allowed(pauses, most):
    window, now, noted = Window(most, 1.0), 0.0, []
    for pause in pauses:
        now += pause
        now += window.wait_s(now)
        window.note(now)
        noted.append(now)
    for first, next_one in zip(noted, noted[most:], strict=False):
        assert next_one - first >= 1.0 - 1e-9


def test_what_was_not_ours_to_hold_back_counts_too():
    window = Window(2, 1.0)
    window.note(0.0)
    window.note(0.0)
    window.note(0.5)
    assert window.wait_s(0.5) == 0.5


def test_no_venue_gets_more_messages_in_a_second_than_its_provider_allows():
    for provider in PROVIDERS.values():
        window, now, sent = pacing.messages(provider.limits), 0.0, []
        for _ in range(50):
            now += window.wait_s(now)
            window.note(now)
            sent.append(now)
        assert max(sum(at <= other < at + 1 for other in sent) for at in sent) <= provider.limits.messages_per_s


@given(st.lists(st.sampled_from("ABCDEFGHIJ"), unique=True), st.lists(st.sampled_from("ABCDEFGHIJ"), unique=True))
def test_symbols_stay_on_their_line_and_none_is_lost(before, after):
    lines = spread([], before, 3)
    moved = spread(lines, after, 3)
    assert sorted(symbol for line in moved for symbol in line) == sorted(after)
    assert all(len(line) <= 3 for line in moved)
    for old, new in zip(lines, moved, strict=False):
        assert set(old) & set(after) <= set(new)
