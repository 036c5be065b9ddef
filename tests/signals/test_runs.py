"""Strategies of users' own, at every interval: asked once, at closed bars, and heard by whom they belong to."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from ingestion import store
from ingestion.candles import INTERVALS
from ingestion.models import Instrument, Watchlist
from signals import evaluation, own_strategies, runs, strategies, windows
from signals.models import Evaluated, Notification, Signal, SignalHearer, StrategyRun
from signals.own_strategies import Wish
from signals.readings import as_candles
from signals.strategies.check import looks_ahead
from streaming.models import Event

from .conftest import CLOSED, falling_then, make_bars, market

UP = falling_then(230.0)
NOW = CLOSED + timedelta(seconds=5)
FAST = {"fast": 2, "slow": 5}


@pytest.fixture
def own(btc):
    """own(alice, …): a strategy of hers, which follows BTC-USD at each minute."""

    def own(user, **more):
        wish = {"name": "Mine", "kind": "sma_cross", "parameters": FAST, "interval": "1m", "instruments": [btc]}
        return own_strategies.create(user, Wish(**wish | more))

    return own


def topics():
    return sorted(set(Event.objects.values_list("topic", flat=True)))


def test_ones_own_parameters_are_asked_and_only_oneself_hears(candles, own, btc, alice, bob):
    own(alice)
    candles(UP)
    house, mine = sorted(evaluation.run("1m", NOW), key=lambda signal: signal.private)
    assert (house.private, mine.private) == (False, True)
    assert mine.strategy_key == "sma_cross(fast=2,slow=5,stop_ranges=2.0,target_ranges=3.0)@1m"
    assert list(mine.hearers.values_list("user", flat=True)) == [alice.pk]
    assert topics() == [
        f"notifications:{alice.pk}", f"own-signals:{alice.pk}", f"own-signals:{alice.pk}:BTC-USD", "signals",
        "signals:BTC-USD",
    ]  # fmt: skip
    assert not Event.objects.filter(topic__startswith="signals", data__signal_id=str(mine.pk)).exists()
    assert set(Signal.objects.visible_to(bob)) == {house}
    assert [told.user for told in Notification.objects.all()] == [alice]


def test_equal_ones_are_asked_once_and_heard_by_each(candles, own, alice, bob, admin):
    own(alice)
    own(bob, name="Another name", notify=False)
    own(admin, min_confidence=90)
    candles(falling_then(146.0))  # not far
    (mine,) = [signal for signal in evaluation.run("1m", NOW) if signal.private]
    assert set(mine.hearers.values_list("user", flat=True)) == {alice.pk, bob.pk}
    assert list(Notification.objects.values_list("user", flat=True)) == [alice.pk]


def test_one_that_equals_the_houses_is_the_houses(candles, own, alice, bob):
    own(alice, parameters={})
    candles(UP)
    (signal,) = evaluation.run("1m", NOW)
    assert not signal.private
    assert [told.user for told in Notification.objects.all()] == [alice]
    assert not SignalHearer.objects.exists()


def test_what_is_watched_is_followed(candles, own, btc, alice, bob):
    own(alice, instruments=None)
    own(bob, instruments=None)
    Watchlist.objects.create(user=alice, name="Mine").items.create(instrument=btc, order=0)
    candles(UP)
    (mine,) = [signal for signal in evaluation.run("1m", NOW) if signal.private]
    assert list(mine.hearers.values_list("user", flat=True)) == [alice.pk]


@pytest.mark.parametrize("what", ["switched off", "deactivated", "elsewhere"])
def test_who_wants_none_gets_none(candles, own, btc, alice, what):
    other = Instrument.objects.create(symbol="KCB", name="KCB", kind="equity", currency="KES")
    own(alice, enabled=what != "switched off", instruments=[other if what == "elsewhere" else btc])
    if what == "deactivated":
        alice.is_active = False
        alice.save()
    candles(UP)
    assert [signal.private for signal in evaluation.run("1m", NOW)] == [False]


class Broken:
    name, warmup = "sma_cross", 5

    def evaluate(self, candles):
        raise RuntimeError("it broke\0")


def test_one_that_fails_is_noted_and_the_others_go_on(candles, own, alice, bob, monkeypatch):
    mine = own(alice)
    own(bob, parameters={"fast": 3, "slow": 6})
    candles(UP)
    make = runs.make
    monkeypatch.setattr(runs, "make", lambda kind, given: (Broken(), {}) if given["fast"] == 2 else make(kind, given))
    assert len(evaluation.run("1m", NOW)) == 2, "the house's and bob's"
    run = StrategyRun.objects.get(pk=mine.run_id)
    assert (run.last_error, run.last_error_at, run.failures) == ("RuntimeError: it broke", NOW, 1)
    monkeypatch.undo()
    candles([100.0], closed=CLOSED + timedelta(minutes=1))
    evaluation.run("1m", NOW + timedelta(minutes=1))
    run.refresh_from_db()
    assert run.last_error == "", "until it goes well again"


def test_a_kind_that_is_gone_is_noted_once(candles, own, alice):
    mine = own(alice)
    StrategyRun.objects.filter(pk=mine.run_id).update(kind="gone")
    candles(UP)
    for _ in range(2):
        evaluation.run("1m", NOW)
    run = StrategyRun.objects.get(pk=mine.run_id)
    assert "no strategy file with “gone”" in run.last_error
    assert run.failures == 1


# --- Replayed as live -------------------------------------------------------------------------------------------


def replay(bars, kind, parameters):
    """What the strategy says at each bar, all known at once: [(close, type, entry)]."""
    strategy, _ = runs.make(kind, parameters)
    candles = as_candles(Instrument(symbol="X", kind="crypto"), "1m", bars)
    said = (strategy.evaluate(candles.until(n)) for n in range(1, len(bars) + 1))
    return [(store.to_datetime(a.time_us), a.signal_type, a.entry_price, a.target_price) for a in said if a]


@pytest.mark.parametrize("gaps", [frozenset(), frozenset(range(62, 67)) | {75}])
def test_a_replay_gives_the_same_signals_as_live(btc, own, alice, gaps):
    """Fed bar by bar, each run knowing no more than was there; a minute without trades is not filled in."""
    own(alice)
    closes = [float(close) for close in market(95, seed=5).close]
    bars = [bar for at, bar in enumerate(make_bars(closes, btc.id)) if at not in gaps]
    for bar in bars:
        store.copy_candles([bar])
        if bar.time_us >= bars[40].time_us:
            evaluation.run("1m", store.to_datetime(bar.time_us + INTERVALS["1m"]) + timedelta(seconds=5))
    since = store.to_datetime(bars[38].time_us)  # the first run finds the two bars before it, too
    for kind, parameters, private in (("sma_cross", FAST, True), ("sma_cross", {}, False)):
        live = Signal.objects.filter(private=private).order_by("time")
        expected = [said for said in replay(bars, kind, parameters) if said[0] > since]
        assert list(live.values_list("time", "signal_type", "entry_price", "target_price")) == expected
        assert expected or not private
    assert not Signal.objects.exclude(status="ACTIVE").exists(), "nothing is repainted"


def test_the_houses_strategies_do_not_look_ahead():
    candles = market(450, seed=2)
    short = [house for house in strategies.HOUSE.values() if house.strategy.warmup < 100]
    assert not any(looks_ahead(house.strategy, candles.until(80)) for house in short)


# --- Longer bars ------------------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def five(btc, own, alice):
    """five(closes): minutes of which five bars each close at these prices, the last at noon; alice asks of five."""
    own(alice, interval="5m")

    def five(closes, **how):
        store.copy_candles(make_bars([close for close in closes for _ in range(5)], btc.id, **{"closed": NOON} | how))

    return five


def test_a_longer_bar_is_asked_about_once_it_has_settled(five):
    five([110.0 - i for i in range(12)] + [150.0])
    assert evaluation.run("5m", NOON + timedelta(seconds=5)) == [], "its last minute may be on the way"
    (signal,) = evaluation.run("5m", NOON + timedelta(seconds=11))
    assert (signal.interval, signal.time, signal.entry_price) == ("5m", NOON, 150.0)
    assert evaluation.run("5m", NOON + timedelta(seconds=30)) == []
    Evaluated.objects.all().delete()
    assert evaluation.run("5m", NOON + timedelta(seconds=40)) == []


def test_a_longer_bar_with_an_open_minute_waits_for_it(five, btc):
    five([110.0 - i for i in range(12)] + [150.0])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE candle_1m SET final = false WHERE time = %s", [NOON - timedelta(minutes=1)])
    assert evaluation.run("5m", NOON + timedelta(seconds=20)) == []
    assert not Evaluated.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE candle_1m SET final = true")
    assert len(evaluation.run("5m", NOON + timedelta(seconds=25))) == 1


def test_the_bar_that_is_forming_is_not_asked_about(five):
    five([110.0 - i for i in range(12)])
    five([150.0], closed=NOON + timedelta(minutes=4))
    assert evaluation.run("5m", NOON + timedelta(minutes=4, seconds=30)) == []


def test_after_a_downtime_what_is_still_news_is_asked_about(five, settings):
    five([110.0 - i for i in range(12)] + [150.0])
    settings.SIGNAL_MAX_AGE_S = 170
    assert evaluation.run("5m", NOON + timedelta(seconds=171)) == []
    assert len(evaluation.run("5m", NOON + timedelta(seconds=169))) == 1
    assert windows.max_age_s("1d") == 6 * 3600


def test_a_minute_that_was_revised_supersedes_the_signal_of_its_longer_bar(five):
    five([110.0 - i for i in range(12)] + [150.0])
    now = NOON + timedelta(seconds=15)
    (signal,) = evaluation.run("5m", now)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE candle_1m SET close = 90, rev = rev + 1 WHERE time = %s", [NOON - timedelta(minutes=1)])
    assert evaluation.run("5m", now + timedelta(seconds=15)) == []
    signal.refresh_from_db()
    assert signal.status == "SUPERSEDED"
    update = Event.objects.filter(topic__startswith="own-signals").latest("id")
    assert (update.type, update.data["status"]) == ("signal_update", "SUPERSEDED")


def test_days_are_asked_about_at_midnight(btc, own, alice):
    own(alice, interval="1d", parameters={"fast": 2, "slow": 3})
    midnight = datetime(2026, 3, 3, tzinfo=UTC)
    for days_ago, close in enumerate([150.0, *(100.0 + i for i in range(7))]):
        store.copy_candles(make_bars([close] * 3, btc.id, closed=midnight - timedelta(days=days_ago)))
    (signal,) = evaluation.run("1d", midnight + HOUR)
    assert (signal.time, signal.entry_price, signal.signal_type) == (midnight, 150.0, "BUY")


@pytest.mark.django_db(transaction=True)
def test_two_reviews_at_once_supersede_once(own_prefix, candles, own, alice):
    own(alice)
    candles(UP)
    evaluation.run("1m", NOW)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE candle_1m SET close = 236, rev = 1 WHERE time = %s", [CLOSED - timedelta(minutes=1)])
    start, made = threading.Barrier(3), []

    def review():
        try:
            start.wait(10)
            made.extend(evaluation.run("1m", NOW))
        finally:
            connection.close()

    threads = [threading.Thread(target=review) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(Signal.objects.values_list("status", "private")) == [
        ("ACTIVE", False), ("ACTIVE", True), ("SUPERSEDED", False), ("SUPERSEDED", True),
    ]  # fmt: skip
    assert len(made) == 2
    assert Event.objects.filter(topic="signals", type="signal_update").count() == 1


def test_many_instruments_are_read_in_a_few_queries(own, alice, django_assert_max_num_queries):
    rows = [Instrument(symbol=f"C{i}-USD", name=f"C{i}", kind="crypto", currency="USD") for i in range(150)]
    for instrument in Instrument.objects.bulk_create(rows):
        store.copy_candles(make_bars([100.0] * 45, instrument.id))
    with django_assert_max_num_queries(60):
        assert evaluation.run("1m", NOW) == []
    assert Evaluated.objects.count() == 150
