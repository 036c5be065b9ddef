"""Who is on the other end of a socket: origin, user, address."""

import ipaddress
import time
from http.cookies import SimpleCookie
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import msgspec
from channels.security.websocket import OriginValidator, WebsocketDenier
from django.conf import settings
from django.contrib.auth import get_user
from django.http.request import split_domain_port, validate_host
from django.utils.crypto import salted_hmac

from streaming.protocol import Message
from streaming.publish import publish

# What the hubs of all web processes hear, and no client.
CONTROL = "control"
SIGNED_OUT = "signed_out"


class OriginGuard(OriginValidator):
    """A page of another site gets HTTP 403; what sends no Origin is not a browser's page, and is let in.

    Allowed are this site itself (the Host that was asked for, if it is one of ALLOWED_HOSTS) and ALLOWED_ORIGINS.
    """

    def __init__(self, application: Any) -> None:
        super().__init__(application, settings.ALLOWED_ORIGINS)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        allowed = self.allows(header(scope, b"origin"), header(scope, b"host"))
        return await (self.application if allowed else WebsocketDenier.as_asgi())(scope, receive, send)

    def allows(self, origin: str, host: str) -> bool:
        """origin: such as `http://localhost:8000`, empty without one. host: that was asked for, `localhost:8000`."""
        if not origin:
            return True
        try:
            named = urlsplit(origin)
            return same_site(named.netloc, host) or self.validate_origin(named)
        except ValueError:  # `http://[`, or a port that is no number
            return False


def same_site(named: str, host: str) -> bool:
    """Whether both are the same host and port, and one that we answer to."""
    domain, _ = split_domain_port(host)
    return bool(domain) and named.lower() == host.lower() and validate_host(domain, settings.ALLOWED_HOSTS)


class Identity(msgspec.Struct, frozen=True):
    """user: Django's, or AnonymousUser. session: the mark of the session that says so, None without one."""

    user: Any
    session: str | None


def identify(scope: dict[str, Any]) -> Identity:
    """Whose session cookie this is. Blocking."""
    cookies: SimpleCookie = SimpleCookie()
    cookies.load(header(scope, b"cookie"))
    morsel = cookies.get(settings.SESSION_COOKIE_NAME)
    store = import_module(settings.SESSION_ENGINE).SessionStore
    # Django's own check, which also knows of changed passwords, wants no more of a request than its session.
    request: Any = SimpleNamespace(session=store(morsel.value if morsel else None))
    user = get_user(request)
    return Identity(user, mark_of(morsel.value) if morsel and user.is_authenticated else None)


def mark_of(session_key: str) -> str:
    """What stands for a session outside of its cookie: it does not open the session."""
    return salted_hmac("streaming.auth", session_key).hexdigest()


def tell_of_sign_out(sender: Any, request: Any, **_signal: Any) -> None:
    """Have every web process close the sockets of the session that is being left."""
    if request is not None and request.session.session_key:
        data = {"session": mark_of(request.session.session_key)}
        publish([Message(topic=CONTROL, type=SIGNED_OUT, data=data, at_us=time.time_ns() // 1000)])


def client_address(scope: dict[str, Any]) -> str:
    """The client's address: the nearest one in `X-Forwarded-For` that is none of TRUSTED_PROXIES."""
    client = scope.get("client")
    address = str(client[0]) if client else ""
    for hop in reversed(header(scope, b"x-forwarded-for").split(",")):
        if not _is_trusted(address) or not hop.strip():
            break
        address = hop.strip()
    return address


def header(scope: dict[str, Any], name: bytes) -> str:
    """The header's value, several joined by commas; empty without it."""
    return ",".join(value.decode("latin-1") for found, value in scope.get("headers", []) if found == name)


def _is_trusted(address: str) -> bool:
    try:
        known = ipaddress.ip_address(address)
        return any(known in ipaddress.ip_network(proxy) for proxy in settings.TRUSTED_PROXIES)
    except ValueError:
        return False
