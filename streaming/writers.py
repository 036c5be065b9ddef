"""The two ways out to a client: ready-made frames through our uvicorn protocol, or messages through plain ASGI."""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings

from streaming.connection import Writer
from streaming.frames import Frame
from streaming.wire import EXTENSION, TapehouseWebSocketProtocol


def writer_for(scope: dict[str, Any], send: Any) -> Writer:
    """The faster one where the server has it."""
    wire = scope.get("extensions", {}).get(EXTENSION)
    return AsgiWriter(send) if wire is None else WireWriter(wire)


class WireWriter:
    """Each flush is one `transport.write`."""

    __slots__ = ("_compresses", "wire")

    def __init__(self, wire: TapehouseWebSocketProtocol) -> None:
        """wire: of a connection that is accepted."""
        self.wire = wire
        self._compresses = wire.compresses

    def write(self, frames: Sequence[Frame]) -> None:
        if self._compresses:
            self._write_compressed(frames)
        elif len(frames) == 1:
            self.wire.write_frames(frames[0].wire)
        else:
            self.wire.write_frames(b"".join([frame.wire for frame in frames]))

    def _write_compressed(self, frames: Sequence[Frame]) -> None:
        """Small messages go ready-made: a connection that compresses takes plain frames as well (RFC 7692 §6)."""
        for frame in frames:
            if len(frame.wire) >= settings.WEBSOCKET_DEFLATE_MIN_BYTES:
                self.wire.write_messages(frame.payloads)
            else:
                self.wire.write_frames(frame.wire)

    def flow(self, stop: Callable[[], None]) -> Callable[[bytes], None] | None:
        return self.wire.flow(stop)

    def backlog_bytes(self) -> int:
        return self.wire.backlog_bytes()

    def last_heard(self) -> float:
        return self.wire.last_heard

    def echo_s(self) -> float | None:
        return self.wire.echo_s()

    def close(self, code: int, reason: str) -> None:
        self.wire.close_with(code, reason)


class AsgiWriter:
    """A task of its own awaits the server, so that nobody else has to."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self._waiting: list[dict[str, Any]] = []
        self._backlog_bytes = 0
        self._task: asyncio.Task[None] | None = None

    def write(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            for payload in frame.payloads:
                self._backlog_bytes += len(payload)
                self._enqueue({"type": "websocket.send", "text": payload.decode()})

    def flow(self, stop: Callable[[], None]) -> None:
        """Each client's message is made for it alone."""

    def backlog_bytes(self) -> int:
        return self._backlog_bytes

    def last_heard(self) -> float:
        return math.inf  # ASGI does not tell of pongs

    def echo_s(self) -> float | None:
        return None

    def close(self, code: int, reason: str) -> None:
        self._enqueue({"type": "websocket.close", "code": code, "reason": reason})

    def _enqueue(self, message: dict[str, Any]) -> None:
        self._waiting.append(message)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        while self._waiting:
            message = self._waiting.pop(0)
            try:
                await self._send(message)
            except Exception:  # the client is gone; servers raise what they like then
                self._waiting.clear()
            self._backlog_bytes -= len(message.get("text", ""))
