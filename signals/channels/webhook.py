"""To anybody's own program: JSON, signed, so that it knows who speaks, when, and whether it has heard it before.

X-Tapehouse-Signature: t=1769596201,v1=<hex of HMAC-SHA256(secret, "1769596201." + body)>
Idempotency-Key: the same at each attempt
"""

import hashlib
import hmac
from typing import Final
from urllib.parse import urlsplit

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
)

ADDRESS_MAX: Final = 120


def build(config: Config, message: Message) -> Request:
    """The call. `t` is the time of this attempt: whoever refuses old ones must not refuse a second attempt."""
    body = encode(
        {
            "delivery_id": message.key,
            "notification_id": message.notification_id or None,
            "title": message.title,
            "message": message.text,
            "notification_type": message.notification_type,
            "priority": message.priority,
            "data": message.data,
            "created_at": message.created_at,
            "link": message.link or None,
            "test": message.test,
        }
    )
    headers = {
        **JSON,
        "Idempotency-Key": message.key,
        "X-Tapehouse-Timestamp": str(message.at_s),
        "X-Tapehouse-Signature": signature(config["secret"], message.at_s, body),
    }
    return Request(url=config["url"], body=body, headers=headers)


def signature(secret: str, at_s: int, body: bytes) -> str:
    """The header's value."""
    signed = hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256)
    return f"t={at_s},v1={signed.hexdigest()}"


def judge(answer: Answer) -> Outcome:
    """Only 410 says that it is over. 401, 403 and 404 are also what a program says that is just being put up anew."""
    return judge_by_status(answer, gone=(410,))


def without_secrets(config: Config) -> str:
    """The host, and the beginning of the path: the rest of a webhook's address is often its password."""
    parts = urlsplit(config["url"])
    beginning = "/".join(parts.path.split("/")[:3])
    return clip(f"{parts.netloc}{beginning}", ADDRESS_MAX) + ("/…" if parts.path != beginning or parts.query else "")


CHANNEL: Final = Channel(build=build, judge=judge, address=without_secrets, secrets=("url", "secret"))
