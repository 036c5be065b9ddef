"""The simulated market with its faults through the product: the disk is in the end as if there had been none."""

import time

import pytest

from ingestion import opening
from ingestion.journal import Journal
from ingestion.models import Gap
from ingestion.providers.simulated import SECOND_US, Simulation
from ingestion.providers.simulated_faults import DELAY_MAX_US, GAP, MUTE, Faults, FaultySimulation, market
from ingestion.store import to_datetime, to_us
from ingestion.symbols import Known
from ingestion.tasks import heal_gaps, persist
from ingestion.writer import Writer
from tests.ingestion.listening import listening
from tests.ingestion.market import make_instrument
from tests.ingestion.rows import empty_tables, stored
from tests.processes import wait_for

SYMBOLS = ["BTC-USDT", "ETH-USDT"]
RATE = 40
STEP_US = 2 * SECOND_US
# Whole minutes, so that all candles become final.
FROM_US = 1_760_000_040_000_000
UNTIL_US = FROM_US + 120 * SECOND_US
TRADES = "SELECT instrument_id, time, trade_id, price, quantity, side, flags FROM trade ORDER BY 1, 2, 3"
QUOTES = "SELECT instrument_id, time, quote_id, bid, ask, flags FROM quote ORDER BY 1, 2, 3"
CANDLES = """SELECT instrument_id, time, open, high, low, close, trades, final, volume, quote_volume
             FROM candle_1m ORDER BY 1, 2"""


@pytest.fixture
def instruments(transactional_db):
    return {symbol: make_instrument(symbol, simulated=symbol).pk for symbol in SYMBOLS}


def brought(shard, instruments, faults):
    """What is on disk after the two minutes were told with these faults, two seconds at a time."""
    empty_tables()
    told = market(7, SYMBOLS, RATE, Faults.parse(faults))
    known = {symbol: Known(pk, symbol, "crypto") for symbol, pk in instruments.items()}
    pipeline, journal = opening.live("simulated", known, FROM_US), Journal(shard, 1)
    now_us = FROM_US
    writer = Writer(shard, 1, live=False, clock=lambda: now_us)
    while now_us < UNTIL_US + DELAY_MAX_US:
        ticks = told.ticks(now_us, now_us + STEP_US)
        now_us += STEP_US
        pipeline.offer(tick for tick in ticks if FROM_US <= tick.time_us < UNTIL_US)
        while (batch := pipeline.take(now_us)) is not None:
            journal.append(batch.flush)
            writer.step()
            if not pipeline.waiting:
                break
    writer.seal()
    return stored(TRADES), stored(QUOTES), stored(CANDLES)


@pytest.mark.usefixtures("tick_tables", "own_prefix")
def test_twice_late_out_of_order_and_slow_the_disk_is_the_same(shard, instruments):
    trades, quotes, candles = brought(shard, instruments, "duplicate=0.1,late=0.1,out_of_order=0.3,slow=0.1")
    plain_trades, plain_quotes, plain_candles = brought(f"{shard}-plain", instruments, "")
    assert trades == plain_trades
    assert quotes == plain_quotes
    assert [row[:8] for row in candles] == [row[:8] for row in plain_candles]
    assert [row[8:] for row in candles] == [pytest.approx(row[8:], rel=1e-12) for row in plain_candles]
    assert sum(row[6] for row in candles) == sum(Simulation(7, SYMBOLS, RATE).totals(FROM_US, UNTIL_US).trades.values())


def soonest(faults):
    """(outage, seed) of the seed whose next one begins first, but not before a second and a half from now."""
    from_us = time.time_ns() // 1000 + SECOND_US * 3 // 2
    market = Simulation(0, SYMBOLS, RATE)
    found = [
        (outage.from_us, seed, outage)
        for seed in range(200)
        for outage in FaultySimulation(market, seed, faults).outages(from_us, from_us + 8 * SECOND_US)
        if outage.from_us >= from_us
    ]
    _, seed, outage = min(found, key=lambda each: each[:2])
    return seed, outage


@pytest.mark.usefixtures("tick_tables", "own_prefix")
@pytest.mark.parametrize("kind", [GAP, MUTE])
def test_an_outage_is_in_the_ledger_and_is_repaired(instruments, settings, kind):
    faults = f"{kind}=0.3"
    seed, outage = soonest(Faults.parse(faults))
    settings.FEEDS, settings.SYMBOLS = ["simulated"], []
    settings.SIMULATED_SEED, settings.SIMULATED_TICKS_PER_S, settings.SIMULATED_FAULTS = seed, RATE, faults
    settings.REPAIR_MIN_AGE_S = 0.0
    with listening("simulated:0", persist), listening("simulated:0"):
        gap = wait_for(lambda: covering(outage), 20, "the outage in the ledger")
        after_us = outage.until_us + SECOND_US // 2
        wait_for(lambda: times() and max(times()) > after_us, 10, "trades after it")
    heal_gaps()
    kept = [at for at in times() if outage.from_us <= at < outage.until_us]
    assert len(kept) == sum(Simulation(seed, SYMBOLS, RATE).totals(outage.from_us, outage.until_us).trades.values()) > 0
    assert Gap.objects.get(pk=gap.pk).status == Gap.Status.FILLED


def covering(outage):
    """The gap that says of it, once it is over."""
    from_, until = to_datetime(outage.from_us), to_datetime(outage.until_us)
    return Gap.objects.filter(started_at__lte=from_, ended_at__gte=until).first()


def times():
    return [to_us(at) for (at,) in stored("SELECT time FROM trade")]
