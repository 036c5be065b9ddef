"""The newest values by source, and the log of changes."""

import pytest

from ingestion import latest
from ingestion.journal import Flush, Journal
from ingestion.latest import Change, Latest
from tests.ingestion.market import NOW_US, SECOND_US
from worker.redis import client, key

pytestmark = pytest.mark.usefixtures("own_prefix")


def put(source, **by_id):
    values = {int(i[1:]): latest.encode(value) for i, value in by_id.items()}
    Journal(f"{source}:0", 1).append(Flush(b"", b"", 0, values, {}, None, NOW_US))


def price(source, value, age_s=0.0, **more):
    return Latest(source, value, time_us=NOW_US - int(age_s * SECOND_US), **more)


def get(*ids):
    return latest.get(ids, NOW_US)


def test_what_is_unknown_is_left_out():
    put("binance", i1=price("binance", 100.0), i2=Latest("binance", bid=1.0))
    assert set(get(1, 2, 3)) == {1}
    assert get() == {}


def test_the_better_source_counts_while_it_is_fresh():
    put("binance", i1=price("binance", 100.0, age_s=59))
    put("simulated", i1=price("simulated", 200.0))
    assert (get(1)[1].source, get(1)[1].quality) == ("binance", "live")
    put("binance", i1=price("binance", 100.0, age_s=61))
    assert (get(1)[1].source, get(1)[1].quality) == ("simulated", "live")


def test_of_stale_prices_the_newest_counts():
    put("binance", i1=price("binance", 100.0, age_s=3600))
    put("simulated", i1=price("simulated", 200.0, age_s=600))
    assert (get(1)[1].price, get(1)[1].quality) == (200.0, "stale")


def test_a_fresh_quote_keeps_an_old_trade_live():
    put("binance", i1=price("binance", 100.0, age_s=600, bid=99.0, quote_time_us=NOW_US))
    assert get(1)[1].quality == "live"


def test_it_survives_being_stored():
    told = price("binance", 0.1 + 0.2, bid=5e-05, high=1e21, trade_id=2**60, volume=None)
    put("binance", i7=told)
    assert latest.load("binance") == {7: told}
    assert latest.of_source("binance", [7, 8]) == {7: told}


def change(instrument_id, last):
    return Change(instrument_id, last, last + 1, last - 1, 2.5, 3, NOW_US)


def moved(*changes, shard="simulated:0"):
    packed = latest.pack_changes(changes)
    Journal(shard, 1).append(Flush(b"", b"", 0, {}, {}, packed, NOW_US))


def test_a_follower_sees_what_moved_since():
    moved(change(1, 10.0))
    found, cursor, trimmed = latest.changes(None)
    assert (found, trimmed) == ([], False)
    moved(change(1, 11.0), change(2, 20.0))
    moved(change(1, 12.0))
    found, cursor, trimmed = latest.changes(cursor)
    assert (found, trimmed) == ([change(1, 11.0), change(2, 20.0), change(1, 12.0)], False)
    assert latest.changes(cursor) == ([], cursor, False)


def test_a_follower_from_before_the_first_change_misses_nothing():
    _, cursor, _ = latest.changes(None)
    moved(change(1, 10.0))
    assert latest.changes(cursor)[::2] == ([change(1, 10.0)], False)


def test_a_bounded_read_goes_on_where_it_stopped():
    _, cursor, _ = latest.changes(None)
    for last in (1.0, 2.0, 3.0):
        moved(change(1, last))
    first, cursor, _ = latest.changes(cursor, count=2)
    rest, cursor, trimmed = latest.changes(cursor, count=2)
    assert ([c.last for c in first], [c.last for c in rest], trimmed) == ([1.0, 2.0], [3.0], False)


def test_a_trimmed_log_says_so():
    moved(change(1, 1.0))
    _, cursor, _ = latest.changes(None)
    for last in (2.0, 3.0, 4.0):
        moved(change(1, last))
    client().xtrim(key("changes", "simulated:0"), maxlen=1, approximate=False)
    found, cursor, trimmed = latest.changes(cursor)
    assert ([c.last for c in found], trimmed) == ([4.0], True)
    assert latest.changes(cursor)[2] is False


def test_a_lost_redis_says_so():
    moved(change(1, 1.0))
    _, cursor, _ = latest.changes(None)
    client().delete(key("changes", "simulated:0"))
    assert latest.changes(cursor)[2] is True


def test_replays_have_no_followers():
    _, cursor, _ = latest.changes(None)
    moved(change(1, 1.0), shard="simulated:replay")
    assert latest.changes(cursor)[0] == []
