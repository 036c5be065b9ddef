"""Whose connection this is: by session cookie, by token, or by a one-use ticket. Blocking.

An `Identity` can be asked `again`: when a password, an account or a right has changed, each live connection is looked
at anew by the same credential that opened it.
"""

import hashlib
import secrets
from collections.abc import Callable
from functools import partial
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import msgspec
import redis
from django.conf import settings
from django.contrib.auth import get_user, get_user_model
from django.utils.crypto import constant_time_compare, salted_hmac
from rest_framework.exceptions import APIException
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, Token

from streaming.auth import header
from worker.redis import client, key

# The `Sec-WebSocket-Protocol` under which a token follows: `bearer, <token>`.
BEARER = "bearer"


class NotSignedIn(Exception):
    """A token or a ticket that opens nothing. The sentence is for its bearer."""


class Identity(msgspec.Struct, frozen=True):
    """user: Django's, or AnonymousUser. session: the mark of the session that says so, None without one.

    expires_at: until when, in seconds since 1970; None for as long as the session or the account lives.
    again: who it is by now, by the same credential. Blocking; raises NotSignedIn.
    """

    user: Any
    session: str | None
    expires_at: float | None
    again: Callable[[], "Identity"]


def identify(scope: dict[str, Any]) -> Identity:
    """By the ticket in the URL, else the token among the subprotocols, else the session cookie. Raises NotSignedIn."""
    ticket = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("ticket")
    if ticket:
        return of_ticket(ticket[0])
    token = bearer_token(scope)
    return of_token(token) if token is not None else of_session(_session_key(scope))


def bearer_token(scope: dict[str, Any]) -> str | None:
    """The token that follows `bearer` in `Sec-WebSocket-Protocol`; None where there is none."""
    offered = list(scope.get("subprotocols", []))
    if BEARER not in offered:
        return None
    after = offered[offered.index(BEARER) + 1 :]
    return after[0] if after else ""


# --- Sessions -------------------------------------------------------------------------------------------------------


def of_session(session_key: str | None) -> Identity:
    """Nobody in particular, where there is no such session or its password is another by now."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    # Django's own check, which also knows of changed passwords, wants no more of a request than its session.
    request: Any = SimpleNamespace(session=store(session_key))
    user = get_user(request)
    mark = mark_of(session_key) if session_key and user.is_authenticated else None
    return Identity(user, mark, None, partial(of_session, session_key))


def mark_of(session_key: str) -> str:
    """What stands for a session outside of its cookie: it does not open the session."""
    return salted_hmac("streaming.auth", session_key).hexdigest()


def _session_key(scope: dict[str, Any]) -> str | None:
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(header(scope, b"cookie"))
    except CookieError:  # whoever sends such a header has no cookie of ours
        return None
    morsel = cookies.get(settings.SESSION_COOKIE_NAME)
    return morsel.value if morsel else None


# --- Tokens ---------------------------------------------------------------------------------------------------------


def of_token(raw: str) -> Identity:
    """Raises NotSignedIn for a token that is no access token of ours, has expired, or is void since a new password."""
    try:
        token = AccessToken(raw)  # type: ignore[arg-type]  # str in, though the stubs want the class itself
    except TokenError as error:
        raise NotSignedIn(f"The token is not valid: {error}") from error
    return Identity(user_of(token), None, float(token["exp"]), partial(of_token, raw))


def user_of(token: Token) -> Any:
    """The active user whose password it was made under. Raises NotSignedIn."""
    try:
        return JWTAuthentication().get_user(token)
    except APIException as error:
        raise NotSignedIn(f"The token is not valid: {error.detail}") from error


# --- Tickets --------------------------------------------------------------------------------------------------------


def issue_ticket(user: Any) -> str:
    """A ticket that opens one socket as this user, within SOCKET_TICKET_TTL_S. Raises redis.RedisError."""
    ticket = secrets.token_urlsafe(32)
    client().set(_ticket_key(ticket), f"{user.pk} {_stamp(user)}", ex=settings.SOCKET_TICKET_TTL_S)
    return ticket


def of_ticket(ticket: str) -> Identity:
    """Use the ticket up. Raises NotSignedIn."""
    try:
        found: Any = client().getdel(_ticket_key(ticket))
    except redis.RedisError as error:
        raise NotSignedIn("The ticket cannot be looked up just now") from error
    if found is None:
        raise NotSignedIn("The ticket is unknown, used up or too old")
    pk, _, stamp = found.decode().partition(" ")
    return _of_account(int(pk), stamp)


def _of_account(pk: int, stamp: str) -> Identity:
    user = get_user_model().objects.filter(pk=pk, is_active=True).first()
    if user is None or not constant_time_compare(_stamp(user), stamp):
        raise NotSignedIn("The account or its password has changed since")
    return Identity(user, None, None, partial(_of_account, pk, stamp))


def _stamp(user: Any) -> str:
    """What changes with the password, as Django keeps it in its sessions."""
    return str(user.get_session_auth_hash())


def _ticket_key(ticket: str) -> str:
    # Whoever reads Redis reads no ticket.
    return key("ticket", hashlib.sha256(ticket.encode()).hexdigest())
