"""Web pushes: the key that they are signed with, and their encryption for one browser."""

import base64
from typing import Final
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings

from signals.channels.shapes import Push, Request
from signals.models import PushKey
from signals.sealing import seal, unseal

CURVE: Final = ec.SECP256R1()
# Push services refuse more than a day.
SIGNED_FOR_S: Final = 12 * 3600
KEY_BYTES: Final = 32


def public_key() -> str:
    """What a page subscribes with: `applicationServerKey`, in URL-safe base64. Raises `sealing.Unreadable`."""
    point = _private_key().public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return _to_text(point)


def request(push: Push, now_s: int) -> Request:
    """The push, encrypted for its browser and signed. Raises ValueError for keys that are none."""
    # It brings an HTTP client of its own, which takes a third of a second to load: only who pushes pays.
    from pywebpush import WebPusher

    endpoint = push.subscription["endpoint"]
    parts = urlsplit(endpoint)
    claims = {
        "aud": f"{parts.scheme}://{parts.netloc}",
        "exp": now_s + SIGNED_FOR_S,
        "sub": settings.VAPID_CONTACT,
    }
    token = jwt.encode(claims, _private_key(), algorithm="ES256")
    headers = {
        **push.headers,
        "Authorization": f"vapid t={token}, k={public_key()}",
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
    }
    return Request(url=endpoint, body=WebPusher(push.subscription).encode(push.body)["body"], headers=headers)


def check_subscription(p256dh: str, auth: str) -> None:
    """Whether these are a browser's keys. Raises ValueError with a sentence."""
    try:
        point, secret = _from_text(p256dh), _from_text(auth)
        ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point)
    except ValueError:
        raise ValueError("`p256dh` is a point of the curve P-256 in URL-safe base64.") from None
    if len(point) != 2 * KEY_BYTES + 1 or len(secret) != KEY_BYTES // 2:
        raise ValueError("`p256dh` has 65 bytes and `auth` has 16, in URL-safe base64.")


def _private_key() -> ec.EllipticCurvePrivateKey:
    text = settings.VAPID_PRIVATE_KEY or _kept()
    return ec.derive_private_key(int.from_bytes(_from_text(text), "big"), CURVE)


def _kept() -> str:
    """The installation's own, made when it is first needed. Whoever makes one at the same time gets the same."""
    row = PushKey.objects.filter(pk=1).first()
    if row is None:
        row, _ = PushKey.objects.get_or_create(pk=1, defaults={"sealed": seal({"private_key": _new()})})
    return str(unseal(row.sealed)["private_key"])


def _new() -> str:
    number = ec.generate_private_key(CURVE).private_numbers().private_value
    return _to_text(number.to_bytes(KEY_BYTES, "big"))


def _to_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _from_text(text: str) -> bytes:
    """Raises ValueError."""
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
