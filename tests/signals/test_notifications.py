import json

import pytest
from django.contrib.auth.models import AnonymousUser

from signals import evaluation, notifications, topics
from signals.models import Notification
from signals.notifications import Telling
from signals.tasks import notify
from streaming import actions
from streaming import topics as streaming_topics
from streaming.actions import ActionRefused
from streaming.models import Event

from .test_evaluation import NOW, UP

HELLO = Telling(title="Hello", message="World", notification_type="info", dedupe_key="hello")
SIGNALS, NOTIFICATIONS = (streaming_topics.registry[name] for name in ("signals", "notifications"))


def events_of(user):
    return list(Event.objects.filter(topic=f"notifications:{user.pk}").order_by("seq").values_list("type", "data"))


def test_the_same_thing_is_told_once(alice, bob):
    assert len(notifications.tell([alice.pk], HELLO)) == 1
    assert [row.user for row in notifications.tell([alice.pk, bob.pk, bob.pk], HELLO)] == [bob]
    assert len(events_of(alice)) == len(events_of(bob)) == 1


def test_a_task_from_elsewhere_delivered_twice_tells_once(alice):
    telling = {"title": "Done", "message": "…", "notification_type": "job", "dedupe_key": "job:7"}
    assert (notify([alice.pk], telling), notify([alice.pk], telling)) == (1, 0)


def test_reading_is_told_to_the_users_other_connections(alice):
    (row,) = notifications.tell([alice.pk], HELLO)
    act = actions.registry["mark_read"]
    assert act(alice, {"notification_ids": [row.public_id, "unknown", "a\0b", 7]}) == {
        "notification_ids": [row.public_id]
    }
    assert act(alice, {"notification_ids": [row.public_id]}) == {"notification_ids": []}
    assert events_of(alice)[1:] == [("read", {"notification_ids": [row.public_id]})]


def test_bob_reads_nothing_of_alices(alice, bob, client):
    (row,) = notifications.tell([alice.pk], HELLO)
    assert notifications.mark_read(bob.pk, [row.public_id]) == []
    client.force_login(bob)
    path = f"/api/notifications/{row.public_id}/"
    assert client.patch(path, {"read": True}, content_type="application/json").status_code == 404
    assert client.get("/api/notifications/").json()["results"] == []
    assert not Notification.objects.get().read


@pytest.mark.parametrize(
    "data", [{}, {"notification_ids": "7"}, {"notification_ids": [None]}, {"notification_ids": ["7"] * 1001}]
)
def test_a_broken_mark_read_is_refused(alice, data):
    with pytest.raises(ActionRefused):
        actions.registry["mark_read"](alice, data)


def test_over_http_they_are_listed_and_read(alice, client):
    client.force_login(alice)
    for number in range(3):
        notifications.tell(
            [alice.pk], Telling(title=f"{number}", message="", notification_type="info", dedupe_key=str(number))
        )
    newest = client.get("/api/notifications/").json()["results"][0]
    assert (newest["title"], newest["read"], newest["priority"]) == ("2", False, "normal")
    path = f"/api/notifications/{newest['notification_id']}/"
    assert client.patch(path, {"read": False}, content_type="application/json").status_code == 400
    assert client.patch(path, {"read": True}, content_type="application/json").json()["read"] is True
    rest = client.get("/api/notifications/?unread=true").json()["results"]
    assert [row["title"] for row in rest] == ["1", "0"]
    body = {"notification_ids": [row["notification_id"] for row in reversed(rest)]}
    assert client.post("/api/notifications/", body, content_type="application/json").json() == body
    assert client.get("/api/notifications/?unread=true").json() == {"results": [], "next": None}


def test_a_snapshot_is_the_newest_unread_ones_in_order(alice, settings):
    settings.NOTIFICATION_SNAPSHOT_MAX = 2
    for number in range(3):
        notifications.tell(
            [alice.pk], Telling(title=f"{number}", message="", notification_type="info", dedupe_key=str(number))
        )
    address = NOTIFICATIONS.resolve("", alice)
    assert (address.topic, address.name) == (f"notifications:{alice.pk}", "notifications")
    assert [message.data["title"] for message in NOTIFICATIONS.snapshot(address, alice)] == ["1", "2"]


def test_only_ones_own_notifications_are_to_be_had(alice, bob):
    with pytest.raises(streaming_topics.NotYours):
        NOTIFICATIONS.resolve(str(alice.pk), bob)
    for topic in (NOTIFICATIONS, SIGNALS):
        with pytest.raises(streaming_topics.SignInNeeded):
            topic.resolve("", AnonymousUser())


def test_signals_by_symbol_echo_the_name_that_was_asked(alice, btc):
    address = SIGNALS.resolve("btc/usd", alice)
    assert (address.topic, address.symbol) == ("signals:BTC-USD", "BTC-USD")
    with pytest.raises(streaming_topics.UnknownTopic):
        SIGNALS.resolve("NOPE", alice)


def test_signals_are_listed_with_what_has_become_of_them(candles, alice, client):
    candles(UP)
    evaluation.run("1m", NOW)
    client.force_login(alice)
    (row,) = client.get("/api/signals/?symbol=btc-usd&signal_type=buy").json()["results"]
    assert (row["symbol"], row["entry_price"], row["confidence_basis"]) == ("BTC-USD", 230.0, "heuristic")
    assert client.get("/api/signals/?signal_type=SELL").json()["results"] == []
    assert client.get("/api/signals/?symbol=NOPE").status_code == 400


def test_other_code_broadcasts_signals(btc):
    topics.broadcast_sell_signal(signal_id="x1", symbol="btc/usd", entry_price=5.0, stop_loss=6.0, confidence_score=80)
    data = Event.objects.get(topic="signals:BTC-USD").data
    assert {"signal_id": "x1", "symbol": "BTC-USD", "signal_type": "SELL", "strength": "STRONG"}.items() <= data.items()
    topics.broadcast_buy_signal(signal_id="x2", symbol="BTC-USD", entry_price=5.0)
    assert list(Event.objects.filter(topic="signals").values_list("data__signal_type", flat=True)) == ["SELL", "BUY"]
    json.dumps(data)


def test_other_code_broadcasts_notifications_under_its_own_id(alice, bob):
    tell = {"notification_id": "n1", "title": "Maintenance", "message": "At noon"}
    assert topics.broadcast_notification(**tell, user=alice) == 1
    assert topics.broadcast_notification(**tell) == 1  # bob; alice knows
    assert notifications.mark_read(alice.pk, ["n1"]) == ["n1"]
    with pytest.raises(ValueError, match="urgent"):
        topics.broadcast_notification(**tell | {"notification_id": "n2"}, priority="urgent")
