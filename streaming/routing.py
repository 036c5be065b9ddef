"""Which consumer serves which path: one for all, with the path's dialect. With and without the trailing slash."""

from typing import Any

from channels.routing import URLRouter
from channels.security.websocket import WebsocketDenier
from django.urls import re_path

import streaming.core  # noqa: F401 - the core protocol registers itself
from streaming import dialects
from streaming.auth import OriginGuard
from streaming.consumers import SocketConsumer


def application() -> Any:
    """The ASGI application for sockets; a path that nobody serves gets HTTP 403."""
    routes = [re_path(rf"^ws/{d.path}/?$", SocketConsumer.as_asgi(dialect=d)) for d in dialects.registry]
    return OriginGuard(URLRouter([*routes, re_path(r"", WebsocketDenier.as_asgi())]))
