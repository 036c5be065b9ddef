"""To a Slack channel by its incoming webhook.

POST {"text": "*Title*\\nText"} → 200 ok
→ 404 no_service, 403 invalid_token, 410 channel_is_archived, 400 invalid_payload, 429 with Retry-After
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from typing import Final

from signals.channels.shapes import (
    JSON,
    Answer,
    Channel,
    Config,
    Message,
    Outcome,
    Request,
    clip,
    encode,
    judge_by_status,
    line,
    plain,
    shown,
)
from signals.channels.webhook import without_secrets

# Slack cuts off what is longer than 4,000 characters, our own signs and escapes among them.
TITLE_MAX: Final = 200
TEXT_MAX: Final = 3000


def build(config: Config, message: Message) -> Request:
    """The title in bold and the text, in which nothing is a command: `<!channel>` calls nobody."""
    title, text = clip(line(message.title), TITLE_MAX), clip(plain(message.text), TEXT_MAX)
    said = [f"*{_escape(title).replace('*', '∗')}*", _escape(text)]
    if message.link:
        said.append(f"<{message.link}|Open>")
    body = {"text": "\n".join(said), "mrkdwn": True, "unfurl_links": False}
    return Request(url=config["url"], body=encode(body), headers=dict(JSON))


def judge(answer: Answer) -> Outcome:
    """Slack gives its reason as the body: one word."""
    found = judge_by_status(answer, gone=(401, 403, 404, 410))
    said = shown(answer)
    reason = f"{found.reason}: {said}" if found.reason and said else found.reason
    return Outcome(found.verdict, reason, found.retry_after_s, found.response)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


CHANNEL: Final = Channel(build=build, judge=judge, address=without_secrets, secrets=("url",))
