"""What the hubs of all web processes are told, and no client: who signed out, whose rights changed, who is to go.

Told when the change is committed. Like every message of the layer it may be lost: a hub that suspects a loss looks at
all its connections anew.
"""

import time
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction

from streaming.identity import mark_of
from streaming.protocol import Message
from streaming.publish import publish

TOPIC = "control"
SIGNED_OUT = "signed_out"  # {"session": mark}
CHANGED = "changed"  # {"users": [ids]}
DISCONNECT = "disconnect"  # {"connections": [ids], "why": sentence}

# What Django itself writes at each sign-in, and nobody's right hangs on.
_HARMLESS = frozenset({"last_login"})


def tell(type_: str, data: dict[str, Any]) -> None:
    """Tell every web process, once the present transaction is committed."""
    transaction.on_commit(lambda: publish([Message(TOPIC, type_, data, time.time_ns() // 1000)]))


def rights_changed(user_ids: list[int]) -> None:
    """Have the live connections of these users looked at anew: what they may no longer follow, they lose."""
    if user_ids:
        tell(CHANGED, {"users": user_ids})


def disconnect(connection_ids: list[str], why: str) -> None:
    """Close these connections, wherever they are."""
    tell(DISCONNECT, {"connections": connection_ids, "why": why})


# --- Django's signals -----------------------------------------------------------------------------------------------


def on_sign_out(sender: Any, request: Any, **_signal: Any) -> None:
    if request is not None and request.session.session_key:
        tell(SIGNED_OUT, {"session": mark_of(request.session.session_key)})


def on_user_saved(sender: Any, instance: Any, created: bool, update_fields: Any, **_signal: Any) -> None:
    if not created and not (update_fields and _HARMLESS.issuperset(update_fields)):
        rights_changed([instance.pk])


def on_user_deleted(sender: Any, instance: Any, **_signal: Any) -> None:
    rights_changed([instance.pk])


def on_membership_changed(sender: Any, instance: Any, action: str, reverse: bool, pk_set: Any, **_signal: Any) -> None:
    """A user's groups or permissions, changed from either side."""
    if action.startswith("post_"):
        rights_changed(sorted(pk_set or ()) if reverse else [instance.pk])


def on_group_changed(sender: Any, instance: Any, action: str, reverse: bool, **_signal: Any) -> None:
    """A group's permissions, changed on the group."""
    if action.startswith("post_") and isinstance(instance, Group):
        rights_changed(list(instance.user_set.values_list("pk", flat=True)))
