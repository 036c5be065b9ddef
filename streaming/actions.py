"""What a client may ask for over its socket beside subscriptions; each package registers its own in `actions.py`.

actions.register("mark_read", mark_read)     # in signals/actions.py

def mark_read(user: Any, data: dict[str, Any]) -> dict[str, Any]:
    \"\"\"data: {"notification_ids": ["7", …]}. Returns the answer's data. Raises ActionRefused.\"\"\"
"""

from collections.abc import Callable
from typing import Any

Action = Callable[[Any, dict[str, Any]], dict[str, Any]]

registry: dict[str, Action] = {}


class ActionRefused(Exception):
    """The user asked for what is not to be had. `code` is one of protocol.py's."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code, self.why = code, why


def register(name: str, action: Action) -> None:
    """`action(user, data)` is synchronous, may use the ORM, and runs in a thread for a signed-in user only."""
    assert name not in registry, f"action {name} is registered twice"
    registry[name] = action
