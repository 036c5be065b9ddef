"""kombu's Redis transport, mended: a worker that loses its broker with messages in hand must not die of it.

kombu 5.7 closes a lost connection first and then wants to give its unacknowledged messages back over it; where the
connection has no client any more this ends in an AttributeError that no layer above expects, and the worker process
exits. The same when a task with a late acknowledgement ends after the loss. What such a message asked for comes again:
from beat, from rows that are still open, or from the broker after its visibility timeout.
"""

import logging
from typing import Any

from kombu.transport.redis import QoS

logger = logging.getLogger(__name__)


class MendedQoS(QoS):
    """Neither gives back nor acknowledges over a connection that is gone."""

    def restore_unacked(self, client: Any = None) -> Any:
        if self._is_gone():
            held: Any = self._delivered
            logger.warning("%d messages were in hand when the broker was lost", len(held))
            held.clear()
            return None
        return super().restore_unacked(client)

    def ack(self, delivery_tag: str) -> None:
        if self._is_gone():
            logger.warning("a message is not acknowledged: its connection is gone")
            return
        super().ack(delivery_tag)

    def _is_gone(self) -> bool:
        return self.channel.connection is None or self.channel.connection.client is None


def mend() -> None:
    """Have every channel to come use it."""
    from kombu.transport.redis import Channel

    Channel.QoS = MendedQoS
