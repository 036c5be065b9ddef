"""Portfolio tasks."""

from celery import shared_task
from django.utils import timezone

from portfolio.follow import follow
from portfolio.models import Portfolio
from portfolio.topics import publish_values
from portfolio.topics import revalue as valued_now

__all__ = ["follow", "revalue"]


@shared_task(name="portfolio.revalue", ignore_result=True, acks_late=True)
def revalue(portfolio_id: int) -> int:
    """Value a portfolio from its whole ledger and tell its owner, unless a newer value was told. Safe to run twice."""
    return publish_values([valued_now(Portfolio.objects.get(pk=portfolio_id), timezone.now())])
