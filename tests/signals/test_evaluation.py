import threading
from datetime import timedelta

import pytest
from django.db import connection

from ingestion.models import Instrument
from signals import evaluation
from signals.models import Evaluated, Notification, Signal, SignalSubscription
from signals.tasks import run_strategies
from streaming.models import Event

from .conftest import CLOSED, falling_then

UP = falling_then(230.0)
NOW = CLOSED + timedelta(seconds=5)


@pytest.fixture
def subscribed(alice):
    return SignalSubscription.objects.create(user=alice, strategy="sma_cross")


def test_a_closed_candle_becomes_a_signal_a_notification_and_events(candles, btc, subscribed, alice, bob):
    candles(UP)
    (signal,) = evaluation.run("1m", NOW)
    assert (signal.signal_type, signal.instrument, signal.time, signal.entry_price) == ("BUY", btc, CLOSED, 230.0)
    told = Notification.objects.get()
    assert (told.user, told.title, told.data["signal_id"]) == (alice, "BUY BTC-USD", str(signal.pk))
    events = list(Event.objects.order_by("topic").values_list("topic", "type", "seq"))
    assert events == [
        (f"notifications:{alice.pk}", "notification", 1),
        ("signals", "signal", 1),
        ("signals:BTC-USD", "signal", 1),
    ]


def test_running_again_changes_nothing(candles, subscribed):
    candles(UP)
    evaluation.run("1m", NOW)
    assert evaluation.run("1m", NOW) == []
    Evaluated.objects.all().delete()  # even if it had forgotten where it was
    assert evaluation.run("1m", NOW) == []
    assert (Signal.objects.count(), Notification.objects.count(), Event.objects.count()) == (1, 1, 3)


def test_each_bar_since_the_last_run_is_asked_about_as_it_was_known_then(candles, subscribed):
    candles([*UP, 235.0, 239.0])  # the crossing is two bars ago
    (signal,) = evaluation.run("1m", NOW)
    assert (signal.time, signal.entry_price) == (CLOSED - timedelta(minutes=2), 230.0)


def test_an_old_candle_makes_no_signal(candles, settings):
    candles(UP)
    assert evaluation.run("1m", CLOSED + timedelta(seconds=settings.SIGNAL_MAX_AGE_S + 1)) == []
    assert not Signal.objects.exists()


def test_a_candle_that_claims_to_be_of_the_future_makes_no_signal(candles):
    candles(UP)
    assert evaluation.run("1m", CLOSED - timedelta(seconds=1)) == []


def test_an_open_candle_makes_no_signal(candles):
    candles(falling_then())
    candles([230.0], closed=CLOSED + timedelta(minutes=1), final=False)
    assert evaluation.run("1m", NOW) == []


def test_sources_are_never_mixed(candles):
    """The better source has only its last bar here; the other's history is not put before it."""
    candles(falling_then(139.0))
    candles([230.0], source="binance")
    assert evaluation.run("1m", NOW) == []


def test_only_subscribers_hear_of_it(candles, btc, alice, bob, admin):
    other = Instrument.objects.create(symbol="KCB", name="KCB", kind="equity", currency="KES")
    SignalSubscription.objects.create(user=alice, strategy="sma_cross", instrument=btc)
    SignalSubscription.objects.create(user=alice, strategy="sma_cross")  # by two ways, told once
    SignalSubscription.objects.create(user=bob, strategy="sma_cross", instrument=other)
    SignalSubscription.objects.create(user=admin, strategy="another")
    candles(UP)
    evaluation.run("1m", NOW)
    assert list(Notification.objects.values_list("user", flat=True)) == [alice.pk]


@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_make_one_signal(candles, subscribed):
    candles(UP)
    start, made = threading.Barrier(4), []

    def run():
        try:
            start.wait(10)
            made.extend(evaluation.run("1m", NOW))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), Signal.objects.count(), Notification.objects.count(), Event.objects.count()) == (1, 1, 1, 3)


def test_the_task_reads_the_clock(candles, subscribed):
    candles(UP)
    assert run_strategies("1m") == 0  # those candles are of another day
