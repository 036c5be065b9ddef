"""When silence is too long."""

from ingestion.rhythm import KNOWN_AFTER, Rhythm

FACTOR, FLOOR_S, CEILING_S = 4.0, 30.0, 900.0


def make(key="a"):
    rhythm = Rhythm(FACTOR, FLOOR_S, CEILING_S)
    rhythm.follow([key], 0.0)
    return rhythm


def spoken(every_s, times=50):
    """A stream that spoke so often; and when it last did."""
    rhythm, now = make(), 0.0
    for _ in range(times):
        now += every_s
        rhythm.heard(["a"], now)
    return rhythm, now


def test_a_lively_stream_is_mute_after_the_floor():
    rhythm, last = spoken(every_s=1.0)
    assert rhythm.mute(last + FLOOR_S - 1) == []
    assert rhythm.mute(last + FLOOR_S) == [("a", 1)]


def test_a_slow_one_after_some_times_its_longest_silence():
    rhythm, last = spoken(every_s=60.0)
    assert rhythm.limit_s("a") == FACTOR * 60.0
    assert rhythm.mute(last + 239) == []
    assert rhythm.mute(last + 240) == [("a", 1)]


def test_bursts_do_not_hide_the_pauses_between_them():
    """A mean of the bursts would call each pause a stall."""
    rhythm, now = make(), 0.0
    for _ in range(10):
        for _ in range(100):
            now += 1.0
            rhythm.heard(["a"], now)
        now += 100.0
    rhythm.heard(["a"], now)
    assert rhythm.mute(now + 200.0) == []


def test_no_stream_waits_longer_than_the_ceiling():
    rhythm, last = spoken(every_s=800.0)
    assert rhythm.mute(last + CEILING_S) == [("a", 1)]


def test_a_longest_silence_fades():
    rhythm, last = spoken(every_s=200.0)
    for _ in range(20_000):
        last += 1.0
        rhythm.heard(["a"], last)
    assert rhythm.limit_s("a") < FACTOR * 200.0 / 4


def test_one_hardly_known_has_the_ceiling_for_its_limit():
    rhythm, _ = spoken(every_s=1.0, times=KNOWN_AFTER - 1)
    assert rhythm.limit_s("a") == CEILING_S


def test_alarms_in_a_row_are_counted_until_it_speaks():
    rhythm, last = spoken(every_s=1.0)
    assert rhythm.mute(last + 30.0) == [("a", 1)]
    assert rhythm.mute(last + 31.0) == []
    assert rhythm.alarmed() == ["a"]
    assert rhythm.mute(last + 60.0) == [("a", 2)]
    rhythm.heard(["a"], last + 500.0)
    assert rhythm.alarmed() == []


def test_a_stall_teaches_only_as_much_as_its_limit():
    rhythm, last = spoken(every_s=1.0)
    rhythm.heard(["a"], last + 100_000.0)
    assert rhythm.limit_s("a") == FACTOR * FLOOR_S


def test_a_market_that_became_slower_is_believed_after_an_alarm():
    rhythm, last = spoken(every_s=1.0)
    assert rhythm.mute(last + 40.0)
    rhythm.heard(["a"], last + 50.0)
    assert rhythm.mute(last + 100.0) == []


def test_no_silence_counts_while_its_market_is_closed():
    rhythm, last = spoken(every_s=1.0)
    for hour in range(1, 17):
        rhythm.pause(["a"], last + hour * 3600.0)
        assert rhythm.mute(last + hour * 3600.0) == []
    opened = last + 16 * 3600.0
    assert rhythm.mute(opened + FLOOR_S - 1) == []
    assert rhythm.mute(opened + FLOOR_S) == [("a", 1)]


def test_one_that_never_spoke_is_unheard_and_not_mute():
    rhythm = make()
    assert rhythm.unheard(59.0, 60.0) == []
    assert rhythm.unheard(60.0, 60.0) == ["a"]
    assert rhythm.mute(10_000.0) == []
    rhythm.heard(["a"], 61.0)
    assert rhythm.unheard(1000.0, 60.0) == []


def test_what_is_not_followed_is_forgotten():
    rhythm, last = spoken(every_s=1.0)
    rhythm.follow(["b"], last)
    rhythm.heard(["a"], last)
    assert rhythm.mute(last + 10_000.0) == []
