"""Every call on what people own, asked as its owner, as a reader, as a stranger, as staff and as nobody.

The calls are read from the routes: one that is added and forgets its check fails here.
"""

import datetime as dt

import pytest
from django.utils import timezone

from portfolio import sharing
from portfolio.models import Household, ImportBatch, Portfolio
from portfolio.urls import urlpatterns

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]

SAFE = ("get", "head")
# Lists, and what is everybody's: they name no row. What they show is tested below, and in test_fx.py.
WITHOUT_A_ROW = {"fx/", "portfolios/", "orders/", "households/"}
# Whom else a portfolio is shared with is its owner's business.
OWNERS_ALONE = {"portfolios/<int:portfolio_id>/shares/", "portfolios/<int:portfolio_id>/shares/<int:share_id>/"}

# They take a body, and change nothing.
READS_WITH_A_BODY = {"portfolios/<int:portfolio_id>/reconcile/"}


def reads(call):
    route, method = call
    return (method in SAFE or route in READS_WITH_A_BODY) and route not in OWNERS_ALONE


def calls():
    """(route, method) of every call that names a row."""
    for pattern in urlpatterns:
        route, view = str(pattern.pattern), pattern.callback.cls
        for method in view.http_method_names:
            if hasattr(view, method) and method != "options" and route not in WITHOUT_A_ROW:
                yield route, method


CALLS = [call for call in calls() if "<str:token>" not in call[0]]
OF_A_PORTFOLIO = [call for call in CALLS if "household" not in call[0]]
BY_LINK = [call for call in calls() if "<str:token>" in call[0]]


@pytest.fixture
def rows(client, alice, portfolio, post, btc):
    """Alice's rows by the names that routes call them: a new name needs one here."""
    deposit = post("DEPOSIT", amount="1000", external_id="first")
    household = Household.objects.create(owner=alice, name="Home")
    household.members.add(portfolio)
    share, token = sharing.by_link(portfolio, timezone.now() + dt.timedelta(days=1))
    batch = ImportBatch.objects.create(portfolio=portfolio, sha256="0" * 64)
    client.force_login(alice)
    wish = {"side": "BUY", "type": "LIMIT", "quantity": "1", "price": "5", "time_in_force": "GTC"}
    body = {"portfolio": portfolio.pk, "symbol": btc.symbol, "client_order_id": "1", **wish}
    order = client.post("/api/orders/", body, content_type="application/json").json()
    client.logout()
    return {
        "portfolio_id": portfolio.pk, "transaction_id": deposit.pk, "household_id": household.pk, "batch_id": batch.pk,
        "share_id": share.pk, "order_id": order["id"], "token": token,
    }  # fmt: skip


@pytest.fixture
def ask(client, rows):
    """ask(who, route, method) is the answer's status; `who` None is not signed in."""

    def ask(who, route, method):
        client.logout()
        if who is not None:
            client.force_login(who)
        path = route
        for name, value in rows.items():
            path = path.replace(f"<int:{name}>", str(value)).replace(f"<str:{name}>", str(value))
        assert "<" not in path, f"make a row for {route} in the fixture `rows`"
        return getattr(client, method)(f"/api/{path}", content_type="application/json").status_code

    return ask


def test_there_is_something_to_ask():
    assert ("portfolios/<int:portfolio_id>/transactions/", "post") in OF_A_PORTFOLIO
    assert len(CALLS) > 20


def test_strangers_and_staff_are_not_told_that_it_exists(ask, bob, admin):
    told = {(*call, str(who)): ask(who, *call) for call in CALLS for who in (bob, admin)}
    assert {call: status for call, status in told.items() if status != 404} == {}


def test_nobody_in_particular_is_asked_to_sign_in(ask):
    told = {call: ask(None, *call) for call in CALLS}
    assert {call: status for call, status in told.items() if status not in (401, 403)} == {}


def test_whom_it_is_shared_with_reads_and_does_not_write(ask, portfolio, bob):
    sharing.with_user(portfolio, bob)
    told = {call: ask(bob, *call) for call in OF_A_PORTFOLIO}
    # Some need a parameter: that they say so shows that they have found the portfolio.
    assert {call: status for call, status in told.items() if reads(call) and status not in (200, 400)} == {}
    assert {call: status for call, status in told.items() if not reads(call) and status != 403} == {}
    assert portfolio.transactions.count() == 1


def test_its_owner_may(ask, alice):
    told = {call: ask(alice, *call) for call in CALLS if reads(call)}
    assert {call: status for call, status in told.items() if status not in (200, 400)} == {}


def test_an_owner_who_was_deactivated_may_not(ask, alice, portfolio):
    alice.is_active = False
    alice.save()
    assert not Portfolio.objects.visible_to(alice).exists()
    assert not Portfolio.objects.writable_by(alice).exists()
    assert {ask(None, *call) for call in BY_LINK if call[1] in SAFE} == {404}


def test_a_link_shows_figures_and_nothing_else(ask):
    assert {route for route, _ in BY_LINK} == {
        f"shared/<str:token>/{figures}" for figures in ("", "positions/", "performance/", "history/")
    }
    assert {method for _, method in BY_LINK} <= set(SAFE)
    told = {call: ask(None, *call) for call in BY_LINK}
    assert {call: status for call, status in told.items() if status not in (200, 400)} == {}
    writes = {ask(None, route, method) for route, _ in BY_LINK for method in ("post", "put", "patch", "delete")}
    assert writes == {405}


def test_lists_show_ones_own_and_what_is_shared(client, rows, portfolio, alice, bob, admin):
    def listed(who, route):
        client.force_login(who)
        return [row["id"] for row in client.get(f"/api/{route}").json()["results"]]

    for route in ("portfolios/", "orders/", "households/"):
        assert len(listed(alice, route)) == 1
        assert listed(bob, route) == listed(admin, route) == []
    sharing.with_user(portfolio, bob)
    assert listed(bob, "portfolios/") == [portfolio.pk]
    assert listed(bob, "households/") == []


def test_a_reader_places_no_order(client, rows, portfolio, bob, btc):
    wish = {"side": "BUY", "type": "MARKET", "quantity": "1", "time_in_force": "GTC"}
    body = {"portfolio": portfolio.pk, "symbol": btc.symbol, "client_order_id": "2", **wish}
    client.force_login(bob)
    stranger = client.post("/api/orders/", body, content_type="application/json")
    assert stranger.status_code in (400, 404)
    sharing.with_user(portfolio, bob)
    assert client.post("/api/orders/", body, content_type="application/json").status_code in (400, 403)
    assert portfolio.orders.count() == 1
