"""Bars of many instruments by one query: the same as each of them by itself. Prices that stood at an instant."""

import datetime as dt

import pytest

from ingestion import store
from ingestion.candles import INTERVALS
from ingestion.models import AdjustmentFactor, Instrument
from ingestion.providers import SOURCES
from ingestion.store import Key, Moment, Polled, Span
from ingestion.store.many import REACH
from tests.ingestion.rows import BTC, ETH, MINUTE_US, SIMULATED, T0, forget_aggregates
from tests.ingestion.test_bars import venue_bar, write
from tests.ingestion.test_store import bar

pytestmark = pytest.mark.storage

HOUR, DAY = 60, 1440
BINANCE = SOURCES["binance"]
POLLED = 13
LINES = [(BTC, SIMULATED), (ETH, SIMULATED), (ETH, BINANCE), (POLLED, SIMULATED), (BTC, BINANCE)]


def fill(rolled_up=False):
    """Two days of every minute, of few, of a venue's and of polled ones; then some more, written after the others were
    rolled up."""
    store.copy_candles([bar(n, close=100 + n % 7) for n in range(2 * DAY)])
    store.copy_candles([bar(n, close=50 + n % 5, instrument_id=ETH) for n in range(0, 2 * DAY, 97)])
    store.copy_candles([bar(n, instrument_id=ETH, source=BINANCE) for n in range(DAY)])
    if rolled_up:
        store.refresh()
    store.copy_candles([bar(2 * DAY + n, final=n < 100) for n in range(101)])
    write(venue_bar(DAY, interval="1h"), venue_bar(DAY + HOUR, interval="1h", final=False))
    write(*(venue_bar(2 * DAY + HOUR + n, interval="1m") for n in range(30)), instrument_id=ETH)
    store.write_polled_prices(SIMULATED, [Polled(POLLED, T0 + n * MINUTE_US, 10.0 + n) for n in range(200)])


@pytest.fixture
def market(tick_tables_in_transaction):
    fill()


def alone(interval, span):
    """What `candles` says of one, as far back as it is read with others."""
    end, (instrument_id, source, _, most) = store.to_datetime(span.end_us), span
    found = store.candles(instrument_id, interval, end=end, limit=most, source=source)
    reach_us = (most * REACH - 1) * INTERVALS[interval]
    return [one for one in found if one.final and one.time_us >= found[-1].time_us - reach_us]


def compare(interval):
    for minute in (2 * DAY + 95, DAY - 60):
        for most in (3, 40):
            spans = [Span(*line, T0 + minute * MINUTE_US, most) for line in LINES]
            expected = {Key(*span[:3]): alone(interval, span) for span in spans}
            assert store.last_bars(interval, spans) == expected, (interval, minute, most)


def test_many_at_once_are_as_each_by_itself(market):
    for interval in store.ROLLED:
        compare(interval)


def test_rolled_up_ones_too(tick_tables):
    forget_aggregates()
    fill(rolled_up=True)
    for interval in ("5m", "1h", "4h"):
        compare(interval)


def test_one_instrument_at_several_times(market):
    spans = [Span(BTC, SIMULATED, T0 + minute * MINUTE_US, 5) for minute in (DAY, DAY + HOUR)]
    assert store.last_bars("15m", spans) == {Key(*span[:3]): alone("15m", span) for span in spans}
    assert store.last_bars("15m", []) == {}


def test_the_last_minutes_are_ours_and_the_venues(market):
    spans = [Span(BTC, SIMULATED, T0 + 2 * DAY * MINUTE_US, 40), Span(ETH, SIMULATED, T0 + 3 * DAY * MINUTE_US, 40)]
    told = store.last_bars("1m", spans)
    assert told[Key(*spans[0][:3])] == alone("1m", spans[0])
    assert told[Key(*spans[1][:3])] == [], "from so long ago"
    late = Span(ETH, SIMULATED, T0 + (2 * DAY + 2 * HOUR) * MINUTE_US, 40)
    assert [one.made_by for one in store.last_bars("1m", [late])[Key(*late[:3])]] == ["trades"] * 2 + ["venue"] * 30


def test_it_takes_a_few_queries(market, django_assert_max_num_queries):
    spans = [Span(*line, T0 + 2 * DAY * MINUTE_US, 10) for line in LINES]
    with django_assert_max_num_queries(12):
        store.last_bars("1h", spans)


def test_a_split_counts_for_all(market):
    Instrument.objects.create(pk=BTC, symbol="X", name="X", kind="crypto", currency="USD")
    AdjustmentFactor.objects.create(instrument_id=BTC, ex_date=dt.date(2024, 8, 9), split_factor=4.0)
    span = Span(BTC, SIMULATED, T0 + (DAY + HOUR) * MINUTE_US, 3)
    told = store.last_bars("1h", [span])[Key(*span[:3])]
    assert told == alone("1h", span)
    assert told[0].close < 30 < told[-1].close


def test_which_sources_have_bars(market):
    start, end = store.to_datetime(T0), store.to_datetime(T0 + DAY * MINUTE_US)
    found = store.sources_with_bars([BTC, ETH, POLLED, 99], "1h", start, end)
    assert sorted(found) == [(BTC, SIMULATED), (ETH, SIMULATED), (ETH, BINANCE), (POLLED, SIMULATED)]
    assert store.sources_with_bars([BTC], "1h", end + dt.timedelta(days=5), end + dt.timedelta(days=6)) == []


def test_the_price_that_stood(market):
    at_us = T0 + (DAY + 3) * MINUTE_US + 20_000_000
    moments = [Moment(i, SIMULATED, at_us) for i in (BTC, ETH, POLLED, 99)] + [Moment(BTC, SIMULATED, T0)]
    found = store.prices_at(moments)
    assert {moment.instrument_id: tuple(stood) for moment, stood in found.items()} == {
        BTC: (100.0 + (DAY + 2) % 7, T0 + (DAY + 3) * MINUTE_US),
        ETH: (50.0 + 1358 % 5, T0 + 1359 * MINUTE_US),
        POLLED: (209.0, T0 + 200 * MINUTE_US),
    }
    assert store.prices_at([]) == {}
