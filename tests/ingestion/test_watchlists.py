"""Watchlists: each sees their own, and what is on them is followed."""

import pytest
import time_machine

from ingestion import demand, tasks
from ingestion.models import Watchlist, WatchlistItem
from tests.ingestion.market import make_instrument

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]

LISTS = "/api/watchlists/"


@pytest.fixture
def btc():
    return make_instrument("BTC-USDT", binance="BTCUSDT")


@pytest.fixture
def aapl():
    return make_instrument("AAPL", kind="equity", currency="USD")


@pytest.fixture
def her_list(client, alice, btc, aapl):
    client.force_login(alice)
    body = {"name": "Main", "items": [{"symbol": "btcusdt", "note": "buy low"}, {"symbol": "AAPL"}]}
    return f"{LISTS}{post(client, LISTS, body).json()['id']}/"


def post(client, path, body):
    return client.post(path, body, content_type="application/json")


def items(answer):
    return [item["symbol"] for item in answer.json()["items"]]


def test_a_list_is_made_read_changed_and_deleted(client, her_list):
    [found] = client.get(LISTS).json()["results"]
    assert found == client.get(her_list).json()
    assert found["items"] == [{"symbol": "BTC-USDT", "note": "buy low"}, {"symbol": "AAPL", "note": ""}]
    renamed = client.patch(her_list, {"name": "Other"}, content_type="application/json")
    assert (renamed.json()["name"], items(renamed)) == ("Other", ["BTC-USDT", "AAPL"])
    turned = {"name": "Other", "items": [{"symbol": "AAPL"}, {"symbol": "BTC"}]}
    assert items(client.put(her_list, turned, content_type="application/json")) == ["AAPL", "BTC-USDT"]
    assert client.delete(her_list).status_code == 204
    assert client.get(her_list).status_code == 404


def test_items_come_and_go_one_by_one(client, her_list):
    make_instrument("ETH-USDT")
    assert items(post(client, f"{her_list}items/", {"symbol": "eth/usdt"})) == ["BTC-USDT", "AAPL", "ETH-USDT"]
    again = post(client, f"{her_list}items/", {"symbol": "ETH-USDT", "note": "again"})
    assert (again.status_code, again.json()["items"][2]["note"]) == (201, "again")
    assert client.delete(f"{her_list}items/btcusdt/").status_code == 204
    assert items(client.get(her_list)) == ["AAPL", "ETH-USDT"]
    assert client.delete(f"{her_list}items/BTC-USDT/").status_code == 404
    assert client.delete(f"{her_list}items/NOSUCH/").status_code == 404


def test_lists_keep_the_users_order(client, her_list):
    post(client, LISTS, {"name": "Second"})
    post(client, LISTS, {"name": "First", "order": 0})
    client.patch(her_list, {"order": 5}, content_type="application/json")
    assert [row["name"] for row in client.get(LISTS).json()["results"]] == ["First", "Second", "Main"]


@pytest.mark.parametrize("who", ["bob", "admin"])
def test_nobody_else_sees_or_touches_it(client, her_list, who, request):
    client.force_login(request.getfixturevalue(who))
    assert client.get(LISTS).json()["results"] == []
    assert client.get(her_list).status_code == 404
    assert client.put(her_list, {"name": "Mine"}, content_type="application/json").status_code == 404
    assert client.patch(her_list, {"name": "Mine"}, content_type="application/json").status_code == 404
    assert client.delete(her_list).status_code == 404
    assert post(client, f"{her_list}items/", {"symbol": "AAPL"}).status_code == 404
    assert client.delete(f"{her_list}items/AAPL/").status_code == 404
    assert Watchlist.objects.get().items.count() == 2


def test_without_a_sign_in_there_is_nothing(client, her_list):
    client.logout()
    for path in (LISTS, her_list):
        assert client.get(path).status_code == 403
    assert post(client, LISTS, {"name": "Main"}).status_code == 403


def test_two_people_may_use_one_name(client, her_list, bob):
    assert post(client, LISTS, {"name": "Main"}).status_code == 400
    client.force_login(bob)
    assert post(client, LISTS, {"name": "Main"}).status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"), ({"name": ""}, "name"), ({"name": "x" * 65}, "name"), ({"name": "A\0"}, "name"),
        ({"name": "A", "items": [{"symbol": "NOSUCH"}]}, "items"), ({"name": "A", "items": [{"symbol": 5}]}, "items"),
        ({"name": "A", "items": [{"symbol": "AAPL"}, {"symbol": "aapl"}]}, "items"),
        ({"name": "A", "items": 5}, "items"),
        ({"name": "A", "order": -1}, "order"), ({"name": "A", "owner": 1}, "owner"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_names_the_field(client, alice, aapl, body, field):
    client.force_login(alice)
    answer = post(client, LISTS, body)
    assert (answer.status_code, list(answer.json())) == (400, [field])
    assert not Watchlist.objects.exists()


def test_there_are_limits(client, her_list, settings):
    settings.MAX_WATCHLISTS_PER_USER, settings.MAX_ITEMS_PER_WATCHLIST = 1, 2
    make_instrument("ETH-USDT")
    assert "1 watchlists" in post(client, LISTS, {"name": "More"}).json()["name"][0]
    assert "at most 2" in post(client, f"{her_list}items/", {"symbol": "ETH-USDT"}).json()["symbol"][0]
    three = {"items": [{"symbol": name} for name in ("AAPL", "BTC", "ETH-USDT")]}
    assert client.patch(her_list, three, content_type="application/json").status_code == 400


def test_what_is_watched_is_followed_at_once_and_while_it_is_watched(client, her_list, btc, aapl, settings):
    assert demand.wanted() == {btc.pk, aapl.pk}
    with time_machine.travel("2100-01-01T00:00:00Z", tick=False) as clock:
        assert demand.wanted() == set()
        assert tasks.want_watched() == 2
        assert demand.wanted() == {btc.pk, aapl.pk}
        WatchlistItem.objects.filter(instrument=aapl).delete()
        clock.shift(settings.WATCHLIST_DEMAND_TTL_S - 1)
        tasks.want_watched()
        clock.shift(2)
        assert demand.wanted() == {btc.pk}


def test_the_lists_of_who_may_not_sign_in_are_not_followed(her_list, alice):
    alice.is_active = False
    alice.save()
    assert tasks.want_watched() == 0


def test_a_page_of_lists_takes_few_queries(client, her_list, alice, django_assert_max_num_queries):
    for i in range(5):
        post(client, LISTS, {"name": f"L{i}", "items": [{"symbol": "AAPL"}, {"symbol": "BTC"}]})
    with django_assert_max_num_queries(6):
        client.get(LISTS)
