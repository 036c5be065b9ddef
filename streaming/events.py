"""The event log of lossless topics: rows first, gapless `seq` in commit order."""

from collections.abc import Sequence

from streaming.protocol import Message


def append(messages: Sequence[Message]) -> list[Message]:
    """Record the messages, give each its topic's next `seq`, and publish them on commit.

    Call it **last in the caller's transaction**: the counter rows it locks, sorted by topic, stay locked until
    the commit, so that `seq` is gapless in commit order. Returns the messages with `epoch` and `seq` set.
    """
    raise NotImplementedError
