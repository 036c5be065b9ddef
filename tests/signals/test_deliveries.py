"""Deliveries, sent to receivers that behave as the real ones."""

import hashlib
import hmac
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.utils import timezone

from signals import attempts, delivery, notifications, sending, vapid
from signals.models import Delivery, Destination, Notification
from signals.notifications import Telling
from tests.processes import wait_for
from tests.signals.receivers import DRIP, HANG, Discord, MailServer, Ntfy, PushService, Receiver, Slack, Telegram

ALERT = Telling(
    title="BTC-USD above 70,000",
    message="It is at 70,012.5.",
    notification_type="alert",
    dedupe_key="alert:1:1",
    priority="high",
    data={"alert_id": 1},
)


@pytest.fixture(autouse=True)
def house(settings):
    """Loopback is one of the house; connections end with the test."""
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.1"]
    yield
    sending.close()


@pytest.fixture
def open_(request):
    """open_(Kind) starts a receiver, which ends with the test."""

    def open_(kind):
        made = kind()
        request.addfinalizer(made.close)
        return made

    return open_


@pytest.fixture
def destination(alice):
    """destination("webhook", config, secrets) is one of alice's."""

    def destination(kind, config=None, secrets=None, owner=alice, **more):
        row = Destination(user=owner, kind=kind, name=f"my {kind}", config=config or {}, address=kind, **more)
        row.secrets = secrets or {}
        row.save()
        return row

    return destination


@pytest.fixture
def hook(open_, destination):
    """A receiver, and alice's webhook that leads there."""
    receiver = open_(Receiver)
    destination("webhook", secrets={"url": receiver.url, "secret": "a long secret"})
    return receiver


def tell(user, **more):
    """Tell it; returns what is to be delivered."""
    fields = {name: getattr(ALERT, name) for name in ALERT.__struct_fields__} | more
    (row,) = notifications.tell([user.pk], Telling(**fields))
    return list(row.deliveries.order_by("id"))


def deliver_at(row, now):
    """Deliver it; the row as the database then has it."""
    attempts.deliver(row.pk, now)
    row.refresh_from_db()
    return row


def deliver(row):
    return deliver_at(row, timezone.now())


def notices(user):
    return list(
        Notification.objects.filter(user=user, notification_type="destination")
        .order_by("id")
        .values_list("title", flat=True)
    )


def test_what_is_told_is_planned_for_each_destination_that_wants_it(alice, bob, destination):
    wanted = [destination("discord"), destination("slack", types=["alert"], min_priority="high")]
    destination("ntfy", types=["news"])
    destination("telegram", min_priority="critical")
    destination("email", enabled=False)
    destination("webhook", owner=bob)
    assert [row.destination for row in tell(alice)] == wanted
    assert notifications.tell([alice.pk], ALERT) == []
    assert Delivery.objects.count() == 2


def test_what_is_planned_twice_is_delivered_once_and_what_stays_inside_never(alice, destination):
    destination("discord")
    told = Notification.objects.create(user=alice, title="t", message="m", notification_type="x", dedupe_key="k")
    assert delivery.plan([(told, None)]) == []
    assert len(delivery.plan([(told, timezone.now())])) == 1
    assert delivery.plan([(told, timezone.now())]) == []


def test_what_is_due_now_is_nudged_on_commit(alice, destination, django_capture_on_commit_callbacks, monkeypatch):
    nudged = []
    monkeypatch.setattr(delivery, "nudge", nudged.extend)
    destination("discord")
    with django_capture_on_commit_callbacks(execute=True):
        (row,) = tell(alice)
    assert nudged == [row.pk]
    assert delivery.nudge_due(timezone.now()) == 1
    assert delivery.nudge_due(row.due_at - timedelta(seconds=1)) == 0


# --- Each kind ------------------------------------------------------------------------------------------------


def test_a_webhook_gets_a_signed_call(alice, hook):
    row = deliver(tell(alice)[0])
    assert (row.status, row.attempts, row.last_error, row.response) == ("sent", 1, "", "ok")
    (call,) = hook.calls
    at = call.headers["x-tapehouse-timestamp"]
    expected = hmac.new(b"a long secret", at.encode() + b"." + call.body, hashlib.sha256).hexdigest()
    assert call.headers["x-tapehouse-signature"] == f"t={at},v1={expected}"
    assert call.headers["idempotency-key"] == row.key == call.json["delivery_id"]
    assert (call.json["title"], call.json["priority"], call.json["test"]) == (ALERT.title, "high", False)
    assert Destination.objects.get().verified


def test_the_documented_check_believes_our_calls_and_no_others(alice, hook):
    page = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()
    (example,) = [code for code in re.findall(r"```python\n(.*?)```", page, re.S) if "is_genuine" in code]
    names = {}
    exec(example, names)
    deliver(tell(alice)[0])
    (call,) = hook.calls
    header = call.headers["x-tapehouse-signature"]
    assert names["is_genuine"](header, call.body, "a long secret")
    assert not names["is_genuine"](header, call.body + b" ", "a long secret")
    assert not names["is_genuine"](header, call.body, "another secret")
    assert not names["is_genuine"](header, call.body, "a long secret", tolerance_s=-1)


def test_telegram_gets_a_message(alice, open_, destination, settings):
    bot = open_(Telegram)
    settings.TELEGRAM_API_URL = bot.base
    settings.WEBHOOK_ALLOWED_HOSTS = []  # it is the installation's own choice
    destination("telegram", {"chat_id": bot.CHAT}, {"bot_token": bot.TOKEN})
    assert deliver(tell(alice)[0]).status == "sent"
    assert bot.calls[0].json["text"] == "<b>BTC-USD above 70,000</b>\nIt is at 70,012.5."


def test_a_telegram_chat_that_is_gone_goes_off(alice, open_, destination, settings):
    bot = open_(Telegram)
    settings.TELEGRAM_API_URL, settings.TELEGRAM_BOT_TOKEN = bot.base, bot.TOKEN
    row = destination("telegram", {"chat_id": "1"})
    assert deliver(tell(alice)[0]).status == "failed"
    row.refresh_from_db()
    assert (row.enabled, row.disabled_reason) == (False, "Bad Request: chat not found")


def test_ntfy_gets_a_publication(alice, open_, destination, settings):
    server = open_(Ntfy)
    settings.NTFY_URL = server.base
    destination("ntfy", {"server": server.base, "topic": "closed"}, {"token": server.TOKEN})
    Destination.objects.create(user=alice, kind="ntfy", name="ours", config={"topic": "prices"}, address="x")
    assert [deliver(row).status for row in tell(alice)] == ["sent", "sent"]
    assert server.calls[1].headers["title"] == ALERT.title
    assert server.calls[1].body == ALERT.message.encode()


def test_discord_and_slack_get_their_formats(alice, open_, destination):
    discord, slack = open_(Discord), open_(Slack)
    destination("discord", secrets={"url": discord.url})
    destination("slack", secrets={"url": slack.url})
    assert [deliver(row).status for row in tell(alice)] == ["sent", "sent"]
    assert discord.calls[0].json["embeds"][0]["title"] == ALERT.title
    assert slack.calls[0].json["text"] == f"*{ALERT.title}*\n{ALERT.message}"


def test_a_browser_opens_what_it_is_pushed(alice, open_, destination):
    service = open_(PushService)
    service.signed_by = vapid.public_key()
    subscription = service.subscription
    secrets = {"endpoint": subscription["endpoint"], "keys": subscription["keys"]}
    destination("webpush", secrets=secrets)
    assert deliver(tell(alice)[0]).status == "sent"
    assert service.opened[0]["title"] == ALERT.title
    assert service.calls[0].headers["urgency"] == "high"


def test_a_browser_that_subscribed_to_another_key_goes_off(alice, open_, destination):
    service = open_(PushService)
    service.signed_by = "another"
    subscription = service.subscription
    row = destination("webpush", secrets={"endpoint": subscription["endpoint"], "keys": subscription["keys"]})
    deliver(tell(alice)[0])
    row.refresh_from_db()
    assert not row.enabled


@pytest.fixture
def mail(open_, settings, destination):
    server = open_(MailServer)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    destination("email", {"address": "alice@example.org"})
    return server


def test_a_letter_goes_to_a_mail_server(alice, mail):
    row = deliver(tell(alice)[0])
    assert row.status == "sent"
    (letter,) = mail.letters
    content = letter.content.decode()
    assert letter.rcpt_tos == ["alice@example.org"]
    assert f"Message-ID: <{row.key}@tapehouse>" in content
    assert "multipart/alternative" in content
    assert f"Subject: {ALERT.title}" in content


@pytest.mark.parametrize(
    ("refusal", "status", "enabled"),
    [
        ("550 5.1.1 no such user", "failed", False),
        ("550 5.7.1 relaying denied", "failed", True),
        ("451 4.7.1 greylisted", "pending", True),
    ],
)
def test_a_mail_server_that_refuses_the_recipient(alice, mail, refusal, status, enabled):
    mail.refuse["alice@example.org"] = refusal
    row = deliver(tell(alice)[0])
    assert (row.status, Destination.objects.get().enabled) == (status, enabled)
    assert refusal[:3] in row.response


def test_a_mail_server_that_refuses_a_letter_or_is_away(alice, mail, settings):
    mail.refuse_data = "554 looks like spam"
    assert deliver(tell(alice)[0]).status == "failed"
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = nobody.getsockname()[1]
        row = deliver(tell(alice, dedupe_key="2")[0])
    assert (row.status, row.last_error) == ("pending", "the mail server: ConnectionRefusedError")


# --- Failures -------------------------------------------------------------------------------------------------


def test_a_failure_in_passing_is_tried_again_with_the_same_key_later_each_time(alice, hook):
    row, now, waits = tell(alice)[0], timezone.now(), []
    for _ in range(3):
        hook.then(500, b"oops")
        deliver_at(row, now)
        waits.append((row.next_attempt_at - timezone.now()).total_seconds())
        now = row.next_attempt_at
    assert (row.status, row.attempts, row.last_error, row.response) == ("pending", 3, "HTTP 500", "oops")
    assert all(low < wait <= 2 * low for wait, low in zip(waits, (2.4, 4.9, 9.9), strict=True))
    assert waits == sorted(waits)
    Destination.objects.update(paused_until=None)
    assert deliver_at(row, now).status == "sent"
    assert len({call.headers["idempotency-key"] for call in hook.calls}) == 1
    assert len(hook.calls) == 4


def test_nobody_tries_before_the_time(alice, hook):
    row = tell(alice)[0]
    hook.then(500)
    deliver(row)
    assert attempts.deliver(row.pk, timezone.now()) is None
    assert len(hook.calls) == 1


def test_a_pause_that_was_asked_for_is_kept_by_all_deliveries_there(alice, hook):
    hook.then(429, Retry_After="120")
    first, second = deliver(tell(alice)[0]), tell(alice, dedupe_key="2")[0]
    until = Destination.objects.get().paused_until
    assert 119 < (until - timezone.now()).total_seconds() < 133
    assert first.next_attempt_at >= timezone.now() + timedelta(seconds=119)
    assert deliver(second).attempts == 0
    assert second.next_attempt_at == until
    assert len(hook.calls) == 1


def test_a_destination_that_is_gone_goes_off_and_its_owner_is_told_in_the_application(alice, bob, hook):
    waiting, row = tell(alice)[0], tell(alice, dedupe_key="2")[0]
    hook.then(410)
    assert (deliver(row).status, row.last_error) == ("failed", "HTTP 410")
    destination = Destination.objects.get()
    assert (destination.enabled, destination.disabled_reason) == (False, "HTTP 410")
    waiting.refresh_from_db()
    assert (waiting.status, waiting.last_error) == ("dropped", "The destination is switched off.")
    assert notices(alice) == ["my webhook is switched off"]
    assert tell(alice, dedupe_key="3") == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(alice, hook, open_, status):
    elsewhere = open_(Receiver)
    hook.then(status, Location=elsewhere.url)
    row = deliver(tell(alice)[0])
    assert (row.status, elsewhere.calls) == ("failed", [])
    assert "redirects are not followed" in row.last_error


def test_of_a_huge_answer_only_the_beginning_is_read(alice, hook, settings):
    hook.then(200, b"x" * 50_000_000)
    assert (deliver(tell(alice)[0]).status, len(Delivery.objects.get().response)) == ("sent", 300)


@pytest.mark.parametrize("how", [HANG, DRIP])
def test_a_receiver_that_hangs_or_drips_costs_a_bounded_time(alice, hook, settings, how):
    settings.DELIVERY_READ_TIMEOUT_S, settings.DELIVERY_CALL_TIMEOUT_S = 0.3, 0.4
    hook.then(how)
    row = deliver(tell(alice)[0])
    assert row.status == "pending"
    assert row.last_error in ("no answer in time", "no connection")


def test_a_receiver_that_never_shakes_hands_costs_a_bounded_time(alice, destination, settings):
    settings.DELIVERY_CALL_TIMEOUT_S, settings.DELIVERY_CONNECT_TIMEOUT_S = 0.3, 60.0
    with socket.create_server(("127.0.0.1", 0)) as mute:
        destination("slack", secrets={"url": f"https://127.0.0.1:{mute.getsockname()[1]}/"})
        row = deliver(tell(alice)[0])
    assert row.status == "pending"
    assert (row.next_attempt_at - row.attempted_at).total_seconds() < 30


def test_control_characters_and_half_characters_do_no_harm(alice, hook):
    hook.then(500, b"\xff\0<script>\r\n" + "日".encode()[:2])
    row = deliver(tell(alice, title="a\r\nb\x07", message="x\x1b[31m")[0])
    assert "\0" not in row.response
    assert row.status == "pending"


def test_an_unreadable_secret_switches_off_and_says_what_to_do(alice, hook, settings):
    row = tell(alice)[0]
    settings.SECRET_KEY = "another"
    assert "enter them again" in deliver(row).last_error
    assert not Destination.objects.get().enabled


def test_a_rotated_key_still_reads_what_was_sealed(alice, hook, settings):
    row = tell(alice)[0]
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another"
    assert deliver(row).status == "sent"


# --- Limits ---------------------------------------------------------------------------------------------------


def test_what_is_too_old_is_dropped_and_says_so(alice, hook, settings):
    row = tell(alice)[0]
    deliver_at(row, row.due_at + timedelta(seconds=settings.DELIVERY_MAX_AGE_S + 1))
    assert row.status == "dropped"
    assert row.last_error.startswith("It was due at")
    assert hook.calls == []
    assert notices(alice) == ["my webhook was not reached"]


def test_after_so_many_attempts_it_is_given_up(alice, hook, settings):
    settings.DELIVERY_ATTEMPTS_MAX = 2
    row = tell(alice)[0]
    for _ in range(2):
        hook.then(503)
        Destination.objects.update(paused_until=None)
        deliver_at(row, row.next_attempt_at)
    assert (row.status, row.last_error) == ("failed", "HTTP 503; given up after 2 attempts")


def test_one_that_kills_its_worker_each_time_is_given_up_too(alice, hook, settings):
    settings.DELIVERY_ATTEMPTS_MAX = 1
    row = tell(alice)[0]
    assert attempts._take(row.pk, timezone.now())
    assert deliver_at(row, timezone.now() + timedelta(minutes=2)).status == "failed"
    assert hook.calls == []


def test_a_destination_that_fails_ten_times_in_a_row_goes_off_and_one_success_forgets(alice, hook, settings):
    settings.DELIVERY_FAILURES_MAX = 3
    for number, status in enumerate([400, 400, 200, 400, 400, 400]):
        assert Destination.objects.get().enabled
        hook.then(status)
        deliver(tell(alice, dedupe_key=str(number), notification_type=f"alert {number}")[0])
    assert not Destination.objects.get().enabled
    assert notices(alice) == ["my webhook was not reached", "my webhook is switched off"]


def test_a_destination_gets_so_many_a_minute_and_the_rest_later(alice, hook, settings):
    settings.DELIVERIES_PER_MINUTE = 2
    rows = [tell(alice, dedupe_key=str(number))[0] for number in range(3)]
    for row in rows:
        deliver(row)
    assert [row.status for row in rows] == ["sent", "sent", "pending"]
    assert rows[2].attempts == 0
    assert deliver_at(rows[2], rows[2].next_attempt_at).status == "sent"


def test_nothing_goes_to_whom_was_deactivated(alice, hook):
    row = tell(alice)[0]
    alice.is_active = False
    alice.save()
    assert deliver(row).status == "dropped"


def test_old_lines_of_the_log_are_forgotten_and_waiting_ones_kept(alice, hook, settings):
    sent, waiting = deliver(tell(alice)[0]), tell(alice, dedupe_key="2")[0]
    Delivery.objects.update(created_at=timezone.now() - timedelta(days=settings.DELIVERY_KEEP_DAYS + 1))
    assert attempts.forget_old(timezone.now()) == 1
    assert list(Delivery.objects.all()) == [waiting]
    assert sent not in Delivery.objects.all()


# --- Death and concurrency ------------------------------------------------------------------------------------


def test_whoever_dies_before_writing_down_is_followed_by_another_with_the_same_key(alice, hook, settings):
    row = tell(alice)[0]
    taken = attempts._take(row.pk, timezone.now())
    attempts._attempt(taken, timezone.now())  # and here it was killed
    assert attempts.deliver(row.pk, timezone.now()) is None
    later = timezone.now() + timedelta(seconds=settings.DELIVERY_LEASE_S + 1)
    assert delivery.Delivery.objects.due(later).get() == row
    assert (deliver_at(row, later).status, row.attempts) == ("sent", 2)
    assert [call.headers["idempotency-key"] for call in hook.calls] == [row.key, row.key]


def test_one_that_took_too_long_says_only_whether_it_arrived(alice, hook, settings):
    row, now = tell(alice)[0], timezone.now()
    slow = attempts._take(row.pk, now)
    second = attempts._take(row.pk, now + timedelta(seconds=settings.DELIVERY_LEASE_S + 1))
    attempts._settle(slow, attempts.Outcome(attempts.Verdict.GONE, "late news"), now)
    assert Destination.objects.get().enabled
    attempts._settle(slow, attempts.Outcome(attempts.Verdict.SENT), now)
    attempts._settle(second, attempts.Outcome(attempts.Verdict.RETRY, "no answer"), now)
    row.refresh_from_db()
    assert row.status == "sent"


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_sends(alice, hook):
    row = tell(alice)[0]
    together = threading.Barrier(4)

    def one(_):
        together.wait()
        try:
            return attempts.deliver(row.pk, timezone.now())
        finally:
            connection.close()
            sending.close()

    with ThreadPoolExecutor(4) as pool:
        done = [found for found in pool.map(one, range(4)) if found]
    assert len(done) == len(hook.calls) == 1


@pytest.mark.django_db(transaction=True)
def test_a_destination_is_not_deleted_under_those_who_plan(alice, hook, client):
    client.force_login(alice)

    def delete():
        try:
            return client.delete(f"/api/destinations/{Destination.objects.get().pk}/").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            tell(alice)
            deleting = pool.submit(delete)
            wait_for(somebody_waits, what="the deletion to wait")
        assert deleting.result(10) == 204
    assert not Delivery.objects.exists()
    assert Notification.objects.exists()


def somebody_waits():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))")
        return cursor.fetchone()


def test_a_destination_deleted_meanwhile_breaks_nothing(alice, hook):
    row = tell(alice)[0]
    taken = attempts._take(row.pk, timezone.now())
    Destination.objects.all().delete()
    attempts._settle(taken, attempts.Outcome(attempts.Verdict.SENT), timezone.now())
    assert attempts.deliver(row.pk, timezone.now()) is None


# --- Addresses ------------------------------------------------------------------------------------------------


def test_an_address_inside_is_not_called_although_it_was_entered_once(alice, hook, settings):
    settings.WEBHOOK_ALLOWED_HOSTS, settings.WEBHOOK_ALLOW_HTTP, settings.WEBHOOK_PORTS = [], True, [hook.port]
    row = deliver(tell(alice)[0])
    assert (row.status, hook.calls) == ("failed", [])
    assert row.last_error == "127.0.0.1 is no address of the public internet."
    assert not Destination.objects.get().enabled


@pytest.mark.parametrize("found", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"], ["fe80::1%lo"]])
def test_a_name_that_leads_inside_is_not_called(alice, open_, destination, settings, monkeypatch, found):
    receiver = open_(Receiver)
    settings.WEBHOOK_ALLOW_HTTP, settings.WEBHOOK_PORTS = True, [receiver.port]
    settings.WEBHOOK_ALLOWED_HOSTS = []
    destination("slack", secrets={"url": f"http://rebound.example.org:{receiver.port}/"})
    monkeypatch.setattr(socket, "getaddrinfo", resolver(found))
    assert "is no address of the public internet" in deliver(tell(alice)[0]).last_error
    assert receiver.calls == []


def test_a_name_is_looked_up_once_and_the_address_that_was_judged_is_called(
    alice, open_, destination, settings, monkeypatch
):
    receiver, asked = open_(Slack), []
    settings.WEBHOOK_ALLOW_HTTP, settings.WEBHOOK_PORTS = True, [receiver.port]
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.0/30"]
    destination("slack", secrets={"url": f"http://rebound.example.org:{receiver.port}{receiver.path}"})
    monkeypatch.setattr(socket, "getaddrinfo", resolver(["127.0.0.1"], ["127.0.0.5"], asked=asked))
    assert deliver(tell(alice)[0]).status == "sent"
    assert receiver.calls[0].headers["host"] == f"rebound.example.org:{receiver.port}"
    assert asked == ["rebound.example.org"]


def resolver(*answers, asked=None):
    """A name server whose answers follow one another; addresses need none."""
    real, left = socket.getaddrinfo, list(answers)

    def getaddrinfo(host, port, *args, **more):
        if not str(host).endswith("example.org"):
            return real(host, port, *args, **more)
        if asked is not None:
            asked.append(host)
        addresses = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return getaddrinfo


def test_secrets_are_in_no_log_and_in_no_row(alice, open_, destination, caplog):
    caplog.set_level("DEBUG")
    receiver = open_(Discord)
    row = destination("discord", secrets={"url": receiver.url})
    assert deliver(tell(alice)[0]).status == "sent"
    receiver.close()
    sending.close()
    deliver(tell(alice, dedupe_key="2")[0])
    assert "127.0.0.1" in caplog.text
    assert "token" not in caplog.text
    assert "token" not in row.sealed
    assert not any("token" in one.last_error for one in Delivery.objects.all())


def test_pauses_double_up_to_a_bound(settings):
    assert [attempts.pause_s(n, None, 1.0) for n in (1, 2, 3, 30, 10_000)] == [5, 10, 20, 3600, 3600]
    assert attempts.pause_s(1, None, 0.0) == 2.5
    assert attempts.pause_s(1, 60.0, 0.0) == 60
    assert attempts.pause_s(1, 1e308, 1.0) <= settings.DELIVERY_MAX_AGE_S * 1.1


def test_the_key_of_web_pushes_is_made_once(db, settings):
    assert vapid.public_key() == vapid.public_key()
    settings.VAPID_PRIVATE_KEY = "A" * 42 + "E"
    assert vapid.public_key() == vapid.public_key() != ""
