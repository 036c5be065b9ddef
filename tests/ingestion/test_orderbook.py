"""Each venue's rule on small books, on random ones with faults, and on recordings beside what others computed."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.orderbook import (
    CHECKSUM_DEPTHS,
    ChecksumBook,
    Outcome,
    RestBook,
    Side,
    StreamBook,
    decimals_of,
    make,
    whole,
)
from ingestion.providers import PROVIDERS, BookRule
from ingestion.ticks import BookDelta, BookSnapshot
from tests.ingestion import recordings
from tests.ingestion.recordings import expected, recording

APPLIED, IGNORED, HELD, OLD, GAP, MISMATCH = Outcome


def delta(first, last, bids=(), asks=(), **others):
    return BookDelta("BTCUSDT", last, last, tuple(bids), tuple(asks), first, last, **others)


def snapshot(last, bids=((99.0, 1.0),), asks=((101.0, 1.0),), **others):
    return delta(last, last, bids, asks, snapshot=True, **others)


def rest_book(depth=50, held_max=1000, asked_levels=1000):
    return RestBook(depth, held_max, asked_levels)


def levels(strings):
    return tuple((float(price), float(quantity)) for price, quantity in strings)


# --- A side -------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), max_size=200),
    st.sampled_from([1, -1]),
    st.integers(1, 50),
)
def test_a_side_is_the_sorted_newest_quantities(changes, sign, depth):
    side, plain = Side(sign), {}
    for price, quantity in changes:
        side.update([(float(price), float(quantity))])
        plain[price] = quantity
    left = sorted(((float(p), float(q)) for p, q in plain.items() if q), reverse=sign > 0)
    assert side.best(depth) == tuple(left[:depth])
    side.truncate(depth)
    assert side.best(100) == tuple(left[:depth])
    assert len(side) == len(side.quantities) == min(depth, len(left))


# --- Binance spot -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "outcomes", "last_id"),
    [
        pytest.param([snapshot(100), delta(101, 103)], [APPLIED, APPLIED], 103, id="next"),
        pytest.param([snapshot(100), delta(99, 103)], [APPLIED, APPLIED], 103, id="the first straddles"),
        pytest.param([snapshot(100), delta(98, 100)], [APPLIED, IGNORED], 100, id="older than the snapshot"),
        pytest.param([snapshot(100), delta(102, 103)], [APPLIED, GAP], 0, id="gap"),
        pytest.param([snapshot(100), delta(101, 103), delta(101, 103)], [APPLIED, APPLIED, IGNORED], 103, id="twice"),
        pytest.param([snapshot(100), delta(101, 105), delta(103, 106)], [APPLIED] * 3, 106, id="overlap"),
        pytest.param([delta(98, 99), delta(100, 102), snapshot(100)], [HELD, HELD, APPLIED], 102, id="held first"),
        pytest.param([delta(101, 102), snapshot(100)], [HELD, APPLIED], 102, id="joins without overlap"),
        pytest.param([delta(102, 103), snapshot(100)], [HELD, OLD], 0, id="snapshot from before the first"),
        pytest.param([delta(102, 103), snapshot(100), snapshot(102)], [HELD, OLD, APPLIED], 103, id="asked again"),
        pytest.param([delta(90, 91), delta(99, 101), snapshot(95)], [HELD, HELD, GAP], 0, id="gap among the held"),
        pytest.param(
            [delta(90, 91), delta(99, 101), snapshot(95), snapshot(100)], [HELD, HELD, GAP, APPLIED], 101,
            id="what follows the gap is held on",
        ),
        pytest.param(
            [snapshot(100), delta(105, 106), delta(107, 107), snapshot(104)], [APPLIED, GAP, HELD, APPLIED], 107,
            id="the delta that shows the gap is held",
        ),
        pytest.param([snapshot(100), snapshot(90)], [APPLIED, IGNORED], 100, id="an answer that came too late"),
    ],
)  # fmt: skip
def test_a_book_joined_to_a_rest_snapshot(said, outcomes, last_id):
    book = rest_book()
    assert [book.apply(word) for word in said] == outcomes
    assert (book.last_id, book.synced) == (last_id, bool(last_id))


def test_zero_removes_and_removes_nothing_where_nothing_is():
    book = rest_book()
    book.apply(snapshot(1, bids=[(99.0, 1.0), (98.0, 2.0)]))
    assert book.apply(delta(2, 2, bids=[(99.0, 0.0), (97.5, 0.0)], asks=[(100.5, 3.0), (999.0, 0.0)])) is APPLIED
    assert book.best(10) == (((98.0, 2.0),), ((100.5, 3.0), (101.0, 1.0)))


def test_a_void_book_shows_nothing():
    book = rest_book()
    book.apply(snapshot(1))
    book.apply(delta(9, 9, bids=[(50.0, 1.0)]))
    assert (book.best(10), book.synced, book.wants_snapshot) == (((), ()), False, True)


def test_the_futures_way_of_counting_never_makes_a_spot_book():
    """A futures delta says by `pu` that it follows the last; the spot rule calls it a gap and shows nothing."""
    book = rest_book()
    book.apply(snapshot(100))
    assert [book.apply(delta(first, last)) for first, last in [(90, 105), (108, 120), (125, 130)]] == [
        APPLIED, GAP, HELD,
    ]  # fmt: skip
    assert not book.synced


def test_what_waits_for_a_snapshot_is_bounded():
    book = rest_book(held_max=10)
    for i in range(100):
        book.apply(delta(i, i))
    assert book.apply(snapshot(50)) is OLD
    assert book.apply(snapshot(95)) is APPLIED
    assert book.last_id == 99


def deep(last, middle, count=1000):
    bids = [(float(middle - i), 1.0) for i in range(1, count + 1)]
    asks = [(float(middle + i), 1.0) for i in range(1, count + 1)]
    return snapshot(last, bids=bids, asks=asks)


def test_what_is_beyond_the_edge_of_a_snapshot_is_not_shown():
    book = rest_book(asked_levels=20)
    book.apply(deep(1, 2000, count=20))
    book.apply(delta(2, 2, bids=[(1979.0, 5.0)], asks=[(2050.0, 5.0)]))
    bids, asks = book.best(50)
    assert (len(bids), bids[-1], len(asks), asks[-1]) == (20, (1980.0, 1.0), 20, (2020.0, 1.0))


def test_a_side_that_was_not_full_has_no_edge():
    book = rest_book(asked_levels=21)
    book.apply(snapshot(1, bids=[(float(99 - i), 1.0) for i in range(20)]))
    book.apply(delta(2, 2, bids=[(1.0, 5.0)], asks=[(500.0, 5.0)]))
    bids, asks = book.best(50)
    assert (len(bids), bids[-1], asks) == (21, (1.0, 5.0), ((101.0, 1.0), (500.0, 5.0)))


def test_near_the_edge_a_new_snapshot_is_wanted_while_the_book_goes_on():
    book = rest_book(depth=50, asked_levels=100)
    book.apply(deep(1, 2000, count=100))
    assert not book.wants_snapshot
    fell = delta(2, 2, bids=[(float(2000 - i), 0.0) for i in range(1, 61)], asks=[(1945.0, 1.0)])
    assert book.apply(fell) is APPLIED
    assert (book.synced, book.certain, book.wants_snapshot, len(book.best(50)[0])) == (True, True, True, 40)
    book.apply(delta(3, 3, bids=[(1939.0, 7.0)]))
    assert book.apply(deep(1, 1940, count=100)) is OLD
    assert book.apply(deep(2, 1940, count=100)) is APPLIED
    assert (book.wants_snapshot, book.last_id, book.best(1)[0], len(book.best(50)[0])) == (
        False,
        3,
        ((1939.0, 7.0),),
        50,
    )


def test_with_everything_certain_gone_the_rest_is_shown_as_uncertain():
    book = rest_book(depth=50, asked_levels=100)
    book.apply(deep(1, 2000, count=100))
    book.apply(delta(2, 2, bids=[(float(2000 - i), 0.0) for i in range(1, 101)] + [(1800.0, 3.0)]))
    assert not book.certain
    assert book.best(50)[0] == ((1800.0, 3.0),)


def test_a_gap_while_a_new_snapshot_is_awaited():
    book = rest_book(depth=50, asked_levels=20)
    book.apply(deep(1, 2000, count=20))
    assert book.apply(delta(2, 2, bids=[(float(2000 - i), 0.0) for i in range(1, 12)])) is APPLIED
    assert book.wants_snapshot
    assert book.apply(delta(5, 5)) is GAP
    assert book.apply(deep(4, 2000, count=20)) is APPLIED
    assert book.last_id == 5


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(["drop", "twice", "swap", "keep"]), min_size=40, max_size=40))
def test_after_any_faults_and_a_resync_the_book_is_the_fault_free_one(seed, faults):
    """The venue's deltas come with holes, twice and in disorder; whenever a snapshot is wanted the venue gives one."""
    rng = random.Random(seed)
    truth, sent = rest_book(), []
    truth.apply(deep(1, 1000, count=30))
    states = {}
    for last in range(2, 42):
        bids = [(float(1000 - rng.randrange(1, 60)), float(rng.randrange(3))) for _ in range(3)]
        asks = [(float(1000 + rng.randrange(1, 60)), float(rng.randrange(3))) for _ in range(3)]
        sent.append(delta(last, last, bids, asks))
        truth.apply(sent[-1])
        states[last] = truth.bids.best(1000), truth.asks.best(1000)
    book = rest_book()
    for at, fault in enumerate(faults):
        said = [sent[at]] if fault != "drop" else []
        if fault == "twice":
            said = said * 2
        if fault == "swap" and at + 1 < len(sent):
            said = [sent[at + 1], sent[at]]
        for word in said:
            book.apply(word)
        if book.synced and not book.wants_snapshot:
            assert (book.bids.best(1000), book.asks.best(1000)) == states[book.last_id]
        if book.wants_snapshot and said:
            bids, asks = states[sent[at].last_id]
            book.apply(snapshot(sent[at].last_id, bids, asks))
    book.apply(delta(43, 43))  # shows any hole at the end
    if not book.synced:
        book.apply(snapshot(42, *states[41]))
        assert (book.bids.best(1000), book.asks.best(1000)) == states[41]


# --- Coinbase -----------------------------------------------------------------------------------------------------


def test_a_stream_book_begins_with_its_snapshot():
    book = StreamBook()
    assert book.apply(delta(0, 0, bids=[(98.0, 1.0)])) is HELD
    assert book.apply(snapshot(0)) is APPLIED
    assert book.apply(delta(0, 0, bids=[(99.0, 0.0), (98.5, 2.0)])) is APPLIED
    assert book.best(5) == (((98.5, 2.0),), ((101.0, 1.0),))


def timed(time_us, bids=(), whole_book=False, received_us=10_000):
    return BookDelta("BTC-USD", time_us, received_us, tuple(bids), (), snapshot=whole_book)


def test_a_second_connection_that_lags_brings_nothing_back():
    book = StreamBook()
    for word in (timed(100, [(1.0, 1.0)], whole_book=True), timed(200, [(2.0, 2.0)])):
        book.apply(word)
    assert book.apply(timed(210, [(2.0, 2.5)], whole_book=True)) is APPLIED
    assert book.apply(timed(205, [(2.0, 9.0)])) is IGNORED
    assert book.apply(timed(220, [(3.0, 3.0)])) is APPLIED
    assert book.best(5)[0] == ((3.0, 3.0), (2.0, 2.5))


def test_on_one_connection_the_order_of_frames_counts_and_not_their_times():
    book = StreamBook()
    book.apply(timed(100, [(1.0, 1.0)], whole_book=True))
    book.apply(timed(200, [(2.0, 2.0)]))
    assert book.apply(timed(150, [(2.0, 0.0)])) is APPLIED
    assert book.best(5)[0] == ((1.0, 1.0),)


# --- Kraken -------------------------------------------------------------------------------------------------------


def kraken(frame):
    [word] = [word for word in PROVIDERS["kraken"].decode(frame, 1) if isinstance(word, BookDelta)]
    return word


def kraken_orderbook():
    """The 510 recorded frames of BTC/USD, ten levels deep."""
    found = json.loads(recording("python-kraken-sdk/orderbook-v2.json").read_text())
    first = found["init"] if isinstance(found["init"], list) else [found["init"]]
    return [kraken(json.dumps(frame).encode()) for frame in [*first, *found["updates"]]]


def test_every_recorded_checksum_of_ten_levels_is_right():
    book = ChecksumBook(100)
    assert [book.apply(word) for word in kraken_orderbook()] == [APPLIED] * 510
    assert (book.best(1)[0][0][0], book.best(1)[1][0][0]) == (29430.4, 29430.5)
    assert (book.decimals, book.depth, book.unverifiable) == ((1, 8), 10, 0)


@pytest.mark.parametrize("spoilt", [3, 77, 500])
def test_one_wrong_quantity_among_the_best_ten_is_a_mismatch(spoilt):
    book, words = ChecksumBook(10), kraken_orderbook()
    for word in words[:spoilt]:
        book.apply(word)
    fifth = book.best(5)[0][4]
    book.bids.update([(fifth[0], fifth[1] + 1)])
    assert book.apply(words[spoilt]) is MISMATCH
    assert not book.synced
    assert book.apply(words[spoilt + 1]) is HELD


def test_a_wrong_snapshot_is_a_mismatch():
    [first, *_] = kraken_orderbook()
    (price, quantity), *others = first.bids
    spoilt = BookDelta(
        first.symbol, 1, 1, ((price, quantity + 1), *others), first.asks, snapshot=True, checksum=first.checksum
    )
    book = ChecksumBook(10)
    assert book.apply(spoilt) is MISMATCH
    assert (book.synced, book.decimals) == (False, None)


def checksummed(bids, asks, depth=10, decimals=(1, 8), **others):
    """A delta with the checksum that the book of these levels has."""
    book = ChecksumBook(depth)
    book.bids.replace(bids)
    book.asks.replace(asks)
    return book._checksum(*decimals)


def rows(side, count, start=1):
    return tuple((1000.0 + side * i, 1.5 + i) for i in range(start, start + count))


def test_both_sides_are_cut_to_the_depth_after_all_levels_and_before_the_checksum():
    bids, asks = rows(-1, 10), rows(1, 10)
    book = ChecksumBook(10)
    book.apply(BookDelta("A/B", 1, 1, bids, asks, snapshot=True, checksum=checksummed(bids, asks)))
    better = (999.5, 4.0)
    left = (better, *bids[:9])
    word = BookDelta("A/B", 2, 2, (better,), (), checksum=checksummed(left, asks))
    assert book.apply(word) is APPLIED
    assert book.best(100)[0] == left
    # The tenth fell out without a word; when the best goes, the venue tells it again.
    told_again = BookDelta("A/B", 3, 3, ((better[0], 0.0), bids[9]), (), checksum=checksummed(bids, asks))
    assert book.apply(told_again) is APPLIED
    assert book.best(100)[0] == bids


def test_a_snapshot_in_mid_stream_replaces_the_book():
    bids, asks = rows(-1, 10), rows(1, 10)
    book = ChecksumBook(10)
    book.apply(BookDelta("A/B", 1, 1, rows(-1, 10, start=5), rows(1, 10, start=5), snapshot=True))
    assert book.apply(BookDelta("A/B", 2, 2, bids, asks, snapshot=True, checksum=checksummed(bids, asks))) is APPLIED
    assert book.best(100) == (bids, asks)


def test_a_thin_snapshot_without_a_checksum_is_taken_and_the_next_checksum_counts():
    book = ChecksumBook(100)
    bids, asks = ((0.0712, 12.5),), ((0.08, 5.1e-05),)
    assert book.apply(BookDelta("DOGE/USDT", 1, 1, bids, asks, snapshot=True)) is APPLIED
    more = (*bids, (0.07, 3.0))
    right = checksummed(more, asks, decimals=(5, 8))
    assert book.apply(BookDelta("DOGE/USDT", 2, 2, ((0.07, 3.0),), (), checksum=right)) is APPLIED
    assert book.decimals == (5, 8)
    assert book.apply(BookDelta("DOGE/USDT", 3, 3, ((0.07, 4.0),), (), checksum=right)) is MISMATCH


def test_a_pair_whose_decimals_changed_is_read_anew_at_its_next_snapshot():
    bids, asks = rows(-1, 10), rows(1, 10)
    book = ChecksumBook(10)
    for decimals in ((1, 8), (2, 5)):
        right = checksummed(bids, asks, decimals=decimals)
        assert book.apply(BookDelta("A/B", 1, 1, bids, asks, snapshot=True, checksum=right)) is APPLIED
        assert book.decimals == decimals


def test_quantities_beyond_what_a_float_tells_exactly_are_not_called_wrong():
    bids, asks = ((1.0, 123_456_789.123_456_78),), rows(1, 10)
    book = ChecksumBook(10)
    book.apply(BookDelta("A/B", 1, 1, rows(-1, 10), asks, snapshot=True, checksum=checksummed(rows(-1, 10), asks)))
    assert book.apply(BookDelta("A/B", 2, 2, ((999.5, bids[0][1]),), (), checksum=4)) is APPLIED
    assert book.unverifiable == 1


def test_the_depth_is_the_stream_s():
    for count in CHECKSUM_DEPTHS:
        book = ChecksumBook(100)
        book.apply(BookDelta("A/B", 1, 1, rows(-0.1, count), rows(0.1, count), snapshot=True))
        assert book.depth == count
    for bids, asks, depth in ((3, 7, 100), (120, 90, 500), (100, 40, 100)):
        book.apply(BookDelta("A/B", 1, 1, rows(-0.1, bids), rows(0.1, asks), snapshot=True))
        assert book.depth == depth


@pytest.mark.parametrize(
    ("number", "decimals"), [(5.1e-05, 6), (29430.4, 1), (3.0, 0), (1e-08, 8), (1.5e16, 0), (0.1 + 0.2, 17)]
)
def test_decimals_of_a_number(number, decimals):
    assert decimals_of(number) == decimals


# --- All ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bid", "ask", "crossed"), [(100.0, 101.0, False), (101.0, 101.0, False), (101.5, 101.0, True), (None, 1.0, False)]
)
def test_a_crossed_book_and_a_locked_one(bid, ask, crossed):
    book = make(None, shown=50, held_max=10, asked_levels=1000)
    bids = () if bid is None else ((bid, 1.0),)
    book.apply(whole(BookSnapshot("BTCUSDT", 1, 1, 7, bids, ((ask, 1.0),))))
    assert (book.crossed, book.last_id) == (crossed, 7)


# --- Recordings ---------------------------------------------------------------------------------------------------


def replayed(provider, frames):
    """Every book of the frames, and how often each outcome came, by symbol."""
    venue = PROVIDERS[provider]
    books, outcomes = {}, {}
    for frame, received_us in frames:
        words = [frame] if isinstance(frame, BookDelta) else venue.decode(frame, received_us)
        for word in words:
            if isinstance(word, BookDelta):
                book = books.setdefault(word.symbol, make(venue.book, shown=50, held_max=1000, asked_levels=1000))
                outcome = book.apply(word)
                counts = outcomes.setdefault(word.symbol, {})
                counts[outcome] = counts.get(outcome, 0) + 1
    return books, outcomes


REST = b'{"lastUpdateId"'


def with_snapshots(frames, symbol="BTCUSDT"):
    """REST snapshots among the frames as deltas."""
    for frame, received_us in frames:
        if frame.startswith(REST):
            yield PROVIDERS["binance"].read_book(frame, symbol, received_us), received_us
        else:
            yield frame, received_us


def assert_book(book, wanted):
    assert (len(book.bids), len(book.asks)) == (wanted["n_bids"], wanted["n_asks"])
    top = len(wanted["top_bids"])
    assert book.bids.best(top) == levels(wanted["top_bids"])
    assert book.asks.best(top) == levels(wanted["top_asks"])


@pytest.mark.parametrize(("name", "days"), [("btcusdt_20240808", 1), ("btcusdt_20240808+09", 2)])
def test_a_recorded_spot_book(name, days):
    files = ["hftbacktest/spot/btcusdt_20240808.gz", "hftbacktest/spot/btcusdt_20240809.gz"][:days]
    frames = (
        line for file in files for line in recordings.frames(file) if b"@depth" in line[0][:60] or line[0][2] == 108
    )
    books, outcomes = replayed("binance", with_snapshots(frames))
    wanted = expected()["hftbacktest_spot"][name]
    book, counts = books["BTCUSDT"], outcomes["BTCUSDT"]
    assert book.last_id == wanted["final_update_id"]
    assert_book(book, wanted)
    # Three came before the snapshot and were held; two of those it already knew.
    assert counts == {HELD: 3, APPLIED: 1 + wanted["diffs_applied"] - 1}


def test_a_recorded_day_without_a_snapshot_shows_no_book():
    frames = (line for line in recordings.frames("hftbacktest/spot/btcusdt_20240809.gz") if b"@depth" in line[0][:60])
    books, outcomes = replayed("binance", frames)
    assert set(outcomes["BTCUSDT"]) == {HELD}
    assert (books["BTCUSDT"].synced, books["BTCUSDT"].best(50)) == (False, ((), ()))


@pytest.mark.parametrize("name", ["BINANCE", "BINANCE_US"])
def test_recorded_books_of_several_symbols(name):
    wanted = expected()["cryptofeed_binance"][f"main_20211012_{name}"]["books"]
    snapshots = {}
    for url, body in recordings.answers(f"cryptofeed/main/{name}.http.0.0.gz"):
        symbol = url.partition("symbol=")[2].partition("&")[0]
        if symbol:
            snapshots[symbol] = PROVIDERS["binance"].read_book(body, symbol, 1)
    first = [(snapshot, 1) for snapshot in snapshots.values()]
    frames = [*first, *recordings.stamped(f"cryptofeed/main/{name}.ws.1.0.gz")]
    books, outcomes = replayed("binance", frames)
    for symbol, book in wanted.items():
        assert books[symbol].last_id == book["final_update_id"]
        assert_book(books[symbol], book)
        assert outcomes[symbol] == {APPLIED: 1 + book["applied"], IGNORED: book["ignored"]}


def test_recorded_coinbase_books():
    books, outcomes = replayed("coinbase", recordings.typed("cryptofeed/v3/COINBASE_seq0-299.jsonl.zst"))
    for symbol, wanted in expected()["coinbase_advanced_20260809_seq0-299"]["books"].items():
        assert_book(books[symbol], wanted)
        assert set(outcomes[symbol]) == {APPLIED}


def exchange_deltas():
    """{"type":"snapshot","bids":[["price","size"],…],…}, {"type":"l2update","changes":[["buy","price","size"],…],…}."""
    for frame, received_us in recordings.stamped("cryptofeed/main/COINBASE.ws.28.0.gz"):
        told = json.loads(frame)
        if told["type"] == "snapshot":
            bids, asks = levels(told["bids"]), levels(told["asks"])
            yield BookDelta(told["product_id"], received_us, received_us, bids, asks, snapshot=True)
        elif told["type"] == "l2update":
            bids, asks = ([change[1:] for change in told["changes"] if change[0] == side] for side in ("buy", "sell"))
            yield BookDelta(told["product_id"], received_us, received_us, levels(bids), levels(asks))


def test_recorded_books_of_coinbase_s_older_feed():
    books, _ = replayed("coinbase", ((word, 0) for word in exchange_deltas()))
    wanted = expected()["coinbase_exchange_20210417"]["books"]
    assert books.keys() == wanted.keys()
    for symbol, book in books.items():
        assert_book(book, wanted[symbol])


def test_every_recorded_checksum_of_a_thousand_levels_is_right():
    """Ten pairs, the first protocol's updates in the second's envelopes; 4,269 of 4,279 frames have a checksum."""
    books, outcomes = replayed("kraken", recordings.kraken_v2("book"))
    assert len(books) == 10
    assert all(set(counts) == {APPLIED} for counts in outcomes.values())
    assert sum(counts[APPLIED] for counts in outcomes.values()) == 4279
    assert not any(book.unverifiable for book in books.values())


def test_recorded_books_quoted_elsewhere():
    for path in sorted(recording("quoted").glob("kraken_v2_book10_*.jsonl")):
        _, outcomes = replayed("kraken", ((line, 1) for line in recordings.quoted(path.name)))
        assert all(set(counts) == {APPLIED} for counts in outcomes.values())


def test_each_rule_has_its_book():
    made = {rule: type(make(rule, shown=50, held_max=10, asked_levels=100)) for rule in BookRule}
    assert made == {
        BookRule.SNAPSHOT_BY_REST: RestBook, BookRule.NUMBERED_FRAMES: StreamBook, BookRule.CHECKSUM: ChecksumBook,
    }  # fmt: skip
