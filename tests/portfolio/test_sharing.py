"""Shares with users, links, and what becomes of them."""

import datetime as dt
import json

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from portfolio import sharing
from portfolio.models import Household, Portfolio, Share
from streaming import control, topics
from streaming.publish import channel_of
from worker.redis import client as redis_client

pytestmark = pytest.mark.django_db

TOPIC = topics.registry["portfolio"]


def share(client, portfolio, **body):
    return client.post(f"/api/portfolios/{portfolio.pk}/shares/", body, content_type="application/json")


def soon(**later):
    return (timezone.now() + dt.timedelta(**later)).isoformat()


@pytest.fixture
def alices(client, alice):
    client.force_login(alice)
    return client


class TestWithAUser:
    def test_it_is_given_once_listed_and_taken_back(self, alices, portfolio, bob):
        given = share(alices, portfolio, user="bob")
        assert (given.status_code, given.json()["user"], given.json()["expires_at"]) == (201, "bob", None)
        assert "token" not in given.json()
        assert share(alices, portfolio, user="bob").status_code == 200
        shares = alices.get(f"/api/portfolios/{portfolio.pk}/shares/").json()["results"]
        assert [row["id"] for row in shares] == [given.json()["id"]]
        assert alices.delete(f"/api/portfolios/{portfolio.pk}/shares/{shares[0]['id']}/").status_code == 204
        assert not Portfolio.objects.visible_to(bob).exists()
        assert alices.delete(f"/api/portfolios/{portfolio.pk}/shares/{shares[0]['id']}/").status_code == 404

    def test_of_another_portfolio_it_is_not_taken_back(self, alices, portfolio, bob):
        other = Portfolio.objects.create(owner=bob, name="Bob's")
        theirs, _ = sharing.with_user(other, portfolio.owner)
        assert alices.delete(f"/api/portfolios/{portfolio.pk}/shares/{theirs.pk}/").status_code == 404
        assert alices.delete(f"/api/portfolios/{other.pk}/shares/{theirs.pk}/").status_code == 403

    def test_live_connections_are_looked_at_anew(self, portfolio, bob, django_capture_on_commit_callbacks):
        given, _ = sharing.with_user(portfolio, bob)
        assert TOPIC.resolve(str(portfolio.pk), bob)
        assert TOPIC.keys(bob) == [str(portfolio.pk)]
        listener = redis_client().pubsub(ignore_subscribe_messages=True)
        listener.subscribe(channel_of(control.TOPIC))
        listener.get_message(timeout=5)
        with django_capture_on_commit_callbacks(execute=True):
            sharing.revoke(given)
        told = None
        while told is None:
            told = listener.get_message(timeout=5)
        listener.close()
        body = told["data"]
        assert json.loads(body[body.index(b'{"topic"') : body.rindex(b"}") + 1])["data"] == {"users": [bob.pk]}
        with pytest.raises(topics.NotYours):
            TOPIC.resolve(str(portfolio.pk), bob)

    def test_households_lose_it_too(self, portfolio, bob):
        given, _ = sharing.with_user(portfolio, bob)
        household = Household.objects.create(owner=bob, name="Ours")
        household.members.add(portfolio)
        sharing.revoke(given)
        assert household.members.count() == 0
        household.members.add(portfolio)  # whoever put it there: what may not be seen does not count
        assert not household.portfolios().exists()

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"user": "nobody"}, "user"), ({"user": "alice"}, "user"), ({"user": 5}, "user"), ({}, "user"),
            ({"user": "bob", "expires_at": "2999-01-01"}, "expires_at"), ({"expires_at": "2020-01-01"}, "expires_at"),
            ({"expires_at": "2999-01-01"}, "expires_at"), ({"expires_at": "soon"}, "expires_at"),
            ({"users": ["bob"]}, "users"), ({"user": "b\0b"}, "user"),
        ],
    )  # fmt: skip
    def test_a_bad_share_names_the_field(self, alices, portfolio, bob, body, field):
        answer = share(alices, portfolio, **body)
        assert (answer.status_code, list(answer.json())) == (400, [field])
        assert not Share.objects.exists()

    def test_there_is_a_most(self, alices, portfolio, bob, admin, settings):
        settings.MAX_SHARES_PER_PORTFOLIO = 1
        assert share(alices, portfolio, user="bob").status_code == 201
        assert share(alices, portfolio, user="admin").status_code == 400
        assert share(alices, portfolio, user="bob").status_code == 200


class TestByLink:
    def test_its_figures_are_open_to_whoever_has_it(self, alices, portfolio, post):
        post("DEPOSIT", amount="1000")
        given = share(alices, portfolio, expires_at=soon(days=1)).json()
        assert given["user"] is None
        assert given["url"].endswith(f"/api/shared/{given['token']}/")
        alices.logout()
        told = alices.get(given["url"])
        assert (told.json()["name"], told.json()["exact"]["total_value"]) == ("Savings", "1000")
        assert (told["Cache-Control"], told["Referrer-Policy"]) == ("private, no-store", "no-referrer")
        assert "alice" not in json.dumps(told.json())
        assert alices.get(given["url"] + "positions/").json()["results"] == []
        assert alices.get(f"/api/portfolios/{portfolio.pk}/").status_code in (401, 403)

    def test_the_token_is_kept_nowhere(self, alices, portfolio):
        token = share(alices, portfolio, expires_at=soon(days=1)).json()["token"]
        assert token not in str(list(Share.objects.values()))
        assert token not in json.dumps(alices.get(f"/api/portfolios/{portfolio.pk}/shares/").json())

    def test_what_has_expired_or_was_made_up_is_404(self, alices, portfolio):
        given = share(alices, portfolio, expires_at=soon(days=1)).json()
        Share.objects.update(expires_at=timezone.now())
        for token in (given["token"], "x", given["token"][:-1], "%00", "٣"):
            assert alices.get(f"/api/shared/{token}/").status_code == 404
        assert alices.get(f"/api/portfolios/{portfolio.pk}/shares/").json()["results"] == []
        assert not Share.objects.exists()

    def test_one_that_is_taken_back_is_404(self, alices, portfolio):
        given = share(alices, portfolio, expires_at=soon(days=1)).json()
        alices.delete(f"/api/portfolios/{portfolio.pk}/shares/{given['id']}/")
        assert alices.get(given["url"]).status_code == 404


def test_the_database_keeps_users_shares_and_links_apart(portfolio, bob):
    for wrong in ({}, {"user": bob, "expires_at": timezone.now()}, {"user": bob, "token_hash": "x"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Share.objects.create(portfolio=portfolio, **wrong)


class TestInTheAdmin:
    def test_a_share_is_seen_and_taken_back_and_no_more(self, client, admin, portfolio, bob):
        given, _ = sharing.with_user(portfolio, bob)
        sharing.by_link(portfolio, timezone.now() + dt.timedelta(days=1))
        household = Household.objects.create(owner=bob, name="Ours")
        household.members.add(portfolio)
        client.force_login(admin)
        for page in ("share/", f"share/{given.pk}/change/", "household/", f"household/{household.pk}/change/"):
            assert client.get(f"/admin/portfolio/{page}").status_code == 200
        assert client.get("/admin/portfolio/share/add/").status_code == 403
        assert client.post(f"/admin/portfolio/share/{given.pk}/delete/", {"post": "yes"}).status_code == 302
        assert not household.members.exists()
        assert not Portfolio.objects.visible_to(bob).exists()

    def test_who_is_no_staff_sees_nothing_of_it(self, client, bob, portfolio):
        client.force_login(bob)
        assert client.get("/admin/portfolio/share/").status_code == 302
