"""What a connection is subscribed to, as against what is wanted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.providers import Ack, Ask, VenueError
from ingestion.subscriptions import Subscriptions, Wish

ANSWER_S, REFUSED_S = 10.0, 600.0


def make(wanted=("a", "b"), acknowledges=True, refusals=None):
    made = Subscriptions(
        acknowledges=acknowledges,
        refusals={} if refusals is None else refusals,
        answer_within_s=ANSWER_S,
        refused_for_s=REFUSED_S,
    )
    made.want(wanted)
    return made


class Venue:
    """The other end: gives each request a number, and remembers what was sent."""

    def __init__(self, subscriptions):
        self.subscriptions, self.number, self.sent = subscriptions, 0, []

    def send_due(self, now=0.0):
        for wish in self.subscriptions.due(now):
            self.number += 1
            self.sent.append(wish)
            self.subscriptions.asked(Ask("", self.number, wish.streams), wish.subscribe, now)
        return self.number


def subscribed(wanted=("a", "b"), **more):
    """All wanted, and live."""
    subscriptions = make(wanted, **more)
    venue = Venue(subscriptions)
    subscriptions.accepted(Ack(venue.send_due()), 0.0)
    return subscriptions, venue


def test_what_is_wanted_is_asked_for_once():
    subscriptions = make()
    venue = Venue(subscriptions)
    venue.send_due()
    assert venue.sent == [Wish(True, ("a", "b"))]
    assert subscriptions.due(0.0) == []
    assert not subscriptions.settled(0.0)


@pytest.mark.parametrize(
    "acks",
    [
        [Ack(1)],
        [Ack(1, ("a",)), Ack(1, ("b",))],
        [Ack(None, ("a",)), Ack(None, ("b",))],
        [Ack(None, ("a", "b"), whole=True)],
    ],
)
def test_it_is_live_by_any_manner_of_answer(acks):
    subscriptions = make()
    Venue(subscriptions).send_due()
    for ack in acks:
        assert not subscriptions.settled(0.0)
        assert subscriptions.accepted(ack, 0.0)
    assert subscriptions.live == {"a", "b"}
    assert subscriptions.settled(0.0)


def test_data_before_the_answer_is_an_answer():
    subscriptions = make()
    Venue(subscriptions).send_due()
    subscriptions.heard(["a", "b", "stranger"], 0.0)
    assert subscriptions.settled(0.0)
    assert subscriptions.overdue(100.0) == []
    subscriptions.accepted(Ack(1), 1.0)  # comes all the same
    assert subscriptions.live == {"a", "b"}


def test_an_older_list_of_all_does_not_answer_what_was_asked_since():
    subscriptions = make(["a"])
    venue = Venue(subscriptions)
    venue.send_due()
    subscriptions.want(["a", "b"])
    venue.send_due()
    subscriptions.accepted(Ack(None, ("a",), whole=True), 0.0)
    assert (subscriptions.live, subscriptions.asking) == ({"a"}, {"b"})


def test_what_a_list_of_all_leaves_out_is_asked_for_later_and_not_for_ever():
    subscriptions, _ = subscribed()
    subscriptions.accepted(Ack(None, ("a",), whole=True), 0.0)
    assert subscriptions.due(1.0) == []
    assert subscriptions.due(REFUSED_S) == [Wish(True, ("b",))]


def test_a_symbol_is_added_and_removed_while_running():
    subscriptions, venue = subscribed(["a", "b"])
    subscriptions.want(["b", "c"])
    venue.send_due()
    assert venue.sent[1:] == [Wish(False, ("a",)), Wish(True, ("c",))]
    subscriptions.accepted(Ack(2), 0.0)
    subscriptions.accepted(Ack(3), 0.0)
    assert subscriptions.live == {"b", "c"}


def test_one_wanted_again_while_it_leaves_is_asked_for_after_the_answer():
    subscriptions, venue = subscribed(["a"])
    subscriptions.want([])
    venue.send_due()
    subscriptions.want(["a"])
    assert subscriptions.due(0.0) == []
    subscriptions.accepted(Ack(2), 0.0)
    assert subscriptions.due(0.0) == [Wish(True, ("a",))]


def test_beginning_anew_is_leaving_and_coming_back():
    subscriptions, venue = subscribed()
    subscriptions.again(["a", "stranger"])
    venue.send_due()
    assert venue.sent[-1] == Wish(False, ("a",))
    subscriptions.accepted(Ack(2), 0.0)
    venue.send_due()
    assert venue.sent[-1] == Wish(True, ("a",))


def test_a_refused_stream_is_left_alone_for_a_while_and_then_tried_again():
    subscriptions = make(["a"])
    venue = Venue(subscriptions)
    venue.send_due()
    assert subscriptions.refused(VenueError(1, "no", 1), 0.0) == ["a"]
    assert subscriptions.settled(0.0)
    assert subscriptions.due(REFUSED_S - 1) == []
    assert subscriptions.next_s(REFUSED_S - 1) == 1
    assert subscriptions.due(REFUSED_S) == [Wish(True, ("a",))]


def test_a_refusal_that_names_streams_concerns_those_alone():
    subscriptions = make()
    Venue(subscriptions).send_due()
    assert subscriptions.refused(VenueError(1, "no", 1, ("b",)), 0.0) == ["b"]
    subscriptions.accepted(Ack(1), 0.0)
    assert subscriptions.live == {"a"}


def test_a_refusal_outlives_the_connection():
    refusals = {}
    subscriptions = make(["a"], refusals=refusals)
    Venue(subscriptions).send_due()
    subscriptions.refused(VenueError(1, "no", 1), 0.0)
    assert make(["a"], refusals=refusals).due(1.0) == []


def test_one_that_is_accepted_after_all_is_refused_no_more():
    refusals = {"a": 0.0}
    subscriptions = make(["a"], refusals=refusals)
    subscriptions.accepted(Ack(Venue(subscriptions).send_due(1.0)), 1.0)
    assert refusals == {}


def test_one_that_speaks_is_not_refused_whatever_was_said():
    """A venue refuses what it already gives: `Already subscribed`."""
    subscriptions, _ = subscribed(["a"])
    subscriptions.accepted(Ack(None, (), whole=True), 0.0)
    assert subscriptions.live == set()
    subscriptions.heard(["a", "stranger"], 1.0)
    assert subscriptions.live == {"a"}
    assert subscriptions.due(1000.0) == []


@given(st.sets(st.integers(0, 63), max_size=5), st.integers(1, 64), st.booleans())
def test_only_the_bad_ones_of_a_refused_request_are_left_out(bad, count, numbered):
    """A venue that refuses requests as a whole, whether or not it says which request."""
    names = [f"s{i:02}" for i in range(count)]
    refused = {f"s{i:02}" for i in bad} & set(names)
    subscriptions = make(names)
    venue = Venue(subscriptions)
    while wishes := subscriptions.due(0.0):
        for wish in wishes:
            venue.number += 1
            subscriptions.asked(Ask("", venue.number, wish.streams), True, 0.0)
            if refused & set(wish.streams):
                subscriptions.refused(VenueError(1, "no", venue.number if numbered else None), 0.0)
            else:
                subscriptions.accepted(Ack(venue.number), 0.0)
    assert subscriptions.live == set(names) - refused
    assert subscriptions.settled(0.0)
    assert venue.number <= 1 + 2 * 7 * max(1, len(refused))


def test_an_error_about_nothing_we_asked_refuses_nothing():
    subscriptions, _ = subscribed()
    assert subscriptions.refused(VenueError(1, "odd"), 0.0) == []
    assert subscriptions.live == {"a", "b"}


def test_what_is_not_answered_is_asked_for_again_and_then_left_alone():
    subscriptions = make(["a"])
    venue = Venue(subscriptions)
    venue.send_due(0.0)
    assert subscriptions.next_s(4.0) == 6.0
    assert subscriptions.overdue(9.9) == []
    assert subscriptions.overdue(10.0) == ["a"]
    venue.send_due(10.0)
    assert venue.sent == [Wish(True, ("a",))] * 2
    assert subscriptions.overdue(20.0) == ["a"]
    assert subscriptions.due(20.0) == []
    assert subscriptions.settled(20.0)
    assert not subscriptions.answered


def test_a_leaving_one_that_is_not_answered_is_gone():
    subscriptions, venue = subscribed(["a"])
    subscriptions.want([])
    venue.send_due(0.0)
    assert subscriptions.overdue(10.0) == []
    subscriptions.want(["a"])
    assert subscriptions.due(10.0) == [Wish(True, ("a",))]


def test_a_venue_that_answers_nothing_is_settled_when_all_is_asked():
    subscriptions = make(["a", "b"], acknowledges=False)
    venue = Venue(subscriptions)
    venue.send_due()
    assert subscriptions.settled(0.0)
    assert subscriptions.overdue(1000.0) == []
    subscriptions.heard(["a"], 0.0)
    assert subscriptions.live == {"a"}
    subscriptions.want(["b"])
    venue.send_due()
    subscriptions.want(["a", "b"])
    assert subscriptions.due(0.0) == [Wish(True, ("a",))]
