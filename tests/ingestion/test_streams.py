"""`start_realtime_streams` as a process: a listener and a writer, from a venue's frames to the disk."""

import subprocess
import sys
import time

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ingestion.models import Gap
from ingestion.store import to_us
from tests.ingestion.market import make_instrument
from tests.ingestion.rows import stored
from tests.processes import ROOT, Process, wait_for
from tests.services import OwnServices
from tests.venues.binance import BinanceVenue

pytestmark = pytest.mark.flow


@pytest.fixture
def own_redis(tmp_path):
    """A Redis that may be killed."""
    own = OwnServices(tmp_path / "services")
    own.start_redis()
    yield own
    own.delete()


@pytest.fixture
def streams(tick_tables, own_redis, tmp_path):
    """The command against a venue; (venue, process)."""
    make_instrument("BTC-USDT", binance="BTCUSDT")
    database = connection.settings_dict
    url = f"postgresql://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    with BinanceVenue(["BTCUSDT"]) as venue:
        process = Process(
            [sys.executable, "manage.py", "start_realtime_streams", "--binance"],
            tmp_path / "log",
            DATABASE_URL=url,
            REDIS_URL=own_redis.redis.url,
            BINANCE_WS_URL=venue.ws_url,
            FEEDS="binance",
        )
        try:
            wait_for(lambda: venue.subscribed("btcusdt@trade"), 30, "a subscription")
            yield venue, process
        finally:
            process.kill()


def on_disk():
    return {trade_id for (trade_id,) in stored("SELECT trade_id FROM trade")}


def sent_ids(venue):
    return {trade_id for _, trade_id in venue.sent}


def test_it_listens_until_sigterm_and_stores_everything(streams):
    venue, process = streams
    venue.live(per_s=200)
    wait_for(lambda: len(venue.sent) > 200)
    venue.quiet()
    venue.settle()
    wait_for(lambda: on_disk() == sent_ids(venue), 15, "all on disk")
    assert process.terminate() == 0
    assert "stopped" in process.output()
    assert not venue.violations


@pytest.mark.parametrize("outage_s", [1, 6])
def test_a_killed_redis_costs_only_what_is_recorded_as_a_gap(streams, own_redis, outage_s):
    """One second is within the lease; after six it is lost, and a new stay goes on."""
    venue, process = streams
    venue.live(per_s=200)
    wait_for(lambda: len(on_disk()) > 100, 15, "trades on disk")
    own_redis.kill_redis()
    time.sleep(outage_s)
    own_redis.start_redis()
    after = max(sent_ids(venue))
    wait_for(lambda: any(i > after for i in on_disk()), 30, "trades after the outage")
    wait_for(lambda: venue.subscribed("btcusdt@trade"), 30, "a subscription")
    wait_for(lambda: not Gap.objects.filter(ended_at=None).exists(), 30, "every gap closed")
    time.sleep(0.5)  # some of the new connection's trades
    venue.quiet()
    venue.settle()
    last = max(sent_ids(venue))
    wait_for(lambda: last in on_disk(), 15, "the last trade on disk")
    assert process.terminate() == 0

    gaps = [(to_us(gap.started_at), to_us(gap.ended_at)) for gap in Gap.objects.all()]
    missing = [trade for trade in venue.sent.values() if trade.trade_id not in on_disk()]
    unexplained = [trade for trade in missing if not any(a - 1000 <= trade.time_ms * 1000 <= b + 1000 for a, b in gaps)]
    assert unexplained == []
    assert len(missing) < 0.1 * len(venue.sent)


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--kraken"], "kraken"), (["--coinbase", "--binance"], "coinbase"), (["--finnhub"], "finnhub"),
        (["--call-planner"], "pollers"), (["--workers", "3"], "pollers"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused(flags, why):
    with pytest.raises(CommandError, match=why):
        call_command("start_realtime_streams", *flags)


def test_a_refusal_is_an_exit_code():
    done = subprocess.run(
        [sys.executable, "manage.py", "start_realtime_streams", "--kraken"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "kraken" in done.stderr


def test_detached_it_asks_the_workers(own_prefix, capsys, settings):
    from worker.celery import app

    settings.FEEDS = ["simulated"]
    with app.connection_for_write() as broker:
        before = _waiting(broker)
        call_command("start_realtime_streams", "--detach")
        assert _waiting(broker) == before + 2
        broker.default_channel.queue_purge("resident")
    assert "simulated:0" in capsys.readouterr().out


def _waiting(broker):
    from worker import queues

    return broker.default_channel._size(queues.RESIDENT)
