"""The newest values by source, and the log of changes."""

import datetime as dt

import pytest

from ingestion import latest
from ingestion.calendar import Calendars, Session, Table
from ingestion.journal import Flush, Journal
from ingestion.latest import Change, Latest
from tests.ingestion.market import NOW_US, SECOND_US
from worker.redis import client, key

pytestmark = [pytest.mark.usefixtures("own_prefix"), pytest.mark.django_db]


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


# --- Quality --------------------------------------------------------------------------------------------------


def at_us(text):
    return int(dt.datetime.fromisoformat(text + "+00:00").timestamp()) * SECOND_US


# A Wednesday, Thursday and Friday in March, as New York trades: 14:30 to 21:00 UTC.
DAYS = ("2026-03-04", "2026-03-05", "2026-03-06")
NEW_YORK = Calendars({"XNYS": Table(Session(at_us(f"{d}T14:30:00"), at_us(f"{d}T21:00:00")) for d in DAYS)})


@pytest.mark.parametrize(
    ("as_of", "now", "delay_s", "expected"),
    [
        ("2026-03-05T15:00:00", "2026-03-05T15:00:30", 0, "live"),
        ("2026-03-05T15:00:00", "2026-03-05T15:10:00", 0, "stale"),
        ("2026-03-05T15:00:00", "2026-03-05T15:14:00", 900, "delayed"),
        ("2026-03-05T15:00:00", "2026-03-05T15:00:10", 900, "delayed"),
        ("2026-03-05T15:00:00", "2026-03-05T15:17:00", 900, "stale"),
        ("2026-03-05T20:58:00", "2026-03-06T02:00:00", 0, "closed"),
        ("2026-03-04T20:58:00", "2026-03-06T02:00:00", 0, "stale"),  # a whole session was missed
        ("2026-03-05T23:00:00", "2026-03-05T23:00:20", 0, "live"),  # after hours somebody does trade
        ("2026-03-04T21:00:00", "2026-03-05T18:00:00", 86_400, "delayed"),  # the newest close, while the market trades
        ("2026-03-05T15:00:10", "2026-03-05T15:00:00", 0, "live"),  # the venue's clock is ahead of ours
    ],
)
def test_quality_knows_when_the_market_trades(as_of, now, delay_s, expected):
    told = Latest("finnhub", 1.0, time_us=at_us(as_of), delay_s=delay_s)
    assert latest.judged(told, at_us(now), 60 * SECOND_US, NEW_YORK, "XNYS").quality == expected


def test_a_price_that_is_not_believed_is_used_only_where_there_is_no_other():
    latest.put("yahoo", {1: price("yahoo", 10_000.0, suspect=True)})
    assert get(1)[1].quality == "suspect"
    put("simulated", i1=price("simulated", 100.0, age_s=3600))
    assert get(1)[1].price == 100.0


def test_an_instrument_may_have_an_order_of_sources_of_its_own():
    from ingestion.models import Instrument

    apple = Instrument.objects.create(symbol="AAPL", name="Apple", kind="crypto", source_order="yahoo, finnhub")
    for source, value in (("finnhub", 1.0), ("yahoo", 2.0), ("simulated", 3.0)):
        latest.put(source, {apple.pk: price(source, value)})
    assert get(apple.pk)[apple.pk].source == "yahoo"


# --- What polls say -------------------------------------------------------------------------------------------


def test_a_poll_is_read_like_a_feed_and_noted_for_followers():
    _, cursor, _ = latest.changes(None)
    assert latest.put("finnhub", {1: price("finnhub", 10.0), 2: price("finnhub", 20.0)}) == 2
    assert get(1)[1].price == 10.0
    moved, _, _ = latest.changes(cursor)
    assert [(c.instrument_id, c.last, c.high, c.low, c.volume, c.count) for c in moved] == [
        (1, 10.0, 10.0, 10.0, 0.0, 0),
        (2, 20.0, 20.0, 20.0, 0.0, 0),
    ]


def test_an_older_answer_that_comes_later_moves_nothing_back():
    latest.put("finnhub", {1: price("finnhub", 11.0)})
    _, cursor, _ = latest.changes(None)
    assert latest.put("finnhub", {1: price("finnhub", 10.0, age_s=5)}) == 0
    assert get(1)[1].price == 11.0
    assert latest.changes(cursor)[0] == []


def test_the_same_again_is_no_news():
    latest.put("finnhub", {1: price("finnhub", 11.0)})
    assert latest.put("finnhub", {1: price("finnhub", 11.0)}) == 0


def test_neither_the_feed_nor_a_poll_of_one_venue_overwrites_the_other():
    put("finnhub", i1=price("finnhub", 11.0, age_s=1))
    latest.put("finnhub", {1: price("finnhub", 10.0, age_s=5)})
    assert get(1)[1].price == 11.0
    latest.put("finnhub", {1: price("finnhub", 12.0)})
    assert get(1)[1].price == 12.0


def test_a_price_that_is_not_believed_moves_nobody():
    _, cursor, _ = latest.changes(None)
    latest.put("yahoo", {1: price("yahoo", 10_000.0, suspect=True)})
    assert latest.changes(cursor)[0] == []
