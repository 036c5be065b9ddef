"""What waits for a client: in order, or the newest only, or the newest few; always bounded, always counted."""

import pytest

from streaming.frames import Batches, Frame, batch, text_frame
from streaming.outbox import HIGH, LOW, NORMAL, Outbox, SlowConsumer


def frame(text: str) -> Frame:
    return Frame((text.encode(),))


def said(outbox: Outbox) -> list[str]:
    return [payload.decode() for one in outbox.take() for payload in one.payloads]


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(queue_max=3, batch_max=2)


def test_a_newer_value_replaces_the_one_not_yet_sent(outbox: Outbox) -> None:
    for price in "123":
        outbox.replace("price:A", frame(price))
    outbox.replace("price:B", frame("b"))

    assert said(outbox) == ["3", "b"]
    assert outbox.take_dropped() == {"price:A": 2}
    assert outbox.take_dropped() == {}


def test_what_is_in_order_stays_in_order_and_goes_first(outbox: Outbox) -> None:
    outbox.replace("price:A", frame("price"))
    outbox.put(frame("1"))
    outbox.put(frame("2"))

    assert said(outbox) == ["1", "2", "price"]
    assert not outbox


def test_too_much_in_order_is_a_slow_consumer(outbox: Outbox) -> None:
    for n in "123":
        outbox.put(frame(n))
    with pytest.raises(SlowConsumer, match="3 messages waiting"):
        outbox.put(frame("4"))


def test_of_a_batched_topic_the_oldest_fall_out(outbox: Outbox) -> None:
    for n in "1234":
        outbox.extend("trades:A", frame(n))

    assert said(outbox) == ["3", "4"]
    assert outbox.take_dropped() == {"trades:A": 2}


def test_an_unsubscribed_topic_waits_no_longer(outbox: Outbox) -> None:
    outbox.replace("a", frame("1"))
    outbox.extend("b", frame("2"))
    outbox.forget("a")
    outbox.forget("b")
    assert said(outbox) == []


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_text_frame_is_as_the_rfc_says(size: int, header: bytes) -> None:
    assert text_frame(b"x" * size) == header + b"x" * size


def test_a_frame_of_several_messages_is_several_frames_and_one_batch() -> None:
    several = Frame((b"1", b"22"))
    assert several.wire == b"\x81\x011\x81\x0222"
    assert batch([several, frame("3")], "T").payloads == (
        b'{"type":"batch","data":{"events":[1,22,3]},"timestamp":"T"}',
    )


def test_connections_that_follow_the_same_get_the_same_batch() -> None:
    one, two, three = frame("1"), frame("2"), frame("3")
    batches, clock = Batches(), iter((1_000_000, 2_000_000, 3_000_000))
    first = batches.made_of([one, two], 0.0, lambda: next(clock))
    assert batches.made_of([one, two], 0.005, lambda: next(clock)) is first

    assert batches.made_of([one, three], 0.005, lambda: next(clock)).payloads == (
        b'{"type":"batch","data":{"events":[1,3]},"timestamp":"1970-01-01T00:00:02.000000Z"}',
    )
    later = batches.made_of([one, three], 1.0, lambda: next(clock))
    assert b"00:00:03" in later.payloads[0], "its timestamp would be too old"


def test_what_a_page_shows_goes_before_what_it_does_not(outbox: Outbox) -> None:
    outbox.rank("price:HIDDEN", LOW)
    outbox.rank("price:SHOWN", HIGH)
    for topic in ("price:HIDDEN", "price:A", "price:SHOWN"):
        outbox.replace(topic, frame(topic))
    outbox.put(frame("1"))

    assert said(outbox) == ["1", "price:SHOWN", "price:A", "price:HIDDEN"]


def test_a_client_that_is_behind_gets_the_rest_later_and_newer(outbox: Outbox) -> None:
    outbox.rank("price:SHOWN", HIGH)
    outbox.replace("price:A", frame("old"))
    outbox.extend("trades:A", frame("trade"))
    outbox.replace("price:SHOWN", frame("shown"))
    outbox.put(frame("1"))

    assert [p.decode() for f in outbox.take(HIGH) for p in f.payloads] == ["1", "shown"]
    outbox.replace("price:A", frame("new"))
    assert said(outbox) == ["new", "trade"]
    assert outbox.dropped == {"price:A": 1}


def test_a_topic_left_has_no_rank_when_it_comes_back(outbox: Outbox) -> None:
    outbox.rank("price:A", HIGH)
    outbox.forget("price:A")
    outbox.replace("price:B", frame("b"))
    outbox.replace("price:A", frame("a"))
    assert said(outbox) == ["b", "a"]
    outbox.rank("price:A", HIGH)
    outbox.rank("price:A", NORMAL)
    assert outbox.ranks == {}
