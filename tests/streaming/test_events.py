"""The event log: gapless numbers in commit order, whatever rolls back or runs beside."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.db import connection, transaction

from streaming import events, publish, tasks
from streaming.models import Event, TopicCounter
from streaming.protocol import Message, Position
from worker.redis import client

pytestmark = pytest.mark.django_db(transaction=True)


def message(topic: str, n: int = 0) -> Message:
    return Message(topic=topic, type="test", data={"n": n}, at_us=1_769_596_201_000_000 + n)


def closing(function: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            function()
        finally:
            connection.close()

    return run


@pytest.fixture
def published() -> Iterator[Callable[[], list[bytes]]]:
    """What went through Redis for topics `t1` and `t2`."""
    pubsub = client().pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(publish.channel_of("t1"), publish.channel_of("t2"))
    pubsub.get_message(timeout=2)
    pubsub.get_message(timeout=2)

    def read() -> list[bytes]:
        client().publish(publish.channel_of("t1"), b"end")
        bodies = []
        while (found := pubsub.get_message(timeout=2)) is None or found["data"] != b"end":
            if found is not None:
                bodies.append(found["data"])
        return bodies

    yield read
    pubsub.close()


def test_numbers_start_at_one_and_follow_the_order_given() -> None:
    stamped = events.append([message("a", 1), message("b", 2), message("a", 3)])

    assert [(m.topic, m.seq, m.data["n"]) for m in stamped] == [("a", 1, 1), ("b", 1, 2), ("a", 2, 3)]
    assert stamped[0].epoch == stamped[2].epoch
    assert events.positions(["a"])["a"] == Position(str(stamped[0].epoch), 2)


def test_a_rollback_leaves_no_hole_and_publishes_nothing(published: Callable[[], list[bytes]]) -> None:
    events.append([message("t1", 1)])
    with transaction.atomic():
        events.append([message("t1", 2)])
        transaction.set_rollback(True)
    (after,) = events.append([message("t1", 3)])

    assert after.seq == 2
    assert list(Event.objects.order_by("seq").values_list("seq", "data__n")) == [(1, 1), (2, 3)]
    assert len(published()) == 2


def test_it_is_published_on_commit_and_not_before(published: Callable[[], list[bytes]]) -> None:
    with transaction.atomic():
        events.append([message("t1")])
        assert published() == []
    assert len(published()) == 1


def test_concurrent_transactions_number_in_commit_order() -> None:
    """A reader who sees `seq` n has seen all before it: nothing turns up below a committed number later."""
    done = threading.Event()
    holes: list[tuple[int, int]] = []

    def watch() -> None:
        while not done.is_set():
            at = events.positions(["busy"])["busy"].seq
            seen = Event.objects.filter(topic="busy", seq__lte=at).count()
            if seen != at:
                holes.append((at, seen))

    def write(worker: int) -> None:
        for n in range(25):
            with transaction.atomic():
                events.append([message("busy", worker), message("also", n)])
                if n % 5 == 4:
                    transaction.set_rollback(True)

    with ThreadPoolExecutor(5) as pool:
        watcher = pool.submit(closing(watch))
        writers = [pool.submit(closing(lambda w=w: write(w))) for w in range(4)]
        for writer in writers:
            writer.result()
        done.set()
        watcher.result()

    assert holes == []
    assert list(Event.objects.filter(topic="busy").order_by("seq").values_list("seq", flat=True)) == [*range(1, 81)]


def test_topics_named_in_opposite_orders_do_not_deadlock() -> None:
    def write(topics: list[str]) -> None:
        for _ in range(30):
            with transaction.atomic():
                events.append([message(topic) for topic in topics])

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(closing(lambda t=t: write(t))) for t in (["x", "y"], ["y", "x"])]
        for run in runs:
            run.result()

    assert {t: p.seq for t, p in events.positions(["x", "y"]).items()} == {"x": 60, "y": 60}


def test_replay_returns_what_was_appended() -> None:
    stamped = events.append([message("a", n) for n in range(5)])
    epoch = str(stamped[0].epoch)

    assert events.replay("a", Position(epoch, 2), Position(epoch, 5)) == stamped[2:]
    assert events.replay("a", Position(epoch, 5), Position(epoch, 5)) == []


def test_a_replay_is_whole_or_refused() -> None:
    stamped = events.append([message("a", n) for n in range(5)])
    now = events.positions(["a"])["a"]
    settings_max = settings.EVENT_REPLAY_MAX
    Event.objects.filter(topic="a", seq=2).delete()

    assert events.replay("a", Position("other", 4), now) is None
    assert events.replay("a", Position(now.epoch, 6), now) is None
    assert events.replay("a", Position(now.epoch, 5 - settings_max - 1), now) is None
    assert events.replay("a", Position(now.epoch, 1), now) is None, "event 2 is gone"
    assert events.replay("a", Position(now.epoch, 3), now) == stamped[3:]


def test_a_new_epoch_voids_old_positions() -> None:
    events.append([message("a", n) for n in range(3)])
    before = events.positions(["a"])["a"]

    assert events.start_new_epoch() == 1

    (first,) = events.append([message("a")])
    now = events.positions(["a"])["a"]
    assert (first.seq, now.seq) == (1, 1)
    assert events.replay("a", before, now) is None


def test_a_topic_without_events_has_a_position_that_holds() -> None:
    at = events.positions(["quiet"])["quiet"]
    (first,) = events.append([message("quiet")])

    assert at == Position(str(first.epoch), 0)
    assert TopicCounter.objects.count() == 1


def test_old_events_are_forgotten_and_whoever_asks_for_them_gets_the_state() -> None:
    events.append([message("t1", n) for n in range(3)])
    events.append([Message("t1", "test", {"n": 9}, time.time_ns() // 1000)])
    assert tasks.tidy() == 3
    now = events.positions(["t1"])["t1"]
    assert events.replay("t1", Position(now.epoch, 0), now) is None
    recent = events.replay("t1", Position(now.epoch, 3), now)
    assert recent is not None
    assert [one.data["n"] for one in recent] == [9]
