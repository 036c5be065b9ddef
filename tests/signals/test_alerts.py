"""Alerts over a market that a test sets up: what is told, once, and what is not; over HTTP, as alice and as bob."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import redis
import time_machine
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from ingestion import demand, latest, markets
from ingestion.models import Instrument
from portfolio.models import Portfolio, Share
from signals import alerts, arming, conditions, follow, notifications, own_strategies
from signals.facts import Facts
from signals.follow import Follower
from signals.models import Alert, Firing, Notification, Signal, SignalHearer, StrategyFile, UserStrategy
from signals.notifications import Telling
from signals.own_strategies import Wish
from streaming.models import Event, TopicCounter
from tests.processes import wait_for
from worker import resident
from worker.redis import client as redis_client
from worker.redis import key


@pytest.fixture(autouse=True)
def own_market(own_prefix, settings):
    """Prices and changes of this test alone; what the clock says is looked at in each round."""
    settings.FEEDS = ["simulated"]
    settings.ALERT_TIMER_INTERVAL_S = settings.ALERT_RECONCILE_INTERVAL_S = 0.0


@pytest.fixture
def eth(db):
    return Instrument.objects.create(symbol="ETH-USD", name="Ether", kind="crypto", currency="USD")


@pytest.fixture
def tick():
    """tick(btc, 100, low=90) is one flush: the newest price, and what moved. age_s: how long ago."""

    def tick(instrument, last, high=None, low=None, age_s=0.0, source="simulated", **more):
        at = time.time_ns() // 1000 - int(age_s * 1e6)
        told = latest.Latest(source=source, price=last, time_us=at, received_us=at, **more)
        redis_client().hset(key("latest", source), str(instrument.pk), latest.encode(told))
        high, low = last if high is None else high, last if low is None else low
        change = latest.Change(instrument.pk, last, high, low, 1.0, 1, at)
        redis_client().xadd(key("changes", f"{source}:0"), {"c": latest.pack_changes([change])})

    return tick


@pytest.fixture
def follower(db):
    found = Follower()
    found.pull()
    return found


@pytest.fixture
def make(alice, btc):
    """make(op="above", value=100, mode="every") → an alert of alice's on bitcoin's price; condition=… another tree."""

    def make(op="above", value=100, condition=None, user=alice, clear=None, **asked):
        leaf = {"kind": "price", "symbol": "BTC-USD", "op": op, "value": value}
        leaf |= {} if clear is None else {"clear": clear}
        return alerts.create(user, alerts.Wish(condition=condition or leaf, **asked), timezone.now())

    return make


def told(user):
    return list(Notification.objects.filter(user=user, notification_type="alert").order_by("id"))


def reasons():
    return list(Firing.objects.order_by("id").values_list("reason", flat=True))


# --- Judging --------------------------------------------------------------------------------------------------------


def test_a_price_above_is_told_once_with_its_reason(alice, btc, make, tick, follower):
    alert = make(note="Sell some.")
    tick(btc, 95.0)
    assert follower.pull() == 0
    tick(btc, 100.05)
    assert follower.pull() == 1
    tick(btc, 120.0)
    assert follower.pull() == 0
    (row,) = told(alice)
    firing = Firing.objects.get()
    assert (row.title, row.priority) == ("BTC-USD above 100", "normal")
    assert row.message == f"{firing.reason}. Sell some."
    assert "100.05" in firing.reason
    assert "100" in firing.reason
    assert row.dedupe_key == f"alert:{alert.pk}:1"
    assert {"alert_id": alert.pk, "generation": 1, "symbol": "BTC-USD", "observed": {"BTC-USD": 100.05}}.items() <= (
        row.data.items()
    )
    assert row.data["condition"] == alert.condition
    alert.refresh_from_db()
    assert (alert.status, alert.generation, alert.last_fired_at) == ("fired", 1, firing.at)
    assert Event.objects.filter(topic=f"notifications:{alice.pk}", type="notification").count() == 1


def test_a_spike_inside_one_flush_fires_and_says_so(btc, make, tick, follower):
    make("crosses_above", 110)
    tick(btc, 100.0)
    follower.pull()
    tick(btc, 101.0, high=115.0)
    assert follower.pull() == 1
    assert "115" in reasons()[0]
    assert "in between" in reasons()[0]


def test_a_spike_of_a_tree_fires_too(btc, eth, make, tick, follower):
    price = {"kind": "price", "op": "crosses_above", "value": 110, "symbol": "BTC-USD"}
    make(condition={"all": [price, {"kind": "price", "op": "above", "value": 10, "symbol": "ETH-USD"}]})
    tick(btc, 100.0)
    tick(eth, 20.0)
    follower.pull()
    tick(btc, 101.0, high=115.0)
    tick(btc, 102.0)
    assert follower.pull() == 1


def test_a_gap_through_the_threshold_is_told_at_the_observed_price(btc, make, tick, follower):
    make("crosses_below", 90)
    tick(btc, 100.0)
    follower.pull()
    tick(btc, 80.0)
    assert follower.pull() == 1
    assert Firing.objects.get().gapped
    assert "80" in reasons()[0]
    assert "jumped" in reasons()[0]


def test_what_is_true_already_is_told_at_once_or_not_as_was_asked(btc, make, tick, follower):
    tick(btc, 150.0)
    make()
    make(at_once=False)
    assert follower.pull() == 1
    tick(btc, 151.0)
    assert follower.pull() == 0


def test_it_fires_again_only_after_it_was_clear(btc, make, tick, follower):
    make(clear=95, mode="every")
    for price, fires in ((90, 0), (101, 1), (99, 0), (102, 0), (94, 0), (103, 1)):
        tick(btc, float(price))
        assert follower.pull() == fires, price
    assert list(Firing.objects.order_by("id").values_list("generation", flat=True)) == [1, 2]


def test_what_happens_while_it_cools_is_told_once_with_the_first_price_after(btc, make, tick, follower):
    start = timezone.now()
    level, crossing = (make(op=op, mode="every", cooldown_s=60) for op in ("above", "crosses_above"))
    follower.pull()
    steps = [  # seconds, price, firings of the level and of the crossing by then
        (1, 90, 0, 0), (2, 101, 1, 1), (10, 95, 1, 1), (20, 102, 1, 1), (61, 103, 1, 1),
        (63, 103, 2, 1), (64, 104, 2, 1), (65, 95, 2, 1), (66, 105, 2, 2), (67, 106, 2, 2), (125, 107, 3, 2),
        (126, 108, 3, 2),
    ]  # fmt: skip
    for seconds, price, *expected in steps:
        with time_machine.travel(start + timedelta(seconds=seconds), tick=False):
            tick(btc, float(price))
            follower.pull()
        fired = [Firing.objects.filter(alert=alert).count() for alert in (level, crossing)]
        assert fired == expected, (seconds, price)
    assert "not told until now" in Firing.objects.get(alert=level, generation=2).reason
    assert Firing.objects.get(alert=crossing, generation=2).reason.endswith("1 more in between")


def test_confirmations_count_flushes(btc, make, tick, follower):
    make(confirmations=3)
    tick(btc, 90.0)
    follower.pull()
    for fires in (0, 0, 1):
        tick(btc, 101.0 + fires)
        assert follower.pull() == fires
        time.sleep(0.001)


def test_what_is_stale_late_delayed_or_doubted_fires_nothing(btc, make, tick, follower, settings):
    make("crosses_above", 110)
    tick(btc, 100.0)
    follower.pull()
    tick(btc, 120.0, suspect=True)
    tick(btc, 121.0, delay_s=900.0)
    assert follower.pull() == 0
    tick(btc, 122.0, age_s=90.0)
    assert follower.pull() == 0
    settings.ALERT_MAX_AGE_S = 5.0
    tick(btc, 123.0, age_s=10.0)
    tick(btc, 100.0)
    assert follower.pull() == 0
    assert told(Alert.objects.get().user) == []


def test_only_the_source_that_speaks_for_an_instrument_counts(btc, make, tick, follower):
    make("crosses_above", 110)
    tick(btc, 100.0, source="binance")
    follower.pull()
    tick(btc, 150.0, source="simulated")
    assert follower.pull() == 0
    tick(btc, 111.0, source="binance")
    assert follower.pull() == 0, "nobody listens to binance"
    Follower().pull()


def test_what_moved_before_the_alert_was_made_is_no_news(btc, make, tick, follower):
    tick(btc, 100.0, high=130.0)
    make("crosses_above", 110)
    assert follower.pull() == 0
    tick(btc, 101.0)
    assert follower.pull() == 0


def test_a_snoozed_alert_is_told_afterwards_only_if_it_lasts(alice, btc, make, tick, follower):
    alert = make(mode="every")
    tick(btc, 90.0)
    follower.pull()
    alerts.snooze(alert, timezone.now() + timedelta(hours=1))
    for price in (101.0, 90.0, 102.0):
        tick(btc, price)
        assert follower.pull() == 0
    assert Alert.objects.get().status_at(timezone.now()) == "snoozed"
    alerts.snooze(alert, None)
    tick(btc, 103.0)
    assert follower.pull() == 1
    assert "not told until now" in reasons()[0]


def test_regular_sessions_only(alice, btc, tick, follower, make):
    Instrument.objects.filter(pk=btc.pk).update(kind="equity", calendar="XNAI")
    markets.forget()
    with time_machine.travel(datetime(2026, 11, 18, 20, tzinfo=UTC), tick=False):
        make(session="regular", mode="every")
        tick(btc, 90.0)
        follower.pull()
        tick(btc, 101.0)
        assert follower.pull() == 0
    with time_machine.travel(datetime(2026, 11, 19, 8, tzinfo=UTC), tick=False):
        tick(btc, 102.0)
        assert follower.pull() == 1


def test_expired_and_disabled_alerts_are_silent(alice, btc, make, tick, follower):
    expiring = make(expires_at=timezone.now() + timedelta(minutes=1))
    off = make()
    alerts.edit(off, {}, timezone.now(), enabled=False)
    tick(btc, 90.0)
    follower.pull()
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        tick(btc, 101.0)
        assert follower.pull() == 0
    assert [Alert.objects.get(pk=one.pk).status for one in (expiring, off)] == ["expired", "disabled"]
    assert follower.alerts == {}


def test_an_edited_alert_begins_anew_and_counts_on(btc, make, tick, follower):
    alert = make()
    tick(btc, 101.0)
    assert follower.pull() == 1
    edited = alerts.edit(alert, {"condition": {**alert.condition, "value": 105}}, timezone.now())
    assert (edited.status, edited.generation, edited.name) == ("armed", 1, "BTC-USD above 105")
    tick(btc, 104.0)
    assert follower.pull() == 0
    tick(btc, 106.0)
    assert follower.pull() == 1
    assert Firing.objects.latest("id").generation == 2
    again = alerts.rearm(alert, timezone.now())
    assert (again.status, again.generation) == ("armed", 2)
    tick(btc, 107.0)
    assert follower.pull() == 0, "what is true already has to be false first"
    tick(btc, 99.0)
    tick(btc, 108.0)
    assert follower.pull() == 1


def test_a_note_changes_nothing_about_what_was_seen(btc, make, tick, follower):
    alert = make("crosses_above", 100)
    tick(btc, 90.0)
    follower.pull()
    alerts.edit(alert, {"note": "!"}, timezone.now())
    tick(btc, 101.0)
    assert follower.pull() == 1


# --- Restarts, outages, and two at once -----------------------------------------------------------------------------


def test_a_successor_goes_on_from_the_sides_and_the_changes(btc, make, tick, follower):
    make("crosses_above", 110)
    tick(btc, 100.0)
    follower.pull()
    tick(btc, 101.0, high=115.0)
    successor = Follower()
    assert successor.pull() == 1, "what the first one had not read yet"
    assert follower.pull() == 0
    assert Firing.objects.count() == 1


def test_what_was_read_and_not_stored_is_read_again_and_fires_once(btc, make, tick, follower):
    make("crosses_above", 110, mode="every")
    tick(btc, 100.0)
    follower.pull()
    before = redis_client().get(key("alerts", "cursor"))
    for price in (112.0, 100.0):
        tick(btc, price)
    assert follower.pull() == 1
    redis_client().set(key("alerts", "cursor"), before)  # killed before it said how far it had read
    assert Follower().pull() == 0
    assert Firing.objects.count() == 1


def test_trimmed_changes_are_made_good_by_the_newest_price(btc, make, tick, follower, caplog):
    make()
    tick(btc, 90.0)
    follower.pull()
    tick(btc, 130.0)
    redis_client().delete(key("changes", "simulated:0"))
    tick(btc, 104.0)
    redis_client().xtrim(key("changes", "simulated:0"), maxlen=0)
    follower.cursor = {**follower.cursor, "simulated:0": "1-1"}
    tick(btc, 105.0)
    assert follower.pull() == 1
    assert Firing.objects.get().observed == {"BTC-USD": 105.0}


@pytest.mark.django_db(transaction=True)
def test_two_followers_fire_one_generation_once(alice, btc, make, tick):
    for _ in range(5):
        make("crosses_above", 110)
    tick(btc, 100.0)
    both = [Follower(), Follower()]
    for one in both:
        one.pull()
    tick(btc, 120.0)
    start, fired = threading.Barrier(2), []

    def pull(one):
        try:
            start.wait()
            fired.append(one.pull())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=pull, args=(one,)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(fired) == 5
    assert (Firing.objects.count(), len(told(alice))) == (5, 5)


def test_a_verdict_on_what_was_changed_meanwhile_is_void(btc, make, tick, follower):
    alert = make()
    tick(btc, 90.0)
    follower.pull()
    judged = follower.alerts[alert.pk]
    fired = arming.Fired(1, time.time_ns() // 1000, "Because.", {"BTC-USD": 101.0})
    verdict = arming.Verdict(msgspec.structs.replace(judged.state, generation=1), fired, True)
    alerts.snooze(alert, timezone.now() + timedelta(hours=1))
    assert alerts.fire(judged, verdict, timezone.now()) is None
    assert alerts.keep_all([(judged, judged.state)]) == set()
    assert Firing.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_failure_at_the_last_step_of_a_firing_leaves_nothing_half_done(alice, btc, make, tick):
    make("crosses_above", 110)
    tick(btc, 100.0)
    follower = Follower()
    follower.pull()
    tick(btc, 120.0, high=121.0)
    notifications.tell([alice.pk], Telling(title="", message="", notification_type="info", dedupe_key="first"))
    held, done = threading.Event(), threading.Event()

    def hold_her_topic():
        with transaction.atomic():
            list(TopicCounter.objects.select_for_update().filter(topic=f"notifications:{alice.pk}"))
            held.set()
            done.wait(20)
        connections.close_all()

    other = threading.Thread(target=hold_her_topic)
    other.start()
    try:
        held.wait(20)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        with pytest.raises(OperationalError):
            follower.pull()
    finally:
        done.set()
        other.join()
        connection.close()
    assert (Firing.objects.count(), told(alice), Alert.objects.get().generation) == (0, [], 0)
    assert Follower().pull() == 1
    assert Firing.objects.get().observed == {"BTC-USD": 120.0}


def test_an_outage_of_redis_loses_nothing(btc, make, tick, follower, settings):
    make("crosses_above", 110)
    tick(btc, 100.0)
    follower.pull()
    tick(btc, 120.0, high=121.0)
    there, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    with pytest.raises(redis.RedisError):
        follower.pull()
    settings.REDIS_URL = there
    assert Follower().pull() == 1


def test_alerts_are_read_again_when_redis_forgot_who_was_touched(btc, make, tick, follower, settings):
    settings.ALERT_RECONCILE_INTERVAL_S = 3600.0
    tick(btc, 90.0)
    follower.pull()
    make()
    redis_client().delete(alerts.touched_key())
    follower.touched = "5-0"
    tick(btc, 101.0)
    assert follower.pull() == 1


@pytest.mark.django_db(transaction=True)
def test_the_resident_follows(btc, make, tick):
    make("crosses_above", 110)
    life = threading.Thread(target=follow.follow, args=("0",))
    life.start()
    try:
        wait_for(lambda: redis_client().exists(key("alerts", "cursor")))
        tick(btc, 100.0)
        wait_for(lambda: Alert.objects.get().state.get("memories"))
        tick(btc, 120.0)
        wait_for(lambda: Firing.objects.exists())
    finally:
        redis_client().delete(key("lease", "signals.follow:0"))
        life.join(15)
    assert not life.is_alive()


def test_the_follower_is_kept_alive(btc, make, follower):
    (wanted,) = [one for one in resident.registry.values() if one.name == "signals.follow"]
    assert (wanted.task, list(wanted.shards())) == (follow.follow.name, ["0"])


def test_feeds_follow_what_has_an_alert(btc, make, follower, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        make()
    assert btc.pk in demand.wanted()
    redis_client().delete(key("demand"))
    follower.demand_at = 0.0
    follower.pull()
    assert btc.pk in demand.wanted()


# --- What breaks ----------------------------------------------------------------------------------------------------


def test_a_broken_alert_is_switched_off_and_the_others_go_on(alice, bob, btc, eth, make, tick, follower):
    gone = make(condition={"kind": "price", "symbol": "ETH-USD", "op": "above", "value": 1})
    mad = make(condition={"kind": "price", "symbol": "BTC-USD", "op": "above", "value": 101})
    fine = make(value=102)
    follower.pull()
    eth.delete()
    Alert.objects.filter(pk=mad.pk).update(condition={"kind": "nonsense"}, version=7)
    tick(btc, 103.0)
    assert follower.pull() == 1
    assert follower.pull() == 0
    statuses = {one.pk: Alert.objects.get(pk=one.pk) for one in (gone, mad, fine)}
    assert [one.status for one in statuses.values()] == ["broken", "broken", "fired"]
    assert "ETH-USD" in statuses[gone.pk].reason
    assert len([row for row in told(alice) if row.title.startswith("Alert off")]) == 2
    with pytest.raises(alerts.Refused, match="ETH-USD"):
        alerts.rearm(gone, timezone.now())


def test_an_alert_on_a_portfolio_that_is_no_longer_shared_stops(alice, bob, make, follower):
    portfolio = Portfolio.objects.create(owner=bob, name="Bob's")
    share = Share.objects.create(portfolio=portfolio, user=alice)
    tree = {"kind": "portfolio", "portfolio": portfolio.pk, "figure": "total_value", "op": "above", "value": 5}
    alert = make(condition=tree)
    assert alert.currencies == {f"portfolio:{portfolio.pk}": "USD"}
    follower.pull()
    share.delete()
    fired = Notification.objects.count()
    follower.pull()
    alert.refresh_from_db()
    assert alert.status == "broken"
    assert Notification.objects.count() == fired + 1


def test_a_portfolio_is_called_by_its_name_while_it_may_be_seen(alice, bob, make):
    portfolio = Portfolio.objects.create(owner=bob, name="Savings")
    share = Share.objects.create(portfolio=portfolio, user=alice)
    alert = make(
        condition={"kind": "portfolio", "portfolio": portfolio.pk, "figure": "total_value", "op": "above", "value": 1}
    )
    assert alert.name == "Savings total value above 1"
    Portfolio.objects.update(name="Rainy days")
    assert conditions.in_words(alert, conditions.names_of([alert])) == "Rainy days total value above 1"
    share.delete()
    told = conditions.in_words(alert, conditions.names_of([alert]))
    assert told == f"portfolio {portfolio.pk} total value above 1"


def test_nothing_of_a_portfolio_is_told_from_the_moment_it_is_hidden(alice, bob, make):
    portfolio = Portfolio.objects.create(owner=bob, name="Bob's")
    share = Share.objects.create(portfolio=portfolio, user=alice)
    alert = make(
        condition={"kind": "portfolio", "portfolio": portfolio.pk, "figure": "total_value", "op": "above", "value": 1}
    )
    fired = arming.Fired(1, time.time_ns() // 1000, "Because.", {})
    verdict = arming.Verdict(msgspec.structs.replace(alerts.state_of(alert), generation=1), fired, True)
    share.delete()
    assert alerts.fire(alert, verdict, timezone.now()) is None
    Share.objects.create(portfolio=portfolio, user=alice)
    assert alerts.fire(alert, verdict, timezone.now()) is not None


def test_a_change_of_currency_voids_the_thresholds(btc, make, follower):
    alert = make()
    follower.pull()
    Instrument.objects.filter(pk=btc.pk).update(currency="EUR")
    follower.pull()
    alert.refresh_from_db()
    assert (alert.status, alert.currencies) == ("broken", {"BTC-USD": "USD"})
    assert "EUR" in alert.reason


class SickFacts(Facts):
    """Spreads fail."""

    def gather(self, asks, now, prices=None):
        if any(ask.kind == "spread" for ask in asks):
            raise ZeroDivisionError
        return super().gather(asks, now, prices)


def test_figures_that_fail_break_only_those_who_ask_for_them(btc, make, tick, follower):
    follower.facts = SickFacts()
    sick = make(condition={"kind": "spread", "symbol": "BTC-USD", "op": "above", "value": 1})
    fine = make(condition={"kind": "staleness", "symbol": "BTC-USD", "op": "above", "value": 0.0})
    tick(btc, 100.0, age_s=1.0)
    follower.pull()
    assert [Alert.objects.get(pk=one.pk).status for one in (sick, fine)] == ["broken", "fired"]


def test_silence_is_told_by_the_clock_alone(btc, make, tick, follower):
    make(condition={"kind": "staleness", "symbol": "BTC-USD", "op": "above", "value": 60})
    tick(btc, 100.0)
    assert follower.pull() == 0
    with time_machine.travel(timezone.now() + timedelta(seconds=90)):
        follower.timer_at = 0.0
        assert follower.pull() == 1


# --- Over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture
def http(client, alice):
    client.force_login(alice)
    return client


LEAF = {"kind": "price", "symbol": "btc-usd", "op": "above", "value": 70000, "clear": 69500}


def send(http, path, body, method="post"):
    return getattr(http, method)(f"/api/alerts/{path}", body, content_type="application/json")


def test_an_alert_is_made_listed_changed_and_deleted(http, btc, eth):
    answer = send(http, "", {"condition": LEAF, "mode": "every", "cooldown_s": 60, "escalating": True})
    assert answer.status_code == 201, answer.json()
    made = answer.json()
    times = dict.fromkeys(("created_at", "updated_at"))
    assert made | times == {
        "id": made["id"], "name": "BTC-USD above 70,000 (until below 69,500)", "symbol": None, "condition": LEAF,
        "description": "BTC-USD above 70,000 (until below 69,500)", "mode": "every", "interval": "1m",
        "confirmations": 1, "cooldown_s": 60.0, "escalating": True, "at_once": True, "expires_at": None,
        "snoozed_until": None, "session": "any", "priority": "normal", "note": "", "status": "armed", "reason": "",
        "armed": True, "cooling_until": None, "generation": 0, "firings": 0, "last_fired_at": None, "currency": "USD",
        "currencies": {"BTC-USD": "USD"}, **times,
    }  # fmt: skip
    path = f"{made['id']}/"
    assert http.get(f"/api/alerts/{path}").json() == made
    assert [row["id"] for row in http.get("/api/alerts/?symbol=BTC-USD&status=armed").json()["results"]] == [made["id"]]
    assert http.get("/api/alerts/?symbol=ETH-USD").json() == {"results": [], "next": None}
    assert http.get("/api/alerts/?status=fired,snoozed").json()["results"] == []
    off = send(http, path, {"enabled": False, "priority": "high"}, "patch").json()
    assert (off["status"], off["armed"], off["priority"]) == ("disabled", False, "high")
    on = send(http, path, {"enabled": True}, "patch").json()
    assert (on["status"], on["reason"]) == ("armed", "")
    assert http.delete(f"/api/alerts/{path}").status_code == 204
    assert http.get(f"/api/alerts/{path}").status_code == 404


def test_it_is_snoozed_and_woken(http, btc):
    path = f"{send(http, '', {'condition': LEAF}).json()['id']}/snooze/"
    assert send(http, path, {"minutes": 30}).json()["status"] == "snoozed"
    assert http.get("/api/alerts/?status=snoozed").json()["results"] != []
    assert http.delete(f"/api/alerts/{path}").json()["snoozed_until"] is None
    assert send(http, path, {"until": "2999-01-01T00:00:00Z"}).status_code == 400
    for bad in (
        {}, {"minutes": 0}, {"minutes": -1}, {"minutes": 1e300}, {"minutes": "x"}, {"until": "2001-01-01T00:00:00Z"},
        {"until": "soon"}, {"minutes": 1, "until": "2030-01-01T00:00:00Z"}, {"hours": 1}, {"until": None}, [],
    ):  # fmt: skip
        assert send(http, path, bad).status_code == 400, bad


def test_its_firings_tell_why(http, btc, tick, follower):
    made = send(http, "", {"symbol": "BTC-USD", "condition": {"kind": "price", "op": "above", "value": 100}}).json()
    assert made["symbol"] == "BTC-USD"
    tick(btc, 101.0)
    follower.pull()
    (row,) = http.get(f"/api/alerts/{made['id']}/firings/").json()["results"]
    assert (row["generation"], row["observed"]) == (1, {"BTC-USD": 101.0})
    assert row["late_s"] >= 0
    assert row["reason"]
    assert row["fired_at"]
    assert row["recorded_at"]
    now = http.get(f"/api/alerts/{made['id']}/").json()
    assert (now["status"], now["firings"], now["last_fired_at"]) == ("fired", 1, row["fired_at"])
    assert send(http, f"{made['id']}/rearm/", {}).json()["status"] == "armed"


def test_what_has_fired_tells_until_when_it_cools(http, btc, tick, follower):
    condition = {"kind": "price", "symbol": "BTC-USD", "op": "above", "value": 100}
    path = f"/api/alerts/{send(http, '', {'condition': condition, 'mode': 'every', 'cooldown_s': 600}).json()['id']}/"
    tick(btc, 101.0)
    follower.pull()
    now = http.get(path).json()
    cools = datetime.fromisoformat(now["cooling_until"]) - datetime.fromisoformat(now["last_fired_at"])
    # Counted from the look that fired it, a moment after the price.
    assert timedelta(seconds=600) <= cools < timedelta(seconds=660)
    assert not now["armed"]
    assert send(http, f"{now['id']}/rearm/", {}).json()["cooling_until"] is None


@pytest.mark.parametrize(
    ("condition", "place"),
    [
        ({**LEAF, "clear": 80000}, "condition.clear: "),
        ({**LEAF, "value": "NaN"}, "condition.value: "),
        ({**LEAF, "symbol": "NOPE"}, "condition.symbol: "),
        ({**LEAF, "symbol": "a\0b"}, "condition"),
        ({**LEAF, "symbol": "\ud800"}, "condition"),
        ({"kind": "price", "op": "above", "value": 1}, "condition.symbol: "),
        ({"all": [LEAF, {**LEAF, "clear": 80000}]}, "condition.all[1].clear: "),
        ({"not": {"any": [{**LEAF, "op": "sideways"}]}}, "condition.not.any[0].op: "),
        ({"all": []}, "condition.all: "),
        ({"all": [LEAF] * 51}, "condition: "),
        ({**LEAF, "colour": "red"}, "condition.colour: "),
        ({"kind": "portfolio", "portfolio": 10**9, "figure": "total_value", "op": "above", "value": 1},
         "condition.portfolio: There is no portfolio 1000000000."),
        ({}, "condition"), ([], "condition"), ("x", "condition"), (None, "condition"), (7, "condition"),
    ],
)  # fmt: skip
def test_a_bad_condition_is_refused_by_its_place(http, btc, condition, place):
    answer = send(http, "", json.dumps({"condition": condition}))
    assert answer.status_code == 400, answer.content
    (sentence,) = answer.json()["condition"]
    assert sentence.startswith(place) or condition is None, sentence
    assert not Alert.objects.exists()


@pytest.mark.parametrize(
    "bad",
    [
        {"mode": "often"}, {"confirmations": 0}, {"confirmations": 10**6}, {"cooldown_s": -1}, {"cooldown_s": 1e300},
        {"cooldown_s": True}, {"expires_at": "2001-01-01T00:00:00Z"}, {"session": "night"}, {"priority": "urgent"},
        {"name": "a\0"}, {"name": "x" * 121}, {"note": "x" * 501}, {"symbol": "NOPE"}, {"interval": "3m"},
        {"colour": "red"}, {"enabled": "perhaps"}, {"at_once": 7},
    ],
)  # fmt: skip
def test_bad_terms_are_refused_by_their_names(http, btc, bad):
    answer = send(http, "", {"condition": LEAF} | bad)
    assert answer.status_code == 400, answer.content
    assert list(answer.json()) == list(bad)


def test_numbers_beyond_numbers_and_trees_beyond_trees_are_refused(http, btc):
    leaf = '{"kind": "price", "symbol": "BTC-USD", "op": "above", "value": %s}'
    bodies = ['{"condition": %s}' % (leaf % value) for value in ("1e400", "NaN", "-1", "Infinity", "true", "[]", "{}")]
    bodies += ['{"condition": %s}' % ('{"not": ' * n + leaf % 1 + "}" * n) for n in (21, 300, 1000, 50_000)]
    bodies += ["", "[", "7", '"x"', "null"]
    for body in bodies:
        answer = send(http, "", body)
        assert answer.status_code == 400, (body[:80], answer.content[:200])
    assert not Alert.objects.exists()


def test_bob_knows_nothing_of_alices(http, bob, client, btc, alice):
    made = send(http, "", {"condition": LEAF}).json()
    portfolio = Portfolio.objects.create(owner=alice, name="Savings")
    client.force_login(bob)
    assert client.get("/api/alerts/").json()["results"] == []
    for method, path, body in (
        ("get", "", None), ("patch", "", {}), ("delete", "", None), ("post", "snooze/", {"minutes": 1}),
        ("delete", "snooze/", None), ("post", "rearm/", {}), ("get", "firings/", None),
    ):  # fmt: skip
        full = f"/api/alerts/{made['id']}/{path}"
        answer = getattr(client, method)(full, *([] if body is None else [body]), content_type="application/json")
        assert answer.status_code == 404, (method, path)
    tree = {"kind": "portfolio", "portfolio": portfolio.pk, "figure": "total_value", "op": "above", "value": 1}
    answer = send(client, "", {"condition": {"any": [LEAF, {"not": tree}]}})
    assert answer.json() == {"condition": [f"condition.any[1].not.portfolio: There is no portfolio {portfolio.pk}."]}
    client.logout()
    assert client.get("/api/alerts/").status_code in (401, 403)


def own_strategy(user, btc, name="My dips", **more):
    wish = {"name": name, "kind": "rsi_reversal", "parameters": {"period": 7}, "instruments": [btc]} | more
    return own_strategies.create(user, Wish(**wish))


def test_an_alert_waits_for_the_signals_of_ones_own_strategy(http, alice, bob, btc, make, follower):
    mine, other = own_strategy(alice, btc), own_strategy(alice, btc, "Other", parameters={"period": 9})
    foreign = own_strategy(bob, btc)
    made = send(http, "", {"symbol": "BTC-USD", "condition": {"kind": "signal", "strategy": "My dips"}}).json()
    assert made["condition"] == {"kind": "signal", "strategy": "My dips", "strategy_id": mine.pk}
    for unknown in (foreign.pk, str(foreign.pk), "Bob's", "nothing"):
        body = {"symbol": "BTC-USD", "condition": {"kind": "signal", "strategy": unknown}}
        assert "nor a strategy of your own" in send(http, "", body).json()["condition"][0]
    body = {"symbol": "BTC-USD", "condition": {"kind": "signal", "strategy_id": foreign.pk}}
    assert "You have no strategy" in send(http, "", body).json()["condition"][0]
    UserStrategy.objects.filter(pk=mine.pk).update(name="Renamed")
    follower.pull()
    for strategy in (other, mine):
        signal = Signal.objects.create(
            instrument=btc, strategy="rsi_reversal", strategy_key=strategy.run.key, interval="1h", candle_rev=0,
            time=timezone.now(), signal_type="BUY", strength="STRONG", confidence_score=80.0, entry_price=100.0,
            expires_at=timezone.now() + timedelta(hours=1), reason="RSI was 20", private=True,
        )  # fmt: skip
        SignalHearer.objects.create(signal=signal, user=alice)
        assert follower.pull() == (strategy is mine)


def test_an_alert_on_a_strategy_that_is_deleted_says_so(alice, btc, make, follower):
    mine = own_strategy(alice, btc)
    alert = make(condition={"kind": "signal", "symbol": "BTC-USD", "strategy": mine.pk})
    follower.pull()
    mine.delete()
    follower.pull()
    alert.refresh_from_db()
    assert (alert.status, alert.reason) == ("broken", "You have no strategy “My dips” any more.")


def test_a_strategy_file_is_a_kind_to_wait_for(alice, btc, make):
    described = {"name": "three_higher", "warmup": 22, "summary": "", "parameters": {}}
    now = timezone.now()
    StrategyFile.objects.create(path="mine.py", digest="x", status="ok", checked_at=now, strategies=[described])
    alert = make(condition={"kind": "signal", "symbol": "BTC-USD", "strategy": "three_higher"})
    StrategyFile.objects.all().delete()
    assert conditions.recall(alert).ask.get("strategy") == "three_higher", "it may be away for a moment"
    with pytest.raises(alerts.Refused, match="none of"):
        make(condition={"kind": "signal", "symbol": "BTC-USD", "strategy": "three_higher"})


def test_a_user_has_so_many_alerts_and_no_more(http, btc, settings):
    settings.ALERT_MAX_PER_USER = 2
    answers = [send(http, "", {"condition": LEAF}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 400]
    assert answers[-1].json() == {"detail": ["You have 2 alerts, which is the most."]}


def test_what_is_deleted_at_this_very_moment_is_not_there(btc, make):
    alert = make()
    Alert.objects.all().delete()
    for act in (
        lambda: alerts.delete(alert), lambda: alerts.snooze(alert, None), lambda: alerts.rearm(alert, timezone.now()),
    ):  # fmt: skip
        with pytest.raises(Alert.DoesNotExist):
            act()


@pytest.mark.django_db(transaction=True)
def test_two_at_once_do_not_slip_past_the_limit(alice, btc, settings, make):
    settings.ALERT_MAX_PER_USER = 3
    made, refused = [], []

    def one():
        try:
            made.append(make())
        except alerts.Refused:
            refused.append(1)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused), Alert.objects.count()) == (3, 5, 3)


def test_a_rule_of_fifty_leaves_is_taken_and_judged(http, btc, tick, follower):
    made = send(http, "", {"condition": {"all": [{**LEAF, "value": n, "clear": n} for n in range(1, 51)]}})
    assert made.status_code == 201, made.content
    tick(btc, 51.0)
    assert follower.pull() == 1
    assert len(Firing.objects.get().reason) <= 1000
    assert notifications.unread_of(made.wsgi_request.user.pk)


def test_an_expired_alert_is_armed_again_by_a_later_end(http, btc):
    made = send(http, "", {"condition": LEAF}).json()
    Alert.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert http.get("/api/alerts/?status=expired").json()["results"][0]["status"] == "expired"
    assert list(send(http, f"{made['id']}/rearm/", {}).json()) == ["expires_at"]
    alerts.expire_due(timezone.now())
    assert send(http, f"{made['id']}/", {"expires_at": None}, "patch").json()["status"] == "armed"
