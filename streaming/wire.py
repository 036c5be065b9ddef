"""uvicorn's WebSocket protocol, which also takes ready-made frames and never waits for a stuck reader.

    uvicorn project.asgi:application --ws streaming.wire:TapehouseWebSocketProtocol

A connection's `scope["extensions"][EXTENSION]` is its protocol object: `write_frames` costs one `transport.write`,
where the ASGI way makes a new frame for each connection; and `flow` lends out the `transport.write` itself. Without it
(another server, a test) everything still works.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from streaming.protocol import Code

EXTENSION = "tapehouse.wire"
# RFC 6455 §5.5: a control frame's payload has 125 bytes, two of them the code.
REASON_MAX_BYTES = 123
# How long a client may take to answer a close frame before the connection is cut.
CLOSE_TIMEOUT_S = 5.0


class TapehouseWebSocketProtocol(WebSocketsSansIOProtocol):
    """last_heard: loop time of the last bytes from the client, protocol pongs included."""

    last_heard = 0.0
    _stop_flowing: Callable[[], None] | None = None

    def __init__(self, config: Config, *args: Any, **kwargs: Any) -> None:
        # Up to this a message gets an answer that names the limit; beyond it the connection ends with 1009, unread.
        config.ws_max_size = 4 * settings.MAX_MESSAGE_BYTES
        # Frames that are the same for all can't be compressed for each; offering it by default would only cost memory.
        config.ws_per_message_deflate = settings.WEBSOCKET_DEFLATE
        super().__init__(config, *args, **kwargs)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            # The application is started from the loop, after this: it finds the extension in its scope.
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self

    def data_received(self, data: bytes) -> None:
        self.last_heard = self.loop.time()
        super().data_received(data)

    @property
    def is_open(self) -> bool:
        """Whether a frame may be written."""
        return self.handshake_complete and not self.close_sent and not self.transport.is_closing()

    def write_frames(self, frames: bytes) -> None:
        """Write whole text frames."""
        if self.is_open:
            self.transport.write(frames)

    def flow(self, stop: Callable[[], None]) -> Callable[[bytes], None] | None:
        """What writes whole text frames without looking, until `stop` is called; None if it can't be had just now.

        It is called once, before anything else that ends the connection goes out, and when the client does not take
        what is written and the transport has begun to keep it.
        """
        if not self.is_open or self.compresses or not self.writable.is_set():
            return None
        self._stop_flowing = stop
        return self.transport.write

    def _end_flow(self) -> None:
        if (stop := self._stop_flowing) is not None:
            self._stop_flowing = None
            stop()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._end_flow()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_flow()
        super().connection_lost(exc)

    def handle_close(self, event: Frame) -> None:
        self._end_flow()
        super().handle_close(event)

    def handle_parser_exception(self) -> None:
        self._end_flow()
        super().handle_parser_exception()

    @property
    def compresses(self) -> bool:
        """Whether the client and the settings agreed on permessage-deflate."""
        return bool(self.conn.extensions)

    def write_messages(self, payloads: Iterable[bytes]) -> None:
        """Write text messages, compressed for this connection alone. The ready-made way is `write_frames`."""
        if not self.is_open:
            return
        for payload in payloads:
            self.conn.send_text(payload)
        self.transport.write(b"".join(self.conn.data_to_send()))

    def backlog_bytes(self) -> int:
        """What the client has not taken yet."""
        return self.transport.get_write_buffer_size()

    def echo_s(self) -> float | None:
        """How long the client took to answer the last protocol ping; None before the first."""
        return self.last_ping_rtt or None

    def close_with(self, code: int, reason: str) -> None:
        """Say why and close, without waiting: who does not answer in CLOSE_TIMEOUT_S is cut off."""
        if not self.is_open:
            return
        self._end_flow()
        self.stop_keepalive()
        self.conn.send_close(code, reason.encode()[:REASON_MAX_BYTES].decode(errors="ignore"))
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:  # the answer to the close frame has to be read
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """No pong: cut off. (`transport.close()` would first wait for a write buffer that nobody empties.)"""
        self._end_flow()
        super().keepalive_timeout()
        self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)

    def shutdown(self) -> None:
        """The server is restarting: the clients are told to come back (uvicorn would say 1012)."""
        if self.is_open:
            self.close_with(Code.UNAVAILABLE, "restarting")
        else:
            super().shutdown()
