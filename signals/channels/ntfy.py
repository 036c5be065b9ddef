"""To a topic of an ntfy server: the text is the body, the rest are headers. https://docs.ntfy.sh/publish/"""

from base64 import b64encode
from typing import Final
from urllib.parse import quote, urlsplit

from signals.channels.shapes import (
    PRIORITIES,
    Answer,
    Channel,
    Config,
    Message,
    Outcome,
    Request,
    clip,
    clip_bytes,
    judge_by_status,
    line,
    plain,
)

TEXT_MAX_BYTES: Final = 4096
TITLE_MAX: Final = 200
_PRIORITY: Final = dict(zip(PRIORITIES, ("2", "3", "4", "5"), strict=True))
_TAGS: Final = {"critical": "rotating_light", "high": "warning"}


def build(config: Config, message: Message) -> Request:
    """The publication. A server that its owner did not name is the installation's own."""
    tags = [tag for tag in (_TAGS.get(message.priority), message.notification_type) if tag]
    headers = {
        "Title": _header(clip(line(message.title), TITLE_MAX)),
        "Priority": _PRIORITY[message.priority],
        "Tags": _header(line(",".join(tags))),
        "Content-Type": "text/plain; charset=utf-8",
        "Idempotency-Key": message.key,
    }
    if message.link:
        headers["Click"] = message.link
    if token := config.get("token"):
        headers["Authorization"] = f"Bearer {token}"
    # An empty body would read as "triggered".
    text = clip_bytes(plain(message.text), TEXT_MAX_BYTES) or line(message.title)
    server = config.get("server") or config["default_server"]
    return Request(
        url=f"{server.rstrip('/')}/{quote(config['topic'], safe='')}",
        body=text.encode(errors="replace"),
        headers=headers,
        ours=not config.get("server"),
    )


def judge(answer: Answer) -> Outcome:
    """401 and 403: the topic is closed to us; 404: no such topic can be."""
    return judge_by_status(answer, gone=(401, 403, 404, 410))


def _header(value: str) -> str:
    """As it is in ASCII, else as RFC 2047 has it, which ntfy reads."""
    return value if value.isascii() else f"=?UTF-8?B?{b64encode(value.encode(errors='replace')).decode()}?="


def address(config: Config) -> str:
    server = config.get("server") or config["default_server"]
    return f"{urlsplit(server).netloc}/{config['topic']}"


CHANNEL: Final = Channel(build=build, judge=judge, address=address, secrets=("token",), bound_to=("server",))
