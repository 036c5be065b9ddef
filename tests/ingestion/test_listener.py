"""The listener against a venue that misbehaves, with the real journal."""

import time

import pytest

from ingestion import listener, status
from ingestion.models import Gap as StoredGap
from ingestion.models import Quarantined
from ingestion.tasks import listen
from tests.ingestion.listening import SHARD, entries, feed, journalled, listening
from tests.ingestion.market import make_instrument
from tests.processes import wait_for
from tests.venues.binance import BinanceVenue
from worker import lease as leases
from worker import resident

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_prefix")]


@pytest.fixture
def venue(settings):
    settings.FEEDS, settings.SYMBOLS = ["binance"], []
    with BinanceVenue() as made:
        settings.BINANCE_WS_URL, settings.BINANCE_REST_URL = made.ws_url, made.rest_url
        yield made


@pytest.fixture
def instruments(transactional_db):
    return {
        "BTCUSDT": make_instrument("BTC-USDT", binance="BTCUSDT"),
        "ETHUSDT": make_instrument("ETH-USDT", binance="ETHUSDT"),
    }


def sent(venue, instruments):
    return {(instruments[symbol].pk, trade_id) for symbol, trade_id in venue.sent}


def subscribed(venue):
    return wait_for(
        lambda: venue.subscribed("btcusdt@trade") and venue.subscribed("ethusdt@ticker"), 10, "subscription"
    )


def caught_up(venue, instruments):
    """Wait until the journal has exactly what left the venue, each once."""
    venue.quiet()
    venue.settle()
    wait_for(lambda: set(journalled()) == sent(venue, instruments), 10, "the journal to have what was sent")
    assert len(journalled()) == len(venue.sent)


def test_what_the_venue_sends_is_journalled_once(venue, instruments):
    with listening():
        subscribed(venue)
        venue.live(per_s=500)
        wait_for(lambda: len(venue.sent) > 300)
        caught_up(venue, instruments)
        wait_for(lambda: feed().state == "live" and feed().ticks >= len(venue.sent), 5, "the feed to be told live")
    assert status.feeds()[0].state == "stopped"
    assert not venue.violations
    assert [entry.gap for entry in entries() if entry.gap] == []


def test_draining_flushes_what_is_in_memory(venue, instruments, settings):
    settings.LISTENER_FLUSH_INTERVAL_MS = settings.LISTENER_FLUSH_INTERVAL_MAX_MS = 60_000
    settings.LISTENER_FLUSH_MAX_TICKS = 1_000_000
    with listening():
        subscribed(venue)
        venue.flood(50)
        venue.settle()
        time.sleep(0.3)  # nothing can be seen of ticks that are in memory alone
        assert journalled() == []
    assert set(journalled()) == sent(venue, instruments)


def test_a_flood_is_taken_whole(venue, instruments):
    with listening():
        subscribed(venue)
        venue.flood(10_000)
        caught_up(venue, instruments)
    assert not venue.violations


def test_duplicates_are_taken_once(venue, instruments):
    with listening():
        subscribed(venue)
        venue.duplicate(200)
        venue.live(per_s=500)
        wait_for(lambda: len(venue.sent) > 200)
        caught_up(venue, instruments)
        wait_for(lambda: feed().duplicates >= 100, 5, "duplicates to be counted")


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1008, 1011, 1013])
def test_a_closed_connection_is_opened_again_and_the_hole_recorded(venue, instruments, code):
    with listening():
        subscribed(venue)
        venue.live(per_s=200)
        wait_for(lambda: len(venue.sent) > 20)
        venue.close(code)
        wait_for(lambda: feed().reconnects == 1, 5, "the loss to be told")
        subscribed(venue)
        before = len(venue.sent)
        wait_for(lambda: len(venue.sent) > before + 20)
        gaps = wait_for(lambda: [g for e in entries() if (g := e.gap) and g.until_us], 5, "the gap's end")
    assert gaps[0].reason == listener.DISCONNECTED
    assert gaps[0].from_us < gaps[0].until_us
    assert not venue.violations


def test_a_mute_socket_is_replaced(venue, instruments, settings):
    settings.LISTENER_SILENCE_TIMEOUT_S = 1.0
    with listening():
        subscribed(venue)
        venue.live(per_s=200)
        wait_for(lambda: journalled(), 10, "ticks")
        venue.stall(pings=1)
        connections = len(venue.clients)
        wait_for(lambda: len(venue.clients) > connections, 10, "another connection")
        venue.resume()
        wait_for(lambda: len(journalled()) > 20, 15, "ticks after the stall")


@pytest.mark.parametrize("trouble", ["garbage", "not_utf8", "negative_price", "huge"])
def test_a_bad_frame_is_counted_and_the_feed_goes_on(venue, instruments, trouble):
    with listening():
        subscribed(venue)
        getattr(venue, trouble)()
        venue.live(per_s=200)
        wait_for(lambda: len(venue.sent) > 50)
        wait_for(lambda: feed().malformed == 1, 10, "the frame to be counted")
        assert feed().reconnects == 0
        row = wait_for(Quarantined.objects.first, 5, "the frame in quarantine")
        assert row.reason == "malformed_frame"


@pytest.mark.parametrize("trouble", ["zero_price", "absurd_time"])
def test_an_unbelievable_tick_is_quarantined_and_the_feed_goes_on(venue, instruments, trouble):
    with listening():
        subscribed(venue)
        getattr(venue, trouble)()
        venue.live(per_s=200)
        wait_for(lambda: len(journalled()) > 20)
        wait_for(lambda: feed().quarantined + feed().malformed == 1, 10, "the tick to be counted")
        assert wait_for(Quarantined.objects.first, 5, "the tick in quarantine")


def test_an_announced_shutdown_is_bridged_without_a_hole(venue, instruments):
    with listening():
        subscribed(venue)
        venue.live(per_s=500)
        wait_for(lambda: len(venue.sent) > 50)
        venue.server_shutdown()
        wait_for(lambda: len(venue.clients) == 2 and len(venue.open_clients) == 1, 10, "the successor alone")
        before = len(venue.sent)
        wait_for(lambda: len(venue.sent) > before + 50)
        caught_up(venue, instruments)
        assert feed().gaps_open == 0
    assert [entry.gap for entry in entries() if entry.gap] == []
    assert not venue.violations


def test_an_unreachable_venue_is_asked_again_for_ever(venue, instruments):
    venue.refuse(seconds=3)
    with listening():
        subscribed(venue)
        venue.live(per_s=100)
        wait_for(lambda: journalled(), 10, "ticks")


def test_a_newly_wanted_instrument_is_followed(venue, instruments, settings):
    settings.LISTENER_REFRESH_INTERVAL_S = 0.2
    settings.SYMBOLS = ["BTC-USDT"]
    with listening():
        wait_for(lambda: venue.subscribed("btcusdt@trade"), 10)
        assert not venue.subscribed("ethusdt@trade")
        from ingestion import demand

        demand.want("test", [instruments["ETHUSDT"].pk], 60)
        wait_for(lambda: venue.subscribed("ethusdt@trade"), 10, "the wish to be followed")
        venue.live(per_s=200)
        wait_for(lambda: {i for i, _ in journalled()} == {i.pk for i in instruments.values()}, 10)
    assert not venue.violations


def test_a_full_journal_stops_storing_and_not_showing(venue, instruments, settings):
    settings.JOURNAL_MAX_BYTES = 20_000
    with listening():
        subscribed(venue)
        venue.live(per_s=1000)
        wait_for(lambda: feed().journal_full, 10, "the journal to be full")
        stored = len(journalled())
        from ingestion import latest

        pk = instruments["BTCUSDT"].pk
        before = latest.get([pk])[pk].trade_id
        wait_for(lambda: latest.get([pk])[pk].trade_id > before, 5, "the price to go on")
        assert len(journalled()) == stored
        assert feed().dropped > 0
    assert any(entry.gap and entry.gap.reason == "journal full" for entry in entries())


def test_a_newer_owner_stops_it_at_once(venue, instruments):
    from ingestion.journal import Flush, Journal

    with listening() as thread:
        subscribed(venue)
        venue.live(per_s=200)
        wait_for(lambda: len(journalled()) > 20)
        Journal(SHARD, 2**52).append(Flush(b"", b"", 0, {}, {}, None, 1))
        thread.join(5)
        assert not thread.is_alive()


def test_only_one_listens(venue, instruments):
    with listening():
        subscribed(venue)
        listen(SHARD)  # returns: the lease is held
        assert len(venue.open_clients) == 1


def test_the_hole_between_two_listeners_is_recorded(venue, instruments):
    with listening():
        subscribed(venue)
        venue.flood(10)
        caught_up(venue, instruments)
    with listening():
        subscribed(venue)
        gap = wait_for(lambda: next((g for e in entries() if (g := e.gap) and g.until_us), None), 5, "the gap")
    assert gap.reason == listener.NOT_LISTENING


def test_a_successor_takes_over_without_a_hole(venue, instruments, settings):
    settings.LISTENER_HAND_OVER_S = 8.0
    settings.TRADE_HOLE_GRACE_S = 0.2
    with listening():
        subscribed(venue)
        venue.live(per_s=300)
        wait_for(lambda: len(journalled()) > 50 and feed().state == "live", 10, "ticks")
        (first,) = resident._stays
        first.drain()
        wait_for(lambda: first.context.lost, 5, "the lease to be let go")
        with listening():
            wait_for(lambda: len(venue.clients) == 2 and len(venue.open_clients) == 1, 10, "the successor alone")
            before = len(venue.sent)
            wait_for(lambda: len(venue.sent) > before + 100)
            venue.quiet()
            venue.settle()
            wait_for(lambda: set(journalled()) == sent(venue, instruments), 10, "all that was sent")
            settings.LISTENER_HAND_OVER_S = 0.0
            time.sleep(0.5)  # what the second misses is told after the grace
    assert [entry.gap for entry in entries() if entry.gap] == []
    assert list(StoredGap.objects.all()) == []
    assert not venue.violations


def test_where_nobody_succeeds_it_ends_after_a_second(venue, instruments, settings):
    settings.LISTENER_HAND_OVER_S = 8.0
    with listening() as thread:
        subscribed(venue)
        venue.live(per_s=100)
        wait_for(lambda: len(journalled()) > 10 and feed().state == "live", 10, "ticks")
        (stay,) = resident._stays
        stay.drain()
        thread.join(6)
        assert not thread.is_alive()


def test_it_asks_for_the_lease_before_connecting(venue, instruments):
    held = leases.acquire(f"ingestion.listen:{SHARD}", ttl_s=30)
    listen(SHARD)
    assert venue.clients == []
    held.release()


def test_the_simulated_market_flows(instruments, settings):
    settings.FEEDS, settings.SYMBOLS, settings.SIMULATED_TICKS_PER_S = ["simulated"], [], 500.0
    with listening("simulated:0"):
        wait_for(lambda: len(journalled("simulated:0")) > 100, 10, "simulated ticks")
        wait_for(lambda: feed().state == "live", 5)
