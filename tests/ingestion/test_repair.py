"""Whatever was lost, the end is what would be there had nothing been lost; or it is said why it cannot be."""

import datetime as dt
import random

import pytest
from django.utils import timezone

from ingestion import backfill, gaps, repair, store, tasks, writer
from ingestion.holes import Hole
from ingestion.journal import Gap as JournalGap
from ingestion.models import Backfill, BackfillChunk, Gap, HistoryRequest
from ingestion.providers import SOURCES
from ingestion.providers.simulated import Simulation
from ingestion.repair import Turn
from ingestion.store.times import to_us
from ingestion.ticks import BACKFILL, Trade
from tests.ingestion.market import make_instrument
from tests.ingestion.rows import stored
from tests.venues import faults
from tests.venues.binance import BinanceVenue
from tests.venues.binance_history import BinanceHistory
from tests.venues.coinbase import CoinbaseVenue
from tests.venues.coinbase_history import CoinbaseHistory
from tests.venues.kraken import KrakenVenue
from tests.venues.kraken_history import KrakenHistory
from tests.venues.market import SentTrade

pytestmark = [pytest.mark.usefixtures("tick_tables", "own_prefix")]

SECOND_US = 1_000_000
START_US = to_us(timezone.now().replace(second=0, microsecond=0) - dt.timedelta(hours=3))
VENUES = {
    "binance": (BinanceVenue, BinanceHistory, "BTCUSDT", "ETHUSDT"),
    "coinbase": (CoinbaseVenue, CoinbaseHistory, "BTC-USD", "ETH-USD"),
    "kraken": (KrakenVenue, lambda venue: KrakenHistory(venue, spacing_s=0), "BTC/USD", "ETH/USD"),
}


@pytest.fixture(autouse=True)
def _patience(settings):
    settings.REST_RETRY_S = 0.01
    settings.REPAIR_BUDGET_WAIT_S = 0.5
    settings.REPAIR_RETRY_MIN_S = settings.REPAIR_RETRY_MAX_S = 0.0
    settings.KRAKEN_REQUEST_SPACING_S = 0.01
    settings.COINBASE_REQUESTS_PER_S = 9


@pytest.fixture(params=sorted(VENUES))
def provider(request):
    return request.param


class Market:
    """One venue, its two instruments, and their trades: one every 2 s for twenty minutes, some minutes without."""

    def __init__(self, provider, venue, history):
        self.provider, self.venue, self.history = provider, venue, history
        self.source = SOURCES[provider]
        _, _, btc, eth = VENUES[provider]
        self.instruments = {
            btc: make_instrument("BTC-USD", **{provider: btc}), eth: make_instrument("ETH-USD", **{provider: eth}),
        }  # fmt: skip
        for n, symbol in enumerate(self.instruments):
            chance = random.Random(n)
            venue.market.trades[symbol] = [
                SentTrade(
                    symbol, 10_000 * (n + 1) + i, f"{100 + chance.random():.2f}", f"{chance.random() + 0.01:.5f}",
                    START_US + (i * 2 + i // 30 % 4 * 60) * SECOND_US // 1000 * 1000 + i * 4_000, bool(i % 2),
                )
                for i in range(600)
            ]  # fmt: skip
            venue.market.trades[symbol].sort(key=lambda t: (t.time_us, t.trade_id))
            venue.market.trades[symbol] = [
                SentTrade(t.symbol, 10_000 * (n + 1) + i, t.price, t.quantity, t.time_us, t.buyer_is_maker)
                for i, t in enumerate(venue.market.trades[symbol])
            ]

    def live(self, symbol, keep=lambda trade: True):
        """The trades that arrived when they happened, as a writer stores them."""
        trades = [_heard(t) for t in self.venue.market.trades[symbol] if keep(t)]
        instrument = self.instruments[symbol]
        backfill.store_trades(self.source, instrument.id, trades, to_us(timezone.now()))
        stored("UPDATE trade SET flags = 0 WHERE instrument_id = %s RETURNING 1", instrument.id)

    def hole(self, symbol, first, last):
        """Between the first and the last of these numbers, both missing."""
        trades = self.venue.market.trades[symbol]
        return Hole(
            symbol, trades[first].trade_id, trades[last].trade_id, trades[first - 1].time_us, trades[last + 1].time_us
        )


def _heard(sent):
    side = -1 if sent.buyer_is_maker else 1
    return Trade(sent.symbol, sent.time_us, sent.time_us, sent.trade_id, float(sent.price), float(sent.quantity), side)


@pytest.fixture
def market(provider, settings):
    with make_market(provider, settings) as found:
        yield found
        assert not found.venue.violations


@pytest.fixture
def binance(settings):
    with make_market("binance", settings) as found:
        yield found


class make_market:
    def __init__(self, provider, settings):
        make, history, _, _ = VENUES[provider]
        self.provider, self.settings, self.venue, self.history = provider, settings, make(), history

    def __enter__(self):
        self.venue.__enter__()
        setattr(self.settings, f"{self.provider.upper()}_REST_URL", self.venue.rest_url)
        self.settings.COINBASE_EXCHANGE_REST_URL = self.venue.rest_url
        return Market(self.provider, self.venue, self.history(self.venue))

    def __exit__(self, *error):
        self.venue.__exit__(*error)


def state():
    """What is on disk, but for when and how it came: trades, and candles without their revisions."""
    trades = stored(
        "SELECT instrument_id, source, time, trade_id, price, quantity, side FROM trade ORDER BY 1, 2, 3, 4"
    )
    candles = stored(
        """SELECT instrument_id, source, time, open, high, low, close, volume, quote_volume, trades, first_id, last_id,
                  final FROM candle_1m ORDER BY 1, 2, 3"""
    )
    return trades, candles


def faultless(market):
    for symbol in market.instruments:
        market.live(symbol)
    found = state()
    stored("DELETE FROM trade RETURNING 1")
    stored("DELETE FROM candle_1m RETURNING 1")
    return found


def heal():
    return repair.heal(Turn(60))


def shard_gap(market, first, last):
    """The feed was away from one of the first instrument's trades to another."""
    trades = next(iter(market.venue.market.trades.values()))
    gap = JournalGap("disconnected", trades[first].time_us - 1000, trades[last].time_us + 1000, 0)
    store.record_gap(f"{market.provider}:0", gap)
    return gap


# --- The end is as it would have been


def test_a_hole_is_filled_and_proved(market):
    expected = faultless(market)
    btc, eth = market.instruments
    market.live(btc, lambda t: not 10_100 <= t.trade_id <= 10_250)
    market.live(eth)
    gaps.record(market.provider, [market.hole(btc, 100, 250)])

    assert tasks.heal_gaps() == 1

    assert state() == expected
    gap = Gap.objects.get()
    assert (gap.status, gap.repaired) == (Gap.Status.FILLED, 151)
    assert stored("SELECT count(*) FROM trade WHERE flags = %s", BACKFILL) == [(151,)]
    assert stored("SELECT max(rev) FROM candle_1m") == [(1,)]
    before, asked = state(), len(market.history.calls)
    assert tasks.heal_gaps() == 0
    assert (state(), len(market.history.calls)) == (before, asked)


def test_a_shards_gap_is_every_instruments(market):
    expected = faultless(market)
    gap = shard_gap(market, 100, 400)
    for symbol in market.instruments:
        market.live(symbol, lambda t: not gap.from_us <= t.time_us <= gap.until_us)
    assert state() != expected
    assert heal() == 1
    assert Gap.objects.get().status == Gap.Status.FILLED
    assert "2 instruments" in Gap.objects.get().detail
    assert state() == expected


def test_a_gap_without_neighbours_is_filled_by_time(market):
    """Nothing was stored before, nothing came after yet."""
    expected = faultless(market)
    last = max(t.time_us for trades in market.venue.market.trades.values() for t in trades)
    store.record_gap(f"{market.provider}:0", JournalGap("not listening", START_US - SECOND_US, last + SECOND_US))
    for instrument in market.instruments.values():
        instrument.followed = True
        instrument.save()
    assert heal() == 1
    assert Gap.objects.get().status == Gap.Status.FILLED
    assert state() == expected


def test_after_any_faults_the_end_is_the_same(binance):
    expected = faultless(binance)
    chance = random.Random(7)
    for n, symbol in enumerate(binance.instruments):
        lost = {10_000 * (n + 1) + chance.randrange(5, 595) for _ in range(15)}
        binance.live(symbol, lambda t, lost=lost: t.trade_id not in lost)
        gaps.record(
            "binance",
            [binance.hole(symbol, i - 10_000 * (n + 1), i - 10_000 * (n + 1)) for i in sorted(lost)],
        )
    binance.venue.fail(faults.HTTP_500, 2)
    binance.venue.fail(faults.HTTP_HTML, 2)
    for _ in range(20):
        heal()
    assert set(Gap.objects.values_list("status", flat=True)) == {Gap.Status.FILLED}
    assert state() == expected
    assert not binance.venue.violations


def test_a_repair_that_is_cut_short_goes_on(binance, settings):
    symbol = next(iter(binance.instruments))
    many = [
        SentTrade(symbol, 50_000 + i, "100.00", "1.0", START_US + i * 200_000 // 1000 * 1000, False)
        for i in range(3_500)
    ]
    binance.venue.market.trades[symbol] = many
    binance.live(symbol, lambda t: t.trade_id in (50_000, 53_499))
    gaps.record("binance", [binance.hole(symbol, 1, 3_498)])
    repair.heal(Turn(60, iter([True, True, True, False] + [False] * 99).__next__))
    gap = Gap.objects.get()
    assert (gap.status, gap.attempts) == (Gap.Status.OPEN, 0)
    assert 0 < gap.repaired < 3_498
    asked = [call["fromId"] for name, call in binance.history.calls if name == "historicalTrades"]
    assert heal() == 1
    gap.refresh_from_db()
    assert (gap.status, gap.repaired) == (Gap.Status.FILLED, 3_498)
    again = [call["fromId"] for name, call in binance.history.calls if name == "historicalTrades"][len(asked) :]
    assert not set(asked) & set(again)


def test_browsers_are_told_of_revised_candles(binance, monkeypatch, settings):
    settings.CANDLE_PUBLISH_MAX_AGE_S = 10 * 3600.0
    told = []
    monkeypatch.setattr(writer, "publish", told.extend)
    symbol = next(iter(binance.instruments))
    binance.live(symbol, lambda t: t.trade_id != 10_300)
    gaps.record("binance", [binance.hole(symbol, 300, 300)])
    heal()
    (message,) = told
    assert (message.topic, message.data["rev"], message.data["final"]) == ("candles:BTC-USD:1m", 1, True)


# --- What cannot be


def test_ids_that_the_venue_does_not_have_are_said(binance):
    symbol = next(iter(binance.instruments))
    trades = binance.venue.market.trades[symbol]
    binance.live(symbol, lambda t: not 10_100 <= t.trade_id <= 10_110)
    hole = binance.hole(symbol, 100, 110)
    binance.venue.market.trades[symbol] = [t for t in trades if not 10_103 <= t.trade_id <= 10_105]
    gaps.record("binance", [hole])
    assert heal() == 1
    gap = Gap.objects.get()
    assert (gap.status, gap.repaired) == (Gap.Status.UNFILLABLE, 8)
    assert "does not have 3 of the ids 10100 to 10110" in gap.detail


@pytest.mark.parametrize(
    ("shard", "kind", "why"),
    [
        ("finnhub:0", Gap.Kind.ALL, "finnhub gives no history"),
        ("binance:0", Gap.Kind.BOOK, "no venue tells its old book"),
        ("binance:0", Gap.Kind.QUOTES, "no venue tells its old quotes"),
    ],
)
def test_what_nobody_tells_is_unfillable(db, shard, kind, why):
    store.record_gap(shard, JournalGap("disconnected", START_US, START_US + SECOND_US))
    Gap.objects.update(kind=kind)
    assert heal() == 1
    assert Gap.objects.get().status == Gap.Status.UNFILLABLE
    assert why in Gap.objects.get().detail


def test_a_symbol_that_is_gone_does_not_keep_the_others(binance):
    gap = shard_gap(binance, 100, 200)
    for symbol in binance.instruments:
        binance.live(symbol, lambda t: not gap.from_us <= t.time_us <= gap.until_us)
    btc, eth = binance.instruments
    del binance.venue.market.trades[btc]
    assert heal() == 1
    row = Gap.objects.get()
    assert row.status == Gap.Status.UNFILLABLE
    assert "Invalid symbol" in row.detail
    assert row.repaired > 0
    missing = stored("SELECT count(*) FROM trade WHERE instrument_id = %s", binance.instruments[eth].id)
    assert missing == [(600,)]


def test_failures_are_tried_again_and_given_up_in_the_end(binance, settings):
    settings.REPAIR_MAX_ATTEMPTS = 2
    settings.REST_TRIES = 1
    symbol = next(iter(binance.instruments))
    binance.live(symbol, lambda t: t.trade_id != 10_300)
    gaps.record("binance", [binance.hole(symbol, 300, 300)])
    binance.venue.fail(faults.HTTP_500, 2)
    assert heal() == 0
    gap = Gap.objects.get()
    assert (gap.status, gap.attempts) == (Gap.Status.OPEN, 1)
    assert gap.next_attempt_at is not None
    assert heal() == 1
    gap.refresh_from_db()
    assert gap.status == Gap.Status.UNFILLABLE
    assert gaps.reopen(gap)
    assert heal() == 1
    gap.refresh_from_db()
    assert gap.status == Gap.Status.FILLED


def test_a_used_up_budget_leaves_the_rest_for_later(binance, settings):
    settings.BINANCE_WEIGHT_PER_MINUTE = 30
    settings.REST_BACKGROUND_SHARE = 1.0
    settings.REPAIR_BUDGET_WAIT_S = 0.0
    for n, symbol in enumerate(binance.instruments, 1):
        binance.live(symbol, lambda t: t.trade_id % 10_000 != 300)
        gaps.record("binance", [binance.hole(symbol, 300, 300)])
        assert n
    assert heal() == 1
    waiting = Gap.objects.get(status=Gap.Status.OPEN)
    assert waiting.next_attempt_at > timezone.now() + dt.timedelta(seconds=30)
    assert waiting.attempts == 0
    assert heal() == 0
    assert not binance.venue.violations


# --- When


def test_a_gap_is_left_alone_until_its_minutes_are_over(binance):
    now_us = to_us(timezone.now())
    store.record_gap("binance:0", JournalGap("disconnected", now_us - 5 * SECOND_US, now_us - SECOND_US))
    store.record_gap("binance:0", JournalGap("not listening", START_US))
    assert repair.due(timezone.now()) == []
    assert len(repair.due(timezone.now() + dt.timedelta(seconds=90))) == 1  # the other one lasts


def test_two_repairs_do_not_run_at_once(binance):
    shard_gap(binance, 1, 2)
    held = repair.lease.acquire(repair.LEASE, repair.LEASE_TTL_S)
    assert tasks.heal_gaps() == 0
    assert Gap.objects.get().status == Gap.Status.OPEN
    held.release()
    Gap.objects.update(status=Gap.Status.REPAIRING)  # as a killed worker leaves it
    assert tasks.heal_gaps() == 1


# --- The simulated market


def test_the_simulated_market_tells_any_time_again(db, settings):
    settings.SIMULATED_SEED, settings.SIMULATED_TICKS_PER_S = 7, 20.0
    btc, eth = make_instrument("BTC-USDT"), make_instrument("ETH-USDT")
    until_us = START_US + 120 * SECOND_US
    ticks = Simulation(7, ["BTC-USDT", "ETH-USDT"], 20.0).ticks(START_US, until_us)
    trades = [tick for tick in ticks if isinstance(tick, Trade)]
    gap = JournalGap("not listening", START_US + 30 * SECOND_US, START_US + 90 * SECOND_US)
    now_us = to_us(timezone.now())

    def store_all(keep):
        for instrument in (btc, eth):
            mine = [t for t in trades if t.symbol == instrument.symbol and keep(t)]
            backfill.store_trades(SOURCES["simulated"], instrument.id, mine, now_us)

    store_all(lambda t: True)
    expected = state()
    stored("DELETE FROM trade RETURNING 1")
    stored("DELETE FROM candle_1m RETURNING 1")
    store_all(lambda t: not gap.from_us <= t.time_us < gap.until_us)
    store.record_gap("simulated:0", gap)
    assert heal() == 1
    assert Gap.objects.get().status == Gap.Status.FILLED
    assert state() == expected


def test_of_a_long_simulated_gap_only_the_candles_are_made(db, settings):
    settings.REPAIR_SIMULATED_MAX_S = 60.0
    make_instrument("BTC-USDT")
    store.record_gap("simulated:0", JournalGap("not listening", START_US, START_US + 600 * SECOND_US))
    assert heal() == 1
    assert Gap.objects.get().detail == "longer than 60 s: 10 candles were made, no trades"
    assert stored("SELECT count(*), bool_and(final) FROM candle_1m") == [(10, True)]


# --- Every night, and for what is new


@pytest.fixture
def running(settings):
    settings.FEEDS, settings.SYMBOLS = ["binance", "simulated"], []
    settings.BACKFILL_LANES = 0
    settings.HISTORY_DAYS = {"1d": "30", "1m": "1"}


def test_every_night_looks_for_holes_nobody_knew(binance, running):
    btc, eth = binance.instruments
    binance.live(btc, lambda t: t.trade_id not in (10_050, 10_051, 10_400))
    binance.live(eth)
    assert tasks.heal_last_days() == 2
    assert [(g.from_id, g.to_id, g.cause) for g in Gap.objects.order_by("from_id")] == [
        (10_050, 10_051, "found at night"), (10_400, 10_400, "found at night"),
    ]  # fmt: skip
    assert {row.kind: row.cause for row in Backfill.objects.all()} == {"1d": "nightly", "1m": "nightly"}
    assert tasks.heal_last_days() == 0
    assert heal() == 2


def test_a_new_instruments_history_is_asked_for_once(binance, running):
    assert tasks.request_histories() == 2
    assert {row.kind for row in Backfill.objects.all()} == {"1d", "1m"}
    assert {chunk.instrument_id for chunk in BackfillChunk.objects.all()} == {
        i.id for i in binance.instruments.values()
    }
    assert tasks.request_histories() == 0
    make_instrument("SOL-USD", binance="SOLUSDT")
    assert tasks.request_histories() == 1
    assert HistoryRequest.objects.count() == 3
