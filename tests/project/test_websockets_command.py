"""`test_websockets`: events that say they are tests, and nothing else."""

import pytest
from django.core.management import CommandError, call_command

from signals.models import Notification, Signal
from streaming.models import Event
from streaming.publish import channel_of
from tests.ingestion.market import make_instrument
from worker.redis import client, key

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_prefix")]


@pytest.fixture
def instrument():
    return make_instrument("BTC-USDT")


@pytest.fixture
def heard(instrument):
    """What was published on the price topic."""
    subscription = client().pubsub(ignore_subscribe_messages=True)
    subscription.subscribe(channel_of("price:BTC-USDT"))
    assert subscription.get_message(timeout=1) is None

    def messages():
        found = []
        while (message := subscription.get_message(timeout=0.2)) is not None:
            found.append(message["data"])
        return found

    yield messages
    subscription.close()


def send(**options):
    call_command("test_websockets", delay=0.0, **options)


def test_market_events_say_that_they_are_tests(heard):
    send(type="market", count=3)
    assert len(found := heard()) == 3
    assert all(b'"test":true' in message for message in found)
    assert not client().exists(key("latest", "binance"), key("changes", "simulated:0"))
    assert not Event.objects.exists()


def test_signals_and_notifications_are_events_and_no_rows(instrument, alice, bob):
    send(count=2)
    told = {event.topic: event.data for event in Event.objects.all()}
    assert set(told) == {"signals", "signals:BTC-USDT", f"notifications:{alice.pk}", f"notifications:{bob.pk}"}
    assert all(data["test"] is True for data in told.values())
    assert Event.objects.filter(topic="signals").count() == 2
    assert not Signal.objects.exists()
    assert not Notification.objects.exists()


def test_one_users_notifications_alone(alice, bob):
    send(type="notifications", user="bob")
    assert [event.topic for event in Event.objects.all()] == [f"notifications:{bob.pk}"]


def test_an_unknown_user_or_nothing_to_tell_of_fails(instrument, alice):
    with pytest.raises(CommandError, match="carol"):
        send(type="notifications", user="carol")


def test_without_an_instrument_it_fails(db):
    with pytest.raises(CommandError, match="no instrument"):
        send(type="market")


@pytest.mark.parametrize("flags", [["--count", "0"], ["--delay", "-1"], ["--type", "weather"], ["--count", "x"]])
def test_nonsense_is_refused(flags):
    with pytest.raises(CommandError):
        call_command("test_websockets", *flags)
