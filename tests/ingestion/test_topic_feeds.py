"""The topic `feeds`: for staff, once a second for each feed."""

import pytest
from django.contrib.auth.models import AnonymousUser

from ingestion import status
from ingestion.status import FeedStatus
from streaming import snapshots
from streaming.topics import NotYours, SignInNeeded, UnknownTopic
from tests.ingestion.market import now_us
from worker.redis import close_async_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]


def test_it_is_for_staff(admin, alice, settings):
    settings.ANONYMOUS_MARKET_DATA = True
    assert snapshots.resolve("feeds", admin).address.topic == "feeds"
    with pytest.raises(NotYours):
        snapshots.resolve("feeds", alice)
    with pytest.raises(SignInNeeded):
        snapshots.resolve("feeds", AnonymousUser())
    with pytest.raises(UnknownTopic):
        snapshots.resolve("feeds:binance", admin)


async def tell(**more):
    now = now_us()
    await status.tell(FeedStatus("binance", "binance:0", status.LIVE, now, now - 500_000, **more))
    await close_async_client()


def test_its_snapshot_tells_every_feed(admin, settings):
    import asyncio

    settings.FEEDS = ["binance", "kraken"]
    asyncio.run(tell(reconnects=2, latency_ms={"p50": -1272.0, "p99": -1200.0}, clock_skew_ms=1300.0))
    binance, kraken = [message.data for message in snapshots.snapshot(snapshots.resolve("feeds", admin), admin)]
    assert binance["last_tick_age_s"] == pytest.approx(0.5, abs=0.4)
    shown = {"provider": "binance", "state": "live", "reconnects": 2, "gaps_open": 0, "clock_skew_ms": 1300.0}
    assert binance.items() >= shown.items()
    assert binance["latency_ms"] == {"p50": -1272.0, "p99": -1200.0}
    assert (kraken["provider"], kraken["state"], kraken["last_tick_age_s"]) == ("kraken", "stopped", None)
