"""Who else may see a portfolio, and which portfolios somebody looks at as one."""

import hashlib
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models

from portfolio.models.ledger import Portfolio, PortfolioQuerySet


def digest(token: str) -> str:
    """What is kept of a link's token: 256 random bits need neither salt nor stretching."""
    return hashlib.sha256(token.encode()).hexdigest()


class ShareQuerySet(models.QuerySet["Share"]):
    def opened_by(self, token: str, now: datetime) -> "Share | None":
        """The link of this token, unless it has expired or its owner is gone."""
        links = self.filter(token_hash=digest(token), expires_at__gt=now, portfolio__owner__is_active=True)
        return links.select_related("portfolio").first()


class Share(models.Model):
    """That a portfolio may be read: by a user, or for a time by whoever has the link. `portfolio/sharing.py` writes."""

    portfolio = models.ForeignKey(Portfolio, on_delete=models.CASCADE, related_name="shares")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="portfolio_shares"
    )
    token_hash = models.CharField(max_length=64, null=True, unique=True, editable=False)
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ShareQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["portfolio", "user"], name="shared_once_with_a_user"),
            models.CheckConstraint(
                name="a_share_is_a_users_or_a_link_that_expires",
                condition=models.Q(user__isnull=False, token_hash__isnull=True, expires_at__isnull=True)
                | models.Q(user__isnull=True, token_hash__isnull=False, expires_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.portfolio} to {self.user or 'whoever has the link'}"


class HouseholdQuerySet(models.QuerySet["Household"]):
    def visible_to(self, user: Any) -> "HouseholdQuerySet":
        """The user's own: what others put together is theirs."""
        if isinstance(user, AnonymousUser) or not user.is_active:
            return self.none()
        return self.filter(owner=user)


class Household(models.Model):
    """Several portfolios as one, in one currency: the owner's own, and what is shared with the owner."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="households")
    name = models.CharField(max_length=64)
    base_currency = models.CharField(max_length=8, default="USD")
    members = models.ManyToManyField(Portfolio, related_name="households")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = HouseholdQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="one_household_a_name")]

    def __str__(self) -> str:
        return f"{self.name} ({self.owner})"

    def portfolios(self) -> PortfolioQuerySet:
        """Its members that the owner may see now."""
        return Portfolio.objects.visible_to(self.owner).filter(households=self)
