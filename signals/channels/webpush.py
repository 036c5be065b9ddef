"""To a browser by its push service (RFC 8030). The edge encrypts it for the browser and signs it (RFC 8291, 8292)."""

from typing import Final
from urllib.parse import urlsplit

from signals.channels.shapes import (
    Answer,
    Channel,
    Config,
    Message,
    Outcome,
    Push,
    clip_bytes,
    encode,
    judge_by_status,
    line,
    plain,
)

# Push services take 4,096 bytes, encrypted; a JSON escape makes six bytes of one.
TITLE_MAX_BYTES: Final = 300
TEXT_MAX_BYTES: Final = 1200
LINK_MAX_BYTES: Final = 500
# How long a push service keeps it for a browser that is off.
TTL_S: Final = 24 * 3600
_URGENCY: Final = {"low": "low", "normal": "normal", "high": "high", "critical": "high"}


def build(config: Config, message: Message) -> Push:
    """What the page's service worker is handed. `Topic`: a second attempt takes the first one's place."""
    body = {
        "notification_id": message.notification_id,
        "title": clip_bytes(line(message.title), TITLE_MAX_BYTES),
        "message": clip_bytes(plain(message.text), TEXT_MAX_BYTES),
        "notification_type": message.notification_type,
        "priority": message.priority,
        "created_at": message.created_at,
        "link": message.link if len(message.link) <= LINK_MAX_BYTES else "",
        "path": message.path if len(message.path) <= LINK_MAX_BYTES else "",
    }
    return Push(
        subscription={"endpoint": config["endpoint"], "keys": config["keys"]},
        body=encode(body),
        headers={"TTL": str(TTL_S), "Urgency": _URGENCY[message.priority], "Topic": message.key},
    )


def judge(answer: Answer) -> Outcome:
    """404 and 410: the browser has withdrawn; 401 and 403: it was subscribed to another key than ours."""
    return judge_by_status(answer, gone=(401, 403, 404, 410))


CHANNEL: Final = Channel(
    build=build,
    judge=judge,
    address=lambda config: urlsplit(config["endpoint"]).netloc,
    secrets=("endpoint", "keys"),
)
