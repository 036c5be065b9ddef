"""Portfolio tasks."""

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from portfolio import imports, proof, snapshots
from portfolio.follow import follow
from portfolio.match import match
from portfolio.models import Portfolio
from portfolio.topics import publish_values
from portfolio.topics import revalue as valued_now

__all__ = ["follow", "import_file", "keep_snapshots", "match", "prove", "revalue"]


@shared_task(name="portfolio.revalue", ignore_result=True, acks_late=True)
def revalue(portfolio_id: int) -> int:
    """Value a portfolio from its whole ledger and tell its owner, unless a newer value was told. Safe to run twice."""
    return len(publish_values([valued_now(Portfolio.objects.get(pk=portfolio_id), timezone.now())]))


@shared_task(name="portfolio.keep_snapshots", ignore_result=True, acks_late=True, time_limit=1800)
def keep_snapshots() -> None:
    """Make hours and days of the minutes' values, and let old ones go. Re-running changes nothing."""
    snapshots.keep(timezone.now())


@shared_task(name="portfolio.prove", ignore_result=True, time_limit=3 * 3600)
def prove() -> int:
    """Compare what the follower holds with the ledgers, added up anew; returns how many figures differ."""
    return len(proof.prove(timezone.now()).mismatches)


@shared_task(name="portfolio.import_file", ignore_result=True, acks_late=True, time_limit=settings.IMPORT_TIME_LIMIT_S)
def import_file(batch_id: int) -> None:
    """Post the rows of a large file. Re-running finds it done."""
    imports.work_off(batch_id, timezone.now())
