"""Whose portfolio may be read and written: the check that every call on one portfolio begins with."""

from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request

from portfolio.models import Portfolio


def own_portfolio(request: Request, portfolio_id: int) -> Portfolio:
    """The portfolio, if the one who asks may see it; else 404, whether it exists or not."""
    found = Portfolio.objects.visible_to(request.user).filter(pk=portfolio_id).first()
    if found is None:
        raise NotFound
    return found


def writable_portfolio(request: Request, portfolio_id: int) -> Portfolio:
    """The portfolio, if the one who asks may change it; 403 for those who may only read it, 404 for all others."""
    portfolio = own_portfolio(request, portfolio_id)
    if not Portfolio.objects.writable_by(request.user).filter(pk=portfolio.pk).exists():
        raise PermissionDenied("This portfolio is shared with you to be read; its owner alone changes it.")
    return portfolio
