"""Telling every web process what happened. A hint only: the database and the stores are the record."""

from collections.abc import Sequence

from streaming.protocol import Message


def publish(messages: Sequence[Message]) -> int:
    """Hand the messages to every interested web process; synchronous, one pipelined round trip.

    Returns how many were handed to Redis. During an outage it counts and returns 0; it never raises for that.
    """
    raise NotImplementedError


async def apublish(messages: Sequence[Message]) -> int:
    """As `publish`, on the running event loop."""
    raise NotImplementedError
