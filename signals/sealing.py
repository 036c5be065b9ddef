"""Secrets at rest: encrypted with a key that follows from SECRET_KEY, so that the database alone tells none.

A rotated SECRET_KEY stays readable by being named in SECRET_KEY_FALLBACKS.
"""

import base64
import hashlib
import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unreadable(Exception):
    """Sealed under a key that is gone, or broken."""

    def __str__(self) -> str:
        return "its secrets can no longer be read (SECRET_KEY has changed); enter them again"


def seal(value: dict[str, Any]) -> str:
    """The value as text that only this installation reads."""
    return _box().encrypt(json.dumps(value).encode()).decode()


def unseal(sealed: str) -> dict[str, Any]:
    """What was sealed. Raises Unreadable."""
    try:
        found: dict[str, Any] = json.loads(_box().decrypt(sealed))
    except InvalidToken:
        raise Unreadable from None
    return found


def _box() -> MultiFernet:
    return MultiFernet([_key(secret) for secret in (settings.SECRET_KEY, *map(str, settings.SECRET_KEY_FALLBACKS))])


def _key(secret: str) -> Fernet:
    # SECRET_KEY is long and random, so a plain hash will do; its label keeps the key apart from other uses.
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"tapehouse sealing {secret}".encode()).digest()))
