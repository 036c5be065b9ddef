"""WebSocket frames made ahead: once per message, however many connections they go to. Pure.

A server's frames carry no mask (RFC 6455 §5.1), so that the same bytes serve every client.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from streaming.protocol import timestamp

# A batch made for one connection serves the next ones for so long: its timestamp is that of its making.
BATCH_REUSE_MAX_S: Final = 0.01

_encode: Final = msgspec.json.Encoder().encode
_FIN_TEXT: Final = 0x81
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127


def text_frame(payload: bytes) -> bytes:
    """One whole text frame (RFC 6455 §5.2). payload: UTF-8."""
    size = len(payload)
    if size < _TWO_BYTES:
        return bytes((_FIN_TEXT, size)) + payload
    if size < 1 << 16:
        return bytes((_FIN_TEXT, _TWO_BYTES)) + size.to_bytes(2, "big") + payload
    return bytes((_FIN_TEXT, _EIGHT_BYTES)) + size.to_bytes(8, "big") + payload


class Frame:
    """What one event became for one manner of asking: usually one payload, in some dialects none or several."""

    __slots__ = ("at_us", "payloads", "wire")

    def __init__(self, payloads: Sequence[bytes], at_us: int = 0) -> None:
        """at_us: when its event was published; 0 for an answer."""
        self.payloads, self.at_us = payloads, at_us
        self.wire = text_frame(payloads[0]) if len(payloads) == 1 else b"".join(map(text_frame, payloads))


def made_of(messages: Iterable[dict[str, Any]], at_us: int = 0) -> Frame:
    """The messages as JSON. at_us: as in Frame."""
    return Frame([_encode(message) for message in messages], at_us)


class Batches:
    """Connections that follow the same topics at the same pace get the same bytes: the last batch is kept for them."""

    __slots__ = ("_batch", "_frames", "_made_at")

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._batch = Frame(())
        self._made_at = 0.0

    def made_of(self, frames: list[Frame], now_s: float, now_us: Callable[[], int]) -> Frame:
        """The frames' messages as a single one; made anew when the last was of others, or made too long ago.

        now_s: on any steady clock. now_us: since 1970, asked for the timestamp of a new batch.
        """
        if now_s - self._made_at > BATCH_REUSE_MAX_S or frames != self._frames:
            self._frames, self._made_at = frames, now_s
            self._batch = batch(frames, timestamp(now_us()))
        return self._batch


def batch(frames: Iterable[Frame], at: str) -> Frame:
    """The frames' messages as a single `batch` message. at: its timestamp."""
    events = b",".join([payload for frame in frames for payload in frame.payloads])
    return Frame((b'{"type":"batch","data":{"events":[%b]},"timestamp":"%b"}' % (events, at.encode()),))
