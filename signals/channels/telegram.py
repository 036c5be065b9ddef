"""To a Telegram chat by the Bot API.

POST /bot<token>/sendMessage {"chat_id": "123", "text": "…", "parse_mode": "HTML"}
→ {"ok": true, "result": {…}}
→ {"ok": false, "error_code": 429, "description": "Too Many Requests: retry after 5", "parameters": {"retry_after": 5}}
https://core.telegram.org/bots/api#sendmessage
"""

from html import escape
from typing import Final

from signals.channels.shapes import (
    JSON,
    Answer,
    Channel,
    Config,
    Message,
    Outcome,
    Request,
    Verdict,
    body_of,
    clip,
    encode,
    judge_by_status,
    line,
    number,
    plain,
)

# 4096 characters are allowed, counted after entities; our own words and the link need some.
TEXT_MAX: Final = 3500
TITLE_MAX: Final = 200
# Nothing that we send will mend these; any other 400 is about this one message.
_NO_CHAT: Final = ("chat not found", "user not found", "bot was kicked", "peer_id_invalid", "group chat was upgraded")


def build(config: Config, message: Message) -> Request:
    """The call. The token is part of its address."""
    said = [f"<b>{_escape(clip(line(message.title), TITLE_MAX))}</b>", _escape(clip(plain(message.text), TEXT_MAX))]
    if message.link:
        said.append(f'<a href="{escape(message.link)}">Open</a>')
    return Request(
        url=f"{config['api_url']}/bot{config['bot_token']}/sendMessage",
        body=encode(
            {
                "chat_id": config["chat_id"],
                "text": "\n".join(said),
                "parse_mode": "HTML",
                "disable_notification": message.priority == "low",
                "link_preview_options": {"is_disabled": True},
            }
        ),
        headers=dict(JSON),
        ours=True,
    )


def judge(answer: Answer) -> Outcome:
    """Telegram says in words what is the matter."""
    told = body_of(answer)
    said = str(told.get("description", ""))
    parameters = told.get("parameters")
    found = judge_by_status(answer, gone=(401, 403, 404))
    if answer.status == 200 and told.get("ok") is not True:
        return Outcome(Verdict.RETRY, "an answer that is not Telegram's", response=found.response)
    if answer.status == 400 and any(words in said.lower() for words in _NO_CHAT):
        return Outcome(Verdict.GONE, _reason(said, parameters), response=found.response)
    wait = number(parameters.get("retry_after")) if isinstance(parameters, dict) else None
    return Outcome(
        found.verdict, said or found.reason, wait if wait is not None else found.retry_after_s, found.response
    )


def _reason(said: str, parameters: object) -> str:
    moved = parameters.get("migrate_to_chat_id") if isinstance(parameters, dict) else None
    return f"{said}; its chat_id is now {moved}" if moved else said


def _escape(text: str) -> str:
    # Telegram's HTML knows just these three; a quote's entity is fine, an apostrophe's is not.
    return escape(text, quote=False)


CHANNEL: Final = Channel(
    build=build, judge=judge, address=lambda config: f"chat {config['chat_id']}", secrets=("bot_token",)
)
