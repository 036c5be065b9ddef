"""Frames in, flushes and messages out."""

import msgspec
import pytest

from ingestion.board import Board
from ingestion.books import Books
from ingestion.candles import Bar
from ingestion.holes import HOLE_MAX
from ingestion.latest import Latest, unpack_changes
from ingestion.pipeline import BATCH_MAX_TICKS, REFUSED_WAITING_MAX, TRADES_PER_MESSAGE
from ingestion.providers import PROVIDERS, Ack, BookRule, Heartbeat, Numbered, Unknown, VenueError
from ingestion.ticks import IRREGULAR, POSTGRES_EPOCH_US, BookSnapshot, Trade, VenueBar, unpack_quotes, unpack_trades
from tests.ingestion.market import (
    BTC,
    ETH,
    KNOWN,
    NOW_US,
    SECOND_US,
    frame,
    pipeline,
    quote_frame,
    ticker_frame,
    trade_frame,
)


def fed(*frames, into=None, received_us=NOW_US):
    made = into or pipeline()
    for each in frames:
        made.receive(each, received_us)
    return made


def latest_of(batch, known=BTC):
    return msgspec.json.decode(batch.flush.latest[known.id], type=Latest)


def message(messages, topic):
    [found] = [m for m in messages if m.topic == topic]
    return found


def test_a_trade_becomes_a_row_a_price_a_change_and_messages():
    made = fed(trade_frame(7, "50000.50", "0.5"), received_us=NOW_US + 5_000)
    batch = made.take(NOW_US + 6_000)

    [row] = unpack_trades(batch.flush.trade_rows)
    assert (row["trade_id"], row["price"], row["quantity"], row["side"]) == (7, 50000.5, 0.5, -1)
    assert row["time"] + POSTGRES_EPOCH_US == NOW_US
    assert (batch.flush.count, batch.flush.quote_rows) == (1, b"")
    assert latest_of(batch).price == 50000.5
    [change] = unpack_changes(batch.flush.changes)
    assert (change.instrument_id, change.last, change.volume, change.count) == (BTC.id, 50000.5, 0.5, 1)

    messages = made.publications(NOW_US + 7_000)
    price = message(messages, "price:BTC-USDT")
    assert price.type == "asset_update"
    assert price.data["price"] == 50000.5
    assert price.data["venue_time"] == "2026-01-28T10:30:00.000000Z"
    assert price.data["received_at"] == "2026-01-28T10:30:00.005000Z"
    assert message(messages, "trades:BTC-USDT").data["trades"] == [
        {
            "price": 50000.5, "quantity": 0.5, "side": "sell", "trade_id": 7,
            "timestamp": "2026-01-28T10:30:00.000000Z", "is_buyer_maker": True,
        }
    ]  # fmt: skip
    assert made.publications(NOW_US + 8_000) == []


def test_a_quote_moves_bid_and_ask_and_nothing_else():
    made = fed(trade_frame(1, "50000"), quote_frame(9, "49999.5", "50000.5"))
    batch = made.take(NOW_US)
    [row] = unpack_quotes(batch.flush.quote_rows)
    assert (row["quote_id"], row["bid"], row["ask"]) == (9, 49999.5, 50000.5)
    newest = latest_of(batch)
    assert (newest.price, newest.bid, newest.ask) == (50000, 49999.5, 50000.5)


def test_a_late_trade_is_stored_and_does_not_move_the_price_back():
    made = fed(trade_frame(2, "200", at_us=NOW_US))
    made.take(NOW_US)
    fed(trade_frame(1, "100", at_us=NOW_US - SECOND_US), into=made)
    batch = made.take(NOW_US)
    assert batch.flush.count == 1
    assert latest_of(batch).price == 200
    assert batch.flush.changes is None


def test_a_restart_does_not_move_the_price_back_either():
    stored = {BTC.id: Latest("binance", 200.0, time_us=NOW_US, trade_id=5000)}
    made = fed(trade_frame(1, "100", at_us=NOW_US - SECOND_US), into=pipeline(board=Board("binance", stored)))
    assert latest_of(made.take(NOW_US)).price == 200


def test_equal_times_are_decided_by_the_id():
    made = fed(trade_frame(6, "60"), trade_frame(7, "70"), trade_frame(5, "50"))
    assert latest_of(made.take(NOW_US)).price == 70


def test_changes_carry_the_extremes_inside_a_flush():
    made = fed(trade_frame(1, "100"), trade_frame(2, "90"), trade_frame(3, "95"), trade_frame(4, "99"))
    [change] = unpack_changes(made.take(NOW_US).flush.changes)
    assert (change.last, change.high, change.low, change.count) == (99, 100, 90, 4)


def test_an_old_trade_is_no_news():
    made = fed(trade_frame(1, "100", at_us=NOW_US - 61 * SECOND_US))
    assert made.take(NOW_US).flush.changes is None
    assert not [m for m in made.publications(NOW_US) if m.topic.startswith("trades")]


def test_a_replay_tells_no_changes_and_no_bars():
    made = fed(trade_frame(1), into=pipeline(live=False))
    flush = made.take(NOW_US).flush
    assert (flush.count, flush.changes, flush.bars) == (1, None, {})


@pytest.mark.parametrize("again", [[3], [1], [5, 4, 3, 2, 1]])
def test_what_comes_twice_is_taken_once(again):
    made = fed(*(trade_frame(i) for i in (1, 2, 3, 4, 5)))
    fed(*(trade_frame(i) for i in again), into=made)
    assert made.take(NOW_US).flush.count == 5
    assert made.counts.duplicates == len(again)


def test_a_hole_can_be_filled_once():
    made = fed(*(trade_frame(i) for i in (1, 2, 5, 3, 3, 4, 5)))
    assert [row["trade_id"] for row in unpack_trades(made.take(NOW_US).flush.trade_rows)] == [1, 2, 5, 3, 4]
    assert made.counts.duplicates == 2


def test_a_new_numbering_is_no_duplicate():
    made = fed(trade_frame(1), trade_frame(HOLE_MAX * 10), trade_frame(2))
    assert made.take(NOW_US).flush.count == 3


def test_a_quote_that_comes_twice_or_late_is_dropped_and_a_restarted_venue_is_not():
    made = fed(quote_frame(1_000_000), quote_frame(1_000_000), quote_frame(999_999), quote_frame(5))
    assert [row["quote_id"] for row in unpack_quotes(made.take(NOW_US).flush.quote_rows)] == [1_000_000, 5]
    assert made.counts.duplicates == 2


@pytest.mark.parametrize(
    "frame",
    [b"{", b"\xff\xfe not utf-8", b'{"stream":"btcusdt@trade","data":{}}', trade_frame(1, "-5"), b"x" * 9_000_000],
)
def test_a_bad_frame_is_counted_kept_and_the_feed_goes_on(frame, caplog):
    made = fed(frame, trade_frame(1))
    assert made.take(NOW_US).flush.count == 1
    assert made.counts.malformed == 1
    [doubtful] = made.take_doubtful()
    assert doubtful.reason == "malformed_frame"
    assert frame.startswith(doubtful.raw)
    assert "1 so far" in caplog.text


def test_bad_frames_are_logged_once_in_a_while_and_kept_to_a_bound(caplog):
    made = fed(*[b"{"] * (REFUSED_WAITING_MAX + 5))
    assert made.counts.malformed == REFUSED_WAITING_MAX + 5
    assert len(made.take_doubtful()) == REFUSED_WAITING_MAX
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (trade_frame(1, "0"), "bad_price"),
        (trade_frame(1, at_us=NOW_US + 61 * SECOND_US), "time_in_future"),
        (trade_frame(1, symbol="NOSUCH"), "unknown_symbol"),
    ],
)
def test_what_cannot_be_true_is_quarantined(frame, reason):
    made = fed(frame, trade_frame(2))
    assert made.take(NOW_US).flush.count == 1
    assert made.counts.quarantined == 1
    [doubtful] = made.take_doubtful()
    assert doubtful.reason == reason


def test_a_strange_price_is_stored_flagged_and_not_shown():
    made = fed(*(trade_frame(i, "100") for i in range(1, 20)), trade_frame(20, "10000"))
    batch = made.take(NOW_US)
    assert batch.flush.count == 20
    assert made.counts.suspect == 1
    assert latest_of(batch).price == 100
    assert all(t["price"] == 100 for t in message(made.publications(NOW_US), "trades:BTC-USDT").data["trades"])


def test_an_irregular_trade_is_shown_and_in_no_bar():
    made = pipeline()
    odd = Trade("BTCUSDT", NOW_US + 1, NOW_US, 2, 120.0, 1.0, flags=IRREGULAR)
    made.offer([Trade("BTCUSDT", NOW_US, NOW_US, 1, 100.0, 1.0), odd])
    batch = made.take(NOW_US)
    assert latest_of(batch).price == 120
    told = made.publications(NOW_US)
    assert [t["price"] for t in message(told, "trades:BTC-USDT").data["trades"]] == [100, 120]
    bar = message(told, "candles:BTC-USDT:1m").data
    assert (bar["high"], bar["close"], bar["volume"], bar["trades"]) == (100, 100, 1, 1)


def test_answers_and_errors_are_handed_back_and_other_streams_counted():
    made = pipeline()
    assert made.receive(b'{"result":null,"id":3}', NOW_US) == [Ack(3)]
    assert made.receive(b'{"error":{"code":4,"msg":"Too many"},"id":9}', NOW_US) == [VenueError(4, "Too many", 9)]
    assert made.receive(b'{"stream":"btcusdt@avgPrice","data":{"e":"avgPrice"}}', NOW_US) == []
    assert made.counts.unknown == 1
    assert not made.due(NOW_US)
    assert made.take(NOW_US) is None


def test_the_venues_own_day_beats_ours():
    made = fed(trade_frame(1, "50000"), ticker_frame(opened="49000"))
    newest = latest_of(made.take(NOW_US))
    assert newest.change == pytest.approx(1000)
    assert newest.change_percent == pytest.approx(100 * 1000 / 49000)
    assert (newest.high, newest.low, newest.volume) == (51000, 48000, 1234.5)
    ticker = message(made.publications(NOW_US), "ticker:BTC-USDT").data
    assert (ticker["last"], ticker["open_24h"], ticker["change_24h"]) == (50000, 49000, 1000)


def test_bars_are_told_four_times_a_second_and_hold_everything():
    made = fed(trade_frame(1, "100", "1"))
    first = made.take(NOW_US).flush.bars
    assert set(first) == {f"1:{interval}" for interval in ("1m", "5m", "15m", "1h", "4h", "1d")}
    fed(trade_frame(2, "110", "1"), into=made)
    assert made.take(NOW_US + 25_000).flush.bars == {}
    assert not made.due(NOW_US + 100_000)
    assert made.due(NOW_US + 260_000)
    batch = made.take(NOW_US + 260_000)
    assert batch.flush.count == 0
    bar = msgspec.json.decode(batch.flush.bars["1:1m"], type=Bar)
    assert (bar.open, bar.close, bar.volume, bar.trades) == (100, 110, 2, 2)
    told = message(made.publications(NOW_US + 260_000), "candles:BTC-USDT:1m").data
    assert (told["open"], told["close"], told["vwap"], told["final"]) == (100, 110, 105, False)


def test_a_flush_is_bounded_and_the_rest_waits():
    made = fed(*(trade_frame(i) for i in range(BATCH_MAX_TICKS + 10)))
    assert made.take(NOW_US).flush.count == BATCH_MAX_TICKS
    assert made.waiting == 10
    assert made.take(NOW_US).flush.count == 10
    assert len(message(made.publications(NOW_US), "trades:BTC-USDT").data["trades"]) == TRADES_PER_MESSAGE


def test_it_says_when_a_flush_is_worth_it():
    made = pipeline()
    calls = []
    made.full = lambda: calls.append(made.waiting)
    fed(*(trade_frame(i) for i in range(made.flush_ticks)), into=made)
    assert calls == [made.flush_ticks]


def test_what_waited_too_long_or_is_too_much_is_forgotten():
    made = fed(trade_frame(1), received_us=NOW_US)
    fed(trade_frame(2), trade_frame(3), trade_frame(4), into=made, received_us=NOW_US + 10)
    assert [t.trade_id for t in made.forget_oldest(10, NOW_US + 5)] == [1]
    assert [t.trade_id for t in made.forget_oldest(1, NOW_US)] == [2, 3]
    assert made.waiting == 1


def test_newly_followed_symbols_are_taken():
    made = pipeline(known={"BTCUSDT": BTC})
    fed(trade_frame(1, symbol="ETHUSDT"), into=made)
    assert made.strangers() == {"ETHUSDT"}
    made.follow(KNOWN)
    assert latest_of(made.take(NOW_US), ETH).price == 50000.5


def test_latencies_are_not_clamped():
    made = fed(trade_frame(1, at_us=NOW_US), received_us=NOW_US - 1_272_000)
    made.take(NOW_US)
    assert made.latencies.percentiles_ms()["p50"] == -1272.0


# --- Books --------------------------------------------------------------------------------------------------------


def depth_frame(first, last, bids=(), asks=(), symbol="BTCUSDT", at_us=NOW_US):
    data = {"e": "depthUpdate", "E": at_us // 1000, "s": symbol, "U": first, "u": last, "b": bids, "a": asks}
    return frame(f"{symbol.lower()}@depth@100ms", data)


def rest_snapshot(last, symbol="BTCUSDT"):
    body = b'{"lastUpdateId":%d,"bids":[["49999.50","1"]],"asks":[["50000.50","2"]]}' % last
    return PROVIDERS["binance"].read_book(body, symbol, NOW_US)


def with_book():
    made = pipeline(books=Books("binance", BookRule.SNAPSHOT_BY_REST))
    fed(depth_frame(100, 101, [["50000.00", "3"]]), into=made, received_us=NOW_US + 5_000).publications(NOW_US)
    return made


def test_a_book_is_told_of_from_its_first_delta_on_and_shown_once_it_is_whole():
    made = with_book()
    assert made.books.wanted_snapshots() == ["BTCUSDT"]
    made.book_snapshot(rest_snapshot(100))
    assert message(made.publications(NOW_US), "book:BTC-USDT").data == {
        "symbol": "BTC-USDT", "instrument": "BTC-USDT", "status": "live", "bids": [(50000.0, 3.0), (49999.5, 1.0)],
        "asks": [(50000.5, 2.0)], "spread": 0.5, "last_update_id": 101, "depth": 2, "source": "binance",
        "quality": "live", "venue_time": "2026-01-28T10:30:00.000000Z", "received_at": "2026-01-28T10:30:00.005000Z",
    }  # fmt: skip
    assert made.publications(NOW_US) == []


@pytest.mark.parametrize("broken", ["by a gap", "by the connection"])
def test_what_breaks_a_book_is_told_at_once(broken):
    made = with_book()
    made.book_snapshot(rest_snapshot(100))
    made.publications(NOW_US)
    if broken == "by a gap":
        made.receive(depth_frame(200, 201), NOW_US)
    else:
        made.lost(["BTCUSDT"])
    data = message(made.publications(NOW_US), "book:BTC-USDT").data
    assert (data["status"], data["bids"], data["asks"], data["quality"]) == ("syncing", [], [], "stale")


def test_a_changed_book_goes_with_a_flush_even_where_nothing_else_does():
    made = with_book()
    made.book_snapshot(rest_snapshot(100))
    assert made.due(NOW_US)
    flush = made.take(NOW_US).flush
    assert (flush.count, list(flush.books), flush.latest) == (0, [BTC.id], {})
    assert msgspec.json.decode(flush.books[BTC.id])["update_id"] == 101
    assert not made.due(NOW_US)


def test_books_of_symbols_that_are_not_followed_and_of_replays_are_left_alone():
    made = fed(depth_frame(1, 2, symbol="XYZUSDT"), depth_frame(1, 2), into=pipeline(live=False))
    assert (made.books.states(), made.take(NOW_US), made.counts.unknown) == ({}, None, 2)


def test_the_best_bid_and_ask_at_the_same_update_are_held_against_the_book():
    made = with_book()
    made.book_snapshot(rest_snapshot(100))
    fed(quote_frame(101, "49999.00", "50000.50"), into=made).take(NOW_US)
    assert (made.books.counts.top_differs, made.books.states()["syncing"]) == (1, 2)


def test_whole_books_of_a_source_without_deltas_are_shown_as_they_come():
    made = pipeline()
    made.offer([BookSnapshot("BTCUSDT", NOW_US, NOW_US, 9, ((99.0, 1.0),), ((100.0, 2.0),))])
    assert made.take(NOW_US).flush.books
    data = message(made.publications(NOW_US), "book:BTC-USDT").data
    assert (data["status"], data["bids"], data["last_update_id"]) == ("live", [(99.0, 1.0)], 9)


def test_only_watched_topics_are_told():
    made = fed(trade_frame(1), ticker_frame())
    made.watched = {"ticker:BTC-USDT"}
    made.take(NOW_US)
    assert [m.topic for m in made.publications(NOW_US + SECOND_US)] == ["ticker:BTC-USDT"]


# --- Venue bars, heartbeats, holes --------------------------------------------------------------------------------


def bar(low=90.0, high=110.0, **others):
    values = {"open": 100.0, "close": 105.0, "volume": 1.0, "trades": 3} | others
    return VenueBar("BTCUSDT", "1m", NOW_US, NOW_US, low=low, high=high, **values)


def said(*words, into=None):
    """A pipeline that was told these words in one frame."""
    made = into or pipeline(decode=lambda frame, received_us: list(words))
    answers = made.receive(b"", NOW_US)
    return made, answers


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (bar(), None),
        (bar(low=101.0), "bad_bar"),
        (bar(high=104.0), "bad_bar"),
        (bar(close=120.0), "bad_bar"),
        (bar(volume=-1.0), "bad_quantity"),
        (bar(volume=float("nan")), "bad_quantity"),
        (bar(low=0.0), "bad_price"),
        (bar(low=-1.0), "bad_price"),
        (bar(trades=None), None),
        (msgspec.structs.replace(bar(), time_us=NOW_US + 120 * SECOND_US), "time_in_future"),
        (msgspec.structs.replace(bar(), symbol="XYZUSDT"), "unknown_symbol"),
    ],
)
def test_a_bar_that_cannot_be_is_refused(told, reason):
    made, _ = said(told)
    assert made.take_venue_bars() == ([told] if reason is None else [])
    assert [doubtful.reason for doubtful in made.take_doubtful()] == ([] if reason is None else [reason])
    assert made.take_venue_bars() == []


def test_one_frame_may_say_many_things():
    trade = Trade("BTCUSDT", NOW_US, NOW_US, 7, 100.0, 1.0)
    made, answers = said(Numbered(4), Heartbeat(NOW_US), trade, bar(), Ack(3), Unknown("x"))
    assert answers == [Numbered(4), Heartbeat(NOW_US), Ack(3)]
    assert (made.waiting, len(made.take_venue_bars()), made.counts.unknown) == (1, 1, 1)
    made.take(NOW_US)
    assert made.take_heard() == {("trades", "BTCUSDT"), ("bars", "BTCUSDT")}


def holes(made, after_s=10.0):
    made.publications(NOW_US + int(after_s * SECOND_US))
    return made.take_holes()


def test_trades_that_never_came_are_a_hole_with_its_ends(settings):
    made = fed(*(trade_frame(i, at_us=NOW_US + i) for i in (1, 2, 6, 4, 9)))
    made.take(NOW_US)
    assert holes(made, settings.TRADE_HOLE_GRACE_S / 2) == []
    assert [(h.symbol, h.from_id, h.to_id) for h in holes(made)] == [
        ("BTCUSDT", 3, 3), ("BTCUSDT", 5, 5), ("BTCUSDT", 7, 8),
    ]  # fmt: skip
    assert holes(made) == []


def test_what_comes_late_within_the_grace_is_no_hole():
    made = fed(trade_frame(1), trade_frame(3))
    made.take(NOW_US)
    fed(trade_frame(2), into=made).take(NOW_US)
    assert (holes(made), made.counts.duplicates) == ([], 0)


def test_what_was_missed_between_two_listeners_is_a_hole(settings):
    newest = Latest("binance", 100.0, time_us=NOW_US - SECOND_US, trade_id=41)
    made = fed(trade_frame(44), into=pipeline(board=Board("binance", {BTC.id: newest})))
    made.take(NOW_US)
    [hole] = holes(made)
    assert (hole.from_id, hole.to_id, hole.from_us, hole.until_us) == (42, 43, NOW_US - SECOND_US, NOW_US)
    settings.TRADE_HOLE_AGE_MAX_S = 0.5  # a stay away that long is no hole
    made = fed(trade_frame(44), into=pipeline(board=Board("binance", {BTC.id: newest})))
    made.take(NOW_US)
    assert holes(made) == []


def test_where_the_venue_counts_no_trades_none_is_missing_and_equal_ones_are_several():
    made = fed(*(trade_frame(i) for i in (5, 5, 900, 7)), into=pipeline(counts_trades=False))
    assert made.take(NOW_US).flush.count == 4
    assert (holes(made), made.counts.duplicates) == ([], 0)


def test_what_a_venue_tells_again_to_the_next_listener_is_counted_once():
    newest = Latest("binance", 100.0, time_us=NOW_US, trade_id=5000)
    made = fed(*(trade_frame(i) for i in range(4951, 5003)), into=pipeline(board=Board("binance", {BTC.id: newest})))
    assert [row["trade_id"] for row in unpack_trades(made.take(NOW_US).flush.trade_rows)] == [5001, 5002]
    assert (made.counts.duplicates, holes(made)) == (50, [])


def test_a_symbol_that_was_not_followed_for_a_while_has_no_hole():
    made = fed(trade_frame(1))
    made.take(NOW_US)
    made.follow({"ETHUSDT": ETH})
    made.follow(KNOWN)
    fed(trade_frame(50), into=made).take(NOW_US)
    assert holes(made) == []


def test_what_nobody_watched_is_told_as_it_is_now_when_somebody_does():
    """Between a subscriber's snapshot and the moment that we know of the subscriber nothing is missing."""
    made = pipeline()
    made.watched = set()
    for trade_id in range(1, 4):
        made.receive(trade_frame(trade_id, price=f"{50000 + trade_id}"), NOW_US)
        made.take(NOW_US + trade_id * SECOND_US)
        assert made.publications(NOW_US) == []
    made.watched = {"price:BTC-USDT", "trades:BTC-USDT"}
    told = {message.type: message.data for message in made.publications(NOW_US)}
    assert told["asset_update"]["price"] == 50003
    assert [trade["trade_id"] for trade in told["trades"]["trades"]] == [1, 2, 3]
    assert made.publications(NOW_US) == []
    made.watched = set()
    made.receive(trade_frame(4), NOW_US)
    made.take(NOW_US)
    assert made.publications(NOW_US + 3 * SECOND_US) == []
    made.watched = {"trades:BTC-USDT"}
    assert made.publications(NOW_US + 3 * SECOND_US) == []  # what is older is in the snapshot
