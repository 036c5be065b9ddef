import json
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from ingestion import demand, latest
from portfolio import follow, topics
from portfolio.models import Portfolio
from portfolio.tasks import revalue as revalue_task
from streaming import topics as streaming_topics
from streaming.protocol import Address
from streaming.publish import channel_of
from worker import resident
from worker.redis import client, key

TOPIC = streaming_topics.registry["portfolio"]


@pytest.fixture
def heard(portfolio):
    """heard() gives the values that the portfolio's owner has been sent since the last call."""
    listener = client().pubsub(ignore_subscribe_messages=True)
    listener.subscribe(channel_of(f"portfolio:{portfolio.pk}"))
    listener.get_message(timeout=5)

    def heard(count=0):
        """At least `count` of them, waited for, and whatever else comes with them."""
        said, deadline = [], time.monotonic() + 20
        while (message := listener.get_message(timeout=0.2)) or (len(said) < count and time.monotonic() < deadline):
            if message is None:
                continue
            body = message["data"]
            said.append(json.loads(body[body.index(b'{"topic"') : body.rindex(b"}") + 1])["data"])
        return said

    yield heard
    listener.close()


def test_the_owner_is_let_in(portfolio, alice):
    address = TOPIC.resolve(str(portfolio.pk), alice)
    assert address == Address(topic=f"portfolio:{portfolio.pk}", name=f"portfolio:{portfolio.pk}")
    assert TOPIC.keys(alice) == [str(portfolio.pk)]


def test_bob_is_not_told_whether_it_exists(portfolio, bob):
    for number in (str(portfolio.pk), "999999", "abc", "", "٣", "9" * 30, "-1"):
        with pytest.raises(streaming_topics.NotYours):
            TOPIC.resolve(number, bob)
    assert TOPIC.keys(bob) == []


def test_nobody_in_particular_is_asked_to_sign_in(portfolio):
    with pytest.raises(streaming_topics.SignInNeeded):
        TOPIC.resolve(str(portfolio.pk), AnonymousUser())


def test_a_snapshot_is_the_value_now(portfolio, alice, post, btc, say):
    post("BUY", btc, quantity="2", price="100")
    say(btc, 110.0)
    (message,) = TOPIC.snapshot(TOPIC.resolve(str(portfolio.pk), alice), alice)
    assert (message.type, message.data["exact"]["market_value"]) == ("portfolio_update", "220")


@pytest.mark.django_db(transaction=True)
def test_a_posted_row_is_told_on_commit(post, heard):
    post("DEPOSIT", amount="12.5")
    assert [data["cash"] for data in heard()] == [12.5]


def test_an_older_value_is_not_told_after_a_newer_one(portfolio, heard):
    now = timezone.now()
    newer, older = topics.revalue(portfolio, now), topics.revalue(portfolio, now - timedelta(seconds=1))
    assert (topics.publish_values([newer]), topics.publish_values([older])) == ([portfolio.pk], [])
    later_ledger = topics.Revalued(portfolio.pk, "Savings", newer.version + 1, older.worth)
    assert topics.publish_values([later_ledger]) == [portfolio.pk]
    assert topics.publish_values([topics.revalue(portfolio, now + timedelta(seconds=9))]) == []
    assert len(heard()) == 2


def test_revaluing_twice_is_harmless(portfolio, heard):
    assert (revalue_task(portfolio.pk), revalue_task(portfolio.pk)) == (1, 1)
    assert len(heard()) == 2


# --- portfolio.follow -------------------------------------------------------------------------------------------


@pytest.fixture
def follower(portfolio, settings):
    settings.FEEDS = ["simulated"]
    client().delete(key("changes", "simulated:0"))
    client().delete(topics.posted_key(), key("portfolio", "proof"))
    follower = follow.Follower()
    rounds(follower)
    return follower


def rounds(follower, again=True):
    """Pull, fold what that left, and pull again; how many were told. again: look for what no hint told of."""
    if again:
        follower.reconcile_at = 0.0
    told = follower.pull()
    while follower.fold_some():
        told += follower.pull()
    return told


def move(instrument, price):
    change = latest.Change(instrument.id, price, price, price, 1.0, 1, int(datetime.now(UTC).timestamp() * 1e6))
    client().xadd(key("changes", "simulated:0"), {"c": latest.pack_changes([change])})


def test_only_what_a_price_touches_is_told(portfolio, post, btc, eth, say, bob, follower, heard):
    others = Portfolio.objects.create(owner=bob, name="Other")
    post("BUY", btc, quantity="2", price="100")
    say(btc, 110.0)
    say(eth, 3400.0)
    assert rounds(follower) == 2  # alice's ledger has moved, bob's is new
    assert others.pk in follower.followed
    heard()
    move(eth, 3400.0)
    assert follower.pull() == 0
    say(btc, 120.0)
    move(btc, 120.0)
    assert follower.pull() == 1
    assert [data["exact"]["market_value"] for data in heard()] == ["240"]
    assert follower.pull() == 0


def test_what_is_held_is_asked_of_the_feeds(post, btc, follower):
    post("BUY", btc, quantity="2", price="100")
    rounds(follower)
    assert demand.wanted() == {btc.id}


def test_after_a_hole_in_the_changes_everything_is_valued_again(post, btc, say, follower):
    post("BUY", btc, quantity="2", price="100")
    move(btc, 100.0)
    rounds(follower)
    say(btc, 130.0)
    for price in (110.0, 120.0, 130.0):
        move(btc, price)
    client().xtrim(key("changes", "simulated:0"), maxlen=1, approximate=False)
    assert follower.pull() == 1


def test_a_row_that_no_hint_told_of_is_found(portfolio, post, follower):
    post("DEPOSIT", amount="5")  # the test's transaction never commits, so there is no hint
    assert rounds(follower, again=False) == 0
    assert rounds(follower) == 1


@pytest.mark.django_db(transaction=True)
def test_the_resident_tells_of_prices_until_its_lease_is_gone(portfolio, post, btc, say, settings, heard):
    settings.LEASE_TTL_S = 1.0
    settings.PORTFOLIO_PULL_INTERVAL_MS = 20
    post("BUY", btc, quantity="2", price="100")
    heard()
    life = threading.Thread(target=follow.follow, args=("0",))
    life.start()
    try:
        assert heard(1), "the first round tells of everything"
        say(btc, 120.0)
        move(btc, 120.0)
        assert [data["exact"]["market_value"] for data in heard(1)] == ["240"]
    finally:
        client().delete(key("lease", "portfolio.follow:0"))
        life.join(15)
    assert not life.is_alive()


def test_the_follower_is_kept_alive():
    (wanted,) = [one for one in resident.registry.values() if one.name == "portfolio.follow"]
    assert (wanted.task, list(wanted.shards())) == (follow.follow.name, ["0"])
