"""The market's periodic work. The long-lived tasks are in `listener.py` and `writer.py`."""

import datetime as dt
import logging
from typing import Any

from celery import shared_task

from ingestion import archive, control, force, fx, http, listings, partitions, polling, sessions, store, watchlists

# Celery looks for tasks in this module alone.
from ingestion.backfill import backfill_chunk, resume_backfills
from ingestion.listener import listen
from ingestion.repair import heal_gaps, heal_last_days, request_histories
from ingestion.rest.listing import ListingError
from ingestion.rest.quoted import Unreadable
from ingestion.writer import persist

__all__ = [
    "backfill_chunk",
    "force_update",
    "heal_gaps",
    "heal_last_days",
    "keep_calendars",
    "keep_partitions",
    "keep_storage",
    "listen",
    "persist",
    "poll_quotes",
    "refresh_instruments",
    "request_histories",
    "resume_backfills",
    "update_fx_rates",
    "want_watched",
]

logger = logging.getLogger(__name__)


@shared_task(name="ingestion.keep_partitions", ignore_result=True, acks_late=True)
def keep_partitions() -> int:
    """Make the partitions of this week and the next, and bound the quarantine. Re-running changes nothing.

    Returns how many partitions were missing.
    """
    store.trim_quarantine()
    if store.storage_kind() == store.TIMESCALE:
        return 0
    week = partitions.week_of(store.to_us(dt.datetime.now(dt.UTC)))
    return sum(partitions.ensure(table, [week, week + 1]) for table in partitions.TABLES)


@shared_task(name="ingestion.keep_storage", ignore_result=True, acks_late=True)
def keep_storage() -> int:
    """Bring storage to what the settings say now: policies, archive and drop what is too old, longer candles.

    Re-running changes nothing. Returns how many ranges were dropped.
    """
    store.apply_policies()
    dropped = archive.retain(dt.datetime.now(dt.UTC))
    store.refresh()
    return dropped


@shared_task(name="ingestion.keep_calendars", ignore_result=True, acks_late=True)
def keep_calendars() -> int:
    """Work out the sessions of the exchanges that instruments trade on. Re-running changes nothing.

    Returns how many were missing or outdated.
    """
    return len(sessions.keep(dt.datetime.now(dt.UTC)))


@shared_task(name="ingestion.want_watched", ignore_result=True, time_limit=60)
def want_watched() -> int:
    """Tell the feeds what is on people's watchlists. Returns how many instruments."""
    return watchlists.want_all()


@shared_task(name="ingestion.refresh_instruments", ignore_result=True, acks_late=True, time_limit=600)
def refresh_instruments() -> int:
    """Read the lists of this installation's venues: status, steps, what is delisted. Re-running changes nothing.

    Returns how many of the lists were read; the others are told in the log, and read tomorrow.
    """
    read = 0
    for provider in control.configured():
        if provider not in listings.READERS:
            continue
        try:
            listings.refresh(provider)
            read += 1
        except (http.OverBudget, http.Refused, http.Unreachable, ListingError, listings.Suspicious) as error:
            logger.warning("%s: its list of instruments could not be read: %s", provider, error)
    return read


@shared_task(name="ingestion.poll_quotes", ignore_result=True)
def poll_quotes(source: str) -> dict[str, Any]:
    """One round of a poller: ask for what is wanted and can have changed. Two at once are one."""
    done = polling.poll(source)
    return {"due": done.due, "asked": done.asked, "moved": done.moved, "failed": done.failed, "stopped": done.stopped}


@shared_task(name="ingestion.update_fx_rates", ignore_result=True, acks_late=True)
def update_fx_rates() -> int:
    """Bring in the daily exchange rates of the last days. Re-running changes nothing. Returns how many were new."""
    try:
        return fx.update_recent().new
    except (http.OverBudget, http.Unreachable, http.Refused, Unreadable) as error:
        logger.warning("no exchange rates: %s", error)  # the next run looks back over this one
        return 0


@shared_task(name="ingestion.force_update", ignore_result=True, acks_late=True)
def force_update(job_id: int) -> None:
    """Do a forced price update; delivered twice, it goes on where it was."""
    force.run(job_id)
