"""What becomes of a signal when the bars that it was made of turn out to have been others."""

from datetime import timedelta

import pytest
from django.db import connection

from signals import evaluation, lifecycle
from signals.models import Notification, Signal, SignalSubscription
from streaming.models import Event

from .conftest import CLOSED, falling_then

UP = falling_then(230.0)
NOW = CLOSED + timedelta(seconds=5)


@pytest.fixture
def subscribed(alice):
    return SignalSubscription.objects.create(user=alice, strategy="sma_cross")


def happened():
    return list(Event.objects.order_by("id").values_list("topic", "type"))


def test_a_revised_bar_that_says_nothing_supersedes_the_signal(candles, revise, subscribed, alice):
    candles(UP)
    (old,) = evaluation.run("1m", NOW)
    Event.objects.all().delete()
    revise(0, 139.0)
    assert evaluation.run("1m", NOW) == []
    old.refresh_from_db()
    assert (old.status, old.status_at, old.entry_price) == ("SUPERSEDED", NOW, 230.0)
    told = Notification.objects.latest("id")
    assert (told.user, told.title) == (alice, "Superseded: BUY BTC-USD")
    assert "now says nothing" in told.message
    assert sorted(happened()) == [
        (f"notifications:{alice.pk}", "notification"),
        ("signals", "signal_update"),
        ("signals:BTC-USD", "signal_update"),
    ]
    update = Event.objects.get(topic="signals").data
    assert (update["signal_id"], update["status"]) == (str(old.pk), "SUPERSEDED")
    assert evaluation.run("1m", NOW) == [], "nor does it come again"
    assert (Signal.objects.count(), Notification.objects.count()) == (1, 2)


def test_a_revised_bar_that_says_otherwise_gives_a_signal_in_its_place(candles, revise, subscribed):
    candles(UP)
    (old,) = evaluation.run("1m", NOW)
    revise(0, 236.0)
    (new,) = evaluation.run("1m", NOW)
    old.refresh_from_db()
    assert (old.status, old.entry_price) == ("SUPERSEDED", 230.0)
    assert (new.supersedes, new.entry_price, new.candle_rev, new.time) == (old, 236.0, 1, old.time)
    assert Notification.objects.count() == 2
    assert [e.data["signal_id"] for e in Event.objects.filter(topic="signals").order_by("seq")] == [
        str(old.pk), str(old.pk), str(new.pk),
    ]  # fmt: skip
    assert Event.objects.filter(topic="signals").last().data["supersedes"] == str(old.pk)


def test_a_bar_before_it_counts_as_well_once_the_next_one_closes(candles, revise, subscribed):
    candles(UP)
    (old,) = evaluation.run("1m", NOW)
    revise(10, 400.0)
    candles([231.0], closed=CLOSED + timedelta(minutes=1))
    evaluation.run("1m", NOW + timedelta(minutes=1))
    old.refresh_from_db()
    assert old.status == "SUPERSEDED"


def test_a_revision_that_changes_nothing_that_was_said_is_no_news(candles, revise, subscribed):
    candles(UP)
    (signal,) = evaluation.run("1m", NOW)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE candle_1m SET volume = 2, rev = rev + 1 WHERE time = %s", [CLOSED - timedelta(minutes=1)]
        )
    assert evaluation.run("1m", NOW) == []
    digest = signal.bars_digest
    signal.refresh_from_db()
    assert (signal.status, signal.candle_rev) == ("ACTIVE", 1)
    assert signal.bars_digest != digest
    assert Notification.objects.count() == 1


def test_a_late_trade_may_bring_a_signal_about(candles, revise, subscribed):
    candles(falling_then(139.0))
    assert evaluation.run("1m", NOW) == []
    revise(0, 230.0)
    (signal,) = evaluation.run("1m", NOW)
    assert (signal.entry_price, signal.candle_rev) == (230.0, 1)
    assert evaluation.run("1m", NOW) == []


def test_what_is_over_is_left_as_it_was(candles, revise, subscribed):
    candles(UP)
    (signal,) = evaluation.run("1m", NOW)
    assert lifecycle.conclude(signal, Signal.Status.TARGET, NOW)
    revise(0, 139.0)
    assert evaluation.run("1m", NOW) == []
    signal.refresh_from_db()
    assert signal.status == "TARGET"


def test_a_signal_ends_once_and_says_so(candles, subscribed):
    candles(UP)
    (signal,) = evaluation.run("1m", NOW)
    Event.objects.all().delete()
    assert lifecycle.conclude(signal, Signal.Status.STOP, NOW)
    assert not lifecycle.conclude(signal, Signal.Status.TARGET, NOW)
    assert (signal.status, signal.status_at) == ("STOP", NOW)
    assert happened() == [("signals", "signal_update"), ("signals:BTC-USD", "signal_update")]
    with pytest.raises(lifecycle.IllegalTransition, match="does not become ACTIVE"):
        lifecycle.conclude(signal, Signal.Status.ACTIVE, NOW)


def test_only_what_is_active_ends():
    ends = {(a, b) for a in Signal.Status for b in Signal.Status if lifecycle.may_become(a, b)}
    assert ends == {("ACTIVE", b) for b in ("EXPIRED", "SUPERSEDED", "TARGET", "STOP")}
