"""What to fetch, in which pieces."""

from hypothesis import given
from hypothesis import strategies as st

from ingestion import plan
from ingestion.candles import INTERVALS
from ingestion.plan import Span

MINUTE_US = INTERVALS["1m"]
T0 = 1_769_558_400_000_000  # 2026-01-28 00:00 UTC

SPANS = st.builds(lambda a, n: Span(a, a + n), st.integers(0, 200), st.integers(0, 50))


def points(spans):
    return {at for span in spans for at in range(span.from_us, span.until_us)}


@given(st.lists(SPANS), SPANS)
def test_what_is_lacking_and_what_is_there_are_all_of_it(covered, wanted):
    lacking = plan.lacking(wanted, covered)
    assert points(lacking) == points([wanted]) - points(covered)
    assert lacking == plan.merged(lacking)


@given(SPANS, st.integers(1, 60))
def test_pages_are_the_span_cut_at_the_same_places(span, page):
    cut = plan.pages(span, page) if span.from_us < span.until_us else []
    assert points(cut) == points([span])
    assert all(part.until_us - part.from_us <= page for part in cut)
    assert all(part.from_us % page == 0 for part in cut[1:])


def test_the_bar_in_progress_is_no_history():
    now_us = T0 + 10 * MINUTE_US + 1
    (chunk,) = plan.chunks(Span(T0, T0 + 60 * MINUTE_US), "1m", 1000, now_us)
    assert chunk == Span(T0, T0 + 10 * MINUTE_US)
    assert plan.chunks(Span(T0 + 10 * MINUTE_US, now_us), "1m", 1000, now_us) == []
    # At the very end of a bar it is closed.
    assert plan.chunks(Span(T0, now_us), "1m", 1000, T0 + MINUTE_US) == [Span(T0, T0 + MINUTE_US)]


def test_a_year_of_minutes_is_526_calls():
    year = Span(T0, T0 + 365 * 1440 * MINUTE_US)
    chunks = plan.chunks(year, "1m", 1000, year.until_us)
    assert len(chunks) in (526, 527)
    assert plan.estimate(526, weight=2, per_minute=5400) == plan.Estimate(526, 526, 1052, 11.7)


def test_only_what_is_lacking_is_fetched():
    day = Span(T0, T0 + 1440 * MINUTE_US)
    covered = [Span(T0, T0 + 1000 * MINUTE_US), Span(T0 + 1100 * MINUTE_US, T0 + 1440 * MINUTE_US)]
    lacking = plan.chunks(day, "1m", 1000, day.until_us, covered)
    assert points([Span((s.from_us - T0) // MINUTE_US, (s.until_us - T0) // MINUTE_US) for s in lacking]) == set(
        range(1000, 1100)
    )
    assert plan.chunks(day, "1m", 1000, day.until_us, [day]) == []


def test_trades_come_by_the_hour():
    span = Span(T0 + 30 * MINUTE_US, T0 + 150 * MINUTE_US)
    assert [(s.from_us - T0) // MINUTE_US for s in plan.chunks(span, "trades", 1, span.until_us)] == [30, 60, 120]
