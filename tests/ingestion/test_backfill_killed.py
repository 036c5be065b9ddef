"""A backfill whose worker is killed in the middle: another goes on where it was, and the end is the same."""

import asyncio
import datetime as dt

import pytest
from celery import Celery
from django.conf import settings as ours
from django.db import connection

from ingestion import backfill
from ingestion.models import BackfillChunk
from tests.ingestion.market import make_instrument
from tests.ingestion.rows import stored
from tests.processes import started, wait_for, worker
from tests.venues.binance import BinanceVenue
from tests.venues.binance_history import BinanceHistory
from tests.venues.market import SentTrade
from worker.models import Job

pytestmark = [pytest.mark.flow, pytest.mark.usefixtures("tick_tables")]

START = dt.datetime(2026, 1, 20, tzinfo=dt.UTC)
HOURS = 8
PER_HOUR = 2_400  # three pages
ANSWER_S = 0.05


@pytest.fixture
def venue():
    """Its answers take a moment, so that there is a middle."""
    with BinanceVenue(("BTCUSDT",)) as found:
        found.history = BinanceHistory(found)

        async def slowly(path, arguments, headers):
            await asyncio.sleep(ANSWER_S)
            return found.history._answer(path, arguments, headers)

        for call in ("aggTrades", "historicalTrades"):
            found.route(f"/api/v3/{call}", slowly)
        start_us, step_us = int(START.timestamp()) * 1_000_000, 3_600_000_000 // PER_HOUR
        found.market.trades["BTCUSDT"] = [
            SentTrade("BTCUSDT", 1_000 + i, f"{100 + i % 7}.00", "0.5", start_us + i * step_us, i % 2 == 0)
            for i in range(HOURS * PER_HOUR)
        ]
        yield found


@pytest.fixture
def environment(venue, own_prefix):
    to = connection.settings_dict
    return {
        "DATABASE_URL": f"postgresql://{to['USER']}:{to['PASSWORD']}@{to['HOST']}:{to['PORT']}/{to['NAME']}",
        "REDIS_PREFIX": own_prefix,
        "BINANCE_REST_URL": venue.rest_url,
        "BACKFILL_SILENCE_S": "3",
    }


@pytest.fixture
def resume(environment):
    """What beat does: ask a worker to take up what waits."""
    app = Celery(broker=ours.CELERY_BROKER_URL, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": f"{environment['REDIS_PREFIX']}:celery:"}
    app.conf.task_ignore_result = True
    return lambda: app.send_task("ingestion.resume_backfills", queue="backfill", expires=5)


def done():
    return BackfillChunk.objects.filter(status="done").count()


def test_a_killed_worker_leaves_nothing_out_and_nothing_twice(venue, environment, resume, tmp_path, settings):
    settings.BACKFILL_LANES = 0  # it is asked for through the worker's own broker
    btc = make_instrument(binance="BTCUSDT")
    wish = backfill.Wish("binance", "trades", (btc,), START, START + dt.timedelta(hours=HOURS))
    row = backfill.start(wish)

    with started(worker("threads", "backfill"), tmp_path / "first.log", **environment) as first:
        wait_for(lambda: first.says("ready."), 60, "the first worker")
        resume()
        amid = row.chunks.filter(status="running").exclude(cursor="")
        wait_for(lambda: done() and amid.exists(), 30, "the middle of a later chunk")
        first.kill()
    assert 1 <= done() < HOURS

    with started(worker("threads", "backfill"), tmp_path / "second.log", **environment) as second:
        wait_for(lambda: second.says("ready."), 60, "the second worker")

        def ended():
            resume()
            return Job.objects.get().status != Job.Status.RUNNING

        wait_for(ended, 40, "the rest", step_s=0.5)

    job = Job.objects.get()
    assert (job.status, job.done, job.total) == (Job.Status.DONE, HOURS, HOURS)
    trades = venue.market.trades["BTCUSDT"]
    assert stored("SELECT count(*), count(DISTINCT trade_id), min(trade_id), max(trade_id) FROM trade") == [
        (len(trades), len(trades), trades[0].trade_id, trades[-1].trade_id)
    ]
    assert stored("SELECT count(*), sum(trades), sum(volume), bool_and(final), max(rev) FROM candle_1m") == [
        (HOURS * 60, len(trades), len(trades) * 0.5, True, 0)
    ]
    # Pages that were on disk at the kill were not asked for again: only those at work were.
    pages = [call["fromId"] for name, call in venue.history.calls if name == "historicalTrades"]
    assert len(pages) - len(set(pages)) <= 4
    assert not venue.violations
