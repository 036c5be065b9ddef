"""Signing in without a cookie, and losing what was granted: tokens, tickets, and changes that reach live sockets."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client as Browser
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from streaming.identity import issue_ticket
from tests.streaming.topics import in_thread

JSON = "application/json"


async def token_of(user: Any, lifetime_s: float = 60) -> str:
    def make() -> str:
        token = AccessToken.for_user(user)
        token.set_exp(lifetime=timedelta(seconds=lifetime_s))
        return str(token)

    return await in_thread(make)


def bearer(token: str) -> dict[str, Any]:
    return {"subprotocols": ["bearer", token]}


# --- Tokens over HTTP -----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_password_buys_tokens_that_open_the_api(client: Any, alice: Any) -> None:
    tokens = client.post("/api/auth/token/", {"username": "alice", "password": "alice"}, JSON).json()
    headers = {"HTTP_AUTHORIZATION": f"Bearer {tokens['access']}"}
    assert client.get("/api/notifications/", **headers).status_code == 200
    assert client.post("/api/realtime/ticket/", **headers).status_code == 201
    fresh = client.post("/api/auth/token/refresh/", {"refresh": tokens["refresh"]}, JSON).json()
    assert client.get("/api/notifications/", HTTP_AUTHORIZATION=f"Bearer {fresh['access']}").status_code == 200
    assert client.post("/api/auth/token/", {"username": "alice", "password": "no"}, JSON).status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize("change", ["password", "deactivation", "deletion"])
def test_a_refresh_token_ends_with_the_account_or_the_password(client: Any, alice: Any, change: str) -> None:
    refresh = str(RefreshToken.for_user(alice))
    if change == "password":
        alice.set_password("new")
        alice.save()
    elif change == "deactivation":
        alice.is_active = False
        alice.save()
    else:
        alice.delete()
    assert client.post("/api/auth/token/refresh/", {"refresh": refresh}, JSON).status_code == 401


# --- Tokens and tickets at the socket -------------------------------------------------------------------------------


async def test_a_token_among_the_subprotocols_signs_in(dial: Any, alice: Any) -> None:
    client = await dial(greeted=False, **bearer(await token_of(alice)))
    assert (await client.hear())["data"]["user_id"] == alice.pk
    assert client.socket.subprotocol == "bearer"


@pytest.mark.parametrize("wrong", ["", "a.b.c", "expired", "refresh", "another key"])
async def test_a_wrong_token_is_4001_and_never_a_silent_anonymous(dial: Any, alice: Any, wrong: str) -> None:
    if wrong == "expired":
        wrong = await token_of(alice, -1)
    elif wrong == "refresh":
        wrong = await in_thread(lambda: str(RefreshToken.for_user(alice)))
    elif wrong == "another key":
        wrong = (await token_of(alice))[:-4] + "AAAA"
    protocols = ["bearer", wrong] if " " not in wrong and wrong else ["bearer"]
    client = await dial(greeted=False, subprotocols=protocols)
    assert await client.closed() == 4001


async def test_a_ticket_opens_one_socket(dial: Any, alice: Any) -> None:
    ticket = await in_thread(lambda: issue_ticket(alice))
    first = await dial(f"realtime/?ticket={ticket}", greeted=False)
    assert (await first.hear())["data"]["user_id"] == alice.pk
    second = await dial(f"realtime/?ticket={ticket}", greeted=False)
    assert await second.closed() == 4001


async def test_auth_signs_an_anonymous_connection_in(dial: Any, alice: Any) -> None:
    client = await dial()
    await client.say("subscribe", {"topics": ["tdiary"]})
    assert (await client.hear())["data"]["code"] == 4001
    await client.hear()
    await client.say("auth", {"token": await token_of(alice)}, id=1)
    answer = await client.hear()
    assert (answer["type"], answer["id"], answer["data"]["user_id"]) == ("authenticated", 1, alice.pk)
    assert answer["data"]["expires_at"].endswith("Z")
    await client.say("subscribe", {"topics": ["tdiary"]})
    assert "tdiary" in (await client.hear())["data"]["topics"]


async def test_auth_with_nonsense_or_another_users_token_is_an_error_and_the_connection_lives(
    dial: Any, alice: Any, bob: Any
) -> None:
    client = await dial(user=alice)
    for token in ("nonsense", await token_of(bob)):
        await client.say("auth", {"token": token}, id=token[:5])
        answer = await client.hear()
        assert (answer["type"], answer["data"]["code"], answer["id"]) == ("error", 4001, token[:5])
    assert await client.silent()


async def test_a_token_that_runs_out_ends_the_connection_unless_it_is_refreshed(dial: Any, alice: Any) -> None:
    ends = await dial(**bearer(await token_of(alice, 1.5)))
    stays = await dial(**bearer(await token_of(alice, 1.5)))
    await stays.say("auth", {"token": await token_of(alice, 60)})
    assert (await stays.hear())["type"] == "authenticated"
    assert await ends.closed() == 4001
    assert await stays.silent()


async def test_signing_in_by_auth_counts_towards_the_users_connections(dial: Any, alice: Any, settings: Any) -> None:
    settings.MAX_CONNECTIONS_PER_USER = 1
    first, second = await dial(), await dial()
    token = await token_of(alice)
    await first.say("auth", {"token": token})
    assert (await first.hear())["type"] == "authenticated"
    await second.say("auth", {"token": token})
    refused = await second.hear()
    assert (refused["data"]["code"], "1 connections per user" in refused["data"]["message"]) == (4029, True)


# --- Changes reach live sockets within a second ---------------------------------------------------------------------


@pytest.mark.parametrize("change", ["password", "deactivation", "deletion"])
@pytest.mark.parametrize("by", ["session", "token", "ticket"])
async def test_a_changed_account_ends_its_connections(dial: Any, alice: Any, bob: Any, change: str, by: str) -> None:
    if by == "session":
        client = await dial(user=alice)
    elif by == "token":
        client = await dial(**bearer(await token_of(alice)))
    else:
        client = await dial(f"realtime/?ticket={await in_thread(lambda: issue_ticket(alice))}")
    other = await dial(user=bob)

    def do() -> None:
        if change == "password":
            alice.set_password("new")
            alice.save()
        elif change == "deactivation":
            alice.is_active = False
            alice.save()
        else:
            alice.delete()

    await in_thread(do)
    async with asyncio.timeout(1):
        assert await client.closed() == 4001
    assert await other.silent()


async def test_a_lost_right_ends_the_subscription_that_needs_it_and_no_other(dial: Any, alice: Any) -> None:
    group = await in_thread(lambda: Group.objects.create(name="readers"))
    await in_thread(lambda: alice.groups.add(group))
    client = await dial(user=alice)
    await client.say("subscribe", {"topics": ["tdiary", "treaders:1"]})
    assert set((await client.hear_until("subscribed"))["data"]["topics"]) == {"tdiary", "treaders:1"}

    await in_thread(lambda: alice.groups.remove(group))
    async with asyncio.timeout(1):
        error = await client.hear_until("error")
    assert (error["topic"], error["data"]["code"]) == ("treaders:1", 4003)
    assert (await client.hear_until("unsubscribed"))["data"] == {"topics": ["treaders:1"]}
    await client.say("list")
    assert (await client.hear_until("subscriptions"))["data"] == {"topics": ["tdiary"]}


async def test_a_harmless_change_disturbs_nobody(dial: Any, alice: Any) -> None:
    client = await dial(user=alice)

    def change() -> None:
        Browser().force_login(alice)  # writes last_login
        alice.first_name = "Alice"
        alice.save()
        alice.user_permissions.add(Permission.objects.first())

    await in_thread(change)
    assert await client.silent()


async def test_a_change_that_was_rolled_back_disturbs_nobody(dial: Any, alice: Any) -> None:
    from django.db import transaction

    client = await dial(user=alice)

    def change() -> None:
        with transaction.atomic():
            alice.set_password("never")
            alice.save()
            transaction.set_rollback(True)

    await in_thread(change)
    assert await client.silent()
