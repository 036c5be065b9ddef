"""What a source's market looks like, and what its day is measured against."""

import pytest

from ingestion.board import DAY_US, Board, Past
from ingestion.calendar import Session, Table
from ingestion.candles import MINUTE_US, Bar
from ingestion.latest import Latest
from ingestion.rolling import Minute
from ingestion.symbols import Known
from ingestion.ticks import SUSPECT, Quote, Ticker
from tests.ingestion.market import BTC, NOW_US

AAPL = Known(3, "AAPL", "equity")
MIDNIGHT_US = NOW_US - NOW_US % DAY_US
HOUR_US = 60 * MINUTE_US


def part(price, at_us=NOW_US, volume=1.0, trade_id=1, known=BTC):
    start = at_us - at_us % MINUTE_US
    return Bar(
        known.id, 2, start, price, price, price, price, volume, price * volume, 1, at_us, trade_id, at_us, trade_id
    )


def remembering(known, minutes=(), before=None, previous_close=None):
    board = Board("binance")
    board.remember(Past(known, list(minutes), before, MIDNIGHT_US, previous_close, []))
    return board


def minute(at_us, price, volume=1.0):
    return Minute(at_us // MINUTE_US, price, price, price, volume, at_us)


def test_the_change_is_over_24_hours():
    board = remembering(BTC, [minute(NOW_US - 3_600_000_000, 90.0)], before=80.0)
    board.trade(BTC, [part(100.0)], 0)
    newest = board.latest(BTC)
    assert (newest.change, newest.change_percent) == (20.0, 25.0)
    assert (newest.high, newest.low, newest.volume) == (100.0, 90.0, 2.0)


def test_an_irregular_trade_is_the_price_and_moves_no_extreme_nor_the_close():
    board = remembering(AAPL, before=50.0, previous_close=80.0)
    change = board.trade(AAPL, [part(100.0, known=AAPL)], 0, [part(120.0, NOW_US + 1, trade_id=2, known=AAPL)])
    newest = board.latest(AAPL)
    assert (newest.price, newest.high, newest.volume) == (120.0, 100.0, 1.0)
    assert (change.last, change.high, change.low) == (120.0, 120.0, 100.0)
    assert board.place(AAPL).session_close == 100.0


def test_what_another_stored_meanwhile_moves_a_place_on_and_never_back():
    board = Board("binance")
    board.trade(BTC, [part(100.0, trade_id=5)], 0)
    board.resume({BTC.id: Latest("binance", 90.0, time_us=NOW_US - 1, trade_id=4)})
    assert board.newest_trade(BTC) == (5, NOW_US)
    board.resume({BTC.id: Latest("binance", 110.0, bid=109.0, ask=111.0, time_us=NOW_US + 1, trade_id=9, quote_id=1)})
    assert board.newest_trade(BTC) == (9, NOW_US + 1)
    assert (board.latest(BTC).price, board.latest(BTC).bid) == (110.0, 109.0)


def test_without_a_price_24_hours_ago_there_is_no_change():
    board = Board("binance")
    board.trade(BTC, [part(100.0)], 0)
    assert board.latest(BTC).change is None


def test_an_equity_is_measured_against_the_close_before_this_day():
    board = remembering(AAPL, before=50.0, previous_close=80.0)
    board.trade(AAPL, [part(100.0, known=AAPL)], 0)
    assert board.latest(AAPL).change_percent == 25.0


def test_at_midnight_the_last_price_becomes_the_close():
    board = Board("binance")
    board.trade(AAPL, [part(100.0, MIDNIGHT_US - 1, known=AAPL)], 0)
    board.trade(AAPL, [part(110.0, MIDNIGHT_US + 1, trade_id=2, known=AAPL)], 0)
    assert board.latest(AAPL).change == pytest.approx(10.0)


def test_a_suspect_quote_is_not_shown():
    board = Board("binance")
    assert board.quote(BTC, Quote("B", NOW_US, NOW_US, 1, 99.0, 1.0, 101.0, 1.0))
    assert not board.quote(BTC, Quote("B", NOW_US + 1, NOW_US, 2, 105.0, 1.0, 101.0, 1.0, SUSPECT))
    assert not board.quote(BTC, Quote("B", NOW_US - 1, NOW_US, 3, 1.0, 1.0, 2.0, 1.0))
    newest = board.latest(BTC)
    assert (newest.bid, newest.ask) == (99.0, 101.0)


def test_a_ticker_gives_a_first_price_and_then_only_the_day():
    board = Board("binance")
    board.ticker(BTC, Ticker("B", NOW_US, NOW_US, 100.0, 90.0, 110.0, 80.0, 5.0, 500.0))
    assert (board.latest(BTC).price, board.latest(BTC).change) == (100.0, 10.0)
    board.trade(BTC, [part(120.0, NOW_US + 1)], 0)
    newest = board.latest(BTC)
    assert (newest.price, newest.change, newest.high, newest.volume) == (120.0, 30.0, 120.0, 5.0)


def test_a_ticker_that_stopped_is_not_believed_for_long():
    board = Board("binance")
    board.ticker(BTC, Ticker("B", NOW_US, NOW_US, 100.0, 90.0, 110.0, 80.0, 5.0, 500.0))
    board.trade(BTC, [part(120.0, NOW_US + 61_000_000, volume=2.0)], 0)
    assert (board.latest(BTC).volume, board.latest(BTC).change) == (2.0, None)


class TestSessions:
    """An equity's change is against the close of the session before, whatever was traded in between."""

    days = (MIDNIGHT_US - 3 * DAY_US, MIDNIGHT_US)
    hours = Table([Session(day_us + 14 * HOUR_US, day_us + 21 * HOUR_US) for day_us in days])

    def board(self):
        board = Board("simulated")
        opened = MIDNIGHT_US - 3 * DAY_US + 14 * HOUR_US
        board.remember(Past(AAPL, [], None, opened, 90.0, [], self.hours, None))
        return board

    def at(self, board, day, hour, price):
        board.trade(AAPL, [part(price, MIDNIGHT_US + day * DAY_US + hour * HOUR_US, known=AAPL)], 0)
        return board.latest(AAPL).change

    def test_the_weekend_and_the_hours_around_do_not_count(self):
        board = self.board()
        assert self.at(board, -3, 20, 100.0) == 10.0
        assert self.at(board, -3, 23, 130.0) == 40.0  # after hours: still against the close before
        assert self.at(board, 0, 12, 120.0) == 30.0  # before the opening
        assert self.at(board, 0, 15, 105.0) == 5.0  # against 100, the last of the session, not 130
