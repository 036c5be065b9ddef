"""How feeds tell of themselves."""

import numpy as np
import pytest

from ingestion import status
from ingestion.status import LATENCIES_KEPT, FeedStatus, Latencies
from tests.ingestion.market import NOW_US, SECOND_US
from worker.redis import close_async_client


@pytest.fixture
def feeds(own_prefix, settings):
    settings.FEEDS = ["simulated", "binance"]


async def told(**more):
    await status.tell(FeedStatus("binance", "binance:0", **{"state": status.LIVE, "at_us": NOW_US} | more))
    await close_async_client()
    return status.feeds(NOW_US)[1]


async def test_a_feed_that_never_told_is_stopped(feeds):
    assert [feed.state for feed in status.feeds(NOW_US)] == ["stopped", "stopped"]


async def test_what_was_told_is_read(feeds):
    found = await told(last_tick_us=NOW_US - 2 * SECOND_US, ticks=7, latency_ms={"p50": -3.5})
    assert (found.state, found.ticks, found.latency_ms) == ("live", 7, {"p50": -3.5})
    assert found.last_tick_age_s(NOW_US) == 2.0


@pytest.mark.parametrize("more", [{"at_us": NOW_US - 6 * SECOND_US}, {"last_tick_us": NOW_US - 61 * SECOND_US}])
async def test_a_mute_or_stuck_feed_is_stale(feeds, more):
    assert (await told(**{"last_tick_us": NOW_US} | more)).state == "stale"


def test_percentiles_are_of_the_newest():
    latencies = Latencies()
    assert latencies.percentiles_ms() == {}
    latencies.add(np.full(LATENCIES_KEPT, 1_000))
    latencies.add(np.full(LATENCIES_KEPT, 5_000))
    assert latencies.percentiles_ms() == {"p50": 5.0, "p99": 5.0}


async def test_the_silence_of_closed_markets_makes_no_feed_stale(feeds):
    assert (await told(last_tick_us=NOW_US - 3600 * SECOND_US, closed=True)).state == "live"


def test_negative_latencies_are_a_clock_that_is_behind():
    """As in a recording whose machine was 1.27 s behind its venue: shown, never clamped."""
    latencies = Latencies()
    assert latencies.skew_ms() == 0.0
    latencies.add(np.full(100, 20_000))
    assert latencies.skew_ms() == 0.0
    latencies.add(np.linspace(-1_272_000, -1_000_000, 1000).astype(np.int64))
    assert latencies.percentiles_ms()["p50"] < -1000
    assert latencies.skew_ms() == pytest.approx(1270, abs=5)
