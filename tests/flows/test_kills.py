"""Sudden death of each part while the market goes on: nothing that was journalled is lost, nothing is doubled."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.flows import oracle
from tests.flows.installation import Installation
from tests.processes import wait_for
from tests.venues.binance import BinanceVenue

pytestmark = [pytest.mark.flow, pytest.mark.timeout(240)]

SYMBOLS = ("BTCUSDT", "ETHUSDT")
LISTEN, PERSIST = "ingestion.listen:binance:0", "ingestion.persist:binance:0"
# lease 3 s + asking interval 2 s, and a moment for the task to start
TAKE_OVER_S = 6.0


@pytest.fixture
def venue() -> Iterator[BinanceVenue]:
    with BinanceVenue(SYMBOLS) as venue:
        venue.live(per_s=300)
        yield venue


@pytest.fixture
def listening(venue: BinanceVenue, install: Callable[..., Installation]) -> Installation:
    """An installation that follows the venue with two resident workers, so that one can die."""
    installation = install(
        FEEDS="binance", SYMBOLS="BTC-USDT,ETH-USDT", BINANCE_WS_URL=venue.ws_url, BINANCE_REST_URL=venue.rest_url
    )
    installation.start("worker", "residents", "beat")
    installation.start_another("residents", "residents-2")
    oracle.wait_for_growth(installation, 300, timeout_s=60)
    return installation


def kill9(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def assert_taken_over(installation: Installation, lease: str, dead: int) -> None:
    killed_at = time.monotonic()
    wait_for(lambda: oracle.process_of(installation, lease) != dead, 40, f"a successor for {lease}")
    # Twice the bound: two cores run the whole installation, the venue and other tests.
    assert time.monotonic() - killed_at < 2 * TAKE_OVER_S


def test_a_killed_listener_and_a_killed_writer_lose_and_double_nothing(
    listening: Installation, venue: BinanceVenue
) -> None:
    with oracle.JournalMirror(listening, "binance:0") as mirror:
        for lease in (LISTEN, PERSIST):
            victim = oracle.process_of(listening, lease)
            kill9(victim)
            assert_taken_over(listening, lease, victim)
            oracle.wait_for_growth(listening, 600)
            revive(listening)
        oracle.settle(listening, venue)
        assert len(mirror.trades) > 1000
        oracle.assert_exact(listening, venue, mirror, SYMBOLS)
        oracle.assert_candles_agree(listening)
    assert not venue.violations


def revive(installation: Installation) -> None:
    """Start whichever resident worker is gone, and wait until it takes tasks."""
    for name in ("residents", "residents-2"):
        if not installation.runs(name):
            starts = installation.log(name).count("ready.")
            installation.start_another("residents", name)
            wait_for(lambda n=name, s=starts: installation.log(n).count("ready.") > s, 60, f"{name} to be ready")


def test_a_database_that_is_away_for_a_minute_loses_nothing(listening: Installation, venue: BinanceVenue) -> None:
    with oracle.JournalMirror(listening, "binance:0") as mirror:
        before = oracle.count_stored(listening)
        connection = venue.open_clients[0]
        listening.stores.stop_postgres()
        time.sleep(60)  # the minute is the point
        listening.stores.start_postgres()
        wait_for(lambda: oracle.count_stored(listening) > before + 15_000, 60, "the minute's trades on disk", 0.5)
        oracle.settle(listening, venue)
        assert connection.open, "the feed goes on without a database"
        # Nothing at all was missed: one connection, and every trade of it is there.
        for symbol in SYMBOLS:
            ids = [trade[0] for trade in oracle.stored(listening, symbol)]
            assert ids == list(range(ids[0], ids[0] + len(ids)))
        oracle.assert_exact(listening, venue, mirror, SYMBOLS)
        oracle.assert_candles_agree(listening)


def test_a_killed_redis_loses_and_doubles_nothing(listening: Installation, venue: BinanceVenue) -> None:
    with oracle.JournalMirror(listening, "binance:0") as mirror:
        listening.stores.kill_redis()
        time.sleep(2)
        listening.stores.start_redis()
        oracle.process_of(listening, LISTEN)
        oracle.wait_for_growth(listening, 900, timeout_s=60)
        oracle.settle(listening, venue)
        oracle.assert_exact(listening, venue, mirror, SYMBOLS)
        oracle.assert_candles_agree(listening)
    assert not venue.violations


def test_sigterm_hands_everything_over(listening: Installation, venue: BinanceVenue) -> None:
    """A deploy: the old workers drain, new ones go on; what the old ones had in hand is on disk."""
    with oracle.JournalMirror(listening, "binance:0") as mirror:
        listening.terminate("residents", "residents-2")
        revive(listening)
        oracle.wait_for_growth(listening, 600)
        oracle.settle(listening, venue)
        oracle.assert_exact(listening, venue, mirror, SYMBOLS)
    assert not venue.violations


def test_a_venue_that_misbehaves_is_survived(listening: Installation, venue: BinanceVenue) -> None:
    """Rubbish is counted, duplicates are dropped, a closed connection is made anew; the feed goes on."""
    with oracle.JournalMirror(listening, "binance:0") as mirror:
        venue.duplicate(200)
        venue.garbage()
        venue.not_utf8()
        oracle.wait_for_growth(listening, 300)
        venue.zero_price()
        venue.negative_price()
        venue.zero_time()
        venue.unknown_stream()
        venue.huge()
        oracle.wait_for_growth(listening, 300, timeout_s=60)
        for code in (1001, 1006):
            venue.close(code)
            oracle.wait_for_growth(listening, 300, timeout_s=60)
        venue.flood(5_000)
        oracle.wait_for_growth(listening, 5_000, timeout_s=60)
        oracle.settle(listening, venue)
        quarantined = {reason for (reason,) in listening.sql("SELECT DISTINCT reason FROM quarantine")}
        assert {"malformed_frame", "bad_price"} <= quarantined
        oracle.assert_exact(listening, venue, mirror, SYMBOLS)
        oracle.assert_candles_agree(listening)
    assert not venue.violations
