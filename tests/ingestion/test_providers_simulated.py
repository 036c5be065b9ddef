"""The simulated market: the same for whoever asks, exact in its counts, and shaped like a market."""

import collections
import itertools
import math
import statistics
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.candles import MINUTE_US, bars, fold
from ingestion.providers.simulated import INSTRUMENTS, Simulation, instrument
from ingestion.ticks import BUY, SELL, BookSnapshot, Quote, Ticker, Trade, pack_trades, unpack_trades

SECOND_US = 1_000_000
T0 = 1_760_000_000_000_000
DEMO = list(INSTRUMENTS)


def of(ticks, kind):
    return [tick for tick in ticks if type(tick) is kind]


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 3 * SECOND_US), max_size=12))
def test_ticks_are_the_same_in_whatever_pieces_they_are_asked_for(cuts):
    edges = [T0, *sorted({T0 + cut for cut in cuts}), T0 + 3 * SECOND_US + 1]
    pieces = Simulation(7, DEMO, 200)
    asked = [tick for start, end in itertools.pairwise(edges) for tick in pieces.ticks(start, end)]
    assert asked == Simulation(7, DEMO, 200).ticks(T0, T0 + 3 * SECOND_US + 1)


def test_another_seed_is_another_market():
    one, other = (Simulation(seed, ["AAPL"], 20).ticks(T0, T0 + SECOND_US) for seed in (7, 8))
    assert one != other


def test_ticks_come_in_time_order_within_the_asked_time_at_the_asked_rate():
    ticks = Simulation(7, DEMO, 2000).ticks(T0 + 3, T0 + 10 * SECOND_US)
    times = [tick.time_us for tick in ticks]
    assert times == sorted(times)
    assert times[0] >= T0 + 3
    assert times[-1] < T0 + 10 * SECOND_US
    assert len(of(ticks, Trade)) + len(of(ticks, Quote)) == pytest.approx(20_000, rel=0.05)
    assert collections.Counter(tick.symbol for tick in of(ticks, BookSnapshot)) == dict.fromkeys(DEMO, 10)
    assert collections.Counter(tick.symbol for tick in of(ticks, Ticker)) == dict.fromkeys(DEMO, 2)


def test_trade_ids_are_unique_rise_with_time_and_fit_a_browsers_number():
    trades = of(Simulation(7, DEMO, 5000).ticks(T0, T0 + 4 * SECOND_US), Trade)
    by_symbol = collections.defaultdict(list)
    for trade in trades:
        by_symbol[trade.symbol].append(trade.trade_id)
    for ids in by_symbol.values():
        assert ids == sorted(set(ids))
    assert max(trade.trade_id for trade in trades) < 2**53


@pytest.mark.parametrize("ticks_per_s", [30, 40_000])
def test_totals_are_exact(ticks_per_s):
    simulation = Simulation(7, DEMO, ticks_per_s)
    start, end = T0 + 17, T0 + SECOND_US * 2 - 5
    ticks = simulation.ticks(start, end)
    totals = simulation.totals(start, end)
    volume = dict.fromkeys(DEMO, Decimal(0))
    for trade in of(ticks, Trade):
        volume[trade.symbol] += Decimal(repr(trade.quantity))
    assert totals.volume == volume
    assert +collections.Counter(totals.trades) == collections.Counter(t.symbol for t in of(ticks, Trade))
    assert +collections.Counter(totals.quotes) == collections.Counter(t.symbol for t in of(ticks, Quote))


def test_prices_are_whole_ticks_and_the_market_is_never_crossed():
    ticks = Simulation(7, DEMO, 2000).ticks(T0, T0 + 5 * SECOND_US)
    for trade in of(ticks, Trade):
        spec = INSTRUMENTS[trade.symbol]
        steps = Decimal(repr(trade.price)) * 10**spec.decimals / spec.step
        assert steps == int(steps) > 0
        assert trade.quantity > 0
        assert trade.side in (BUY, SELL)
    for quote in of(ticks, Quote):
        assert 0 < quote.bid < quote.ask
    for book in of(ticks, BookSnapshot):
        assert len(book.bids) == len(book.asks) == 20
        bids, asks = [p for p, _ in book.bids], [p for p, _ in book.asks]
        assert bids == sorted(set(bids), reverse=True)
        assert asks == sorted(set(asks))
        assert bids[0] < asks[0]
        assert all(quantity > 0 for _, quantity in (*book.bids, *book.asks))
    for ticker in of(ticks, Ticker):
        assert ticker.low <= min(ticker.last, ticker.open)
        assert ticker.high >= max(ticker.last, ticker.open)


def test_buyers_take_about_half():
    sides = [trade.side for trade in of(Simulation(7, DEMO, 5000).ticks(T0, T0 + 2 * SECOND_US), Trade)]
    assert abs(sum(sides)) < 5 * math.sqrt(len(sides))


def test_two_symbols_of_one_path_stay_together():
    simulation = Simulation(7, ["BTC-USD", "BTC-USDT"], 10)
    times = [T0 + day * 86_400 * SECOND_US for day in range(365)]
    pairs = zip(simulation.prices("BTC-USD", times), simulation.prices("BTC-USDT", times), strict=True)
    assert all(abs(usd / usdt - 1) < 0.001 for usd, usdt in pairs)


@pytest.mark.parametrize("symbol", ["BTC-USDT", "AAPL", "EURUSD=X"])
def test_the_path_moves_by_its_volatility_at_every_scale_and_does_not_run_away(symbol):
    simulation, spec = Simulation(7, [symbol], 10), INSTRUMENTS[symbol]
    year_s = 365.25 * 86_400
    for step_s, tolerance in ((60, 0.1), (3600, 0.1), (86_400, 0.15)):
        path = simulation.prices(symbol, [T0 + i * step_s * SECOND_US for i in range(1500)])
        moves = [math.log(b / a) for a, b in itertools.pairwise(path)]
        assert statistics.pstdev(moves) * math.sqrt(year_s / step_s) == pytest.approx(spec.volatility, rel=tolerance)
    decades = simulation.prices(symbol, [i * 30 * 86_400 * SECOND_US for i in range(40 * 12)])
    assert all(0.2 < price / spec.start < 5 for price in decades)


def test_candles_enclose_their_path_follow_each_other_and_run_into_the_ticks():
    simulation = Simulation(7, ["BTC-USDT"], 600)
    history = simulation.candles("BTC-USDT", T0 - 3600 * SECOND_US, T0, instrument_id=5)
    start = T0 // MINUTE_US * MINUTE_US
    assert [bar.time_us for bar in history] == list(range(start - 59 * MINUTE_US, start, MINUTE_US))
    for bar, after in itertools.pairwise(history):
        assert bar.low <= min(bar.open, bar.close)
        assert bar.high >= max(bar.open, bar.close)
        assert bar.close == after.open == simulation.price("BTC-USDT", after.time_us)
        assert (bar.interval, bar.final, bar.instrument_id) == ("1m", True, 5)
        assert bar.trades > 0
        assert bar.low <= bar.vwap <= bar.high
    live = of(simulation.ticks(start - MINUTE_US, start), Trade)
    (real,) = bars(fold(unpack_trades(pack_trades(live, {"BTC-USDT": 5}, 1))))
    made = history[-1]
    for a, b in ((real.open, made.open), (real.close, made.close), (real.high, made.high), (real.low, made.low)):
        assert a == pytest.approx(b, rel=3e-4)
    assert real.trades == pytest.approx(made.trades, rel=0.3)
    # Were they merged, the real trades would be within the made bar.
    assert made.first_time_us <= real.first_time_us
    assert real.last_id <= made.last_id


def test_a_stretch_without_a_whole_minute_has_no_candles():
    assert Simulation(7, ["AAPL"], 10).candles("AAPL", T0, T0 + 1) == []


def test_an_unknown_symbol_gets_a_market_of_its_own_each_time_the_same():
    assert instrument("NEWCO") == instrument("NEWCO") != instrument("OTHER")
    assert of(Simulation(7, ["NEWCO"], 50).ticks(T0, T0 + SECOND_US), Trade)


def test_no_symbols_no_ticks():
    assert Simulation(7, [], 50).ticks(T0, T0 + SECOND_US) == []


@pytest.mark.parametrize("rate", [0, -1, float("nan"), 1e9])
def test_a_rate_out_of_bounds_is_refused(rate):
    with pytest.raises(ValueError, match="ticks_per_s"):
        Simulation(7, DEMO, rate)
