"""Connections of every kind of venue: subscribing, refusals, stalls, rotation, and what each keeps of the rest."""

import datetime as dt
import time

import msgspec
import pytest

from ingestion import feeds, listener, status, store
from ingestion.models import Feed, VenueSymbol
from ingestion.providers import PROVIDERS, SOURCES
from tests.ingestion.listening import entries, feed, journalled, listening
from tests.ingestion.market import make_instrument
from tests.processes import wait_for
from tests.venues import faults
from tests.venues.binance import BinanceVenue
from tests.venues.coinbase import CoinbaseVenue
from tests.venues.finnhub import KEY, FinnhubVenue
from tests.venues.kraken import KrakenVenue

VENUES = {"binance": BinanceVenue, "coinbase": CoinbaseVenue, "kraken": KrakenVenue, "finnhub": FinnhubVenue}
NUMBERED = ["binance", "coinbase", "kraken"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_prefix")]


class Side:
    """A venue and our side of it."""

    def __init__(self, name, venue, monkeypatch):
        self.name, self.venue, self.shard = name, venue, f"{name}:0"
        self.provider, self._monkeypatch = PROVIDERS[name], monkeypatch
        self.ids = {}
        self.requests = []
        reply = venue.reply

        def noted(client, message):
            self.requests.append(message)
            return reply(client, message)

        venue.reply = noted
        # Tests reconnect more often than any venue would like; the venues themselves still count.
        self.limit(connects_per_s=5.0, connect_burst=5)

    def limit(self, **limits):
        """Some of the provider's limits, as if the venue had others."""
        limits = msgspec.structs.replace(self.provider.limits, **limits)
        self._monkeypatch.setattr(self.provider, "limits", limits, raising=False)

    def add(self, symbol, **more):
        own = symbol.replace("/", "-").replace("BINANCE:", "")
        self.ids[symbol] = make_instrument(own, **{self.name: symbol}, **more).pk

    def streams(self, *symbols):
        return self.provider.streams(symbols or list(self.ids))

    def subscribed(self, *symbols):
        wanted = self.streams(*symbols)
        wait_for(lambda: all(self.venue.subscribed(stream) for stream in wanted), 10, f"subscriptions to {wanted}")

    def live(self):
        """Everything is answered; without a tick yet the feed counts as stale."""
        wait_for(lambda: self.told().state in ("live", "stale"), 10, "the feed to be live")

    def told(self):
        return feed()

    def journalled(self):
        return journalled(self.shard)

    def gaps(self):
        return [entry.gap for entry in entries(self.shard) if entry.gap]

    def caught_up(self):
        """The journal has exactly what left the venue, each once."""
        self.venue.quiet()
        self.venue.settle()
        sent = {(self.ids[symbol], trade_id) for symbol, trade_id in self.venue.sent}
        wait_for(lambda: set(self.journalled()) >= sent, 10, "all that was sent")
        assert len(self.journalled()) == len(sent)


@pytest.fixture
def meet(settings, monkeypatch):
    """A venue of some name, with its first two symbols known to us. What we look after is looked after more often."""
    monkeypatch.setattr(listener, "TELL_INTERVAL_S", 0.1)
    monkeypatch.setattr(feeds, "WATCH_INTERVAL_S", 0.2)
    venues = []

    def start(name, symbols=2, **more):
        settings.FEEDS, settings.SYMBOLS = [name], []
        venue = VENUES[name](**more)
        venue.__enter__()
        venues.append(venue)
        for kind in ("WS", "REST"):
            setattr(settings, f"{name.upper()}_{kind}_URL", venue.ws_url if kind == "WS" else venue.rest_url)
        settings.FINNHUB_API_KEY = KEY
        side = Side(name, venue, monkeypatch)
        for symbol in list(venue.market.symbols)[:symbols]:
            side.add(symbol)
        return side

    yield start
    for venue in venues:
        venue.__exit__()


@pytest.mark.parametrize("name", ["coinbase", "kraken"])
def test_what_a_venue_sends_is_journalled_once(meet, name):
    side = meet(name)
    with listening(side.shard):
        side.subscribed()
        side.live()
        side.venue.live(per_s=500)
        wait_for(lambda: len(side.venue.sent) > 300)
        side.caught_up()
        connection = side.told().connections[0]
        assert (connection.asked, connection.subscribed) == (0, len(side.streams()))
    assert side.venue.violations == []
    assert side.gaps() == []


def test_finnhub_is_listened_to_with_its_key(meet):
    side = meet("finnhub")
    with listening(side.shard):
        side.subscribed()
        side.venue.live(per_s=300)
        wait_for(lambda: len(side.venue.sent) > 100)
        wait_for(lambda: len(side.journalled()) > 100, 10)
        answered = [status.ConnectionStatus("live", symbols=2, subscribed=2)]
        wait_for(lambda: [msgspec.structs.replace(c, age_s=None) for c in side.told().connections] == answered, 5)
    assert side.venue.violations == []


def test_without_its_key_a_feed_says_so_and_does_not_knock(meet, settings):
    side = meet("finnhub")
    settings.FINNHUB_API_KEY = ""
    with listening(side.shard):
        wait_for(lambda: side.told().state == "refused", 5, "the refusal to be told")
        assert "key" in side.told().last_error
    assert side.venue.clients == []


def test_a_wrong_key_is_a_refusal_with_its_reason_and_the_key_is_nowhere(meet, settings, caplog):
    side = meet("finnhub")
    settings.FINNHUB_API_KEY = "wrong-and-secret"
    with listening(side.shard):
        wait_for(lambda: side.told().state == "refused", 5, "the refusal to be told")
        told = side.told()
        assert "401" in told.last_error
        assert "Invalid API key" in told.last_error
        time.sleep(0.8)  # it would have tried again by now, were it not refused
        assert side.told().reconnects == 1
    assert "wrong-and-secret" not in caplog.text
    assert "wrong-and-secret" not in str(told)


def test_a_venue_that_says_when_to_come_back_is_believed(meet):
    side = meet("binance")
    answers = []

    def busy(path, arguments):
        if len(answers) < 2:
            answers.append(time.monotonic())
            return 429, {"code": -1003, "msg": "Too many connections"}, {"Retry-After": "1"}
        return None

    side.venue.handshake = busy
    with listening(side.shard):
        wait_for(lambda: "429" in side.told().last_error, 5, "the reason")
        side.subscribed()
        assert answers[1] - answers[0] >= 1.0
        assert time.monotonic() - answers[1] >= 1.0


@pytest.mark.parametrize("name", ["binance", "kraken"])
def test_a_symbol_that_the_venue_does_not_have_is_left_out_and_told(meet, name, settings):
    settings.LISTENER_UNHEARD_AFTER_S = 1.0
    side = meet(name)
    side.add({"binance": "NOSUCHUSDT", "kraken": "NO/SUCH"}[name])
    good = list(side.ids)[:2]
    with listening(side.shard):
        side.subscribed(*good)
        side.live()
        side.venue.live(per_s=200)
        wait_for(lambda: len(side.journalled()) > 50, 10, "the others' trades")
        if name == "binance":  # it accepts any name, and is silent
            wait_for(lambda: side.told().silent == ["NOSUCHUSDT"], 10, "the silence to be told")
        else:
            wait_for(lambda: len(side.told().refused) == len(side.streams()) - len(side.streams(*good)), 10)
            assert all(side.provider.stream(name)[1] not in good for name in side.told().refused)
        assert side.told().reconnects == 0
    assert side.venue.violations == []


@pytest.mark.parametrize("name", ["coinbase", "kraken"])
def test_symbols_are_added_and_removed_while_running(meet, name, settings):
    settings.LISTENER_REFRESH_INTERVAL_S = 0.2
    side = meet(name, symbols=1)
    first, second = list(side.venue.market.symbols)[:2]
    with listening(side.shard):
        side.subscribed(first)
        side.add(second)
        side.subscribed(second)
        VenueSymbol.objects.filter(symbol=first).delete()
        wait_for(lambda: not any(map(side.venue.subscribed, side.streams(first))), 10, "the first to be let go")
        assert side.told().reconnects == 0
    assert len(side.venue.clients) == 1
    assert side.venue.violations == []


def test_more_symbols_than_fit_one_connection_get_several(meet):
    side = meet("binance", symbols=0)
    per_symbol = len(side.provider.streams(["A"]))
    side.limit(streams_per_connection=2 * per_symbol, connects_per_s=50.0, connect_burst=10)
    for i in range(5):
        side.add(f"A{i}USDT")
    with listening(side.shard):
        side.subscribed()
        side.live()
        assert sorted(len(client.streams) for client in side.venue.open_clients) == [per_symbol, *[2 * per_symbol] * 2]
        wait_for(lambda: len(side.told().connections) == 3, 5)
        side.venue.clients[0].socket.transport.abort()
        wait_for(lambda: side.told().reconnects == 1, 5, "the loss of one")
        assert len(side.venue.open_clients) >= 2
        side.live()
        gaps = wait_for(lambda: [gap for gap in side.gaps() if gap.until_us], 5, "the gap's end")
    assert [gap.reason for gap in gaps] == [listener.DISCONNECTED]


def test_an_exclusive_venue_has_one_connection_and_says_what_has_no_room(meet):
    side = meet("finnhub", symbols=3)
    side.limit(streams_per_connection=2)
    with listening(side.shard):
        wait_for(lambda: len(side.venue.open_clients) == 1 and len(side.venue.open_clients[0].streams) == 2, 10)
        wait_for(lambda: len(side.told().refused) == 1, 5, "the third to be told")
    assert len(side.venue.clients) == 1


@pytest.mark.parametrize("name", NUMBERED)
def test_rotation_overlaps_without_loss_or_duplicates(meet, name):
    side = meet(name)
    side.limit(rotate_after_s=1.0, connects_per_s=50.0)
    with listening(side.shard):
        side.subscribed()
        side.venue.live(per_s=300)
        wait_for(lambda: len(side.venue.clients) >= 3 and len(side.venue.open_clients) == 1, 20, "two rotations")
        before = len(side.venue.sent)
        wait_for(lambda: len(side.venue.sent) > before + 50)
        side.limit(rotate_after_s=1000.0)
        side.live()
        side.caught_up()
        wait_for(lambda: side.told().books.get("live") == 2, 10, "the books")
        assert side.told().reconnects == 0
    assert side.gaps() == []
    assert side.venue.violations == []


def test_an_exclusive_venue_is_left_before_it_is_joined_and_the_hole_recorded(meet):
    side = meet("finnhub")
    side.limit(rotate_after_s=1.0)
    with listening(side.shard):
        side.subscribed()
        wait_for(lambda: len(side.venue.clients) >= 2, 10, "a rotation")
        wait_for(lambda: any(gap.until_us for gap in side.gaps()), 10, "the hole's end")
    assert side.venue.violations == []


def test_a_mute_connection_of_a_venue_with_heartbeats_is_mended(meet, settings):
    """Heartbeats are no life: the streams that used to speak are subscribed anew, then the connection is replaced."""
    settings.LISTENER_MUTE_MIN_S = settings.LISTENER_MUTE_MAX_S = 1.0
    side = meet("coinbase")
    with listening(side.shard):
        side.subscribed()
        side.venue.live(per_s=300)
        wait_for(lambda: len(side.journalled()) > 100, 10, "trades")
        time.sleep(0.5)  # so that its rhythm is known
        side.venue.mute(seconds=2.5)
        wait_for(lambda: len(side.venue.clients) == 2, 10, "another connection")
        wait_for(lambda: len(side.venue.open_clients) == 1 and side.told().state == "live", 10, "it alone")
        before = len(side.journalled())
        wait_for(lambda: len(side.journalled()) > before + 50, 10, "trades after it")
        wait_for(lambda: side.told().gaps_open == 0 and any(gap.until_us for gap in side.gaps()), 5, "the gap")
    assert side.venue.violations == []


def test_one_mute_stream_is_subscribed_anew_and_the_connection_stays(meet, settings):
    settings.LISTENER_MUTE_MIN_S = settings.LISTENER_MUTE_MAX_S = 1.0
    side = meet("binance")
    with listening(side.shard):
        side.subscribed()
        side.venue.live(per_s=300)
        wait_for(lambda: len(side.journalled()) > 100, 10, "trades")
        time.sleep(0.5)
        (client,) = side.venue.open_clients
        client.streams.discard("btcusdt@trade")  # the venue forgets it, without a word
        wait_for(lambda: "btcusdt@trade" in client.streams, 10, "the stream to be asked for again")
        assert len(side.venue.clients) == 1


def test_the_silence_of_a_closed_market_is_no_stall(meet, settings, monkeypatch):
    """Gotcha 35: nothing is subscribed anew, replaced or alarmed while nothing can come."""
    settings.LISTENER_MUTE_MIN_S = settings.LISTENER_MUTE_MAX_S = 0.5
    settings.LISTENER_UNHEARD_AFTER_S = 0.5
    side = meet("finnhub", symbols=0)
    side.add("AAPL", kind="stock", currency="USD")
    monkeypatch.setattr(listener.Listener, "is_open", lambda self, symbol: False)
    with listening(side.shard):
        side.subscribed()
        side.venue.live(per_s=100)
        wait_for(lambda: len(side.journalled()) > 10, 10, "trades")
        side.venue.quiet()
        asked = len(side.requests)
        time.sleep(1.5)  # three times what it would take
        assert len(side.venue.clients) == 1
        assert len(side.requests) == asked
        assert (side.told().silent, side.told().mute) == ([], [])


def test_lost_frames_of_a_venue_that_counts_them_are_a_gap_and_new_books(meet):
    side = meet("coinbase")
    with listening(side.shard):
        side.subscribed()
        side.venue.live(per_s=300)
        wait_for(lambda: side.told().books.get("live") == 2, 10, "the books")
        side.venue.drop(3)
        gaps = wait_for(lambda: [gap for gap in side.gaps() if gap.reason == "frames missing"], 10, "the gap")
        assert gaps[0].until_us >= gaps[0].from_us
        wait_for(lambda: side.told().books == {"live": 2}, 10, "the books again")
    assert len(side.venue.clients) == 1
    assert side.venue.violations == []


def test_a_wrong_checksum_renews_that_book_alone(meet):
    side = meet("kraken")
    with listening(side.shard):
        side.subscribed()
        side.venue.live(per_s=200)
        wait_for(lambda: side.told().books.get("live") == 2, 10, "the books")
        asked = len(side.requests)
        side.venue.harm(faults.WRONG_CHECKSUM, 1)
        wait_for(lambda: len(side.requests) == asked + 2, 10, "its book to be left and joined")
        wait_for(lambda: side.told().books == {"live": 2}, 10, "the book again")
    assert len(side.venue.clients) == 1


def test_books_of_binance_begin_with_a_snapshot_by_rest(meet):
    side = meet("binance")
    with listening(side.shard):
        side.subscribed()
        side.venue.live(per_s=200)
        wait_for(lambda: side.told().books == {"live": 2}, 10, "the books")
        side.venue.fail(faults.HTTP_500, 1)
        side.venue.close(1006)
        wait_for(lambda: side.told().reconnects == 1, 5)
        wait_for(lambda: side.told().books == {"live": 2}, 20, "the books again")
    assert side.venue.violations == []


@pytest.mark.parametrize("fault", [faults.HALF, faults.FRAGMENT])
def test_odd_frames_end_nothing_for_long(meet, fault):
    side = meet("kraken")
    with listening(side.shard):
        side.subscribed()
        side.venue.live(per_s=200)
        wait_for(lambda: len(side.journalled()) > 20, 10)
        side.venue.harm(fault, 1)
        before = len(side.journalled())
        wait_for(lambda: len(side.journalled()) > before + 100, 15, "trades after it")
        wait_for(lambda: side.told().ticks > 0, 5)
        assert side.told().reconnects == (1 if fault == faults.HALF else 0)


def test_a_port_that_is_closed_is_tried_for_ever(meet, settings):
    side = meet("binance")
    good, settings.BINANCE_WS_URL = settings.BINANCE_WS_URL, "ws://127.0.0.1:9"
    with listening(side.shard):
        wait_for(lambda: side.told().reconnects >= 3, 10, "some tries")
        assert side.told().state == "connecting"
        assert side.told().last_error
    settings.BINANCE_WS_URL = good
    with listening(side.shard):
        side.subscribed()


def test_a_feed_that_staff_stop_ends_and_does_not_begin(meet, settings):
    settings.LISTENER_REFRESH_INTERVAL_S = 0.2
    side = meet("binance")
    with listening(side.shard) as thread:
        side.subscribed()
        Feed.objects.create(provider="binance", wanted=Feed.Wanted.STOPPED)
        thread.join(10)
        assert not thread.is_alive()
    with listening(side.shard) as thread:
        thread.join(10)
        assert not thread.is_alive()
    assert len(side.venue.clients) == 1
    assert status.feeds()[0].state == "stopped"


def test_an_idle_feed_opens_nothing(meet):
    side = meet("binance", symbols=0)
    with listening(side.shard):
        wait_for(lambda: side.told().state == "idle", 5)
    assert side.venue.clients == []


def test_the_venues_bars_are_stored(meet):
    side = meet("kraken", symbols=1)
    with listening(side.shard):
        side.subscribed()
        side.venue.live(per_s=100)
        (instrument_id,) = side.ids.values()
        now = dt.datetime.now(dt.UTC)
        around = now - dt.timedelta(minutes=10), now + dt.timedelta(minutes=10)
        assert wait_for(lambda: store.venue_bars(instrument_id, SOURCES["kraken"], "1m", *around), 10, "a bar")
