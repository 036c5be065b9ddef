"""The index of price alerts: it names all that a change may move, and nobody else."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals.arming import MODES, ONCE, ONCE_PER_BAR, State, Terms, begun, judge
from signals.levels import EACH, Levels, Watch, watch
from signals.rules import ABOVE, BELOW, CROSSES, CROSSES_ABOVE, CROSSES_BELOW, Ask, Leaf, Seen

SECOND = 1_000_000
BTC, ETH = 1, 2


def leaf(op=ABOVE, value=100.0, clear=None, instrument=BTC):
    return Leaf(Ask("price", instrument), op, value, clear)


def seen_at(price, at_us, low=None, high=None):
    return Seen(price, price if low is None else low, price if high is None else high, at_us)


def looked(rule, terms, *prices):
    """The state after looks at these prices, a second apart."""
    state = begun(0)
    for at, price in enumerate(prices, 1):
        state = judge(rule, terms, state, {rule.ask: seen_at(price, at * SECOND)}, at * SECOND).state
    return state


@pytest.mark.parametrize(
    ("op", "clear", "prices", "waits"),
    [
        (ABOVE, None, [], EACH),
        (ABOVE, None, [90], Watch(above=100)),
        (ABOVE, None, [100], Watch(above=100, below=100)),
        (ABOVE, 95.0, [101], Watch(below=95)),
        (ABOVE, 95.0, [101, 96], Watch(below=95)),
        (ABOVE, 95.0, [101, 94], Watch(above=100)),
        (BELOW, 105.0, [99], Watch(above=105)),
        (CROSSES_ABOVE, None, [101], Watch(below=100)),
        (CROSSES, None, [101, 99], Watch(above=100)),
    ],
)
def test_an_alert_waits_for_the_price_that_would_move_it(op, clear, prices, waits):
    rule = leaf(op, clear=clear)
    assert watch(rule, Terms(), looked(rule, Terms(), *prices)) == waits


def test_what_is_being_confirmed_wants_each_look():
    rule, terms = leaf(), Terms(confirmations=3)
    assert watch(rule, terms, looked(rule, terms, 90, 101)) == EACH
    assert watch(rule, terms, looked(rule, terms, 90, 101, 102, 103)) == Watch(below=100)
    crossing = leaf(CROSSES_ABOVE)
    assert watch(crossing, terms, looked(crossing, terms, 90, 101)) == EACH


def test_once_a_bar_wakes_with_the_bar_and_a_cooling_one_when_it_is_cool():
    per_bar = Terms(mode=ONCE_PER_BAR, bar_us=60 * SECOND)
    assert watch(leaf(), per_bar, looked(leaf(), per_bar, 90, 101)) == Watch(below=100, wake_us=60 * SECOND)
    cooled = Terms(cooldown_us=30 * SECOND)
    assert watch(leaf(), cooled, looked(leaf(), cooled, 101, 99, 101)) == Watch(below=100, wake_us=31 * SECOND)


def test_what_is_spent_waits_for_nothing():
    once = Terms(mode=ONCE)
    assert watch(leaf(), once, looked(leaf(), once, 101)) is None
    levels = Levels()
    levels.put(7, BTC, Watch(above=100))
    levels.put(7, BTC, None)
    assert 7 not in levels
    assert levels.hits(BTC, 0, 200, 0) == []


def test_a_change_names_those_whose_threshold_it_passed_and_no_one_elses():
    levels = Levels()
    for alert_id, above in enumerate([100.0, 110.0, 120.0]):
        levels.put(alert_id, BTC, Watch(above=above))
    levels.put(9, ETH, Watch(above=50.0))
    levels.put(10, BTC, Watch(below=90.0))
    assert levels.hits(BTC, 95.0, 110.0, 0) == [0]  # the line itself is not passed
    assert levels.hits(BTC, 89.0, 95.0, 0) == [0, 10]  # 0 again: nobody has said what it waits for now


def test_what_is_named_is_named_until_it_is_put_anew():
    levels = Levels()
    levels.put(1, BTC, Watch(above=100.0))
    assert levels.hits(BTC, 99.0, 101.0, 0) == [1]
    assert levels.hits(BTC, 50.0, 50.0, 0) == [1]
    levels.put(1, BTC, Watch(below=40.0))
    assert levels.hits(BTC, 50.0, 200.0, 0) == []


def test_a_changed_alert_is_found_where_it_is_now_and_once():
    levels = Levels()
    for above in (100.0, 200.0, 100.0, 100.0):
        levels.put(1, BTC, Watch(above=above, below=above))
    assert levels.hits(BTC, 150.0, 150.0, 0) == [1]
    levels.put(1, ETH, Watch(above=100.0))
    assert levels.hits(BTC, 0.0, 1000.0, 0) == []
    assert levels.hits(ETH, 1.0, 101.0, 0) == [1]


def test_alerts_that_come_and_go_leave_no_heap_behind():
    levels = Levels()
    for n in range(5_000):
        levels.put(n % 10, BTC, Watch(above=100.0 + n, below=50.0))
    for n in range(9):
        levels.remove(n)
    assert len(levels) == 1
    assert len(levels._rising[BTC].heap) < 200
    assert len(levels._falling[BTC].heap) < 200


def test_a_moment_comes_once():
    levels = Levels()
    levels.put(1, BTC, Watch(below=50.0, wake_us=10))
    assert levels.hits(BTC, 60.0, 60.0, 9) == []
    assert levels.hits(BTC, 60.0, 60.0, 10) == [1]
    levels.put(1, BTC, Watch(below=50.0, wake_us=30))
    levels.put(1, BTC, Watch(below=50.0))
    assert levels.hits(BTC, 60.0, 60.0, 99) == []


def test_many_changes_heed_what_was_put_between_them():
    levels = Levels()
    levels.put(1, BTC, Watch(above=100.0))
    named = []
    for place, ids in levels.hits_in([(BTC, 99.0, 101.0), (ETH, 1.0, 1.0), (BTC, 102.0, 103.0)], 0):
        named.append((place, ids))
        levels.put(1, BTC, Watch(below=90.0))
    assert named == [(0, [1])]


# --- The same firings as judging everything ---------------------------------------------------------------------

prices = st.integers(95, 105).map(float)
rules = st.builds(
    lambda op, value, gap, instrument: leaf(
        op, value, None if op == CROSSES or not gap else value - gap if op in (ABOVE, CROSSES_ABOVE) else value + gap,
        instrument,
    ),
    st.sampled_from([ABOVE, BELOW, CROSSES_ABOVE, CROSSES_BELOW, CROSSES]), prices, st.integers(0, 3),
    st.sampled_from([BTC, ETH]),
)  # fmt: skip
terms_ = st.builds(
    Terms, mode=st.sampled_from(MODES), bar_us=st.just(4 * SECOND), confirmations=st.sampled_from([1, 1, 2, 3]),
    cooldown_us=st.sampled_from([0, 0, 3 * SECOND]), escalate=st.booleans(), at_once=st.booleans(),
    expires_us=st.sampled_from([None, 20 * SECOND]),
)  # fmt: skip
looks = st.lists(st.tuples(st.sampled_from([BTC, ETH]), prices, prices, prices, st.booleans()), max_size=30)


def firings_of_all(alerts, changes):
    states, told = [begun(0) for _ in alerts], []
    for at, (instrument, low, high, last, muted) in enumerate(changes, 1):
        for n, (rule, terms) in enumerate(alerts):
            if rule.ask.instrument == instrument:
                verdict = judge(
                    rule, terms, states[n], {rule.ask: Seen(last, low, high, at * SECOND)}, at * SECOND, muted
                )
                states[n] = verdict.state
                told += [(at, n, verdict.fired)] if verdict.fired else []
    return told


def firings_of_the_named(alerts, changes):
    states: list[State] = [begun(0) for _ in alerts]
    told, levels = [], Levels()
    for n, (rule, terms) in enumerate(alerts):
        levels.put(n, rule.ask.instrument, watch(rule, terms, states[n]))
    for at, (instrument, low, high, last, muted) in enumerate(changes, 1):
        for n in levels.hits(instrument, low, high, at * SECOND):
            rule, terms = alerts[n]
            verdict = judge(rule, terms, states[n], {rule.ask: Seen(last, low, high, at * SECOND)}, at * SECOND, muted)
            states[n] = verdict.state
            levels.put(n, instrument, watch(rule, terms, states[n]))
            told += [(at, n, verdict.fired)] if verdict.fired else []
    return told


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(rules, terms_), min_size=1, max_size=6), looks)
def test_the_index_fires_what_judging_all_at_each_change_fires(alerts, changes):
    changes = [(i, min(a, b, c), max(a, b, c), b, muted) for i, a, b, c, muted in changes]
    assert firings_of_the_named(alerts, changes) == firings_of_all(alerts, changes)


@pytest.mark.parametrize("mode", MODES)
def test_few_are_judged_for_nothing(mode):
    """A price that walks between thresholds names nobody."""
    levels, terms = Levels(), Terms(mode=mode, bar_us=3600 * SECOND)
    alerts = [leaf(ABOVE, 100.0 + n) for n in range(1, 500)] + [leaf(CROSSES_BELOW, 100.0 - n) for n in range(1, 50)]
    for n, rule in enumerate(alerts):
        levels.put(n, BTC, watch(rule, terms, looked(rule, terms, 100)))
    named = sum(len(levels.hits(BTC, p, p, 5 * SECOND)) for p in (100 + math.sin(n) for n in range(200)))
    assert named <= 2 * 200  # the nearest above, and the nearest below, that nobody puts anew here
