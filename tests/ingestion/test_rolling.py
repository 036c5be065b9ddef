"""The last 24 hours, minute by minute."""

from ingestion.rolling import MINUTES, Minute, Rolling, Statistics

NOON = 29_000_000  # some minute


def minute(at, price, volume=1.0, high=None, low=None):
    return Minute(at, high or price, low or price, price, volume, at * 60_000_000)


def rolling(*minutes, before=None):
    made = Rolling(before)
    made.load(minutes)
    return made


def test_nothing_is_known_of_nothing():
    assert rolling().statistics() == Statistics(None, None, None, 0.0)
    assert rolling(before=7.0).statistics() == Statistics(7.0, None, None, 0.0)


def test_extremes_and_volume_are_of_the_window():
    made = rolling(minute(NOON - 2, 10, high=15), minute(NOON - 1, 11, low=5), minute(NOON, 12, volume=3))
    assert made.statistics() == Statistics(None, 15, 5, 5.0)


def test_the_reference_is_the_last_close_from_before_the_window():
    made = rolling(minute(NOON, 10), minute(NOON + MINUTES - 1, 20))
    assert made.statistics().reference is None
    made.add(minute(NOON + MINUTES, 30))
    assert made.statistics() == Statistics(10.0, 30, 20, 2.0)
    made.add(minute(NOON + MINUTES + 1, 40))
    assert made.statistics().reference == 10.0


def test_a_minute_left_out_does_not_hide_the_older_reference():
    made = rolling(minute(NOON, 10), minute(NOON + 5, 11))
    made.add(minute(NOON + 3 + MINUTES, 12))
    assert made.statistics() == Statistics(10.0, 12, 11, 2.0)


def test_a_long_silence_leaves_the_last_close_as_reference():
    made = rolling(minute(NOON, 10), minute(NOON + 1, 11))
    made.add(minute(NOON + 5 * MINUTES + 7, 12))
    assert made.statistics() == Statistics(11.0, 12, 12, 1.0)


def test_late_trades_add_up_and_do_not_move_the_close():
    made = rolling(minute(NOON, 10), minute(NOON + 1, 11))
    late = Minute(NOON, 30.0, 1.0, 30.0, 2.0, NOON * 60_000_000 - 1)
    made.add(late)
    assert made.statistics() == Statistics(None, 30.0, 1.0, 4.0)
    made.add(minute(NOON + MINUTES, 12))
    assert made.statistics().reference == 10.0


def test_what_is_older_than_the_window_changes_nothing():
    made = rolling(minute(NOON, 10))
    before = made.statistics()
    made.add(minute(NOON - MINUTES, 99))
    assert made.statistics() == before
