"""Where a connection comes from: the page's origin, the client's address. `identity.py` says who it is."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import OriginValidator, WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host


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
