"""Frames in, flushes and messages out."""

import msgspec
import pytest

from ingestion.board import Board
from ingestion.candles import Bar
from ingestion.holes import HOLE_MAX
from ingestion.latest import Latest, unpack_changes
from ingestion.pipeline import BATCH_MAX_TICKS, REFUSED_WAITING_MAX, TRADES_PER_MESSAGE
from ingestion.providers import Ack, VenueError
from ingestion.ticks import POSTGRES_EPOCH_US, unpack_quotes, unpack_trades
from tests.ingestion.market import (
    BTC,
    ETH,
    KNOWN,
    NOW_US,
    SECOND_US,
    pipeline,
    quote_frame,
    ticker_frame,
    trade_frame,
)


def fed(*frames, into=None, received_us=NOW_US):
    made = into or pipeline()
    for frame in frames:
        made.receive(frame, received_us)
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
    stored = {BTC.id: Latest("binance", 200.0, time_us=NOW_US, trade_id=2)}
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
