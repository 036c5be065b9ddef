"""The alert state machine: each line of the table in docs/alerts.md is a test here."""

import msgspec
import pytest

from signals import arming
from signals.arming import EVERY, EXPIRED, ONCE, ONCE_PER_BAR, SPENT, State, Terms, begun, judge
from signals.rules import (
    ABOVE,
    BELOW,
    CROSSES,
    CROSSES_ABOVE,
    CROSSES_BELOW,
    OCCURS,
    All,
    Any,
    Ask,
    Leaf,
    Names,
    Not,
    Seen,
    leaves,
)  # fmt: skip

SECOND = 1_000_000
MINUTE = 60 * SECOND
PRICE = Ask("price", 1)
OTHER = Ask("price", 2)
RSI = Ask("indicator", 1, None, (("interval", "1h"), ("name", "rsi(14)"), ("output", "rsi")))
HAMMER = Ask("pattern", 1, None, (("interval", "1h"), ("name", "hammer")))
ABOVE_100 = Leaf(PRICE, ABOVE, 100.0)
UP_100 = Leaf(PRICE, CROSSES_ABOVE, 100.0)


class Alert:
    """One alert, looked at once a second; `told` lists the firings."""

    def __init__(self, rule, state=None, **terms):
        self.rule, self.terms = rule, Terms(**terms)
        self.state, self.now_us, self.told = state or begun(0), 0, []

    def at(self, now_s):
        self.now_us = (now_s - 1) * SECOND
        return self

    def look(self, price=None, low=None, high=None, at_s=None, muted=False, **others):
        """A look at the price, and at others by their names here. What isn't given is missing."""
        self.now_us += SECOND
        at_us = self.now_us if at_s is None else at_s * SECOND
        facts = {globals()[name.upper()]: plain(value, self.now_us) for name, value in others.items()}
        if price is not None:
            facts[PRICE] = Seen(price, price if low is None else low, price if high is None else high, at_us)
        return self.judge(facts, muted)

    def judge(self, facts, muted=False):
        verdict = judge(self.rule, self.terms, self.state, facts, self.now_us, muted, Names({1: "S1", 2: "S2"}))
        self.state = verdict.state
        self.told += [verdict.fired] if verdict.fired else []
        return verdict

    def looks(self, *prices):
        """How many times it fired, price by price."""
        return [int(self.look(price).fired is not None) for price in prices]


def plain(value, at_us):
    return Seen(value, value, value, at_us)


# --- Level and crossing ---------------------------------------------------------------------------------------


def test_a_level_that_is_true_already_fires_at_the_first_look():
    assert Alert(ABOVE_100).looks(101, 102) == [1, 0]


def test_unless_it_was_asked_to_wait_until_it_comes_true():
    assert Alert(ABOVE_100, at_once=False).looks(101, 102, 99, 101) == [0, 0, 0, 1]


def test_a_crossing_never_fires_at_the_first_look():
    assert Alert(UP_100).looks(101, 102, 99, 101) == [0, 0, 0, 1]


def test_a_crossing_has_a_direction():
    assert Alert(Leaf(PRICE, CROSSES_BELOW, 100.0)).looks(99, 101, 99, 98) == [0, 0, 1, 0]
    assert Alert(Leaf(PRICE, CROSSES, 100.0)).looks(99, 101, 99, 98, 102) == [0, 1, 1, 0, 1]


@pytest.mark.parametrize("rule", [ABOVE_100, UP_100])
def test_the_line_itself_is_neither_above_nor_below(rule):
    """It leaves the alert on the side where it was: a price that sits on the line does not flap."""
    assert Alert(rule).looks(99, 100, 99, 100) == [0, 0, 0, 0]
    assert Alert(rule).looks(99, 100, 101, 100, 101) == [0, 0, 1, 0, 0]


def test_from_the_line_a_level_comes_true_and_nothing_crosses():
    assert Alert(ABOVE_100).looks(100, 101) == [0, 1]
    assert Alert(UP_100).looks(100, 101, 99, 101) == [0, 0, 0, 1]


# --- Gaps and spikes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [ABOVE_100, UP_100])
def test_a_gap_fires_once_at_the_price_that_was_seen_and_says_so(rule):
    alert = Alert(rule)
    assert alert.looks(90, 120, 121) == [0, 1, 0]
    assert alert.told[0].observed == {"S1": 120}
    assert alert.told[0].gapped
    assert "S1 at 120, which jumped over 100" in alert.told[0].reason


def test_a_move_through_the_threshold_is_no_gap():
    alert = Alert(ABOVE_100)
    alert.looks(99)
    assert not alert.look(105, low=99.9, high=105).fired.gapped


@pytest.mark.parametrize("rule", [ABOVE_100, UP_100])
def test_a_spike_inside_a_look_fires_once_at_its_extreme_and_says_so(rule):
    alert = Alert(rule)
    alert.looks(90)
    fired = alert.look(91, low=89, high=104).fired
    assert (fired.observed, fired.spiked) == ({"S1": 104}, True)
    assert "S1 at 104 in between, 91 now" in fired.reason
    assert alert.looks(92) == [0]
    assert alert.look(91, low=89, high=104).fired  # it was below again: the next one is another


def test_the_price_now_is_told_where_it_suffices():
    alert = Alert(ABOVE_100)
    alert.looks(99)
    assert alert.look(103, low=99, high=110).fired.observed == {"S1": 103}


def test_a_dip_inside_a_look_arms_again():
    alert = Alert(UP_100)
    alert.looks(99, 101)
    assert alert.look(102, low=98, high=103).fired


def test_nothing_is_told_to_have_crossed_that_need_not_have():
    """From above to below, with a high that may have been first: it only fell."""
    alert = Alert(UP_100)
    alert.looks(99, 101)
    assert not alert.look(98, low=97, high=102).fired


def test_extremes_of_the_first_look_may_be_older_than_the_alert():
    assert not Alert(ABOVE_100).look(90, low=80, high=120).fired


# --- Noise ----------------------------------------------------------------------------------------------------


def test_with_a_clear_threshold_it_comes_true_again_only_beyond_that():
    rule = Leaf(PRICE, ABOVE, 100.0, 95.0)
    assert Alert(rule).looks(90, 101, 99, 101, 95, 101, 94, 101) == [0, 1, 0, 0, 0, 0, 0, 1]


def test_a_crossing_is_armed_again_only_beyond_its_clear_threshold():
    rule = Leaf(PRICE, CROSSES_BELOW, 100.0, 105.0)
    assert Alert(rule).looks(104, 99, 101, 99, 106, 99) == [0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize("rule", [ABOVE_100, UP_100])
def test_confirmations_are_looks_in_a_row(rule):
    assert Alert(rule, confirmations=3).looks(99, 101, 102, 99, 101, 102, 103, 104) == [0, 0, 0, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("rule", [ABOVE_100, UP_100])
def test_one_wild_price_confirms_nothing(rule):
    alert = Alert(rule, confirmations=2)
    alert.looks(99)
    assert not alert.look(99.5, low=99, high=150).fired
    assert alert.looks(99, 101) == [0, 0]


def test_the_same_look_again_confirms_nothing():
    alert = Alert(ABOVE_100, confirmations=2)
    alert.look(101, at_s=1)
    assert not alert.look(101, at_s=1).fired
    assert alert.look(101, at_s=2).fired


def test_hysteresis_and_confirmations_go_together():
    alert = Alert(Leaf(PRICE, ABOVE, 100.0, 95.0), confirmations=2)
    assert alert.looks(90, 101, 97, 101, 94, 101, 94, 101, 96) == [0, 0, 1, 0, 0, 0, 0, 0, 1]


# --- How often ------------------------------------------------------------------------------------------------


def test_once_is_spent():
    alert = Alert(ABOVE_100, mode=ONCE)
    assert alert.looks(101, 99, 101) == [1, 0, 0]
    assert alert.state.phase == SPENT


def test_each_firing_is_another_generation():
    alert = Alert(ABOVE_100, mode=EVERY)
    alert.looks(101, 99, 101, 99, 101)
    assert [fired.generation for fired in alert.told] == [1, 2, 3]


def test_once_per_bar_tells_what_holds_again_in_each_bar():
    alert = Alert(ABOVE_100, mode=ONCE_PER_BAR, bar_us=MINUTE)
    assert alert.at(10).looks(101, 102, 99, 101) == [1, 0, 0, 0]
    assert alert.at(60).looks(101, 101) == [1, 0]
    assert alert.at(130).looks(99, 101) == [0, 1]


def test_once_per_bar_a_crossing_needs_to_cross():
    alert = Alert(UP_100, mode=ONCE_PER_BAR, bar_us=MINUTE)
    assert alert.at(10).looks(99, 101, 99, 101) == [0, 1, 0, 0]
    assert alert.at(70).looks(101, 99, 101) == [0, 0, 1]


def test_armed_again_it_goes_on_counting_and_what_is_true_already_is_no_news():
    alert = Alert(ABOVE_100, mode=ONCE)
    alert.looks(101)
    again = Alert(ABOVE_100, begun(SECOND, alert.state.generation, rearmed=True), mode=ONCE)
    assert again.looks(102, 99, 101) == [0, 0, 1]
    assert again.told[0].generation == 2


def test_armed_again_once_per_bar_begins_with_the_next_bar():
    alert = Alert(ABOVE_100, begun(0, 4, rearmed=True), mode=ONCE_PER_BAR, bar_us=MINUTE)
    assert alert.at(10).looks(101, 102) == [0, 0]
    assert alert.at(70).looks(101) == [1]


# --- Cooling --------------------------------------------------------------------------------------------------


def test_a_cooldown_swallows_repeats_and_counts_them():
    alert = Alert(UP_100, cooldown_us=10 * SECOND)
    assert alert.looks(99, 101, 99, 101, 99, 101) == [0, 1, 0, 0, 0, 0]
    assert alert.at(20).looks(99, 101) == [0, 1]
    assert alert.told[1].swallowed == 2
    assert alert.told[1].reason.endswith("2 more in between")


def test_what_came_true_while_it_cooled_and_still_holds_is_told_late():
    alert = Alert(ABOVE_100, cooldown_us=10 * SECOND)
    assert alert.looks(101, 99, 101, 102) == [1, 0, 0, 0]
    assert alert.at(11).looks(103, 104) == [1, 0]
    assert alert.told[1].late


def test_a_cooldown_does_not_swallow_something_else():
    alert = Alert(Any((UP_100, Leaf(OTHER, CROSSES_ABOVE, 5.0))), cooldown_us=60 * SECOND)
    steps = [(99, 4), (101, 4), (99, 6), (101, 4), (99, 6)]
    assert [bool(alert.look(price, other=other).fired) for price, other in steps] == [False, True, True, False, False]


def test_a_cooldown_that_escalates_doubles_until_it_is_quiet():
    alert = Alert(UP_100, cooldown_us=10 * SECOND, escalate=True)
    for now_s, cools_s in ((1, 10), (12, 20), (40, 40)):
        alert.at(now_s - 1).looks(99, 101)
        assert alert.state.cooling_until_us - alert.now_us == cools_s * SECOND
    alert.at(200).looks(99, 101)
    assert alert.state.cooling_until_us - alert.now_us == 10 * SECOND


def test_no_cooldown_grows_for_ever():
    alert = Alert(UP_100, cooldown_us=SECOND, escalate=True)
    for _ in range(2_000):
        alert.looks(99, 101)
    assert alert.state.step <= arming.STEPS_MAX


# --- Silence and ends -----------------------------------------------------------------------------------------


def test_a_crossing_while_muted_is_over_and_its_side_is_kept():
    alert = Alert(UP_100)
    alert.looks(99)
    assert not alert.look(101, muted=True).fired
    assert alert.looks(102, 99, 101) == [0, 0, 1]


def test_a_level_that_came_true_while_muted_and_still_holds_is_told_afterwards():
    alert = Alert(ABOVE_100)
    alert.looks(99)
    assert not alert.look(101, muted=True).fired
    assert alert.look(102).fired.late


def test_a_level_that_was_true_only_while_muted_is_not():
    alert = Alert(ABOVE_100)
    alert.looks(99)
    alert.look(101, muted=True)
    alert.look(99, muted=True)
    assert alert.looks(99) == [0]


def test_what_has_expired_does_not_fire():
    alert = Alert(ABOVE_100, expires_us=3 * SECOND)
    assert alert.looks(99, 99, 101, 101) == [0, 0, 0, 0]
    assert alert.state.phase == EXPIRED


def test_expiring_is_told_once_as_moved():
    alert = Alert(ABOVE_100, expires_us=SECOND)
    assert [alert.look(99).moved for _ in range(2)] == [True, False]


# --- What isn't known, or is old ------------------------------------------------------------------------------


def test_what_is_missing_neither_fires_nor_clears():
    alert = Alert(ABOVE_100)
    assert alert.looks(101, None, 101) == [1, 0, 0]
    assert alert.looks(None, 99, None, 101) == [0, 0, 0, 1]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_missing(value):
    alert = Alert(ABOVE_100)
    assert alert.looks(99, value, 101, value, 102) == [0, 0, 1, 0, 0]
    assert not alert.look(99, low=-float("inf"), high=value).moved


def test_an_older_look_moves_nothing_back():
    alert = Alert(UP_100)
    alert.looks(99, 101)
    verdict = alert.look(90, at_s=1)
    assert not verdict.moved
    assert alert.looks(102) == [0]


def test_a_look_that_comes_twice_fires_once():
    alert = Alert(UP_100)
    alert.looks(99)
    spike = {PRICE: Seen(98, 97, 103, 5 * SECOND)}
    assert alert.judge(spike).fired
    assert not alert.judge(spike).fired


@pytest.mark.parametrize(
    ("rule", "price", "other", "fires"),
    [
        (All, 101, None, False), (All, 99, None, False), (All, 101, 6, True), (All, None, None, False),
        (Any, 101, None, True), (Any, 99, None, False), (Any, None, 6, True), (Any, 99, 4, False),
    ],
)  # fmt: skip
def test_all_and_any_of_what_is_partly_known(rule, price, other, fires):
    alert = Alert(rule((ABOVE_100, Leaf(OTHER, ABOVE, 5.0))))
    assert bool(alert.look(price, **({} if other is None else {"other": other})).fired) is fires


def test_the_contrary_of_what_is_not_known_is_not_known():
    alert = Alert(Not(ABOVE_100))
    assert alert.looks(None, 101, None, 99) == [0, 0, 0, 1]
    assert alert.told[0].observed == {"S1": 99}


def test_a_part_that_goes_missing_does_not_clear_the_whole():
    alert = Alert(All((ABOVE_100, Leaf(OTHER, ABOVE, 5.0))))
    assert alert.look(101, other=6).fired
    alert.look(101)
    assert not alert.look(101, other=6).fired


# --- Trees ----------------------------------------------------------------------------------------------------


def test_two_levels_on_one_price_must_be_true_at_the_same_moment():
    alert = Alert(All((Leaf(PRICE, ABOVE, 110.0), Leaf(PRICE, BELOW, 90.0))))
    alert.looks(100)
    assert not alert.look(100, low=80, high=120).fired


def test_a_crossing_counts_only_while_its_company_is_true():
    alert = Alert(All((UP_100, Leaf(RSI, BELOW, 30.0))))
    steps = [(99, 50), (101, 50), (101, 20), (99, 20), (101, 20)]
    assert [bool(alert.look(price, rsi=rsi).fired) for price, rsi in steps] == [False, False, False, False, True]
    assert alert.told[0].observed == {"S1": 101, "S1 RSI(14) 1h": 20}


def test_a_crossing_is_news_even_where_the_rest_is_true_already():
    alert = Alert(Any((UP_100, Leaf(RSI, BELOW, 30.0))))
    assert [bool(alert.look(price, rsi=20).fired) for price in (99, 101, 102)] == [True, True, False]


def test_a_pattern_fires_for_each_bar_that_has_one():
    alert = Alert(Leaf(HAMMER, OCCURS, 50.0))

    def bar(hour, confidence):
        alert.now_us = hour * 3_600 * SECOND
        return bool(alert.judge({HAMMER: plain(confidence, hour * 3_600 * SECOND)}).fired)

    assert [bar(1, 60), bar(1, 60), bar(2, 60), bar(3, 40)] == [True, False, True, False]


def test_what_occurred_before_the_alert_was_made_is_no_news():
    alert = Alert(Leaf(HAMMER, OCCURS, 0.0), begun(10 * SECOND))
    assert not alert.judge({HAMMER: plain(60, 9 * SECOND)}).fired
    assert alert.judge({HAMMER: plain(60, 11 * SECOND)}).fired


# --- What is kept ---------------------------------------------------------------------------------------------


def test_looks_that_change_nothing_need_not_be_kept():
    alert = Alert(ABOVE_100)
    assert [alert.look(price).moved for price in (98, 99, 97, 101, 102, 99)] == [True, False, False, True, False, True]


def test_a_state_is_small_and_survives_json():
    rule = All((ABOVE_100, Leaf(RSI, BELOW, 30.0), Leaf(HAMMER, OCCURS, 50.0)))
    alert = Alert(rule, cooldown_us=SECOND, escalate=True, mode=ONCE_PER_BAR)
    alert.look(101, rsi=20.0, hammer=60)
    written = msgspec.json.encode(alert.state)
    assert msgspec.json.decode(written, type=State) == alert.state
    assert len(written) < 300


def test_after_a_split_the_alert_goes_on_where_it_was():
    from signals.rules import rescaled

    rule = All((Leaf(PRICE, ABOVE, 800.0, 780.0), Leaf(OTHER, ABOVE, 5.0)))
    alert = Alert(rule)
    alert.look(790, other=6)
    split = Alert(rescaled(rule, 1, 4.0), arming.rescaled(rule, alert.state, 1, 4.0))
    assert leaves(split.rule)[0] == Leaf(PRICE, ABOVE, 200.0, 195.0)
    assert split.state.memories[0].value == 197.5
    assert split.state.memories[1] == alert.state.memories[1]
    split.now_us = alert.now_us
    assert not split.look(198, other=6).fired
    assert split.look(201, other=6).fired


def test_a_long_reason_is_cut():
    alert = Alert(Any(tuple(Leaf(PRICE, ABOVE, 100.0 + n / 7) for n in range(50))))
    assert len(alert.look(500).fired.reason) <= arming.REASON_MAX
