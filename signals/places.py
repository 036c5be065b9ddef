"""Where the application shows what a notification is about: paths of its pages. Pure."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

ALERTS: Final = "/alerts/"
SIGNALS: Final = "/signals/"
SETTINGS: Final = "/settings/notifications/"
HISTORY: Final = f"{SETTINGS}?section=history"


def place(notification_type: str, data: Mapping[str, Any]) -> str:
    """The path, with its query.

    data: as the notification carries it; what is missing leads to the whole list.

    >>> place("alert", {"alert_id": 17}), place("signal", {"signal_id": "4"}), place("system", {})
    ('/alerts/?id=17', '/signals/?signal=4', '/settings/notifications/?section=history')
    """
    if notification_type == "alert":
        return _with(ALERTS, "id", data.get("alert_id"))
    if notification_type == "signal":
        return _with(SIGNALS, "signal", data.get("signal_id"))
    return SETTINGS if notification_type == "destination" else HISTORY


def _with(path: str, name: str, value: object) -> str:
    return f"{path}?{urlencode({name: value})}" if isinstance(value, int | str) and value else path
