import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import redis
from django.db import DatabaseError, connection

from ingestion import latest
from ingestion.models import Instrument
from portfolio import follow, ledger, marks, proof, topics
from portfolio.models import MinuteSnapshot, Portfolio, Proof, Transaction
from portfolio.positions import Position
from portfolio.valuation import payload
from signals.models import Notification
from signals.tasks import notify
from streaming.interest import Interest
from tests.processes import wait_for
from worker.redis import client, key

pytestmark = pytest.mark.django_db


@pytest.fixture
def follower(portfolio, settings, own_prefix):
    settings.FEEDS = ["simulated"]
    return follow.Follower()


def rounds(follower):
    """Pull, fold what that left, and pull again, having looked for what no hint told of; how many were told."""
    follower.reconcile_at = 0.0
    told = follower.pull()
    while follower.fold_some():
        told += follower.pull()
    return told


@pytest.fixture
def trade(say):
    """trade(btc, 110.0): a price that is told, and that the follower hears of."""

    def trade(instrument, price, **more):
        say(instrument, price, **more)
        now_us = time.time_ns() // 1000
        moved = latest.Change(instrument.id, price, price, price, 1.0, 1, now_us)
        client().xadd(key("changes", "simulated:0"), {"c": latest.pack_changes([moved])})

    return trade


def held(follower, portfolio):
    """The follower's figures beside those of the whole ledger, at one instant."""
    now = datetime.now(UTC)
    own = follower.revalue(portfolio.pk, now)
    true = marks.value_portfolio(portfolio, now)
    return payload(1, "", own.worth, own.figures), payload(1, "", true)


# --- Incremental is the same as anew


def test_what_is_kept_is_what_would_be_worked_out_anew(portfolio, post, btc, eth, trade, follower):
    post("DEPOSIT", amount="100000")
    post("BUY", btc, quantity="0.3", price="97000.17", fee="1.3")
    post("BUY", eth, quantity="7", price="3400.1")
    trade(btc, 98000.25)
    rounds(follower)
    for price in (98001.5, 97000.01, 99999.99):
        trade(btc, price, change=price - 97000)
        trade(eth, price / 29, change=1.5)
        assert follower.pull() == 1
        ours, true = held(follower, portfolio)
        assert ours == true


def test_only_the_positions_that_moved_are_worked_out(portfolio, post, btc, eth, trade, follower):
    post("BUY", btc, quantity="1", price="1")
    post("BUY", eth, quantity="1", price="1")
    trade(btc, 10.0)
    trade(eth, 10.0)
    rounds(follower)
    own = follower.followed[portfolio.pk]
    before = dict(own.valued)
    trade(btc, 11.0)
    follower.pull()
    assert [own.valued[i] is before[i] for i in (btc.id, eth.id)] == [False, True]


def test_a_tick_at_the_same_price_tells_nothing(post, btc, trade, follower):
    post("BUY", btc, quantity="1", price="1")
    trade(btc, 10.0)
    rounds(follower)
    trade(btc, 10.0)
    assert follower.pull() == 0


# --- Ledgers


def test_a_new_row_is_gone_on_with(portfolio, post, btc, follower):
    post("BUY", btc, quantity="1", price="1")
    rounds(follower)
    book = follower.books[portfolio.pk].book
    post("BUY", btc, quantity="2", price="1", at=datetime(2026, 2, 1, tzinfo=UTC))
    client().sadd(topics.posted_key(), portfolio.pk)
    assert follower.pull() == 1
    assert not follower.unfolded
    assert follower.books[portfolio.pk].book is book
    assert follower.followed[portfolio.pk].standing.held[btc.id].quantity == 3


@pytest.mark.parametrize("taken_back", [False, True])
def test_a_row_in_the_past_or_a_reversal_has_the_ledger_folded_again(portfolio, post, btc, follower, trade, taken_back):
    row = post("BUY", btc, quantity="1", price="1", at=datetime(2026, 2, 1, tzinfo=UTC))
    rounds(follower)
    if taken_back:
        ledger.reverse(row)
    else:
        post("BUY", btc, quantity="2", price="5", at=datetime(2026, 1, 1, tzinfo=UTC))
    client().sadd(topics.posted_key(), portfolio.pk)
    trade(btc, 7.0)  # meanwhile prices flow
    follower.pull()
    assert list(follower.unfolded) == [portfolio.pk]
    rounds(follower)
    ours, true = held(follower, portfolio)
    assert ours == true


def test_a_change_of_method_has_the_ledger_folded_again(portfolio, post, btc, follower):
    post("BUY", btc, quantity="1", price="1")
    rounds(follower)
    Portfolio.objects.filter(pk=portfolio.pk).update(cost_basis_method="fifo", version=portfolio.version + 2)
    rounds(follower)
    assert follower.books[portfolio.pk].policy.methods[0][1] == "fifo"


def test_few_books_are_kept_and_all_are_followed(portfolio, bob, follower, settings):
    settings.PORTFOLIO_BOOKS_KEPT = 1
    Portfolio.objects.create(owner=bob, name="Other")
    rounds(follower)
    assert (len(follower.books), len(follower.followed)) == (1, 2)


def test_who_waits_for_a_long_ledger_keeps_nobody_else_waiting(portfolio, post, btc, bob, trade, follower):
    """A pull adds up no ledger by itself: those that are to be folded wait for the other thread."""
    post("BUY", btc, quantity="1", price="1")
    trade(btc, 10.0)
    rounds(follower)
    long = Portfolio.objects.create(owner=bob, name="Long")
    client().sadd(topics.posted_key(), long.pk)
    trade(btc, 11.0)
    assert follower.pull() == 1
    assert (list(follower.unfolded), long.pk in follower.followed) == ([long.pk], False)


def test_a_ledger_that_does_not_add_up_stops_no_other(portfolio, btc, bob, follower):
    other = Portfolio.objects.create(owner=bob, name="Other", version=1)
    Transaction(
        portfolio=other,
        type="SELL",
        instrument=btc,
        quantity=1,
        price=1,
        currency="USD",
        fee_currency="USD",
        fx_rate=1,
        at=datetime(2026, 1, 1, tzinfo=UTC),
    ).save()  # past every check
    rounds(follower)
    assert list(follower.followed) == [portfolio.pk]


def test_what_is_gone_is_forgotten(portfolio, bob, follower):
    other = Portfolio.objects.create(owner=bob, name="Other")
    rounds(follower)
    other.delete()
    rounds(follower)
    assert list(follower.followed) == [portfolio.pk]
    assert other.pk not in follower.board


# --- Prices that grow old, rates that move


def test_that_a_price_has_grown_old_is_told_without_a_tick(portfolio, post, btc, trade, follower, settings):
    post("BUY", btc, quantity="1", price="1")
    trade(btc, 10.0)
    rounds(follower)
    settings.PRICE_FRESH_S = 0.0
    follower.refresh_at = 0.0
    assert follower.pull() == 1
    assert list(held(follower, portfolio)[0]["stale"]) == ["BTC-USD"]


def test_a_moved_rate_moves_what_is_priced_in_it(portfolio, post, trade, follower):
    scom = Instrument.objects.create(symbol="SCOM", name="Safaricom", kind="equity", currency="EUR")
    pair = Instrument.objects.create(symbol="EURUSD=X", name="Euro", kind="fx", currency="USD")
    post("BUY", scom, quantity="10", price="1", fx_rate="1.1")
    trade(pair, 1.25)
    trade(scom, 2.0)
    rounds(follower)
    assert held(follower, portfolio)[0]["exact"]["market_value"] == "25"
    trade(pair, 1.5)
    assert follower.pull() == 1
    ours, true = held(follower, portfolio)
    assert ours["exact"]["market_value"] == true["exact"]["market_value"] == "30"
    assert ours["exact"]["cash"] == true["exact"]["cash"] == "-15"


# --- Who is told


def test_whom_nobody_watches_is_told_when_somebody_does(portfolio, post, btc, trade, follower):
    post("BUY", btc, quantity="1", price="1")
    rounds(follower)
    follower.interest = Interest()
    follower.interest._until = {}
    trade(btc, 10.0)
    assert (follower.pull(), follower.due) == (0, {portfolio.pk})
    follower.interest._until = None
    assert (follower.pull(), follower.due) == (1, set())


def test_who_was_told_something_newer_is_told_again(portfolio, post, btc, trade, follower):
    """Another process told its value a moment later than ours was made: ours may hold a price that it lacks."""
    post("BUY", btc, quantity="1", price="1")
    rounds(follower)
    portfolio.refresh_from_db()
    topics.publish_values([topics.revalue(portfolio, datetime.now(UTC) + timedelta(seconds=1))])
    trade(btc, 10.0)
    assert (follower.pull(), follower.due) == (0, {portfolio.pk})
    wait_for(lambda: follower.pull() == 1)
    assert follower.due == set()


def test_after_an_outage_it_goes_on_from_where_it_was(portfolio, post, btc, trade, follower, settings):
    post("BUY", btc, quantity="1", price="1")
    trade(btc, 10.0)
    rounds(follower)
    book = follower.books[portfolio.pk].book
    address = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(redis.RedisError):
        follower.pull()
    settings.REDIS_URL = address
    follower.doubt()
    client().delete(key("changes", "simulated:0"))  # it came back empty
    trade(btc, 20.0)
    assert follower.pull() == 1
    assert held(follower, portfolio)[0]["exact"]["market_value"] == "20"
    assert follower.books[portfolio.pk].book is book


# --- Minutes


def test_values_are_kept_by_the_minute(portfolio, post, btc, trade, follower):
    post("BUY", btc, quantity="2", price="1")
    trade(btc, 10.0)
    rounds(follower)
    follower.minutes.minute -= timedelta(minutes=1)
    follower.pull()
    assert [(row.market_value, row.stale) for row in MinuteSnapshot.objects.all()] == [(20, False)]


def test_a_minute_that_could_not_be_kept_is_kept_in_the_next(portfolio, follower):
    rounds(follower)
    follower.minutes.minute -= timedelta(minutes=1)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE portfolio_snapshot_1m RENAME TO away")
        with pytest.raises(DatabaseError):
            follower.pull()
        cursor.execute("ALTER TABLE away RENAME TO portfolio_snapshot_1m")
    follower.minutes.minute -= timedelta(minutes=1)
    follower.pull()
    assert MinuteSnapshot.objects.count() == 1


# --- The proof


@pytest.fixture
def proven(follower):
    """proven() runs the nightly proof, while the follower answers in a thread of its own."""
    over = threading.Event()

    def answering():
        while not over.wait(0.01):
            follower._answer(datetime.now(UTC))

    def proven():
        over.clear()
        thread = threading.Thread(target=answering)
        thread.start()
        try:
            return proof.prove(datetime.now(UTC))
        finally:
            over.set()
            thread.join()

    return proven


@pytest.fixture
def owning(post, btc, eth, trade, follower):
    """A portfolio with some of everything, followed."""
    post("DEPOSIT", amount="1000.01")
    post("BUY", btc, quantity="0.3", price="97000.17", fee="1.3")
    post("BUY", eth, quantity="7", price="3400.1")
    now = datetime.now(UTC)
    post("SELL", eth, quantity="2", price="3400.1", at=now - timedelta(hours=1), now=now)
    trade(btc, 98000.25, change=17.5)
    trade(eth, 3333.33, change=-1.25)
    rounds(follower)


@pytest.mark.usefixtures("owning")
def test_what_is_held_is_proven_and_kept(proven, portfolio):
    made = proven()
    assert (made.portfolios, made.mismatches) == (1, [])
    assert str(made).endswith("1 portfolios, all true")


@pytest.mark.usefixtures("owning")
def test_a_wrong_quantity_is_found_told_to_staff_and_healed(
    proven, portfolio, follower, btc, admin, django_capture_on_commit_callbacks
):
    own = follower.followed[portfolio.pk]
    own.standing.held[btc.id] = Position(Decimal("0.4"), Decimal(1), Decimal(1))
    own.valued_in = 0
    with django_capture_on_commit_callbacks() as callbacks:
        made = proven()
    wrong = {one["figure"]: (one["held"], one["true"]) for one in made.mismatches}
    assert wrong["BTC-USD quantity"] == ("0.4", "0.3")
    assert wrong["market_value"] == ("55866.75", "46066.725")
    assert len(callbacks) == 1  # tells staff, once this is kept
    assert list(follower.unfolded) == [portfolio.pk]
    rounds(follower)
    assert proven().mismatches == []


@pytest.mark.usefixtures("owning")
def test_a_wrong_number_on_the_board_is_found(proven, portfolio, follower):
    follower.board._totals[:] += 1.0
    assert [one["figure"] for one in proven().mismatches] == ["total on the board"]


@pytest.mark.usefixtures("owning")
def test_a_price_that_the_follower_missed_is_found(proven, btc, say):
    say(btc, 99999.0, age_s=-1.0)  # nobody told the follower
    client().hset(
        key("latest", "binance"),
        str(btc.id),
        latest.encode(latest.Latest(source="binance", price=99999.0, time_us=time.time_ns() // 1000, received_us=1)),
    )
    assert [one["figure"] for one in proven().mismatches] == [f"price of instrument {btc.id}"]


def test_a_ledger_that_the_follower_lags_behind_is_found(proven, post, portfolio, follower):
    rounds(follower)
    post("DEPOSIT", amount="5")
    assert [one["figure"] for one in proven().mismatches] == ["version"]


def test_a_follower_that_says_nothing_is_found(portfolio, settings, own_prefix):
    settings.PROOF_WAIT_S = 0.05
    made = proof.prove(datetime.now(UTC))
    assert [(one["figure"], one["true"]) for one in made.mismatches] == [
        ("answer", "the follower was silent for 0.05 s")
    ]


def test_staff_are_told_once_of_what_differs(portfolio, admin, settings, own_prefix):
    settings.PROOF_WAIT_S = 0.05
    made = proof.prove(datetime.now(UTC))
    for _ in range(2):
        notify([admin.pk], proof.telling(made))
    (told,) = Notification.objects.all()
    assert (told.user, told.priority, told.data) == (admin, "critical", {"proof": made.pk})


def test_a_proof_is_to_be_seen_in_the_admin(client, admin):
    made = Proof.objects.create(
        started_at=datetime.now(UTC), finished_at=datetime.now(UTC), portfolios=3, mismatches=[{"figure": "cash"}]
    )
    client.force_login(admin)
    page = client.get("/admin/portfolio/proof/")
    assert page.status_code == 200
    assert b"3" in page.content
    assert client.get(f"/admin/portfolio/proof/{made.pk}/change/").status_code == 200
