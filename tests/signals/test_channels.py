"""What each kind sends, and what it reads in an answer: values in, values out."""

import json

import pytest

from signals.channels import CHANNELS, webhook
from signals.channels.shapes import Answer, Message, Verdict, clip, clip_bytes, retry_after

WILD = Message(
    key="0123456789abcdef0123456789abcdef",
    title="BTC <b>& *up*\r\nBcc: x@y.z\0 日本" + "!" * 300,
    text="<!channel> @everyone </b>\n" + "€" * 9000,
    created_at="2026-01-28T10:30:01.123456Z",
    at_s=1769596201,
    priority="critical",
    notification_type="alert",
    notification_id="n1",
    data={"price": 70000},
    link="https://tapehouse.example.org",
)
CONFIGS = {
    "email": {"address": "alice@example.org"},
    "telegram": {"chat_id": "1", "bot_token": "1:token", "api_url": "https://api.telegram.org"},
    "ntfy": {"topic": "prices", "default_server": "https://ntfy.sh", "token": "tk_x"},
    "discord": {"url": "https://discord.com/api/webhooks/1/token"},
    "slack": {"url": "https://hooks.slack.com/services/T/B/token"},
    "webhook": {"url": "https://example.org/hooks/abc/secret?token=x", "secret": "a secret"},
    "webpush": {"endpoint": "https://push.example.org/abc", "keys": {"p256dh": "x", "auth": "y"}},
}


def built(kind, message=WILD):
    return CHANNELS[kind].build(CONFIGS[kind], message)


@pytest.mark.parametrize("kind", ["telegram", "ntfy", "discord", "slack", "webhook", "webpush"])
def test_no_header_of_any_kind_can_be_broken_out_of(kind):
    for value in built(kind).headers.values():
        assert value.isascii()
        assert value.isprintable()


def test_telegram_escapes_what_is_said_and_stays_within_its_limit():
    request = built("telegram")
    body = json.loads(request.body)
    assert request.url == "https://api.telegram.org/bot1:token/sendMessage"
    assert body["text"].startswith("<b>BTC &lt;b&gt;&amp; *up* Bcc: x@y.z 日本!")
    assert "&lt;!channel&gt; @everyone &lt;/b&gt;" in body["text"]
    assert len(body["text"]) <= 4096
    assert body["parse_mode"] == "HTML"


def test_ntfy_says_it_in_headers():
    request = built("ntfy")
    assert (request.url, request.ours) == ("https://ntfy.sh/prices", True)
    assert request.headers["Title"].startswith("=?UTF-8?B?")
    assert request.headers["Priority"] == "5"
    assert request.headers["Tags"] == "rotating_light,alert"
    assert request.headers["Click"] == WILD.link
    assert request.headers["Authorization"] == "Bearer tk_x"
    assert len(request.body) <= 4096
    request.body.decode()


def test_discord_mentions_nobody():
    body = json.loads(built("discord").body)
    (embed,) = body["embeds"]
    assert (len(embed["title"]), len(embed["description"])) == (256, 4096)
    assert body["allowed_mentions"] == {"parse": []}
    assert embed["timestamp"] == WILD.created_at


def test_slack_commands_nobody():
    text = json.loads(built("slack").body)["text"]
    assert "<!" not in text
    assert text.startswith("*BTC &lt;b&gt;&amp; ∗up∗ Bcc")
    assert len(text) <= 4000


def test_a_webhook_is_signed_over_its_time_and_body():
    request = built("webhook")
    assert request.headers["Idempotency-Key"] == WILD.key
    assert request.headers["X-Tapehouse-Signature"] == webhook.signature("a secret", WILD.at_s, request.body)
    body = json.loads(request.body)
    assert (body["delivery_id"], body["notification_id"], body["data"]) == (WILD.key, "n1", {"price": 70000})
    assert body["title"] == WILD.title


def test_a_push_fits_whatever_is_said():
    push = built("webpush")
    assert len(push.body) < 3900
    assert push.headers == {"TTL": "86400", "Urgency": "high", "Topic": WILD.key}


def test_a_letter_has_two_parts_and_one_subject():
    letter = built("email")
    assert "\n" not in letter.subject
    assert "<b>" not in letter.html
    assert "BTC &lt;b&gt;&amp; *up*" in letter.html
    assert letter.headers["Message-ID"] == f"<{WILD.key}@tapehouse>"


def test_people_know_a_destination_by_what_is_no_secret():
    shown = {kind: CHANNELS[kind].address(config) for kind, config in CONFIGS.items()}
    assert shown["webhook"] == "example.org/hooks/abc/…"
    assert not any("token" in address or "secret" in address for address in shown.values())


@pytest.mark.parametrize(
    ("kind", "status", "body", "verdict"),
    [
        ("telegram", 200, '{"ok": true}', "sent"),
        ("telegram", 200, "<html>", "retry"),
        ("telegram", 400, '{"ok": false, "description": "Bad Request: chat not found"}', "gone"),
        ("telegram", 400, '{"ok": false, "description": "Bad Request: can\'t parse entities"}', "refused"),
        ("telegram", 403, '{"ok": false, "description": "Forbidden: bot was blocked by the user"}', "gone"),
        ("telegram", 401, '{"ok": false}', "gone"),
        ("telegram", 400, "[" * 5000, "refused"),
        ("ntfy", 200, "{}", "sent"),
        ("ntfy", 403, "", "gone"),
        ("ntfy", 429, "", "retry"),
        ("discord", 204, "", "sent"),
        ("discord", 404, "", "gone"),
        ("discord", 400, "", "refused"),
        ("slack", 200, "ok", "sent"),
        ("slack", 410, "channel_is_archived", "gone"),
        ("slack", 500, "rollup_error", "retry"),
        ("webhook", 202, "", "sent"),
        ("webhook", 302, "", "refused"),
        ("webhook", 404, "", "retry"),
        ("webhook", 401, "", "retry"),
        ("webhook", 410, "", "gone"),
        ("webpush", 201, "", "sent"),
        ("webpush", 410, "", "gone"),
        ("webpush", 413, "", "refused"),
        ("email", 410, "550 5.1.1 no such user", "gone"),
        ("email", 503, "451 later", "retry"),
    ],
)
def test_what_an_answer_means(kind, status, body, verdict):
    assert CHANNELS[kind].judge(Answer(status, {}, body.encode())).verdict == Verdict(verdict)


@pytest.mark.parametrize(
    ("kind", "headers", "body"),
    [
        ("telegram", {}, '{"ok": false, "parameters": {"retry_after": 7}}'),
        ("discord", {"retry-after": "1"}, '{"retry_after": 7.0}'),
        ("slack", {"retry-after": "7"}, ""),
        ("webhook", {"retry-after": "Wed, 28 Jan 2026 10:30:08 GMT", "date": "Wed, 28 Jan 2026 10:30:01 GMT"}, ""),
    ],
)
def test_each_asks_for_pauses_in_its_own_way(kind, headers, body):
    assert CHANNELS[kind].judge(Answer(429, headers, body.encode())).retry_after_s == 7


@pytest.mark.parametrize("value", ["", "soon", "-5", "1e9", "²", "9" * 400, "Wed, 99 Jan 2026 10:30:08 GMT"])
def test_a_pause_that_cannot_be_read_is_none(value):
    assert retry_after(Answer(429, {"retry-after": value}, b"")) is None


def test_cutting_cuts_no_character_in_two():
    assert clip("abcdef", 4) == "abc…"
    assert clip_bytes("€€€", 9) == "€€€"
    assert clip_bytes("€€€€", 9) == "€€…"
