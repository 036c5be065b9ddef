"""The simulated market told badly: the same each time, in any pieces, with known totals, and nothing invented."""

from collections import Counter
from itertools import pairwise

import pytest

from ingestion.providers.simulated import SECOND_US, Simulation
from ingestion.providers.simulated_faults import (
    CROSSED,
    DELAY_MAX_US,
    DUPLICATE,
    GAP,
    LATE,
    LOST,
    MUTE,
    OUT_OF_ORDER,
    Faults,
    FaultySimulation,
    market,
)
from ingestion.ticks import Quote, Trade

RATE = 40  # ticks a second
SYMBOLS = ["BTC-USDT", "ETH-USDT"]
FROM_US = 1_760_000_000_000_000
UNTIL_US = FROM_US + 120 * SECOND_US
EVERYTHING = "duplicate=0.05,late=0.05,out_of_order=0.1,crossed=0.05,gap=0.08,mute=0.05,slow=0.05"


def faulty(faults=EVERYTHING, seed=7):
    return FaultySimulation(Simulation(seed, SYMBOLS, RATE), seed, Faults.parse(faults))


def received(simulation):
    """All that is ever received of the two minutes."""
    ticks = simulation.ticks(FROM_US, UNTIL_US + DELAY_MAX_US)
    return [tick for tick in ticks if FROM_US <= tick.time_us < UNTIL_US]


def trades(ticks):
    return [tick for tick in ticks if isinstance(tick, Trade)]


def bare(trade):
    return trade.symbol, trade.time_us, trade.trade_id, trade.price, trade.quantity, trade.side


def test_any_pieces_give_the_same():
    whole = faulty().ticks(FROM_US, UNTIL_US)
    pieces = faulty()
    edges = [*range(FROM_US, UNTIL_US, 777_777), UNTIL_US]
    assert [t for a, b in pairwise(edges) for t in pieces.ticks(a, b)] == whole
    assert [tick.received_us for tick in whole] == sorted(tick.received_us for tick in whole)


def test_another_seed_goes_wrong_elsewhere():
    assert faulty(seed=7).outages(FROM_US, UNTIL_US) != faulty(seed=8).outages(FROM_US, UNTIL_US)


def test_what_is_received_are_the_markets_own_trades_with_those_lost_in_outages_missing():
    simulation = faulty()
    came = {bare(trade) for trade in trades(received(simulation))}
    whole = trades(Simulation(7, SYMBOLS, RATE).ticks(FROM_US, UNTIL_US))
    outages = simulation.outages(FROM_US, UNTIL_US)
    assert {outage.kind for outage in outages} == {GAP, MUTE}
    kept = {bare(t) for t in whole if not any(o.from_us <= t.time_us < o.until_us for o in outages)}
    assert came == kept
    assert len(kept) < len(whole)


def test_totals_are_exact():
    simulation = faulty()
    came = received(simulation)
    totals = simulation.totals(FROM_US, UNTIL_US)
    once = {(type(t), t.symbol, t.trade_id if isinstance(t, Trade) else t.quote_id) for t in came if _stored(t)}
    assert sum(totals.trades.values()) == sum(kind is Trade for kind, *_ in once)
    assert sum(totals.quotes.values()) == sum(kind is Quote for kind, *_ in once)
    assert totals.faults[DUPLICATE] == len([t for t in came if _stored(t)]) - len(once)
    assert totals.faults[CROSSED] == len(
        {(t.symbol, t.quote_id) for t in came if isinstance(t, Quote) and t.bid > t.ask}
    )
    plain = Simulation(7, SYMBOLS, RATE).totals(FROM_US, UNTIL_US)
    ticks = sum(plain.trades.values()) + sum(plain.quotes.values())
    assert totals.faults[LOST] == ticks - len(once)
    for symbol in SYMBOLS:
        quantities = {trade.trade_id: trade.quantity for trade in trades(came) if trade.symbol == symbol}
        assert float(totals.volume[symbol]) == pytest.approx(sum(quantities.values()), rel=1e-12)


def _stored(tick):
    return isinstance(tick, (Trade, Quote))


@pytest.mark.parametrize(("fault", "least_us", "most_us"), [(LATE, 300_000, 8 * SECOND_US), (OUT_OF_ORDER, 1, 300_000)])
def test_late_and_out_of_order_are_late_by_so_much(fault, least_us, most_us):
    simulation = faulty(f"{fault}=0.2")
    late = [t for t in trades(received(simulation)) if t.received_us > t.time_us]
    assert len(late) == simulation.totals(FROM_US, UNTIL_US).faults[fault] > 200
    assert all(least_us <= trade.received_us - trade.time_us <= most_us for trade in late)


def test_slow_stretches_delay_everything_and_lose_nothing():
    simulation = faulty("slow=0.2")
    came = trades(received(simulation))
    assert Counter(trade.received_us - trade.time_us for trade in came).keys() == {0, 2 * SECOND_US}
    assert len(came) == sum(Simulation(7, SYMBOLS, RATE).totals(FROM_US, UNTIL_US).trades.values())


def test_nothing_is_received_during_an_outage():
    simulation = faulty()
    outages = simulation.outages(FROM_US, UNTIL_US)
    assert outages
    for outage in outages:
        assert simulation.ticks(outage.from_us, outage.until_us) == []


@pytest.mark.parametrize("wrong", ["nonsense=0.1", "late=2", "late=0.6,out_of_order=0.6", "gap=0.2,mute=0.2", "late=x"])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError):
        Faults.parse(wrong)


def test_without_faults_it_is_the_market_itself():
    assert isinstance(market(7, SYMBOLS, 100, Faults.parse("")), Simulation)
