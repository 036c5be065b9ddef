"""All books of a source: who wants a snapshot, what is told of a book in trouble, and what is kept of it."""

from itertools import pairwise

import msgspec
import pytest

from ingestion import books as books_module
from ingestion.books import QUIET_US, REFRESH_INTERVAL_US, SETTLED_US, Books, load
from ingestion.orderbook import LIVE, STALE, SYNCING, BookView
from ingestion.providers import BookRule
from ingestion.ticks import BookDelta, Quote
from tests.ingestion.market import NOW_US, SECOND_US
from worker.redis import client, key

BIDS, ASKS = ((99.0, 1.0), (98.0, 2.0)), ((101.0, 1.0), (102.0, 2.0))


def made(rule=BookRule.SNAPSHOT_BY_REST, symbols=("A", "B"), source="binance"):
    books = Books(source, rule)
    books.follow(symbols)
    books.advance(NOW_US)
    return books


def delta(first, last, bids=(), asks=(), symbol="A", at_us=NOW_US, **others):
    return BookDelta(symbol, at_us, at_us, tuple(bids), tuple(asks), first, last, **others)


def snapshot(last, symbol="A", at_us=NOW_US, bids=BIDS, asks=ASKS):
    return delta(last, last, bids, asks, symbol, at_us, snapshot=True)


def fed(books, *words):
    for word in words:
        books.apply(word)
    return books


def statuses(books, symbols="AB"):
    return [books.view(symbol).status for symbol in symbols]


# --- Binance: snapshots are asked for -----------------------------------------------------------------------------


def test_a_snapshot_is_wanted_once_a_delta_waits_for_it():
    books = made()
    assert books.wanted_snapshots() == []
    fed(books, delta(5, 6))
    assert books.wanted_snapshots() == ["A"]
    fed(books, snapshot(5))
    assert (books.wanted_snapshots(), statuses(books)) == ([], [LIVE, SYNCING])
    assert books.view("A").update_id == 6


def test_a_quiet_market_gets_its_snapshot_too_once_the_connection_speaks():
    books = made()
    books.advance(NOW_US + 10 * QUIET_US)
    assert books.wanted_snapshots() == []
    books.heard(NOW_US + QUIET_US)
    assert books.wanted_snapshots() == ["A", "B"]
    books.lost()
    assert books.wanted_snapshots() == []


def test_one_symbol_s_gap_is_that_symbol_s():
    books = fed(made(), delta(1, 1), snapshot(1), delta(1, 1, symbol="B"), snapshot(1, symbol="B"))
    fed(books, delta(9, 9))
    assert statuses(books) == [SYNCING, LIVE]
    assert (books.counts.gap, books.wanted_snapshots()) == (1, ["A"])


def test_the_watched_ones_come_first_and_the_longest_waiting():
    books = made(symbols="ABCD")
    for i, symbol in enumerate("DCBA"):
        fed(books, delta(1, 1, symbol=symbol, at_us=NOW_US + i))
        books.lost([symbol])
        fed(books, delta(1, 1, symbol=symbol, at_us=NOW_US + i))
    assert books.wanted_snapshots() == ["D", "C", "B", "A"]
    books.preferred = {"B"}
    assert books.wanted_snapshots() == ["B", "D", "C", "A"]


def test_a_storm_of_gaps_asks_slower_and_slower(settings):
    books = fed(made(), delta(1, 1), snapshot(1))
    asked, at_us, last = [], NOW_US, 1
    for _ in range(2000):
        at_us += 100_000
        last += 2  # each delta skips one
        fed(books, delta(last, last, at_us=at_us))
        if "A" in books.wanted_snapshots():
            asked.append(at_us)
            fed(books, snapshot(last, at_us=at_us))
    waits = [(b - a) / 1e6 for a, b in pairwise(asked)]
    assert waits[:4] == sorted(waits[:4])
    assert settings.BOOK_RESYNC_MAX_S <= max(waits) <= settings.BOOK_RESYNC_MAX_S + 1
    assert len(asked) < 20


def test_a_book_that_held_for_long_starts_again_at_once():
    books, at_us, last = made(symbols="A"), NOW_US, 0
    for _ in range(5):
        at_us += 2 * SETTLED_US
        fed(books, delta(last + 2, last + 2, at_us=at_us))
        assert books.wanted_snapshots() == ["A"]
        last += 2
        fed(books, snapshot(last, at_us=at_us))


def test_a_snapshot_that_is_too_old_is_asked_for_again_a_little_later():
    books = fed(made(), delta(10, 11), snapshot(5))
    assert (books.wanted_snapshots(), books.counts.old_snapshot) == ([], 1)
    books.advance(NOW_US + 2 * SECOND_US)
    assert books.wanted_snapshots() == ["A"]


def test_prices_that_run_along_the_edge_want_no_more_than_one_snapshot_in_a_while(settings):
    settings.BOOK_SNAPSHOT_LEVELS = 2
    books = fed(made(symbols="A"), delta(1, 1), snapshot(1))
    fed(books, delta(2, 2, bids=[(99.0, 0.0), (98.0, 0.0), (90.0, 1.0)]))
    assert statuses(books, "A") == [STALE]  # nothing certain is left of the bids
    assert books.wanted_snapshots() == []
    books.advance(NOW_US + REFRESH_INTERVAL_US)
    assert books.wanted_snapshots() == ["A"]
    at_us = NOW_US + REFRESH_INTERVAL_US
    fed(books, snapshot(2, bids=((90.0, 1.0), (89.0, 1.0)), at_us=at_us))
    assert (statuses(books, "A"), books.wanted_snapshots()) == ([LIVE], [])


# --- Snapshots in the stream --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [BookRule.NUMBERED_FRAMES, BookRule.CHECKSUM])
def test_a_subscription_is_renewed_where_its_snapshot_stays_away(rule, settings):
    books = made(rule)
    assert (books.resubscribe(), books.wanted_snapshots()) == ([], [])
    late_us = NOW_US + int(settings.BOOK_SNAPSHOT_TIMEOUT_S * 1e6)
    fed(books, snapshot(0, symbol="B"))
    books.advance(late_us)
    assert books.resubscribe() == ["A"]
    assert books.resubscribe() == []
    books.advance(2 * late_us - NOW_US)
    assert books.resubscribe() == ["A"]


def test_a_wrong_checksum_renews_that_symbol_s_subscription():
    books = made(BookRule.CHECKSUM)
    fed(books, snapshot(0, symbol="B"), msgspec.structs.replace(snapshot(0), checksum=1))
    assert (books.resubscribe(), statuses(books), books.counts.mismatch) == (["A"], [SYNCING, LIVE], 1)


def test_frames_that_are_missing_void_every_book_of_the_connection():
    books = made(BookRule.NUMBERED_FRAMES)
    fed(books, snapshot(0), snapshot(0, symbol="B"))
    books.lost()
    assert statuses(books) == [SYNCING, SYNCING]
    fed(books, delta(0, 0, bids=[(100.0, 1.0)]), snapshot(0))
    assert statuses(books) == [LIVE, SYNCING]


# --- Crossed, stale, wrong ----------------------------------------------------------------------------------------

CROSSING = ((101.5, 1.0),)


def test_a_crossed_book_is_not_shown_and_passes_within_its_grace():
    books = fed(made(), delta(1, 1), snapshot(1))
    books.take_changed(NOW_US)
    fed(books, delta(2, 2, bids=CROSSING))
    assert books.take_changed(NOW_US) == []
    fed(books, delta(3, 3, asks=[(101.0, 0.0)], at_us=NOW_US + 900_000))
    assert (books.take_changed(NOW_US), books.counts.crossed) == (["A"], 0)


@pytest.mark.parametrize("told", ["by the next delta", "by the clock"])
def test_a_book_that_stays_crossed_starts_over_and_is_counted(told, settings):
    books = fed(made(), delta(1, 1), snapshot(1), delta(2, 2, bids=CROSSING))
    over_us = NOW_US + settings.BOOK_CROSSED_GRACE_MS * 1000
    if told == "by the clock":
        books.advance(over_us)
    else:
        fed(books, delta(3, 3, at_us=over_us))
    assert (books.counts.crossed, statuses(books, "A")) == (1, [SYNCING])
    fed(books, delta(4, 4, at_us=over_us))
    assert books.wanted_snapshots() == ["A"]


def test_a_locked_book_is_legal():
    books = fed(made(), delta(1, 1), snapshot(1), delta(2, 2, bids=[(101.0, 1.0)]))
    books.advance(NOW_US + 5 * SECOND_US)
    assert (statuses(books, "A"), books.counts.crossed) == ([LIVE], 0)


def test_a_book_without_a_change_for_long_is_stale_until_the_next(settings):
    books = fed(made(), delta(1, 1), snapshot(1))
    assert books.take_changed(NOW_US) == ["A"]
    old_us = NOW_US + int(settings.BOOK_FRESH_S * 1e6) + 1
    assert books.take_changed(old_us - 1) == []
    assert books.take_changed(old_us + SECOND_US) == ["A"]
    assert (statuses(books, "A"), books.view("A").bids) == ([STALE], BIDS)
    assert books.take_changed(old_us + 2 * SECOND_US) == []
    fed(books, delta(2, 2, at_us=old_us + 2 * SECOND_US))
    assert books.take_changed(old_us + 2 * SECOND_US) == ["A"]
    assert statuses(books, "A") == [LIVE]


def quote(update_id, bid=99.0, bid_quantity=1.0):
    return Quote("A", NOW_US, NOW_US, update_id, bid, bid_quantity, 101.0, 1.0)


@pytest.mark.parametrize(
    ("told", "differs"),
    [(quote(1), False), (quote(2, 98.5), False), (quote(1, 98.5), True), (quote(1, bid_quantity=2.0), True)],
)
def test_the_venue_s_own_best_at_the_same_update_must_be_the_book_s(told, differs):
    books = fed(made(), delta(1, 1), snapshot(1))
    books.quote(told)
    assert (books.counts.top_differs, statuses(books, "A")) == ((1, [SYNCING]) if differs else (0, [LIVE]))


# --- Following, showing, keeping ----------------------------------------------------------------------------------


def test_only_what_is_followed_is_kept():
    books = fed(made(symbols=["A"]), delta(1, 1, symbol="X"), delta(1, 1), snapshot(1))
    assert ("A" in books, "X" in books) == (True, False)
    books.follow(["X"])
    assert (books.take_changed(NOW_US), books.wanted_snapshots()) == ([], [])
    fed(books, snapshot(1))
    assert books.states() == {SYNCING: 1}


def test_of_a_source_that_tells_no_books_none_is_awaited():
    assert made(rule=None, symbols=["A", "B"]).states() == {}


def test_many_changes_are_told_once_with_the_newest_levels():
    books = fed(made(), delta(1, 1), snapshot(1), *(delta(i, i, bids=[(99.5, float(i))]) for i in range(2, 50)))
    assert books.take_changed(NOW_US) == ["A"]
    view = books.view("A")
    assert (view.bids[0], view.update_id, view.source) == ((99.5, 49.0), 49, "binance")


def test_no_more_than_fifty_levels_a_side_are_shown(settings):
    deep = tuple((float(1000 - i), 1.0) for i in range(200))
    books = fed(made(), delta(1, 1), snapshot(1, bids=deep, asks=((2000.0, 1.0),)))
    assert len(books.view("A").bids) == settings.BOOK_DEPTH_MAX == 50


def test_changed_books_are_kept_every_now_and_then(settings):
    books = fed(made(), delta(1, 1), snapshot(1))
    interval_us = settings.BOOK_KEEP_INTERVAL_MS * 1000
    assert books.keep_due(NOW_US)
    kept = books.take_unkept(NOW_US)
    assert msgspec.json.decode(kept["A"], type=BookView) == books.view("A")
    assert not books.keep_due(NOW_US + 10 * interval_us)
    fed(books, delta(2, 2))
    assert (books.keep_due(NOW_US + interval_us - 1), books.keep_due(NOW_US + interval_us)) == (False, True)


@pytest.fixture
def kept(db):
    """Keep a view of instrument 77 for a source; all are removed afterwards."""
    used = []

    def keep(source, status=LIVE, at_us=NOW_US):
        used.append(source)
        view = BookView(source, status, BIDS if status != SYNCING else (), (), 1, at_us, at_us)
        client().hset(key("book", source), "77", msgspec.json.encode(view))
        return view

    yield keep
    for source in used:
        client().hdel(key("book", source), "77")


@pytest.mark.parametrize(
    ("views", "best", "status"),
    [
        ([], None, None),
        ([("kraken", LIVE, 0), ("binance", LIVE, 1)], "binance", LIVE),
        ([("kraken", LIVE, 0), ("binance", LIVE, 11)], "kraken", LIVE),
        ([("kraken", LIVE, 12), ("binance", LIVE, 30)], "kraken", STALE),
        ([("kraken", STALE, 12), ("binance", SYNCING, 0)], "kraken", STALE),
        ([("binance", SYNCING, 0)], "binance", SYNCING),
        ([("binance", LIVE, 3600)], None, None),
    ],
)
def test_the_best_source_s_book(kept, views, best, status):
    for source, state, age_s in views:
        kept(source, state, NOW_US - age_s * SECOND_US)
    found = load(77, NOW_US)
    assert (found and found.source, found and found.status) == (best, status)


def test_a_burst_of_trouble_is_one_line_in_the_log(caplog):
    books = made(symbols=[str(i) for i in range(50)])
    for i in range(50):
        fed(books, delta(1, 1, symbol=str(i)), snapshot(1, symbol=str(i)), delta(9, 9, symbol=str(i)))
    assert len([record for record in caplog.records if record.name == books_module.__name__]) == 1
    assert books.counts.gap == 50
