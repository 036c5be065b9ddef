"""Giving others a look at a portfolio, and taking it back. Live connections hear of it once it is committed."""

import secrets
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from portfolio.models import Household, Portfolio, Share
from portfolio.models.sharing import digest
from streaming.control import rights_changed


class TooMany(Exception):
    """A portfolio is shared as often as it may be."""

    def __init__(self) -> None:
        super().__init__(f"A portfolio has at most {settings.MAX_SHARES_PER_PORTFOLIO} shares.")


def with_user(portfolio: Portfolio, user: Any) -> tuple[Share, bool]:
    """Let `user` read the portfolio. Returns the share, and whether it is new. Raises TooMany."""
    with transaction.atomic():
        found = Share.objects.filter(portfolio=portfolio, user=user).first()
        if found is not None:
            return found, False
        _make_room(portfolio)
        return Share.objects.get_or_create(portfolio=portfolio, user=user)


def by_link(portfolio: Portfolio, expires_at: datetime) -> tuple[Share, str]:
    """Let whoever has the link read the portfolio until then. Returns the share and the link's token, which is told
    this once and kept nowhere. Raises TooMany."""
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        _make_room(portfolio)
        share = Share.objects.create(portfolio=portfolio, token_hash=digest(token), expires_at=expires_at)
    return share, token


def revoke(share: Share) -> None:
    """Take it back: the user's live connections lose the portfolio, and the user's households do."""
    with transaction.atomic():
        if share.user_id is not None:
            households = Household.objects.filter(owner=share.user_id)
            Household.members.through.objects.filter(household__in=households, portfolio=share.portfolio_id).delete()
            rights_changed([share.user_id])
        share.delete()


def drop_expired(now: datetime) -> int:
    """Forget the links that have expired. Returns how many."""
    count, _ = Share.objects.filter(expires_at__lte=now).delete()
    return count


def _make_room(portfolio: Portfolio) -> None:
    """Under the portfolio's lock, so that two at once can't both take the last place."""
    Portfolio.objects.select_for_update().get(pk=portfolio.pk)
    if Share.objects.filter(portfolio=portfolio).count() >= settings.MAX_SHARES_PER_PORTFOLIO:
        raise TooMany
