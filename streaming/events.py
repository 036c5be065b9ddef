"""The event log of lossless topics: rows first, gapless `seq` in commit order."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
from django.conf import settings
from django.db import connection, transaction

from streaming.models import Event, TopicCounter, new_epoch
from streaming.protocol import Message, Position
from streaming.publish import publish

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def append(messages: Sequence[Message]) -> list[Message]:
    """Record the messages, give each its topic's next `seq`, and publish them on commit.

    Call it **last in the caller's transaction**, and once: the counter rows it locks, sorted by topic, stay locked
    until the commit, so that `seq` is gapless in commit order and no two callers wait for each other. Returns the
    messages with `epoch` and `seq` set, in the order given.
    """
    if not messages:
        return []
    with transaction.atomic():
        stamped = _stamp(messages, _advance(Counter(m.topic for m in messages)))
        Event.objects.bulk_create([_row(message) for message in stamped])
        transaction.on_commit(partial(publish, stamped))
    return stamped


def positions(topics: Iterable[str]) -> dict[str, Position]:
    """Where each topic stands: every event up to `seq` is committed. A topic without events gets its counter here."""
    wanted = sorted(set(topics))
    found = _positions(wanted)
    if missing := [topic for topic in wanted if topic not in found]:
        TopicCounter.objects.bulk_create([TopicCounter(topic=topic) for topic in missing], ignore_conflicts=True)
        found |= _positions(missing)
    return found


def replay(topic: str, since: Position, until: Position) -> list[Message] | None:
    """The events after `since` up to `until`, in order and without a hole, or None where that is not to be had.

    None when `since` is of another epoch, ahead of `until`, older than the log, or more than EVENT_REPLAY_MAX behind.
    """
    if since.epoch != until.epoch or not 0 <= until.seq - since.seq <= settings.EVENT_REPLAY_MAX:
        return None
    rows = Event.objects.filter(topic=topic, epoch=since.epoch, seq__gt=since.seq, seq__lte=until.seq).order_by("seq")
    messages = [_message(row) for row in rows]
    return messages if len(messages) == until.seq - since.seq else None


def forget_old(now: datetime) -> int:
    """Delete what is older than EVENT_KEEP_DAYS: who asks for it gets the state. Returns how many rows went."""
    return Event.objects.filter(at__lt=now - timedelta(days=settings.EVENT_KEEP_DAYS)).delete()[0]


def start_new_epoch(topics: Iterable[str] | None = None) -> int:
    """Declare all positions given out so far void, after a restore or where events were cut off. Default: all topics.

    Clients that come back with an old position then get a snapshot. Returns the number of topics.
    """
    counters = TopicCounter.objects.all() if topics is None else TopicCounter.objects.filter(topic__in=list(topics))
    with transaction.atomic():
        locked = list(counters.select_for_update().order_by("topic"))
        for counter in locked:
            counter.epoch, counter.seq = new_epoch(), 0
        TopicCounter.objects.bulk_update(locked, ["epoch", "seq"])
    return len(locked)


def _advance(counts: Mapping[str, int]) -> dict[str, Position]:
    """Move the counters on by `counts` and lock them; their new positions."""
    ordered = sorted(counts.items())
    values = ", ".join(["(%s, %s, %s)"] * len(ordered))
    # One statement upserts its rows in the order given; two appends thus lock their common topics in the same order.
    sql = f"""
        INSERT INTO streaming_topiccounter AS counter (topic, epoch, seq) VALUES {values}
        ON CONFLICT (topic) DO UPDATE SET seq = counter.seq + excluded.seq
        RETURNING topic, epoch, seq
    """  # noqa: S608 - only placeholders are put in
    with connection.cursor() as cursor:
        cursor.execute(sql, [value for topic, n in ordered for value in (topic, new_epoch(), n)])
        return {topic: Position(epoch, seq) for topic, epoch, seq in cursor.fetchall()}


def _stamp(messages: Sequence[Message], ends: Mapping[str, Position]) -> list[Message]:
    left = Counter(m.topic for m in messages)
    stamped = []
    for message in messages:
        left[message.topic] -= 1
        end = ends[message.topic]
        stamped.append(msgspec.structs.replace(message, epoch=end.epoch, seq=end.seq - left[message.topic]))
    return stamped


def _positions(topics: Sequence[str]) -> dict[str, Position]:
    rows = TopicCounter.objects.filter(topic__in=topics).values_list("topic", "epoch", "seq")
    return {topic: Position(epoch, seq) for topic, epoch, seq in rows}


def _row(message: Message) -> Event:
    assert message.epoch is not None
    assert message.seq is not None
    return Event(
        topic=message.topic,
        epoch=message.epoch,
        seq=message.seq,
        type=message.type,
        data=message.data,
        at=_EPOCH + message.at_us * _MICROSECOND,
    )


def _message(row: Event) -> Message:
    at_us = (row.at - _EPOCH) // _MICROSECOND
    return Message(topic=row.topic, type=row.type, data=row.data, at_us=at_us, epoch=row.epoch, seq=row.seq)
