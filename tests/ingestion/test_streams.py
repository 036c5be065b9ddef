"""`start_realtime_streams` as a process: a listener and a writer, from a venue's frames to the disk."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ingestion import control
from ingestion.models import Gap
from ingestion.store import to_us
from tests.ingestion.market import make_instrument
from tests.ingestion.rows import stored
from tests.processes import ROOT, Process, started, wait_for
from tests.services import OwnServices
from tests.venues.binance import BinanceVenue
from tests.venues.finnhub import KEY, FinnhubVenue
from worker import queues
from worker.celery import app

STARTUP_S = 60.0  # a process's first seconds are long on a busy machine

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
    with BinanceVenue(["BTCUSDT"]) as venue:
        process = Process(
            [sys.executable, "manage.py", "start_realtime_streams", "--binance"],
            tmp_path / "log",
            **_environment(own_redis),
            BINANCE_WS_URL=venue.ws_url,
            FEEDS="binance",
        )
        try:
            wait_for(lambda: venue.subscribed("btcusdt@trade"), STARTUP_S, "a subscription")
            yield venue, process
        finally:
            process.kill()


def _environment(own_redis):
    database = connection.settings_dict
    place = f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    return {"DATABASE_URL": f"postgresql://{place}", "REDIS_URL": own_redis.redis.url}


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
    [(["--workers", "3"], "--call-planner"), (["--call-planner", "--workers", "0"], "at least one"), ([], "FEEDS")],
)
@pytest.mark.django_db
def test_what_makes_no_sense_is_refused(flags, why, settings):
    settings.FEEDS = []
    with pytest.raises(CommandError, match=why):
        call_command("start_realtime_streams", *flags)


@pytest.mark.django_db
def test_a_feed_that_there_is_not_is_refused(settings):
    settings.FEEDS = ["nyse"]
    with pytest.raises(CommandError, match="nyse"):
        call_command("start_realtime_streams")


@pytest.mark.django_db
def test_of_feeds_that_staff_halted_none_is_listened_to(own_prefix, admin, settings, capsys):
    settings.FEEDS = ["simulated", "binance"]
    control.change("binance", control.STOP, admin)
    with _purged(queues.RESIDENT):
        call_command("start_realtime_streams", "--detach")
    assert "binance" not in capsys.readouterr().out
    control.change("simulated", control.STOP, admin)
    with pytest.raises(CommandError, match="Staff"):
        call_command("start_realtime_streams", "--detach")


def test_a_refusal_is_an_exit_code():
    done = subprocess.run(
        [sys.executable, "manage.py", "start_realtime_streams", "--workers", "3"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "--call-planner" in done.stderr


@contextlib.contextmanager
def _purged(*names):
    """The broker, with these queues empty before and after."""
    with app.connection_for_write() as broker:
        for name in names:
            broker.default_channel.queue_purge(name)
        try:
            yield broker
        finally:
            for name in names:
                broker.default_channel.queue_purge(name)


@pytest.mark.django_db
def test_detached_it_asks_the_workers(own_prefix, capsys, settings):
    settings.FEEDS, settings.POLLERS = ["simulated"], ["yahoo"]
    with _purged(queues.RESIDENT, queues.POLLING) as broker:
        call_command("start_realtime_streams", "--call-planner", "--detach")
        assert [_waiting(broker, queue) for queue in (queues.RESIDENT, queues.POLLING)] == [2, 1]
    told = capsys.readouterr().out
    assert "simulated:0" in told
    assert "yahoo" in told


def _waiting(broker, queue):
    return broker.default_channel._size(queue)


def test_a_frozen_listener_that_wakes_up_does_not_end_its_successors_connection(tick_tables, own_redis, tmp_path):
    """Finnhub ends the older of two connections: whoever lost the lease must never open another one."""
    make_instrument("AAPL", kind="stock", currency="USD", finnhub="AAPL")
    with FinnhubVenue(["AAPL"]) as venue, contextlib.ExitStack() as running:
        environment = _environment(own_redis) | {
            "FINNHUB_WS_URL": venue.ws_url, "FINNHUB_API_KEY": KEY, "FEEDS": "finnhub",
        }  # fmt: skip
        command = [sys.executable, "manage.py", "start_realtime_streams", "--finnhub"]
        frozen = running.enter_context(started(command, tmp_path / "frozen", **environment))
        wait_for(lambda: venue.subscribed("AAPL"), STARTUP_S, "the first's subscription")
        os.kill(frozen.popen.pid, signal.SIGSTOP)
        second = running.enter_context(started(command, tmp_path / "second", **environment))
        wait_for(lambda: len(venue.clients) == 2 and venue.subscribed("AAPL"), STARTUP_S, "the second's subscription")
        venue.violations.clear()  # the first was open: nobody could close it
        os.kill(frozen.popen.pid, signal.SIGCONT)
        wait_for(lambda: frozen.says("ingestion.listen:finnhub:0 has ended"), 20, "the first to notice")
        venue.live(per_s=50)
        before = len(venue.sent)
        wait_for(lambda: len(venue.sent) > before + 100, 10, "the second to go on")
        assert (len(venue.clients), len(venue.open_clients), venue.violations) == (2, 1, [])
        second.kill()
        wait_for(lambda: len(venue.clients) == 3 and venue.subscribed("AAPL"), 15, "the first to take over again")
        assert venue.violations == []
