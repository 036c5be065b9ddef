"""Which page a notification leads to."""

import pytest

from signals import attempts
from signals.channels import CHANNELS
from signals.models import Delivery, Destination
from signals.notifications import Telling, tell
from signals.places import place


@pytest.mark.parametrize(
    ("notification_type", "data", "path"),
    [
        ("alert", {"alert_id": 17}, "/alerts/?id=17"),
        ("alert", {"digest": True}, "/alerts/"),
        ("alert", {"alert_id": ["17"]}, "/alerts/"),
        ("signal", {"signal_id": "4&x=1"}, "/signals/?signal=4%26x%3D1"),
        ("signal", {}, "/signals/"),
        ("destination", {"destination_id": 3}, "/settings/notifications/"),
        ("anything", {}, "/settings/notifications/?section=history"),
    ],
)
def test_each_leads_to_what_it_is_about(notification_type, data, path):
    assert place(notification_type, data) == path


def test_the_same_place_is_told_over_http_and_sent_along(alice, client, settings):
    (told,) = tell(
        [alice.pk],
        Telling(title="t", message="m", notification_type="alert", dedupe_key="1", data={"alert_id": 17}),
    )
    client.force_login(alice)
    assert client.get("/api/notifications/").json()["results"][0]["path"] == "/alerts/?id=17"
    destination = Destination.objects.create(user=alice, kind="webpush", name="x", address="x")
    row = Delivery(notification=told, destination=destination, created_at=told.created_at)
    settings.PUBLIC_URL = "https://tapehouse.example.org"
    message = attempts.message_of(row, told.created_at)
    assert (message.path, message.link) == ("/alerts/?id=17", "https://tapehouse.example.org/alerts/?id=17")
    push = CHANNELS["webpush"].build({"endpoint": "https://push.example.org/", "keys": {}}, message)
    assert b'"path":"/alerts/?id=17"' in push.body.replace(b": ", b":")
    settings.PUBLIC_URL = ""
    assert attempts.message_of(row, told.created_at).link == ""
