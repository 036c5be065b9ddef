"""kill -9 between firing and delivering: told exactly once, delivered at least once, under one key."""

import time
from contextlib import closing, contextmanager

import pytest
from celery import Celery
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from ingestion import latest
from signals import alerts
from signals.alerts import Wish
from signals.models import Delivery, Destination, Firing, Notification
from streaming.models import Event
from tests.processes import started, wait_for, worker
from tests.signals.receivers import HANG, Receiver

pytestmark = [pytest.mark.flow, pytest.mark.django_db(transaction=True), pytest.mark.timeout(90)]


@pytest.fixture
def receiver():
    with closing(Receiver()) as receiver:
        yield receiver


@pytest.fixture
def alert(alice, btc, receiver):
    """Above 100, to be told to the receiver."""
    secrets = {"url": receiver.url, "secret": "s" * 32}
    Destination.objects.create(user=alice, kind="webhook", name="hook", address="here", secrets=secrets)
    condition = {"kind": "price", "op": "above", "value": 100}
    return alerts.create(alice, Wish(condition=condition, instrument=btc), timezone.now())


class Workers:
    """Real workers on this test's database and keys."""

    def __init__(self, folder, receiver):
        self.folder, self.count = folder, 0
        self.environment = {
            "DATABASE_URL": _url_of_the_test_database(),
            "REDIS_PREFIX": django_settings.REDIS_PREFIX,
            "FEEDS": "simulated",
            "WEBHOOK_ALLOW_HTTP": "1",
            "WEBHOOK_ALLOWED_HOSTS": "127.0.0.1",
            "WEBHOOK_PORTS": str(receiver.port),
            "DELIVERY_LEASE_S": "1.5",
            "LEASE_TTL_S": "1.5",
        }
        self.app = Celery(broker=django_settings.CELERY_BROKER_URL, set_as_current=False)
        prefix = f"{django_settings.REDIS_PREFIX}:celery:"
        self.app.conf.update(broker_transport_options={"global_keyprefix": prefix}, task_ignore_result=True)

    @contextmanager
    def run(self, queues, log):
        """One that takes from these queues, until it is killed -9."""
        with started(worker("threads", queues), self.folder / f"{log}.log", **self.environment) as process:
            wait_for(lambda: process.says("ready."), 30, "a worker")
            yield process

    def send(self, task, *arguments, queue):
        self.app.send_task(task, arguments, queue=queue)


def _url_of_the_test_database():
    params = connection.get_connection_params()
    host, port = params.get("host", ""), params.get("port", "")
    return f"postgresql://{params['user']}:{params.get('password', '')}@{host}:{port}/{params['dbname']}"


@pytest.fixture
def workers(own_prefix, tmp_path, receiver):
    made = Workers(tmp_path, receiver)
    yield made
    made.app.close()


def test_a_firing_is_told_once_and_delivered_at_least_once_whoever_dies(workers, alert, receiver, alice, btc):
    receiver.then(HANG)

    def fires():
        """What feeds and beat do."""
        workers.send("signals.follow", "0", queue="resident")
        price(btc, 110.0)
        return Firing.objects.exists()

    with workers.run("resident", "fires"):
        wait_for(fires, 30, "a firing", step_s=0.3)
    # It died with the firing committed and nobody to deliver.
    assert not receiver.calls

    with workers.run("notifications", "delivers"):
        wait_for(lambda: receiver.calls, 30, "a delivery")
    # It died with the message handed over and nothing written down.
    assert Delivery.objects.get().status == "pending"

    with workers.run("resident,notifications", "takes over"):

        def delivered():
            workers.send("signals.follow", "0", queue="resident")
            workers.send("signals.deliver_due", queue="notifications")
            price(btc, 120.0)
            return Delivery.objects.get().status == "sent"

        wait_for(delivered, 30, "the delivery once more", step_s=0.3)

    assert (Firing.objects.count(), Notification.objects.count()) == (1, 1)
    assert [event.type for event in Event.objects.filter(topic=f"notifications:{alice.pk}")] == ["notification"]
    keys = {call.headers["idempotency-key"] for call in receiver.calls}
    assert (len(receiver.calls) >= 2, keys) == (True, {Delivery.objects.get().key})


def price(instrument, last):
    """A poll's answer."""
    now_us = time.time_ns() // 1000
    latest.put("simulated", {instrument.pk: latest.Latest("simulated", last, time_us=now_us, received_us=now_us)})
