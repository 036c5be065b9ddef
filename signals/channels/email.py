"""By email: a letter of two parts. Its Message-ID is the same at each attempt, so that mailboxes know a second one."""

from html import escape
from typing import Final

from signals.channels.shapes import Answer, Channel, Config, Mail, Message, Outcome, clip, judge_by_status, line, plain

SUBJECT_MAX: Final = 150


def build(config: Config, message: Message) -> Mail:
    """The letter."""
    title, text = line(message.title), plain(message.text)
    footer = "This is a test." if message.test else f"{message.notification_type}, {message.priority}"
    more = [message.link] if message.link else []
    return Mail(
        to=config["address"],
        subject=clip(title, SUBJECT_MAX),
        text="\n\n".join([title, text, *more, f"-- \nTapehouse: {footer}"]) + "\n",
        html=_html(title, text, message.link, footer),
        headers={
            "Message-ID": f"<{message.key}@tapehouse>",
            "Auto-Submitted": "auto-generated",
            "X-Priority": {"critical": "1", "high": "2", "low": "5"}.get(message.priority, "3"),
        },
    )


def _html(title: str, text: str, link: str, footer: str) -> str:
    paragraphs = "".join(f"<p>{escape(part)}</p>".replace("\n", "<br>") for part in text.split("\n\n") if part.strip())
    more = f'<p><a href="{escape(link)}">{escape(link)}</a></p>' if link else ""
    return (
        f"<!doctype html><html><body><h3>{escape(title)}</h3>{paragraphs}{more}"
        f'<p style="color:#777">Tapehouse: {escape(footer)}</p></body></html>'
    )


def judge(answer: Answer) -> Outcome:
    """By SMTP's own codes, which `signals/channels/mailing.py` turned into these: 550 is 410, 4xx is 503."""
    return judge_by_status(answer, gone=(410,))


CHANNEL: Final = Channel(build=build, judge=judge, address=lambda config: str(config["address"]))
