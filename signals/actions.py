"""What a client may do over its socket: mark its notifications as read."""

from typing import Any

from signals.notifications import mark_read as mark
from streaming import actions
from streaming.protocol import Code

IDS_MAX = 1000


def mark_read(user: Any, data: dict[str, Any]) -> dict[str, Any]:
    """data: {"notification_ids": […]}. Returns those that were the user's, and unread."""
    ids = data.get("notification_ids")
    if not isinstance(ids, list) or not all(isinstance(one, str | int) for one in ids):
        raise actions.ActionRefused(Code.BROKEN, "`notification_ids` is a list of strings.")
    if len(ids) > IDS_MAX:
        raise actions.ActionRefused(Code.OVER_LIMIT, f"At most {IDS_MAX} notifications at once.")
    return {"notification_ids": mark(user.pk, [clean for one in ids if "\0" not in (clean := str(one))])}


actions.register("mark_read", mark_read)
