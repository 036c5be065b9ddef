"""To a Discord channel by its webhook.

POST {"embeds": [{"title": "…", "description": "…"}], "allowed_mentions": {"parse": []}} → 204
→ 429 {"message": "You are being rate limited.", "retry_after": 0.65, "global": false}
→ 404 {"message": "Unknown Webhook", "code": 10015}
https://discord.com/developers/docs/resources/webhook#execute-webhook
"""

from typing import Any, Final

from signals.channels.shapes import (
    JSON,
    Answer,
    Channel,
    Config,
    Message,
    Outcome,
    Request,
    body_of,
    clip,
    encode,
    judge_by_status,
    line,
    number,
    plain,
)
from signals.channels.webhook import without_secrets

TITLE_MAX: Final = 256
TEXT_MAX: Final = 4096
_COLOURS: Final = {"low": 0x95A5A6, "normal": 0x3498DB, "high": 0xE67E22, "critical": 0xE74C3C}


def build(config: Config, message: Message) -> Request:
    """One embed, which mentions nobody whatever it says."""
    embed: dict[str, Any] = {
        "title": clip(line(message.title), TITLE_MAX),
        "description": clip(plain(message.text), TEXT_MAX),
        "color": _COLOURS[message.priority],
        "timestamp": message.created_at,
        "footer": {"text": f"Tapehouse: {message.notification_type}"},
    }
    if message.link:
        embed["url"] = message.link
    body = encode({"embeds": [embed], "allowed_mentions": {"parse": []}})
    return Request(url=config["url"], body=body, headers=dict(JSON))


def judge(answer: Answer) -> Outcome:
    """401, 403 and 404: the webhook was deleted."""
    found = judge_by_status(answer, gone=(401, 403, 404, 410))
    wait = number(body_of(answer).get("retry_after")) if answer.status == 429 else None
    return Outcome(found.verdict, found.reason, wait if wait is not None else found.retry_after_s, found.response)


CHANNEL: Final = Channel(build=build, judge=judge, address=without_secrets, secrets=("url",))
