"""Whose portfolio may be read and written: the check that every call on one portfolio begins with."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from portfolio.models import Portfolio, Share


def own_portfolio(request: Request, portfolio_id: int) -> Portfolio:
    """The portfolio, if the one who asks may see it: its owner, whom it is shared with, or who has a link to it.

    Else 404, whether it exists or not.
    """
    if isinstance(request.auth, Share):
        if request.auth.portfolio_id == portfolio_id:
            return request.auth.portfolio
        raise NotFound
    found = Portfolio.objects.visible_to(request.user).filter(pk=portfolio_id).first()
    if found is None:
        raise NotFound
    return found


def writable_portfolio(request: Request, portfolio_id: int) -> Portfolio:
    """The portfolio, if the one who asks may change it; 403 for those who may only read it, 404 for all others."""
    portfolio = own_portfolio(request, portfolio_id)
    if not portfolio.is_writable_by(request.user):
        raise PermissionDenied("This portfolio is shared with you to be read; its owner alone changes it.")
    return portfolio


class LinkAuthentication(BaseAuthentication):
    """The token in the path `shared/<token>/` opens one portfolio to whoever has it; it makes nobody of them.

    A token that is unknown or has expired is 404, so that it can't be told from one that never was.
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Share]:
        token: Any = request.parser_context["kwargs"]["token"]
        share = Share.objects.opened_by(token, timezone.now())
        if share is None:
            raise NotFound
        return AnonymousUser(), share


class HasLink(BasePermission):
    """Whoever came by a link."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.auth, Share)
