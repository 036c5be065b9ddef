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
from tests.signals.test_evaluation import NOW, UP

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


def patch(client, path, body, method="patch"):
    return getattr(client, method)(f"/api/notifications/{path}", body, content_type="application/json")


@pytest.fixture
def told(alice):
    """Told to alice: an alert on each of two symbols, and something critical."""
    tellings = [
        Telling(title="Rose", message="", notification_type="alert", dedupe_key="1", data={"symbol": "BTC-USD"}),
        Telling(title="Fell", message="", notification_type="alert", dedupe_key="2", data={"symbol": "ETH-USD"}),
        Telling(title="Broke", message="", notification_type="system", dedupe_key="3", priority="critical"),
    ]
    return [notifications.tell([alice.pk], one)[0] for one in tellings]


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("", ["Broke", "Fell", "Rose"]),
        ("type=alert", ["Fell", "Rose"]),
        ("type=alert,system", ["Broke", "Fell", "Rose"]),
        ("priority=critical", ["Broke"]),
        ("priority=NORMAL,low", ["Fell", "Rose"]),
        ("min_priority=high", ["Broke"]),
        ("min_priority=high&priority=low", []),
        ("group=alert:BTC-USD", ["Rose"]),
        ("since=2000-01-01T00:00:00Z", ["Broke", "Fell", "Rose"]),
        ("since=2100-01-01T00:00:00Z", []),
        ("unread=false", []),
        ("unread=1&type=alert", ["Fell", "Rose"]),
        ("archived=true", []),
        ("limit=1", ["Broke"]),
    ],
)
def test_the_list_is_filtered(told, alice, client, query, titles):
    client.force_login(alice)
    answer = client.get(f"/api/notifications/?{query}").json()
    assert [row["title"] for row in answer["results"]] == titles
    assert bool(answer["next"]) == (query == "limit=1")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("unread=perhaps", "unread"),
        ("priority=urgent", "priority"),
        ("min_priority=1", "min_priority"),
        ("since=yesterday", "since"),
        ("type=%00", "type"),
        ("group=", "group"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(alice, client, query, field):
    client.force_login(alice)
    answer = client.get(f"/api/notifications/?{query}")
    assert (answer.status_code, list(answer.json())) == (400, [field])


def test_what_is_put_away_is_read_and_stays_a_record(told, alice, client):
    client.force_login(alice)
    rose, fell, _ = told
    assert client.delete(f"/api/notifications/{rose.public_id}/").status_code == 204
    assert patch(client, f"{fell.public_id}/", {"archived": True}).json()["read"] is True
    assert [row["title"] for row in client.get("/api/notifications/").json()["results"]] == ["Broke"]
    away = client.get("/api/notifications/?archived=true").json()["results"]
    assert [row["title"] for row in away] == ["Fell", "Rose"]
    assert events_of(alice)[3:] == [("read", {"notification_ids": [one.public_id]}) for one in (rose, fell)]
    assert patch(client, f"{fell.public_id}/", {"archived": False}).json()["archived"] is False
    assert client.get(f"/api/notifications/{fell.public_id}/").json()["read"] is True


def test_all_are_read_at_once_or_up_to_what_was_seen(told, alice, bob, client, monkeypatch):
    monkeypatch.setattr(notifications, "READ_IDS_MAX", 2)
    client.force_login(alice)
    rose, fell, broke = told
    assert client.get("/api/notifications/unread/").json() == {
        "unread": 3, "by_priority": {"low": 0, "normal": 2, "high": 0, "critical": 1},
    }  # fmt: skip
    assert patch(client, "read-all/", {"up_to": fell.public_id}, "post").json() == {"read": 2}
    assert client.get("/api/notifications/unread/").json()["unread"] == 1
    Notification.objects.update(read=False)
    assert patch(client, "read-all/", {}, "post").json() == {"read": 3}
    assert patch(client, "read-all/", {}, "post").json() == {"read": 0}
    read = [data["notification_ids"] for type_, data in events_of(alice)[3:] if type_ == "read"]
    ids = [rose.public_id, fell.public_id, broke.public_id]
    assert read == [ids[:2], ids[:2], ids[2:]]
    client.force_login(bob)
    assert patch(client, "read-all/", {"up_to": rose.public_id}, "post").json() == {
        "up_to": ["There is no such notification."]
    }


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("", "post", {"notification_ids": "7"}),
        ("", "post", {"notification_ids": ["x" * 65]}),
        ("", "post", {"notification_ids": ["1"] * 1001}),
        ("", "post", {"notification_ids": ["a\0b"]}),
        ("", "post", {}),
        ("", "post", {"notification_ids": [], "all": True}),
        ("", "post", []),
        ("read-all/", "post", {"up_to": None}),
        ("read-all/", "post", {"everything": True}),
        ("ID/", "patch", {}),
        ("ID/", "patch", {"read": "perhaps"}),
        ("ID/", "patch", {"title": "Mine"}),
    ],
)
def test_a_broken_call_is_refused(told, alice, client, path, method, body):
    client.force_login(alice)
    answer = patch(client, path.replace("ID", told[0].public_id), body, method)
    assert (answer.status_code, type(answer.json())) == (400, dict)
    assert not Notification.objects.filter(read=True).exists()


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
@pytest.mark.parametrize("path", ["nothing/", "a%00b/"])
def test_what_is_not_there_is_404(alice, client, method, path):
    client.force_login(alice)
    assert patch(client, path, {"read": True}, method).status_code == 404


@pytest.mark.parametrize("path", ["", "unread/", "preferences/"])
def test_strangers_see_nothing(client, path, db):
    assert client.get(f"/api/notifications/{path}").status_code in (401, 403)


@pytest.mark.parametrize(
    "wrong",
    [{"priority": "urgent"}, {"dedupe_key": "x" * 129}, {"notification_type": "x" * 33}, {"public_id": "x" * 65}],
)
def test_a_telling_that_no_row_can_hold_is_refused(wrong):
    with pytest.raises(ValueError, match=r"urgent|has more than"):
        Telling(**{"title": "", "message": "", "notification_type": "info", "dedupe_key": "", **wrong})


def test_a_title_that_is_too_long_is_cut(alice):
    long = Telling(title="x" * 300, message="", notification_type="info", dedupe_key="long", data={"symbol": "S" * 200})
    (row,) = notifications.tell([alice.pk], long)
    assert (row.title, len(row.group_key)) == ("x" * 199 + "…", 128)


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
