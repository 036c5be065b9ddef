"""Candles as readers get them: whose they are, what is empty, what a session is, what a split does to them."""

import csv
import datetime as dt
import io
import zipfile
from bisect import bisect_left, bisect_right
from zoneinfo import ZoneInfo

import pytest

from ingestion import calendar, sessions, store
from ingestion.calendar import Session
from ingestion.candles import TICKER, TRADES, VENUE, Bar
from ingestion.models import AdjustmentFactor, Instrument, MarketCalendar
from ingestion.providers import SOURCES
from ingestion.store import Polled, to_datetime, to_us
from ingestion.ticks import VenueBar
from tests.ingestion.recordings import recording
from tests.ingestion.rows import BTC, DAY_START, MINUTE_US, SIMULATED, T0, stored
from tests.ingestion.test_store import bar, times

pytestmark = [pytest.mark.storage, pytest.mark.usefixtures("tick_tables_in_transaction")]

BINANCE, KRAKEN, FINNHUB = SOURCES["binance"], SOURCES["kraken"], SOURCES["finnhub"]
DAY_US = 86_400_000_000
DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
NEW_YORK = ZoneInfo("America/New_York")


def venue_bar(minute, close=500.0, interval="5m", final=True, received=0, **more):
    at = T0 + minute * MINUTE_US
    values = {"volume": 7.0, "quote_volume": 3_500.0, "trades": 3} | more
    return VenueBar("BTC", interval, at, at + received, 500.0, 510.0, 490.0, close, final=final, **values)


def write(*bars, source=SIMULATED, instrument_id=BTC):
    return store.write_venue_bars(source, bars, {"BTC": instrument_id})


# --- The venue's own


def test_the_venues_final_bar_counts_before_ours():
    store.copy_candles([bar(i) for i in range(15)])
    write(venue_bar(5), venue_bar(10, final=False))
    found = store.candles(BTC, "5m", DAY_START)
    assert [b.made_by for b in found] == [TRADES, VENUE, TRADES]
    assert (found[1].close, found[1].volume, found[1].trades, found[1].final) == (500.0, 7.0, 3, True)
    assert times(store.candles(BTC, "5m", limit=2)) == [5, 10]


def test_of_a_minute_our_trades_count_first():
    store.copy_candles([bar(0)])
    write(venue_bar(0, interval="1m"), venue_bar(1, interval="1m"))
    assert [b.made_by for b in store.candles(BTC, "1m", DAY_START)] == [TRADES, VENUE]


def test_what_the_venue_does_not_tell_is_unknown():
    write(venue_bar(0, quote_volume=None, trades=None))
    (found,) = store.candles(BTC, "5m", DAY_START)
    assert (found.quote_volume, found.trades, found.vwap, found.volume) == (None, None, None, 7.0)


def test_writing_venue_bars_again_changes_nothing():
    assert write(venue_bar(0), venue_bar(5)) == 2
    assert write(venue_bar(0, received=9), venue_bar(5)) == 0


@pytest.mark.parametrize("unknown", [{}, {"volume": None}, {"quote_volume": None, "trades": None}])
def test_a_page_of_history_is_stored_as_its_bars_are(unknown):
    page = [venue_bar(minute, 500.0 + minute / 7, "1m", received=11, **unknown) for minute in range(120)]
    assert write(*page) == 120
    for few in (page[:60], page[60:]):
        assert write(*few, instrument_id=BTC + 1) == 60
    values = "SELECT source, interval, time, open, high, low, close, volume, quote_volume, trades, made_by, final, "
    rows = values + "received_at FROM venue_candle WHERE instrument_id = %s ORDER BY time"
    assert stored(rows, BTC) == stored(rows, BTC + 1)
    assert len(stored(rows, BTC)) == 120
    assert write(*page) == 0


def test_a_page_that_is_stored_in_part_is_completed():
    write(venue_bar(70, 1.0, "1m", final=False))
    assert write(*(venue_bar(minute, interval="1m", received=5) for minute in range(120))) == 120
    mixed = [venue_bar(200 + minute, interval="1m", volume=None if minute % 2 else 3.0) for minute in range(120)]
    assert write(*mixed) == 120
    found = store.candles(BTC, "1m", DAY_START, limit=500)
    assert (found[70].close, found[70].final, len(found)) == (500.0, True, 240)


def test_a_final_bar_is_not_opened_again_by_an_older_frame():
    write(venue_bar(0, 505.0))
    assert write(venue_bar(0, 499.0, final=False, received=99)) == 0
    write(venue_bar(5, 1.0, final=False, received=2))
    write(venue_bar(5, 2.0, final=False, received=1))
    write(venue_bar(10, 1.0, final=False), venue_bar(10, 3.0), venue_bar(10, 2.0, final=False, received=5))
    assert [(b.close, b.final) for b in store.candles(BTC, "5m", DAY_START)] == [
        (505.0, True), (1.0, False), (3.0, True),
    ]  # fmt: skip


def test_a_venue_that_never_says_closed_is_believed_at_the_next_bar():
    write(venue_bar(0, final=False), source=KRAKEN)
    write(venue_bar(5, final=False), source=KRAKEN)
    assert [b.final for b in store.candles(BTC, "5m", DAY_START, source=KRAKEN)] == [True, False]
    write(venue_bar(0, final=False), venue_bar(5, final=False), source=BINANCE)
    assert [b.final for b in store.candles(BTC, "5m", DAY_START, source=BINANCE)] == [False, False]


def test_bars_of_unknown_symbols_and_lengths_are_left_out():
    assert store.write_venue_bars(BINANCE, [venue_bar(0)], {"ETH": BTC}) == 0
    assert write(venue_bar(0, interval="3m")) == 0
    assert store.write_venue_bars(BINANCE, [], {}) == 0


def test_venue_bars_of_a_range():
    write(venue_bar(0), venue_bar(5), venue_bar(10, final=False))
    found = store.venue_bars(BTC, SIMULATED, "5m", DAY_START + 5 * MINUTE, DAY_START + DAY)
    assert [(b.time_us - T0, b.final) for b in found] == [(5 * MINUTE_US, True), (10 * MINUTE_US, False)]


def test_longer_bars_are_made_of_a_venues_minutes_where_there_is_nothing_better():
    write(*(venue_bar(i, 500.0 + i, interval="1m") for i in range(10)), venue_bar(5, 599.0))
    first, second = store.candles(BTC, "5m", DAY_START)
    assert (first.open, first.close, first.volume, first.trades, first.made_by) == (500.0, 504.0, 35.0, 15, VENUE)
    assert (second.close, second.final) == (599.0, True)
    store.copy_candles([bar(0)])
    assert [b.made_by for b in store.candles(BTC, "5m", DAY_START)] == [TRADES, VENUE]


# --- Polled


def test_polled_prices_make_bars_without_volume():
    prices = [(1, 100.0), (20, 104.0), (59, 99.0), (61, 101.0), (301, 90.0)]
    store.write_polled_prices(FINNHUB, [Polled(BTC, T0 + s * 1_000_000, price) for s, price in prices])
    first, second, _ = store.candles(BTC, "1m", DAY_START)
    assert (first.open, first.high, first.low, first.close) == (100.0, 104.0, 99.0, 99.0)
    assert (first.volume, first.trades, first.made_by, first.final) == (None, None, TICKER, True)
    assert second.close == 101.0
    five = store.candles(BTC, "5m", DAY_START)
    assert [(b.open, b.high, b.low, b.close, b.volume, b.made_by) for b in five] == [
        (100.0, 104.0, 99.0, 101.0, None, TICKER), (90.0, 90.0, 90.0, 90.0, None, TICKER),
    ]  # fmt: skip


def test_polled_prices_change_no_other_bar():
    write(venue_bar(0, interval="1m"), source=FINNHUB)
    store.write_polled_prices(FINNHUB, [Polled(BTC, T0 + 1, 1.0)])
    assert [b.close for b in store.candles(BTC, "1m", DAY_START)] == [500.0]


# --- Empty


def test_empty_minutes_are_shown_on_request():
    store.copy_candles([bar(0, 100), bar(3, 103)])
    assert times(store.candles(BTC, "1m", DAY_START, DAY_START + 5 * MINUTE)) == [0, 3]
    found = store.candles(BTC, "1m", DAY_START, DAY_START + 5 * MINUTE, fill="empty")
    assert times(found) == [0, 1, 2, 3, 4]
    assert [b.empty for b in found] == [False, True, True, False, True]
    empty = found[1]
    assert (empty.open, empty.high, empty.low, empty.close) == (100, 100, 100, 100)
    assert (empty.volume, empty.trades, empty.vwap, empty.final, empty.rev) == (0, 0, None, True, 0)


def test_filling_goes_on_from_the_bar_before_and_keeps_to_the_limit():
    store.copy_candles([bar(0, 100), bar(4, 104), bar(5, 105)])
    later = DAY_START + 2 * MINUTE
    found = store.candles(BTC, "1m", later, DAY_START + DAY, limit=3, fill="empty")
    assert [((b.time_us - T0) // MINUTE_US, b.close) for b in found] == [(2, 100), (3, 100), (4, 104)]
    newest = store.candles(BTC, "1m", end=DAY_START + 8 * MINUTE, limit=4, fill="empty")
    assert [((b.time_us - T0) // MINUTE_US, b.close) for b in newest] == [(4, 104), (5, 105), (6, 105), (7, 105)]


def test_no_price_is_made_up_before_the_first():
    store.copy_candles([bar(3, 103)])
    assert times(store.candles(BTC, "1m", DAY_START, DAY_START + 5 * MINUTE, fill="empty")) == [3, 4]
    assert store.candles(99, "1m", DAY_START, DAY_START + DAY, fill="empty") == []


# --- Sessions

HALF_DAY = dt.date(2024, 11, 29)


@pytest.fixture
def stock():
    """Trades from 9:30 to 16:00 in New York on weekdays, but on the day after Thanksgiving to 13:00, and not on it."""
    days = [dt.date(2024, 3, 1) + n * DAY for n in range(365)]
    table = [new_york_session(day) for day in days if day.weekday() < 5 and day != HALF_DAY - DAY]
    MarketCalendar.objects.create(
        name="XNYS", sessions=calendar.pack(table), until=to_datetime(table[-1].close_us), made_by="test"
    )
    sessions.forget()
    yield Instrument.objects.create(symbol="ACME", name="Acme", kind="equity", currency="USD", exchange="NASDAQ")
    sessions.forget()


def new_york(day, hour, minute=0):
    return to_us(dt.datetime.combine(day, dt.time(hour, minute), NEW_YORK))


def new_york_session(day):
    return Session(new_york(day, 9, 30), new_york(day, 13 if day == HALF_DAY else 16))


def minutes_at(stock, *at_us):
    """A bar a time, whose close is its number."""
    found = [bar((us - T0) // MINUTE_US, n + 1.0, instrument_id=stock.id) for n, us in enumerate(at_us)]
    store.copy_candles(found)


def daily(stock, **how):
    return [(to_datetime(b.time_us).date(), b.open, b.close, b.trades) for b in store.candles(stock.id, "1d", **how)]


def test_a_daily_bar_is_a_session_without_extended_hours(stock):
    friday, monday = dt.date(2024, 3, 8), dt.date(2024, 3, 11)  # the clocks changed between them
    minutes_at(
        stock,
        new_york(friday, 8), new_york(friday, 9, 30), new_york(friday, 15, 59), new_york(friday, 16),
        new_york(monday, 9, 29), new_york(monday, 9, 30), new_york(monday, 12), new_york(monday, 19),
    )  # fmt: skip
    expected = [(friday, 2.0, 3.0, 2), (monday, 6.0, 7.0, 2)]
    assert daily(stock) == expected
    assert daily(stock, start=dt.datetime(2024, 3, 1, tzinfo=dt.UTC)) == expected
    assert daily(stock, limit=1) == expected[1:]
    assert daily(stock, end=dt.datetime(2024, 3, 11, tzinfo=dt.UTC)) == expected[:1]
    assert store.candles(stock.id, "1d")[0].final is True
    assert len(store.candles(stock.id, "1h")) == 7  # shorter ones show what was traded before and after hours


def test_a_half_day_ends_at_its_own_close(stock):
    minutes_at(stock, new_york(HALF_DAY, 9, 30), new_york(HALF_DAY, 12, 59), new_york(HALF_DAY, 13))
    assert daily(stock) == [(HALF_DAY, 1.0, 2.0, 2)]


def test_only_sessions_can_be_empty(stock):
    wednesday, friday = HALF_DAY - 2 * DAY, HALF_DAY
    minutes_at(stock, new_york(wednesday, 15, 58), new_york(friday, 9, 31))
    start, end = to_datetime(new_york(wednesday, 15, 58)), to_datetime(new_york(friday, 9, 33))
    found = store.candles(stock.id, "1m", start, end, fill="empty")
    assert [to_datetime(b.time_us).astimezone(NEW_YORK).strftime("%a %H:%M") for b in found] == [
        "Wed 15:58", "Wed 15:59", "Fri 09:30", "Fri 09:31", "Fri 09:32",
    ]  # fmt: skip
    minutes_at(stock, new_york(dt.date(2024, 12, 3), 10))
    days = store.candles(stock.id, "1d", dt.datetime(2024, 11, 27, tzinfo=dt.UTC), fill="empty", limit=4)
    assert [(to_datetime(b.time_us).strftime("%a %d"), b.empty) for b in days] == [
        ("Wed 27", False), ("Fri 29", False), ("Mon 02", True), ("Tue 03", False),
    ]  # fmt: skip


def test_the_venues_daily_bar_counts_for_a_session_too(stock):
    minutes_at(stock, new_york(HALF_DAY, 10))
    midnight = to_us(dt.datetime.combine(HALF_DAY, dt.time(), dt.UTC))
    told = VenueBar("ACME", "1d", midnight, midnight, 1.0, 9.0, 1.0, 8.0, 1e6, final=True)
    store.write_venue_bars(SIMULATED, [told], {"ACME": stock.id})
    assert [(b.close, b.made_by) for b in store.candles(stock.id, "1d")] == [(8.0, VENUE)]


def test_recorded_minutes_make_the_session_that_they_hold(stock):
    """As the recording's own rows between the opening and the close say; it also has those before and after."""
    day = dt.date(2014, 6, 5)
    MarketCalendar.objects.update(sessions=calendar.pack([new_york_session(day)]))
    sessions.forget()
    midnight_us = new_york(day, 0)
    rows = [tuple(map(int, line)) for line in zipped("lean/equity_minute/aapl_20140605_trade.zip")]
    store.copy_candles(recorded_bar(stock, midnight_us + ms * 1000, *values) for ms, *values in rows)
    inside = [row for row in rows if 34_200_000 <= row[0] < 57_600_000]
    assert 0 < len(inside) < len(rows)
    (found,) = store.candles(stock.id, "1d", adjust=None)
    assert (found.open, found.close) == (inside[0][1] / 1e4, inside[-1][4] / 1e4)
    assert (found.high, found.low) == (max(r[2] for r in inside) / 1e4, min(r[3] for r in inside) / 1e4)
    assert found.volume == sum(r[5] for r in inside)


def recorded_bar(stock, at_us, open_, high, low, close, volume):
    return Bar(
        stock.id, SIMULATED, at_us, open_ / 1e4, high / 1e4, low / 1e4, close / 1e4, float(volume), 0.0, 1,
        at_us, 0, at_us, 0, final=True,
    )  # fmt: skip


def zipped(name):
    with zipfile.ZipFile(recording(name)) as archive:
        return list(csv.reader(io.StringIO(archive.read(archive.namelist()[0]).decode())))


# --- Splits and dividends


def test_a_split_changes_what_came_before_it():
    btc = Instrument.objects.create(pk=BTC, symbol="X", name="X", kind="crypto", currency="USD")
    AdjustmentFactor.objects.create(instrument=btc, ex_date=dt.date(2024, 8, 9), split_factor=4.0)
    store.copy_candles([bar(0, 400.0, volume=2.0), bar(1440, 100.0, volume=2.0)])
    before, after = store.candles(BTC, "1m", DAY_START)
    assert (before.open, before.close, before.volume) == (100.0, 100.0, 8.0)
    assert (after.close, after.volume) == (100.0, 2.0)
    assert [b.close for b in store.candles(BTC, "1m", DAY_START, adjust=None)] == [400.0, 100.0]
    assert stored("SELECT close FROM candle_1m ORDER BY time") == [(400.0,), (100.0,)]


def test_a_split_of_the_future_changes_nothing_yet():
    btc = Instrument.objects.create(pk=BTC, symbol="X", name="X", kind="crypto", currency="USD")
    AdjustmentFactor.objects.create(instrument=btc, ex_date=dt.datetime.now(dt.UTC).date() + DAY, split_factor=4.0)
    store.copy_candles([bar(0, 400.0)])
    assert [b.close for b in store.candles(BTC, "1m", DAY_START)] == [400.0]


def test_recorded_history_adjusts_as_its_factors_say():
    """The recording tells, for each stretch, what everything after it makes of its prices; our factors are one event
    each. Their product must be the same, on every day since 1998."""
    stock = Instrument.objects.create(symbol="AAPL", name="Apple", kind="equity", currency="USD", exchange="NASDAQ")
    rows = zipped("lean/equity_daily/aapl.zip")
    days = [dt.datetime.strptime(row[0][:8], "%Y%m%d").replace(tzinfo=dt.UTC) for row in rows]
    closes = [int(row[4]) / 1e4 for row in rows]
    store.write_venue_bars(
        FINNHUB,
        [
            VenueBar("AAPL", "1d", to_us(day), 0, *(int(v) / 1e4 for v in row[1:5]), float(row[5]), final=True)
            for day, row in zip(days, rows, strict=True)
        ],
        {"AAPL": stock.id},
    )
    steps = [line.split(",") for line in recording("lean/corporate/factor_aapl.csv").read_text().split()]
    until = [dt.datetime.strptime(step[0], "%Y%m%d").replace(tzinfo=dt.UTC) for step in steps]
    price, split, reference = ([float(step[i]) for step in steps] for i in (1, 2, 3))
    for i in range(1, len(steps) - 1):  # the first only says when the recording begins
        AdjustmentFactor.objects.create(
            instrument=stock,
            ex_date=days[bisect_right(days, until[i])].date(),
            split_factor=split[i + 1] / split[i],
            dividend=reference[i] * (1 - price[i] / price[i + 1]),
        )

    def adjusted(way):
        return [b.close for b in store.candles(stock.id, "1d", days[0], limit=10_000, adjust=way)]

    stretch = [bisect_left(until, day) for day in days]
    assert adjusted(None) == closes
    assert adjusted("split") == pytest.approx([c * split[s] for c, s in zip(closes, stretch, strict=True)], rel=1e-6)
    assert adjusted("total") == pytest.approx(
        [c * split[s] * price[s] for c, s in zip(closes, stretch, strict=True)], rel=1e-4
    )
