"""What a venue answers over HTTP, beside its socket: its REST calls, routes that tests add, and orders to it."""

import asyncio
import contextlib
import inspect
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tests.venues import faults

# (path, arguments, headers) → (status, body, headers). A body that is neither bytes nor text goes out as JSON.
Answer = tuple[int, Any, Mapping[str, str]]
Handler = Callable[[str, dict[str, str], Mapping[str, str]], Answer | Awaitable[Answer]]

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 418: "I'm a teapot",
           429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}  # fmt: skip
TIMEOUT_S = 30.0
HTML = "<!DOCTYPE html><html><body><h1>Checking your browser</h1></body></html>"


class Routes:
    """Handlers by the beginning of the path, the longest first; and what goes wrong with the next answers."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._faults: deque[faults.Fault] = deque()
        self.calls: list[str] = []
        self.ended = asyncio.Event()  # nobody waits for an answer any more

    def add(self, prefix: str, handler: Handler) -> None:
        self._handlers[prefix] = handler

    def handler(self, path: str) -> Handler | None:
        found = [prefix for prefix in self._handlers if path.startswith(prefix)]
        return self._handlers[max(found, key=len)] if found else None

    def fail(self, kind: str, count: int = 1, argument: float = 0) -> None:
        """The next answers are a 500, a page of HTML, …; faults.ON_HTTP."""
        self._faults.extend(faults.Fault(0, kind, argument) for _ in range(count))

    @property
    def failing(self) -> int:
        """Faults that no call has met yet."""
        return len(self._faults)

    async def answer(self, handler: Handler, request: Request) -> Response | None:
        """The handler's answer, or what the next fault makes of it."""
        path, arguments = parsed(request.path)
        self.calls.append(request.path)
        headers = dict(request.headers.raw_items())
        fault = self._faults.popleft() if self._faults else None
        if fault is None:
            return response(*await _called(handler, path, arguments, headers))
        if fault.kind == faults.HTTP_500:
            return response(500, {"code": -1000, "msg": "An unknown error occurred while processing the request."}, {})
        if fault.kind == faults.HTTP_HTML:
            return response(200, HTML, {"Content-Type": "text/html"})
        if fault.kind == faults.HTTP_TIMEOUT:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), fault.argument or TIMEOUT_S)
            return response(503, "", {})
        return response(*await _called(handler, path, arguments | {"stale": "1"}, headers))


async def _called(handler: Handler, path: str, arguments: dict[str, str], headers: Mapping[str, str]) -> Answer:
    answer = handler(path, arguments, headers)
    return await answer if inspect.isawaitable(answer) else answer


def parsed(target: str) -> tuple[str, dict[str, str]]:
    """Path and arguments of a request's target; of an argument given twice, the first."""
    url = urlsplit(target)
    return url.path, {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}


def response(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Response:
    payload = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    sent = Headers({"Content-Type": "application/json", "Content-Length": str(len(payload)), "Connection": "close"})
    for name, value in (headers or {}).items():
        if name in sent:
            del sent[name]
        sent[name] = value
    return Response(status, REASONS.get(status, "Refused"), sent, payload)
