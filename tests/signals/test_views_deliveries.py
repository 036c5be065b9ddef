"""Destinations and deliveries over HTTP."""

import pytest
from django.utils import timezone

from signals import attempts, notifications, sending, vapid
from signals.channels import CHANNELS
from signals.models import Delivery, Destination
from signals.notifications import Telling
from signals.serializers.deliveries import CONFIGS
from tests.processes import wait_for
from tests.signals.receivers import HANG, PushService, Receiver

TELLING = Telling(title="Told", message="Why", notification_type="alert", dedupe_key="1")
BOT = "123456:HIDDENHIDDENHIDDENHIDDEN"
VALID = {
    "email": {"address": "alice@example.org"},
    "telegram": {"chat_id": "-100123", "bot_token": BOT},
    "ntfy": {"server": "https://ntfy.example.org", "topic": "prices", "token": "tk_HIDDEN"},
    "discord": {"url": "https://discord.com/api/webhooks/1/HIDDEN"},
    "slack": {"url": "https://hooks.slack.com/services/T/B/HIDDEN"},
    "webhook": {"url": "https://example.org/hook?key=HIDDEN", "secret": "a HIDDEN one"},
}


@pytest.fixture
def receiver(settings):
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.1"]
    made = Receiver()
    yield made
    made.close()
    sending.close()


@pytest.fixture
def api(client, alice):
    """api("post", "/api/…/", body): alice's call; the answer's status and JSON."""
    client.force_login(alice)

    def api(method, path, body=None):
        answer = getattr(client, method)(path, body, content_type="application/json")
        return answer.status_code, answer.json() if answer.content else None

    return api


def add(api, kind="webhook", config=None, name="mine", **more):
    body = {"kind": kind, "name": name, "config": VALID[kind] if config is None else config, **more}
    return api("post", "/api/destinations/", body)


@pytest.mark.parametrize("kind", VALID)
def test_a_destination_of_each_kind_is_kept_and_its_secrets_are_shown_to_nobody(api, kind):
    status, made = add(api, kind)
    assert (status, made["kind"], made["enabled"], made["verified"]) == (201, kind, True, False)
    shown = [made, api("get", f"/api/destinations/{made['id']}/")[1], api("get", "/api/destinations/")[1]]
    row = Destination.objects.get()
    assert "HIDDEN" not in str([shown, row.config, row.sealed, row.address])
    assert attempts.configuration(row).items() >= VALID[kind].items()


def test_a_browser_subscribes_with_our_key(api, alice):
    status, told = api("get", "/api/destinations/webpush-key/")
    assert (status, told) == (200, {"public_key": vapid.public_key()})
    service = PushService()
    service.close()
    subscription = service.subscription | {"endpoint": "https://push.example.org/x/secret"}
    status, made = add(api, "webpush", subscription)
    assert (status, made["address"], set(made["config"].values())) == (201, "push.example.org", {"********"})
    broken = subscription | {"keys": {"p256dh": "AAAA", "auth": "AAAA"}}
    assert "keys" in add(api, "webpush", broken, name="other")[1]["config"]


def test_a_webhook_without_a_secret_gets_one_and_it_is_told_once(api):
    _, made = add(api, config={"url": "https://example.org/hook"})
    assert attempts.configuration(Destination.objects.get())["secret"] == made["generated"]["secret"]
    assert "generated" not in api("get", f"/api/destinations/{made['id']}/")[1]


@pytest.mark.parametrize(
    ("kind", "config", "field"),
    [
        ("email", {}, "address"),
        ("email", {"address": "alice@example.org\r\nBcc: bob@example.org"}, "address"),
        ("email", {"address": "alice"}, "address"),
        ("email", {"address": "a@example.org", "cc": "b@example.org"}, "cc"),
        ("email", {"address": "a\0@example.org"}, "address"),
        ("telegram", {"chat_id": "1; DROP"}, "chat_id"),
        ("telegram", {"chat_id": "1"}, "bot_token"),
        ("telegram", {"chat_id": "1", "bot_token": "1:a/../../x"}, "bot_token"),
        ("ntfy", {"topic": "a/b"}, "topic"),
        ("ntfy", {"topic": "a", "server": "http://127.0.0.1"}, "server"),
        ("ntfy", {"topic": "a", "token": "a\r\nX: y"}, "token"),
        ("discord", {"url": "https://[::ffff:127.0.0.1]/"}, "url"),
        ("slack", {"url": "https://user:pw@example.org/"}, "url"),
        ("webhook", {"url": "https://169.254.169.254/"}, "url"),
        ("webhook", {"url": "https://example.org/", "secret": "short"}, "secret"),
        ("webhook", {"url": "https://example.org/", "secret": "********"}, "secret"),
        ("webhook", {"url": 7}, "url"),
        ("webhook", {"url": ["https://example.org/"]}, "url"),
        ("webpush", {"endpoint": "https://push.example.org/", "keys": {}}, "keys"),
        ("webpush", {"endpoint": "https://push.example.org/"}, "keys"),
    ],
)
def test_a_broken_configuration_is_refused_by_field(api, kind, config, field):
    status, told = add(api, kind, config)
    assert status == 400
    assert list(told["config"]) == [field]


@pytest.mark.parametrize("config", [None, [], "x", 7, [{}], True])
def test_a_configuration_that_is_no_object_is_refused(api, config):
    assert api("post", "/api/destinations/", {"kind": "email", "name": "x", "config": config})[0] == 400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "fax"), ("kind", None), ("name", ""), ("name", "a\0b"), ("name", "x" * 65), ("min_priority", "urgent"),
        ("types", "alert"), ("types", ["x" * 33]), ("types", ["x"] * 51), ("types", [None]), ("enabled", "perhaps"),
        ("verified", True), ("user", 1),
    ],
)  # fmt: skip
def test_a_broken_field_is_refused_by_name(api, field, value):
    body = {"kind": "email", "name": "x", "config": VALID["email"], field: value}
    status, told = api("post", "/api/destinations/", body)
    assert (status, list(told)) == (400, [field])


def test_names_and_numbers_have_bounds(api, settings):
    settings.MAX_DESTINATIONS_PER_USER = 1
    assert add(api)[0] == 201
    status, told = add(api, name="other")
    assert (status, told) == (400, {"detail": ["You have 1 destinations, and may have no more."]})
    settings.MAX_DESTINATIONS_PER_USER = 2
    assert list(add(api)[1]) == ["name"]


def test_what_is_changed_has_to_prove_itself_anew_and_masks_change_nothing(api):
    _, made = add(api, "ntfy")
    Destination.objects.update(verified=True, enabled=False, failures=3, disabled_reason="HTTP 410")
    path = f"/api/destinations/{made['id']}/"
    status, changed = api(
        "patch", path, {"config": made["config"] | {"topic": "other"}, "enabled": True, "types": ["alert"]}
    )
    assert (status, changed["verified"], changed["enabled"], changed["failures"]) == (200, False, True, 0)
    assert (changed["disabled_reason"], changed["address"], changed["types"]) == (
        "",
        "ntfy.example.org/other",
        ["alert"],
    )
    assert attempts.configuration(Destination.objects.get())["token"] == "tk_HIDDEN"
    assert api("patch", path, {"config": {"token": None}})[0] == 200
    assert "token" not in Destination.objects.get().secrets
    assert api("patch", path, {"kind": "email"})[0] == 400
    assert api("patch", path, {"config": 7})[0] == 400
    assert api("patch", path, {})[0] == 200


def test_a_token_does_not_follow_to_another_server(api):
    _, made = add(api, "ntfy")
    path = f"/api/destinations/{made['id']}/"
    moved = {"server": "https://evil.example.org"}
    status, told = api("patch", path, {"config": moved})
    assert (status, list(told["config"])) == (400, ["token"])
    assert api("patch", path, {"config": moved | {"token": "********"}})[0] == 400
    assert api("patch", path, {"config": {"server": None}})[0] == 400
    assert api("patch", path, {"config": moved | {"token": "another"}})[0] == 200


def test_bob_sees_tests_changes_and_deletes_nothing_of_alices(api, client, bob):
    _, made = add(api)
    notifications.tell([Destination.objects.get().user_id], TELLING)
    delivery = Delivery.objects.get()
    client.force_login(bob)
    path = f"/api/destinations/{made['id']}/"
    calls = [("get", path), ("patch", path), ("delete", path), ("post", f"{path}test/")]
    calls += [("get", f"/api/deliveries/{delivery.pk}/"), ("post", f"/api/deliveries/{delivery.pk}/retry/")]
    assert {api(method, path, {} if method != "get" else None)[0] for method, path in calls} == {404}
    assert api("get", "/api/destinations/")[1]["results"] == api("get", "/api/deliveries/")[1]["results"] == []
    client.logout()
    assert client.get("/api/destinations/").status_code in (401, 403)


def test_a_test_is_sent_at_once_and_answers_with_what_came_of_it(api, receiver):
    _, made = add(api, config={"url": receiver.url, "secret": "a long secret"})
    path = f"/api/destinations/{made['id']}/"
    status, sent = api("post", f"{path}test/")
    assert (status, sent["status"], sent["test"], sent["notification_id"]) == (200, "sent", True, None)
    assert receiver.calls[0].json["test"] is True
    assert api("get", path)[1]["verified"] is True
    receiver.then(410, b"gone")
    _, failed = api("post", f"{path}test/")
    assert (failed["status"], failed["last_error"], failed["response"]) == ("failed", "HTTP 410", "gone")
    assert api("get", path)[1]["enabled"] is True
    assert [row["status"] for row in api("get", "/api/deliveries/")[1]["results"]] == ["failed", "sent"]


def test_a_destination_says_how_its_newest_delivery_stands(api, alice, receiver, django_assert_max_num_queries):
    made = [add(api, config={"url": receiver.url, "secret": "a long secret"}, name=name)[1] for name in "ab"]
    assert made[0]["last_delivery"] is None
    path = f"/api/destinations/{made[0]['id']}/"
    api("post", f"{path}test/")
    sent = api("get", path)[1]["last_delivery"]
    assert (sent["status"], sent["error"], sent["test"]) == ("sent", "", True)
    assert sent["at"] == api("get", "/api/deliveries/")[1]["results"][0]["sent_at"]
    receiver.then(400)
    notifications.tell([alice.pk], TELLING)
    attempts.deliver(Delivery.objects.get(destination=made[0]["id"], status="pending").pk, timezone.now())
    with django_assert_max_num_queries(3):
        first, second = api("get", "/api/destinations/")[1]["results"]
    assert (first["last_delivery"]["status"], first["last_delivery"]["error"]) == ("failed", "HTTP 400")
    assert (second["last_delivery"]["status"], second["last_delivery"]["test"]) == ("pending", False)
    assert api("patch", path, {"name": "c"})[1]["last_delivery"] == first["last_delivery"]


@pytest.mark.django_db(transaction=True)
def test_a_test_that_takes_long_holds_nobody_up_and_is_written_down(api, receiver, settings):
    settings.DELIVERY_TEST_WAIT_S, settings.DELIVERY_READ_TIMEOUT_S = 0.05, 0.3
    _, made = add(api, config={"url": receiver.url, "secret": "a long secret"})
    path = f"/api/destinations/{made['id']}/test/"
    receiver.then(HANG)
    status, begun = api("post", path)
    assert (status, begun["status"], begun["test"]) == (202, "pending", True)
    Delivery.objects.bulk_create([Delivery(destination_id=made["id"], due_at=timezone.now()) for _ in range(2)])
    assert api("post", path)[0] == 429, "three at once"
    wait_for(lambda: api("get", f"/api/deliveries/{begun['id']}/")[1]["status"] == "failed", 10)
    over = api("get", f"/api/deliveries/{begun['id']}/")[1]
    assert (over["last_error"], over["attempts"], set(over)) == ("no answer in time", 1, set(begun))


def test_tests_count_with_the_rest(api, receiver, settings, client):
    settings.DELIVERIES_PER_MINUTE = 1
    _, made = add(api, config={"url": receiver.url, "secret": "a long secret"})
    path = f"/api/destinations/{made['id']}/test/"
    assert api("post", path)[0] == 200
    answer = client.post(path)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 60


def test_the_log_is_filtered_and_what_was_given_up_is_sent_again(api, alice, receiver):
    _, made = add(api, config={"url": receiver.url, "secret": "a long secret"})
    (told,) = notifications.tell([alice.pk], TELLING)
    row = Delivery.objects.get()
    receiver.then(400)
    attempts.deliver(row.pk, timezone.now())
    found = {
        query: len(api("get", f"/api/deliveries/?{query}")[1]["results"])
        for query in (
            "status=failed", "status=sent", f"destination={made['id']}", "destination=999999",
            f"notification={told.public_id}", "notification=nobody",
        )
    }  # fmt: skip
    assert list(found.values()) == [1, 0, 1, 0, 1, 0]
    for query in ("status=lost", "destination=x", f"destination={2**70}", "notification=a%00b"):
        assert api("get", f"/api/deliveries/?{query}")[0] == 400
    path = f"/api/deliveries/{row.pk}/"
    status, again = api("post", f"{path}retry/")
    assert (status, again["status"], again["attempts"], again["key"]) == (202, "pending", 0, row.key)
    assert api("post", f"{path}retry/")[0] == 409
    attempts.deliver(row.pk, timezone.now())
    assert (api("get", path)[1]["status"], api("post", f"{path}retry/")[0]) == ("sent", 409)


def test_nothing_is_sent_again_to_where_it_is_switched_off(api, alice):
    _, made = add(api)
    notifications.tell([alice.pk], TELLING)
    Delivery.objects.update(status="failed")
    api("patch", f"/api/destinations/{made['id']}/", {"enabled": False})
    assert api("post", f"/api/deliveries/{Delivery.objects.get().pk}/retry/")[0] == 409


def test_who_is_deleted_takes_its_log_along(api, alice):
    _, made = add(api)
    notifications.tell([alice.pk], TELLING)
    assert api("delete", f"/api/destinations/{made['id']}/") == (204, None)
    assert not Delivery.objects.exists()


def test_what_is_not_read_is_what_is_sealed():
    for kind, channel in CHANNELS.items():
        hidden = {name for name, field in CONFIGS[kind]().fields.items() if field.write_only} - {"expirationTime"}
        assert hidden == set(channel.secrets)


def test_staff_look_test_and_send_again_and_see_no_secret(client, admin, alice, receiver):
    row = Destination(user=alice, kind="webhook", name="mine", address="x")
    row.secrets = {"url": receiver.url, "secret": "a long secret"}
    row.save()
    notifications.tell([alice.pk], TELLING)
    delivery = Delivery.objects.get()
    Delivery.objects.update(status="failed", next_attempt_at=None)
    client.force_login(admin)
    for page in ("destination", "delivery"):
        pk = row.pk if page == "destination" else delivery.pk
        for path in ("", f"{pk}/change/"):
            shown = client.get(f"/admin/signals/{page}/{path}")
            assert shown.status_code == 200
            assert row.sealed not in shown.content.decode()
    client.post("/admin/signals/destination/", {"action": "send_test", "_selected_action": [row.pk]})
    client.post("/admin/signals/delivery/", {"action": "retry", "_selected_action": [delivery.pk]})
    delivery.refresh_from_db()
    assert (len(receiver.calls), delivery.status) == (1, "pending")
